package jsonx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Problem is what is wrong with a document. The set is closed, and its texts do
// not change with the reader underneath.
type Problem string

// The problems.
const (
	Empty           Problem = "no JSON value"
	Cut             Problem = "the input ends inside a value"
	Syntax          Problem = "not JSON"
	TrailingData    Problem = "more after the value"
	ByteOrderMark   Problem = "a byte order mark"
	InvalidUTF8     Problem = "bytes that are not UTF-8"
	InvalidEscape   Problem = "not an escape of JSON"
	LoneSurrogate   Problem = "half of a surrogate pair"
	DuplicateName   Problem = "a name that stands twice in one object"
	CaseCollision   Problem = "a name that differs only in case from one that is used"
	TooManyBytes    Problem = "larger than the limit"
	TooDeep         Problem = "nested deeper than the limit"
	TooManyMembers  Problem = "an object with more members than the limit"
	TooManyValues   Problem = "more values than the limit"
	StringTooLong   Problem = "a string longer than the limit"
	NumberTooLong   Problem = "a number with more digits than the limit"
	ExponentTooHigh Problem = "a number with an exponent beyond the limit"
)

// Error says what is wrong with a document, and where.
type Error struct {
	Offset  int64  // bytes into the input
	Pointer string // RFC 6901, of the value that was being read; cut after 256 bytes
	Problem Problem
}

func (e *Error) Error() string {
	at := "at byte " + strconv.FormatInt(e.Offset, 10)
	if e.Pointer != "" {
		at += ", in " + strconv.Quote(e.Pointer)
	}
	return fmt.Sprintf("%s: %s", at, e.Problem)
}

const longestPointer = 256

func problemAt(offset int, pointer jsontext.Pointer, problem Problem) *Error {
	if len(pointer) > longestPointer {
		cut := longestPointer
		for !utf8.RuneStart(pointer[cut]) {
			cut--
		}
		pointer = pointer[:cut] + "…"
	}
	return &Error{Offset: int64(offset), Pointer: string(pointer), Problem: problem}
}

// syntaxError makes an Error of jsontext's: its texts are not promised to stay,
// so the problem is told from the input at the place that it names.
func syntaxError(data []byte, err error) *Error {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) { // io.EOF where there is no value at all
		return problemAt(len(data), "", Empty)
	}
	offset := min(int(syntax.ByteOffset), len(data))
	problem := Syntax
	rest := data[offset:]
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		problem = DuplicateName
	case errors.Is(err, io.ErrUnexpectedEOF):
		problem = Cut
	case len(rest) > 0 && rest[0] == '\\':
		problem = escapeProblem(rest)
	case invalidUTF8(rest):
		problem = InvalidUTF8
	}
	return problemAt(offset, syntax.JSONPointer, problem)
}

func escapeProblem(rest []byte) Problem {
	if len(rest) >= 6 && rest[1] == 'u' {
		if unit, err := strconv.ParseUint(string(rest[2:6]), 16, 16); err == nil && unit>>11 == 0xd800>>11 {
			return LoneSurrogate
		}
	}
	return InvalidEscape
}

func invalidUTF8(rest []byte) bool {
	r, size := utf8.DecodeRune(rest)
	return r == utf8.RuneError && size == 1
}

func hasByteOrderMark(data []byte) bool {
	return bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) || bytes.HasPrefix(data, []byte("\xfe\xff")) || bytes.HasPrefix(data, []byte("\xff\xfe"))
}
