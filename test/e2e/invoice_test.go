package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts"
)

// books are two services, on two TLS servers, under the example's policy: one
// that has invoices, and one that takes payments and tool calls.
type books struct {
	*site
	erp, bank *peers.Upstream
}

func newBooks(t *testing.T) *books {
	t.Helper()
	return newBooksOf(t, peers.Books(map[string]string{
		"42": `{"invoice_id": "INV-2026-0042", "order": "PO-7", "amount": 1250.00, "currency": "EUR", "supplier": "ACME"}`,
		"43": `{"invoice_id": "INV-2026-0043", "order": "PO-8", "amount": 90071992547409.93, "currency": "EUR"}`,
		"44": `{"invoice_id": "INV-2026-0044", "order": "PO-9", "order": "PO-10", "amount": 1, "currency": "EUR"}`,
	}))
}

// newBooksOf has another ERP.
func newBooksOf(t *testing.T, erp http.Handler) *books {
	t.Helper()
	b := &books{site: newSite(t, options{schemas: map[string]string{}})}
	b.erp = b.serve(erp, "erp.example")
	b.bank = b.serve(peers.Books(nil), "bank.example", "tools.example")
	const dir = "../../examples/invoice/policy"
	for _, name := range []string{"policy.yaml", "payment.schema.json"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		text := strings.ReplaceAll(string(data), "intercept: true", fmt.Sprintf("ports: [%d, %d], intercept: true", b.erp.Port(), b.bank.Port()))
		if name == "policy.yaml" {
			text += "\naddresses: {allow: [127.0.0.1/32]}\n"
		}
		b.write(filepath.Join(b.policy, name), text)
	}
	return b
}

func (b *books) serve(handler http.Handler, names ...string) *peers.Upstream {
	b.t.Helper()
	leaf, err := b.ca.Leaf(names...)
	must(b.t, err)
	for _, name := range names {
		b.dns.Set(name, time.Minute, loopback)
	}
	return testkit.Upstream(b.t, peers.UpstreamOptions{Certificate: &leaf, Handler: handler})
}

// read fetches an invoice, and returns the id of the receipt.
func (b *books) read(client *http.Client, id string) string {
	b.t.Helper()
	resp, err := client.Do(newRequest(b.t, b.erp.URL("erp.example", "/v1/invoices/"+id)))
	must(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	must(b.t, err)
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "INV-2026") {
		b.t.Errorf("invoice %s: %s %q", id, resp.Status, body)
	}
	return resp.Header.Get("X-Signet-Receipt")
}

const (
	payment    = `{"order": "PO-7", "invoice_id": "INV-2026-0042", "amount_minor": 125000, "currency": "EUR"}`
	bigPayment = `{"order": "PO-8", "invoice_id": "INV-2026-0043", "amount_minor": 9007199254740993, "currency": "EUR", "approval_required": true}`
)

// An agent that reads an invoice and pays it: what a model might have changed
// between the two is not sent, and what it left alone is, byte for byte, over h1
// and h2, as a body and within a tool call.
func TestInvoiceMustSurvive(t *testing.T) {
	b := newBooks(t)
	car := b.start()
	source := make(map[string]string) // by invoice
	for _, tt := range []struct {
		name, payment string
		old, new      string // what the model changed
		want          string // the reason, and the rules
	}{
		{"nothing", payment, "", "", ""},
		{"nothing of the large one", bigPayment, "", "", ""},
		{"the amount", payment, "125000", "152000", "INVARIANT_VIOLATED amount"},
		{"the currency", payment, "EUR", "USD", "INVARIANT_VIOLATED amount currency"},
		{"the invoice", payment, "0042", "0024", "INVARIANT_VIOLATED invoice"},
		{"a digit beyond 2^53", bigPayment, "40993", "40992", "INVARIANT_VIOLATED amount"},
		{"to an exponent", payment, "125000", "1.25e5", "INVARIANT_VIOLATED amount"},
		{"to a fraction", payment, "125000", "125000.0", "INVARIANT_VIOLATED amount"},
		{"to a string", payment, "125000", `"125000"`, "SCHEMA_INVALID"},
		{"a name that stands twice", payment, `"currency"`, `"amount_minor": 1, "currency"`, "PAYLOAD_MALFORMED"},
		{"a name in another case", payment, `"currency"`, `"Amount_Minor": 1, "currency"`, "PAYLOAD_MALFORMED"},
		{"a look-alike", payment, "INV-", "ІNV-", "INVARIANT_VIOLATED invoice"},
		{"the approval", bigPayment, "true", "false", "INVARIANT_VIOLATED approval"},
		{"the order", payment, "PO-7", "PO-6", "ORIGINAL_MISSING"},
		{"the other's amount", payment, "125000", "9007199254740993", "INVARIANT_VIOLATED amount"},
		{"and cut the end off", payment, `000, "currency": "EUR"}`, "", "REPAIR_REFUSED"},
		{"the amount, and the form", payment, `125000, "currency": "EUR"`, `152000, 'currency': "EUR",`, "INVARIANT_VIOLATED amount"},
	} {
		for i, m := range []mode{interceptedH1, interceptedH2} {
			client := car.client(m)
			if i == 0 && len(source) == 0 {
				source["PO-7"], source["PO-8"] = b.read(client, "42"), b.read(car.client(interceptedH2), "43")
			}
			body := strings.Replace(tt.payment, tt.old, tt.new, 1)
			for _, way := range []struct{ url, body string }{
				{b.bank.URL("bank.example", "/v1/payments"), body},
				{b.bank.URL("tools.example", "/v1/tool_calls"), fmt.Sprintf("{\"function\":\n {\"name\": \"pay\", \"arguments\": %q}}", body)},
			} {
				reason, rules, _ := strings.Cut(tt.want, " ")
				if reason == "SCHEMA_INVALID" && way.body != body {
					continue // the tool's contract has no schema
				}
				status, answer, got := post(t, client, way.url, way.body)
				if got != reason || (status == 200) != (reason == "") || status == 200 && answer != way.body {
					t.Errorf("%s, %s to %s: %d %s, answered %s", tt.name, m.protocol, way.url, status, got, answer)
				}
				if rules != "" && !strings.Contains(answer, `"violations":["`+strings.ReplaceAll(rules, " ", `","`)+`"]`) {
					t.Errorf("%s: the agent is told %s, want %s", tt.name, answer, rules)
				}
			}
		}
	}
	car.stop()
	expectOrigins(t, b.evidence().receipts, source)
}

// A body that a model wrote almost right is mended where that is no guess, and
// what is sent is what was checked; the receipt has both digests and the edits.
func TestInvoiceIsMended(t *testing.T) {
	b := newBooks(t)
	car := b.start()
	b.read(car.client(interceptedH1), "42")
	malformed := strings.Replace(payment, `"currency": "EUR"}`, `'currency': "EUR",}`, 1)
	mended := payment
	inString := fmt.Sprintf(`{"function": {"name": "pay", "arguments": %q}}`, malformed)
	for _, way := range []struct{ url, body, want string }{
		{b.bank.URL("bank.example", "/v1/payments"), malformed, mended},
		{b.bank.URL("tools.example", "/v1/tool_calls"), inString, fmt.Sprintf(`{"function": {"name": "pay", "arguments": %q}}`, mended)},
	} {
		for _, m := range []mode{interceptedH1, interceptedH2} {
			if status, answer, reason := post(t, car.client(m), way.url, way.body); status != 200 || answer != way.want {
				t.Errorf("%s over %s: %d %s %s", way.url, m.protocol, status, reason, answer)
			}
		}
	}
	car.stop()
	mendedBodies := 0
	for _, r := range b.evidence().receipts {
		repair := r.Detail.Repair
		if r.Detail.Request.Method != http.MethodPost {
			continue
		}
		mendedBodies++
		if repair == nil || repair.Method != "local" || len(repair.Edits) < 2 || repair.After != r.Detail.Request.Digest || repair.Before == repair.After || r.FallbackUsed || r.FUTokens != 0 {
			t.Errorf("repair %+v of what was sent as %s", repair, r.Detail.Request.Digest)
		}
	}
	if mendedBodies != 4 {
		t.Errorf("%d receipts of mended bodies", mendedBodies)
	}
}

// expectOrigins: a receipt of what was held against an invoice names the receipt
// that the invoice came with.
func expectOrigins(t *testing.T, all []*receipts.Receipt, source map[string]string) {
	t.Helper()
	known, held := make(map[string]bool), 0
	for _, r := range all {
		known[r.ReceiptID] = true
	}
	for _, r := range all {
		p := r.Detail.Payload
		if p == nil || p.Contract == "invoice-source" || r.Policy.Reason == "PAYLOAD_MALFORMED" || r.Policy.Reason == "REPAIR_REFUSED" || r.Policy.Reason == "SCHEMA_INVALID" || r.Policy.Reason == "ORIGINAL_MISSING" {
			continue
		}
		held++
		if len(p.Facts) != 1 || p.Facts[0].Name != "invoice" || p.Facts[0].ReceiptID != source["PO-7"] && p.Facts[0].ReceiptID != source["PO-8"] || !known[p.Facts[0].ReceiptID] {
			t.Errorf("%s: facts %+v, which came with %q", p.Contract, p.Facts, source)
		}
		if (r.Policy.Reason == "INVARIANT_VIOLATED") != (len(r.SemanticViolations) > 0) || r.Policy.Allowed == (len(r.SemanticViolations) > 0) {
			t.Errorf("%+v, violations %q", r.Policy, r.SemanticViolations)
		}
	}
	if held < 20 {
		t.Errorf("%d receipts of bodies that were held against an invoice", held)
	}
}

// A fact outlives the sidecar that learnt it, and one that was never learnt, or
// from an answer that can be read in two ways, is missing.
func TestFactsOutliveARestart(t *testing.T) {
	b := newBooks(t)
	car := b.start()
	client := car.client(interceptedH1)
	url := b.bank.URL("bank.example", "/v1/payments")
	if _, _, reason := post(t, client, url, payment); reason != "ORIGINAL_MISSING" {
		t.Errorf("before the invoice was read: %q", reason)
	}
	b.read(client, "42")
	b.read(client, "44")
	if _, _, reason := post(t, client, url, `{"order": "PO-10", "invoice_id": "INV-2026-0044", "amount_minor": 100, "currency": "EUR"}`); reason != "ORIGINAL_MISSING" {
		t.Errorf("of an answer with two orders: %q", reason)
	}
	car.Kill()
	_ = car.Wait()
	again := b.start()
	if status, answer, reason := post(t, again.client(interceptedH1), url, payment); status != 200 || answer != payment {
		t.Errorf("after the restart: %d %s %s", status, reason, answer)
	}
	again.stop()
}
