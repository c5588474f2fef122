package invariants

import (
	"strings"
	"testing"
)

// TestReadyMade has for each rule payloads that hold and payloads that do not,
// with part of what is said of them; "" holds.
func TestReadyMade(t *testing.T) {
	money := With{
		Original:    Money{Amount: "/amount", Currency: "/currency"},
		Transformed: Money{Amount: "/amount_minor", Currency: "/ccy", Unit: "minor"},
	}
	lines := With{
		Original:    Money{Amount: "/lines/*/total", Currency: "/currency"},
		Transformed: Money{Amount: "/items/*/amount", Currency: "/items/*/ccy"},
	}
	ids := With{Fields: []string{"/id"}, Renamed: map[string]string{"/lines/*/sku": "/items/*/code"}}
	for _, c := range []struct {
		use                   string
		with                  With
		original, transformed string
		want                  string
	}{
		{"money-preserved", money, `{"amount": 120.50, "currency": "EUR"}`, `{"amount_minor": 12050, "ccy": "EUR"}`, ""},
		{"money-preserved", money, `{"amount": "120.50", "currency": "EUR"}`, `{"amount_minor": "12050", "ccy": "EUR"}`, ""},
		{"money-preserved", money, `{"amount": 9007199254740993, "currency": "JPY"}`, `{"amount_minor": 9007199254740993, "ccy": "JPY"}`, ""},
		{"money-preserved", money, `{"amount": 9007199254740993, "currency": "JPY"}`, `{"amount_minor": 9007199254740992, "ccy": "JPY"}`, "amount is not the original's"},
		{"money-preserved", money, `{"amount": 120.50, "currency": "EUR"}`, `{"amount_minor": 12051, "ccy": "EUR"}`, "amount is not the original's"},
		{"money-preserved", money, `{"amount": 120.50, "currency": "EUR"}`, `{"amount_minor": -12050, "ccy": "EUR"}`, "amount is not the original's"},
		{"money-preserved", money, `{"amount": 120.50, "currency": "EUR"}`, `{"amount_minor": 12050, "ccy": "USD"}`, "currency is not the original's"},
		{"money-preserved", money, `{"amount": 120.50, "currency": "EUR"}`, `{"amount_minor": 12050.0, "ccy": "EUR"}`, "1 decimals in a currency of 0"},
		{"money-preserved", money, `{"amount": 120.505, "currency": "EUR"}`, `{"amount_minor": 12050, "ccy": "EUR"}`, "3 decimals in a currency of 2"},
		{"money-preserved", money, `{"amount": 120.50, "currency": "EUR"}`, `{"amount_minor": 1205e1, "ccy": "EUR"}`, "no exponent"},
		{"money-preserved", money, `{"amount": 120.50, "currency": "eur"}`, `{"amount_minor": 12050, "ccy": "eur"}`, "not the code of a currency"},
		{"money-preserved", money, `{"amount": 1, "currency": "XAU"}`, `{"amount_minor": 1, "ccy": "XAU"}`, "not the code of a currency"},
		{"money-preserved", money, `{"amount": 120.50, "currency": "EUR"}`, `{"ccy": "EUR"}`, "transformed: there is no /amount_minor"},
		{"money-preserved", money, `{"currency": "EUR"}`, `{"amount_minor": 1, "ccy": "EUR"}`, "original: there is no /amount"},
		{"money-preserved", money, `{"amount": null, "currency": "EUR"}`, `{"amount_minor": null, "ccy": "EUR"}`, "not null"},
		{"money-preserved", money, "", `{"amount_minor": 1, "ccy": "EUR"}`, "no such document"},
		{"money-preserved", lines, `{"currency": "EUR", "lines": [{"total": 1.5}, {"total": 2}]}`, `{"items": [{"amount": 1.50, "ccy": "EUR"}, {"amount": 2.00, "ccy": "EUR"}]}`, ""},
		{"money-preserved", lines, `{"currency": "EUR", "lines": []}`, `{"items": []}`, ""},
		{"money-preserved", lines, `{"currency": "EUR", "lines": [{"total": 1.5}, {"total": 2}]}`, `{"items": [{"amount": 2, "ccy": "EUR"}, {"amount": 1.5, "ccy": "EUR"}]}`, "/items/0/amount: the amount is not the original's"},
		{"money-preserved", lines, `{"currency": "EUR", "lines": [{"total": 1.5}, {"total": 2}]}`, `{"items": [{"amount": 1.5, "ccy": "EUR"}]}`, "2 amounts became 1"},
		{"money-preserved", lines, `{"currency": "EUR", "lines": [{"total": 1.5}]}`, `{"items": [{"amount": 1.5}]}`, "there is no /items/0/ccy"},
		{"money-preserved", lines, `{"currency": "EUR", "lines": 5}`, `{"items": []}`, "neither an array nor an object"},

		{"currency-preserved", With{Fields: []string{"/c"}}, `{"c": "EUR"}`, `{"c": "EUR"}`, ""},
		{"currency-preserved", With{Fields: []string{"/c"}}, `{"c": "EUR"}`, `{"c": "ΕUR"}`, "looks alike"},
		{"currency-preserved", With{Fields: []string{"/c"}}, `{"c": "euro"}`, `{"c": "euro"}`, "not the code"},
		{"currency-preserved", With{Fields: []string{"/c"}}, `{"c": 978}`, `{"c": 978}`, "a currency is a string"},

		{"ids-preserved", ids, `{"id": "INV-1", "lines": [{"sku": 7}]}`, `{"id": "INV-1", "items": [{"code": 7}]}`, ""},
		{"ids-preserved", ids, `{"id": "INV-1", "lines": []}`, `{"id": "INV-l", "items": []}`, "looks alike"},
		{"ids-preserved", ids, `{"id": "INV-1", "lines": []}`, `{"id": "INV-２", "items": []}`, "/id: it is not the original's"},
		{"ids-preserved", ids, `{"id": "café", "lines": []}`, `{"id": "cafe\u0301", "items": []}`, "looks alike"},
		{"ids-preserved", ids, `{"id": "INV-1", "lines": [{"sku": 7}]}`, `{"id": "INV-1", "items": [{"code": 7.0}]}`, "/items/0/code: it is not the original's"},
		{"ids-preserved", ids, `{"id": "INV-1", "lines": [{"sku": 7}]}`, `{"id": "INV-1", "items": [{"code": "7"}]}`, "a number became a string"},
		{"ids-preserved", ids, `{"id": "INV-1", "lines": [{"sku": 7}]}`, `{"id": "INV-1", "items": {"x": {"code": 7}}}`, "/items/x/code stands where /lines/0/sku is expected"},
		{"ids-preserved", ids, `{"id": "INV-1", "lines": [{"skU": 7}]}`, `{"id": "INV-1", "items": [{"Code": 7}]}`, "there is no /lines/0/sku"},
		{"ids-preserved", ids, `{"id": true, "lines": []}`, `{"id": true, "items": []}`, "a string or a number"},

		{"required-fields", With{Fields: []string{"/a/b", "/l/*/c"}}, "", `{"a": {"b": 0}, "l": [{"c": ""}]}`, ""},
		{"required-fields", With{Fields: []string{"/a/b"}}, "", `{"a": {"b": null}}`, "/a/b: it is null"},
		{"required-fields", With{Fields: []string{"/a/b"}}, "", `{"a": 5}`, "there is no /a/b"},
		{"required-fields", With{Fields: []string{"/l/*/c"}}, "", `{"l": [{"c": 1}, {}]}`, "there is no /l/1/c"},

		{"enum-values", With{Fields: []string{"/s"}, Values: []string{"SEPA", "SWIFT"}}, "", `{"s": "SEPA"}`, ""},
		{"enum-values", With{Fields: []string{"/s"}, Values: []string{"SEPA", "SWIFT"}}, "", `{"s": "sepa"}`, "none of the values"},
		{"enum-values", With{Fields: []string{"/s"}, Values: []string{"SEPA", "SWIFT"}}, "", `{"s": "ＳＥＰＡ"}`, "only looks like one"},
		{"enum-values", With{Fields: []string{"/s"}, Values: []string{"1"}}, "", `{"s": 1}`, "type number, not a string"},

		{"date-formats", With{Fields: []string{"/d"}}, "", `{"d": "2028-02-29"}`, ""},
		{"date-formats", With{Fields: []string{"/d"}}, "", `{"d": "2026-02-29"}`, "it is no date"},
		{"date-formats", With{Fields: []string{"/d"}}, "", `{"d": "2026-2-9"}`, "it is no date"},
		{"date-formats", With{Fields: []string{"/d"}}, "", `{"d": "09.02.2026"}`, "it is no date"},
		{"date-formats", With{Fields: []string{"/d"}}, "", `{"d": 20260209}`, "type number"},
		{"date-formats", With{Fields: []string{"/d"}, Format: "date-time"}, "", `{"d": "2026-02-09T10:00:00.5+01:00"}`, ""},
		{"date-formats", With{Fields: []string{"/d"}, Format: "date-time"}, "", `{"d": "2026-02-09T10:00:00"}`, "it is no date-time"},
		{"date-formats", With{Fields: []string{"/d"}, Format: "date-time"}, "", `{"d": "2026-02-09T10:00:00,5Z"}`, "it is no date-time"},
		{"date-formats", With{Fields: []string{"/d"}, Format: "date-time"}, "", `{"d": "2026-02-09T1:00:00Z"}`, "it is no date-time"},
		{"date-formats", With{Fields: []string{"/d"}, Format: "year-month"}, "", `{"d": "2026-13"}`, "it is no year-month"},
		{"date-formats", With{Fields: []string{"/d"}, Format: "basic-date"}, "", `{"d": "20260209"}`, ""},
		{"date-formats", With{Fields: []string{"/d"}, Format: "time"}, "", `{"d": "24:00:00"}`, "it is no time"},
	} {
		p, err := Compile([]Rule{{ID: "r", Use: c.use, With: c.with}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		violations := p.Check(t.Context(), Input{Original: doc(t, c.original), Transformed: doc(t, c.transformed)})
		switch {
		case c.want == "" && len(violations) > 0:
			t.Errorf("%s: %s → %s: %s", c.use, c.original, c.transformed, violations[0].Message)
		case c.want != "" && len(violations) == 0:
			t.Errorf("%s: %s → %s: holds, want %q", c.use, c.original, c.transformed, c.want)
		case c.want != "" && !strings.Contains(violations[0].Message, c.want):
			t.Errorf("%s: %s → %s: %s, want %q", c.use, c.original, c.transformed, violations[0].Message, c.want)
		}
	}
}

func TestReadyMadeErrors(t *testing.T) {
	for _, c := range []struct {
		rule Rule
		want string
	}{
		{Rule{Use: "ids-preserve"}, "no ready-made rule \"ids-preserve\"; there are currency-preserved, date-formats,"},
		{Rule{Use: "ids-preserved"}, "needs fields"},
		{Rule{Use: "ids-preserved", Check: "true"}, "one of the two"},
		{Rule{}, "one of the two"},
		{Rule{Use: "ids-preserved", With: With{Fields: []string{"id"}}}, "starts with /"},
		{Rule{Use: "ids-preserved", With: With{Fields: []string{"/id"}, Values: []string{"x"}}}, "takes fields and renamed, and no values"},
		{Rule{Use: "ids-preserved", With: With{Renamed: map[string]string{"/a/*": "/b"}}}, "as many *"},
		{Rule{Use: "money-preserved", With: With{Original: Money{Amount: "/a", Currency: "/c"}}}, "transformed needs an amount and a currency"},
		{Rule{Use: "money-preserved", With: With{Original: Money{Amount: "/a", Currency: "/c", Unit: "cents"}}}, "major or minor"},
		{Rule{Use: "money-preserved", With: With{Original: Money{Amount: "/a", Currency: "/*/c"}}}, "the currency has no *"},
		{Rule{Use: "date-formats", With: With{Fields: []string{"/d"}, Format: "dd.mm.yyyy"}}, "a format is date,"},
		{Rule{Use: "enum-values", With: With{Fields: []string{"/d"}}}, "needs values"},
		{Rule{Use: "required-fields"}, "needs fields"},
	} {
		c.rule.ID = "r"
		_, err := Compile([]Rule{c.rule}, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), `rule "r": `) {
			t.Errorf("%+v: %v, want %q", c.rule, err, c.want)
		}
	}
}
