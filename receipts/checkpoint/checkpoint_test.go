package checkpoint

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-egress/signet/receipts"
)

const testChain = "0199f3a1-7c00-7000-8000-000000000001"

// rfcKey is that of RFC 8032 section 7.1, test 1, which docs/receipt.md uses too.
func rfcKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	seed, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func testKey(n byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32)) }

func public(key ed25519.PrivateKey) ed25519.PublicKey {
	pub, _ := key.Public().(ed25519.PublicKey)
	return pub
}

func at(seq int64) Checkpoint {
	return Checkpoint{
		Chain: testChain, Seq: seq, Hash: receipts.Hash(fmt.Append(nil, seq)),
		TS: time.Date(2026, 11, 23, 3, 4, 5, 678e6, time.UTC).Add(time.Duration(seq) * time.Second),
	}
}

func signedBy(t testing.TB, key ed25519.PrivateKey, c Checkpoint) Note {
	t.Helper()
	n, err := Sign(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestManual holds the example in the manual against the program: anybody can
// make the same bytes.
func TestManual(t *testing.T) {
	manual, err := os.ReadFile("../../docs/receipt.md")
	if err != nil {
		t.Fatal(err)
	}
	n := signedBy(t, rfcKey(t), Checkpoint{
		Chain: testChain, Seq: 2, Hash: "sha256:a1ee11956365935f12b92e5de3bad644d8270e5b194f13bc6364295addc3de36",
		TS: time.Date(2026, 11, 23, 3, 4, 5, 718e6, time.UTC),
	})
	vkey, err := note.NewEd25519VerifierKey("signet/chain/"+testChain, public(rfcKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"```text\n" + string(n.Text) + "```", vkey} {
		if !strings.Contains(string(manual), want) {
			t.Errorf("docs/receipt.md lacks\n%s", want)
		}
	}
}

// Other implementations of signed notes verify a checkpoint by its key's name.
func TestSignedNote(t *testing.T) {
	key := testKey(1)
	n := signedBy(t, key, at(7))
	vkey, err := note.NewEd25519VerifierKey("signet/chain/"+testChain, public(key))
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := note.Open(n.Text, note.VerifierList(v))
	if err != nil || len(opened.Sigs) != 1 || len(opened.UnverifiedSigs) != 0 {
		t.Fatalf("%+v, %v", opened, err)
	}
	back, err := Parse(n.Text)
	if err != nil || back.Checkpoint != n.Checkpoint {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := string(signedBy(t, testKey(1), at(7)).Text)
	for name, text := range map[string]string{
		"nothing":           "",
		"no signature":      good[:strings.Index(good, "\n\n")+2],
		"another origin":    strings.Replace(good, "signet/chain/", "example.com/log/", 1),
		"seq 0":             strings.Replace(good, "\n7\n", "\n0\n", 1),
		"seq +7":            strings.Replace(good, "\n7\n", "\n+7\n", 1),
		"seq 07":            strings.Replace(good, "\n7\n", "\n07\n", 1),
		"a short hash":      strings.Replace(good, "\n7\n", "\n7\nAAAA\n", 1),
		"a line more":       strings.Replace(good, "\n\n", "\nmore\n\n", 1),
		"no time":           strings.Replace(good, "2026-11-23T", "2026-11-23 ", 1),
		"a carriage return": strings.Replace(good, "\n7\n", "\r\n7\n", 1),
	} {
		if n, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: taken as %+v", name, n.Checkpoint)
		}
	}
}

// keys are two: the first signs the records 1 to 9, the second those after.
func keys() []receipts.ChainKey {
	old, next := testKey(1), testKey(2)
	return []receipts.ChainKey{
		{KID: receipts.KeyID(public(old)), PublicKey: public(old), Validity: receipts.Validity{Chain: testChain, FromSeq: 1, ToSeq: 9}},
		{KID: receipts.KeyID(public(next)), PublicKey: public(next), Validity: receipts.Validity{Chain: testChain, FromSeq: 10}},
	}
}

func TestVerify(t *testing.T) {
	unbound := []receipts.ChainKey{{PublicKey: public(testKey(2))}}
	good := signedBy(t, testKey(1), at(7))
	changed := good
	changed.Text = bytes.Replace(good.Text, []byte("\n7\n"), []byte("\n6\n"), 1)
	for _, tt := range []struct {
		name string
		note Note
		keys []receipts.ChainKey
		good bool
	}{
		{"the key of its place", good, keys(), true},
		{"the key of the record after", signedBy(t, testKey(2), at(9)), keys(), true},
		{"the key before its change", signedBy(t, testKey(1), at(9)), keys(), false},
		{"the key before it signs", signedBy(t, testKey(2), at(7)), keys(), false},
		{"another key", signedBy(t, testKey(3), at(7)), keys(), false},
		{"a key without bounds", signedBy(t, testKey(2), at(7)), unbound, true},
		{"no keys", good, nil, false},
		{"a changed text", changed, keys(), false},
	} {
		if err := tt.note.Verify(tt.keys); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestAudit holds chains against checkpoints at seq 3, 6 and 12.
func TestAudit(t *testing.T) {
	notes := []Note{signedBy(t, testKey(2), at(12)), signedBy(t, testKey(1), at(3)), signedBy(t, testKey(1), at(6))}
	replaced := func(n Note) []Note { return append(slices.Clone(notes), n) }
	for _, tt := range []struct {
		name     string
		notes    []Note
		from, to int64
		other    int64 // seq of a record that is another
		keys     []receipts.ChainKey
		held     int
		says     string
	}{
		{"whole", notes, 1, 12, 0, keys(), 3, ""},
		{"longer", notes, 1, 20, 0, keys(), 3, ""},
		{"from the middle on", notes, 5, 14, 0, keys(), 2, ""},
		{"one cut off", notes, 1, 11, 0, keys(), 0, "the records end at seq 11, and a checkpoint shows that the chain had seq 12, of 2026-11-23T03:04:17.678Z: seq 12 is missing"},
		{"many cut off", notes, 1, 5, 0, keys(), 0, "the records end at seq 5, and a checkpoint shows that the chain had seq 12, of 2026-11-23T03:04:17.678Z: seq 6 to 12 are missing"},
		{"cut with the change of the key", notes[:1], 1, 5, 0, keys()[:1], 0, "either they are cut off, with the change to its key"},
		{"a forged one beyond the end", replaced(signedBy(t, testKey(9), at(99))), 1, 11, 0, keys(), 0, "had seq 12"},
		{"rewritten", notes, 1, 12, 6, keys(), 0, "seq 6 has the hash "},
		{"another record between", notes, 1, 12, 7, keys(), 3, ""},
		{"forged", replaced(signedBy(t, testKey(9), at(8))), 1, 12, 0, keys(), 0, "a checkpoint of seq 8 cannot be believed"},
		{"of another chain", replaced(func() Note {
			c := at(8)
			c.Chain = strings.Replace(testChain, "0199", "0198", 1)
			return signedBy(t, testKey(1), c)
		}()), 1, 12, 0, keys(), 0, "it is of chain 0198"},
		{"none", nil, 1, 12, 0, keys(), 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := NewAudit(tt.notes)
			for seq := tt.from; seq <= tt.to; seq++ {
				hash := at(seq).Hash
				if seq == tt.other {
					hash = at(-seq).Hash
				}
				a.Record(seq, hash)
			}
			r, err := a.Report(testChain, tt.keys)
			if tt.says == "" && (err != nil || r.Held != tt.held) {
				t.Errorf("%+v, %v, want %d held", r, err, tt.held)
			}
			if tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
}

// A record that a recovery owns up to having lost cannot be held.
func TestAuditLoss(t *testing.T) {
	a := NewAudit([]Note{signedBy(t, testKey(1), at(3)), signedBy(t, testKey(1), at(6))})
	for _, seq := range []int64{1, 2, 3, 8} {
		a.Record(seq, at(seq).Hash)
	}
	if r, err := a.Report(testChain, keys()); err != nil || r.Held != 1 || r.Newest.Seq != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFile(t *testing.T) {
	var data []byte
	for _, seq := range []int64{3, 6, 7} {
		data = AppendFile(data, signedBy(t, testKey(1), at(seq)))
	}
	notes, whole, err := ParseFile(data)
	if err != nil || len(notes) != 3 || whole != len(data) || notes[2].Checkpoint != at(7) {
		t.Fatalf("%d notes, %d of %d bytes, %v", len(notes), whole, len(data), err)
	}
	// A crash can leave any part of the last one.
	two := len(data) / 3 * 2
	for cut := two; cut < len(data); cut++ {
		notes, whole, err := ParseFile(data[:cut])
		if err != nil || len(notes) != 2 || whole != two {
			t.Fatalf("cut at %d: %d notes, %d bytes, %v", cut, len(notes), whole, err)
		}
	}
	if _, _, err := ParseFile(bytes.Replace(data, []byte("\n6\n"), []byte("\n-6\n"), 1)); err == nil || !strings.Contains(err.Error(), "checkpoint 2") {
		t.Errorf("damaged: %v", err)
	}
	for name, text := range map[string][]byte{"as a file": data, "without the last line": data[:len(data)-1]} {
		if notes, err := ParseList(slices.Clone(text)); err != nil || len(notes) != 3 {
			t.Errorf("%s: %d notes, %v", name, len(notes), err)
		}
	}
	for name, text := range map[string]string{"nothing": "", "text": "hello\n", "half": string(data[:len(data)-90])} {
		if _, err := ParseList([]byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add(AppendFile(AppendFile(nil, signedBy(f, testKey(1), at(3))), signedBy(f, testKey(1), at(6))))
	f.Add([]byte("signet/chain/x\n1\n\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		notes, whole, err := ParseFile(data)
		if err != nil {
			return
		}
		var again []byte
		for _, n := range notes {
			again = AppendFile(again, n)
			if _, err := n.text(); err != nil {
				t.Fatalf("taken: %+v: %v", n.Checkpoint, err)
			}
		}
		if !bytes.Equal(again, data[:whole]) {
			t.Fatalf("read back as another file: %q, %q", again, data[:whole])
		}
		if _, err := NewAudit(notes).Report(testChain, nil); len(notes) > 0 && err == nil {
			t.Fatal("believed without a key")
		}
	})
}
