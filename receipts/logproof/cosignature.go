package logproof

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// The signature types of C2SP signed-note that verifier keys begin with.
const (
	typeEd25519     = 0x01 // a log's
	typeCosignature = 0x04 // a witness's: cosignature/v1
	typeMLDSA       = 0x06 // a witness's: subtree/v1
)

// Witness verifies the cosignatures of one witness (C2SP tlog-cosignature, the
// Ed25519 type): its word that, at a time, a checkpoint was the largest of its log
// that it knew, and extended all that it had cosigned before. It is a
// note.Verifier.
type Witness struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

var _ note.Verifier = (*Witness)(nil)

// NewWitness reads a witness's verifier key, NAME+ID+KEY (C2SP signed-note).
func NewWitness(verifierKey string) (*Witness, error) {
	name, rest, _ := strings.Cut(verifierKey, "+")
	id, key64, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(key64)
	if err != nil || len(key) == 0 || !isName(name) {
		return nil, errors.New("not a verifier key: it is NAME+ID+KEY, with the key in base64 (C2SP signed-note)")
	}
	switch {
	case key[0] == typeEd25519:
		return nil, errors.New("the key of a log (signature type 1), not of a witness (type 4, cosignature/v1)")
	case key[0] == typeMLDSA:
		return nil, errors.New("a key for ML-DSA-44 (signature type 6): only Ed25519 (type 4, cosignature/v1) is known here; the witness may have one too")
	case key[0] != typeCosignature || len(key) != 1+ed25519.PublicKeySize:
		return nil, fmt.Errorf("not the key of a witness: %d bytes of signature type %d, and not 33 of type 4 (cosignature/v1)", len(key), key[0])
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	w := &Witness{name: name, id: binary.BigEndian.Uint32(sum[:]), key: key[1:]}
	if id != fmt.Sprintf("%08x", w.id) {
		return nil, fmt.Errorf("the id of the key is %08x, and not %.20q: it is mistyped, or the name is", w.id, id)
	}
	return w, nil
}

// isName tells whether a name can stand in a signature line.
func isName(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r == '+' || r < ' ' || unicode.IsSpace(r) })
}

// Name implements note.Verifier.
func (w *Witness) Name() string { return w.name }

// KeyHash implements note.Verifier.
func (w *Witness) KeyHash() uint32 { return w.id }

// Verify implements note.Verifier.
func (w *Witness) Verify(text, sig []byte) bool {
	at, ok := timeOf(sig)
	if !ok {
		return false
	}
	message := append([]byte("cosignature/v1\ntime "+strconv.FormatInt(at.Unix(), 10)+"\n"), text...)
	return ed25519.Verify(w.key, message, sig[timeSize:])
}

// String is the verifier key.
func (w *Witness) String() string {
	return fmt.Sprintf("%s+%08x+%s", w.name, w.id, base64.StdEncoding.EncodeToString(append([]byte{typeCosignature}, w.key...)))
}

const timeSize = 8

// lastSecond is the end of the years that RFC 3339 can write.
const lastSecond = 253402300799

// timeOf is what begins a cosignature: when it was made, as seconds since 1970.
func timeOf(sig []byte) (time.Time, bool) {
	if len(sig) != timeSize+ed25519.SignatureSize {
		return time.Time{}, false
	}
	seconds := binary.BigEndian.Uint64(sig)
	return time.Unix(int64(min(seconds, lastSecond)), 0).UTC(), seconds <= lastSecond
}

// Cosignature is that of a witness, verified.
type Cosignature struct {
	Witness *Witness
	Time    time.Time // whole seconds, by the witness's clock
	Line    string    // of the signed note, without the newline
}

// Cosignatures are those of some witnesses on a checkpoint, in the order of its
// lines, and how many signatures by others stand there, the log's own among them:
// that is for OpenCheckpoint to verify. An error says that one of the witnesses'
// is not good: then the checkpoint is not to be believed.
func Cosignatures(signed []byte, witnesses []*Witness) (found []Cosignature, others int, err error) {
	byKey := make(map[keyOf]*Witness, len(witnesses))
	for _, w := range witnesses {
		byKey[keyOf{w.name, w.id}] = w
	}
	n, err := note.Open(signed, verifiers(byKey))
	if unverified, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return nil, len(unverified.Note.UnverifiedSigs), nil
	}
	if bad, ok := errors.AsType[*note.InvalidSignatureError](err); ok {
		return nil, 0, fmt.Errorf("the cosignature of %s is not by its key, or is of another checkpoint", bad.Name)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open the checkpoint: %w", err)
	}
	for _, sig := range n.Sigs {
		data, err := base64.StdEncoding.DecodeString(sig.Base64)
		if err != nil {
			return nil, 0, fmt.Errorf("open the checkpoint: %w", err)
		}
		at, _ := timeOf(data[4:]) // behind the key's id
		found = append(found, Cosignature{byKey[keyOf{sig.Name, sig.Hash}], at, "— " + sig.Name + " " + sig.Base64})
	}
	return found, len(n.UnverifiedSigs), nil
}

// keyOf is what a signature line names its key by.
type keyOf struct {
	name string
	id   uint32
}

// verifiers are note.Verifiers.
type verifiers map[keyOf]*Witness

// Verifier implements note.Verifiers.
func (v verifiers) Verifier(name string, id uint32) (note.Verifier, error) {
	if w := v[keyOf{name, id}]; w != nil {
		return w, nil
	}
	return nil, &note.UnknownVerifierError{Name: name, KeyHash: id}
}
