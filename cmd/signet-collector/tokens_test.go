package main

import (
	"regexp"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/goldenfile"
)

// A tenant's tokens, as an operator who has lost their ids sees and ends them.
func TestTokens(t *testing.T) {
	all := &transcript{t: t, data: t.TempDir()}
	all.show("tenant", "create", "acme")
	all.show("tenant", "tokens", "acme")
	all.show("tenant", "token", "acme", "--scope", "receipts.read,export")
	id := regexp.MustCompile(`[0-9a-f]{12}`)
	all.show("tenant", "revoke", "acme", id.FindString(all.show("tenant", "tokens", "acme", "--json")))
	all.show("tenant", "token", "acme", "--scope", "enroll", "--expires", "0")
	all.show("tenant", "tokens", "acme")
	all.show("tenant", "tokens", "acme", "--json")
	all.show("tenant", "revoke", "acme", "lost")
	all.show("tenant", "tokens", "nobody")

	seen := regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:]+(\.\d+)?Z`).ReplaceAllString(all.String(), "2026-11-27T08:00:00Z")
	seen = regexp.MustCompile(`signet_[A-Za-z0-9_-]{43}`).ReplaceAllString(seen, "signet_SECRET")
	goldenfile.Compare(t, "tokens.golden", id.ReplaceAllString(seen, "0123456789ab"))
}
