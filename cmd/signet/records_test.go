package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

// evidence writes chains that are the same in every run.
type evidence struct {
	key    ed25519.PrivateKey
	chain  string
	head   receipts.Head
	traces *receipts.Traces
	lines  [][]byte
}

func newEvidence(n byte) *evidence {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	e := &evidence{key: ed25519.NewKeyFromSeed(seed), chain: evidenceID(int(n)), traces: receipts.NewTraces()}
	e.add(&receipts.Genesis{
		Tenant: "acme", Agent: "billing-agent", Build: "v0.1.0", PublicKey: receipts.EncodeKey(e.public()), PolicyVersion: receipts.Hash(nil),
	})
	return e
}

func evidenceID(n int) string { return fmt.Sprintf("0199f3a1-7c00-7000-8000-%012x", n) }

func (e *evidence) public() ed25519.PublicKey {
	pub, _ := e.key.Public().(ed25519.PublicKey)
	return pub
}

func (e *evidence) add(r receipts.Record) {
	h := r.RecordHead()
	seq := e.head.Chain.Seq + 1
	*h = receipts.Head{
		Chain: receipts.Chain{ID: e.chain, Seq: seq, Prev: e.head.ReceiptHash},
		TS:    time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC).Add(time.Duration(seq) * 250 * time.Millisecond),
		KID:   receipts.KeyID(e.public()),
	}
	receipt, ok := r.(*receipts.Receipt)
	if ok {
		receipt.Hop, receipt.PrevReceiptHash = e.traces.Next(receipt.TraceID)
		receipt.DetailDigest = receipts.DetailDigest(receipt.Detail)
	}
	core := receipts.AppendCore(nil, r)
	h.ReceiptHash, h.Signature = receipts.Hash(core), receipts.Sign(e.key, r.RecordType(), core)
	if ok {
		e.traces.Put(receipt.TraceID, receipt.Hop, h.ReceiptHash, seq)
	}
	e.head = *h
	e.lines = append(e.lines, receipts.Append(nil, r))
}

func (e *evidence) exchange(outcome receipts.Outcome, reason, host string) *receipts.Receipt {
	seq := int(e.head.Chain.Seq + 1)
	return &receipts.Receipt{
		ReceiptID: evidenceID(1000 + seq), TraceID: fmt.Sprint("trace-", seq%2), Tenant: "acme", Agent: "billing-agent", Outcome: outcome, Count: 1,
		Policy: receipts.Policy{Allowed: outcome != receipts.Denied, Reason: reason, Mode: "enforce", Version: receipts.Hash(nil)},
		Detail: &receipts.Detail{
			Salt: "AAECAwQFBgcICQoLDA0ODw", Started: time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC), DurationUS: 41_900,
			Request: &receipts.Request{Protocol: "h2", Method: "POST", Scheme: "https", Host: host, Port: 443, Path: "/v1/chat/completions"},
		},
	}
}

// sampleEvidence is a chain with each kind of row that a table can have.
func sampleEvidence() *evidence {
	e := newEvidence(1)
	e.add(&receipts.Event{Event: receipts.EventStart, Build: "v0.1.0", PolicyVersion: receipts.Hash(nil)})
	status, size := int64(200), int64(5120)
	good := e.exchange(receipts.Forwarded, "ok", "api.openai.com")
	good.Detail.Forwarded = &receipts.ForwardedTo{PinnedIP: "192.0.2.1", Port: 443, StatusCode: &status, ResponseDigest: receipts.Hash(nil), ResponseSize: &size}
	e.add(good)
	tunnel := e.exchange(receipts.Forwarded, "ok", "2001:db8::1")
	tunnel.Detail.Request.Method, tunnel.Detail.Request.Path = "CONNECT", ""
	tunnel.Detail.Forwarded = &receipts.ForwardedTo{PinnedIP: "2001:db8::1", Port: 443, BytesUp: &status, BytesDown: &size}
	e.add(tunnel)
	many := e.exchange(receipts.Denied, "HEL_HOST_NOT_ALLOWED", "paste.example")
	many.Count = 51
	e.add(many)
	malformed := e.exchange(receipts.Denied, "HEL_TARGET_MALFORMED", "x")
	malformed.Detail.Request = nil
	e.add(malformed)
	odd := e.exchange(receipts.Failed, "UPSTREAM_TIMEOUT", "slow.example")
	odd.Detail.Request.Path = "/\x1b[2J\u202egnp.exe"
	e.add(odd)
	e.add(&receipts.Event{Event: receipts.EventGap, Gap: &receipts.Gap{Unknown: 1}})
	e.add(e.exchange(receipts.Unknown, "INTERNAL", "api.openai.com"))
	e.add(&receipts.Event{Event: receipts.EventStop})
	return e
}

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func jsonLines(lines [][]byte) []byte { return append(bytes.Join(lines, []byte("\n")), '\n') }

// What verify says, to people and to programs, and its exit status.
func TestVerifyFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	e, other := sampleEvidence(), newEvidence(2)
	write := func(name string, lines [][]byte) { writeFile(t, name, jsonLines(lines)) }
	write("records.jsonl", e.lines)
	write("first.jsonl", e.lines[:4])
	write("second.jsonl", e.lines[4:])
	write("other.jsonl", other.lines)
	write("gap.jsonl", slices.Delete(slices.Clone(e.lines), 4, 5))
	changed := slices.Clone(e.lines)
	changed[4] = bytes.Replace(changed[4], []byte(`"count":51`), []byte(`"count":1`), 1)
	write("changed.jsonl", changed)
	changed = slices.Clone(e.lines)
	changed[4] = append(bytes.TrimSuffix(slices.Clone(changed[4]), []byte("}")), ",\"\u202e\":1}"...)
	write("unknown.jsonl", changed)
	changed[4] = changed[4][:100]
	write("cut.jsonl", changed)
	writeFile(t, "empty.jsonl", nil)
	writeFile(t, "long.jsonl", bytes.Repeat([]byte("x"), receipts.MaxLine+2))
	writeFile(t, "keys.json", receipts.JWKS(receipts.ChainKey{PublicKey: e.public()}))
	writeFile(t, "other.json", receipts.JWKS(receipts.ChainKey{PublicKey: other.public()}))
	withheld, err := receipts.Decode(e.lines[2])
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := withheld.(*receipts.Receipt); ok {
		r.Detail = nil
	}
	lines := slices.Clone(e.lines)
	lines[2] = receipts.Append(nil, withheld)
	write("withheld.jsonl", lines)

	var all strings.Builder
	for _, args := range [][]string{
		{"records.jsonl"},
		{"--json", "records.jsonl"},
		{"--jwks", "keys.json", "records.jsonl"},
		{"--jwks", "other.json", "records.jsonl"},
		{"first.jsonl", "second.jsonl"},
		{"second.jsonl", "first.jsonl"},
		{"--jwks", "keys.json", "second.jsonl"},
		{"records.jsonl", "other.jsonl"},
		{"withheld.jsonl"},
		{"gap.jsonl"},
		{"changed.jsonl"},
		{"--json", "changed.jsonl"},
		{"unknown.jsonl"},
		{"cut.jsonl"},
		{"empty.jsonl"},
		{"records.jsonl", "empty.jsonl"},
		{"long.jsonl"},
		{"missing.jsonl"},
		{"."},
		{"--jwks", "records.jsonl", "records.jsonl"},
		{"--jwks", "missing.json", "records.jsonl"},
		{},
	} {
		fmt.Fprintf(&all, "$ signet verify %s\n%s\n", strings.Join(args, " "), signet(t, append([]string{"verify"}, args...)...))
	}
	t.Chdir(sourceDir)
	golden(t, "records/verify", all.String())
}

// sourceDir is where the golden files are, for tests that go elsewhere.
var sourceDir, _ = os.Getwd()

func TestVerifyStandardInput(t *testing.T) {
	root := newRootCommand()
	var out bytes.Buffer
	root.SetIn(bytes.NewReader(jsonLines(sampleEvidence().lines)))
	root.SetOut(&out)
	root.SetArgs([]string{"verify", "-"})
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.HasPrefix(out.String(), "verified: 6 receipts, chain ") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// A carriage return is no part of a line end.
func TestVerifyCRLF(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records.jsonl")
	writeFile(t, file, append(bytes.Join(sampleEvidence().lines, []byte("\r\n")), "\r\n"...))
	if out := signet(t, "verify", file); !strings.Contains(out, "canonical form") || !strings.HasSuffix(out, "exit status 1\n") {
		t.Error(out)
	}
}

func TestRecordTable(t *testing.T) {
	e := sampleEvidence()
	for name, s := range map[string]style{"plain": false, "colour": true} {
		var out bytes.Buffer
		table := &recordTable{w: &out, style: s}
		if err := table.header(); err != nil {
			t.Fatal(err)
		}
		for _, line := range e.lines {
			r, err := receipts.Decode(line)
			if err != nil {
				t.Fatal(err)
			}
			if err := table.row(r); err != nil {
				t.Fatal(err)
			}
		}
		golden(t, "records/table-"+name, out.String())
	}
}

// closedJournal is the data directory of a sidecar that was stopped.
func closedJournal(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	key, _, err := journal.LoadKey(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC)
	j, err := journal.Open(t.Context(), journal.Options{
		Dir: dir, Key: key.Key, Tenant: "acme", Agent: "billing-agent", Build: "v0.1.0", PolicyVersion: receipts.Hash(nil),
		MaxOpen: 16, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	e := sampleEvidence()
	for _, line := range e.lines {
		r, err := receipts.Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		if receipt, ok := r.(*receipts.Receipt); ok {
			receipt.Head, receipt.Hop, receipt.PrevReceiptHash, receipt.DetailDigest = receipts.Head{}, 0, "", ""
			if err := j.Finish(receipt).Wait(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What differs from run to run in a real journal.
var random = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}|sha256:[0-9a-f]{64}|[A-Za-z0-9_-]{43}`)

func TestStoppedSidecar(t *testing.T) {
	dir := closedJournal(t)
	for name, args := range map[string][]string{
		"verify-directory":  {"verify", dir},
		"tail":              {"tail", "--data", dir, "-n", "4"},
		"tail-all":          {"tail", "--data", dir},
		"tail-from":         {"tail", "--data", dir, "--from", "3", "--follow"},
		"receipts":          {"receipts", "--data", dir},
		"receipts-trace":    {"receipts", "--data", dir, "--trace", "trace-0"},
		"receipts-denied":   {"receipts", "--data", dir, "--outcome", "denied"},
		"receipts-host":     {"receipts", "--data", dir, "--host", "API.openai.com", "--outcome", "forwarded"},
		"receipts-none":     {"receipts", "--data", dir, "--host", "nobody.example"},
		"receipts-outcome":  {"receipts", "--data", dir, "--outcome", "lost"},
		"receipts-nowhere":  {"receipts", "--data", filepath.Join(dir, "nowhere")},
		"receipts-bad-flag": {"receipts", "--colour"},
	} {
		out := strings.ReplaceAll(signet(t, args...), dir, "DIR")
		golden(t, "records/stopped-"+name, random.ReplaceAllString(out, "…"))
	}
}

// JSON lines are the records as they are stored, so that they can be verified.
func TestStoppedSidecarJSON(t *testing.T) {
	dir := closedJournal(t)
	root := newRootCommand()
	var chain bytes.Buffer
	root.SetOut(&chain)
	root.SetArgs([]string{"tail", "--data", dir, "--from", "1", "--json"})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := receipts.NewVerifier(nil)
	if err := receipts.EachLine(&chain, v.Add); err != nil {
		t.Fatal(err)
	}
	if r, err := v.Result(); err != nil || r.Receipts != 6 || !r.CleanStop {
		t.Errorf("%+v, %v", r, err)
	}

	root = newRootCommand()
	var denied bytes.Buffer
	root.SetOut(&denied)
	root.SetArgs([]string{"receipts", "--data", dir, "--outcome", "denied", "--json"})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := receipts.EachLine(&denied, func(line []byte) error {
		n++
		var r struct{ Outcome string }
		if err := json.Unmarshal(line, &r); err != nil || r.Outcome != "denied" {
			return errors.Join(err, fmt.Errorf("line %d: %s", n, line))
		}
		return nil
	}); err != nil || n != 2 {
		t.Errorf("%d lines, %v", n, err)
	}
}
