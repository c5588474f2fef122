package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/proxy/framing"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/resolver"
)

// errIdle is the cause of a context that ended because nothing moved.
var errIdle = errors.New("nothing was sent or received for too long")

// forward sends the request to the pin and streams the answer back, all but
// its end.
func (x *exchange) forward(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(x.p.Timeouts.Idle, func() { cancel(errIdle) })
	defer func() {
		x.sent.stop() // nothing resets the clock any more
		idle.Stop()
	}()
	moved := func(int) { idle.Reset(x.p.Timeouts.Idle) }

	end := x.end.(*answerEnd)
	body, length := x.checkedBody()
	if body != nil {
		x.sent = newDigest(body, 0, moved)
	} else {
		x.sent, length = newDigest(x.requestBody(), x.bounds.up, moved), x.r.ContentLength
		if length != 0 {
			end.request = x.sent
		}
	}
	route := x.route()
	route.Informational = end.informational
	resp, err := x.p.Upstream.RoundTrip(x.outbound(WithRoute(ctx, route), length))
	end.finalAnswer()
	x.describeConn(route)
	if err != nil {
		return x.carryFailure(ctx, err)
	}
	defer func() {
		cancel(nil) // over h2, Close would else wait for a read of the request's content, and so for the agent
		_ = resp.Body.Close()
	}()
	if x.receipt.Detail.Forwarded == nil {
		return fail(policy.Internal, "", errors.New("the transport did not say where the request went"))
	}
	if resp.StatusCode < 100 || resp.StatusCode > 999 { // net/http reads any number, and panics when it writes it
		return fail(policy.UpstreamFailed, "the upstream answered with a status that HTTP does not have", nil)
	}

	status := int64(resp.StatusCode)
	x.receipt.Detail.Forwarded.StatusCode = &status
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return x.switchProtocols(resp)
	}
	if x.bounds.down > 0 && resp.ContentLength > x.bounds.down {
		return x.overResponseBytes()
	}
	x.received = newDigest(resp.Body, x.bounds.down, moved)
	buf := x.p.buffers.get()
	defer x.p.buffers.put(buf)
	end.header(resp, x.receipt.ReceiptID)
	if err := end.stream(resp, x.keep(resp, x.received), *buf); err != nil {
		return x.streamFailure(ctx, err)
	}
	return nil
}

// route is where the exchange goes: its pin and the TLS settings.
func (x *exchange) route() *Route {
	return &Route{
		Tenant: x.p.Tenant, Version: x.snap.Version, Host: x.target.Host, Port: x.target.Port,
		TLS:       x.target.Scheme == "https" || x.target.Scheme == "wss",
		HTTP1Only: x.target.Scheme == "wss",
		Pin:       x.pin, Guard: x.snap.Guard,
	}
}

// outbound is the request as it leaves: made anew from the target and the
// cleaned header, never from the agent's bytes. length is the body's; negative
// where it is not known.
func (x *exchange) outbound(ctx context.Context, length int64) *http.Request {
	scheme := "http"
	if x.target.Scheme == "https" || x.target.Scheme == "wss" {
		scheme = "https"
	}
	h := maps.Clone(x.r.Header)
	upgrade, trailers := wantsWebSocket(x.r), wantsTrailers(h)
	dropConnectionFields(h)
	dropSignetFields(h)
	dropSpoofable(h)
	if upgrade {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
		delete(h, extensionsField)
	}
	if trailers {
		h["Te"] = []string{"trailers"}
	}
	x.suitContract(h)
	if x.inTheClear() {
		h["Via"] = append(h["Via"][:len(h["Via"]):len(h["Via"])], "1.1 "+x.p.Via)
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // keeps net/http from adding its own
	}
	out := &http.Request{
		Method: x.r.Method, Host: x.target.HostHeader(), Header: h, ContentLength: length,
		URL:   originURL(scheme, &x.target),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if length != 0 {
		out.Body = x.sent
	}
	return out.WithContext(ctx)
}

// originURL has the target's path go out byte for byte. Opaque does that, but
// for a path that starts with "//", which net/url takes for an authority.
func originURL(scheme string, t *policy.Target) *url.URL {
	u := &url.URL{Scheme: scheme, Host: t.Authority(), Opaque: t.Path, RawQuery: t.Query, ForceQuery: t.ForceQuery}
	if !strings.HasPrefix(t.Path, "//") {
		return u
	}
	path, err := url.PathUnescape(t.Path)
	if err != nil {
		path = t.Path
	}
	u.Opaque, u.Path, u.RawPath = "", path, t.Path
	return u
}

// requestBody is the agent's body, which must keep moving.
func (x *exchange) requestBody() io.ReadCloser {
	if x.r.ContentLength == 0 {
		return http.NoBody
	}
	rc := http.NewResponseController(x.w)
	if x.r.ProtoMajor == 1 {
		_ = rc.EnableFullDuplex() // an upstream may answer while the agent still sends
	}
	body := &movingBody{src: x.r.Body, rc: rc, stall: x.p.Timeouts.BodyStall}
	if end, ok := x.end.(*answerEnd); ok {
		end.body = body
	}
	return body
}

// describeConn notes the connection that the exchange used, if any was made.
func (x *exchange) describeConn(route *Route) {
	d := x.receipt.Detail
	if d.TLS == nil {
		d.TLS = &receipts.TLS{Mode: "none"}
		if x.tunnel != nil {
			d.TLS = &receipts.TLS{Mode: "intercept", SNI: x.tunnel.hello.sni, ECH: x.tunnel.hello.ech}
		}
	}
	if route.Conn.Remote.IsValid() {
		x.remote = route.Conn.Remote
	}
	describe(d, route)
}

// describe notes the connection that a route led to, if there is one.
func describe(d *receipts.Detail, route *Route) {
	if !route.Conn.Remote.IsValid() {
		return
	}
	d.Forwarded = &receipts.ForwardedTo{PinnedIP: route.Conn.Remote.Addr().String(), Port: int64(route.Conn.Remote.Port())}
	if state := route.Conn.TLS; state != nil {
		d.TLS.Version, d.TLS.ALPN = tlsVersion(state.Version), state.NegotiatedProtocol
		if len(state.PeerCertificates) > 0 {
			sum := sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
			d.TLS.PeerSPKI = "sha256:" + hex.EncodeToString(sum[:])
		}
	}
}

func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return ""
}

// resolveFailure says why there is no pin.
func (x *exchange) resolveFailure(ctx context.Context, err error) *denial {
	if denied, ok := errors.AsType[*resolver.DeniedError](err); ok {
		return deny(policy.AddressDenied, "the host resolves to an address of class "+denied.Verdict.Class, err)
	}
	if ctx.Err() != nil {
		return fail(policy.ClientAborted, "", err)
	}
	detail := "the name could not be resolved"
	if lookup, ok := errors.AsType[*resolver.LookupError](err); ok {
		switch {
		case lookup.NotFound:
			detail = "the name does not exist"
		case lookup.Timeout:
			detail = "no name server answered in time"
		}
	}
	return deny(policy.ResolveFailed, detail, err)
}

// carryFailure says why there is no answer.
func (x *exchange) carryFailure(ctx context.Context, err error) *denial {
	if errors.Is(context.Cause(ctx), errIdle) {
		return fail(policy.UpstreamTimeout, "nothing moved for the idle limit", err)
	}
	if d := x.requestFailure(ctx, err); d != nil {
		return d
	}
	if denied, ok := errors.AsType[*resolver.DeniedError](err); ok {
		return deny(policy.AddressDenied, "the address is of class "+denied.Verdict.Class, err)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return fail(policy.UpstreamTimeout, "the upstream did not answer in time", err)
	}
	if malformed, ok := errors.AsType[*framing.Error](err); ok {
		return misframedAnswer(malformed)
	}
	if isCertificateError(err) {
		return fail(policy.UpstreamFailed, "the upstream's certificate could not be verified", err)
	}
	return fail(policy.UpstreamFailed, "the connection to the upstream failed", err)
}

// requestFailure says what of the agent's has ended the exchange; nil where it was
// nothing.
func (x *exchange) requestFailure(ctx context.Context, err error) *denial {
	var failed error
	if x.sent != nil {
		failed = x.sent.failed()
	}
	switch {
	case errors.Is(failed, errOverBytes):
		return x.overRequestBytes(fail)
	case failed != nil && misframed(x.r.Context()) != nil:
		return fail(policy.TargetMalformed, misframed(x.r.Context()).Detail, err)
	case failed != nil || ctx.Err() != nil:
		return fail(policy.ClientAborted, "the request was not sent to its end", err)
	}
	return nil
}

func isCertificateError(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok
}

// streamFailure says who left in the middle of the answer.
func (x *exchange) streamFailure(ctx context.Context, err error) *denial {
	if errors.Is(err, errOverBytes) {
		return x.overResponseBytes()
	}
	if _, ok := errors.AsType[*agentGoneError](err); ok {
		return fail(policy.ClientAborted, "", err)
	}
	if errors.Is(context.Cause(ctx), errIdle) {
		return fail(policy.UpstreamTimeout, "", err)
	}
	if malformed, ok := errors.AsType[*framing.Error](err); ok {
		return misframedAnswer(malformed)
	}
	if d := x.requestFailure(ctx, err); d != nil { // the connection ends with it
		return d
	}
	return fail(policy.UpstreamAborted, "", err)
}

// misframedAnswer says which rule of HTTP/1 an answer breaks.
func misframedAnswer(err *framing.Error) *denial {
	return fail(policy.UpstreamFailed, "the upstream's answer is malformed: "+err.Detail, err)
}
