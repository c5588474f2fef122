package receipts

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"
)

const testChain = "0199f3a1-7c00-7000-8000-000000000001"

// testKey is a key that is the same in every run.
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
	head   Head
	traces *Traces
	now    time.Time
	lines  [][]byte
}

func newChain(key ed25519.PrivateKey) *chain {
	c := &chain{id: testChain, key: key, traces: NewTraces(), now: time.Date(2026, 11, 23, 3, 4, 5, 678e6, time.UTC)}
	c.add(&Genesis{Tenant: "acme", Agent: "billing-agent", Build: "v0.1.0", PublicKey: EncodeKey(public(key)), PolicyVersion: Hash([]byte("[]"))})
	return c
}

func (c *chain) add(r Record) {
	h := r.RecordHead()
	c.now = c.now.Add(20 * time.Millisecond)
	*h = Head{Chain: Chain{ID: c.id, Seq: c.head.Chain.Seq + 1, Prev: c.head.ReceiptHash}, TS: c.now, KID: KeyID(public(c.key))}
	if receipt, ok := r.(*Receipt); ok {
		receipt.Hop, receipt.PrevReceiptHash = c.traces.Next(receipt.TraceID)
		if receipt.Detail != nil {
			receipt.DetailDigest = DetailDigest(receipt.Detail)
		}
	}
	c.seal(r)
	c.head = *h
	if receipt, ok := r.(*Receipt); ok {
		c.traces.Put(receipt.TraceID, receipt.Hop, h.ReceiptHash, h.Chain.Seq)
	}
	if e, ok := r.(*Event); ok && e.Event == EventStop {
		c.now = c.now.Add(time.Hour)
	}
	c.lines = append(c.lines, Append(nil, r))
}

func (c *chain) seal(r Record) {
	core := AppendCore(nil, r)
	r.RecordHead().ReceiptHash = Hash(core)
	r.RecordHead().Signature = Sign(c.key, r.RecordType(), core)
}

func (c *chain) changeKey(next ed25519.PrivateKey) {
	c.add(&Event{Event: EventKeyChange, Key: NewKeyChange(next, c.id, KeyID(public(c.key)))})
	c.key = next
}

// exchange is a receipt with every member, the n-th of a chain.
func exchange(n int, traceID string) *Receipt {
	size, status, answer := int64(812), int64(200), int64(5120)
	return &Receipt{
		ReceiptID: uuid(n), TraceID: traceID, Tenant: "acme", Agent: "billing-agent", APIKey: "key-7",
		Outcome: Forwarded, Usage: Usage{VEX: 1}, Count: 1, Ext: []byte(`{"cost_centre":"42"}`),
		Policy:             Policy{Allowed: true, Reason: "ok", Rule: "openai", Mode: "enforce", Version: Hash([]byte("[]")), Flags: []string{"large"}},
		SemanticViolations: []string{"amount"}, Internal: "model",
		Detail: &Detail{
			Salt: "AAECAwQFBgcICQoLDA0ODw", Started: time.Date(2026, 11, 23, 3, 4, 5, 266e6, time.UTC), DurationUS: 412_000,
			Request:   &Request{Protocol: "h2", Method: "POST", Scheme: "https", Host: "api.openai.com", Port: 443, Path: "/v1/chat/completions", Digest: Hash(nil), Size: &size},
			DNS:       &DNS{Resolver: "tls://9.9.9.9", Answers: []string{"192.0.2.1", "2001:db8::1"}, CNAME: []string{"edge.example"}, TTL: 60},
			TLS:       &TLS{Mode: "intercept", SNI: "api.openai.com", Version: "1.3", ALPN: "h2", PeerSPKI: Hash([]byte("spki"))},
			Forwarded: &ForwardedTo{PinnedIP: "192.0.2.1", Port: 443, StatusCode: &status, ResponseDigest: Hash([]byte("answer")), ResponseSize: &answer, BytesUp: &size, BytesDown: &answer},
			Payload:   &Payload{Contract: "c", PayloadType: "invoice.v1", TargetType: "payment.v1", CID: Hash([]byte("{}")), Facts: []Fact{{Name: "invoice", ReceiptID: uuid(1)}}},
			Repair:    &Repair{Method: "local", Before: Hash([]byte("a")), After: Hash([]byte("b")), Edits: []Edit{{Op: "close", Path: "/a", Offset: 12}}, Model: "m"},
		},
	}
}

// denial is a receipt of a request that could not be parsed.
func denial(n int, traceID string) *Receipt {
	return &Receipt{
		ReceiptID: uuid(n), TraceID: traceID, Tenant: "acme", Agent: "billing-agent",
		Outcome: Denied, Count: 1,
		Policy: Policy{Reason: "HEL_TARGET_MALFORMED", Mode: "enforce", Version: Hash([]byte("[]"))},
		Detail: &Detail{Salt: "AAECAwQFBgcICQoLDA0ODw", Started: time.Date(2026, 11, 23, 3, 4, 5, 266e6, time.UTC)},
	}
}

// sampleChain has every type of record and every kind of event, and traces of
// several hops that cross.
func sampleChain() *chain {
	c := newChain(testKey(1))
	c.add(&Event{Event: EventStart, Build: "v0.1.0", PolicyVersion: Hash([]byte("[]"))}) // 2
	for n := range 6 {                                                                   // 3 to 8
		c.add(exchange(100+n, fmt.Sprint("trace-", n%2)))
	}
	c.add(denial(200, "trace-1"))                                                        // 9
	c.add(&Event{Event: EventPosture, Posture: &Posture{Name: "mode", Value: "report"}}) // 10
	c.add(&Event{Event: EventClockStep, Clock: &ClockStep{StepMS: -1500}})               // 11
	c.changeKey(testKey(2))                                                              // 12
	c.add(exchange(300, "trace-0"))                                                      // 13
	c.add(&Event{Event: EventGap, Gap: &Gap{Unknown: 0}})                                // 14
	c.add(&Event{Event: EventStart, Build: "v0.1.1", PolicyVersion: Hash([]byte("[]"))}) // 15
	c.add(exchange(301, "trace-1"))                                                      // 16
	c.add(&Event{Event: EventStop})                                                      // 17
	return c
}

func verifyLines(keys *KeySet, lines [][]byte) (Result, error) {
	v := NewVerifier(keys)
	for _, line := range lines {
		if err := v.Add(line); err != nil {
			break
		}
	}
	return v.Result()
}

// wantCause fails the test unless err is a VerifyError of this seq and cause.
func wantCause(t *testing.T, err error, seq int64, cause Cause) {
	t.Helper()
	var bad *VerifyError
	if !errors.As(err, &bad) {
		t.Fatalf("got %v, want seq %d: %s", err, seq, cause)
	}
	if bad.Seq != seq || bad.Cause != cause {
		t.Fatalf("got %q, want seq %d: %s", bad, seq, cause)
	}
}
