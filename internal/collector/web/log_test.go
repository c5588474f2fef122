package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
)

// The page of the log shows by whom and when it was witnessed, and what they refuse.
func TestLogPage(t *testing.T) { onEach(t, testLogPage) }

func testLogPage(t *testing.T, s *site) {
	v := s.visitor(t)
	v.login("acme-token")
	show := func(wants ...string) string {
		t.Helper()
		resp, body := v.get("/log")
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status, body)
		}
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("the page lacks %q:\n%s", want, body)
			}
		}
		return body
	}
	show("Nothing is logged yet", asked, "never")
	c := s.traffic("acme")
	if _, err := s.sequencer.Take(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	s.cosign("acme", "witness.example/formerly", at)
	if _, err := s.store.Raise(t.Context(), "acme", store.Alarm{ID: chains.UUID(), Kind: store.AlarmWitness, Message: "it knows another history", Raised: at}); err != nil {
		t.Fatal(err)
	}
	body := show("no longer asked", "2026-11-23 04:00:00 UTC", "collector.example/acme&#43;", "it knows another history", "state-witness", "witness.example/formerly&#43;")
	if strings.Contains(body, "/chains/\"") || strings.Contains(body, "not heard of") {
		t.Errorf("the page has alarms of chains:\n%s", body)
	}
	_, body = v.get("/receipts/" + c.ReceiptAt(2).ReceiptID)
	if !strings.Contains(body, "cosigned by <b>witness.example/formerly</b> (2026-11-23 04:00:00 UTC)") {
		t.Errorf("the receipt lacks its witness:\n%s", body)
	}
	_, body = v.get("/")
	if !strings.Contains(body, "it knows another history") {
		t.Errorf("the overview lacks the alarm:\n%s", body)
	}
}
