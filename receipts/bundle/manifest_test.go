package bundle

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/goldenfile"
	"github.com/signet-egress/signet/receipts"
)

// signManifest signs a manifest anew, whatever it says.
func signManifest(t *testing.T, key ed25519.PrivateKey, m map[string]any) []byte {
	t.Helper()
	delete(m, "signature")
	m["signature"] = receipts.Sign(key, Type, canonicalLine(t, m))
	return canonicalLine(t, m)
}

// Every change of one member of a manifest is refused, and so is every lie that
// whoever holds the key could sign. What nobody but the exporter can know, the
// time and the program of the export, is the exporter's word.
func TestEveryMemberOfTheManifest(t *testing.T) {
	c := sampleChain(t)
	o := c.options()
	o.Filter = Filter{Agent: "a", Trace: "t1"}
	data := bundleOf(t, o, c.lines[1:8])
	lines := linesOf(t, data)
	manifest := manifestOf(t, o, c.lines[1:8])
	keys := keySet(t, c.keys...)
	in := &inputs{t: t, dir: t.TempDir()}
	if v := in.bundle(forge(t, lines, manifest), keys); !v.Verified {
		t.Fatalf("unchanged: %v", v)
	}
	// The exporter's word, and what a verifier with pinned keys has no use for.
	word := func(path string) bool {
		return path == "created" || path == "build" || path == "signature" || strings.Contains(path, ".validity") || path == "checkpoints"
	}
	table := fmt.Sprintf("%-30s %-8s %-28s %s\n", "MEMBER", "CHANGE", "REFUSED AS", "SIGNED ANEW")
	for n, m := range mutations("", parseLine(t, manifest)) {
		forged, signed := parseLine(t, manifest), parseLine(t, manifest)
		mutations("", forged)[n].apply()
		mutations("", signed)[n].apply()
		v := in.bundle(forge(t, lines, canonicalLine(t, forged)), keys)
		again := in.bundle(forge(t, lines, signManifest(t, c.key, signed)), keys)
		if v.Verified {
			t.Errorf("%s %s: %v", m.path, m.change, v)
		}
		if again.Verified && !word(m.path) {
			t.Errorf("%s %s and signed anew: %v", m.path, m.change, again)
		}
		table += fmt.Sprintf("%-30s %-8s %-28s %s\n", strings.TrimPrefix(m.path, "."), m.change, v, again)
	}
	goldenfile.Compare(t, "manifest.golden", table)
	in.agree(receipts.JWKS(c.keys...))
}

// The manifest as a document: not JSON, not canonical, of another key or type.
func TestOtherManifests(t *testing.T) {
	c, stranger := sampleChain(t), testKey(9)
	manifest := manifestOf(t, c.options(), c.lines)
	keys := keySet(t, c.keys...)
	in := &inputs{t: t, dir: t.TempDir()}
	change := func(f func(m map[string]any)) map[string]any {
		m := parseLine(t, manifest)
		f(m)
		return m
	}
	for _, tt := range []struct {
		name string
		data []byte
		want receipts.Cause // "" for good
	}{
		{"as it is", manifest, ""},
		{"empty", nil, receipts.CauseForm},
		{"no JSON", []byte("nonsense"), receipts.CauseForm},
		{"an array", []byte("[]"), receipts.CauseForm},
		{"a newline behind", append(append([]byte{}, manifest...), '\n'), receipts.CauseForm},
		{"cut", manifest[:100], receipts.CauseForm},
		{"a later version", signManifest(t, c.key, change(func(m map[string]any) { m["type"] = "signet.bundle/2" })), receipts.CauseType},
		{"a record", c.lines[8], receipts.CauseField},
		{"not signed", canonicalLine(t, change(func(m map[string]any) { delete(m, "signature") })), receipts.CauseSignature},
		{"signed as a record", func() []byte {
			m := change(func(m map[string]any) { delete(m, "signature") })
			m["signature"] = receipts.Sign(c.key, receipts.TypeEvent, canonicalLine(t, m))
			return canonicalLine(t, m)
		}(), receipts.CauseSignature},
		{"signed by a stranger in the key's name", signManifest(t, stranger, change(func(map[string]any) {})), receipts.CauseSignature},
		{"signed by a stranger who is not listed", signManifest(t, stranger, change(func(m map[string]any) { m["kid"] = receipts.KeyID(public(stranger)) })), receipts.CauseKey},
		{"signed by a stranger who lists himself", signManifest(t, stranger, change(func(m map[string]any) {
			m["kid"] = receipts.KeyID(public(stranger))
			m["keys"] = json.RawMessage(receipts.JWKS(append(c.keys, receipts.ChainKey{PublicKey: public(stranger)})...))
		})), receipts.CauseKey},
		{"of another range", manifestOf(t, c.options(), c.lines[:8]), CauseLast},
		{"of a later range", manifestOf(t, c.options(), c.lines[1:]), CauseFirst},
		{"of another chain", manifestOf(t, newChain(2).options(), newChain(2).lines), receipts.CauseChain},
	} {
		got := in.bundle(forge(t, c.lines, tt.data), keys)
		if got != (verdict{Verified: tt.want == "", Cause: tt.want}) {
			t.Errorf("%s: %v, want %q", tt.name, got, tt.want)
		}
	}
	in.agree(receipts.JWKS(c.keys...))
}

func linesOf(t *testing.T, data []byte) [][]byte {
	t.Helper()
	var lines [][]byte
	r, err := Open(readerAt(data), int64(len(data)))
	if err == nil {
		err = r.Lines(func(line []byte) error {
			lines = append(lines, append([]byte{}, line...))
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
