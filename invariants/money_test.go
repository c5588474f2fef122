package invariants

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/currency"
	"pgregory.net/rapid"
)

func TestMinorUnits(t *testing.T) {
	in := Input{Original: doc(t, `{"n": {"plain": 12.5, "two": 12.50, "three": 12.505, "zeros": 12.500, "e": 125e-1, "E": 1E2, "zero": 0, "mzero": -0, "minus": -12.5, "big": 90071992547409.93, "null": null}}`)}
	for _, c := range []struct{ expression, want string }{
		{"minor_units(original.n.plain, 'EUR')", "1250"},
		{"minor_units(original.n.two, 'EUR')", "1250"},
		{"minor_units(original.n.three, 'EUR')", "3 decimals in a currency of 2"},
		{"minor_units(original.n.zeros, 'EUR')", "3 decimals in a currency of 2"},
		{"minor_units(original.n.three, 'KWD')", "12505"},
		{"minor_units(original.n.plain, 'JPY')", "1 decimals in a currency of 0"},
		{"minor_units(original.n.e, 'EUR')", "no exponent"},
		{"minor_units(original.n.E, 'EUR')", "no exponent"},
		{"minor_units(original.n.zero, 'EUR')", "0"},
		{"minor_units(original.n.mzero, 'EUR')", "no -0"},
		{"minor_units(original.n.minus, 'EUR')", "-1250"},
		{"minor_units(original.n.big, 'EUR')", "9007199254740993"},
		{"minor_units(original.n['null'], 'EUR')", "not null"},
		{"minor_units(original.n.plain * 2, 'EUR')", "2500"},
		{"minor_units(original.n.three * 2, 'EUR')", "2501"},
		{"minor_units('12.50', 'EUR')", "1250"},
		{"minor_units('-12.50', 'EUR')", "-1250"},
		{"minor_units('+12.50', 'EUR')", "no +"},
		{"minor_units('-0.00', 'EUR')", "no -0"},
		{"minor_units('012.50', 'EUR')", "no leading zeros"},
		{"minor_units('12.', 'EUR')", "written plainly"},
		{"minor_units('.5', 'EUR')", "written plainly"},
		{"minor_units('12,50', 'EUR')", "written plainly"},
		{"minor_units('1 250', 'EUR')", "written plainly"},
		{"minor_units(' 12', 'EUR')", "written plainly"},
		{"minor_units('１２', 'EUR')", "written plainly"},
		{"minor_units('', 'EUR')", "written plainly"},
		{"minor_units('NaN', 'EUR')", "written plainly"},
		{"minor_units(1, 'eur')", "not the code of a currency"},
		{"minor_units(1, 'EUR ')", "not the code of a currency"},
		{"minor_units(1, 'XXX')", "not the code of a currency"},
		{"minor_units(1, 'DEM')", "not the code of a currency"},
		{"minor_units(1, 'ΕUR')", "not the code of a currency"},
		{"major_units(1250, 'EUR')", "12.50"},
		{"major_units('5', 'KWD')", "0.005"},
		{"major_units(0, 'EUR')", "0.00"},
		{"major_units(-1, 'EUR')", "-0.01"},
		{"major_units(7, 'JPY')", "7"},
		{"major_units(1250.0, 'EUR')", "minor units are whole"},
		{"major_units(12.5, 'EUR')", "minor units are whole"},
		{"currency_exponent('EUR')", "2"},
		{"currency_exponent('CLF')", "4"},
		{"currency_exponent('XAU')", "not the code of a currency"},
	} {
		e, err := CompileExpression("e", c.expression, Options{})
		if err != nil {
			t.Fatal(err)
		}
		v, err := e.Eval(t.Context(), in)
		switch {
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %s", c.expression, err, c.want)
		case err == nil && v.Text != c.want:
			t.Errorf("%s is %s, want %s", c.expression, v.Text, c.want)
		}
	}
}

// TestUnitsAreInverse: what minor_units takes, major_units gives back.
func TestUnitsAreInverse(t *testing.T) {
	codes := make([]string, 0, len(currencyExponents))
	for code := range currencyExponents {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	rapid.Check(t, func(rt *rapid.T) {
		exponent := currencyExponents[rapid.SampledFrom(codes).Draw(rt, "currency")]
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,5})?`).Draw(rt, "amount")
		if !plainNumber(text) {
			return
		}
		minor, err := minorUnits(text, exponent)
		_, fraction, _ := strings.Cut(text, ".")
		if (err == nil) != (len(fraction) <= exponent) {
			rt.Fatalf("%s with %d decimals: %v", text, exponent, err)
		}
		if err != nil {
			return
		}
		scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(exponent)), nil))
		if want := new(big.Rat).Mul(rational(text), scale); rational(minor.text()).Cmp(want) != 0 {
			rt.Fatalf("%s with %d decimals is %s in minor units, want %s", text, exponent, minor.text(), want)
		}
		major, err := majorUnits(minor.text(), exponent)
		if err != nil || rational(major.text()).Cmp(rational(text)) != 0 {
			rt.Fatalf("%s became %v, %v", text, major, err)
		}
		if _, fraction, _ := strings.Cut(major.text(), "."); len(fraction) != exponent {
			rt.Fatalf("%s has not %d decimals", major.text(), exponent)
		}
	})
}

// TestCurrencyTable compares the table with CLDR's, as golang.org/x/text has it.
// CLDR has the decimals that are in use, which differ from ISO 4217's for some,
// and x/text's edition is older than the newest codes.
func TestCurrencyTable(t *testing.T) {
	if n := len(currencyExponents); n != 165 {
		t.Errorf("%d currencies, want 165", n)
	}
	newer := strings.Fields("MRU SLE UYW VED VES XAD XCG ZWG")
	inUse := strings.Fields("AFN ALL AMD IDR IQD IRR KPW LAK LBP MGA MMK PKR RSD SLE SOS SYP TMT TZS UZS YER ZMW COP CRC CZK GYD HUF MNT MUR NOK SEK TWD") // fewer than ISO's
	for code, exponent := range currencyExponents {
		unit, err := currency.ParseISO(code)
		if err != nil {
			if !slices.Contains(newer, code) {
				t.Errorf("%s: %v", code, err)
			}
			continue
		}
		decimals, _ := currency.Standard.Rounding(unit)
		if decimals > exponent || decimals < exponent && !slices.Contains(inUse, code) {
			t.Errorf("%s has %d decimals, and %d in CLDR", code, exponent, decimals)
		}
	}
}

func TestIdentifiers(t *testing.T) {
	for _, c := range []struct {
		name  string
		valid func(string) bool
		good  []string
		bad   []string
	}{
		{
			"iban", ibanValid,
			[]string{
				"DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606", "NO9386011117947", "MT84MALT011000012345MTLCAST001S",
				"LC55HEMM000100010012001200023015", "CH9300762011623852957", "BR1800360305000010009795493C1", "SA0380000000608010167519", "XK051212012345678906",
			},
			[]string{
				"DE89370400440532013001", "DE8937040044053201300", "DE893704004405320130000", "de89370400440532013000", "DE89 3704 0044 0532 0130 00",
				"DE89370400440532031000", "ZZ89370400440532013000", "US89370400440532013000", "", "DE", "DE89", "DЕ89370400440532013000", "DE8937040044053201300０",
				"DE00370400440532013000", "GB29NWBK6016133192681O",
			},
		},
		{
			"lei", leiValid,
			[]string{"529900T8BM49AURSDO55", "5493001KJTIIGC8Y1R12", "HWUPKR0MPOU8FGXBT394"},
			[]string{"529900T8BM49AURSDO56", "529900T8BM49AURSDO5", "529900T8BM49AURSDO555", "529900t8bm49aursdo55", "529900T8BM49AURSD055", "", "529900T8BM49AURSDOA5"},
		},
		{
			"bic", bicValid,
			[]string{"COBADEFF", "COBADEFFXXX", "DEUTDEFF500", "1234DE22"},
			[]string{"COBADEF", "COBADEFFX", "COBADEFFXX", "COBADEFFXXXX", "cobadeff", "COBA1EFF", "COBAD3FF", "COBADEF-", "COBADEFF   ", "СOBADEFF", ""},
		},
	} {
		for _, s := range c.good {
			if !c.valid(s) {
				t.Errorf("%s %s is refused", c.name, s)
			}
		}
		for _, s := range c.bad {
			if c.valid(s) {
				t.Errorf("%s %q is taken", c.name, s)
			}
		}
	}
}

// TestCheckDigits: no single changed digit or letter and no two exchanged ones
// pass.
func TestCheckDigits(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, c := range []struct {
		valid func(string) bool
		id    string
	}{{ibanValid, "GB29NWBK60161331926819"}, {leiValid, "529900T8BM49AURSDO55"}} {
		for i := range c.id {
			for _, r := range alphabet {
				if (r > '9') != (c.id[i] > '9') {
					continue // a digit for a letter is two for one, which MOD 97-10 does not promise to notice
				}
				if changed := c.id[:i] + string(r) + c.id[i+1:]; changed != c.id && c.valid(changed) {
					t.Errorf("%s passes for %s", changed, c.id)
				}
			}
			if i > 0 && c.id[i] != c.id[i-1] {
				if swapped := c.id[:i-1] + c.id[i:i+1] + c.id[i-1:i] + c.id[i+1:]; c.valid(swapped) {
					t.Errorf("%s passes for %s", swapped, c.id)
				}
			}
		}
	}
}

func TestLookAlike(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"INV-1", "INV-1", false}, // the same, and not alike
		{"INV-1", "INV-l", true},
		{"INV-1", "INV-I", true},
		{"INV-10", "INV-1O", true},
		{"INV-1", "ΙNV-1", true},
		{"ACME", "АСМЕ", true}, // Cyrillic
		{"ACME", "ＡＣＭＥ", true},
		{"ACME", "AC\u200bME", true},
		{"ACME", "AC\u00adME", true},
		{"café", "cafe\u0301", true},
		{"INV-1", "INV–1", true},
		{"ﬁn", "fin", true},
		{"INV-1", "INV-2", false},
		{"ACME", "acme", false},
		{"", "", false},
		{"", "\u200b", true},
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			if got, message := verdict(t, fmt.Sprintf("look_alike(%q, %q)", pair[0], pair[1]), Input{}); got != fmt.Sprint(c.want) {
				t.Errorf("look_alike(%q, %q): %s %s", pair[0], pair[1], got, message)
			}
			// Whatever they look like, they are not the same.
			if got, _ := verdict(t, fmt.Sprintf("%q == %q", pair[0], pair[1]), Input{}); got != fmt.Sprint(c.a == c.b) {
				t.Errorf("%q == %q: %s", pair[0], pair[1], got)
			}
		}
	}
}
