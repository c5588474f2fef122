package jsonx

import (
	"unicode"
	"unicode/utf8"
)

// Names is a set of member names that a contract uses. Readers that ignore case
// take Amount for amount, and the last of both wins; so a document that the
// contract reads has no name that only differs in case from one of the set. A
// nil set is empty.
type Names struct {
	exact  map[string]struct{}
	folded map[string]struct{}
	// lengths has a bit for each length in bytes, modulo 64, of a folded name:
	// a quick answer for names of ASCII, which fold to as many bytes.
	lengths uint64
}

// NewNames is the set of these names.
func NewNames(names ...string) *Names {
	n := &Names{exact: map[string]struct{}{}, folded: map[string]struct{}{}}
	for _, name := range names {
		folded := string(appendFold(nil, name))
		n.exact[name], n.folded[folded] = struct{}{}, struct{}{}
		n.lengths |= 1 << (len(folded) % 64)
	}
	return n
}

// collides tells whether name is not of the set, and would be but for its case.
func (n *Names) collides(name string) bool {
	if n == nil || n.lengths>>(len(name)%64)&1 == 0 && isASCII(name) {
		return false
	}
	if _, used := n.exact[name]; used {
		return false
	}
	var buffer [64]byte
	_, collides := n.folded[string(appendFold(buffer[:0], name))]
	return collides
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendFold writes name so that two names that are equal under simple case
// folding are equal as bytes.
func appendFold(dst []byte, name string) []byte {
	for _, r := range name {
		dst = utf8.AppendRune(dst, smallest(r))
	}
	return dst
}

// smallest is the first of the characters that fold to the same one.
func smallest(r rune) rune {
	if 'A' <= r && r <= 'Z' || r < utf8.RuneSelf && (r < 'a' || 'z' < r) {
		return r
	}
	if 'a' <= r && r <= 'z' {
		return r - 'a' + 'A'
	}
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}
