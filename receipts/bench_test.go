package receipts

import "testing"

func BenchmarkAppendCore(b *testing.B) { benchmarkAppend(b, AppendCore) }
func BenchmarkAppend(b *testing.B)     { benchmarkAppend(b, Append) }

func benchmarkAppend(b *testing.B, write func([]byte, Record) []byte) {
	r := exchange(1, "trace")
	dst := write(nil, r)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = write(dst[:0], r)
	}
}

func sealedExchange() *Receipt {
	c := newChain(testKey(1))
	r := exchange(1, "trace")
	c.add(r)
	return r
}

func BenchmarkValidate(b *testing.B) {
	r := sealedExchange()
	b.ReportAllocs()
	for b.Loop() {
		if err := Validate(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDetailDigest(b *testing.B) {
	r := exchange(1, "trace")
	b.ReportAllocs()
	for b.Loop() {
		DetailDigest(r.Detail)
	}
}

func BenchmarkSign(b *testing.B) {
	core, key := AppendCore(nil, sealedExchange()), testKey(1)
	b.ReportAllocs()
	for b.Loop() {
		Sign(key, TypeReceipt, core)
	}
}

func BenchmarkVerifierAdd(b *testing.B) {
	c := newChain(testKey(1))
	for n := range 1000 {
		c.add(exchange(n, "trace"))
	}
	b.ReportAllocs()
	n, v := 0, NewVerifier(nil)
	for b.Loop() {
		if n == len(c.lines) {
			n, v = 0, NewVerifier(nil)
		}
		if err := v.Add(c.lines[n]); err != nil {
			b.Fatal(err)
		}
		n++
	}
}
