package invariants

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/signet-egress/signet/internal/jsonx"
)

// The rules of this file look at the payload alone.

// fieldsCheck holds every value of the places to a condition.
func fieldsCheck(places []jsonx.Pattern, condition func(*jsonx.Value) error) check {
	return simple(func(in *Input) error {
		for _, place := range places {
			found, err := locate("transformed", in.Transformed, place)
			if err != nil {
				return err
			}
			for _, l := range found {
				if err := condition(l.value); err != nil {
					return fmt.Errorf("%s: %w", l.at, err)
				}
			}
		}
		return nil
	})
}

var errIsNull = errors.New("it is null")

// newRequiredFields makes the rule that fields are there and not null.
func newRequiredFields(w With) (check, []jsonx.Pattern, error) {
	places, err := placeList(w.Fields)
	if err != nil {
		return nil, nil, err
	}
	return fieldsCheck(places, func(v *jsonx.Value) error {
		if v.Kind == jsonx.Null {
			return errIsNull
		}
		return nil
	}), places, nil
}

// newEnumValues makes the rule that fields are strings of a list, byte for byte.
func newEnumValues(w With) (check, []jsonx.Pattern, error) {
	places, err := placeList(w.Fields)
	switch {
	case err != nil:
		return nil, nil, err
	case len(w.Values) == 0:
		return nil, nil, errors.New("it needs values, such as [EUR, USD]")
	}
	allowed := slices.Clone(w.Values)
	return fieldsCheck(places, func(v *jsonx.Value) error {
		switch {
		case v.Kind != jsonx.String:
			return fmt.Errorf("it is of type %s, not a string", v.Kind)
		case slices.Contains(allowed, v.Text):
			return nil
		case slices.ContainsFunc(allowed, func(value string) bool { return lookAlike(value, v.Text) }):
			return errors.New("it is none of the values: it only looks like one")
		}
		return errors.New("it is none of the values")
	}), places, nil
}

// dateLayouts are the forms of a date, each in one notation.
func dateLayouts() map[string]string {
	return map[string]string{
		"date":       time.DateOnly, // RFC 3339 full-date, ISO 20022 ISODate
		"date-time":  "",            // RFC 3339, with a zone
		"year-month": "2006-01",     // ISO 20022 ISOYearMonth
		"basic-date": "20060102",    // ISO 8601 basic format
		"time":       time.TimeOnly, // of day, to the second
	}
}

// newDateFormats makes the rule that fields are dates of one form, and of the
// calendar.
func newDateFormats(w With) (check, []jsonx.Pattern, error) {
	places, err := placeList(w.Fields)
	if err != nil {
		return nil, nil, err
	}
	format := w.Format
	if format == "" {
		format = "date"
	}
	layout, known := dateLayouts()[format]
	if !known {
		return nil, nil, fmt.Errorf("a format is date, date-time, year-month, basic-date or time, not %q", format)
	}
	return fieldsCheck(places, func(v *jsonx.Value) error {
		if v.Kind != jsonx.String {
			return fmt.Errorf("it is of type %s, not a string", v.Kind)
		}
		if format == "date-time" && validDateTime(v.Text) || format != "date-time" && validDate(layout, v.Text) {
			return nil
		}
		return fmt.Errorf("it is no %s", format)
	}), places, nil
}

// validDate wants the one way to write the date: what time.Parse lets pass
// besides does not come back.
func validDate(layout, text string) bool {
	t, err := time.Parse(layout, text)
	return err == nil && t.Format(layout) == text
}

// dateTime is RFC 3339, section 5.6, with capital T and Z; package time lets
// more pass.
var dateTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// validDateTime knows no leap seconds.
func validDateTime(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return err == nil && dateTime.MatchString(text)
}
