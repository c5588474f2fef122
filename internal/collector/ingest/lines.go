package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/signet-egress/signet/receipts"
)

// errTooLarge is about a batch that holds more than the limits allow.
var errTooLarge = errors.New("too large")

// expand is the lines of a batch. It stops as soon as the frame turns out to
// hold more than the limits allow, whatever the frame says of its size.
func expand(compressed []byte, limits Limits) ([][]byte, error) {
	decoder, err := zstd.NewReader(bytes.NewReader(compressed),
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limits.BatchBytes)), zstd.WithDecoderMaxWindow(uint64(max(limits.BatchBytes, 1<<10))))
	if err != nil {
		return nil, fmt.Errorf("read a batch: %w", err)
	}
	defer decoder.Close()
	var text bytes.Buffer
	n, err := text.ReadFrom(io.LimitReader(decoder, int64(limits.BatchBytes)+1))
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded), n > int64(limits.BatchBytes):
		return nil, fmt.Errorf("%w: a batch of more than %d bytes", errTooLarge, limits.BatchBytes)
	case err != nil:
		return nil, fmt.Errorf("read a batch: %w", err)
	case n == 0:
		return nil, errors.New("a batch without records")
	}
	return split(text.Bytes(), limits.BatchRecords)
}

// split cuts text at its newlines, of which the last byte is one.
func split(text []byte, most int) ([][]byte, error) {
	if text[len(text)-1] != '\n' {
		return nil, errors.New("the last line of the batch has no newline")
	}
	n := bytes.Count(text, []byte("\n"))
	if n > most {
		return nil, fmt.Errorf("%w: a batch of %d records; it may have %d", errTooLarge, n, most)
	}
	lines := make([][]byte, 0, n)
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
