package receipts

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendCore appends the part of a record that is hashed and signed: its
// canonical form (RFC 8785) without receipt_hash and signature and, for a
// receipt, without detail. It allocates nothing but the growth of dst.
//
// A string that is not valid UTF-8 is written with U+FFFD for each bad byte:
// what an agent sends in a path or an SNI must not decide whether there is
// evidence of it. All else is for Validate to refuse.
func AppendCore(dst []byte, r Record) []byte { return appendRecord(dst, r, false) }

// Append appends a record's whole canonical form, which is what is stored and
// exported: one line, without the newline.
func Append(dst []byte, r Record) []byte { return appendRecord(dst, r, true) }

// AppendDetail appends the canonical form of a receipt's detail.
func AppendDetail(dst []byte, d *Detail) []byte { return appendDetail(dst, d) }

// Members are written by hand in the order that RFC 8785 section 3.2.3 asks
// for. All names are ASCII, so that order is the order of their bytes.

func appendRecord(dst []byte, r Record, whole bool) []byte {
	switch r := r.(type) {
	case *Receipt:
		return appendReceipt(dst, r, whole)
	case *Event:
		return appendEvent(dst, r, whole)
	case *Genesis:
		return appendGenesis(dst, r, whole)
	}
	panic(fmt.Sprintf("receipts: a record of the unknown Go type %T", r))
}

func appendGenesis(dst []byte, g *Genesis, whole bool) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, "agent", g.Agent)
	dst = appendText(dst, "build", g.Build)
	dst = appendChain(dst, g.Chain)
	dst = appendText(dst, "kid", g.KID)
	dst = appendText(dst, "policy_version", g.PolicyVersion)
	dst = appendText(dst, "public_key", g.PublicKey)
	dst = appendSeal(dst, &g.Head, whole)
	dst = appendText(dst, "tenant", g.Tenant)
	dst = appendTime(dst, "ts", g.TS)
	dst = appendText(dst, "type", string(TypeGenesis))
	return append(dst, '}')
}

func appendLost(dst []byte, l *Lost) []byte {
	dst = append(appendName(dst, "lost"), '{')
	dst = appendText(dst, "cause", string(l.Cause))
	if l.First != 0 {
		dst = appendInt(dst, "first", l.First)
		dst = appendInt(dst, "last", l.Last)
	}
	return append(dst, '}')
}

func appendEvent(dst []byte, e *Event, whole bool) []byte {
	dst = append(dst, '{')
	dst = appendOptional(dst, "build", e.Build)
	dst = appendChain(dst, e.Chain)
	if c := e.Clock; c != nil {
		dst = append(appendName(dst, "clock"), '{')
		dst = appendInt(dst, "step_ms", c.StepMS)
		dst = append(dst, '}')
	}
	dst = appendText(dst, "event", string(e.Event))
	if g := e.Gap; g != nil {
		dst = append(appendName(dst, "gap"), '{')
		if l := g.Lost; l != nil {
			dst = appendLost(dst, l)
		}
		dst = appendInt(dst, "unknown", g.Unknown)
		dst = append(dst, '}')
	}
	if k := e.Key; k != nil {
		dst = append(appendName(dst, "key"), '{')
		dst = appendText(dst, "kid", k.KID)
		dst = appendText(dst, "proof", k.Proof)
		dst = appendText(dst, "public_key", k.PublicKey)
		dst = append(dst, '}')
	}
	dst = appendText(dst, "kid", e.KID)
	dst = appendOptional(dst, "policy_version", e.PolicyVersion)
	if p := e.Posture; p != nil {
		dst = append(appendName(dst, "posture"), '{')
		dst = appendText(dst, "name", p.Name)
		dst = appendText(dst, "value", p.Value)
		dst = append(dst, '}')
	}
	dst = appendSeal(dst, &e.Head, whole)
	dst = appendTime(dst, "ts", e.TS)
	dst = appendText(dst, "type", string(TypeEvent))
	return append(dst, '}')
}

func appendReceipt(dst []byte, r *Receipt, whole bool) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, "agent", r.Agent)
	dst = append(dst, `,"algo":"sha256"`...)
	dst = appendOptional(dst, "api_key", r.APIKey)
	dst = append(dst, `,"canon":"jcs"`...)
	dst = appendChain(dst, r.Chain)
	dst = appendInt(dst, "count", r.Count)
	if whole && r.Detail != nil {
		dst = appendDetail(appendName(dst, "detail"), r.Detail)
	}
	dst = appendText(dst, "detail_digest", r.DetailDigest)
	if r.Ext != nil {
		dst = append(appendName(dst, "ext"), r.Ext...)
	}
	dst = appendBool(dst, "fallback_used", r.FallbackUsed)
	dst = appendInt(dst, "fu_tokens", r.FUTokens)
	dst = appendInt(dst, "hop", r.Hop)
	dst = appendOptional(dst, "internal", r.Internal)
	dst = appendText(dst, "kid", r.KID)
	dst = appendText(dst, "outcome", string(r.Outcome))
	dst = appendPolicy(dst, &r.Policy)
	if r.PrevReceiptHash == "" {
		dst = append(appendName(dst, "prev_receipt_hash"), "null"...)
	} else {
		dst = appendText(dst, "prev_receipt_hash", r.PrevReceiptHash)
	}
	if whole {
		dst = appendText(dst, "receipt_hash", r.ReceiptHash)
	}
	dst = appendText(dst, "receipt_id", r.ReceiptID)
	dst = appendTexts(dst, "semantic_violations", r.SemanticViolations)
	if whole {
		dst = appendText(dst, "signature", r.Signature)
	}
	dst = appendText(dst, "tenant", r.Tenant)
	dst = appendText(dst, "trace_id", r.TraceID)
	dst = appendTime(dst, "ts", r.TS)
	dst = appendText(dst, "type", string(TypeReceipt))
	dst = append(appendName(dst, "usage"), '{')
	dst = appendInt(dst, "fu", r.Usage.FU)
	dst = appendInt(dst, "vex", r.Usage.VEX)
	return append(dst, '}', '}')
}

func appendPolicy(dst []byte, p *Policy) []byte {
	dst = append(appendName(dst, "policy"), '{')
	dst = appendBool(dst, "allowed", p.Allowed)
	dst = append(dst, `,"engine":"HEL"`...)
	dst = appendTexts(dst, "flags", p.Flags)
	dst = appendText(dst, "mode", p.Mode)
	dst = appendText(dst, "reason", p.Reason)
	dst = appendOptional(dst, "rule", p.Rule)
	dst = appendText(dst, "version", p.Version)
	return append(dst, '}')
}

func appendChain(dst []byte, c Chain) []byte {
	dst = append(appendName(dst, "chain"), '{')
	dst = appendText(dst, "id", c.ID)
	dst = appendOptional(dst, "prev", c.Prev)
	dst = appendInt(dst, "seq", c.Seq)
	return append(dst, '}')
}

// appendSeal appends the two members that stand beside each other in all types
// but the receipt, where receipt_id comes between.
func appendSeal(dst []byte, h *Head, whole bool) []byte {
	if !whole {
		return dst
	}
	dst = appendText(dst, "receipt_hash", h.ReceiptHash)
	return appendText(dst, "signature", h.Signature)
}

// appendName appends a member's name, and the comma before it if it is not the
// first of its object.
func appendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

func appendText(dst []byte, name, s string) []byte {
	return appendString(appendName(dst, name), s)
}

func appendOptional(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	return appendText(dst, name, s)
}

// appendTexts appends a list of strings, and nothing for an empty one.
func appendTexts(dst []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return dst
	}
	return appendList(appendName(dst, name), list)
}

func appendList(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}

func appendInt(dst []byte, name string, n int64) []byte {
	return strconv.AppendInt(appendName(dst, name), n, 10)
}

func appendOptionalInt(dst []byte, name string, n *int64) []byte {
	if n == nil {
		return dst
	}
	return appendInt(dst, name, *n)
}

func appendBool(dst []byte, name string, b bool) []byte {
	return strconv.AppendBool(appendName(dst, name), b)
}

// timeLayout is the one format of time: RFC 3339, UTC, three decimals.
const timeLayout = "2006-01-02T15:04:05.000Z"

func appendTime(dst []byte, name string, t time.Time) []byte {
	dst = append(appendName(dst, name), '"')
	dst = t.UTC().AppendFormat(dst, time.RFC3339) // the one layout that is fast; it ends with Z
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(dst[:len(dst)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z', '"')
}

const hexDigits = "0123456789abcdef"

// appendString appends s as RFC 8785 section 3.2.2.2 says: only the quote, the
// backslash and the control characters below U+0020 are escaped.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, c)
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\t':
		return append(dst, '\\', 't')
	case '\n':
		return append(dst, '\\', 'n')
	case '\f':
		return append(dst, '\\', 'f')
	case '\r':
		return append(dst, '\\', 'r')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
