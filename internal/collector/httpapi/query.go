package httpapi

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// query reads the parameters of a request. The first that is wrong is err; a
// parameter that is not asked for is wrong too, so that a misspelt filter never
// reads as none.
type query struct {
	values url.Values
	asked  []string
	err    error
}

// maxText bounds a parameter, in bytes.
const maxText = 256

func newQuery(r *request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.err = badParameter("", "the query string is malformed")
	}
	return q
}

// text is a parameter, or "" where it is absent.
func (q *query) text(name string) string {
	q.asked = append(q.asked, name)
	v := q.values[name]
	switch {
	case len(v) == 0:
		return ""
	case len(v) > 1:
		q.fail(badParameter(name, "it is there %d times", len(v)))
	case len(v[0]) > maxText || !utf8.ValidString(v[0]) || strings.ContainsRune(v[0], 0):
		q.fail(badParameter(name, "it is at most %d bytes of UTF-8", maxText))
	}
	return v[0]
}

// number is an integer of at least least, or absent.
func (q *query) number(name string, least, most, absent int64) int64 {
	text := q.text(name)
	if text == "" {
		return absent
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		q.fail(badParameter(name, "it is a number from %d to %d", least, most))
	}
	return n
}

// time is an instant (RFC 3339) or a day in UTC, or the zero time.
func (q *query) time(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		// RFC 3339 has four digits for the year, and a zone can lead out of them.
		if t, err := time.Parse(layout, text); err == nil && t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 {
			return t.UTC()
		}
	}
	q.fail(badParameter(name, "it is a time as 2006-01-02T15:04:05Z (RFC 3339), or a day as 2006-01-02, from the year 1 on"))
	return time.Time{}
}

func (q *query) oneOf(name string, known ...string) string {
	text := q.text(name)
	if text != "" && !slices.Contains(known, text) {
		q.fail(badParameter(name, "it is one of %s", strings.Join(known, ", ")))
	}
	return text
}

func (q *query) fail(p *Problem) {
	if q.err == nil {
		q.err = p
	}
}

// end is the first thing that is wrong.
func (q *query) end() error {
	if q.err != nil {
		return q.err
	}
	for name := range q.values {
		if !slices.Contains(q.asked, name) {
			slices.Sort(q.asked)
			return badParameter(name, "there is no such parameter; there are %s", cmp.Or(strings.Join(q.asked, ", "), "none"))
		}
	}
	return nil
}
