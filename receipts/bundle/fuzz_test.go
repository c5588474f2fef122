package bundle

import (
	"bytes"
	"slices"
	"testing"

	"github.com/signet-egress/signet/receipts"
)

// No bytes make a reader panic, or pass for a bundle that nobody signed.
func FuzzOpen(f *testing.F) {
	c := sampleChain(f)
	var good bytes.Buffer
	if _, err := Export(&good, c.options(), each(c.lines)); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:100])
	f.Add(good.Bytes()[good.Len()-22:])
	want, err := verify(good.Bytes(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := verify(data, nil)
		if err == nil && got.Head != want.Head {
			t.Fatalf("a bundle that nobody exported was verified: %+v", got)
		}
	})
}

// No line makes an export panic, and what it takes for a receipt without a
// detail is what a decoder takes for one.
func FuzzSplice(f *testing.F) {
	for _, line := range everyRecord().lines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) { spliced(t, line) })
}

// spliced holds what is read of a line without decoding it against what it says.
func spliced(t *testing.T, line []byte) {
	t.Helper()
	isReceipt(line)
	start, end := detailOf(line)
	seq := Seq(line)
	hash, prev, agent := memberString(line, `,"receipt_hash":"`), prevOf(line), agentOf(line)
	decoded, err := receipts.Decode(line)
	if err != nil {
		return
	}
	h := decoded.RecordHead()
	if seq != h.Chain.Seq || string(hash) != h.ReceiptHash || string(prev) != h.Chain.Prev || string(memberString(line, `,"kid":"`)) != h.KID {
		t.Errorf("seq %d, hash %s, prev %s in %s", seq, hash, prev, line)
	}
	r, ok := decoded.(*receipts.Receipt)
	if ok != isReceipt(line) {
		t.Errorf("a receipt: %t, in %s", !ok, line)
	}
	if !ok {
		return
	}
	if unescape(agent) != r.Agent || unescape(memberString(line, `,"tenant":"`)) != r.Tenant || !is(memberString(line, `,"trace_id":"`), r.TraceID) {
		t.Errorf("agent %s in %s", agent, line)
	}
	if (end > 0) != (r.Detail != nil) {
		t.Fatalf("a detail from %d to %d in %s", start, end, line)
	}
	r.Detail = nil
	if core := slices.Concat(line[:start], line[end:]); !bytes.Equal(core, receipts.Append(nil, r)) {
		t.Errorf("without its detail it is %s", core)
	}
}
