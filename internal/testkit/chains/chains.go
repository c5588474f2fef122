// Package chains writes chains of records as a sidecar would, without one: good
// ones, and what a bad one might send.
package chains

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/signet-egress/signet/receipts"
)

// Chain is a chain that grows.
type Chain struct {
	ID     string
	Tenant string
	Agent  string
	Key    ed25519.PrivateKey // that signs the next record
	// FirstKey signed the genesis.
	FirstKey ed25519.PrivateKey
	Now      time.Time // ts of the next record; it moves on by Step
	Step     time.Duration
	Lines    [][]byte // all records, without newlines

	head   receipts.Head
	traces *receipts.Traces
}

// New begins a chain with its genesis, at a time.
func New(tenant, agent string, at time.Time) *Chain {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // the system has no random numbers
	}
	c := &Chain{ID: UUID(), Tenant: tenant, Agent: agent, Key: key, FirstKey: key, Now: at.UTC().Truncate(time.Millisecond), Step: 10 * time.Millisecond, traces: receipts.NewTraces()}
	c.Add(&receipts.Genesis{Tenant: tenant, Agent: agent, Build: "v0.0.0-test", PublicKey: receipts.EncodeKey(c.Public()), PolicyVersion: policyVersion()})
	return c
}

// UUID is a new UUIDv7.
func UUID() string { return uuid.Must(uuid.NewV7()).String() }

func policyVersion() string { return receipts.Hash([]byte("[]")) }

// Public is the public half of Key.
func (c *Chain) Public() ed25519.PublicKey {
	pub, _ := c.Key.Public().(ed25519.PublicKey)
	return pub
}

// Head is that of the last record.
func (c *Chain) Head() receipts.Head { return c.head }

// Add seals a record behind the others.
func (c *Chain) Add(r receipts.Record) {
	h := r.RecordHead()
	*h = receipts.Head{
		Chain: receipts.Chain{ID: c.ID, Seq: c.head.Chain.Seq + 1, Prev: c.head.ReceiptHash}, TS: c.Now, KID: receipts.KeyID(c.Public()),
	}
	receipt, isReceipt := r.(*receipts.Receipt)
	if isReceipt {
		receipt.Hop, receipt.PrevReceiptHash = c.traces.Next(receipt.TraceID)
		receipt.DetailDigest = receipts.DetailDigest(receipt.Detail)
	}
	c.Seal(r)
	if isReceipt {
		c.traces.Put(receipt.TraceID, receipt.Hop, h.ReceiptHash, h.Chain.Seq)
	}
	c.head, c.Now = *h, c.Now.Add(c.Step)
	c.Lines = append(c.Lines, receipts.Append(nil, r))
}

// Seal gives a record its hash and signature, and leaves all else as it is.
func (c *Chain) Seal(r receipts.Record) {
	core := receipts.AppendCore(nil, r)
	r.RecordHead().ReceiptHash = receipts.Hash(core)
	r.RecordHead().Signature = receipts.Sign(c.Key, r.RecordType(), core)
}

// Receipt is a forwarded exchange with a host, to be changed and added.
func (c *Chain) Receipt(host, trace string) *receipts.Receipt {
	size, status, answer := int64(812), int64(200), int64(5120)
	return &receipts.Receipt{
		ReceiptID: UUID(), TraceID: trace, Tenant: c.Tenant, Agent: c.Agent, Outcome: receipts.Forwarded, Count: 1,
		Policy: receipts.Policy{Allowed: true, Reason: "ok", Rule: "models", Mode: "enforce", Version: policyVersion()},
		Usage:  receipts.Usage{VEX: 1},
		Detail: &receipts.Detail{
			Salt: "AAECAwQFBgcICQoLDA0ODw", Started: c.Now.Add(-40 * time.Millisecond), DurationUS: 40_000,
			Request: &receipts.Request{
				Protocol: "h2", Method: "POST", Scheme: "https", Host: host, Port: 443, Path: "/v1/messages", Digest: receipts.Hash(nil), Size: &size,
			},
			DNS: &receipts.DNS{Resolver: "tls://192.0.2.53:853", Answers: []string{"192.0.2.1"}, CNAME: []string{}, TTL: 60},
			TLS: &receipts.TLS{Mode: "intercept", SNI: host, Version: "1.3", ALPN: "h2", PeerSPKI: receipts.Hash([]byte("spki"))},
			Forwarded: &receipts.ForwardedTo{
				PinnedIP: "192.0.2.1", Port: 443, StatusCode: &status, ResponseDigest: receipts.Hash([]byte("answer")), ResponseSize: &answer,
			},
		},
	}
}

// ReceiptAt is the receipt of a seq, as it was signed. It panics where there is
// none: the test is wrong.
func (c *Chain) ReceiptAt(seq int) *receipts.Receipt {
	r, err := receipts.Decode(c.Lines[seq-1])
	if err != nil {
		panic(err)
	}
	return r.(*receipts.Receipt)
}

// Denial is a denied exchange, to be changed and added.
func (c *Chain) Denial(host, trace, reason string) *receipts.Receipt {
	r := c.Receipt(host, trace)
	r.Outcome, r.Usage.VEX = receipts.Denied, 0
	r.Policy.Allowed, r.Policy.Reason, r.Policy.Rule = false, reason, ""
	r.Detail.DNS, r.Detail.TLS, r.Detail.Forwarded = nil, nil, nil
	return r
}

// Exchanges adds n forwarded exchanges, ten to a trace.
func (c *Chain) Exchanges(n int) {
	for i := range n {
		c.Add(c.Receipt("api.example", fmt.Sprintf("trace-%s-%d", c.ID[24:], (len(c.Lines)+i)/10)))
	}
}

// ChangeKey adds a key change; the new key signs from there on.
func (c *Chain) ChangeKey() {
	_, next, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // the system has no random numbers
	}
	c.Add(&receipts.Event{Event: receipts.EventKeyChange, Key: receipts.NewKeyChange(next, c.ID, receipts.KeyID(c.Public()))})
	c.Key = next
}

// Stop adds a clean stop.
func (c *Chain) Stop() { c.Add(&receipts.Event{Event: receipts.EventStop}) }

// Fork is another history from the first n records on: it has them, and differs
// in all that is added to either.
func (c *Chain) Fork(n int) *Chain {
	fork := &Chain{ID: c.ID, Tenant: c.Tenant, Agent: c.Agent, Key: c.Key, FirstKey: c.FirstKey, Step: c.Step, traces: receipts.NewTraces()}
	for _, line := range c.Lines[:n] {
		r, err := receipts.Decode(line)
		if err != nil {
			panic(err) // it was written here
		}
		fork.head = *r.RecordHead()
		fork.Lines = append(fork.Lines, line)
		if receipt, ok := r.(*receipts.Receipt); ok {
			fork.traces.Put(receipt.TraceID, receipt.Hop, receipt.ReceiptHash, receipt.Chain.Seq)
		}
	}
	fork.Now = fork.head.TS.Add(c.Step)
	return fork
}

// Recover is the chain after its disk was put back to the first n records, and an
// operator had it go on: its next record says that those up to last are lost.
// Lines does not have them.
func (c *Chain) Recover(n int, last int64) *Chain {
	back := c.Fork(n)
	lost := &receipts.Lost{Cause: receipts.LossRollback, First: back.head.Chain.Seq + 1, Last: last}
	back.head.Chain.Seq, back.traces, back.Now = last, receipts.NewTraces(), c.Now
	back.Add(&receipts.Event{Event: receipts.EventGap, Gap: &receipts.Gap{Lost: lost}})
	return back
}

// Heartbeat is the sidecar's word for where the chain ends, at a time.
func (c *Chain) Heartbeat(at time.Time) []byte {
	return receipts.SealHeartbeat(c.Key, &receipts.Heartbeat{Chain: c.ID, Seq: c.head.Chain.Seq, ReceiptHash: c.head.ReceiptHash, TS: at})
}
