package invariants

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"cel.dev/cel-go/common/types"

	"github.com/signet-egress/signet/internal/jsonx"
)

// pair is a place in the original and the one in the payload that must hold the
// same.
type pair struct{ original, transformed jsonx.Pattern }

func newPairs(w With) ([]pair, []jsonx.Pattern, error) {
	var pairs []pair
	var places []jsonx.Pattern
	add := func(from, to string) error {
		both, err := placeList([]string{from, to})
		if err != nil {
			return err
		}
		if stars(both[0]) != stars(both[1]) {
			return fmt.Errorf("%s and %s do not have as many *", from, to)
		}
		pairs = append(pairs, pair{original: both[0], transformed: both[1]})
		places = append(places, both...)
		return nil
	}
	for _, field := range w.Fields {
		if err := add(field, field); err != nil {
			return nil, nil, err
		}
	}
	for _, from := range slices.Sorted(maps.Keys(w.Renamed)) {
		if err := add(from, w.Renamed[from]); err != nil {
			return nil, nil, err
		}
	}
	if len(pairs) == 0 {
		return nil, nil, errors.New("it needs fields, such as [/invoice_id], or renamed, such as {/id: /invoice_id}")
	}
	return pairs, places, nil
}

func stars(place jsonx.Pattern) int {
	n := 0
	for _, token := range place {
		if token == "*" {
			n++
		}
	}
	return n
}

// each calls compare with the values of each pair: those at the same elements of
// both documents, none left over on either side.
func (p pair) each(in *Input, compare func(original, transformed located) error) error {
	before, err := locate("original", in.Original, p.original)
	if err != nil {
		return err
	}
	after, err := locate("transformed", in.Transformed, p.transformed)
	if err != nil {
		return err
	}
	return matched(before, after, compare)
}

func matched(before, after []located, compare func(a, b located) error) error {
	if len(before) != len(after) {
		return fmt.Errorf("%d values became %d", len(before), len(after))
	}
	for i := range before {
		if !slices.Equal(before[i].stars, after[i].stars) {
			return fmt.Errorf("%s stands where %s is expected", after[i].at, before[i].at)
		}
		if err := compare(before[i], after[i]); err != nil {
			return fmt.Errorf("%s: %w", after[i].at, err)
		}
	}
	return nil
}

// newIDsPreserved makes the rule that identifiers are the same, byte for byte:
// strings decoded, numbers as they are written.
func newIDsPreserved(w With) (check, []jsonx.Pattern, error) {
	pairs, places, err := newPairs(w)
	return pairsCheck(pairs, sameID), places, err
}

// newCurrencyPreserved makes the rule that currencies are the same, byte for
// byte, and currencies.
func newCurrencyPreserved(w With) (check, []jsonx.Pattern, error) {
	pairs, places, err := newPairs(w)
	return pairsCheck(pairs, func(a, b located) error {
		if _, err := locatedExponent(a); err != nil {
			return err
		}
		return sameID(a, b)
	}), places, err
}

func pairsCheck(pairs []pair, compare func(a, b located) error) check {
	return simple(func(in *Input) error {
		for _, p := range pairs {
			if err := p.each(in, compare); err != nil {
				return err
			}
		}
		return nil
	})
}

func sameID(a, b located) error {
	if a.value.Kind != jsonx.String && a.value.Kind != jsonx.Number {
		return fmt.Errorf("an identifier is a string or a number, not of type %s", a.value.Kind)
	}
	switch {
	case a.value.Kind != b.value.Kind:
		return fmt.Errorf("a %s became a %s", a.value.Kind, b.value.Kind)
	case a.value.Text == b.value.Text:
		return nil
	case lookAlike(a.value.Text, b.value.Text):
		return errors.New("it is not the original's: it only looks alike")
	}
	return errors.New("it is not the original's")
}

// moneyPreserved is the rule that amounts are the same in the minor units of
// their currency, which is the same.
type moneyPreserved struct{ original, transformed money }

// money is a Money that was read.
type money struct {
	amount, currency jsonx.Pattern
	minor            bool
}

func newMoneyPreserved(w With) (check, []jsonx.Pattern, error) {
	original, err := newMoney("original", w.Original)
	if err != nil {
		return nil, nil, err
	}
	transformed, err := newMoney("transformed", w.Transformed)
	if err != nil {
		return nil, nil, err
	}
	if stars(original.amount) != stars(transformed.amount) {
		return nil, nil, errors.New("the amounts of original and transformed do not have as many *")
	}
	places := []jsonx.Pattern{original.amount, original.currency, transformed.amount, transformed.currency}
	return simple(moneyPreserved{original: original, transformed: transformed}.check), places, nil
}

func newMoney(document string, m Money) (money, error) {
	if m.Amount == "" || m.Currency == "" {
		return money{}, fmt.Errorf("%s needs an amount and a currency, such as {amount: /amount, currency: /currency}", document)
	}
	places, err := placeList([]string{m.Amount, m.Currency})
	if err != nil {
		return money{}, err
	}
	if n := stars(places[1]); n != 0 && n != stars(places[0]) {
		return money{}, fmt.Errorf("%s: the currency has no *, or as many as the amount", document)
	}
	switch m.Unit {
	case "", "major", "minor":
		return money{amount: places[0], currency: places[1], minor: m.Unit == "minor"}, nil
	}
	return money{}, fmt.Errorf("%s: a unit is major or minor, not %q", document, m.Unit)
}

func (m moneyPreserved) check(in *Input) error {
	before, err := m.original.read("original", in.Original)
	if err != nil {
		return err
	}
	after, err := m.transformed.read("transformed", in.Transformed)
	if err != nil {
		return err
	}
	if len(before) != len(after) {
		return fmt.Errorf("%d amounts became %d", len(before), len(after))
	}
	for i, a := range before {
		b := after[i]
		switch {
		case !slices.Equal(a.amount.stars, b.amount.stars):
			return fmt.Errorf("%s stands where %s is expected", b.amount.at, a.amount.at)
		case a.currency != b.currency:
			return fmt.Errorf("%s: the currency is not the original's", b.amount.at)
		case a.minor.compare(b.minor) != 0:
			return fmt.Errorf("%s: the amount is not the original's", b.amount.at)
		}
	}
	return nil
}

// sumOfMoney is one amount in minor units.
type sumOfMoney struct {
	amount   located
	currency string
	minor    *decimal
}

func (m money) read(document string, v *jsonx.Value) ([]sumOfMoney, error) {
	amounts, err := locate(document, v, m.amount)
	if err != nil {
		return nil, err
	}
	currencies, err := locate(document, v, m.currency)
	if err != nil {
		return nil, err
	}
	if stars(m.currency) > 0 && len(currencies) != len(amounts) {
		return nil, fmt.Errorf("%s: %d amounts and %d currencies", document, len(amounts), len(currencies))
	}
	sums := make([]sumOfMoney, len(amounts))
	for i, amount := range amounts {
		currency := currencies[0]
		if stars(m.currency) > 0 {
			currency = currencies[i]
		}
		minor, err := m.minorUnits(amount, currency)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", document, amount.at, err)
		}
		sums[i] = sumOfMoney{amount: amount, currency: currency.value.Text, minor: minor}
	}
	return sums, nil
}

func (m money) minorUnits(amount, currency located) (*decimal, error) {
	exponent, err := locatedExponent(currency)
	if err != nil {
		return nil, err
	}
	text, err := amountText(celValue(amount.value))
	if err != nil {
		return nil, err
	}
	if m.minor {
		exponent = 0
	}
	return minorUnits(text, exponent)
}

func locatedExponent(currency located) (int, error) {
	if currency.value.Kind != jsonx.String {
		return 0, fmt.Errorf("a currency is a string, not of type %s", currency.value.Kind)
	}
	return currencyExponent(types.String(currency.value.Text))
}
