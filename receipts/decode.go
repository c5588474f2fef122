package receipts

import (
	"bytes"
	"fmt"
)

// MaxLine is the longest line that is a record, in bytes. The writer's own
// limits, headers of 32 KiB, keep records far below it.
const MaxLine = 1 << 20

// Decode reads one record, given as one line without the newline. It accepts
// exactly what Append writes: known members only, in canonical form, with
// values that Validate accepts. It checks no hash and no signature; a Verifier
// does that. The error is one of *SyntaxError, *CanonicalError, *TypeError,
// *UnknownMemberError and *FieldError.
//
// The strings of the record share one copy of the line: clone what outlives it.
func Decode(line []byte) (Record, error) {
	r, _, err := decode(line, nil)
	return r, err
}

// decode also returns what it wrote to buf, the whole of the record.
func decode(line, buf []byte) (Record, []byte, error) {
	if len(line) > MaxLine {
		return nil, buf, &SyntaxError{fmt.Errorf("a line of %d bytes; a record has at most %d", len(line), MaxLine)}
	}
	if r := scanRecord(line); r != nil && validateWhole(r) == nil {
		// What is written the same is the same, however it was read.
		if buf = Append(buf, r); bytes.Equal(buf, line) {
			return r, buf, nil
		}
	}
	r, err := decodeAny(line)
	return r, buf, err
}

func validateWhole(r Record) error {
	if err := Validate(r); err != nil {
		return err
	}
	return validateSeal(r.RecordHead())
}

// The wire types add the members that are constants and so have no field, and
// what the schema says beyond the Go type.
type (
	wireGenesis struct {
		Type Type `json:"type"`
		*Genesis
	}
	wireEvent struct {
		Type Type `json:"type"`
		*Event
	}
	wireReceipt struct {
		Type  Type   `json:"type"`
		Canon string `json:"canon"`
		Algo  string `json:"algo"`
		*Receipt
		Policy          wirePolicy `json:"policy"`
		PrevReceiptHash *string    `json:"prev_receipt_hash"` // null at hop 1
	}
	wirePolicy struct {
		Engine string `json:"engine"`
		*Policy
	}
)

// decodeAny decodes any line, slowly, to say what is wrong with it.
func decodeAny(line []byte) (Record, error) {
	members, err := decodeCanonical(line)
	if err != nil {
		return nil, err
	}
	var r Record
	t, _ := members["type"].(string)
	switch Type(t) {
	case TypeReceipt:
		r, err = decodeReceipt(line, members)
	case TypeEvent:
		e := new(Event)
		r, err = e, decodeClosed(line, members, &wireEvent{Event: e})
	case TypeGenesis:
		g := new(Genesis)
		r, err = g, decodeClosed(line, members, &wireGenesis{Genesis: g})
	default:
		err = &TypeError{Type: t}
	}
	if err != nil {
		return nil, err
	}
	return r, validateWhole(r)
}

func decodeReceipt(line []byte, members map[string]any) (*Receipt, error) {
	r := new(Receipt)
	w := wireReceipt{Receipt: r, Policy: wirePolicy{Policy: &r.Policy}}
	if err := decodeClosed(line, members, &w); err != nil {
		return nil, err
	}
	if w.PrevReceiptHash != nil {
		r.PrevReceiptHash = *w.PrevReceiptHash
	}
	return r, checkConstants(&w)
}

func checkConstants(w *wireReceipt) error {
	switch {
	case w.Canon != "jcs":
		return &FieldError{"canon", fmt.Sprintf("%q, not jcs", w.Canon)}
	case w.Algo != "sha256":
		return &FieldError{"algo", fmt.Sprintf("%q, not sha256", w.Algo)}
	case w.Policy.Engine != "HEL":
		return &FieldError{"policy.engine", fmt.Sprintf("%q, not HEL", w.Policy.Engine)}
	}
	return nil
}
