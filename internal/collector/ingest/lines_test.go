package ingest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/signet-egress/signet/receipts"
)

// FuzzExpand: whatever a sidecar sends as a batch is lines within the limits, which
// are the frame's text again, or an error.
func FuzzExpand(f *testing.F) {
	limits := Limits{BatchRecords: 4, BatchBytes: 1 << 12}
	for _, text := range []string{"", "\n", "{}\n", "{}\n{}\n", "{}", "a\nb\nc\nd\n", "a\nb\nc\nd\ne\n", string(bytes.Repeat([]byte("x"), 1<<12)), string(make([]byte, 1<<16))} {
		f.Add(deflate([]byte(text)))
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, compressed []byte) {
		lines, err := expand(compressed, limits)
		if err != nil {
			if lines != nil {
				t.Error("lines and an error")
			}
			return
		}
		text := append(bytes.Join(lines, []byte("\n")), '\n')
		if len(lines) < 1 || len(lines) > limits.BatchRecords || len(text) > limits.BatchBytes {
			t.Fatalf("%d lines of %d bytes are taken", len(lines), len(text))
		}
		again, err := expand(deflate(text), limits)
		if err != nil || !bytes.Equal(append(bytes.Join(again, []byte("\n")), '\n'), text) {
			t.Errorf("the same lines again: %v", err)
		}
	})
}

// Each limit of a batch, at it and one above it.
func TestExpandLimits(t *testing.T) {
	limits := Limits{BatchRecords: 4, BatchBytes: 4096}
	many := Limits{BatchRecords: 4, BatchBytes: 4 * receipts.MaxLine}
	for name, test := range map[string]struct {
		limits Limits
		text   []byte
		refuse bool
	}{
		"records":      {limits, bytes.Repeat([]byte("{}\n"), 4), false},
		"a record too": {limits, bytes.Repeat([]byte("{}\n"), 5), true},
		"bytes":        {limits, append(bytes.Repeat([]byte("x"), 4095), '\n'), false},
		"a byte too":   {limits, append(bytes.Repeat([]byte("x"), 4096), '\n'), true},
		"a line":       {many, append(bytes.Repeat([]byte("x"), receipts.MaxLine), '\n'), false},
		"a longer one": {many, append(bytes.Repeat([]byte("x"), receipts.MaxLine+1), '\n'), true},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := expand(deflate(test.text), test.limits); errors.Is(err, errTooLarge) != test.refuse {
				t.Errorf("got %v", err)
			}
		})
	}
}
