package payload

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"unicode/utf16"

	"github.com/gowebpki/jcs"

	"github.com/signet-egress/signet/internal/jsonx"
)

// roundTrips tells whether every number is the same after jcs had it as a double.
func roundTrips(v *jsonx.Value) bool {
	if v.Kind == jsonx.Number {
		form, err := jcs.Transform([]byte(v.Text))
		if err != nil {
			return false
		}
		before, ok := new(big.Rat).SetString(v.Text)
		after, also := new(big.Rat).SetString(string(form))
		return ok && also && before.Cmp(after) == 0
	}
	return !slices.ContainsFunc(v.Items, func(item jsonx.Value) bool { return !roundTrips(&item) })
}

// sameAsJCS holds a document's canonical form against that of another library.
func sameAsJCS(t *testing.T, doc []byte) {
	t.Helper()
	v, err := jsonx.Parse(doc, jsonx.Options{})
	if err != nil {
		return
	}
	var c canonical
	got := c.add(v)
	if want := roundTrips(v); got != want {
		t.Fatalf("%s: round-trips is %t, want %t", doc, got, want)
	}
	if !got {
		return
	}
	want, err := jcs.Transform(doc)
	if err != nil || !bytes.Equal(c.form, want) {
		t.Errorf("%s: %s, want %s, %v", doc, c.form, want, err)
	}
	if len(c.sorted) > 0 {
		t.Errorf("%s: %d members are left over", doc, len(c.sorted))
	}
}

func TestCanonicalNumbers(t *testing.T) {
	for _, text := range []string{
		"0", "-0", "0.0", "-0.00", "1", "-1", "100", "1.0", "1.50", "-1.500", "0.1", "0.05", "0.000001", "0.0000010", "0.0000001", "-0.00000012",
		"123456789012345", "1234567890123456", "12345678901234.5", "1234567890123.45", "9007199254740991", "9007199254740993", "0.1000000000000001",
		"1e3", "1E+3", "1e-7", "15e-1", "1e21", "1e20", "100000000000000000000", "1e400", "1e-400", "5e-324", "2.5e-324", "1.7976931348623157e308", "333333333.33333329",
	} {
		sameAsJCS(t, []byte(text))
	}
	w := rand.New(rand.NewPCG(rand.Uint64(), 1))
	for range 5_000 {
		digits := strconv.FormatUint(w.Uint64()|1<<63, 10)[:1+w.IntN(18)]
		if w.IntN(2) == 0 {
			digits = "0." + "00000000"[:w.IntN(8)] + digits
		} else if at := w.IntN(len(digits)); at > 0 {
			digits = digits[:at] + "." + digits[at:] + "000"[:w.IntN(4)]
		}
		sameAsJCS(t, []byte("[-"+digits+"]"))
	}
}

func TestCompareUTF16(t *testing.T) {
	names := []string{"", "a", "aa", "b", "é", "€", "\ud7ff", "\ue000", "\uf8ff", "\uffff", "\U00010000", "\U0010ffff", "a\ue000", "a\U00010000", "a\U00010000b", "é\uff00", "é😀", "€x", "\ue000\U00010000", "😀", "😁"}
	for _, a := range names {
		for _, b := range names {
			want := slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
			if got := compareUTF16(a, b); got != want {
				t.Errorf("%q, %q: %d, want %d", a, b, got, want)
			}
		}
	}
}

// FuzzCanonical: the form that identifies a body is that of another library, or
// a number of the body does not round-trip.
func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"😀": 1.50, "\uff00": [12, -0, 1e-7, true, null], "b": {"\n/\u007f\u2028\"": "é\t\u0001<", "a": {}}, "a": 100000000000000000000}`))
	f.Add([]byte(`[9007199254740993]`))
	f.Add([]byte(`{"b": {"z": 1, "y": {"q": [{"d": 1, "c": 2}], "p": 0}}, "a": [{"n": 1, "m": 2}]}`))
	f.Add(paymentOf(300))
	f.Fuzz(func(t *testing.T, doc []byte) { sameAsJCS(t, doc) })
}
