package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/resolver"
)

// Own carries Signet's own requests to one destination, which its configuration
// names: pinned like an agent's, with an intent and a receipt, and no VEX. It is
// an http.RoundTripper that follows nothing and knows no proxy.
type Own struct {
	Proxy   *Proxy
	Purpose string        // model | collector: what receipts call it
	Target  policy.Target // scheme, host and port; a request to another is refused
	Guard   func() *resolver.Guard
}

// longestOwn bounds an answer, in bytes.
const longestOwn = 4 << 20

// RoundTrip implements http.RoundTripper. The answer is whole, and its receipt
// durable, when it returns.
func (o *Own) RoundTrip(req *http.Request) (*http.Response, error) {
	if !o.Target.SameAuthority(req.URL.Host) || req.URL.Scheme != o.Target.Scheme {
		return nil, fmt.Errorf("%s is not where requests of the %s go", req.URL.Host, o.Purpose)
	}
	p := o.Proxy
	started := p.Now()
	rec := o.begun(req, started)
	body, err := ownBody(req, rec)
	if err != nil {
		return nil, err
	}
	pin, err := p.Pins.Pin(req.Context(), o.Target.Host, o.Target.Port, o.Guard())
	if err != nil {
		return nil, fmt.Errorf("resolving the endpoint: %w", err)
	}
	rec.Detail.DNS = dnsOf(pin, pin.Rebound)
	if err := p.Journal.Begin(rec, ""); err != nil {
		return nil, fmt.Errorf("no intent: %w", err)
	}
	resp, err := o.carry(req, body, pin, rec)
	rec.Detail.DurationUS = p.Now().Sub(started).Microseconds()
	if err != nil {
		rec.Outcome, rec.Policy.Reason = receipts.Failed, string(policy.UpstreamFailed)
	}
	if broken := p.Journal.Finish(rec).Wait(); broken != nil {
		return nil, errors.Join(err, fmt.Errorf("no receipt: %w", broken))
	}
	return resp, err
}

// begun is the receipt as the intent has it.
func (o *Own) begun(req *http.Request, started time.Time) *receipts.Receipt {
	snap := o.Proxy.Snapshot()
	id := newReceiptID()
	return &receipts.Receipt{
		ReceiptID: id, TraceID: "signet-" + id, Tenant: o.Proxy.Tenant, Agent: o.Proxy.Agent, Internal: o.Purpose,
		Outcome: receipts.Unknown, Count: 1,
		Policy: receipts.Policy{Allowed: true, Reason: string(policy.OK), Mode: string(snap.Policy.Mode()), Version: snap.Version},
		Detail: &receipts.Detail{Started: started, Request: &receipts.Request{
			Protocol: "h1", Method: req.Method, Scheme: o.Target.Scheme, Host: o.Target.Host, Port: int64(o.Target.Port), Path: req.URL.Path,
		}},
	}
}

// ownBody reads the request's body, which is short, and digests it.
func ownBody(req *http.Request, rec *receipts.Receipt) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	defer func() { _ = req.Body.Close() }()
	d := newDigest(req.Body, 0, nil)
	body, err := io.ReadAll(d)
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	sum, size := d.freeze()
	rec.Detail.Request.Digest, rec.Detail.Request.Size = sum, &size
	return body, nil
}

// carry sends the request to the pin and reads the answer.
func (o *Own) carry(req *http.Request, body []byte, pin *resolver.Pin, rec *receipts.Receipt) (*http.Response, error) {
	route := &Route{
		Tenant: o.Proxy.Tenant, Version: rec.Policy.Version, Host: o.Target.Host, Port: o.Target.Port,
		TLS: o.Target.Scheme == "https", Pin: pin, Guard: o.Guard(),
	}
	ctx, cancel := context.WithCancel(WithRoute(req.Context(), route))
	defer cancel()
	out := req.Clone(ctx)
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp, err := o.Proxy.Upstream.RoundTrip(out)
	rec.Detail.TLS = &receipts.TLS{Mode: "none"}
	describe(rec.Detail, route)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	status := int64(resp.StatusCode)
	d := newDigest(resp.Body, longestOwn, nil)
	answer, err := io.ReadAll(d)
	if fwd := rec.Detail.Forwarded; fwd != nil && status >= 100 && status <= 999 {
		sum, size := d.freeze()
		fwd.StatusCode, fwd.ResponseDigest, fwd.ResponseSize = &status, sum, &size
	}
	if resp.ProtoMajor == 2 {
		rec.Detail.Request.Protocol = "h2"
	}
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	rec.Outcome = receipts.Forwarded
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	return resp, nil
}
