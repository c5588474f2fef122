package ship

import (
	"context"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
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
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	return &packer{encoder: encoder}, err
}

// batch reads records from a seq on, at least one, as a compressed batch.
func (p *packer) batch(ctx context.Context, source Source, from int64, l limit) (compressed []byte, n int64, err error) {
	lines := p.lines[:0]
	err = source.Range(ctx, from, func(seq int64, line []byte) error {
		switch {
		case seq != from+n:
			return fmt.Errorf("record %d was pruned, and the collector does not have it", from+n)
		case n > 0 && (n >= l.records || int64(len(lines)+len(line)+1) > min(l.bytes, mostBytes)):
			return errFull
		}
		lines = append(append(lines, line...), '\n')
		n++
		return nil
	})
	if err != nil && !errors.Is(err, errFull) {
		return nil, 0, fmt.Errorf("read what is to be shipped: %w", err)
	}
	if n == 0 {
		return nil, 0, fmt.Errorf("record %d is not in the journal", from)
	}
	p.lines = lines
	return p.encoder.EncodeAll(lines, nil), n, nil
}
