package bundle

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/logproof"
)

// logged is a collector's log of size records, with a record of this hash at index.
type logged []tlog.Hash

func logOf(t *testing.T, receiptHash string, index, size int64) logged {
	t.Helper()
	var l logged
	for n := range size {
		text := fmt.Sprintf("sha256:%064x", n)
		if n == index {
			text = receiptHash
		}
		leaf, err := logproof.LeafOf(text)
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := tlog.StoredHashesForRecordHash(n, leaf, l)
		if err != nil {
			t.Fatal(err)
		}
		l = append(l, hashes...)
	}
	return l
}

// ReadHashes implements tlog.HashReader.
func (l logged) ReadHashes(indices []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indices))
	for i, index := range indices {
		out[i] = l[index]
	}
	return out, nil
}

// prove is the proof that a collector with key gives.
func (l logged) prove(t *testing.T, key ed25519.PrivateKey, origin string, index, size int64) *LogProof {
	t.Helper()
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := tlog.ProveRecord(size, index, l)
	if err != nil {
		t.Fatal(err)
	}
	p := &LogProof{Checkpoint: signLog(t, key, origin, fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))), Index: index, Proof: []string{}}
	for _, h := range hashes {
		p.Proof = append(p.Proof, hex.EncodeToString(h[:]))
	}
	return p
}

func signLog(t *testing.T, key ed25519.PrivateKey, origin, text string) string {
	t.Helper()
	pub, _ := key.Public().(ed25519.PublicKey)
	verifierKey, err := note.NewEd25519VerifierKey(origin, pub)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, logSigner{verifier, key})
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

// logSigner is a note.Signer of a key that is at hand as such.
type logSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

// Sign implements note.Signer.
func (s logSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// Both verifiers check the proof that a bundle's last record is in the log.
func TestLogProof(t *testing.T) {
	const origin = "collector.example/acme"
	c := newChain(1)
	c.exchange("a", "t")
	c.exchange("a", "u")
	last := c.head.ReceiptHash
	in, keys := &inputs{t: t, dir: t.TempDir()}, receipts.JWKS(receipts.ChainKey{PublicKey: public(testKey(1))})
	pinned, err := receipts.ParseJWKS(keys)
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, p *LogProof, want verdict) {
		t.Helper()
		m := parseLine(t, manifestOf(t, c.options(), c.lines))
		m["log"] = map[string]any{"checkpoint": p.Checkpoint, "index": p.Index, "proof": p.Proof}
		if got := in.bundle(forge(t, c.lines, signManifest(t, c.key, m)), pinned); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	good, bad := verdict{Verified: true}, verdict{Cause: CauseLog}
	for size := int64(1); size <= 20; size++ {
		for _, index := range []int64{0, size / 2, size - 1} {
			log := logOf(t, last, index, size)
			check(fmt.Sprintf("%d of %d", index, size), log.prove(t, c.key, origin, index, size), good)
		}
	}
	log := logOf(t, last, 4, 11)
	for name, change := range map[string]func(p *LogProof){
		"another index":       func(p *LogProof) { p.Index = 5 },
		"beyond the log":      func(p *LogProof) { p.Index = 11 },
		"a hash changed":      func(p *LogProof) { p.Proof[1] = p.Proof[0] },
		"a hash too few":      func(p *LogProof) { p.Proof = p.Proof[1:] },
		"a hash too many":     func(p *LogProof) { p.Proof = append(p.Proof, p.Proof[0]) },
		"a short hash":        func(p *LogProof) { p.Proof[0] = p.Proof[0][:62] },
		"no hex":              func(p *LogProof) { p.Proof[0] = strings.Repeat("g", 64) },
		"another size":        func(p *LogProof) { p.Checkpoint = strings.Replace(p.Checkpoint, "\n11\n", "\n12\n", 1) },
		"another's key":       func(p *LogProof) { p.Checkpoint = log.prove(t, testKey(9), origin, 4, 11).Checkpoint },
		"another record":      func(p *LogProof) { *p = *logOf(t, c.lastButOne(), 4, 11).prove(t, c.key, origin, 4, 11) },
		"an older checkpoint": func(p *LogProof) { p.Checkpoint = log.prove(t, c.key, origin, 4, 9).Checkpoint },
		"no checkpoint":       func(p *LogProof) { p.Checkpoint = "nonsense" },
		"empty":               func(p *LogProof) { p.Checkpoint = "" },
		"not signed":          func(p *LogProof) { p.Checkpoint = strings.SplitAfter(p.Checkpoint, "\n\n")[0] },
		"no size": func(p *LogProof) {
			p.Checkpoint = signLog(t, c.key, origin, origin+"\neleven\n"+strings.Repeat("A", 43)+"=\n")
		},
		"too few lines": func(p *LogProof) { p.Checkpoint = signLog(t, c.key, origin, origin+"\n11\n") },
		"of a record's name": func(p *LogProof) {
			p.Checkpoint = signLog(t, c.key, origin, "other\n11\n"+strings.Repeat("A", 43)+"=\n")
		},
	} {
		p := log.prove(t, c.key, origin, 4, 11)
		change(p)
		check(name, p, bad)
	}
	o := c.options()
	o.Log = log.prove(t, c.key, origin, 4, 11)
	if got := in.bundle(bundleOf(t, o, c.lines), pinned); got != good {
		t.Errorf("as it is exported: %v", got)
	}
	in.agree(keys)
}

// lastButOne is the hash of the record before the last.
func (c *chain) lastButOne() string {
	return string(memberString(c.lines[len(c.lines)-2], `,"receipt_hash":"`))
}
