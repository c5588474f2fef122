package repair

import (
	"bytes"
	"fmt"
	"testing"
)

// payment is a document of about size bytes as a Python program would print it.
func payment(size int) []byte {
	var b bytes.Buffer
	b.WriteString("{'batch': '2026-11', 'lines': [")
	for i := 0; b.Len() < size-60; i++ {
		fmt.Fprintf(&b, "{'id': 'INV-%06d', 'amount': %d.%02d, 'paid': False}, ", i, i*37, i%100)
	}
	b.WriteString("]}")
	return b.Bytes()
}

func BenchmarkLocal(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 30 << 10} {
		text := payment(size)
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := Local(text, Limits{Edits: maxEdits}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRefuse(b *testing.B) {
	for name, text := range map[string][]byte{
		"brackets":        bytes.Repeat([]byte("["), 1<<20),
		"cut in a number": []byte(`{"currency":"EUR","amount":10`),
		"two readings":    append(bytes.Repeat([]byte(`{"a":{"b":1},"c":`), 60), bytes.Repeat([]byte(`[{"d":2,"e":true},`), 3)...),
		"8,192 tokens":    append(bytes.Repeat([]byte("[1],"), 2047), "1"...),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Local(text, Limits{}); err == nil {
					b.Fatal("repaired")
				}
			}
		})
	}
}
