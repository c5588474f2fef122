package invariants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-egress/signet/internal/jsonx"
)

// With are the parameters of a ready-made rule. Which of them a rule takes, and
// what they mean to it, is told with the rule; the others stay empty.
//
// A place in a document is a JSON Pointer in which the token * stands for every
// element of an array and every member of an object: /lines/*/sku.
type With struct {
	// Fields are places; in a rule that compares, the same in both documents.
	Fields []string
	// Renamed are places in the original, and where in the payload their values
	// went. Both have as many *.
	Renamed map[string]string
	// Original and Transformed are where an amount stands in each.
	Original    Money
	Transformed Money
	// Values are what a field may be.
	Values []string
	// Format is the form of a date.
	Format string
}

// Money is where an amount and its currency stand.
type Money struct {
	Amount string // a place; may have *
	// Currency is a place: with as many * as Amount, one for each amount, or
	// without, one for all.
	Currency string
	// Unit is major (the default: 12.50) or minor (1250).
	Unit string
}

// readyMade are the rules that need no expression, by name.
func readyMade() map[string]template {
	return map[string]template{
		"money-preserved":    {takes: []string{"original", "transformed"}, make: newMoneyPreserved},
		"currency-preserved": {takes: []string{"fields", "renamed"}, make: newCurrencyPreserved},
		"ids-preserved":      {takes: []string{"fields", "renamed"}, make: newIDsPreserved},
		"required-fields":    {takes: []string{"fields"}, make: newRequiredFields},
		"date-formats":       {takes: []string{"fields", "format"}, make: newDateFormats},
		"enum-values":        {takes: []string{"fields", "values"}, make: newEnumValues},
	}
}

// template makes a rule of parameters. names are the member names that it uses.
type template struct {
	takes []string
	make  func(With) (c check, places []jsonx.Pattern, err error)
}

// check is what a rule looks for.
type check interface {
	// violated is empty if the rule holds, else why it does not.
	violated(ctx context.Context, vars *variables) string
}

// simple is a check that needs no time and no cost: it looks at each value once.
type simple func(in *Input) error

func (s simple) violated(_ context.Context, vars *variables) string {
	if err := s(&vars.in); err != nil {
		return err.Error()
	}
	return ""
}

func compileReadyMade(rule *Rule) (check, []string, error) {
	known := readyMade()
	t, ok := known[rule.Use]
	if !ok {
		names := make([]string, 0, len(known))
		for name := range known {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil, nil, fmt.Errorf("there is no ready-made rule %q; there are %s", rule.Use, strings.Join(names, ", "))
	}
	for _, given := range rule.With.given() {
		if !slices.Contains(t.takes, given) {
			return nil, nil, fmt.Errorf("%s takes %s, and no %s", rule.Use, strings.Join(t.takes, " and "), given)
		}
	}
	c, places, err := t.make(rule.With)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", rule.Use, err)
	}
	return c, memberNames(places), nil
}

// given are the names of the parameters that are there.
func (w *With) given() []string {
	var names []string
	for _, p := range []struct {
		name  string
		given bool
	}{
		{"fields", len(w.Fields) > 0},
		{"renamed", len(w.Renamed) > 0},
		{"original", w.Original != Money{}},
		{"transformed", w.Transformed != Money{}},
		{"values", len(w.Values) > 0},
		{"format", w.Format != ""},
	} {
		if p.given {
			names = append(names, p.name)
		}
	}
	return names
}

func memberNames(places []jsonx.Pattern) []string {
	var names []string
	for _, place := range places {
		for _, token := range place {
			if _, err := strconv.Atoi(token); token != "*" && err != nil {
				names = append(names, token)
			}
		}
	}
	return names
}

// placeList reads places.
func placeList(texts []string) ([]jsonx.Pattern, error) {
	if len(texts) == 0 {
		return nil, errors.New("it needs fields, such as [/invoice_id]")
	}
	places := make([]jsonx.Pattern, len(texts))
	for i, text := range texts {
		place, err := jsonx.ParsePattern(text)
		if err != nil {
			return nil, err
		}
		places[i] = place
	}
	return places, nil
}

// located is a value that a place leads to.
type located struct {
	at    jsonx.Pointer
	stars []string // what stood for each *
	value *jsonx.Value
}

var errNoDocument = errors.New("there is no such document")

// locate finds the values that a place leads to. A value that is missing is an
// error, also below a *: only an empty array or object leads to none.
func locate(document string, v *jsonx.Value, place jsonx.Pattern) ([]located, error) {
	if v == nil {
		return nil, fmt.Errorf("%s: %w", document, errNoDocument)
	}
	if stars(place) == 0 {
		at := jsonx.Pointer(place)
		if v = v.At(at); v == nil {
			return nil, fmt.Errorf("%s: there is no %s", document, at)
		}
		return []located{{at: at, value: v}}, nil
	}
	found := []located{{value: v}}
	for _, token := range place {
		var next []located
		for _, l := range found {
			children, err := l.children(token)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", document, err)
			}
			next = append(next, children...)
		}
		found = next
	}
	return found, nil
}

func (l located) children(token string) ([]located, error) {
	if token != "*" {
		at := append(slices.Clip(l.at), token)
		child := l.value.At(jsonx.Pointer{token})
		if child == nil {
			return nil, fmt.Errorf("there is no %s", at)
		}
		return []located{{at: at, stars: l.stars, value: child}}, nil
	}
	if l.value.Kind != jsonx.Array && l.value.Kind != jsonx.Object {
		return nil, fmt.Errorf("%q is neither an array nor an object", l.at)
	}
	children := make([]located, len(l.value.Items))
	for i := range l.value.Items {
		token := l.value.Items[i].Name
		if l.value.Kind == jsonx.Array {
			token = strconv.Itoa(i)
		}
		children[i] = located{
			at: append(slices.Clip(l.at), token), stars: append(slices.Clip(l.stars), token), value: &l.value.Items[i],
		}
	}
	return children, nil
}
