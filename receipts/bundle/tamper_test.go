package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"

	"github.com/signet-egress/signet/receipts"
)

// everyRecord is a chain with each type of record, each kind of event and every
// member that there is.
func everyRecord() *chain {
	c := newChain(1)
	c.add(&receipts.Event{Event: receipts.EventStart, Build: "v0", PolicyVersion: receipts.Hash(nil)})         // 2
	c.exchange("a", "t1")                                                                                      // 3
	c.exchange("a", "t1")                                                                                      // 4
	c.add(&receipts.Event{Event: receipts.EventClockStep, Clock: &receipts.ClockStep{StepMS: -1500}})          // 5
	c.add(&receipts.Event{Event: receipts.EventPosture, Posture: &receipts.Posture{Name: "mode", Value: "r"}}) // 6
	c.changeKey(2)                                                                                             // 7
	c.exchange("b", "t2")                                                                                      // 8
	c.head.Chain.Seq = 11
	c.add(&receipts.Event{Event: receipts.EventGap, Gap: &receipts.Gap{Unknown: 1, Lost: &receipts.Lost{Cause: receipts.LossDamage, First: 9, Last: 11}}}) // 12
	c.traces = receipts.NewTraces()
	c.exchange("a", "t1")                             // 13
	c.add(&receipts.Event{Event: receipts.EventStop}) // 14
	return c
}

// forge zips lines and a manifest as an export would, whatever they say.
func forge(t *testing.T, lines [][]byte, manifest []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range []struct {
		name string
		data []byte
	}{{recordsName, jsonLines(lines)}, {manifestName, manifest}} {
		w, err := z.Create(e.name)
		if err == nil {
			_, err = w.Write(e.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jsonLines(lines [][]byte) []byte {
	if len(lines) == 0 {
		return nil
	}
	return append(bytes.Join(lines, []byte("\n")), '\n')
}

// manifestOf is the manifest of an honest export.
func manifestOf(t *testing.T, o Options, lines [][]byte) []byte {
	t.Helper()
	data := bundleOf(t, o, lines)
	l, err := readLayout(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := l.readManifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest
}

// mutation is one change of one member, of those that change makes.
type mutation struct {
	path, change string
	apply        func() // to the document that the mutations were made of
}

// mutations are all single changes of a document: each member with another
// value and without it, and each object with a member more.
func mutations(path string, v any) []mutation {
	var all []mutation
	switch v := v.(type) {
	case map[string]any:
		all = append(all, mutation{path + ".x", "added", func() { v["x"] = "x" }})
		for _, name := range slices.Sorted(maps.Keys(v)) {
			at := strings.TrimPrefix(path+"."+name, ".")
			if other, ok := otherThan(v[name]); ok {
				all = append(all, mutation{at, "changed", func() { v[name] = other }})
			}
			all = append(all, mutation{at, "removed", func() { delete(v, name) }})
			all = append(all, mutations(at, v[name])...)
		}
	case []any:
		for i := range v {
			at := fmt.Sprintf("%s[%d]", path, i)
			if other, ok := otherThan(v[i]); ok {
				all = append(all, mutation{at, "changed", func() { v[i] = other }})
			}
			all = append(all, mutations(at, v[i])...)
		}
	}
	return all
}

// alternatives are other values of members that have few.
var alternatives = map[string]string{
	"forwarded": "denied", "enforce": "report", "ok": "INTERNAL", "h2": "h1", "intercept": "tunnel", "1.3": "1.2",
	"local": "model", "model": "collector", "damage": "rollback",
	"192.0.2.1": "192.0.2.2", "2001:db8::1": "2001:db8::2", "::ffff:192.0.2.1": "192.0.2.1",
}

// otherThan is another value of the same kind, and as plausible.
func otherThan(v any) (any, bool) {
	switch v := v.(type) {
	case nil:
		return receipts.Hash(nil), true
	case bool:
		return !v, true
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return json.Number("1.5e-8"), true
		}
		return n + 1, true
	case string:
		if other, ok := alternatives[v]; ok {
			return other, true
		}
		at := strings.LastIndexAny(v, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
		if at == len(v)-1 && v[at] == 'Z' {
			at-- // of a time
		}
		if len(v) > 40 && at > 20 {
			at = 20 // not the last of base64, where not all characters are possible
		}
		with := "1"
		if v[at] == '1' {
			with = "2"
		}
		return v[:at] + with + v[at+1:], true
	}
	return nil, false
}

func parseLine(t *testing.T, line []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func canonicalLine(t *testing.T, v map[string]any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		data, err = jcs.Transform(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// rehash makes the digests those of the changed record, as a forger would who
// has no key.
func rehash(t *testing.T, v map[string]any) {
	t.Helper()
	if detail, ok := v["detail"].(map[string]any); ok {
		v["detail_digest"] = receipts.Hash(append([]byte("signet.detail/1\n"), canonicalLine(t, detail)...))
	}
	core := maps.Clone(v)
	for _, name := range []string{"receipt_hash", "signature", "detail"} {
		delete(core, name)
	}
	v["receipt_hash"] = receipts.Hash(canonicalLine(t, core))
}
