package receipts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// MaxLine is the longest line that is a record, in bytes. The writer's own
// limits, headers of 32 KiB, keep records far below it.
const MaxLine = 1 << 20

// Decode reads one record, given as one line without the newline. It accepts
// exactly what Append writes: known members only, in canonical form, with
// values that Validate accepts. It checks no hash and no signature; a Verifier
// does that. The error is one of *SyntaxError, *TypeError, *UnknownMemberError,
// *CanonicalError and *FieldError.
func Decode(line []byte) (Record, error) {
	if len(line) > MaxLine {
		return nil, &SyntaxError{fmt.Errorf("a line of %d bytes; a record has at most %d", len(line), MaxLine)}
	}
	var peek struct {
		Type Type `json:"type"`
	}
	if err := json.Unmarshal(line, &peek); err != nil {
		return nil, &SyntaxError{err}
	}
	r, err := decodeType(line, peek.Type)
	if err != nil {
		return nil, err
	}
	if err := Validate(r); err != nil {
		return nil, err
	}
	if err := validateSeal(r.RecordHead()); err != nil {
		return nil, err
	}
	if again := Append(make([]byte, 0, len(line)+64), r); !bytes.Equal(again, line) {
		return nil, &CanonicalError{Offset: commonPrefix(again, line)}
	}
	return r, nil
}

// The wire types add the members that are constants and so have no field.
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
		Policy wirePolicy `json:"policy"`
	}
	wirePolicy struct {
		Engine string `json:"engine"`
		*Policy
	}
)

func decodeType(line []byte, t Type) (Record, error) {
	switch t {
	case TypeReceipt:
		r := new(Receipt)
		w := wireReceipt{Receipt: r, Policy: wirePolicy{Policy: &r.Policy}}
		if err := decodeClosed(line, &w); err != nil {
			return nil, err
		}
		return r, checkConstants(&w)
	case TypeEvent:
		e := new(Event)
		return e, decodeClosed(line, &wireEvent{Event: e})
	case TypeGenesis:
		g := new(Genesis)
		return g, decodeClosed(line, &wireGenesis{Genesis: g})
	}
	return nil, &TypeError{Type: string(t)}
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

// decodeClosed decodes what encoding/json lets pass; duplicate and differently
// cased names, null for absent, and numbers in another form are found
// afterwards, when the record is written again and compared.
func decodeClosed(line []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return nil
		}
		return &SyntaxError{errors.New("more than one value on the line")}
	}
	return decodeError(err)
}

// decodeError gives what encoding/json found its type here.
func decodeError(err error) error {
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name, err := strconv.Unquote(quoted)
		if err != nil {
			name = quoted
		}
		return &UnknownMemberError{Member: name}
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return &FieldError{wrongType.Field, "a " + wrongType.Value + " cannot be its value"}
	}
	var wrongTime *time.ParseError
	if errors.As(err, &wrongTime) {
		return &FieldError{"ts or detail.started", err.Error()}
	}
	return &SyntaxError{err}
}

// commonPrefix is the length of what a and b begin with alike.
func commonPrefix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
