package policy

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// pathReading is a path as path rules see it: decoded once. A path goes
// upstream as it was sent, and servers differ in whether they resolve dot
// segments, so a rule must match it under both readings. The zero value matches
// no rule: the path was not parsed, or can be read in more ways than these.
type pathReading struct {
	plain    string // decoded, dot segments kept
	resolved string // decoded, dot segments resolved (RFC 3986, section 5.2.4)
}

// readPath decodes a path once. The error is for a path that is no path; one
// that is merely ambiguous gives the zero reading, since only rules that have
// paths need to know what it means.
func readPath(path string) (pathReading, error) {
	plain := path
	if strings.Contains(path, "%") {
		var err error
		if plain, err = url.PathUnescape(path); err != nil {
			return pathReading{}, malformed("path", "a %% without two hexadecimal digits")
		}
	}
	if ambiguous(path, plain) {
		return pathReading{}, nil
	}
	return pathReading{plain: plain, resolved: resolveDots(plain)}, nil
}

// ambiguous tells whether servers disagree about what the path means: encoded
// separators and dots, empty segments, path parameters, a second layer of
// encoding, control characters, bytes that are not UTF-8.
func ambiguous(raw, plain string) bool {
	if strings.Contains(plain, "//") || strings.ContainsAny(plain, ";\\") || !utf8.ValidString(plain) {
		return true
	}
	for i := range len(plain) {
		if plain[i] < ' ' || plain[i] == 0x7f || plain[i] == '%' && isEscape(plain[i:]) {
			return true
		}
	}
	for rest := raw; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return false
		}
		switch strings.ToLower(rest[i+1 : i+3]) {
		case "2e", "2f", "5c":
			return true
		}
		rest = rest[i+3:]
	}
}

// isEscape tells whether s starts with a percent sign and two hexadecimal digits.
func isEscape(s string) bool { return len(s) >= 3 && isHex(s[1]) && isHex(s[2]) }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// resolveDots removes dot segments; a path that climbs above the root stays at
// the root.
func resolveDots(path string) string {
	if !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	segments := strings.Split(path, "/")[1:]
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
			if last {
				kept = append(kept, "")
			}
		case ".":
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// PlainPath is the target's path as path rules match it, decoded once. It is
// false where the path can be read in several ways, and where there is none.
func (t Target) PlainPath() (string, bool) {
	return t.reading.plain, t.reading.plain != "" && t.reading.plain == t.reading.resolved
}

// pathPattern is a path of a rule. In a segment * stands for one or more
// characters; /** at the end for anything below.
type pathPattern struct {
	segments string // without the ** at the end
	below    bool   // ended in /**
	literal  bool   // no * in segments
}

// String is the pattern as policy files write it.
func (p pathPattern) String() string {
	if p.below {
		return p.segments + "**"
	}
	return p.segments
}

func parsePathPattern(s string) (pathPattern, string) {
	p := pathPattern{segments: s}
	if base, ok := strings.CutSuffix(s, "/**"); ok {
		p.segments, p.below = base+"/", true
	}
	p.literal = !strings.Contains(p.segments, "*")
	switch {
	case !strings.HasPrefix(s, "/"):
		return p, "a path starts with /"
	case strings.Contains(p.segments, "**"):
		return p, "** stands only at the end, after a /; within a segment write *"
	case strings.ContainsAny(s, "?#"):
		return p, "a path has no query and no fragment; rules cannot depend on them"
	case strings.Contains(s, "%"):
		return p, "write the character itself: paths are decoded before they are matched"
	case ambiguous(s, s) || resolveDots(p.segments) != p.segments:
		return p, "it could never match: empty segments, dot segments, semicolons and control characters are refused in requests"
	}
	return p, ""
}

// matches tells whether the pattern matches under both readings.
func (p pathPattern) matches(r pathReading) bool {
	return r.plain != "" && p.matchesText(r.plain) && (r.resolved == r.plain || p.matchesText(r.resolved))
}

func (p pathPattern) matchesText(path string) bool {
	switch {
	case !p.literal:
		return glob(p.segments, path, p.below)
	case p.below:
		return strings.HasPrefix(path, p.segments)
	}
	return path == p.segments
}

// glob matches * against one or more characters that are no slash. prefix lets
// text go on after the pattern ends. It backtracks only within one segment,
// to the last *, so its cost is at most the product of the lengths.
func glob(pattern, text string, prefix bool) bool {
	star, mark := -1, 0 // of the last * seen, and where what it matches ends
	p, t := 0, 0
	for {
		switch {
		case p == len(pattern) && (prefix || t == len(text)):
			return true
		case p < len(pattern) && pattern[p] == '*' && t < len(text) && text[t] != '/':
			star, mark = p, t+1
			p, t = p+1, t+1
			continue
		case p < len(pattern) && pattern[p] != '*' && t < len(text) && pattern[p] == text[t]:
			p, t = p+1, t+1
			continue
		}
		if star < 0 || mark >= len(text) || text[mark] == '/' {
			return false
		}
		mark++
		p, t = star+1, mark
	}
}
