package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/receipts"
)

// errTooLarge is about a batch that holds more than the limits allow.
var errTooLarge = errors.New("too large")

// size is what a batch says that it holds, and how long it is as it was sent.
type size struct{ records, bytes, sent int }

// cost is what a batch takes of its tenant's rate, in records, before anything of it
// is expanded, which may take far longer than to send it. Records that are as long as
// the limits allow for so many, and longer, are paid for by their length; so is a batch
// that is longer than what it holds.
func (s size) cost(limits Limits) int {
	return max(1, s.records, min(max(s.bytes, s.sent)*limits.BatchRecords/limits.BatchBytes, limits.BatchRecords))
}

// sizeOf is the size of a batch that the limits allow. One that they do not, or that
// does not say it, is the largest.
func sizeOf(b *api.Batch, limits Limits) (size, error) {
	largest := size{records: limits.BatchRecords, bytes: limits.BatchBytes}
	var frame zstd.Header
	if err := frame.Decode(b.GetLines()); err != nil {
		return largest, fmt.Errorf("read a batch: %w", err)
	}
	switch records, held := b.GetRecords(), frame.FrameContentSize; {
	case !frame.HasFCS:
		return largest, errors.New("read a batch: its frame does not say how much it holds")
	case held > uint64(limits.BatchBytes):
		return largest, fmt.Errorf("%w: a batch of %d bytes; it may have %d", errTooLarge, held, limits.BatchBytes)
	case records > int64(limits.BatchRecords):
		return largest, fmt.Errorf("%w: a batch of %d records; it may have %d", errTooLarge, records, limits.BatchRecords)
	case records < 1 || held < 1:
		return largest, errors.New("a batch without records")
	default:
		return size{int(records), int(held), len(b.GetLines())}, nil
	}
}

// window is what a frame may look back, if it is not as long: that of the sidecar's.
const window = 1 << 20

// expand is the lines of a batch, which are what it said.
func expand(compressed []byte, said size) ([][]byte, error) {
	decoder, err := zstd.NewReader(bytes.NewReader(compressed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(max(said.bytes, window))))
	if err != nil {
		return nil, fmt.Errorf("read a batch: %w", err)
	}
	defer decoder.Close()
	text := make([]byte, said.bytes)
	if _, err := io.ReadFull(decoder, text); err != nil {
		return nil, fmt.Errorf("read a batch: %w", err)
	}
	if n, err := decoder.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read a batch: it holds more than the %d bytes that it says", said.bytes)
	}
	return split(text, said.records)
}

// split cuts text into so many lines, each with its newline.
func split(text []byte, records int) ([][]byte, error) {
	if text[len(text)-1] != '\n' {
		return nil, errors.New("the last line of the batch has no newline")
	}
	if n := bytes.Count(text, []byte("\n")); n != records {
		return nil, fmt.Errorf("a batch of %d lines, which says that it has %d records", n, records)
	}
	lines := make([][]byte, 0, records)
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if len(line) > receipts.MaxLine {
			return nil, fmt.Errorf("%w: a record of %d bytes", errTooLarge, len(line))
		}
		lines = append(lines, line)
		text = rest
	}
	return lines, nil
}
