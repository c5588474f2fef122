package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts"
)

const modelRules = usualRules + `
contracts:
  - name: payment
    on: {hosts: [plain.test, api.test, old-api.test], methods: [POST], paths: [/echo/payments]}
    repair: {local: true, model: true}
    rules: [{id: amount, check: transformed.amount == 12.50}]
`

// modelConfig has a model on loopback, and so many tokens a month.
func modelConfig(m *peers.Model, tokens int) string {
	return fmt.Sprintf("model: {url: %q, name: tiny, addresses: [127.0.0.1/32], monthly_tokens: %d}", m.URL(), tokens)
}

func startModel(t *testing.T, b peers.ModelBehaviour) *peers.Model {
	t.Helper()
	m, err := peers.StartModel(b)
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	return m
}

// A body that no local rule mends is mended by a model that sees none of its
// values, over egress of Signet's own, with receipts for both; and one whose
// values the model changes is refused.
func TestModelMendsBodies(t *testing.T) {
	m := startModel(t, peers.ModelMends)
	s := newSite(t, options{rules: modelRules, config: modelConfig(m, 100_000)})
	car := s.start()
	client := car.client(interceptedH1)
	url := interceptedH1.url(s, "/echo/payments")
	status, answer, reason := post(t, client, url, `{"amount" 12.50, "secret": "hunter2"}`)
	if status != 200 || strings.ReplaceAll(answer, " ", "") != `{"amount":12.50,"secret":"hunter2"}` {
		t.Errorf("%d %s %s", status, reason, answer)
	}
	asked := m.Requests()
	if len(asked) != 1 || strings.Contains(string(asked[0].Body), "hunter2") || strings.Contains(string(asked[0].Body), "12.50") {
		t.Errorf("the model was asked %q", asked)
	}
	m.Behave(peers.ModelChangesValues)
	if status, answer, reason := post(t, client, url, `{"amount" 12.50, "other": 99, "a": {}}`); reason != "REPAIR_REFUSED" {
		t.Errorf("by a model that changes values: %d %s %s", status, reason, answer)
	}
	car.stop()
	expectModelReceipts(t, s.evidence().receipts)
}

func expectModelReceipts(t *testing.T, all []*receipts.Receipt) {
	t.Helper()
	internal := 0
	for _, r := range all {
		if r.Internal == "model" {
			internal++
			if r.Outcome != receipts.Forwarded || r.Usage.VEX != 0 || r.Detail.Forwarded == nil || *r.Detail.Forwarded.StatusCode != 200 || r.Detail.Request.Path != "/v1/chat/completions" {
				t.Errorf("%s %+v %+v", r.Outcome, r.Usage, r.Detail.Forwarded)
			}
			continue
		}
		if r.Detail.Request.Method != "POST" {
			continue
		}
		repair, mended := r.Detail.Repair, r.Outcome == receipts.Forwarded
		if r.FUTokens <= 0 || r.Usage.FU != r.FUTokens || r.FallbackUsed != mended || (repair != nil) != mended {
			t.Errorf("%s: %d tokens, fallback %t, repair %+v", r.Outcome, r.FUTokens, r.FallbackUsed, repair)
		}
		if mended && (repair.Method != "model" || repair.Model != "tiny" || repair.After != r.Detail.Request.Digest) {
			t.Errorf("repair %+v", repair)
		}
	}
	if internal < 2 {
		t.Errorf("%d receipts of requests to the model", internal)
	}
}

// A month's tokens are counted over restarts, and a question that they do not
// last for is not asked.
func TestModelHasAQuota(t *testing.T) {
	m := startModel(t, peers.ModelMends)
	s := newSite(t, options{rules: modelRules, config: modelConfig(m, 1)})
	car := s.start()
	if status, answer, reason := post(t, car.client(plain), plain.url(s, "/echo/payments"), `{"amount" 12.50}`); status != 429 || reason != "FU_QUOTA_EXCEEDED" {
		t.Errorf("%d %s %s", status, reason, answer)
	}
	if n := len(m.Requests()); n != 0 {
		t.Errorf("the model was asked %d times", n)
	}
}
