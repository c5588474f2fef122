package receipts

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	negative, huge := int64(-1), int64(maxInt+1)
	tests := []struct {
		field  string
		change func(r *Receipt)
	}{
		{"chain.id", func(r *Receipt) { r.Chain.ID = strings.ToUpper(r.Chain.ID) }},
		{"chain.id", func(r *Receipt) { r.Chain.ID = "0199f3a1-7c00-4000-8000-000000000001" }}, // version 4
		{"chain.seq", func(r *Receipt) { r.Chain.Seq = 0 }},
		{"chain.seq", func(r *Receipt) { r.Chain.Seq = huge }},
		{"type", func(r *Receipt) { r.Chain.Seq = 1 }},
		{"chain.prev", func(r *Receipt) { r.Chain.Prev = "" }},
		{"chain.prev", func(r *Receipt) { r.Chain.Prev = strings.ToUpper(r.Chain.Prev) }},
		{"ts", func(r *Receipt) { r.TS = time.Time{} }},
		{"ts", func(r *Receipt) { r.TS = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"kid", func(r *Receipt) { r.KID += "A" }},
		{"receipt_id", func(r *Receipt) { r.ReceiptID = "1" }},
		{"trace_id", func(r *Receipt) { r.TraceID = "" }},
		{"trace_id", func(r *Receipt) { r.TraceID = "a\xff" }},
		{"trace_id", func(r *Receipt) { r.TraceID = strings.Repeat("a", 129) }},
		{"hop", func(r *Receipt) { r.Hop = 0 }},
		{"prev_receipt_hash", func(r *Receipt) { r.PrevReceiptHash = Hash(nil) }},
		{"prev_receipt_hash", func(r *Receipt) { r.Hop = 2 }},
		{"tenant", func(r *Receipt) { r.Tenant = "" }},
		{"outcome", func(r *Receipt) { r.Outcome = "maybe" }},
		{"policy.reason", func(r *Receipt) { r.Policy.Reason = "not ok" }},
		{"policy.mode", func(r *Receipt) { r.Policy.Mode = "" }},
		{"policy.version", func(r *Receipt) { r.Policy.Version = "7" }},
		{"policy.flags", func(r *Receipt) { r.Policy.Flags = []string{""} }},
		{"usage.vex", func(r *Receipt) { r.Usage.VEX = negative }},
		{"usage.fu", func(r *Receipt) { r.Usage.FU = huge }},
		{"fu_tokens", func(r *Receipt) { r.FUTokens = huge }},
		{"semantic_violations", func(r *Receipt) { r.SemanticViolations = []string{"a", ""} }},
		{"count", func(r *Receipt) { r.Count = 0 }},
		{"internal", func(r *Receipt) { r.Internal = "agent" }},
		{"detail_digest", func(r *Receipt) { r.DetailDigest = "" }},
		{"ext", func(r *Receipt) { r.Ext = []byte(`[]`) }},
		{"ext", func(r *Receipt) { r.Ext = []byte(`{ }`) }},
		{"ext", func(r *Receipt) { r.Ext = []byte(`{"a":1,"a":1}`) }},
		{"ext", func(r *Receipt) { r.Ext = []byte{} }},
		{"detail.salt", func(r *Receipt) { r.Detail.Salt = "AAAA" }},
		{"detail.salt", func(r *Receipt) { r.Detail.Salt = "AAECAwQFBgcICQoLDA0ODx" }}, // trailing bits
		{"detail.started", func(r *Receipt) { r.Detail.Started = time.Time{} }},
		{"detail.duration_us", func(r *Receipt) { r.Detail.DurationUS = negative }},
		{"detail.request.protocol", func(r *Receipt) { r.Detail.Request.Protocol = "h3" }},
		{"detail.request.method", func(r *Receipt) { r.Detail.Request.Method = "" }},
		{"detail.request.host", func(r *Receipt) { r.Detail.Request.Host = "" }},
		{"detail.request.port", func(r *Receipt) { r.Detail.Request.Port = 0 }},
		{"detail.request.digest", func(r *Receipt) { r.Detail.Request.Digest = "sha1:" }},
		{"detail.request.size", func(r *Receipt) { r.Detail.Request.Size = nil }},
		{"detail.request.size", func(r *Receipt) { r.Detail.Request.Digest = "" }},
		{"detail.dns.resolver", func(r *Receipt) { r.Detail.DNS.Resolver = "" }},
		{"detail.dns.answers", func(r *Receipt) { r.Detail.DNS.Answers = []string{"192.0.2.01"} }},
		{"detail.dns.answers", func(r *Receipt) { r.Detail.DNS.Answers = []string{"2001:DB8::1"} }},
		{"detail.dns.cname", func(r *Receipt) { r.Detail.DNS.CNAME = []string{""} }},
		{"detail.dns.ttl", func(r *Receipt) { r.Detail.DNS.TTL = negative }},
		{"detail.tls.mode", func(r *Receipt) { r.Detail.TLS.Mode = "off" }},
		{"detail.tls.version", func(r *Receipt) { r.Detail.TLS.Version = "1.1" }},
		{"detail.tls.peer_spki", func(r *Receipt) { r.Detail.TLS.PeerSPKI = "pin" }},
		{"detail.forwarded.pinned_ip", func(r *Receipt) { r.Detail.Forwarded.PinnedIP = "fe80::1%eth0" }},
		{"detail.forwarded.port", func(r *Receipt) { r.Detail.Forwarded.Port = 65536 }},
		{"detail.forwarded.status_code", func(r *Receipt) { r.Detail.Forwarded.StatusCode = &negative }},
		{"detail.forwarded.response_digest", func(r *Receipt) { r.Detail.Forwarded.ResponseDigest = "x" }},
		{"detail.forwarded.response_size", func(r *Receipt) { r.Detail.Forwarded.ResponseDigest = "" }},
		{"detail.forwarded.bytes_up", func(r *Receipt) { r.Detail.Forwarded.BytesUp = &negative }},
		{"detail.forwarded.bytes_down", func(r *Receipt) { r.Detail.Forwarded.BytesDown = &huge }},
		{"detail.payload.contract", func(r *Receipt) { r.Detail.Payload.Contract = "" }},
		{"detail.payload.cid", func(r *Receipt) { r.Detail.Payload.CID = "x" }},
		{"detail.payload.facts.name", func(r *Receipt) { r.Detail.Payload.Facts[0].Name = "" }},
		{"detail.payload.facts.receipt_id", func(r *Receipt) { r.Detail.Payload.Facts[0].ReceiptID = "" }},
		{"detail.repair.method", func(r *Receipt) { r.Detail.Repair.Method = "guess" }},
		{"detail.repair.before", func(r *Receipt) { r.Detail.Repair.Before = "" }},
		{"detail.repair.after", func(r *Receipt) { r.Detail.Repair.After = "" }},
		{"detail.repair.edits.op", func(r *Receipt) { r.Detail.Repair.Edits[0].Op = "" }},
		{"detail.repair.edits.offset", func(r *Receipt) { r.Detail.Repair.Edits[0].Offset = negative }},
	}
	for _, tt := range tests {
		r := sealedExchange()
		if err := Validate(r); err != nil {
			t.Fatal(err)
		}
		tt.change(r)
		var bad *FieldError
		if err := Validate(r); !errors.As(err, &bad) || bad.Field != tt.field {
			t.Errorf("got %v, want an error of %s", err, tt.field)
		}
	}
}

func TestValidateGenesisAndEvents(t *testing.T) {
	head := sealedExchange().Head
	genesis := func() *Genesis {
		return &Genesis{
			Head:   Head{Chain: Chain{ID: testChain, Seq: 1}, TS: head.TS, KID: head.KID},
			Tenant: "acme", Build: "v0", PublicKey: EncodeKey(public(testKey(1))), PolicyVersion: Hash(nil),
		}
	}
	with := func(change func(*Genesis)) Record { g := genesis(); change(g); return g }
	tests := []struct {
		field string // "" for a good record
		r     Record
	}{
		{"", genesis()},
		{"type", with(func(g *Genesis) { g.Chain.Seq = 2 })},
		{"chain.prev", with(func(g *Genesis) { g.Chain.Prev = Hash(nil) })},
		{"tenant", with(func(g *Genesis) { g.Tenant = "" })},
		{"policy_version", with(func(g *Genesis) { g.PolicyVersion = "" })},
		{"public_key", with(func(g *Genesis) { g.PublicKey = EncodeKey(make([]byte, 32)) })},
		{"kid", with(func(g *Genesis) { g.PublicKey = EncodeKey(public(testKey(2))) })},
		{"", &Event{Head: head, Event: EventStop}},
		{"event", &Event{Head: head, Event: "reboot"}},
		{"gap", &Event{Head: head, Event: EventStop, Gap: &Gap{}}},
		{"gap", &Event{Head: head, Event: EventGap}},
		{"gap.unknown", &Event{Head: head, Event: EventGap, Gap: &Gap{Unknown: -1}}},
		{"gap.lost.cause", &Event{Head: head, Event: EventGap, Gap: &Gap{Lost: &Lost{Cause: "theft"}}}},
		{"gap.lost.last", &Event{Head: head, Event: EventGap, Gap: &Gap{Lost: &Lost{Cause: LossDamage, First: 1}}}},
		{"gap.lost.last", &Event{Head: head, Event: EventGap, Gap: &Gap{Lost: &Lost{Cause: LossDamage, Last: 1}}}},
		{"gap.lost.last", &Event{Head: head, Event: EventGap, Gap: &Gap{Lost: &Lost{Cause: LossDamage, First: 1, Last: head.Chain.Seq}}}},
		{"build", &Event{Head: head, Event: EventStart, PolicyVersion: Hash(nil)}},
		{"policy_version", &Event{Head: head, Event: EventStart, Build: "v0"}},
		{"key", &Event{Head: head, Event: EventKeyChange}},
		{"key.proof", &Event{Head: head, Event: EventKeyChange, Key: &KeyChange{KID: head.KID, PublicKey: head.KID}}},
		{"clock.step_ms", &Event{Head: head, Event: EventClockStep, Clock: &ClockStep{StepMS: -maxInt - 1}}},
		{"posture.name", &Event{Head: head, Event: EventPosture, Posture: &Posture{}}},
	}
	for _, tt := range tests {
		err := Validate(tt.r)
		var bad *FieldError
		if tt.field == "" && err == nil {
			continue
		}
		if !errors.As(err, &bad) || bad.Field != tt.field {
			t.Errorf("%s: got %v, want an error of %q", tt.r.RecordType(), err, tt.field)
		}
	}
}
