package ingest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/receipts"
)

// frame compresses as a sidecar does.
func frame(text []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true))
	if err != nil {
		panic(err) // it fails on wrong options only
	}
	defer func() { _ = w.Close() }()
	return w.EncodeAll(text, nil)
}

// FuzzExpand: whatever a sidecar sends as a batch is lines within the limits, which
// are the frame's text again, or an error.
func FuzzExpand(f *testing.F) {
	limits := Limits{BatchRecords: 4, BatchBytes: 1 << 12}
	for _, text := range []string{"", "\n", "{}\n", "{}\n{}\n", "{}", "a\nb\nc\nd\n", "a\nb\nc\nd\ne\n", string(bytes.Repeat([]byte("x"), 1<<12)), string(make([]byte, 1<<16))} {
		f.Add(frame([]byte(text)), int64(strings.Count(text, "\n")))
		f.Add([]byte(text), int64(1))
	}
	f.Fuzz(func(t *testing.T, compressed []byte, records int64) {
		read := func(compressed []byte, records int) ([][]byte, error) {
			said, err := sizeOf(&api.Batch{Lines: compressed, Records: int64(records)}, limits)
			if err != nil {
				return nil, err
			}
			if cost := said.cost(limits); cost < records || cost > limits.BatchRecords {
				t.Fatalf("%d records cost %d", records, cost)
			}
			return expand(compressed, said)
		}
		lines, err := read(compressed, int(records))
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
		again, err := read(frame(text), len(lines))
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
			b := &api.Batch{Lines: frame(test.text), Records: int64(bytes.Count(test.text, []byte("\n")))}
			said, err := sizeOf(b, test.limits)
			if err == nil {
				_, err = expand(b.GetLines(), said)
			}
			if errors.Is(err, errTooLarge) != test.refuse || err == nil == test.refuse {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What a batch costs of its tenant's rate is never less than what it takes to read it.
func TestCost(t *testing.T) {
	limits := Limits{}.withDefaults()
	short, skipped := frame([]byte("{}\n")), []byte("\x50\x2a\x4d\x18\x00\x00\x40\x00") // 4 MiB of what a reader skips (RFC 8878, section 3.1.2)
	for name, test := range map[string]struct {
		batch *api.Batch
		want  int
	}{
		"one short record":          {&api.Batch{Lines: short, Records: 1}, 1},
		"as many as may be":         {&api.Batch{Lines: short, Records: 1000}, 1000},
		"few long ones":             {&api.Batch{Lines: frame(make([]byte, 4<<20)), Records: 4}, 500},
		"longer than what it holds": {&api.Batch{Lines: append(append(short, skipped...), make([]byte, 4<<20)...), Records: 1}, 500},
		"no frame":                  {&api.Batch{Lines: []byte("{}\n"), Records: 1}, 1000},
		"what a reader skips":       {&api.Batch{Lines: skipped, Records: 1}, 1000},
		"too many records":          {&api.Batch{Lines: short, Records: 1001}, 1000},
		"too many bytes":            {&api.Batch{Lines: frame(make([]byte, 8<<20+1)), Records: 1}, 1000},
		"no records":                {&api.Batch{Lines: short}, 1000},
		"less than none":            {&api.Batch{Lines: short, Records: -1 << 63}, 1000},
	} {
		if said, _ := sizeOf(test.batch, limits); said.cost(limits) != test.want {
			t.Errorf("%s: it costs %d records, want %d", name, said.cost(limits), test.want)
		}
	}
}

// broke is a budget that nothing is left of.
type broke struct{}

func (broke) Take(context.Context, string, int) time.Duration { return time.Minute }

// Of a tenant that has nothing left of its rate nothing is expanded, however much a
// batch holds and says that it does.
func TestNothingIsExpandedOnCredit(t *testing.T) {
	server := NewServer(Options{Records: broke{}, Lines: broke{}, Log: slog.New(slog.DiscardHandler)})
	c := &chain{server: server, who: pki.Identity{Tenant: "acme"}}
	zeros := make([]byte, defaultBatchBytes)
	for name, b := range map[string]*api.Batch{
		"as large as may be":         {Lines: frame(zeros), Records: 1},
		"larger":                     {Lines: frame(append(zeros, 0)), Records: 1},
		"more than one frame":        {Lines: bytes.Repeat(frame(zeros), 10), Records: 1000},
		"with more records than may": {Lines: frame(zeros), Records: 1 << 40},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		response, err := c.batch(t.Context(), b)
		runtime.ReadMemStats(&after)
		if err != nil || response.GetRefusal().GetCode() != api.Refusal_RATE_LIMITED {
			t.Errorf("%s: got %v, %v", name, response, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("%s: %d bytes were made of it", name, took)
		}
	}
}
