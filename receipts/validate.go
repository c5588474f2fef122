package receipts

import (
	"bytes"
	"strings"

	"github.com/gowebpki/jcs"
)

// Validate tells whether a record may enter a chain: it is all that Decode asks
// of the values, but for receipt_hash and signature, which a writer adds last.
// The error is a *FieldError that names the first value that is wrong.
func Validate(r Record) error {
	var v validation
	v.head(r)
	switch r := r.(type) {
	case *Genesis:
		v.genesis(r)
	case *Event:
		v.event(r)
	case *Receipt:
		v.receipt(r)
	}
	return v.result()
}

// validateSeal checks the form of what a writer adds last.
func validateSeal(h *Head) error {
	var v validation
	v.digest("receipt_hash", h.ReceiptHash)
	v.exact("signature", h.Signature, 64)
	return v.result()
}

func (v *validation) head(r Record) {
	h := r.RecordHead()
	_, genesis := r.(*Genesis)
	v.uuid("chain.id", h.Chain.ID)
	v.integer("chain.seq", h.Chain.Seq, 1, maxInt)
	switch {
	case genesis && h.Chain.Seq != 1:
		v.fail("type", "a genesis at seq %d; it is seq 1", h.Chain.Seq)
	case !genesis && h.Chain.Seq == 1:
		v.fail("type", "seq 1 is the genesis, not %s", r.RecordType())
	case genesis && h.Chain.Prev != "":
		v.fail("chain.prev", "the genesis has none before it")
	case !genesis:
		v.digest("chain.prev", h.Chain.Prev)
	}
	v.time("ts", h.TS)
	v.exact("kid", h.KID, 32)
}

func (v *validation) genesis(g *Genesis) {
	v.text("tenant", g.Tenant)
	v.text("build", g.Build)
	v.digest("policy_version", g.PolicyVersion)
	if pub, err := DecodeKey(g.PublicKey); err != nil {
		v.fail("public_key", "%v", err)
	} else if id := KeyID(pub); id != g.KID {
		v.fail("kid", "%q, but the thumbprint of public_key is %q", g.KID, id)
	}
}

func (v *validation) event(e *Event) {
	v.member("build", e.Build != "", e.Event == EventStart)
	v.member("policy_version", e.PolicyVersion != "", e.Event == EventStart)
	v.member("gap", e.Gap != nil, e.Event == EventGap)
	v.member("key", e.Key != nil, e.Event == EventKeyChange)
	v.member("clock", e.Clock != nil, e.Event == EventClockStep)
	v.member("posture", e.Posture != nil, e.Event == EventPosture)
	if v.err != nil {
		return
	}
	switch e.Event {
	case EventStart:
		v.digest("policy_version", e.PolicyVersion)
	case EventStop:
	case EventGap:
		v.gap(e)
	case EventKeyChange:
		v.exact("key.kid", e.Key.KID, 32)
		v.exact("key.public_key", e.Key.PublicKey, 32)
		v.exact("key.proof", e.Key.Proof, 64)
	case EventClockStep:
		v.integer("clock.step_ms", e.Clock.StepMS, -maxInt, maxInt)
	case EventPosture:
		v.text("posture.name", e.Posture.Name)
	default:
		v.fail("event", "%q is not known", e.Event)
	}
}

func (v *validation) gap(e *Event) {
	v.integer("gap.unknown", e.Gap.Unknown, 0, maxInt)
	l := e.Gap.Lost
	if l == nil {
		return
	}
	v.oneOf("gap.lost.cause", string(l.Cause), string(LossDamage), string(LossRollback))
	v.member("gap.lost.last", l.Last != 0, l.First != 0)
	if l.First != 0 {
		v.integer("gap.lost.first", l.First, 1, e.Chain.Seq-1)
		v.integer("gap.lost.last", l.Last, l.First, e.Chain.Seq-1)
	}
}

func (v *validation) receipt(r *Receipt) {
	v.uuid("receipt_id", r.ReceiptID)
	v.traceID(r.TraceID)
	v.integer("hop", r.Hop, 1, maxInt)
	if r.Hop == 1 {
		v.member("prev_receipt_hash", r.PrevReceiptHash != "", false)
	} else {
		v.digest("prev_receipt_hash", r.PrevReceiptHash)
	}
	v.text("tenant", r.Tenant)
	v.oneOf("outcome", string(r.Outcome), string(Forwarded), string(Denied), string(Failed), string(Unknown))
	v.reason(r.Policy.Reason)
	v.oneOf("policy.mode", r.Policy.Mode, "enforce", "report")
	v.digest("policy.version", r.Policy.Version)
	v.texts("policy.flags", r.Policy.Flags)
	v.integer("usage.vex", r.Usage.VEX, 0, maxInt)
	v.integer("usage.fu", r.Usage.FU, 0, maxInt)
	v.integer("fu_tokens", r.FUTokens, 0, maxInt)
	v.texts("semantic_violations", r.SemanticViolations)
	v.integer("count", r.Count, 1, maxInt)
	v.optionalOneOf("internal", r.Internal, "model", "collector")
	v.digest("detail_digest", r.DetailDigest)
	v.ext(r.Ext)
	if r.Detail != nil {
		v.detail(r.Detail)
	}
}

// traceID is what an agent chose. It is held to visible ASCII because a trace
// is found again by it: two ids must not become one in the encoding.
func (v *validation) traceID(id string) {
	const maxLen = 128
	ok := id != "" && len(id) <= maxLen
	for i := range len(id) {
		ok = ok && id[i] > ' ' && id[i] < 0x7f
	}
	if !ok {
		v.fail("trace_id", "not 1 to %d characters of visible ASCII", maxLen)
	}
}

// reason has the form of a reason code. Which codes there are is the policy's
// to know, and new ones must not make a verifier old.
func (v *validation) reason(s string) {
	const maxLen = 64
	notCode := func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	}
	if s == "" || len(s) > maxLen || strings.ContainsFunc(s, notCode) {
		v.fail("policy.reason", "%.64q is not a reason code", s)
	}
}

// ext is the one open member, so its form is all that there is to check.
func (v *validation) ext(ext []byte) {
	if ext == nil {
		return
	}
	if tooDeep(ext, maxDepth-1) {
		v.fail("ext", "it nests deeper than %d levels", maxDepth-1)
		return
	}
	canonical, err := jcs.Transform(ext)
	switch {
	case err != nil:
		v.fail("ext", "%v", err)
	case canonical[0] != '{':
		v.fail("ext", "not an object")
	case !bytes.Equal(canonical, ext):
		v.fail("ext", "not in canonical form (RFC 8785)")
	}
}

func (v *validation) detail(d *Detail) {
	v.exact("detail.salt", d.Salt, 16)
	v.time("detail.started", d.Started)
	v.integer("detail.duration_us", d.DurationUS, 0, maxInt)
	if q := d.Request; q != nil {
		v.oneOf("detail.request.protocol", q.Protocol, "h1", "h2")
		v.text("detail.request.method", q.Method)
		v.text("detail.request.host", q.Host)
		v.port("detail.request.port", q.Port)
		v.optionalDigest("detail.request.digest", q.Digest)
		v.size("detail.request.size", q.Size)
		v.member("detail.request.size", q.Size != nil, q.Digest != "")
	}
	if n := d.DNS; n != nil {
		v.text("detail.dns.resolver", n.Resolver)
		for _, a := range n.Answers {
			v.address("detail.dns.answers", a)
		}
		v.texts("detail.dns.cname", n.CNAME)
		v.integer("detail.dns.ttl", n.TTL, 0, maxInt)
	}
	if t := d.TLS; t != nil {
		v.oneOf("detail.tls.mode", t.Mode, "intercept", "tunnel", "none")
		v.optionalOneOf("detail.tls.version", t.Version, "1.2", "1.3")
		v.optionalDigest("detail.tls.peer_spki", t.PeerSPKI)
	}
	if f := d.Forwarded; f != nil {
		v.forwarded(f)
	}
	if p := d.Payload; p != nil {
		v.payload(p)
	}
	if r := d.Repair; r != nil {
		v.repair(r)
	}
}

func (v *validation) forwarded(f *ForwardedTo) {
	v.address("detail.forwarded.pinned_ip", f.PinnedIP)
	v.port("detail.forwarded.port", f.Port)
	if f.StatusCode != nil {
		v.integer("detail.forwarded.status_code", *f.StatusCode, 100, 999)
	}
	v.optionalDigest("detail.forwarded.response_digest", f.ResponseDigest)
	v.size("detail.forwarded.response_size", f.ResponseSize)
	v.member("detail.forwarded.response_size", f.ResponseSize != nil, f.ResponseDigest != "")
	v.size("detail.forwarded.bytes_up", f.BytesUp)
	v.size("detail.forwarded.bytes_down", f.BytesDown)
}

func (v *validation) payload(p *Payload) {
	v.text("detail.payload.contract", p.Contract)
	v.optionalDigest("detail.payload.cid", p.CID)
	for i := range p.Facts {
		v.text("detail.payload.facts.name", p.Facts[i].Name)
		v.uuid("detail.payload.facts.receipt_id", p.Facts[i].ReceiptID)
	}
}

func (v *validation) repair(r *Repair) {
	v.oneOf("detail.repair.method", r.Method, "local", "model")
	v.digest("detail.repair.before", r.Before)
	v.digest("detail.repair.after", r.After)
	for i := range r.Edits {
		v.text("detail.repair.edits.op", r.Edits[i].Op)
		v.integer("detail.repair.edits.offset", r.Edits[i].Offset, 0, maxInt)
	}
}
