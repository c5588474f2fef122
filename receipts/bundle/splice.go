package bundle

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/signet-egress/signet/receipts"
)

// A record in canonical form can be cut without decoding it. Within a string the
// quote is always escaped, so that `,"name":` stands nowhere but before a
// member; and what comes before and after each member is known.

// isReceipt tells a receipt from the other records: only receipts end in usage.
func isReceipt(line []byte) bool {
	i := bytes.LastIndex(line, []byte(`,"type":"`))
	return i >= 0 && bytes.HasPrefix(line[i:], []byte(`,"type":"`+receipts.TypeReceipt+`",`))
}

// Seq is chain.seq of a record in canonical form, 0 for anything else.
func Seq(line []byte) int64 {
	_, text, _ := bytes.Cut(line, []byte(`,"seq":`))
	digits, _, _ := bytes.Cut(text[:min(len(text), 20)], []byte("}"))
	seq, _ := strconv.ParseInt(string(digits), 10, 64) // 0 then
	return seq
}

// detailOf is where a receipt's detail begins and ends, with the comma before
// it; both are 0 where it is withheld. It is the first member that can hold
// others of any number, and the next one is its digest.
func detailOf(line []byte) (start, end int) {
	start = bytes.Index(line, []byte(`,"detail":{`))
	if start < 0 {
		return 0, 0
	}
	n := bytes.Index(line[start:], []byte(`,"detail_digest":"`))
	if n < 0 {
		return 0, 0
	}
	return start, start + n
}

// memberString is the raw text of a string member, still escaped, or nil. Of
// several members with the name it is the last, which is the record's own.
func memberString(line []byte, lead string) []byte {
	i := bytes.LastIndex(line, []byte(lead))
	if i < 0 {
		return nil
	}
	return rawString(line[i+len(lead):])
}

// prevOf is chain.prev, which comes before all that an operator or an agent can
// fill with members; nil in a genesis.
func prevOf(line []byte) []byte {
	_, text, ok := bytes.Cut(line, []byte(`,"prev":"`))
	if !ok {
		return nil
	}
	return rawString(text)
}

// agentOf is the agent, the first member of a receipt.
func agentOf(line []byte) []byte {
	text, ok := bytes.CutPrefix(line, []byte(`{"agent":"`))
	if !ok {
		return nil
	}
	return rawString(text)
}

// rawString is what comes before the quote that ends a string.
func rawString(text []byte) []byte {
	for end := 0; end < len(text); end++ {
		switch text[end] {
		case '\\':
			end++
		case '"':
			return text[:end]
		}
	}
	return nil
}

// is tells whether raw is how s is written.
func is(raw []byte, s string) bool { return unescape(raw) == s }

// unescape is the text of a raw string.
func unescape(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	var text string
	_ = json.Unmarshal(slices.Concat([]byte{'"'}, raw, []byte{'"'}), &text) // "" then, which is no tenant, agent or trace
	return text
}
