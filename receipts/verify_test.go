package receipts

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func keySet(t *testing.T, keys ...ed25519.PrivateKey) *KeySet {
	t.Helper()
	pinned := make([]ChainKey, len(keys))
	for i, k := range keys {
		pinned[i].PublicKey = public(k)
	}
	set, err := ParseJWKS(JWKS(pinned...))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestVerifyWholeChain(t *testing.T) {
	c := sampleChain()
	got, err := verifyLines(nil, c.lines)
	if err != nil {
		t.Fatal(err)
	}
	want := Result{
		ChainID: testChain, Records: 17, Receipts: 9, First: 1, Last: 17, Head: c.head.ReceiptHash,
		TrustedKID: KeyID(public(testKey(1))), KID: KeyID(public(testKey(2))), CleanStop: true,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	got, err = verifyLines(keySet(t, testKey(1)), c.lines)
	want.Pinned = true
	if err != nil || got != want {
		t.Errorf("with the key pinned: %+v, %v", got, err)
	}
}

func TestVerifyPart(t *testing.T) {
	c := sampleChain()
	got, err := verifyLines(keySet(t, testKey(1)), c.lines[4:9]) // seq 5 to 9
	if err != nil {
		t.Fatal(err)
	}
	if got.First != 5 || got.Last != 9 || got.HopsUnproved != 2 || got.CleanStop {
		t.Errorf("%+v", got)
	}
	_, err = verifyLines(nil, c.lines[4:9])
	wantCause(t, err, 5, CauseKey)
}

func TestVerifyNothing(t *testing.T) {
	if _, err := NewVerifier(nil).Result(); !errors.Is(err, ErrNoRecords) {
		t.Errorf("an empty chain: %v", err)
	}
}

func TestVerifyWithheldDetail(t *testing.T) {
	c := sampleChain()
	r, err := Decode(c.lines[2])
	if err != nil {
		t.Fatal(err)
	}
	receipt, _ := r.(*Receipt)
	receipt.Detail = nil
	c.lines[2] = Append(nil, receipt)
	got, err := verifyLines(nil, c.lines)
	if err != nil || got.Withheld != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// edit returns a copy of the line with other text for the first old.
func edit(t *testing.T, line []byte, old, with string) []byte {
	t.Helper()
	if !bytes.Contains(line, []byte(old)) {
		t.Fatalf("the line has no %q: %s", old, line)
	}
	return bytes.Replace(line, []byte(old), []byte(with), 1)
}

// resign decodes a line, changes it, and seals it anew as somebody could who
// has a key.
func resign(t *testing.T, key ed25519.PrivateKey, line []byte, change func(*Receipt)) []byte {
	t.Helper()
	r, err := Decode(line)
	if err != nil {
		t.Fatal(err)
	}
	receipt, ok := r.(*Receipt)
	if !ok {
		t.Fatalf("not a receipt: %s", line)
	}
	change(receipt)
	if receipt.Detail != nil {
		receipt.DetailDigest = DetailDigest(receipt.Detail)
	}
	(&chain{key: key}).seal(receipt)
	return Append(nil, receipt)
}

func TestVerifyRefuses(t *testing.T) {
	other := newChain(testKey(9))
	other.id = uuid(0xabc)
	for n := range 6 {
		other.add(exchange(500+n, "trace-0"))
	}
	old := testKey(1)
	tests := []struct {
		name   string
		tamper func(t *testing.T, l [][]byte) [][]byte // l[i] is seq i+1
		seq    int64
		cause  Cause
	}{
		{"a member changed", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `"outcome":"forwarded"`, `"outcome":"failed"`)
			return l
		}, 5, CauseHash},
		{"a member changed and hashed again", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = resign(t, testKey(9), l[4], func(r *Receipt) { r.Outcome = Failed })
			return l
		}, 5, CauseSignature},
		{"a member changed and signed again", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = resign(t, old, l[4], func(r *Receipt) { r.Outcome = Failed })
			return l
		}, 6, CauseLink},
		{"another key that names itself", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = resign(t, testKey(9), l[4], func(r *Receipt) { r.KID = KeyID(public(testKey(9))) })
			return l
		}, 5, CauseKey},
		{"the old key after its change", func(t *testing.T, l [][]byte) [][]byte {
			l[12] = resign(t, old, l[12], func(r *Receipt) { r.KID = KeyID(public(old)) })
			return l
		}, 13, CauseKey},
		{"a signature of another record", func(t *testing.T, l [][]byte) [][]byte {
			a, b := mustReceipt(t, l[4]), mustReceipt(t, l[5])
			a.Signature = b.Signature
			l[4] = Append(nil, a)
			return l
		}, 5, CauseSignature},
		{"a signature of another type", func(t *testing.T, l [][]byte) [][]byte {
			a := mustReceipt(t, l[4])
			a.Signature = Sign(old, TypeEvent, AppendCore(nil, a))
			l[4] = Append(nil, a)
			return l
		}, 5, CauseSignature},
		{"deleted", func(_ *testing.T, l [][]byte) [][]byte { return slices.Delete(l, 4, 5) }, 6, CauseGap},
		{"a run deleted", func(_ *testing.T, l [][]byte) [][]byte { return slices.Delete(l, 3, 9) }, 10, CauseGap},
		{"the key change deleted", func(_ *testing.T, l [][]byte) [][]byte { return slices.Delete(l, 11, 12) }, 13, CauseGap},
		{"the genesis deleted", func(_ *testing.T, l [][]byte) [][]byte { return l[1:] }, 2, CauseKey},
		{"inserted", func(t *testing.T, l [][]byte) [][]byte {
			forged := resign(t, testKey(9), l[4], func(r *Receipt) { r.ReceiptID = uuid(999) })
			return slices.Insert(l, 4, forged)
		}, 5, CauseSignature},
		{"swapped", func(_ *testing.T, l [][]byte) [][]byte { l[4], l[5] = l[5], l[4]; return l }, 6, CauseGap},
		{"duplicated", func(_ *testing.T, l [][]byte) [][]byte { return slices.Insert(l, 5, l[4]) }, 5, CauseOrder},
		{"repeated later", func(_ *testing.T, l [][]byte) [][]byte { return slices.Insert(l, 9, l[4]) }, 5, CauseOrder},
		{"another chain's record in its place", func(_ *testing.T, l [][]byte) [][]byte { l[4] = other.lines[4]; return l }, 5, CauseChain},
		{"continued by another chain", func(_ *testing.T, l [][]byte) [][]byte { return append(l[:4], other.lines[4:]...) }, 5, CauseChain},
		{"a second genesis", func(_ *testing.T, l [][]byte) [][]byte { return append(l, newChain(testKey(1)).lines[0]) }, 1, CauseOrder},
		{"a line cut in the middle", func(_ *testing.T, l [][]byte) [][]byte { l[4] = l[4][:len(l[4])/2]; return l }, 5, CauseForm},
		{"an empty line", func(_ *testing.T, l [][]byte) [][]byte { l[4] = nil; return l }, 5, CauseForm},
		{"the detail of another", func(t *testing.T, l [][]byte) [][]byte {
			a, b := mustReceipt(t, l[4]), mustReceipt(t, l[8])
			a.Detail = b.Detail
			l[4] = Append(nil, a)
			return l
		}, 5, CauseDetail},
		{"the detail changed", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `"path":"/v1/chat/completions"`, `"path":"/v1/models"`)
			return l
		}, 5, CauseDetail},
		{"a detail added where it was withheld with another salt", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `"salt":"AAECAwQFBgcICQoLDA0ODw"`, `"salt":"BAECAwQFBgcICQoLDA0ODw"`)
			return l
		}, 5, CauseDetail},
		{"white space", func(t *testing.T, l [][]byte) [][]byte { l[4] = edit(t, l[4], `,"count":1`, `, "count":1`); return l }, 5, CauseForm},
		{"a space at the end", func(_ *testing.T, l [][]byte) [][]byte { l[4] = append(bytes.Clone(l[4]), ' '); return l }, 5, CauseForm},
		{"a byte order mark", func(_ *testing.T, l [][]byte) [][]byte { l[4] = append([]byte("\uFEFF"), l[4]...); return l }, 5, CauseForm},
		{"a member twice", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `"count":1`, `"count":9,"count":1`)
			return l
		}, 5, CauseForm},
		{"a member in other case", func(t *testing.T, l [][]byte) [][]byte { l[4] = edit(t, l[4], `"tenant"`, `"Tenant"`); return l }, 5, CauseForm},
		{"members in another order", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `"fallback_used":false,"fu_tokens":0`, `"fu_tokens":0,"fallback_used":false`)
			return l
		}, 5, CauseForm},
		{"another escape", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `"tenant":"acme"`, `"tenant":"\u0061cme"`)
			return l
		}, 5, CauseForm},
		{"null for absent", func(t *testing.T, l [][]byte) [][]byte {
			l[8] = edit(t, l[8], `"kid"`, `"internal":null,"kid"`)
			return l
		}, 9, CauseField},
		{"an empty list for absent", func(t *testing.T, l [][]byte) [][]byte {
			l[8] = edit(t, l[8], `"signature"`, `"semantic_violations":[],"signature"`)
			return l
		}, 9, CauseField},
		{"a number in another form", func(t *testing.T, l [][]byte) [][]byte { l[4] = edit(t, l[4], `"count":1`, `"count":1e0`); return l }, 5, CauseForm},
		{"a number as a string", func(t *testing.T, l [][]byte) [][]byte { l[4] = edit(t, l[4], `"count":1`, `"count":"1"`); return l }, 5, CauseField},
		{"an unknown member", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `"count":1`, `"colour":1,"count":1`)
			return l
		}, 5, CauseMember},
		{"an unknown member of the detail", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `"path":"/v1`, `"password":"secret","path":"/v1`)
			return l
		}, 5, CauseMember},
		{"an unknown version", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `signet.receipt/1`, `signet.receipt/2`)
			return l
		}, 5, CauseType},
		{"an ext that is not canonical", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `{"cost_centre":"42"}`, `{"cost_centre":4.20}`)
			return l
		}, 5, CauseForm},
		{"a local time", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `T03:04:05.778Z"`, `T05:04:05.778+02:00"`)
			return l
		}, 5, CauseField},
		{"a number beyond 2^53-1", func(t *testing.T, l [][]byte) [][]byte {
			l[4] = edit(t, l[4], `"fu_tokens":0`, `"fu_tokens":9007199254740992`)
			return l
		}, 5, CauseField},
		{"a signature padded", func(t *testing.T, l [][]byte) [][]byte { l[4] = edit(t, l[4], `","tenant"`, `==","tenant"`); return l }, 5, CauseField},
		{"a hop skipped", func(t *testing.T, l [][]byte) [][]byte {
			return [][]byte{l[0], l[1], l[2], l[3], resign(t, old, l[4], func(r *Receipt) { r.Hop = 3 })}
		}, 5, CauseHop},
		{"a trace begun again", func(t *testing.T, l [][]byte) [][]byte {
			return [][]byte{l[0], l[1], l[2], l[3], resign(t, old, l[4], func(r *Receipt) { r.Hop, r.PrevReceiptHash = 1, "" })}
		}, 5, CauseHop},
		{"the hop before is another trace's", func(t *testing.T, l [][]byte) [][]byte {
			return [][]byte{l[0], l[1], l[2], l[3], resign(t, old, l[4], func(r *Receipt) { r.PrevReceiptHash = mustReceipt(t, l[3]).ReceiptHash })}
		}, 5, CauseHop},
		{"a receipt id again", func(t *testing.T, l [][]byte) [][]byte {
			return [][]byte{l[0], l[1], l[2], l[3], resign(t, old, l[4], func(r *Receipt) { r.ReceiptID = mustReceipt(t, l[3]).ReceiptID })}
		}, 5, CauseReceiptID},
		{"time runs backwards", func(t *testing.T, l [][]byte) [][]byte {
			return [][]byte{l[0], l[1], l[2], l[3], resign(t, old, l[4], func(r *Receipt) { r.TS = r.TS.Add(-1e9) })}
		}, 5, CauseTime},
		{"a key change without the new key's proof", func(t *testing.T, l [][]byte) [][]byte {
			r, err := Decode(l[11])
			if err != nil {
				t.Fatal(err)
			}
			e, _ := r.(*Event)
			e.Key.Proof = NewKeyChange(testKey(2), uuid(77), KeyID(public(old))).Proof // for another chain
			(&chain{key: old}).seal(e)
			l[11] = Append(nil, e)
			return l
		}, 12, CauseKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := verifyLines(nil, tt.tamper(t, slices.Clone(sampleChain().lines)))
			wantCause(t, err, tt.seq, tt.cause)
		})
	}
}

func mustReceipt(t *testing.T, line []byte) *Receipt {
	t.Helper()
	r, err := Decode(line)
	if err != nil {
		t.Fatal(err)
	}
	receipt, ok := r.(*Receipt)
	if !ok {
		t.Fatalf("not a receipt: %s", line)
	}
	return receipt
}

// No bit of a record can change unseen, whatever stands around it.
func TestVerifyEveryByte(t *testing.T) {
	keys := keySet(t, testKey(1), testKey(2))
	lines := sampleChain().lines
	for _, i := range []int{0, 2, 8, 11} { // genesis, receipts with all and with few members, key change
		line := lines[i]
		for at := range line {
			bad := bytes.Clone(line)
			bad[at] ^= 1
			if err := NewVerifier(keys).Add(bad); err == nil {
				t.Fatalf("seq %d: a bit flipped in byte %d was not seen: %s", i+1, at, bad)
			}
		}
	}
}

func TestVerifyFirstErrorIsFinal(t *testing.T) {
	lines := sampleChain().lines
	v := NewVerifier(nil)
	if err := v.Add(lines[0]); err != nil {
		t.Fatal(err)
	}
	first := v.Add(lines[3])
	wantCause(t, first, 4, CauseGap)
	if again := v.Add(lines[1]); !errors.Is(again, first) {
		t.Errorf("after a first error: %v", again)
	}
	if _, err := v.Result(); !errors.Is(err, first) {
		t.Errorf("Result: %v", err)
	}
}

func TestVerifyPinnedKey(t *testing.T) {
	_, err := verifyLines(keySet(t, testKey(9)), sampleChain().lines)
	wantCause(t, err, 1, CauseKey)
	if !strings.Contains(err.Error(), KeyID(public(testKey(1)))) {
		t.Errorf("the error does not name the key: %v", err)
	}
}

// Writer and verifier forget the same traces.
func TestVerifyForgottenTrace(t *testing.T) {
	c := newChain(testKey(1))
	c.traces = newTraces(4)
	for n := range 64 {
		c.add(denial(n, fmt.Sprint("trace-", n*n%11)))
	}
	v := NewVerifier(nil)
	v.traces = newTraces(4)
	for _, line := range c.lines {
		if err := v.Add(line); err != nil {
			t.Fatal(err)
		}
	}
	_, err := verifyLines(nil, c.lines)
	var bad *VerifyError
	if !errors.As(err, &bad) || bad.Cause != CauseHop {
		t.Errorf("a verifier that forgets later must see another hop: %v", err)
	}
}
