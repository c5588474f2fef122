package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts"
)

const paymentContract = usualRules + `
contracts:
  - name: payment
    on: {hosts: [plain.test, api.test, old-api.test], methods: [POST], paths: [/echo/payments, /headers/payments]}
    payload_type: payment.v1
    target_type: payment.v1
    schema: payment.schema.json
    rules:
      - {id: positive, check: "transformed.amount > 0"}
      - {id: approval, check: "transformed.amount <= 10000 || transformed.approval_required"}
`

const paymentSchema = `{
  "type": "object",
  "required": ["amount", "currency"],
  "properties": {"amount": {"type": "number"}, "currency": {"type": "string", "pattern": "^[A-Z]{3}$"}, "approval_required": {"type": "boolean"}}
}`

// post sends a JSON body and returns the answer's status, body and reason.
func post(t *testing.T, client *http.Client, url, body string) (status int, answer, reason string) {
	t.Helper()
	r := newRequest(t, url)
	r.Method, r.ContentLength = http.MethodPost, int64(len(body))
	r.Body = io.NopCloser(strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(data), resp.Header.Get("X-Signet-Reason")
}

// A body that is not what its contract says is not sent, whatever it comes over,
// and one that is goes byte for byte.
func TestContractIsEnforced(t *testing.T) {
	s := newSite(t, options{rules: paymentContract, schemas: map[string]string{"payment.schema.json": paymentSchema}})
	car := s.start()
	for _, tt := range []struct {
		body, reason string
		status       int
		violated     []string
	}{
		{"{\"amount\": 12.50,\n \"currency\": \"EUR\"}", "", 200, nil},
		{`{"amount":10001,"currency":"EUR","approval_required":true}`, "", 200, nil},
		{`{"amount":10001,"currency":"EUR"}`, "INVARIANT_VIOLATED", 422, []string{"approval"}},
		{`{"amount":0,"currency":"EUR"}`, "INVARIANT_VIOLATED", 422, []string{"positive"}},
		{`{"amount":"12.50","currency":"EUR"}`, "SCHEMA_INVALID", 422, nil},
		{`{"amount":1,"amount":2,"currency":"EUR"}`, "PAYLOAD_MALFORMED", 422, nil},
		{`{"amount":1,"currency":"EUR"} `, "", 200, nil},
		{`{"amount":1,"currency":"EUR"}x`, "PAYLOAD_MALFORMED", 422, nil},
		{"", "PAYLOAD_MALFORMED", 422, nil},
		{strings.Repeat("[", 1<<20), "PAYLOAD_MALFORMED", 422, nil},
	} {
		for _, m := range []mode{plain, interceptedH1, interceptedH2} {
			status, answer, reason := post(t, car.client(m), m.url(s, "/echo/payments"), tt.body)
			if status != tt.status || reason != tt.reason {
				t.Errorf("%s: %.60q: %d %s, want %d %s", m.name, tt.body, status, reason, tt.status, tt.reason)
			}
			if tt.status == 200 && answer != tt.body {
				t.Errorf("%s: sent %q, and what came was %q", m.name, tt.body, answer)
			}
			if tt.status != 200 {
				expectRefusal(t, answer, tt.violated)
			}
		}
	}
	car.stop()
	for _, r := range s.evidence().receipts {
		p := r.Detail.Payload
		if r.Detail.Request.Method == http.MethodConnect {
			continue
		}
		if p == nil || p.Contract != "payment" || p.PayloadType != "payment.v1" || p.TargetType != "payment.v1" {
			t.Fatalf("payload %+v", p)
		}
		denied := r.Outcome == receipts.Denied
		if denied == (p.CID != "") || denied == (r.Detail.Forwarded != nil) || denied == r.Policy.Allowed {
			t.Errorf("%s %+v: cid %q, forwarded %+v", r.Outcome, r.Policy, p.CID, r.Detail.Forwarded)
		}
		if (r.Policy.Reason == "INVARIANT_VIOLATED") != (len(r.SemanticViolations) > 0) {
			t.Errorf("%s: violations %q", r.Policy.Reason, r.SemanticViolations)
		}
	}
}

// expectRefusal holds a problem document against what it must tell the agent.
func expectRefusal(t *testing.T, answer string, violated []string) {
	t.Helper()
	var p struct {
		Contract, Detail, Hint string
		Violations             []string
	}
	must(t, json.Unmarshal([]byte(answer), &p))
	if p.Contract != "payment" || p.Detail == "" || p.Hint == "" || !slices.Equal(p.Violations, violated) {
		t.Errorf("the agent is told %s", answer)
	}
}

// In a contract's report mode everything goes as it came, compressed, too large
// or malformed, and the receipt says what would have been refused.
func TestContractReports(t *testing.T) {
	rules := strings.Replace(paymentContract, "    rules:\n      -", "    mode: report\n    max_bytes: 1KB\n    repair: {local: true}\n    rules:\n      -", 1)
	s := newSite(t, options{rules: rules, schemas: map[string]string{"payment.schema.json": paymentSchema}})
	car := s.start()
	large := `{"amount":1,"currency":"EUR","note":"` + strings.Repeat("x", 1<<20) + `"}`
	var want []string
	for _, tt := range []struct{ body, reason string }{
		{`{"amount":1,"currency":"EUR"}`, "ok"},
		{`{"amount":0,"currency":"EUR"}`, "INVARIANT_VIOLATED"},
		{`{"amount":1,"currency":"EUR",}`, "ok"}, // would be mended, and is not
		{`{"amount":1,"currency":"EUR"`, "ok"},
		{`{"amount":1`, "REPAIR_REFUSED"},
		{large, "PAYLOAD_TOO_LARGE"},
		{"amount=1", "REPAIR_REFUSED"},
	} {
		for _, m := range []mode{plain, interceptedH1, interceptedH2} {
			status, answer, reason := post(t, car.client(m), m.url(s, "/echo/payments"), tt.body)
			if status != 200 || reason != "" || answer != tt.body {
				t.Errorf("%s: %.60q: %d %s, %d bytes back", m.name, tt.body, status, reason, len(answer))
			}
			want = append(want, tt.reason)
		}
	}
	car.stop()
	var got []string
	for _, r := range s.evidence().receipts {
		got = append(got, r.Policy.Reason)
		would := r.Policy.Reason != "ok"
		if r.Outcome != receipts.Forwarded || r.Policy.Allowed == would || (r.Policy.Mode == "report") != would || r.Usage.VEX != 1 || r.Detail.Repair != nil {
			t.Errorf("%s %+v, repair %+v", r.Outcome, r.Policy, r.Detail.Repair)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("reasons %q, want %q", got, want)
	}
}

// A compressed body leaves as what was checked, and one without a length with
// one; what it may not be is told before any of it is sent.
func TestContractBodiesOnTheWire(t *testing.T) {
	s := newSite(t, options{rules: paymentContract, schemas: map[string]string{"payment.schema.json": paymentSchema}})
	car := s.start()
	const good, bad = `{"amount":1,"currency":"EUR"}`, `{"amount":0,"currency":"EUR"}`
	for _, m := range []mode{plain, interceptedH1, interceptedH2} {
		for name, change := range map[string]func(*http.Request, string){
			"compressed": func(r *http.Request, body string) {
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(gzipped(t, body))), int64(len(gzipped(t, body)))
				r.Header.Set("Content-Encoding", "gzip")
			},
			"without a length": func(r *http.Request, body string) {
				r.Body, r.ContentLength = io.NopCloser(iotest.OneByteReader(strings.NewReader(body))), -1
			},
			"after a 100": func(r *http.Request, body string) {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
				r.Header.Set("Expect", "100-continue")
			},
		} {
			for body, want := range map[string]int{good: 200, bad: 422} {
				r := newRequest(t, m.url(s, "/headers/payments"))
				r.Method = http.MethodPost
				change(r, body)
				got := get(car.client(m), r)
				must(t, got.err)
				if got.status != want {
					t.Errorf("%s, %s: %s: %d %s", m.name, name, body, got.status, got.body)
				}
				var seen peers.ReceivedRequest
				if want == 200 {
					must(t, json.Unmarshal([]byte(got.body), &seen))
					if seen.Length != int64(len(good)) || seen.Header["Content-Encoding"] != nil {
						t.Errorf("%s, %s: the upstream sees %d bytes, %v", m.name, name, seen.Length, seen.Header)
					}
				}
			}
		}
	}
	if n := s.plain.RequestCount() + s.secure.RequestCount() + s.old.RequestCount(); n != 9 {
		t.Errorf("%d requests upstream, want the 9 good ones", n)
	}
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, text)
	must(t, errors.Join(err, z.Close()))
	return b.Bytes()
}

// A WebSocket says nothing that a contract could hold, so that it is no way around
// one; a request that has no body to begin with is the policy's.
func TestContractKeepsWebSocketsOut(t *testing.T) {
	rules := usualRules + "contracts:\n  - {name: c, on: {hosts: [plain.test, old-api.test]}}\n"
	s := newSite(t, options{rules: rules})
	car := s.start()
	for _, m := range []mode{plain, interceptedH1} {
		r := newRequest(t, m.url(s, "/ws"))
		for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
			r.Header.Set(name, value)
		}
		if got := get(car.client(m), r); got.status != 422 || !strings.Contains(got.body, "PAYLOAD_NOT_INSPECTABLE") {
			t.Errorf("%s: %+v", m.name, got)
		}
		if got := get(car.client(m), newRequest(t, m.url(s, "/small"))); got.status != 200 {
			t.Errorf("%s: a GET without a body: %+v", m.name, got)
		}
	}
}
