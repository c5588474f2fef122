package bundle

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/checkpoint"
)

func testKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func public(key ed25519.PrivateKey) ed25519.PublicKey {
	pub, _ := key.Public().(ed25519.PublicKey)
	return pub
}

func uuid(n int) string { return fmt.Sprintf("0199f3a1-7c00-7000-8000-%012x", n) }

// chain is a writer without a store.
type chain struct {
	id     string
	key    ed25519.PrivateKey
	keys   []receipts.ChainKey
	head   receipts.Head
	traces *receipts.Traces
	lines  [][]byte
	notes  []checkpoint.Note
}

func newChain(n byte) *chain {
	c := &chain{id: uuid(int(n)), key: testKey(n), traces: receipts.NewTraces()}
	c.add(&receipts.Genesis{Tenant: "acme", Agent: "a", Build: "v0", PublicKey: receipts.EncodeKey(public(c.key)), PolicyVersion: receipts.Hash(nil)})
	c.keys = []receipts.ChainKey{{KID: receipts.KeyID(public(c.key)), PublicKey: public(c.key), Validity: receipts.Validity{Chain: c.id, FromSeq: 1, From: c.head.TS}}}
	return c
}

func (c *chain) add(r receipts.Record) {
	h := r.RecordHead()
	seq := c.head.Chain.Seq + 1
	*h = receipts.Head{
		Chain: receipts.Chain{ID: c.id, Seq: seq, Prev: c.head.ReceiptHash},
		TS:    time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC).Add(time.Duration(seq) * time.Minute),
		KID:   receipts.KeyID(public(c.key)),
	}
	receipt, ok := r.(*receipts.Receipt)
	if ok {
		receipt.Hop, receipt.PrevReceiptHash = c.traces.Next(receipt.TraceID)
		receipt.DetailDigest = receipts.DetailDigest(receipt.Detail)
	}
	core := receipts.AppendCore(nil, r)
	h.ReceiptHash, h.Signature = receipts.Hash(core), receipts.Sign(c.key, r.RecordType(), core)
	if ok {
		c.traces.Put(receipt.TraceID, receipt.Hop, h.ReceiptHash, seq)
	}
	c.head = *h
	c.lines = append(c.lines, receipts.Append(nil, r))
}

// exchange adds a receipt with every member.
func (c *chain) exchange(agent, trace string) {
	n := len(c.lines) + 1
	size, status := int64(n), int64(200)
	c.add(&receipts.Receipt{
		ReceiptID: uuid(1000 + n), TraceID: trace, Tenant: "acme", Agent: agent, APIKey: "key-7", Outcome: receipts.Forwarded, Count: 1,
		Usage: receipts.Usage{VEX: 1}, Internal: "model", SemanticViolations: []string{"amount", "currency"},
		Policy: receipts.Policy{Allowed: true, Reason: "ok", Rule: "r", Mode: "enforce", Version: receipts.Hash(nil), Flags: []string{"large"}},
		Ext:    []byte(`{"detail":{"x":1.5e-7},"detail_digest":"y","kid":"z","receipt_hash":"z","tenant":"t","trace_id":"t","type":"u"}`),
		Detail: &receipts.Detail{
			Salt: "AAECAwQFBgcICQoLDA0ODw", Started: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), DurationUS: 41_900,
			Request:   &receipts.Request{Protocol: "h2", Method: "POST", Scheme: "https", Host: "api.example", Port: 443, Path: `/é"detail_digest":"`, Digest: receipts.Hash(nil), Size: &size},
			DNS:       &receipts.DNS{Resolver: "tls://192.0.2.53", Answers: []string{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"}, CNAME: []string{"edge.example"}, TTL: 60, Rebound: true},
			TLS:       &receipts.TLS{Mode: "intercept", SNI: "api.example", Version: "1.3", ALPN: "h2", PeerSPKI: receipts.Hash([]byte("spki"))},
			Forwarded: &receipts.ForwardedTo{PinnedIP: "192.0.2.1", Port: 443, StatusCode: &status, ResponseDigest: receipts.Hash(nil), ResponseSize: &size, BytesUp: &size, BytesDown: &size},
			Payload:   &receipts.Payload{Contract: "c", PayloadType: "invoice.v1", TargetType: "payment.v1", CID: receipts.Hash([]byte("{}")), Facts: []receipts.Fact{{Name: "invoice", ReceiptID: uuid(1)}}},
			Repair:    &receipts.Repair{Method: "local", Before: receipts.Hash([]byte("a")), After: receipts.Hash([]byte("b")), Edits: []receipts.Edit{{Op: "close", Path: "/a", Offset: 12}}, Model: "m"},
		},
	})
}

func (c *chain) changeKey(n byte) {
	next := testKey(n)
	e := &receipts.Event{Event: receipts.EventKeyChange, Key: receipts.NewKeyChange(next, c.id, receipts.KeyID(public(c.key)))}
	c.add(e)
	old, fresh := c.keys[len(c.keys)-1].SucceededBy(public(next), &e.Head)
	c.keys = append(c.keys[:len(c.keys)-1], old, fresh)
	c.key = next
}

// sampleChain has agents and traces that cross, a checkpoint of seq 4, and changes
// its key at seq 6.
func sampleChain(t testing.TB) *chain {
	t.Helper()
	c := newChain(1)
	c.exchange("a", "t1")    // 2
	c.exchange(`b"`, "t2")   // 3
	c.exchange("a", `t"2\n`) // 4
	c.checkpoint(t)
	c.exchange("a", "t1")  // 5
	c.changeKey(2)         // 6
	c.exchange(`b"`, "t1") // 7
	c.exchange("a", "t2")  // 8
	c.add(&receipts.Event{Event: receipts.EventStop})
	return c
}

func (c *chain) options() Options {
	return Options{Tenant: "unused", Build: "v0", Created: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), Key: c.key, Keys: c.keys, Checkpoints: c.notes}
}

// checkpoint signs the head with the key that signs the record after it.
func (c *chain) checkpoint(t testing.TB) {
	t.Helper()
	n, err := checkpoint.Sign(checkpoint.Checkpoint{Chain: c.id, Seq: c.head.Chain.Seq, Hash: c.head.ReceiptHash, TS: c.head.TS}, c.key)
	if err != nil {
		t.Fatal(err)
	}
	c.notes = append(c.notes, n)
}

func bundleOf(t *testing.T, o Options, lines [][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Export(&b, o, each(lines)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func each(lines [][]byte) func(add func([]byte) error) error {
	return func(add func([]byte) error) error {
		for _, line := range lines {
			if err := add(line); err != nil {
				return err
			}
		}
		return nil
	}
}

func verify(data []byte, pinned *receipts.KeySet) (Result, error) {
	r, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return Result{}, err
	}
	return r.Verify(pinned, nil)
}

func keySet(t *testing.T, keys ...receipts.ChainKey) *receipts.KeySet {
	t.Helper()
	set, err := receipts.ParseJWKS(receipts.JWKS(keys...))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// What is exported verifies, with whatever withheld and from wherever on.
func TestExportVerifies(t *testing.T) {
	c := sampleChain(t)
	tests := []struct {
		name     string
		from, to int // seq
		change   func(*Options)
		withheld int64
		unproved int64
	}{
		{"whole", 1, 9, func(*Options) {}, 0, 0},
		{"core", 1, 9, func(o *Options) { o.Profile = Core }, 6, 0},
		{"one agent", 1, 9, func(o *Options) { o.Filter.Agent = `b"` }, 4, 0},
		{"one trace", 1, 9, func(o *Options) { o.Filter.Trace = "t1" }, 3, 0},
		{"one trace with escapes", 1, 9, func(o *Options) { o.Filter.Trace = `t"2\n` }, 5, 0},
		{"one trace of one agent", 1, 9, func(o *Options) { o.Filter = Filter{Agent: "a", Trace: "t1"} }, 4, 0},
		{"from the middle", 3, 8, func(*Options) {}, 0, 3},
		{"before the key change", 2, 4, func(*Options) {}, 0, 3},
		{"after the key change", 7, 9, func(*Options) {}, 0, 2},
		{"one record", 9, 9, func(*Options) {}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := c.options()
			tt.change(&o)
			data := bundleOf(t, o, c.lines[tt.from-1:tt.to])
			for _, pinned := range []*receipts.KeySet{nil, keySet(t, c.keys...)} {
				got, err := verify(data, pinned)
				if err != nil {
					t.Fatal(err)
				}
				if got.First != int64(tt.from) || got.Last != int64(tt.to) || got.Withheld != tt.withheld || got.HopsUnproved != tt.unproved || got.Pinned != (pinned != nil) {
					t.Errorf("%+v", got.Result)
				}
			}
			if again := bundleOf(t, o, c.lines[tt.from-1:tt.to]); !bytes.Equal(again, data) {
				t.Error("the same records make another bundle")
			}
		})
	}
}

// The key that a pinned key introduces is enough for the manifest too.
func TestPinnedRoot(t *testing.T) {
	c := sampleChain(t)
	root := receipts.ChainKey{KID: c.keys[0].KID, PublicKey: c.keys[0].PublicKey}
	if _, err := verify(bundleOf(t, c.options(), c.lines), keySet(t, root)); err != nil {
		t.Error(err)
	}
	_, err := verify(bundleOf(t, c.options(), c.lines[:4]), keySet(t, root))
	wantError(t, err, "manifest", receipts.CauseKey)
}

func wantError(t *testing.T, err error, part string, cause receipts.Cause) {
	t.Helper()
	bad, ok := err.(*Error) //nolint:errorlint // it is never wrapped
	if !ok || bad.Part != part || bad.Cause != cause {
		t.Fatalf("got %v, want %s: %s", err, part, cause)
	}
}

// full is a disk with room for n bytes more.
type full int

func (f *full) Write(p []byte) (int, error) {
	if len(p) > int(*f) {
		return 0, errors.New("no space left")
	}
	*f -= full(len(p))
	return len(p), nil
}

// An export stops soon after it cannot be written, and says why.
func TestExportToFullDisk(t *testing.T) {
	c := newChain(1)
	c.exchange("a", "t")
	line, n := c.lines[1], 0
	for _, room := range []full{0, 10_000} {
		_, err := Export(&room, c.options(), func(add func([]byte) error) error {
			for n = 0; n < 1_000_000; n++ {
				c.lines[1] = append(c.lines[1][:0], line...)
				if n > 0 { // another record that follows the one before, for all that export looks at
					c.lines[1] = bytes.Replace(c.lines[1], prevOf(c.lines[1]), memberString(c.lines[1], `,"receipt_hash":"`), 1)
				}
				if err := add(c.lines[1]); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "no space left") || n == 1_000_000 {
			t.Errorf("with room for %d bytes, after %d records: %v", room, n, err)
		}
	}
}

// What is no part of one chain, or nothing at all, is not exported.
func TestExportRefuses(t *testing.T) {
	c, other := sampleChain(t), newChain(3)
	other.exchange("a", "t")
	lines := func(all ...[]byte) [][]byte { return all }
	for name, tt := range map[string]struct {
		lines [][]byte
		says  string
	}{
		"nothing":            {nil, ErrEmpty.Error()},
		"no record":          {lines([]byte("nonsense")), "not a record"},
		"a gap":              {lines(c.lines[0], c.lines[2]), "does not follow"},
		"another chain":      {lines(c.lines[0], other.lines[1]), "does not follow"},
		"a stranger's chain": {other.lines, "is not one of the chain's"},
		"another tenant":     {lines(c.lines[0], bytes.Replace(c.lines[1], []byte(`"acme"`), []byte(`"other"`), 1)), `tenant "other" among those of "acme"`},
		"a damaged last":     {lines(c.lines[0], bytes.Replace(c.lines[1], []byte(`"count":1`), []byte(`"count":0`), 1)), "the last record: count: 0"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Export(io.Discard, c.options(), each(tt.lines)); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}
