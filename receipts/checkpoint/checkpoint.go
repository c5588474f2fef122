// Package checkpoint is a chain's newest record as a signed note, kept outside of
// the chain: a chain that ends before one, or has another record in its place,
// has been cut or rewritten.
//
// The form is that of C2SP signed notes (c2sp.org/signed-note), with the lines of
// a log checkpoint (c2sp.org/tlog-checkpoint) as far as a hash chain has them.
package checkpoint

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-egress/signet/receipts"
)

// Checkpoint names a record of a chain: everything up to it existed when it was
// signed.
type Checkpoint struct {
	Chain string    // chain id
	Seq   int64     // of the record
	Hash  string    // its receipt_hash
	TS    time.Time // its ts
}

// origin begins a checkpoint's first line, which the chain id ends. It is also
// the name of the signing key, as log checkpoints have it.
const origin = "signet/chain/"

const (
	hashPrefix = "sha256:"
	timeLayout = "2006-01-02T15:04:05.000Z"
)

// text is what is signed: origin, seq, hash and time, a line each.
func (c *Checkpoint) text() (string, error) {
	hash, err := hex.DecodeString(strings.TrimPrefix(c.Hash, hashPrefix))
	if err != nil || len(hash) != 32 {
		return "", fmt.Errorf("%q is no receipt_hash", c.Hash)
	}
	return fmt.Sprintf("%s%s\n%d\n%s\n%s\n", origin, c.Chain, c.Seq, base64.StdEncoding.EncodeToString(hash), c.TS.UTC().Format(timeLayout)), nil
}

func parseText(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[0], origin) {
		return c, errors.New("not a checkpoint of a chain: it has four lines, the first of them " + origin + "<chain id>")
	}
	c.Chain = strings.TrimPrefix(lines[0], origin)
	if c.Seq, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Seq < 1 {
		return c, fmt.Errorf("%q is no sequence number", lines[1])
	}
	hash, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		return c, fmt.Errorf("%q is no hash in base64", lines[2])
	}
	c.Hash = hashPrefix + hex.EncodeToString(hash)
	if c.TS, err = time.Parse(timeLayout, lines[3]); err != nil {
		return c, fmt.Errorf("%q is no time", lines[3])
	}
	again, err := c.text()
	if err == nil && again != text {
		err = errors.New("not in the one form that a checkpoint has")
	}
	return c, err
}

// Note is a signed checkpoint.
type Note struct {
	Checkpoint
	Text []byte // the whole note, to be kept as it is
}

// Sign signs a checkpoint with the key that signs the record after it.
func Sign(c Checkpoint, key ed25519.PrivateKey) (Note, error) {
	text, err := c.text()
	if err != nil {
		return Note{}, fmt.Errorf("sign a checkpoint: %w", err)
	}
	pub, _ := key.Public().(ed25519.PublicKey)
	v, err := verifierOf(c.Chain, pub)
	if err != nil {
		return Note{}, fmt.Errorf("sign a checkpoint: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer{v, key})
	if err != nil {
		return Note{}, fmt.Errorf("sign a checkpoint: %w", err)
	}
	return Note{Checkpoint: c, Text: signed}, nil
}

// Parse reads a note and checks its form. Verify tells whether to believe it.
func Parse(text []byte) (Note, error) {
	_, err := note.Open(text, note.VerifierList()) // nobody is known yet
	unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		return Note{}, fmt.Errorf("read a checkpoint: %w", err)
	}
	c, err := parseText(unverified.Note.Text)
	if err != nil {
		return Note{}, fmt.Errorf("read a checkpoint: %w", err)
	}
	return Note{Checkpoint: c, Text: text}, nil
}

// Verify tells whether one of the keys has signed the note, within what it may
// sign: the key of a checkpoint is the one that signs the record after it. A key
// with the zero Validity may sign anything.
func (n *Note) Verify(keys []receipts.ChainKey) error {
	for i := range keys {
		if !mayFollow(&keys[i].Validity, &n.Checkpoint) {
			continue
		}
		v, err := verifierOf(n.Chain, keys[i].PublicKey)
		if err != nil {
			return err
		}
		if _, err := note.Open(n.Text, note.VerifierList(v)); err == nil {
			return nil
		}
	}
	return errors.New("it is not signed by the key that signs the record after it")
}

func mayFollow(v *receipts.Validity, c *Checkpoint) bool {
	after := c.Seq + 1
	return *v == receipts.Validity{} || v.Chain == c.Chain && after >= v.FromSeq && (v.ToSeq == 0 || after <= v.ToSeq)
}

func verifierOf(chain string, pub ed25519.PublicKey) (note.Verifier, error) {
	text, err := note.NewEd25519VerifierKey(origin+chain, pub)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(text)
}

// signer signs as the Verifier that it has verifies.
type signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

// Sign implements note.Signer.
func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }
