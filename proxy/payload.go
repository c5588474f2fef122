package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
)

// Contracts finds the contract that a request falls under; nil where it falls
// under none.
type Contracts interface {
	Contract(r *policy.Request) Contract
}

// Contract is what the bodies of one exchange must be.
type Contract interface {
	// Terms are what receipts say of the contract, its bodies apart.
	Terms() Terms
	// Inspect reads the request's body and says what may be sent. The error is
	// that of reading it.
	Inspect(ctx context.Context, b *Body) (*Inspected, error)
	// Hold makes room for n bytes more of an answer that is kept, or tells that
	// there is none; where n is negative it gives room back.
	Hold(n int) bool
	// Remember takes from an answer what later bodies are held against. It is
	// durable when it returns.
	Remember(ctx context.Context, a *Answer) error
}

// Terms are a contract's names, and what it does.
type Terms struct {
	Name, PayloadType, TargetType string
	Checks                        bool // request bodies
	Captures                      int  // bytes of an answer that are kept to be remembered; 0: it remembers nothing
	Report                        bool // what it refuses goes as it came, and is marked
}

// Body is a request's body, unread, and what the request says of it.
type Body struct {
	io.Reader
	Length         int64 // as declared; negative: not
	Encoding, Type string
	Signed         bool // a field of the request vouches for the bytes: they cannot be changed

	Tenant, Agent, Trace string
	Target               policy.Target
	Method               string
}

// Inspected is what became of a body.
type Inspected struct {
	Refusal *PayloadRefusal // nil: it may go
	Body    []byte          // to send: what was checked, without compression
	Raw     []byte          // what came, as far as it was read
	Cut     bool            // more than Raw is still to be read

	CID        string
	Facts      []receipts.Fact
	Repair     *receipts.Repair // nil: nothing was mended
	FUTokens   int64            // that a model took
	Violations []string         // ids of rules
	Release    func()           // ends the use of Body and Raw
}

// PayloadRefusal is why a body may not go.
type PayloadRefusal struct {
	Reason policy.Reason
	Detail string // for the agent
	Err    error  // for the log
	Busy   bool   // it may go in a moment
}

// Answer is an upstream's answer, as it came.
type Answer struct {
	Body     []byte
	Encoding string

	Tenant, Agent, Trace, ReceiptID string
}

// fallsUnder finds the exchange's contract, which stands in the intent already.
func (x *exchange) fallsUnder(r *policy.Request) {
	if x.snap.Contracts == nil || r.Tunnel {
		return
	}
	if x.contract = x.snap.Contracts.Contract(r); x.contract == nil {
		return
	}
	x.terms = x.contract.Terms()
	x.receipt.Detail.Payload = &receipts.Payload{Contract: x.terms.Name, PayloadType: x.terms.PayloadType, TargetType: x.terms.TargetType}
}

// holds tells whether a contract would hold the request to something.
func (s *Snapshot) holds(r *policy.Request) bool {
	if s.Contracts == nil || r.Tunnel || s.Policy.Mode() == policy.Report {
		return false
	}
	c := s.Contracts.Contract(r)
	return c != nil && c.Terms().Checks && !c.Terms().Report
}

// inspect holds the request's body to its contract. Nothing of it has been sent,
// and what will be is what was checked. Where the contract, or the policy, only
// reports, the body goes as it came.
func (x *exchange) inspect(ctx context.Context) error {
	if !x.terms.Checks || x.r.ContentLength == 0 && !meantToHaveBody(x.r.Method) && !wantsWebSocket(x.r) {
		return nil
	}
	refusal := &PayloadRefusal{Reason: policy.PayloadNotInspectable, Detail: "a WebSocket cannot be held to the contract that this path is under"}
	if !wantsWebSocket(x.r) {
		var err error
		if refusal, err = x.inspectBody(ctx); err != nil {
			return err
		}
	}
	if refusal == nil {
		return nil
	}
	if x.onlyReports() {
		p := &x.receipt.Policy
		p.Allowed, p.Reason, p.Mode = false, string(refusal.Reason), string(policy.Report)
		x.decision.Allowed = false
		return nil
	}
	d := deny(refusal.Reason, refusal.Detail, refusal.Err)
	d.contract, d.violations = x.terms.Name, x.receipt.SemanticViolations
	if refusal.Busy {
		d.status, d.retryAfter = http.StatusServiceUnavailable, time.Second
	}
	return d
}

// onlyReports tells whether the body goes as it came, whatever becomes of it.
func (x *exchange) onlyReports() bool {
	return x.terms.Report || x.snap.Policy.Mode() == policy.Report
}

func (x *exchange) inspectBody(ctx context.Context) (*PayloadRefusal, error) {
	came := newDigest(x.requestBody(), x.bounds.up, nil)
	x.end.(*answerEnd).request = came
	r := x.r
	in, err := x.contract.Inspect(ctx, &Body{
		Reader: came, Length: r.ContentLength,
		Encoding: said(r.Header, "Content-Encoding"), Type: said(r.Header, "Content-Type"), Signed: vouchesForBody(r.Header),
		Tenant: x.p.Tenant, Agent: x.agent, Trace: x.receipt.TraceID, Target: x.target, Method: r.Method,
	})
	if in != nil {
		x.inspected = in
		x.came = came
	}
	if err != nil {
		return nil, x.unread(ctx, came, err)
	}
	x.describePayload(in)
	return in.Refusal, nil
}

// unread says why a body was not read to its end. None of it was sent.
func (x *exchange) unread(ctx context.Context, came *digest, err error) *denial {
	if errors.Is(err, errOverBytes) {
		return x.overRequestBytes(deny)
	}
	x.sent = came
	d := x.carryFailure(ctx, err)
	x.sent = nil
	return d
}

func (x *exchange) describePayload(in *Inspected) {
	p := x.receipt.Detail.Payload
	p.CID, p.Facts = in.CID, in.Facts
	if !x.onlyReports() {
		x.receipt.Detail.Repair = in.Repair
	}
	x.receipt.SemanticViolations = in.Violations
	x.receipt.FUTokens, x.receipt.Usage.FU = in.FUTokens, in.FUTokens
	x.receipt.FallbackUsed = in.Repair != nil && in.Repair.Method == "model"
}

// checkedBody is the body that may be sent, and its length; nil where nothing was
// inspected.
func (x *exchange) checkedBody() (io.ReadCloser, int64) {
	in := x.inspected
	switch {
	case in == nil:
		return nil, 0
	case !x.onlyReports():
		return io.NopCloser(bytes.NewReader(in.Body)), int64(len(in.Body))
	case in.Cut:
		return &prefixed{Reader: io.MultiReader(bytes.NewReader(in.Raw), x.came), Closer: x.came}, x.r.ContentLength
	}
	return io.NopCloser(bytes.NewReader(in.Raw)), int64(len(in.Raw))
}

type prefixed struct {
	io.Reader
	io.Closer
}

// suitContract fits the header to what the contract does: a body that was checked
// is not compressed, and an answer that is to be remembered must be readable.
func (x *exchange) suitContract(h http.Header) {
	if x.inspected != nil && !x.onlyReports() {
		maps.DeleteFunc(h, func(name string, _ []string) bool { return dashed(name) == "Content-Encoding" })
	}
	if x.terms.Captures > 0 {
		h["Accept-Encoding"] = []string{readableCodings(h["Accept-Encoding"])}
	}
}

// readableCodings are those of an Accept-Encoding that can be undone, as the agent
// has weighed them (RFC 9110, section 12.5.3).
func readableCodings(accepted []string) string {
	var list []string
	for coding := range strings.SplitSeq(strings.Join(accepted, ","), ",") {
		coding = strings.TrimSpace(coding)
		name, _, _ := strings.Cut(coding, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip", "deflate", "br", "zstd", "identity":
			list = append(list, coding)
		}
	}
	if len(list) == 0 {
		return "identity"
	}
	return strings.Join(list, ", ")
}

// meantToHaveBody tells whether the method's meaning is its body (RFC 9110,
// section 9.3; RFC 5789), so that none is nothing that a contract could hold.
func meantToHaveBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// vouching are fields that hold a digest or a signature of the body (RFC 9530,
// RFC 9421, RFC 1864, AWS Signature Version 4).
var vouching = [...]string{"Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Signature", "X-Amz-Content-Sha256"}

func vouchesForBody(h http.Header) bool {
	return slices.ContainsFunc(vouching[:], func(name string) bool { return len(h[name]) > 0 })
}

// kept is an answer's body as it passes, up to a limit and as far as there is room.
type kept struct {
	io.Reader
	limit    int
	hold     func(n int) bool
	encoding string
	body     []byte
	over     bool
}

// Read implements io.Reader.
func (k *kept) Read(p []byte) (int, error) {
	n, err := k.Reader.Read(p)
	switch {
	case k.over:
	case len(k.body)+n > k.limit || !k.hold(n):
		k.over = true
		k.drop()
	default:
		k.body = append(k.body, p[:n]...)
	}
	return n, err
}

// drop forgets the body, and gives its room back.
func (k *kept) drop() {
	if k != nil {
		k.hold(-len(k.body))
		k.body = nil
	}
}

// keep has an answer kept that its contract remembers something of: a whole one
// that says that the request was met (RFC 9110, section 15.3).
func (x *exchange) keep(resp *http.Response, body io.Reader) io.Reader {
	if x.terms.Captures == 0 || resp.StatusCode/100 != 2 || resp.StatusCode == http.StatusPartialContent || bodyless(x.r.Method, resp) {
		return body
	}
	x.answered = &kept{Reader: body, limit: x.terms.Captures, hold: x.contract.Hold, encoding: said(resp.Header, "Content-Encoding")}
	return x.answered
}

// remember hands the answer to the contract. The receipt is durable, so that what
// is remembered never names one that is not there; and the agent has not seen the
// end, so that its next request finds the fact.
func (x *exchange) remember() {
	if x.answered == nil {
		return
	}
	err := errors.New("the answer is larger than what is inspected, or there is no room for it at this moment")
	if !x.answered.over {
		err = x.contract.Remember(context.WithoutCancel(x.r.Context()), &Answer{
			Body: x.answered.body, Encoding: x.answered.encoding,
			Tenant: x.p.Tenant, Agent: x.agent, Trace: x.receipt.TraceID, ReceiptID: x.receipt.ReceiptID,
		})
	}
	if err != nil {
		x.p.Logger.Warn("nothing was remembered of an answer", "receipt_id", x.receipt.ReceiptID, "contract", x.terms.Name, "error", err.Error())
	}
}
