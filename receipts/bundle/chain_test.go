package bundle

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/goldenfile"
	"github.com/signet-egress/signet/receipts"
)

// seal makes digests, hash and signature right, as whoever holds the key can.
func seal(t *testing.T, key ed25519.PrivateKey, record map[string]any) []byte {
	t.Helper()
	rehash(t, record)
	core := maps.Clone(record)
	for _, name := range []string{"receipt_hash", "signature", "detail"} {
		delete(core, name)
	}
	kind, _ := record["type"].(string)
	record["signature"] = receipts.Sign(key, receipts.Type(kind), canonicalLine(t, core))
	return canonicalLine(t, record)
}

// resealed gives lines with those from..to changed, linked and signed anew.
func resealed(t *testing.T, key ed25519.PrivateKey, lines [][]byte, from, to int, change func(record map[string]any)) [][]byte {
	t.Helper()
	all := slices.Clone(lines)
	for i := from; i <= to; i++ {
		record := parseLine(t, all[i])
		if i > from {
			place, _ := record["chain"].(map[string]any)
			place["prev"] = string(memberString(all[i-1], `,"receipt_hash":"`))
		}
		change(record)
		all[i] = seal(t, key, record)
	}
	return all
}

func swapDetails(t *testing.T, lines [][]byte, i, j int, again func(map[string]any) []byte) [][]byte {
	t.Helper()
	a, b := parseLine(t, lines[i]), parseLine(t, lines[j])
	a["detail"] = b["detail"]
	lines[i] = again(a)
	return lines
}

func replaceIn(line []byte, old, with string) []byte {
	return bytes.Replace(line, []byte(old), []byte(with), 1)
}

// What can be done to a chain as a whole, in a bundle whose manifest stays, is
// refused by both verifiers for the cause that it has, at the first record that
// shows it. Some of it only somebody can do who holds the signing key.
func TestEveryChain(t *testing.T) {
	c, other := everyRecord(), newChain(3)
	other.exchange("a", "t1")
	other.exchange("a", "t1")
	other.exchange("a", "t1")
	old, current, stranger := testKey(1), c.key, testKey(9)
	plain := func(r map[string]any) []byte { return canonicalLine(t, r) }
	nothing := func(map[string]any) {}
	set := func(name string, value any) func(map[string]any) {
		return func(r map[string]any) { r[name] = value }
	}
	seq := func(r map[string]any, n int64) {
		place, _ := r["chain"].(map[string]any)
		place["seq"] = n
	}
	tests := []struct {
		name   string
		tamper func(l [][]byte) [][]byte // l[i] is seq i+1 up to 8; then come 12, 13 and 14
	}{
		{"nothing", func(l [][]byte) [][]byte { return l }},
		{"deleted: one record", func(l [][]byte) [][]byte { return slices.Delete(l, 3, 4) }},
		{"deleted: a run", func(l [][]byte) [][]byte { return slices.Delete(l, 2, 6) }},
		{"deleted: the genesis", func(l [][]byte) [][]byte { return l[1:] }},
		{"deleted: the key change", func(l [][]byte) [][]byte { return slices.Delete(l, 6, 7) }},
		{"deleted: the gap event", func(l [][]byte) [][]byte { return slices.Delete(l, 8, 9) }},
		{"truncated: the last record", func(l [][]byte) [][]byte { return l[:10] }},
		{"truncated: all but the genesis", func(l [][]byte) [][]byte { return l[:1] }},
		{"truncated: in the middle of a line", func(l [][]byte) [][]byte { l[10] = l[10][:40]; return l }},
		{"inserted: a stranger's record", func(l [][]byte) [][]byte {
			return slices.Insert(l, 3, resealed(t, stranger, l, 3, 3, set("receipt_id", uuid(77)))[3])
		}},
		{"inserted: an older record", func(l [][]byte) [][]byte { return slices.Insert(l, 7, l[3]) }},
		{"inserted: at the end", func(l [][]byte) [][]byte { return append(l, other.lines[3]) }},
		{"inserted: an empty line", func(l [][]byte) [][]byte { return slices.Insert(l, 3, []byte{}) }},
		{"reordered: neighbours", func(l [][]byte) [][]byte { l[2], l[3] = l[3], l[2]; return l }},
		{"reordered: backwards", func(l [][]byte) [][]byte { slices.Reverse(l); return l }},
		{"duplicated: in place", func(l [][]byte) [][]byte { return slices.Insert(l, 4, l[3]) }},
		{"duplicated: at the end", func(l [][]byte) [][]byte { return append(l, l[3]) }},
		{"duplicated: the genesis", func(l [][]byte) [][]byte { return slices.Insert(l, 1, l[0]) }},
		{"spliced: another chain goes on", func(l [][]byte) [][]byte { return append(l[:2], other.lines[2:]...) }},
		{"spliced: renumbered and linked", func(l [][]byte) [][]byte {
			return resealed(t, testKey(3), append(l[:2], other.lines[2:]...), 2, 3, func(r map[string]any) {
				place, _ := r["chain"].(map[string]any)
				place["id"] = c.id
			})
		}},
		{"replayed: a record of another chain", func(l [][]byte) [][]byte { l[3] = other.lines[3]; return l }},
		{"replayed: with this chain's name", func(l [][]byte) [][]byte {
			l[3] = replaceIn(other.lines[3], other.id, c.id)
			return l
		}},
		{"replaced: by another whole chain", func([][]byte) [][]byte { return other.lines }},
		{"key swapped: in the genesis", func(l [][]byte) [][]byte {
			return resealed(t, stranger, l, 0, 0, func(r map[string]any) {
				r["public_key"], r["kid"] = receipts.EncodeKey(public(stranger)), receipts.KeyID(public(stranger))
			})
		}},
		{"key swapped: in the whole chain", func(l [][]byte) [][]byte {
			return resealed(t, stranger, l, 0, 10, func(r map[string]any) {
				r["kid"] = receipts.KeyID(public(stranger))
				if _, ok := r["public_key"]; ok {
					r["public_key"] = receipts.EncodeKey(public(stranger))
				}
			})
		}},
		{"key swapped: one of small order", func(l [][]byte) [][]byte {
			return resealed(t, stranger, l, 0, 0, set("public_key", strings.Repeat("A", 43)))
		}},
		{"key swapped: in the key change", func(l [][]byte) [][]byte {
			return resealed(t, stranger, l, 6, 6, func(r map[string]any) {
				change := receipts.NewKeyChange(stranger, c.id, receipts.KeyID(public(old)))
				r["key"] = map[string]any{"kid": change.KID, "proof": change.Proof, "public_key": change.PublicKey}
			})
		}},
		{"re-signed tail: by a stranger in the key's name", func(l [][]byte) [][]byte { return resealed(t, stranger, l, 3, 10, nothing) }},
		{"re-signed tail: by a stranger in his own", func(l [][]byte) [][]byte {
			return resealed(t, stranger, l, 3, 10, set("kid", receipts.KeyID(public(stranger))))
		}},
		{"re-signed tail: by the retired key", func(l [][]byte) [][]byte {
			return resealed(t, old, l, 7, 10, set("kid", receipts.KeyID(public(old))))
		}},
		{"re-signed tail: by the key, to other effect", func(l [][]byte) [][]byte {
			return resealed(t, current, l, 7, 10, func(r map[string]any) {
				if _, ok := r["agent"]; ok {
					r["agent"] = "c"
				}
			})
		}},
		{"signature: of another record", func(l [][]byte) [][]byte {
			a, b := parseLine(t, l[3]), parseLine(t, l[2])
			a["signature"] = b["signature"]
			l[3] = plain(a)
			return l
		}},
		{"signature: made for another type", func(l [][]byte) [][]byte {
			a := parseLine(t, l[3])
			core, _ := receipts.Decode(l[3])
			a["signature"] = receipts.Sign(old, receipts.TypeEvent, receipts.AppendCore(nil, core))
			l[3] = plain(a)
			return l
		}},
		{"signature: padded", func(l [][]byte) [][]byte {
			l[3] = replaceIn(l[3], `","tenant":"acme","trace`, `==","tenant":"acme","trace`)
			return l
		}},
		{"detail swapped", func(l [][]byte) [][]byte { return swapDetails(t, l, 3, 7, plain) }},
		{"detail swapped, digest made right", func(l [][]byte) [][]byte {
			return swapDetails(t, l, 3, 7, func(r map[string]any) []byte { rehash(t, r); return plain(r) })
		}},
		{"detail withheld", func(l [][]byte) [][]byte {
			start, end := detailOf(l[3])
			l[3] = slices.Concat(l[3][:start], l[3][end:])
			return l
		}},
		{"form: white space", func(l [][]byte) [][]byte { l[3] = replaceIn(l[3], `,"count":1`, `, "count":1`); return l }},
		{"form: a carriage return", func(l [][]byte) [][]byte { l[3] = append(bytes.Clone(l[3]), '\r'); return l }},
		{"form: a byte order mark", func(l [][]byte) [][]byte { l[0] = append([]byte("\uFEFF"), l[0]...); return l }},
		{"form: a member twice", func(l [][]byte) [][]byte { l[3] = replaceIn(l[3], `,"count":1`, `,"count":1,"count":1`); return l }},
		{"form: members in another order", func(l [][]byte) [][]byte {
			l[3] = replaceIn(l[3], `"fallback_used":false,"fu_tokens":0`, `"fu_tokens":0,"fallback_used":false`)
			return l
		}},
		{"form: a number written otherwise", func(l [][]byte) [][]byte { l[3] = replaceIn(l[3], `"count":1`, `"count":1.0`); return l }},
		{"form: a number beyond double", func(l [][]byte) [][]byte { l[3] = replaceIn(l[3], `"count":1`, `"count":1e400`); return l }},
		{"form: minus zero", func(l [][]byte) [][]byte { l[3] = replaceIn(l[3], `"fu":0`, `"fu":-0`); return l }},
		{"form: a decimal in ext written otherwise", func(l [][]byte) [][]byte { l[3] = replaceIn(l[3], `1.5e-7`, `0.00000015`); return l }},
		{"form: an escape that is not needed", func(l [][]byte) [][]byte { l[3] = replaceIn(l[3], `acme`, `\u0061cme`); return l }},
		{"form: a lone surrogate", func(l [][]byte) [][]byte { l[3] = replaceIn(l[3], `acme`, `\ud800cme`); return l }},
		{"form: not UTF-8", func(l [][]byte) [][]byte { l[3] = replaceIn(l[3], `acme`, "\xffcme"); return l }},
		{"form: NaN", func(l [][]byte) [][]byte { l[3] = replaceIn(l[3], `1.5e-7`, `NaN`); return l }},
		{"form: nested too deep", func(l [][]byte) [][]byte {
			l[3] = replaceIn(l[3], `1.5e-7`, strings.Repeat("[", 5000)+strings.Repeat("]", 5000))
			return l
		}},
		{"form: an array", func(l [][]byte) [][]byte { l[3] = []byte("[]"); return l }},
		{"form: a line too long", func(l [][]byte) [][]byte { l[3] = bytes.Repeat([]byte(" "), receipts.MaxLine+1); return l }},
		{"form: a line much too long", func(l [][]byte) [][]byte { l[3] = bytes.Repeat([]byte("0"), 5<<20); return l }},
		{"version: unknown, signed", func(l [][]byte) [][]byte { return resealed(t, old, l, 3, 3, set("type", "signet.receipt/2")) }},
		{"version: none", func(l [][]byte) [][]byte {
			return resealed(t, old, l, 3, 3, func(r map[string]any) { delete(r, "type") })
		}},
		{"null for absent, signed", func(l [][]byte) [][]byte { return resealed(t, old, l, 3, 3, set("internal", nil)) }},
		{"empty for absent, signed", func(l [][]byte) [][]byte { return resealed(t, old, l, 3, 3, set("semantic_violations", []any{})) }},
		{"a number as text, signed", func(l [][]byte) [][]byte { return resealed(t, old, l, 3, 3, set("count", "1")) }},
		{"a number too large, signed", func(l [][]byte) [][]byte { return resealed(t, old, l, 3, 3, set("count", int64(1)<<53)) }},
		{"seq skipped, signed", func(l [][]byte) [][]byte { return resealed(t, old, l, 3, 3, func(r map[string]any) { seq(r, 5) }) }},
		{"time backwards, signed", func(l [][]byte) [][]byte { return resealed(t, old, l, 3, 3, set("ts", "2026-11-23T00:02:30.000Z")) }},
		{"no such day, signed", func(l [][]byte) [][]byte { return resealed(t, old, l, 3, 3, set("ts", "2026-02-30T00:00:00.000Z")) }},
		{"receipt id again, signed", func(l [][]byte) [][]byte { return resealed(t, old, l, 3, 3, set("receipt_id", uuid(1003))) }},
		{"hop skipped, signed", func(l [][]byte) [][]byte { return resealed(t, old, l, 3, 3, set("hop", 3)) }},
		{"trace begun again, signed", func(l [][]byte) [][]byte {
			return resealed(t, old, l, 3, 3, func(r map[string]any) { r["hop"], r["prev_receipt_hash"] = 1, nil })
		}},
		{"key change to a key of small order, signed", func(l [][]byte) [][]byte {
			return resealed(t, old, l, 6, 6, func(r map[string]any) {
				change, _ := r["key"].(map[string]any)
				change["public_key"] = strings.Repeat("A", 43)
			})
		}},
		{"key change without the new key's proof, signed", func(l [][]byte) [][]byte {
			return resealed(t, old, l, 6, 6, func(r map[string]any) {
				change, _ := r["key"].(map[string]any)
				change["proof"] = receipts.NewKeyChange(testKey(2), uuid(5), receipts.KeyID(public(old))).Proof
			})
		}},
		{"key change back, signed", func(l [][]byte) [][]byte {
			return resealed(t, current, l, 7, 7, func(r map[string]any) {
				change := receipts.NewKeyChange(old, c.id, receipts.KeyID(public(current)))
				for name := range r {
					if !slices.Contains([]string{"chain", "kid", "ts"}, name) {
						delete(r, name)
					}
				}
				r["type"], r["event"] = "signet.event/1", "key_change"
				r["key"] = map[string]any{"kid": change.KID, "proof": change.Proof, "public_key": change.PublicKey}
			})
		}},
	}
	keys := append(slices.Clone(c.keys), receipts.ChainKey{KID: other.keys[0].KID, PublicKey: other.keys[0].PublicKey})
	in, table := &inputs{t: t, dir: t.TempDir()}, fmt.Sprintf("%-52s %-28s %s\n", "WHAT WAS DONE", "THE BUNDLE IS", "THE LINES ALONE ARE")
	manifest := manifestOf(t, c.options(), c.lines)
	for _, tt := range tests {
		lines := tt.tamper(slices.Clone(c.lines))
		v := in.bundle(forge(t, lines, manifest), keySet(t, keys...))
		if v.Verified != (tt.name == "nothing") {
			t.Errorf("%s: %v", tt.name, v)
		}
		table += fmt.Sprintf("%-52s %-28s %s\n", tt.name, v, in.lines(lines, keySet(t, keys...)))
	}
	goldenfile.Compare(t, "chains.golden", table)
	in.agree(receipts.JWKS(keys...))
}
