package repair

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/signet-egress/signet/internal/jsonx"
)

// The corpus is made from a seed, so that it need not be kept: documents as
// agents write them, with every kind of value, and strings that look like JSON.

// pieceKind says what a piece of a written document is.
type pieceKind uint8

const (
	pieceSpace pieceKind = iota
	pieceOpen
	pieceClose
	pieceComma
	pieceColon
	pieceName
	pieceString
	pieceNumber
	pieceLiteral
)

// piece is a part of a written document. Containers number their pieces.
type piece struct {
	kind      pieceKind
	text      string // as written
	value     string // of a name or string, decoded
	container int    // that it belongs to: an open or close to itself
}

// document is a value and the way it is written, taken apart.
type document struct {
	value  jsonx.Value
	pieces []piece
	parent []int  // of each container; -1 for the root
	items  []int  // of each container
	opens  []byte // of each container
}

func (d *document) text() string { return join(d.pieces) }

func join(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.text)
	}
	return b.String()
}

// author makes documents.
type author struct{ *rand.Rand }

func newAuthor(seed uint64) author { return author{rand.New(rand.NewPCG(seed, 0x5167))} }

func (a author) document() *document {
	d := &document{}
	d.value = a.container(3 + a.IntN(3))
	w := writer{d: d, style: a.IntN(3), author: a}
	w.write(&d.value, -1, 0)
	return d
}

func (a author) container(depth int) jsonx.Value {
	v := jsonx.Value{Kind: jsonx.Object}
	if a.IntN(3) == 0 {
		v.Kind = jsonx.Array
	}
	used := map[string]bool{}
	for range a.IntN(6) {
		item := a.value(depth - 1)
		if v.Kind == jsonx.Object {
			if item.Name = a.name(); used[item.Name] {
				continue
			}
			used[item.Name] = true
		}
		v.Items = append(v.Items, item)
	}
	return v
}

func (a author) value(depth int) jsonx.Value {
	switch n := a.IntN(10); {
	case n < 3 && depth > 0:
		return a.container(depth)
	case n < 6:
		return jsonx.Value{Kind: jsonx.String, Text: a.string()}
	case n < 8:
		return jsonx.Value{Kind: jsonx.Number, Text: a.number()}
	}
	return jsonx.Value{Kind: []jsonx.Kind{jsonx.True, jsonx.False, jsonx.Null}[a.IntN(3)]}
}

func pick[T any](a author, from ...T) T { return from[a.IntN(len(from))] }

func (a author) name() string {
	if a.IntN(8) == 0 {
		return a.string()
	}
	return pick(a, "id", "amount", "currency", "invoice_id", "name", "lines", "total", "note", "$ref", "_x", "createdAt", "url", "items", "ok", "B2", "role") +
		pick(a, "", "", "_"+strconv.Itoa(a.IntN(100)))
}

func (a author) number() string {
	digits := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte(byte('0' + a.IntN(10)))
		}
		return b.String()
	}
	integer := strconv.Itoa(a.IntN(100_000))
	if a.IntN(10) == 0 {
		integer = "9007199254740993" + digits(a.IntN(12))
	}
	return pick(a, "", "", "-") + integer + pick(a, "", "", "."+digits(1+a.IntN(4))) + pick(a, "", "", "", "e"+pick(a, "", "+", "-")+digits(1+a.IntN(2)))
}

// string is made of words, and of what makes a reader stumble.
func (a author) string() string {
	var b strings.Builder
	for i := range a.IntN(5) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(pick(a,
			"Rechnung", "invoice", "pay", "Zürich", "東京", "😀", "2026-11-26", "DE89370400440532013000", "true", "None", "10",
			"it's", `say "hi"`, "a,b", "end,", "https://b.example/x?y=1#z", "/* no */", "// no", "{a:1}", "[1,2]", `C:\temp\new`,
			"line\nline", "tab\t", "\u2028", "“so”", "it’s", "`x`", "```", "\u0000", "null", "k: v", "x;y", "…", "<b>",
		))
	}
	return b.String()
}

// writer writes a document in one of three styles: without white space, with
// some, indented.
type writer struct {
	author
	d     *document
	style int
}

func (w *writer) put(kind pieceKind, text, value string, container int) {
	w.d.pieces = append(w.d.pieces, piece{kind, text, value, container})
}

func (w *writer) space(compact, some, indented string, container int) {
	w.put(pieceSpace, []string{compact, some, indented}[w.style], "", container)
}

func (w *writer) write(v *jsonx.Value, parent, depth int) {
	switch v.Kind {
	case jsonx.Object, jsonx.Array:
	case jsonx.String:
		w.put(pieceString, w.quote(v.Text), v.Text, parent)
		return
	case jsonx.Number:
		w.put(pieceNumber, v.Text, "", parent)
		return
	default:
		w.put(pieceLiteral, string(jsonx.Append(nil, v)), "", parent)
		return
	}
	d := w.d
	id := len(d.parent)
	d.parent, d.items, d.opens = append(d.parent, parent), append(d.items, len(v.Items)), append(d.opens, bracketsOf(v)[0])
	w.put(pieceOpen, bracketsOf(v)[:1], "", id)
	line := "\n" + strings.Repeat("  ", depth+1)
	for i := range v.Items {
		if i > 0 {
			w.put(pieceComma, ",", "", id)
		}
		w.space("", pick(w.author, "", " "), line, id)
		if v.Kind == jsonx.Object {
			w.put(pieceName, w.quote(v.Items[i].Name), v.Items[i].Name, id)
			w.put(pieceColon, ":", "", id)
			w.space("", " ", " ", id)
		}
		w.write(&v.Items[i], id, depth+1)
	}
	w.space("", pick(w.author, "", " "), line[:len(line)-2], id)
	w.put(pieceClose, bracketsOf(v)[1:], "", id)
}

// quote writes a string as JSON; sometimes with escapes that it does not need.
func (w *writer) quote(s string) string {
	literal := string(jsonx.AppendString(nil, s))
	if w.IntN(4) > 0 {
		return literal
	}
	return strings.NewReplacer("ü", `\u00fc`, "😀", `\ud83d\ude00`, "/", `\/`, "…", `\u2026`).Replace(literal)
}

// onlyAtTheEnd tells whether brackets that are missing at the end can only be
// missing there. The containers that end with the document are in each other;
// what follows a first item in one of them could also follow that one in another
// of the same kind around it.
func (d *document) onlyAtTheEnd() bool {
	chain := d.ending()
	for i, inner := range chain {
		for _, outer := range chain[:i] {
			if d.items[inner] > 1 && d.opens[inner] == d.opens[outer] {
				return false
			}
		}
	}
	return true
}

// ending is the containers that end with the document, outermost first.
func (d *document) ending() []int {
	var chain []int
	for i := len(d.pieces) - 1; i >= 0; i-- {
		switch p := d.pieces[i]; p.kind {
		case pieceClose:
			chain = append(chain, p.container)
		case pieceSpace:
		default:
			return chain
		}
	}
	return chain
}
