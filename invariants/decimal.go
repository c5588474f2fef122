package invariants

import (
	"errors"
	"fmt"
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/cockroachdb/apd/v3"
)

// The numbers of the rule language are bounded, so that no sum or product of a
// rule costs more than microseconds: JSON numbers have at most 100 digits and
// exponents of ±400, and what is computed from them must fit these.
const (
	maxDigits   = 1000 // significant digits
	maxExponent = 1000 // of ten, either sign
)

// decimal is the only number of the rule language: exact, and opaque to CEL, so
// that none of CEL's own arithmetic applies to it. It is immutable.
type decimal struct {
	num apd.Decimal
	// literal is the text that the number was written as, in a document or in a
	// rule; empty for what a rule computed.
	literal string
}

var decimalType = types.NewOpaqueType("decimal")

var (
	errTooLarge = fmt.Errorf("a number has more than %d digits or an exponent beyond ±%d", maxDigits, maxExponent)
	errInexact  = fmt.Errorf("a quotient is not exact within %d digits", maxDigits)
	errDivZero  = errors.New("division by zero")
)

// exact computes without rounding, and says so when it could not. Only division
// and remainder look at the precision.
var (
	exact    = apd.BaseContext
	division = func() *apd.Context { c := apd.BaseContext; c.Precision = maxDigits; return &c }()
	modulus  = func() *apd.Context { c := apd.BaseContext; c.Precision = 4 * maxDigits; return &c }()
)

// parseDecimal reads text, which must be in the grammar of JSON numbers, and
// remembers it as the literal.
func parseDecimal(text string) (*decimal, error) {
	d := &decimal{literal: text}
	if small, negative, ok := smallInteger(text); ok {
		d.num.SetInt64(small)
		d.num.Negative = negative && small != 0
		return d, nil
	}
	if _, _, err := exact.SetString(&d.num, text); err != nil || d.num.Form != apd.Finite {
		return nil, errors.New("not a number")
	}
	return d.normal()
}

// smallInteger reads the usual number without detours: up to 18 digits.
func smallInteger(text string) (value int64, negative, ok bool) {
	digits := text
	if negative = digits != "" && digits[0] == '-'; negative {
		digits = digits[1:]
	}
	if digits == "" || len(digits) > 18 {
		return 0, false, false
	}
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false, false
		}
		value = value*10 + int64(c-'0')
	}
	return value, negative, true
}

var errNotPlain = errors.New("not written plainly, such as -12.50: no exponent, no +, no leading zeros, no -0")

// plainDecimal reads a number that a string holds.
func plainDecimal(text string) (*decimal, error) {
	if !plainNumber(text) {
		return nil, errNotPlain
	}
	return parseDecimal(text)
}

func integer(n int) *decimal {
	d := &decimal{}
	d.num.SetInt64(int64(n))
	return d
}

// normal bounds d, and makes a negative zero the zero that arithmetic knows.
func (d *decimal) normal() (*decimal, error) {
	if d.num.Coeff.Sign() == 0 {
		d.num.Negative = false
	}
	if d.num.Exponent > maxExponent || d.num.Exponent < -maxExponent || d.num.NumDigits() > maxDigits {
		return nil, errTooLarge
	}
	return d, nil
}

func (d *decimal) compare(e *decimal) int { return d.num.Cmp(&e.num) }

// text is the literal, or the shortest plain notation of what was computed: no
// exponent, no zeros at the end of a fraction.
func (d *decimal) text() string {
	if d.literal != "" {
		return d.literal
	}
	var r apd.Decimal
	r.Reduce(&d.num) // of zero, also the exponent
	return r.Text('f')
}

// arithmetic is one operation on two numbers; it never rounds.
type arithmetic func(x, y *decimal) (*decimal, error)

func add(x, y *decimal) (*decimal, error) {
	var z decimal
	if _, err := exact.Add(&z.num, &x.num, &y.num); err != nil {
		return nil, errTooLarge
	}
	return z.normal()
}

func subtract(x, y *decimal) (*decimal, error) {
	var z decimal
	if _, err := exact.Sub(&z.num, &x.num, &y.num); err != nil {
		return nil, errTooLarge
	}
	return z.normal()
}

func multiply(x, y *decimal) (*decimal, error) {
	var z decimal
	if _, err := exact.Mul(&z.num, &x.num, &y.num); err != nil {
		return nil, errTooLarge
	}
	return z.normal()
}

// divide is exact or refused.
func divide(x, y *decimal) (*decimal, error) {
	if y.num.IsZero() {
		return nil, errDivZero
	}
	var z decimal
	condition, err := division.Quo(&z.num, &x.num, &y.num)
	if err != nil {
		return nil, errTooLarge
	}
	if condition.Inexact() {
		return nil, errInexact
	}
	z.num.Reduce(&z.num)
	return z.normal()
}

// remainder is that of the division that truncates, with the sign of x. It is
// exact.
func remainder(x, y *decimal) (*decimal, error) {
	if y.num.IsZero() {
		return nil, errDivZero
	}
	var z decimal
	if condition, err := modulus.Rem(&z.num, &x.num, &y.num); err != nil || condition.Inexact() {
		return nil, errTooLarge
	}
	return z.normal()
}

func negate(x *decimal) (*decimal, error) {
	var z decimal
	z.num.Neg(&x.num)
	return z.normal()
}

// ConvertToNative is not needed: results leave as the types of this package.
func (d *decimal) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("a decimal has no native form")
}

// ConvertToType knows no conversion: there is no other number.
func (d *decimal) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("a decimal cannot become a %s", t.TypeName())
}

// Equal is an error for anything but a number.
func (d *decimal) Equal(other ref.Val) ref.Val { return equalValues(d, other) }

// Type is opaque.
func (d *decimal) Type() ref.Type { return decimalType }

// Value is the number itself.
func (d *decimal) Value() any { return d }
