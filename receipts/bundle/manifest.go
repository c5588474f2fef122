package bundle

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/checkpoint"
)

// maxManifest bounds a manifest, in bytes.
const maxManifest = 8 << 20

// Manifest says what a bundle holds. It is stored in canonical form.
type Manifest struct {
	Type            receipts.Type   `json:"type"`
	Tenant          string          `json:"tenant"`
	Build           string          `json:"build"` // version of the program that exported
	Created         time.Time       `json:"created"`
	Profile         Profile         `json:"profile"`
	Filter          *Filter         `json:"filter,omitempty"`
	Chain           string          `json:"chain"`
	Period          Period          `json:"period"`
	First           Link            `json:"first"`
	Last            Link            `json:"last"`
	RecordCount     int64           `json:"record_count"`          // of all types
	ReceiptCount    int64           `json:"receipt_count"`         // of type signet.receipt/1
	DetailsWithheld int64           `json:"details_withheld"`      // receipts without their detail
	IntegrityHash   string          `json:"integrity_hash"`        // over the bytes of records.jsonl
	Checkpoints     []string        `json:"checkpoints,omitempty"` // signed notes, ascending, of records in the bundle
	Log             *LogProof       `json:"log,omitempty"`         // of the last record, where a collector exported
	Keys            json.RawMessage `json:"keys"`                  // JWKS: those of the chain that sign here, and the manifest's
	KID             string          `json:"kid"`
	Signature       string          `json:"signature,omitempty"` // like a record's, over the manifest without it
}

// Filter names the receipts whose details are there.
type Filter struct {
	Agent string `json:"agent,omitempty"`
	Trace string `json:"trace,omitempty"`
}

// Period is from the first record to the last.
type Period struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Link is a record's place in the chain.
type Link struct {
	Seq         int64  `json:"seq"`
	Prev        string `json:"prev,omitempty"` // absent at seq 1
	ReceiptHash string `json:"receipt_hash"`
}

func linkOf(h *receipts.Head) Link {
	return Link{Seq: h.Chain.Seq, Prev: h.Chain.Prev, ReceiptHash: h.ReceiptHash}
}

// core is what is signed: the manifest without its signature.
func (m *Manifest) core() []byte {
	unsigned := *m
	unsigned.Signature = ""
	return receipts.EncodeDocument(&unsigned)
}

// parseManifest reads a manifest that is in canonical form, has all its members
// and no other, and is signed by the key that it names of those that it lists.
// Whether that key is to be trusted is for the caller to say.
func parseManifest(data []byte) (*Manifest, *receipts.KeySet, error) {
	m := new(Manifest)
	if err := receipts.DecodeDocument(data, m); err != nil {
		return nil, nil, &Error{Part: "manifest", Cause: receipts.CauseOf(err), Err: err}
	}
	if m.Type != Type {
		return nil, nil, manifestError(receipts.CauseType, "%.64q, not %s", m.Type, Type)
	}
	keys, err := m.keySet()
	if err != nil {
		return nil, nil, err
	}
	if err := m.check(); err != nil {
		return nil, nil, err
	}
	return m, keys, m.checkSignature(keys)
}

// notes are the checkpoints, each of which has the form of one and is of a record
// in the bundle. Whether to believe them an audit says.
func (m *Manifest) notes() ([]checkpoint.Note, error) {
	var notes []checkpoint.Note
	before := m.First.Seq
	for i, text := range m.Checkpoints {
		n, err := checkpoint.Parse([]byte(text))
		if err != nil {
			return nil, manifestError(receipts.CauseField, "checkpoints: number %d: %w", i+1, err)
		}
		if n.Seq < before || n.Seq > m.Last.Seq {
			return nil, manifestError(receipts.CauseField, "checkpoints: number %d is of seq %d, which is not in order or not in the bundle", i+1, n.Seq)
		}
		before = n.Seq
		notes = append(notes, n)
	}
	return notes, nil
}

// jwks is the one form of Keys, as receipts.JWKS writes it.
type jwks struct {
	Keys []struct {
		Alg      string              `json:"alg"`
		Crv      string              `json:"crv"`
		KID      string              `json:"kid"`
		Kty      string              `json:"kty"`
		Use      string              `json:"use"`
		Validity []receipts.Validity `json:"validity,omitempty"`
		X        string              `json:"x"`
	} `json:"keys"`
}

func (m *Manifest) keySet() (*receipts.KeySet, error) {
	var form jwks
	if err := receipts.DecodeDocument(m.Keys, &form); err != nil {
		return nil, manifestError(receipts.CauseOf(err), "keys: %w", err)
	}
	for i := range form.Keys {
		if k := &form.Keys[i]; k.Alg != "EdDSA" || k.Crv != "Ed25519" || k.Kty != "OKP" || k.Use != "sig" || k.KID == "" {
			return nil, manifestError(receipts.CauseField, "keys: key %d is not an Ed25519 key for signatures", i)
		}
	}
	keys, err := receipts.ParseJWKS(m.Keys)
	if err != nil {
		return nil, manifestError(receipts.CauseField, "keys: %w", err)
	}
	return keys, nil
}

// check holds the values to what they can be. What they say of the records is
// held against those.
func (m *Manifest) check() error {
	switch {
	case m.Profile != Full && m.Profile != Core:
		return manifestError(receipts.CauseField, "profile: %.64q is none of full, core", m.Profile)
	case m.Tenant == "":
		return manifestError(receipts.CauseField, "tenant: empty")
	case m.Filter != nil && *m.Filter == Filter{}:
		return manifestError(receipts.CauseField, "filter: it names nothing")
	}
	return nil
}

func (m *Manifest) checkSignature(keys *receipts.KeySet) error {
	pub := keys.Key(m.KID)
	if pub == nil {
		return manifestError(receipts.CauseKey, "signed with key %.64s, which is not among its keys", m.KID)
	}
	if err := receipts.VerifySignature(pub, Type, m.core(), m.Signature); err != nil {
		return &Error{Part: "manifest", Cause: receipts.CauseSignature, Err: err}
	}
	return nil
}

func manifestError(cause receipts.Cause, format string, args ...any) error {
	return &Error{Part: "manifest", Cause: cause, Err: fmt.Errorf(format, args...)}
}
