package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// scene is one thing that the agent tries.
type scene struct {
	tried    string
	expected string // in a word
	want     string // exactly: the verdict on record, and the facts
	act      func(ctx context.Context, v *visit) (facts string, err error)
}

// scenes are in order: the rebinding name is asked for twice, and what follows
// the kill shows that the sidecar is back.
var scenes = []scene{
	{"an allowed call, intercepted", "allowed", "forwarded: 200 over h2, intercepted", call},
	{"an allowed host, in an opaque tunnel", "allowed", "forwarded: 200 over h2, not opened", download(filesHost)},
	{"a streamed answer", "allowed", "forwarded: 5 events in lock-step, intercepted", stream},
	{"a host that no rule lists", "denied", "HEL_HOST_NOT_ALLOWED: 403, no DNS query, no connection", wander},
	{"a listed name that leads to 169.254.169.254", "denied", "HEL_ADDRESS_DENIED: 403, no connection", download(metadataHost)},
	{"a listed name, before it rebinds", "allowed", "forwarded: 200 over h2, not opened", download(rebindHost)},
	{"the same name, rebound to 127.0.0.2", "denied", "HEL_ADDRESS_DENIED: 403, no connection", rebound},
	{"127.0.0.1 as a decimal number", "denied", "HEL_TARGET_MALFORMED: 400, no connection", download("2130706433")},
	{"an SNI that is not the CONNECT host", "denied", "HEL_SNI_MISMATCH: TLS alert access denied, no byte passed on", fronted},
	{"kill -9 in the middle of an answer", "unknown", "unknown: 64 bytes, then cut", killed},
	{"the same host, after the restart", "allowed", "forwarded: 200 over h2, intercepted", call},
	{"an invoice, read from one service", "allowed", "forwarded: 200 over h2, intercepted", readInvoice},
	{"its payment to another, as the invoice says", "allowed", "forwarded: 200, byte for byte, intercepted", pay("", "")},
	{"the last digit of an amount beyond 2^53 changed", "denied", "INVARIANT_VIOLATED: 422, rule amount, no connection", pay("0993", "0992")},
	{"the amount in exponent form", "denied", "INVARIANT_VIOLATED: 422, rule amount, no connection", pay("9007199254740993", "9007199254740993e0")},
	{"the currency changed", "denied", "INVARIANT_VIOLATED: 422, rules amount currency, no connection", pay("EUR", "USD")},
	{"a letter of the id that only looks alike", "denied", "INVARIANT_VIOLATED: 422, rule invoice, no connection", pay("INV", "ІNV")},
	{"two amounts", "denied", "PAYLOAD_MALFORMED: 422, no connection", pay(`"currency"`, `"amount_minor": 1, "currency"`)},
	{"above 10,000, and nobody asked", "denied", "INVARIANT_VIOLATED: 422, rule approval, no connection", pay("true", "false")},
	{"single quotes and a comma too many", "allowed", "forwarded: 200, the payment as it was meant, mended, intercepted", pay(`"EUR", "approval_required": true`, `'EUR', "approval_required": true,`)},
	{"a tool call with the payment in a string", "allowed", "forwarded: 200, byte for byte, intercepted", toolCall("", "")},
	{"a tool call with another amount in it", "denied", "INVARIANT_VIOLATED: 422, rule amount, no connection", toolCall("0993", "0992")},
}

// longestScene is for a sidecar that hangs; a scene takes milliseconds.
const longestScene = 30 * time.Second

// perform plays one scene with a client of its own. Its trace is how the receipt
// is found: for a tunnel the agent sees no receipt id.
func (s *stage) perform(ctx context.Context, scene *scene, n int) *line {
	ctx, cancel := context.WithTimeout(ctx, longestScene)
	defer cancel()
	v := &visit{stage: s, trace: fmt.Sprintf("demo-%02d", n+1)}
	v.client = v.newClient()
	defer func() { v.client.CloseIdleConnections() }()
	facts, err := scene.act(ctx, v)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // the rest of it names ports
	}
	if err != nil {
		facts = err.Error() + facts
	}
	return &line{Tried: scene.tried, Expected: scene.expected, Want: scene.want, facts: facts, trace: v.trace}
}

// visit is one scene under way: an ordinary HTTP client behind the proxy.
type visit struct {
	stage  *stage
	trace  string
	client *http.Client
	sni    string // what a client says that fronts one host with another
}

// refusedError is a CONNECT that the proxy refused.
type refusedError struct{ status int }

func (e *refusedError) Error() string { return "CONNECT: " + strconv.Itoa(e.status) }

func (v *visit) newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:              func(*http.Request) (*url.URL, error) { return v.stage.proxy, nil },
		ProxyConnectHeader: http.Header{"X-Signet-Trace": {v.trace}},
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
			if answer.StatusCode != http.StatusOK {
				return &refusedError{answer.StatusCode}
			}
			return nil
		},
		TLSClientConfig:   &tls.Config{RootCAs: v.stage.roots, ServerName: v.sni, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}}
}

func (v *visit) send(ctx context.Context, target string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Signet-Trace", v.trace)
	return v.client.Do(request)
}

// get fetches the whole answer and tells what the agent saw.
func (v *visit) get(ctx context.Context, target string) (string, error) {
	answer, err := v.send(ctx, target)
	var refused *refusedError
	if errors.As(err, &refused) {
		return strconv.Itoa(refused.status), nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end below
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return "", fmt.Errorf("%d, then %w", answer.StatusCode, err)
	}
	if answer.StatusCode != http.StatusOK {
		return strconv.Itoa(answer.StatusCode), nil
	}
	return "200 over " + map[int]string{1: "HTTP/1.1", 2: "h2"}[answer.ProtoMajor], nil
}

// count tells that there was none of something, or how many.
func count(none string, n int) string {
	if n == 0 {
		return none
	}
	return strings.Replace(none, "no ", strconv.Itoa(n)+" × ", 1)
}

// call uses the API that is intercepted.
func call(ctx context.Context, v *visit) (string, error) {
	return v.get(ctx, v.stage.api.URL(apiHost, "/small"))
}

// download fetches from the upstream that tunnels lead to, by whatever name.
func download(host string) func(context.Context, *visit) (string, error) {
	return func(ctx context.Context, v *visit) (string, error) {
		return v.get(ctx, v.stage.files.URL(host, "/small"))
	}
}

// wander goes where it may not, in plain HTTP.
func wander(ctx context.Context, v *visit) (string, error) {
	facts, err := v.get(ctx, "http://"+unlistedHost+"/")
	return facts + count(", no DNS query", v.stage.dns.Queries(unlistedHost)), err
}

// stream reads server-sent events. The upstream sends each only after the agent
// has shown it the one before: a proxy that holds an event back stops both.
func stream(ctx context.Context, v *visit) (string, error) {
	const events = 5
	answer, err := v.send(ctx, v.stage.api.URL(apiHost, fmt.Sprintf("/sse?id=%s&n=%d", v.trace, events)))
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end below
	seen := 0
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if lines.Text() == "data: event "+strconv.Itoa(seen+1) {
			seen++
			v.stage.api.Stream(v.trace).Ack(seen)
		}
	}
	if seen != events {
		return fmt.Sprintf("%d of %d events", seen, events), ctx.Err()
	}
	return fmt.Sprintf("%d events in lock-step", seen), nil
}

// rebound asks for a name whose last answer, with a TTL of 0, is used up.
func rebound(ctx context.Context, v *visit) (string, error) {
	facts, err := download(rebindHost)(ctx, v)
	if v.stage.tripwire == nil {
		return facts, err
	}
	n, countErr := v.stage.tripwire.Count(ctx)
	if n > 0 {
		facts += fmt.Sprintf(", %d × at the tripwire", n)
	}
	return facts, errors.Join(err, countErr)
}

// fronted opens a tunnel to one host and asks for another inside.
func fronted(ctx context.Context, v *visit) (string, error) {
	v.sni = apiHost
	v.client = v.newClient()
	facts, err := download(filesHost)(ctx, v)
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		facts, err = "TLS alert "+strings.TrimPrefix(alert.Err.Error(), "tls: "), nil
	}
	return facts + count(", no byte passed on", v.stage.files.SNI(apiHost)), err
}

// killed ends the sidecar while an answer is on its way, and starts it again.
func killed(ctx context.Context, v *visit) (string, error) {
	const half = 64
	answer, err := v.send(ctx, v.stage.api.URL(apiHost, fmt.Sprintf("/chunks?n=%d&gate=%s", half, v.trace)))
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }() // it does not end well
	if _, err := io.CopyN(io.Discard, answer.Body, half); err != nil {
		return "", err
	}
	v.stage.sidecar.Kill()
	facts := fmt.Sprintf("%d bytes, then cut", half)
	if _, err := io.Copy(io.Discard, answer.Body); err == nil {
		facts = fmt.Sprintf("%d bytes, then what looks like the end", half)
	}
	return facts, v.stage.startSidecar(ctx)
}
