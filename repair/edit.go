package repair

import "github.com/signet-egress/signet/internal/jsonx"

// Op is an edit of the closed list.
type Op string

// The edits.
const (
	AddComma      Op = "add_comma"
	RemoveComma   Op = "remove_comma"
	AddClose      Op = "add_closing_bracket"
	RemoveComment Op = "remove_comment"
	RemoveFence   Op = "remove_code_fence"
	Requote       Op = "replace_quotes"  // a string or name in quotes of another kind
	QuoteName     Op = "quote_name"      // a name without quotes
	Literal       Op = "replace_literal" // of Python or JavaScript

	// What only a model can know of.
	AddColon    Op = "add_colon"
	QuoteWord   Op = "quote_word"   // a string without quotes
	RemoveStray Op = "remove_stray" // a separator that JSON does not have
)

// Edit is one change. Receipts list them.
type Edit struct {
	Op     Op
	Path   string // JSON Pointer of the value it is about; cut after 256 bytes
	Offset int64  // bytes into the text that came

	end  int    // text[Offset:end] is replaced
	with string // by this
}

const longestPath = 256

// apply makes all edits, which are in the order of the text.
func apply(text []byte, edits []Edit) []byte {
	output, from := make([]byte, 0, len(text)+len(edits)), 0
	for _, e := range edits {
		output = append(append(output, text[from:e.Offset]...), e.with...)
		from = e.end
	}
	return append(output, text[from:]...)
}

func pathOf(p jsonx.Pointer) string {
	path := p.String()
	if len(path) <= longestPath {
		return path
	}
	cut := longestPath
	for path[cut]&0xc0 == 0x80 { // not in the middle of a character
		cut--
	}
	return path[:cut] + "…"
}
