// Package rollout helps a policy into service: it turns what a sidecar has
// recorded into a proposal, and tells what a policy would change about it. It
// decides by package policy alone, and reads receipts as they are; whether they
// are genuine is for the verifier to say.
package rollout

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
)

// Opens tells whether an address may be dialled for a host, with these holes
// besides what is open anyway. The resolver's classifier is the answer of a
// sidecar.
type Opens func(host string, addr netip.Addr, holes []netip.Prefix) bool

// exchange is what a receipt tells that a policy decides by.
type exchange struct {
	request policy.Request
	opaque  bool         // a tunnel of which nothing inside was seen
	raw     bool         // a tunnel that need not have been TLS
	ech     bool         // the ClientHello may have hidden its server name
	addrs   []netip.Addr // that the host was reached at, or would have been
	times   int64
	at      time.Time
	verdict verdict
	reason  policy.Reason
	rule    string
}

// verdict is what happened to an exchange.
type verdict string

const (
	allowed  verdict = "allowed"
	reported verdict = "reported" // carried in report mode, and marked as denied
	denied   verdict = "denied"   // by a rule, the deny list or a pattern
	refused  verdict = "refused"  // for another reason, which no rule can mend
)

// Skipped counts receipts that no policy can be held against.
type Skipped struct {
	Withheld  int64 `json:"withheld"`  // the detail is not there
	Malformed int64 `json:"malformed"` // the target was no target
	Internal  int64 `json:"internal"`  // Signet's own traffic, which no policy rules
}

// read returns the exchange of a receipt; false where it was counted as skipped.
func (s *Skipped) read(r *receipts.Receipt) (exchange, bool) {
	if r.Internal != "" {
		s.Internal += r.Count
		return exchange{}, false
	}
	if r.Detail == nil {
		s.Withheld += r.Count
		return exchange{}, false
	}
	request, ok := requestOf(r)
	if !ok {
		s.Malformed += r.Count
		return exchange{}, false
	}
	tls := r.Detail.TLS
	return exchange{
		request: request,
		opaque:  request.Tunnel && (tls == nil || tls.Mode != "intercept"),
		raw:     request.Tunnel && tls != nil && tls.Mode == "none",
		ech:     tls != nil && tls.ECH,
		addrs:   addresses(r.Detail),
		times:   r.Count,
		at:      r.TS,
		verdict: verdictOf(r),
		reason:  policy.Reason(r.Policy.Reason),
		rule:    r.Policy.Rule,
	}, true
}

// requestOf parses the target again, so that it means what it meant. The query
// is not in receipts.
func requestOf(r *receipts.Receipt) (policy.Request, bool) {
	q := r.Detail.Request
	if q == nil {
		return policy.Request{}, false
	}
	authority := net.JoinHostPort(q.Host, strconv.FormatInt(q.Port, 10))
	tunnel := q.Method == http.MethodConnect
	var target policy.Target
	var err error
	if tunnel {
		target, err = policy.ParseAuthority(authority)
	} else {
		target, err = policy.ParseAbsolute(q.Scheme + "://" + authority + q.Path)
	}
	return policy.Request{Target: target, Method: q.Method, Agent: r.Agent, Tunnel: tunnel}, err == nil
}

func addresses(d *receipts.Detail) []netip.Addr {
	var texts []string
	switch {
	case d.Forwarded != nil:
		texts = []string{d.Forwarded.PinnedIP}
	case d.DNS != nil:
		texts = d.DNS.Answers
	}
	var addrs []netip.Addr
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

func verdictOf(r *receipts.Receipt) verdict {
	carried := r.Outcome != receipts.Denied
	switch {
	case carried && r.Policy.Allowed:
		return allowed
	case carried:
		return reported
	case byPolicy(policy.Reason(r.Policy.Reason)):
		return denied
	}
	return refused
}

// byPolicy tells whether it is the policy's files that deny for this reason,
// which is what report mode relaxes.
func byPolicy(r policy.Reason) bool {
	return policy.Decision{Mode: policy.Report, Reason: r}.Carries()
}

// decide asks the policy as the sidecar does: for the tunnel first, and for the
// request where a rule would let Signet see it.
func decide(p *policy.Policy, r policy.Request) policy.Decision {
	if s := r.Target.Scheme; !r.Tunnel && (s == "https" || s == "wss") {
		tunnel := r
		tunnel.Tunnel = true
		outer := p.Decide(&tunnel)
		if !outer.Intercept {
			return outer
		}
		d := p.Decide(&r)
		d.DenyECH = outer.DenyECH
		return d
	}
	return p.Decide(&r)
}
