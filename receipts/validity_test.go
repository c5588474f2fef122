package receipts

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKeys lists the keys of a chain that changed its key at seq 12.
func TestKeys(t *testing.T) {
	c := sampleChain()
	keys := verifiedKeys(t, c.lines)
	change := headOf(t, c.lines[11])
	want := []ChainKey{
		{KeyID(public(testKey(1))), public(testKey(1)), Validity{testChain, 1, headOf(t, c.lines[0]).TS, 12, change.TS}},
		{KeyID(public(testKey(2))), public(testKey(2)), Validity{testChain, 13, change.TS, 0, time.Time{}}},
	}
	if !slices.EqualFunc(keys, want, func(a, b ChainKey) bool {
		return a.KID == b.KID && a.PublicKey.Equal(b.PublicKey) && a.Validity == b.Validity
	}) {
		t.Errorf("got  %+v\nwant %+v", keys, want)
	}
}

// TestValidity verifies with key sets that say what each key may sign.
func TestValidity(t *testing.T) {
	c := sampleChain()
	all := verifiedKeys(t, c.lines)
	bound := func(i int, change func(*Validity)) []ChainKey {
		keys := slices.Clone(all)
		change(&keys[i].Validity)
		return keys
	}
	at := func(seq int) time.Time { return headOf(t, c.lines[seq-1]).TS }
	for _, tt := range []struct {
		name string
		keys []ChainKey
		from int   // seq of the first record given
		bad  int64 // seq; 0: all are good
	}{
		{"as the chain says", all, 1, 0},
		{"a part signed by the retired key", all, 5, 0},
		{"a part signed by the new key", all, 13, 0},
		{"revoked from seq 9 on", bound(0, func(v *Validity) { v.ToSeq, v.To = 8, at(8) }), 1, 9},
		{"revoked in time alone", bound(0, func(v *Validity) { v.ToSeq, v.To = 0, at(8) }), 1, 9},
		{"revoked from its change on", bound(0, func(v *Validity) { v.ToSeq = 11 }), 1, 12},
		{"valid later in sequence", bound(1, func(v *Validity) { v.FromSeq = 15 }), 1, 13},
		{"valid later in time", bound(1, func(v *Validity) { v.From = at(14) }), 1, 13},
		{"a part before the validity", bound(0, func(v *Validity) { v.FromSeq = 6 }), 5, 5},
		{"another chain's key", bound(0, func(v *Validity) { v.Chain = uuid(7) }), 1, 1},
		{"this chain's beside another's", append(bound(0, func(v *Validity) { v.Chain = uuid(7) }), all[0]), 1, 0},
		{"a key without bounds beside bounds", append(bound(0, func(v *Validity) { v.ToSeq = 3 }), chainKey(1)), 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := ParseJWKS(JWKS(tt.keys...))
			if err != nil {
				t.Fatal(err)
			}
			_, err = verifyLines(set, c.lines[tt.from-1:])
			if tt.bad == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantCause(t, err, tt.bad, CauseKey)
		})
	}
}

// A key that was replaced cannot be brought back by whoever has it.
func TestRetiredKeyStaysRetired(t *testing.T) {
	c := newChain(testKey(1))
	c.changeKey(testKey(2))
	c.changeKey(testKey(1))
	_, err := verifyLines(nil, c.lines)
	wantCause(t, err, 3, CauseKey)
	if !strings.Contains(err.Error(), "introduced again") {
		t.Errorf("%v", err)
	}
}

func verifiedKeys(t *testing.T, lines [][]byte) []ChainKey {
	t.Helper()
	v := NewVerifier(nil)
	for _, line := range lines {
		if err := v.Add(line); err != nil {
			t.Fatal(err)
		}
	}
	return v.Keys()
}

func headOf(t *testing.T, line []byte) *Head {
	t.Helper()
	r, err := Decode(line)
	if err != nil {
		t.Fatal(err)
	}
	return r.RecordHead()
}
