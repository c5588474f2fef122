package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// answers are what the proxy said, and what came through it; nil before.
type answers struct {
	denial, probe *head
}

// proxy asks the proxy for what Signet always denies, and for the probe.
func (e *examination) proxy(ctx context.Context) []Check {
	c := Check{Group: "proxy", Name: "reachable", Status: Red}
	if e.Proxy == nil {
		c.Detail = "no proxy is known: neither a variable nor --proxy names one"
		c.Fix = "set HTTP_PROXY and HTTPS_PROXY, or name it with --proxy"
		return []Check{c}
	}
	at := e.Proxy.Redacted()
	resp, err := e.through(ctx, e.denied["http"])
	if err != nil {
		c.Detail, c.Fix = fmt.Sprintf("%s does not answer: %s", at, short(err)), "start Signet, or name its address; its log says why it stopped"
		return []Check{c}
	}
	reason := resp.header.Get("X-Signet-Reason")
	e.answers.denial = resp
	switch {
	case reason == "":
		c.Detail, c.Fix = fmt.Sprintf("%s answers %d, but not as Signet", at, resp.status), "point the variables at Signet, not at another proxy"
	case reason == "JOURNAL_UNAVAILABLE":
		c.Detail, c.Fix = at+" denies everything: its journal cannot be written", "look at the sidecar's /readyz and log: a full or failing disk, most often"
	case resp.status == http.StatusProxyAuthRequired:
		c.Detail, c.Fix = at+" wants an API key", "put it into the variables: http://AGENT:KEY@"+e.Proxy.Host
	default:
		c.Status, c.Detail = Green, fmt.Sprintf("%s answers as Signet: %s for %s", at, reason, e.denied["http"])
	}
	checks := []Check{c}
	if e.Probe != nil {
		checks = append(checks, e.probe(ctx))
	}
	return checks
}

// probe fetches the probe as a Go program whose proxy is the one examined.
func (e *examination) probe(ctx context.Context) Check {
	c := Check{Group: "proxy", Name: "probe", Status: Green}
	resp, err := e.through(ctx, e.Probe.String())
	switch {
	case err != nil && untrusted(err.Error()):
		c.Status, c.Detail = Yellow, "the answer's certificate is not trusted here: "+short(err)
		c.Fix = "see the trust checks"
	case err != nil:
		c.Status, c.Detail = Red, fmt.Sprintf("%s: %s", e.Probe.Redacted(), short(err))
		c.Fix = "ask why with: signet check --resolve " + e.Probe.Redacted()
	case resp.header.Get("X-Signet-Reason") != "":
		c.Status, c.Detail = Red, fmt.Sprintf("Signet denies %s: %s", e.Probe.Redacted(), resp.header.Get("X-Signet-Reason"))
		c.Fix = "allow it by a rule, or probe what the policy allows"
	default:
		e.answers.probe = resp
		c.Detail = fmt.Sprintf("%s answers %d through the proxy", e.Probe.Redacted(), resp.status)
		if resp.issuer != "" {
			c.Detail += ", with a certificate of " + resp.issuer
		}
	}
	return c
}

// head is what matters of an answer.
type head struct {
	status int
	header http.Header
	issuer string        // of the server's certificate
	ahead  time.Duration // of this clock before the Date field
	dated  bool          // there was one
}

// through makes one request through the proxy, whatever the variables say.
func (e *examination) through(ctx context.Context, target string) (*head, error) {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	h, err := fetch(ctx, target, http.ProxyURL(e.Proxy))
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(h.header.Get("Date")); err == nil {
		h.ahead, h.dated = e.Now().Sub(date), true
	}
	return h, nil
}

func fetch(ctx context.Context, target string, proxy func(*http.Request) (*url.URL, error)) (*head, error) {
	transport := &http.Transport{
		Proxy: proxy, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("the proxy answers %s", resp.Status)
			}
			return nil
		},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()                        // only read
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // small ends are receipted as whole
	h := &head{status: resp.StatusCode, header: resp.Header}
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		h.issuer = resp.TLS.PeerCertificates[0].Issuer.CommonName
	}
	return h, err
}

// clock holds the machine's clock against whoever has told the time.
func (e *examination) clock() Check {
	c := Check{Group: "clock", Name: "clock", Status: Yellow, Detail: "nobody told the time", Fix: "start Signet, and run this again"}
	if h := e.answers.denial; h != nil && h.dated {
		c = judgeClock(h.ahead, "the proxy")
	}
	if h := e.answers.probe; h != nil && h.dated { // the farther witness is the better one
		c = judgeClock(h.ahead, "the probe's server")
	}
	if ahead := e.Newest.Sub(e.Now()); !e.Newest.IsZero() && ahead > clockFlagged {
		c.Status = Red
		c.Detail = fmt.Sprintf("the journal's newest record is %s ahead of this clock", ahead.Round(time.Second))
		c.Fix = "set the clock: records of the time until then would all get one timestamp"
	}
	return c
}

// A Date field has whole seconds, and an answer takes time.
const (
	clockFlagged = 5 * time.Second
	clockAlarmed = 5 * time.Minute
)

func judgeClock(off time.Duration, by string) Check {
	c := Check{Group: "clock", Name: "clock", Status: Green, Detail: "agrees with " + by}
	if off.Abs() <= clockFlagged {
		return c
	}
	c.Status = Yellow
	if off.Abs() > clockAlarmed {
		c.Status = Red
	}
	c.Detail = fmt.Sprintf("is %s off from %s", off.Abs().Round(time.Second), by)
	c.Fix = "synchronise the clocks (NTP): certificates and receipts depend on them"
	return c
}

// short is an error without the URL and operation that its reader knows.
func short(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return strings.TrimPrefix(err.Error(), "proxyconnect ")
}
