package jsonx

import (
	"bytes"
	"fmt"
	"testing"
)

// invoices is a document of about size bytes, of the shapes that agents send.
func invoices(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"batch":"2026-11","invoices":[`)
	for i := 0; b.Len() < size-200; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"invoice_id":"INV-%06d","amount":"%d.%02d","currency":"EUR","lines":[{"text":"Beratung \u2013 Tag %d","qty":%d,"price":%d.5}],"paid":%t,"note":null,"contact":{"mail":"a%d@b.example"}}`,
			i, i*37, i%100, i, i%7, i, i%2 == 0, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func BenchmarkParse(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		data := invoices(size)
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(data, Options{Used: usedNames}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRefuse is what the largest body costs that is not worth reading.
func BenchmarkRefuse(b *testing.B) {
	for name, data := range map[string][]byte{
		"brackets": bytes.Repeat([]byte("["), 1<<20),
		"exponent": append([]byte("1e"), bytes.Repeat([]byte("9"), 100)...),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse(data, Options{}); err == nil {
					b.Fatal("read")
				}
			}
		})
	}
}
