package bundle

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-egress/signet/internal/testkit/witnesses"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/logproof"
)

// cosignedChain is a chain whose last record is in a log.
type cosignedChain struct {
	*chain
	t     *testing.T
	proof *LogProof
	text  string // of the checkpoint, which witnesses sign
	keys  []byte
	pins  *receipts.KeySet
}

func newCosignedChain(t *testing.T) *cosignedChain {
	t.Helper()
	c := newChain(1)
	c.exchange("a", "t")
	keys := receipts.JWKS(receipts.ChainKey{PublicKey: public(testKey(1))})
	pins, err := receipts.ParseJWKS(keys)
	if err != nil {
		t.Fatal(err)
	}
	proof := logOf(t, c.head.ReceiptHash, 4, 11).prove(t, c.key, logOrigin, 4, 11)
	text := strings.SplitAfter(proof.Checkpoint, "\n\n")[0]
	return &cosignedChain{c, t, proof, strings.TrimSuffix(text, "\n"), keys, pins}
}

const logOrigin = "collector.example/acme"

// bundle is one whose checkpoint has these lines more.
func (c *cosignedChain) bundle(lines ...string) []byte {
	c.t.Helper()
	o, p := c.options(), *c.proof
	p.Checkpoint += strings.Join(lines, "")
	o.Log = &p
	return bundleOf(c.t, o, c.lines)
}

// Both verifiers want of a bundle's log what a policy says, and say the same of what
// lacks it.
func TestWitnesses(t *testing.T) {
	c := newCosignedChain(t)
	at := time.Unix(1790000000, 0)
	a, b, stranger := witnesses.NewCosigner("witness.example/a"), witnesses.NewCosigner("witness.example/b"), witnesses.NewCosigner("witness.example/c")
	otherText := strings.Replace(c.text, "\n11\n", "\n12\n", 1)
	logKey, err := note.NewEd25519VerifierKey(logOrigin, public(c.key))
	if err != nil {
		t.Fatal(err)
	}
	witnessLines := "witness a " + a.VerifierKey() + "\nwitness b " + b.VerifierKey() + "\n"
	strangerLog, err := note.NewEd25519VerifierKey(logOrigin, make(ed25519.PublicKey, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, policy := range map[string]string{
		"both":         witnessLines + "group all all a b\nquorum all",
		"any":          "log " + logKey + "\n" + witnessLines + "group any any a b\nquorum any",
		"none":         witnessLines + "quorum none",
		"b":            witnessLines + "quorum b",
		"another log":  "log " + strangerLog + "\n" + witnessLines + "quorum a",
		"levels":       witnessLines + "group g 1 a\ngroup h 2 g b\nquorum h",
		"witness flag": "",
	} {
		t.Run(name, func(t *testing.T) {
			in := &inputs{t: t, dir: t.TempDir()}
			p, err := logproof.ParsePolicy([]byte(policy))
			file := filepath.Join(in.dir, "policy")
			options := []string{"--witness-policy", file}
			if policy == "" {
				p, err = logproof.Needed(1, read(t, a), read(t, b))
				options = []string{"--witness", a.VerifierKey(), "--witness", b.VerifierKey(), "--witnesses-needed", "1"}
			}
			if err != nil || os.WriteFile(file, []byte(policy), 0o600) != nil {
				t.Fatal(err)
			}
			check := func(what, good string, lines ...string) { // good: the policies that take it
				t.Helper()
				want := verdict{Cause: CauseLog}
				if strings.Contains(good+",", name+",") {
					want = verdict{Verified: true}
				}
				if got := in.demanding(p, c.bundle(lines...), c.pins); got != want {
					t.Errorf("%s: %v, want %v", what, got, want)
				}
			}
			check("nobody's", "none")
			check("a's", "any,none,witness flag", a.Line(c.text, at))
			check("b's", "any,none,b,witness flag", b.Line(c.text, at))
			check("both's", "both,any,none,b,levels,witness flag", stranger.Line(c.text, at), b.Line(c.text, at), a.Line(c.text, at))
			check("a's twice", "any,none,witness flag", a.Line(c.text, at), a.Line(c.text, at.Add(1)))
			check("a stranger's", "none", stranger.Line(c.text, at))
			check("a stranger's under a's name", "none", witnesses.Cosigner{Name: a.Name, Key: stranger.Key}.Line(c.text, at))
			check("of another checkpoint", "", b.Line(c.text, at), a.Line(otherText, at))
			check("of no year", "", b.Line(c.text, at), a.LineAt(c.text, 1<<62))
			check("a good one after a bad one", "", a.Line(otherText, at), a.Line(c.text, at))
			check("no line", "", b.Line(c.text, at), "nonsense\n")
			if got, want := in.demanding(p, bundleOf(t, c.options(), c.lines), c.pins), (verdict{Cause: CauseLog}); got != want {
				t.Errorf("without a log: %v", got)
			}
			if name == "another log" { // of which nothing is good
				return
			}
			in.agree(c.keys, options...)
		})
	}
}

func read(t *testing.T, c witnesses.Cosigner) *logproof.Witness {
	t.Helper()
	w, err := logproof.NewWitness(c.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// What a policy does not demand is counted, and said not to be checked.
func TestUncheckedCosignatures(t *testing.T) {
	c := newCosignedChain(t)
	a, b := witnesses.NewCosigner("witness.example/a"), witnesses.NewCosigner("witness.example/b")
	data := c.bundle(a.Line(c.text, time.Unix(1, 0)), b.Line("another text\n", time.Unix(1, 0)))
	found, err := verify(data, c.pins)
	if err != nil || found.Logged.Unchecked != 2 || len(found.Logged.Cosignatures) != 0 {
		t.Errorf("%+v, %v", found.Logged, err)
	}
}
