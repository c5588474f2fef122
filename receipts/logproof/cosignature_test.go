package logproof_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-egress/signet/internal/testkit/witnesses"
	"github.com/signet-egress/signet/receipts/logproof"
)

func witnessOf(t testing.TB, c witnesses.Cosigner) *logproof.Witness {
	t.Helper()
	w, err := logproof.NewWitness(c.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const second = 1790000000

func checkpointText() string {
	return origin + "\n7\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"
}

func TestCosignatures(t *testing.T) {
	text := checkpointText()
	signed, key := sign(t, origin, text)
	a, b, stranger := witnesses.NewCosigner("witness.example/a"), witnesses.NewCosigner("witness.example/b"), witnesses.NewCosigner("witness.example/c")
	all := string(signed) + b.LineAt(text, second+1) + a.LineAt(text, second) + stranger.LineAt(text, second) + a.LineAt(text, second+2)
	if tree, err := logproof.OpenCheckpoint([]byte(all), key); err != nil || tree.N != 7 {
		t.Errorf("a cosigned checkpoint: %v, %v", tree, err)
	}
	known := []*logproof.Witness{witnessOf(t, a), witnessOf(t, b), witnessOf(t, witnesses.NewCosigner("witness.example/d"))}
	found, others, err := logproof.Cosignatures([]byte(all), known)
	if err != nil || len(found) != 2 || others != 2 {
		t.Fatalf("%v, %d others, %v", found, others, err)
	}
	for i, want := range []struct {
		of   witnesses.Cosigner
		time uint64
	}{{b, second + 1}, {a, second}} {
		if c := found[i]; c.Witness.Name() != want.of.Name || !c.Time.Equal(time.Unix(int64(want.time), 0)) || c.Line+"\n" != want.of.LineAt(text, want.time) {
			t.Errorf("cosignature %d is %+v", i, c)
		}
	}
	if found, others, err := logproof.Cosignatures(signed, known); err != nil || len(found) != 0 || others != 1 {
		t.Errorf("a checkpoint that nobody cosigned: %v, %d, %v", found, others, err)
	}
}

// A cosignature under a witness's name is by its key, and of this checkpoint and
// time, or nothing of it is believed.
func TestBadCosignatures(t *testing.T) {
	text := checkpointText()
	signed, _ := sign(t, origin, text)
	w := witnesses.NewCosigner("witness.example/a")
	good := w.LineAt(text, second)
	data, err := base64.StdEncoding.DecodeString(strings.Fields(good)[2])
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(sig []byte) []byte) string {
		return "— " + w.Name + " " + base64.StdEncoding.EncodeToString(change(append([]byte{}, data...))) + "\n"
	}
	for name, line := range map[string]string{
		"of another checkpoint": w.LineAt(origin+"\n8\n"+base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n", second),
		"of another time":       changed(func(sig []byte) []byte { sig[11]++; return sig }),
		"of no year":            w.LineAt(text, 253402300800),
		"of the last second":    w.LineAt(text, 1<<63),
		"a flipped bit":         changed(func(sig []byte) []byte { sig[40] ^= 1; return sig }),
		"cut":                   changed(func(sig []byte) []byte { return sig[:len(sig)-1] }),
		"without a time":        changed(func(sig []byte) []byte { return append(sig[:4], sig[12:]...) }),
		"only a time":           changed(func(sig []byte) []byte { return sig[:12] }),
		"no base64":             "— " + w.Name + " =\n",
		"no line":               "witness\n",
	} {
		if found, _, err := logproof.Cosignatures([]byte(string(signed)+line), []*logproof.Witness{witnessOf(t, w)}); err == nil {
			t.Errorf("%s: believed as %v", name, found)
		}
	}
}

func TestNewWitness(t *testing.T) {
	c := witnesses.NewCosigner("witness.example/a")
	good := c.VerifierKey()
	if w := witnessOf(t, c); w.String() != good || w.Name() != c.Name {
		t.Errorf("%s is read as %s", good, w)
	}
	for key, want := range map[string]string{
		"":                                  "not a verifier key",
		"witness.example/a":                 "not a verifier key",
		"+" + good:                          "not a verifier key",
		"a b" + good:                        "not a verifier key",
		c.KeyOfType(1):                      "the key of a log",
		c.KeyOfType(6):                      "ML-DSA-44",
		c.KeyOfType(2):                      "not the key of a witness",
		"x" + good:                          "the id of the key is",
		strings.Replace(good, "+", "+0", 1): "the id of the key is",
		good[:len(good)-4]:                  "not the key of a witness",
	} {
		if w, err := logproof.NewWitness(key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want an error with %q", key, w, err, want)
		}
	}
}

// FuzzCosignatures: what is found was signed by the witness, and is found again in
// what it is taken over into.
func FuzzCosignatures(f *testing.F) {
	text := checkpointText()
	w := witnesses.NewCosigner("witness.example/a")
	for _, line := range []string{w.LineAt(text, second), "— witness.example/a AAAA\n", witnesses.NewCosigner("witness.example/b").LineAt(text, second), ""} {
		f.Add([]byte(text + "\n" + line))
	}
	witness := witnessOf(f, w)
	f.Fuzz(func(t *testing.T, signed []byte) {
		found, _, err := logproof.Cosignatures(signed, []*logproof.Witness{witness})
		if err != nil || len(found) == 0 {
			return
		}
		n, err := note.Open(signed, note.VerifierList(witness))
		if err != nil || len(found) != 1 {
			t.Fatalf("%v, %v", found, err)
		}
		again, _, err := logproof.Cosignatures([]byte(n.Text+"\n"+found[0].Line+"\n"), []*logproof.Witness{witness})
		if err != nil || len(again) != 1 || again[0] != found[0] {
			t.Fatalf("%v is %v again, %v", found, again, err)
		}
	})
}
