package repair

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// class is one way in which documents go wrong. spoil gives the text, and false
// for documents that cannot go wrong this way.
type class struct {
	name  string
	spoil func(author, *document) (string, bool)
}

// mustBeRepaired are spoiled so that one document is left that it can have been.
var mustBeRepaired = []class{
	{"trailing commas", func(a author, d *document) (string, bool) {
		return edited(a, d, 3, isFilledClose(d), func(p piece) string { return pick(a, ",", ", ", ",\n") + p.text })
	}},
	{"a comma behind the document", func(_ author, d *document) (string, bool) { return d.text() + ",\n", true }},
	{"missing commas", func(a author, d *document) (string, bool) {
		return edited(a, d, 3, func(i int) bool { return d.pieces[i].kind == pieceComma && d.separate(i) }, func(piece) string { return pick(a, " ", "\n") })
	}},
	{"single quotes", func(_ author, d *document) (string, bool) { return every(d, isText, singleQuoted) }},
	{"single quotes here and there", func(a author, d *document) (string, bool) {
		return edited(a, d, 3, func(i int) bool { return isText(d.pieces[i]) }, singleQuoted)
	}},
	{"typographic quotes", func(a author, d *document) (string, bool) {
		return edited(a, d, 5, func(i int) bool {
			return isText(d.pieces[i]) && !strings.ContainsAny(d.pieces[i].text[1:len(d.pieces[i].text)-1], "\"'\\“”’`")
		}, func(p piece) string { return "“" + p.text[1:len(p.text)-1] + "”" })
	}},
	{"names without quotes", func(_ author, d *document) (string, bool) {
		return every(d, isIdentifier, func(p piece) string { return p.value })
	}},
	{"closing brackets missing at the end", func(a author, d *document) (string, bool) {
		chain := d.ending()
		if !d.onlyAtTheEnd() || d.lastScalar().kind == pieceNumber || d.items[chain[len(chain)-1]] == 0 {
			return "", false
		}
		return d.withoutLast(1 + a.IntN(len(chain))), true
	}},
	{"a closing bracket missing before another", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool {
			p := d.pieces[i]
			if p.kind != pieceClose || d.items[p.container] == 0 || d.parent[p.container] < 0 {
				return false
			}
			if before := d.solid(i, -1); before.kind == pieceClose && before.text == p.text {
				return false // which of the two is missing?
			}
			next := d.solid(i, 1)
			return next.kind == pieceClose && next.text != p.text
		}, func(piece) string { return " " })
	}},
	{"a closing bracket missing before a member", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool {
			p := d.pieces[i]
			if p.text != "]" || p.kind != pieceClose || d.items[p.container] == 0 {
				return false
			}
			if before := d.solid(i, -1); before.kind == pieceClose && before.text == p.text {
				return false
			}
			return d.solid(i, 1).kind == pieceComma && d.solid(i, 2).kind == pieceName
		}, func(piece) string { return " " })
	}},
	{"comments", func(a author, d *document) (string, bool) {
		return edited(a, d, 3, func(i int) bool { return d.pieces[i].kind == pieceComma }, func(p piece) string {
			return pick(a, " /* b, \"c\": 1 */ ,", ", // d: [1]\n", ", /**/ ")
		})
	}},
	{"a code fence", func(a author, d *document) (string, bool) {
		return pick(a, "```json\n", "```\n", "\n```JSON\n", "``` js\n") + d.text() + pick(a, "\n```", "\n```\n", "", "\n"), true
	}},
	{"literals of Python", func(_ author, d *document) (string, bool) { return every(d, isLiteral, python) }},
	{"literals of JavaScript", func(_ author, d *document) (string, bool) {
		return every(d, func(p piece) bool { return p.text == "null" && isLiteral(p) }, func(piece) string { return "undefined" })
	}},
	{"a Python dictionary", func(a author, d *document) (string, bool) {
		return every(d, func(p piece) bool { return isText(p) || isLiteral(p) }, func(p piece) string {
			if isLiteral(p) {
				return python(p)
			}
			return singleQuoted(p)
		})
	}},
	{"a JavaScript object", func(a author, d *document) (string, bool) {
		text, ok := every(d, func(p piece) bool { return isText(p) || p.kind == pieceClose }, func(p piece) string {
			switch {
			case isIdentifier(p):
				return p.value
			case p.kind == pieceClose && d.items[p.container] > 0:
				return ", // last\n" + p.text
			case p.kind == pieceClose:
				return p.text
			}
			return singleQuoted(p)
		})
		return "```js\n" + text + "\n```", ok
	}},
}

// mustBeRefused are spoiled so that nobody can know what they were.
var mustBeRefused = []class{
	{"cut in or behind a number", func(a author, d *document) (string, bool) {
		return cut(a, d, isKind(pieceNumber), func(p piece) int { return 1 + a.IntN(len(p.text)) })
	}},
	{"cut in a string or name", func(a author, d *document) (string, bool) {
		return cut(a, d, isText, func(p piece) int { return 1 + a.IntN(len(p.text)-1) })
	}},
	{"cut in a literal", func(a author, d *document) (string, bool) {
		return cut(a, d, isLiteral, func(p piece) int { return 1 + a.IntN(len(p.text)-1) })
	}},
	{"cut behind a name, colon, comma or bracket", func(a author, d *document) (string, bool) {
		return cut(a, d, func(p piece) bool {
			return p.kind == pieceName || p.kind == pieceColon || p.kind == pieceComma || p.kind == pieceOpen
		}, func(p piece) int { return len(p.text) })
	}},
	{"closing brackets missing, two readings", func(_ author, d *document) (string, bool) {
		return d.withoutLast(len(d.ending())), !d.onlyAtTheEnd()
	}},
	{"an opening bracket missing", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool { return d.pieces[i].kind == pieceOpen }, func(piece) string { return " " })
	}},
	{"a bracket of the other kind", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, isFilledClose(d), func(p piece) string { return map[string]string{"]": "}", "}": "]"}[p.text] })
	}},
	{"numbers that JSON does not have", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool { return d.pieces[i].kind == pieceNumber }, func(p piece) string {
			digits := strings.TrimPrefix(p.text, "-")
			return pick(a, "00"+digits, "+"+digits, "0x"+digits, digits+".", "1_000", "."+digits, "NaN", "-Infinity")
		})
	}},
	{"two numbers without a comma", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool {
			return d.pieces[i].kind == pieceComma && d.solid(i, -1).kind == pieceNumber && d.solid(i, 1).kind == pieceNumber
		}, func(piece) string { return " " })
	}},
	{"two strings without a comma", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool {
			return d.pieces[i].kind == pieceComma && d.solid(i, -1).kind == pieceString && d.solid(i, 1).kind == pieceString
		}, func(piece) string { return pick(a, "", " ", "\n") })
	}},
	{"quotes inside a string", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool { return isText(d.pieces[i]) }, func(p piece) string {
			return p.text[:1] + `so "called" ` + p.text[1:]
		})
	}},
	{"an apostrophe in single quotes", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool { return isText(d.pieces[i]) }, func(p piece) string {
			quoted := singleQuoted(p)
			return quoted[:1] + pick(a, "it's ", "O'Neill, ", "the agents' ") + quoted[1:]
		})
	}},
	{"a line break in a string", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool { return isText(d.pieces[i]) }, func(p piece) string { return p.text[:1] + "\n" + p.text[1:] })
	}},
	{"strings without quotes", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool {
			return d.pieces[i].kind == pieceString && isWord(d.pieces[i].value)
		}, func(p piece) string { return p.value })
	}},
	{"a colon missing", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool { return d.pieces[i].kind == pieceColon }, func(piece) string { return " " })
	}},
	{"a value missing", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool {
			p := d.pieces[i]
			return (isLiteral(p) || p.kind == pieceNumber || p.kind == pieceString) && d.solid(i, -1).kind == pieceColon
		}, func(piece) string { return "" })
	}},
	{"a name twice", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool { return d.pieces[i].kind == pieceName }, func(p piece) string {
			return pick(a, p.text+`:"other",`+p.text, p.text+":1,"+singleQuoted(p))
		})
	}},
	{"a comma twice", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool { return d.pieces[i].kind == pieceComma }, func(piece) string { return ",," })
	}},
	{"prose around", func(a author, d *document) (string, bool) {
		return pick(a, "Here is the payment:\n"+d.text(), d.text()+"\nLet me know!", "Sure! ```json\n"+d.text()+"\n```", "```json\n"+d.text()+"\n```\nDone."), true
	}},
	{"two documents", func(a author, d *document) (string, bool) { return d.text() + pick(a, "\n", " ", ",") + d.text(), true }},
	{"bytes that are not UTF-8", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool { return isText(d.pieces[i]) }, func(p piece) string { return p.text[:1] + "\xff" + p.text[1:] })
	}},
}

// mayBeEither are spoiled so that it depends on the document: it is repaired, to
// what it was, or refused.
var mayBeEither = []class{
	{"one structural character lost", func(a author, d *document) (string, bool) {
		return edited(a, d, 1, func(i int) bool { return d.pieces[i].kind != pieceSpace }, func(p piece) string {
			if !isText(p) {
				return p.text[1:]
			}
			return pick(a, p.text[1:], p.text[:len(p.text)-1])
		})
	}},
	{"closing brackets lost anywhere", func(a author, d *document) (string, bool) {
		return edited(a, d, 3, func(i int) bool { return d.pieces[i].kind == pieceClose }, func(piece) string { return " " })
	}},
	{"several faults at once", func(a author, d *document) (string, bool) {
		return edited(a, d, 6, func(i int) bool { return d.pieces[i].kind != pieceSpace }, func(p piece) string {
			switch {
			case p.kind == pieceComma:
				return pick(a, " ", ", // x\n", ",", ";")
			case p.kind == pieceClose:
				return pick(a, " ", ","+p.text, "// "+p.text+"\n")
			case p.kind == pieceColon:
				return pick(a, " ", ":", "=")
			case isIdentifier(p):
				return pick(a, p.value, singleQuoted(p), p.text)
			case isText(p) && strings.Contains(p.text, `\`):
				return pick(a, singleQuoted(p), p.text[1:], p.text[:len(p.text)-1])
			case isText(p): // without escapes, but perhaps with apostrophes
				return pick(a, "'"+p.value+"'", "“"+p.value+"”", "‘"+p.value+"’", p.text[1:])
			case isLiteral(p):
				return python(p)
			}
			return p.text
		})
	}},
}

// edited changes up to n of the pieces that may be.
func edited(a author, d *document, n int, may func(i int) bool, change func(piece) string) (string, bool) {
	var places []int
	for i := range d.pieces {
		if may(i) {
			places = append(places, i)
		}
	}
	if len(places) == 0 {
		return "", false
	}
	a.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	pieces := slices.Clone(d.pieces)
	for _, i := range places[:min(len(places), 1+a.IntN(n))] {
		pieces[i].text = change(pieces[i])
	}
	return join(pieces), true
}

// every changes all of the pieces that may be.
func every(d *document, may func(piece) bool, change func(piece) string) (string, bool) {
	pieces, changed := slices.Clone(d.pieces), false
	for i, p := range pieces {
		if may(p) {
			pieces[i].text, changed = change(p), true
		}
	}
	return join(pieces), changed
}

// cut ends the text in one of the pieces that may be, after so many bytes of it.
func cut(a author, d *document, may func(piece) bool, after func(piece) int) (string, bool) {
	var places []int
	for i, p := range d.pieces {
		if may(p) {
			places = append(places, i)
		}
	}
	if len(places) == 0 {
		return "", false
	}
	i := pick(a, places...)
	return join(d.pieces[:i]) + d.pieces[i].text[:after(d.pieces[i])] + pick(a, "", "\n"), true
}

// solid is the n-th piece after i, or before it, that is no white space.
func (d *document) solid(i, n int) piece {
	step := 1
	if n < 0 {
		step, n = -1, -n
	}
	for i += step; i >= 0 && i < len(d.pieces); i += step {
		if d.pieces[i].kind == pieceSpace {
			continue
		}
		if n--; n == 0 {
			return d.pieces[i]
		}
	}
	return piece{}
}

func (d *document) lastScalar() piece {
	i := len(d.pieces) - 1
	for d.pieces[i].kind == pieceSpace || d.pieces[i].kind == pieceClose {
		i--
	}
	return d.pieces[i]
}

// withoutLast leaves out the last n closing brackets.
func (d *document) withoutLast(n int) string {
	i := len(d.pieces)
	for ; n > 0; n-- {
		for i--; d.pieces[i].kind != pieceClose; i-- {
		}
	}
	return join(d.pieces[:i])
}

// separate tells whether the values beside a comma are two without it too.
func (d *document) separate(i int) bool {
	before, after := d.solid(i, -1).kind, d.solid(i, 1).kind
	return after == pieceName || before != after || before != pieceNumber && before != pieceString
}

func isFilledClose(d *document) func(i int) bool {
	return func(i int) bool {
		return d.pieces[i].kind == pieceClose && d.items[d.pieces[i].container] > 0
	}
}

func isKind(k pieceKind) func(piece) bool { return func(p piece) bool { return p.kind == k } }

func isText(p piece) bool { return p.kind == pieceName || p.kind == pieceString }

func isLiteral(p piece) bool { return p.kind == pieceLiteral }

var identifier = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)

func isWord(s string) bool {
	return identifier.MatchString(s) && !slices.Contains([]string{"true", "false", "null", "None"}, s)
}

func isIdentifier(p piece) bool { return p.kind == pieceName && isWord(p.value) }

func python(p piece) string {
	return map[string]string{"true": "True", "false": "False", "null": "None"}[p.text]
}

// singleQuoted writes a string as JavaScript and Python would.
func singleQuoted(p piece) string {
	quoted := strconv.QuoteToASCII(p.value)
	if strings.ContainsAny(p.value, "\x00\U0001f600") {
		quoted = strings.NewReplacer(`\x00`, `\u0000`, `\U0001f600`, "😀").Replace(quoted)
	}
	return "'" + strings.NewReplacer(`\"`, `"`, `'`, `\'`).Replace(quoted[1:len(quoted)-1]) + "'"
}
