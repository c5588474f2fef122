package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/signet-egress/signet/receipts"
)

const paymentContract = usualRules + `
contracts:
  - name: payment
    on: {hosts: [plain.test, api.test, old-api.test], methods: [POST], paths: [/echo/payments]}
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
