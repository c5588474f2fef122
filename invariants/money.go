package invariants

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

func moneyFunctions() []cel.EnvOption {
	valid := func(name string, holds func(string) bool) cel.EnvOption {
		return declare(name, cel.SingletonUnaryBinding(func(v ref.Val) ref.Val {
			s, ok := v.(types.String)
			if !ok {
				return types.NewErr("%s with %s", name, aValue(v))
			}
			return types.Bool(holds(string(s)))
		}), sig(name, cel.BoolType, cel.StringType))
	}
	convert := func(name string, convert func(amount string, exponent int) (*decimal, error)) cel.EnvOption {
		return declare(name, cel.SingletonBinaryBinding(func(amount, currency ref.Val) ref.Val {
			exponent, err := currencyExponent(currency)
			if err != nil {
				return types.WrapErr(err)
			}
			text, err := amountText(amount)
			if err != nil {
				return types.WrapErr(err)
			}
			return number(convert(text, exponent))
		}), sig(name+"_number", decimalType, decimalType, cel.StringType), sig(name+"_string", decimalType, cel.StringType, cel.StringType))
	}
	return []cel.EnvOption{
		convert("minor_units", minorUnits),
		convert("major_units", majorUnits),
		declare("currency_exponent", cel.SingletonUnaryBinding(func(currency ref.Val) ref.Val {
			exponent, err := currencyExponent(currency)
			if err != nil {
				return types.WrapErr(err)
			}
			return integer(exponent)
		}), sig("currency_exponent", decimalType, cel.StringType)),
		valid("iban_valid", ibanValid),
		valid("bic_valid", bicValid),
		valid("lei_valid", leiValid),
	}
}

func currencyExponent(currency ref.Val) (int, error) {
	code, ok := currency.(types.String)
	if !ok {
		return 0, fmt.Errorf("a currency is a string, not %s", aValue(currency))
	}
	exponent, known := currencyExponents[string(code)]
	if !known {
		return 0, fmt.Errorf("not the code of a currency with minor units (ISO 4217 as of %s)", currencyDate)
	}
	return exponent, nil
}

// amountText is an amount as it was written, which is where its decimals are.
func amountText(amount ref.Val) (string, error) {
	var text string
	switch amount := amount.(type) {
	case *decimal:
		text = amount.text()
	case types.String:
		text = string(amount)
	default:
		return "", fmt.Errorf("an amount is a number or a string, not %s", aValue(amount))
	}
	if !plainNumber(text) {
		return "", fmt.Errorf("an amount is %w", errNotPlain)
	}
	return text, nil
}

// plainNumber tells whether text is a number in its one plain notation, but for
// zeros at the end of the fraction.
func plainNumber(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	switch {
	case !allDigits(whole), point && !allDigits(fraction), len(whole) > 1 && whole[0] == '0':
		return false
	case len(digits) < len(text) && strings.Trim(digits, "0.") == "":
		return false // -0
	}
	return len(digits) <= maxDigits
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// minorUnits moves the decimal point to the right by the currency's exponent,
// if nothing is left behind it. The amount is a plain number.
func minorUnits(amount string, exponent int) (*decimal, error) {
	_, fraction, _ := strings.Cut(amount, ".")
	if len(fraction) > exponent {
		return nil, fmt.Errorf("an amount with %d decimals in a currency of %d", len(fraction), exponent)
	}
	d, err := parseDecimal(amount)
	if err != nil {
		return nil, err
	}
	d.num.Exponent += int32(exponent)
	d.literal = ""
	return d.normal()
}

// majorUnits moves the decimal point to the left. The result has as many
// decimals as the currency, zeros included.
func majorUnits(minor string, exponent int) (*decimal, error) {
	if strings.Contains(minor, ".") {
		return nil, errors.New("minor units are whole")
	}
	d, err := parseDecimal(minor)
	if err != nil {
		return nil, err
	}
	d.num.Exponent -= int32(exponent)
	d.literal = d.num.Text('f')
	return d.normal()
}
