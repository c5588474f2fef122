package repair

import (
	"fmt"
	"strings"
)

// Cause is why a text is not repaired. The set is closed.
type Cause string

// Nobody can know what was meant.
const (
	CutString   Cause = "the text ends inside a string"
	CutNumber   Cause = "the text ends in a number, which may go on"
	CutItem     Cause = "the text ends where a value must follow"
	TwoReadings Cause = "it can be read in two ways"
	NotANumber  Cause = "not a number of JSON"
	NotALiteral Cause = "a literal whose value JSON cannot hold"
	Unreadable  Cause = "not to be repaired" // the detail says what the strict reader refuses
	TooLarge    Cause = "more than is repaired"
)

// No edit of the closed list leads to JSON. Here a model may be asked.
const (
	MissingColon    Cause = "a name without a colon"
	MissingValue    Cause = "a value is missing"
	BareWord        Cause = "a word without quotes"
	BadString       Cause = "a string that JSON cannot hold"
	StrayCharacter  Cause = "a character that belongs to nothing"
	OpenComment     Cause = "a comment that does not end"
	MisplacedComma  Cause = "a comma with nothing before it"
	UnexpectedClose Cause = "a closing bracket that closes nothing"
	MoreThanOne     Cause = "more after the value"
)

// The repair itself came to nothing that can be used.
const (
	NotPreserved Cause = "a repair would change, drop or move a key or a value"
	Disagreement Cause = "two repairers came to different results"
	NoAnswer     Cause = "no model gave an answer"
)

// Refusal says why a text is not repaired, and where.
type Refusal struct {
	Offset  int64  // bytes into the text; negative where only the pointer is known, or nothing
	Pointer string // RFC 6901, where it is known
	Cause   Cause
	Detail  string // what was met, where there is more to say; never a value
}

func (r *Refusal) Error() string {
	var text strings.Builder
	if r.Offset >= 0 {
		fmt.Fprintf(&text, "at byte %d: ", r.Offset)
	}
	if r.Pointer != "" {
		fmt.Fprintf(&text, "in %q: ", r.Pointer)
	}
	text.WriteString(string(r.Cause))
	if r.Detail != "" {
		text.WriteString(": " + r.Detail)
	}
	return text.String()
}

// Final tells whether nobody can know what was meant, so that asking a model
// would be asking it to guess.
func (r *Refusal) Final() bool {
	switch r.Cause {
	case CutString, CutNumber, CutItem, TwoReadings, NotANumber, NotALiteral, Unreadable, TooLarge:
		return true
	}
	return false
}

// noOffset stands where there is no place to name.
const noOffset = -1

func refuse(at int, cause Cause, detail string) error {
	return &Refusal{Offset: int64(at), Cause: cause, Detail: detail}
}
