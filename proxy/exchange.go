package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http/httpguts"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/proxy/framing"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/resolver"
)

// Limits of a request head on any protocol; package framing has those of HTTP/1.
const (
	maxRequestTarget = 8 << 10 // bytes
	maxFields        = 100     // header fields
	maxQueryParams   = 1000    // parameters
)

// exchange is one request and its answer, or one tunnel, on its way through the
// pipeline. It becomes one receipt, which grows along the way. One goroutine
// owns it.
type exchange struct {
	p      *Proxy
	snap   *Snapshot
	w      http.ResponseWriter
	r      *http.Request
	tunnel *tunnel // the intercepted CONNECT around it; nil outside

	agent   string
	key     *APIKey // that selected the agent; nil where no key is needed
	unknown error   // why it is not known whose request it is

	started   time.Time
	carriedAt time.Time // when its intent was durable
	target    policy.Target
	decision  policy.Decision
	pin       *resolver.Pin
	remote    netip.AddrPort // what was connected to; not valid before
	receipt   *receipts.Receipt
	dissolved bool // a CONNECT whose inner exchanges are the record
	gathered  bool // one of many denials with one receipt
	logged    bool // the decision line is written

	bounds        bounds
	releaseLimits func() // nil: nothing was taken

	contract  Contract // that its bodies are held to; nil: none
	terms     Terms    // of contract
	came      *digest  // the body as the agent sends it; nil where it is not inspected
	inspected *Inspected
	answered  *kept // the answer, as far as it has come; nil where nothing of it is remembered

	sent, received *digest // bodies; nil where there is none to tell of
	end            end     // what the agent has not seen yet
}

// end is the part of an answer that waits for the receipt.
type end interface {
	// flush sends whatever stands before the held end.
	flush()
	// release lets the agent see the end: the receipt is durable.
	release()
	// refuse sends a denial where nothing was sent yet, and cuts otherwise.
	refuse(a *answerTo)
}

func (p *Proxy) accept(w http.ResponseWriter, r *http.Request) *exchange {
	now := p.Now()
	x := &exchange{p: p, snap: p.Snapshot(), w: w, r: r, tunnel: tunnelOf(r.Context()), started: now}
	x.agent, x.key, x.unknown = x.identify()
	trace := traceID(r.Header)
	if trace == "" {
		trace = p.sessions.trace(x.agent, now)
	}
	x.receipt = &receipts.Receipt{
		ReceiptID: newReceiptID(),
		TraceID:   trace,
		Tenant:    p.Tenant,
		Agent:     x.agent,
		APIKey:    x.key.id(),
		Outcome:   receipts.Unknown, // what the intent says, until it is closed
		Policy:    receipts.Policy{Reason: string(policy.OK), Mode: string(x.snap.Policy.Mode()), Version: x.snap.Version},
		Count:     1,
		Detail:    &receipts.Detail{Started: now},
	}
	if r.Method == http.MethodConnect || refusalOf(r.Context()) != nil {
		x.end = &lastEnd{w: w}
	} else {
		x.end = &answerEnd{w: w, r: r, rc: http.NewResponseController(w)}
	}
	return x
}

// identify says whose request it is: the sidecar's one agent's, the agent's whose
// key it carries, or inside a tunnel that of the CONNECT. Nothing else that a
// request says of its sender counts.
func (x *exchange) identify() (agent string, key *APIKey, err error) {
	if x.tunnel != nil {
		return x.tunnel.agent, x.tunnel.key, nil
	}
	key, err = x.snap.Agents.find(x.r.Header)
	if key == nil {
		return x.p.Agent, nil, err
	}
	return key.Agent, key, nil
}

func newReceiptID() string {
	id, err := uuid.NewV7()
	if err != nil {
		panic(err) // the system has no randomness; nothing can be signed either
	}
	return id.String()
}

// parse makes the one target that policy, resolver, dialer, SNI, Host and
// receipt use.
func (x *exchange) parse() error {
	if refusal := refusalOf(x.r.Context()); refusal != nil {
		return refuseHead(refusal)
	}
	target, err := x.parseTarget()
	if err != nil {
		return deny(policy.TargetMalformed, err.Error(), err)
	}
	x.target = target
	x.receipt.Detail.Request = &receipts.Request{
		Protocol: protocolOf(x.r), Method: methodOf(x.r), Scheme: target.Scheme,
		Host: target.Host, Port: int64(target.Port), Path: target.Path,
	}
	return x.checkHead()
}

func (x *exchange) parseTarget() (policy.Target, error) {
	r := x.r
	switch {
	case len(r.RequestURI) > maxRequestTarget:
		return policy.Target{}, errors.New("the request target is longer than 8192 bytes")
	case r.Method == http.MethodConnect && x.tunnel != nil:
		return policy.Target{}, errors.New("CONNECT inside an intercepted tunnel")
	case r.Method == http.MethodConnect:
		return policy.ParseAuthority(r.RequestURI)
	case x.tunnel == nil:
		return x.parseAbsolute()
	}
	t, err := x.tunnel.target.ParseOrigin(r.RequestURI)
	return x.upgraded(t), err
}

// parseAbsolute takes http only: whoever wants TLS has it from end to end, or
// terminated for a rule that says so, and both begin with CONNECT.
func (x *exchange) parseAbsolute() (policy.Target, error) {
	t, err := policy.ParseAbsolute(x.r.RequestURI)
	switch {
	case err != nil:
		return t, err
	case t.Scheme == "https" || t.Scheme == "wss":
		return t, fmt.Errorf("%s goes through a proxy by CONNECT", t.Scheme)
	case t.Scheme == "ws" && !wantsWebSocket(x.r):
		return t, errors.New("ws without a WebSocket handshake")
	}
	return x.upgraded(t), nil
}

// upgraded gives a WebSocket handshake its own scheme, so that it needs a rule
// of its own.
func (x *exchange) upgraded(t policy.Target) policy.Target {
	if !wantsWebSocket(x.r) {
		return t
	}
	switch t.Scheme {
	case "http":
		t.Scheme = "ws"
	case "https":
		t.Scheme = "wss"
	}
	return t
}

// inTheClear reports whether Signet is to the request what RFC 9110 calls a
// proxy, and says so in Via: not within TLS, which it only stands in for.
func (x *exchange) inTheClear() bool {
	return x.target.Scheme == "http" || x.target.Scheme == "ws"
}

// checkHead holds the parsed head against what net/http lets pass.
func (x *exchange) checkHead() error {
	r := x.r
	switch {
	case x.tunnel != nil && !x.tunnel.isFor(r):
		return deny(policy.AuthorityMismatch, "this connection was opened for "+x.tunnel.target.Authority()+"; open another for another host", nil)
	case !httpguts.ValidHeaderFieldName(r.Method): // a token, as a method is; over h2 net/http takes anything
		return deny(policy.TargetMalformed, "the method is not a token", nil)
	case untouchableInConnection(r.Header) != "":
		return deny(policy.TargetMalformed, "Connection may not name "+untouchableInConnection(r.Header), nil)
	case expectsMore(r.Header):
		return refuseExpectation()
	case wantsWebSocket(r) && r.ContentLength != 0: // it would still be read when the connection is no longer HTTP
		return deny(policy.TargetMalformed, "a WebSocket handshake has no content", nil)
	case r.Method == http.MethodTrace || r.Method == "TRACK":
		return deny(policy.MethodNotAllowed, "TRACE and TRACK are never carried", nil)
	case overriddenBy(r) != "":
		return deny(policy.MethodNotAllowed, overriddenBy(r)+" asks for another method than the request's, by which it is decided; send the request with that method", nil)
	case fieldCount(r.Header) > maxFields:
		return &denial{
			reason: policy.LimitExceeded, outcome: receipts.Denied, status: http.StatusRequestHeaderFieldsTooLarge,
			detail: "more than 100 header fields",
		}
	case r.ProtoMajor == 2 && fieldBytes(r.Header) > framing.MaxHeaderBlock: // of HTTP/1 framing knows
		return &denial{
			reason: policy.LimitExceeded, outcome: receipts.Denied, status: http.StatusRequestHeaderFieldsTooLarge,
			detail: "the header fields are larger than 32768 bytes",
		}
	case paramCount(x.target.Query) > maxQueryParams:
		return &denial{
			reason: policy.LimitExceeded, outcome: receipts.Denied, status: http.StatusRequestURITooLong,
			detail: "more than 1000 query parameters",
		}
	case x.inTheClear() && slices.ContainsFunc(r.Header["Via"], x.p.saysOurs):
		return deny(policy.LoopDetected, "this request has been through this proxy before", nil)
	}
	return nil
}

// decide asks the policy. A journal that cannot take the intent denies before
// any name is resolved.
func (x *exchange) decide() error {
	if x.unknown != nil {
		return deny(policy.AuthRequired, "", x.unknown)
	}
	request := policy.Request{Target: x.target, Method: x.r.Method, Agent: x.agent, Tunnel: x.r.Method == http.MethodConnect}
	x.decision = x.snap.Policy.Decide(&request)
	d := &x.decision
	x.receipt.Policy.Allowed, x.receipt.Policy.Reason, x.receipt.Policy.Rule = d.Allowed, string(d.Reason), d.Rule
	x.receipt.Policy.Flags = d.Flags
	if !d.Carries() {
		return deny(d.Reason, "", nil)
	}
	x.fallsUnder(&request)
	// An intercepted CONNECT is nearly always dissolved: its line waits.
	if !d.Intercept || x.r.Method != http.MethodConnect {
		x.logged = true
		x.p.logDecision(x.receipt)
	}
	if err := x.p.Journal.Err(); err != nil {
		return deny(policy.JournalUnavailable, "", err)
	}
	return x.limit()
}

// pinHost resolves and classifies; nothing but the pin can be dialled.
func (x *exchange) pinHost(ctx context.Context) error {
	pin, err := x.p.Pins.Pin(ctx, x.target.Host, x.target.Port, x.snap.Guard)
	if denied, ok := errors.AsType[*resolver.DeniedError](err); ok && denied.Answer != nil {
		x.describeNames(denied.Answer, denied.Rebound)
	}
	if err != nil {
		return x.resolveFailure(ctx, err)
	}
	x.pin = pin
	x.describeNames(pin, pin.Rebound)
	return nil
}

func (x *exchange) describeNames(pin *resolver.Pin, rebound bool) {
	x.receipt.Detail.DNS = dnsOf(pin, rebound)
}

func dnsOf(pin *resolver.Pin, rebound bool) *receipts.DNS {
	return &receipts.DNS{
		Resolver: cmp.Or(pin.Resolver, "literal"), Answers: addressTexts(pin.Addrs), CNAME: append([]string{}, pin.CNAME...),
		TTL: int64(pin.TTL / time.Second), Rebound: rebound,
	}
}

// intend makes the intent durable. Nothing has been sent before. A journal that
// still takes intents but not this one was handed a draft that is wrong.
func (x *exchange) intend() error {
	dissolve := ""
	if x.tunnel != nil {
		dissolve = x.tunnel.openIntent()
	}
	if err := x.p.Journal.Begin(x.receipt, dissolve); err != nil {
		if x.p.Journal.Err() == nil {
			return deny(policy.Internal, "", err)
		}
		return deny(policy.JournalUnavailable, "", err)
	}
	if x.tunnel != nil {
		x.tunnel.dissolve()
	}
	x.carriedAt = x.p.Now()
	return nil
}

// settle is every exchange's end: the receipt is made durable, then the agent
// sees the end of its answer, or why there is none.
func (x *exchange) settle(err error) {
	defer x.answered.drop()
	if x.releaseLimits != nil {
		x.releaseLimits()
	}
	d := x.conclude(err)
	if x.inspected != nil {
		x.inspected.Release()
	}
	if x.needsReceipt(d) {
		commit := x.p.Journal.Finish(x.receipt)
		x.end.flush()
		if err := commit.Wait(); err != nil {
			d = x.withoutReceipt(err)
		}
	}
	x.report(d)
	if d == nil {
		x.remember()
		x.end.release()
		return
	}
	x.end.refuse(x.answer(d))
}

// withoutReceipt says what becomes of an exchange whose receipt was not written.
// Where the journal works it has refused the receipt itself: a bare one then
// closes the intent, so that the exchange is on record all the same.
func (x *exchange) withoutReceipt(err error) *denial {
	if x.p.Journal.Err() != nil {
		return deny(policy.JournalUnavailable, "", err)
	}
	bare := *x.receipt
	bare.Outcome, bare.Usage, bare.Policy.Reason = receipts.Failed, receipts.Usage{}, string(policy.Internal)
	bare.Detail = &receipts.Detail{Started: x.receipt.Detail.Started, DurationUS: x.receipt.Detail.DurationUS}
	x.receipt = &bare
	if again := x.p.Journal.Finish(&bare).Wait(); again != nil {
		return deny(policy.JournalUnavailable, "", errors.Join(err, again))
	}
	return fail(policy.Internal, "Signet could not describe this exchange", err)
}

// needsReceipt is false where the record is another's: the inner exchanges' of a
// CONNECT, or that of many denials at once.
func (x *exchange) needsReceipt(d *denial) bool {
	switch {
	case x.dissolved || d != nil && d.reason == policy.JournalUnavailable:
		return false
	case d == nil || d.outcome != receipts.Denied || !x.carriedAt.IsZero():
		return true
	}
	id := x.p.denials.gather(x.receipt)
	if id == "" {
		return true
	}
	x.receipt.ReceiptID, x.gathered = id, true
	return false
}

func (x *exchange) answer(d *denial) *answerTo {
	id := x.receipt.ReceiptID
	if d.reason == policy.JournalUnavailable || x.dissolved {
		id = ""
	}
	a := d.answer(x.receipt.Policy.Rule, x.target.Host, id)
	if isGRPC(x.r) {
		return a.grpc()
	}
	return a
}

// conclude fills in what only the end of the exchange tells.
func (x *exchange) conclude(err error) *denial {
	rec := x.receipt
	rec.Detail.DurationUS = x.p.Now().Sub(x.started).Microseconds()
	x.describeBodies()
	if err == nil {
		rec.Outcome, rec.Usage.VEX = receipts.Forwarded, 1
		return nil
	}
	d, ok := errors.AsType[*denial](err)
	if !ok {
		d = fail(policy.Internal, "Signet failed while carrying this request", err)
	}
	if d.reason == policy.ClientAborted && x.p.cutting.Load() {
		d = fail(policy.Internal, "", errStopping) // the agent has not left, it was left
	}
	rec.Outcome = d.outcome
	if d.outcome == receipts.Denied {
		rec.Policy.Allowed = false
	}
	if d.outcome == receipts.Denied || x.decision.Allowed {
		rec.Policy.Reason = string(d.reason)
	}
	return d
}

// describeBodies freezes the digests: what moves afterwards is not part of the
// exchange.
func (x *exchange) describeBodies() {
	if req := x.receipt.Detail.Request; req != nil && x.sent != nil {
		sum, n := x.sent.freeze()
		req.Digest, req.Size = sum, &n
	}
	if fwd := x.receipt.Detail.Forwarded; fwd != nil && x.received != nil {
		sum, n := x.received.freeze()
		fwd.ResponseDigest, fwd.ResponseSize = sum, &n
	}
}

func addressTexts(addrs []netip.Addr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
