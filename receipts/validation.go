package receipts

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// maxInt is the largest integer that every JSON reader keeps exact (RFC 7493
// section 2.2).
const maxInt = 1<<53 - 1

// validation keeps the first error, so that the checks of a record read as a
// list. A message is made only when a check fails.
type validation struct{ err *FieldError }

func (v *validation) result() error {
	if v.err == nil {
		return nil
	}
	return v.err
}

func (v *validation) fail(field, format string, args ...any) {
	if v.err == nil {
		v.err = &FieldError{Field: field, Why: fmt.Sprintf(format, args...)}
	}
}

// member checks that a member is there exactly where it applies.
func (v *validation) member(field string, present, applies bool) {
	switch {
	case applies && !present:
		v.fail(field, "missing")
	case present && !applies:
		v.fail(field, "present where it does not apply")
	}
}

func (v *validation) text(field, s string) {
	if s == "" {
		v.fail(field, "missing or empty")
	}
}

func (v *validation) texts(field string, list []string) {
	for _, s := range list {
		v.text(field, s)
	}
}

func (v *validation) oneOf(field, s string, allowed ...string) {
	if !slices.Contains(allowed, s) {
		v.fail(field, "%.64q is none of %q", s, slices.Clone(allowed)) // the clone lets callers' lists stay on the stack
	}
}

func (v *validation) optionalOneOf(field, s string, allowed ...string) {
	if s != "" {
		v.oneOf(field, s, allowed...)
	}
}

func (v *validation) integer(field string, n, least, most int64) {
	if n < least || n > most {
		v.fail(field, "%d is not from %d to %d", n, least, most)
	}
}

func (v *validation) port(field string, n int64) { v.integer(field, n, 1, 65535) }

func (v *validation) size(field string, n *int64) {
	if n != nil {
		v.integer(field, *n, 0, maxInt)
	}
}

func (v *validation) digest(field, s string) {
	if !isDigest(s) {
		v.fail(field, "%.80q is not sha256: and 64 lower-case hex digits", s)
	}
}

func (v *validation) optionalDigest(field, s string) {
	if s != "" {
		v.digest(field, s)
	}
}

// exact checks unpadded base64url of n bytes, at most 64.
func (v *validation) exact(field, s string, n int) {
	var room [64]byte
	if _, err := appendExact(room[:0], s, n); err != nil {
		v.fail(field, "%v", err)
	}
}

func (v *validation) address(field, s string) {
	var text [len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")]byte
	if a, err := netip.ParseAddr(s); err != nil || a.Zone() != "" || string(a.AppendTo(text[:0])) != s {
		v.fail(field, "%.64q is not an IP address in canonical form", s)
	}
}

var (
	earliest = time.Unix(0, 0)
	latest   = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
)

func (v *validation) time(field string, t time.Time) {
	if t.Before(earliest) || !t.Before(latest) {
		v.fail(field, "missing, or outside the years 1970 to 9999")
	}
}

func (v *validation) uuid(field, s string) {
	if !isUUIDv7(s) {
		v.fail(field, "%.64q is not a UUIDv7 in lower case", s)
	}
}

// isUUIDv7 checks the text form of RFC 9562 section 4 with version 7.
func isUUIDv7(s string) bool {
	if len(s) != 36 || s[14] != '7' || (s[19] != '8' && s[19] != '9' && s[19] != 'a' && s[19] != 'b') {
		return false
	}
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if !isLowerHex(s[i : i+1]) {
			return false
		}
	}
	return true
}
