package ship

import (
	"context"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/receipts"
)

// limit is what one batch may hold, as the collector says.
type limit struct{ records, bytes int64 }

// mostBytes bounds a batch in this process's memory, whatever a collector takes.
const mostBytes = 1 << 20

var errFull = errors.New("the batch is full")

// packer makes batches. What it needs for that, some hundred KiB, it keeps.
type packer struct {
	encoder *zstd.Encoder
	lines   []byte
}

func newPacker() (*packer, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20), zstd.WithSingleSegment(true)) // which says how much it holds, however little
	return &packer{encoder: encoder}, err
}

// batch reads records from a seq on, at least one, as a compressed batch. next is
// the seq behind them.
func (p *packer) batch(ctx context.Context, source Source, from int64, l limit) (batch *api.Batch, next int64, err error) {
	lines, n := p.lines[:0], int64(0)
	next = from
	err = source.Range(ctx, from, func(seq int64, line []byte) error {
		switch {
		case seq != next && !ownsUp(line, next):
			return fmt.Errorf("record %d was pruned, and the collector does not have it", next)
		case n > 0 && (n >= l.records || int64(len(lines)+len(line)+1) > min(l.bytes, mostBytes)):
			return errFull
		}
		lines = append(append(lines, line...), '\n')
		n, next = n+1, seq+1
		return nil
	})
	if err != nil && !errors.Is(err, errFull) {
		return nil, 0, fmt.Errorf("read what is to be shipped: %w", err)
	}
	if n == 0 {
		return nil, 0, fmt.Errorf("record %d is not in the journal", from)
	}
	p.lines = lines
	return &api.Batch{Lines: p.encoder.EncodeAll(lines, nil), Records: n}, next, nil
}

// ownsUp tells whether a record says that those from a seq on, up to it, are lost.
func ownsUp(line []byte, from int64) bool {
	r, err := receipts.Decode(line)
	if err != nil {
		return false
	}
	first := receipts.LostBefore(r)
	return first > 0 && first <= from
}
