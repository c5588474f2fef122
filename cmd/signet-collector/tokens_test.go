package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/goldenfile"
)

// A tenant's tokens, as an operator who has lost their ids sees and ends them.
func TestTokens(t *testing.T) {
	data := t.TempDir()
	var all strings.Builder
	show := func(args ...string) string {
		t.Helper()
		stdout, stderr, err := command(t, append(args, "--data", data)...)
		fmt.Fprintf(&all, "$ signet-collector %s\n%s%s", strings.Join(args, " "), stdout, stderr)
		if err != nil {
			fmt.Fprintln(&all, "signet-collector:", err)
		}
		all.WriteByte('\n')
		return stdout
	}
	show("tenant", "create", "acme")
	show("tenant", "tokens", "acme")
	show("tenant", "token", "acme", "--scope", "receipts.read,export")
	id := regexp.MustCompile(`[0-9a-f]{12}`)
	show("tenant", "revoke", "acme", id.FindString(show("tenant", "tokens", "acme", "--json")))
	show("tenant", "token", "acme", "--scope", "enroll", "--expires", "0")
	show("tenant", "tokens", "acme")
	show("tenant", "tokens", "acme", "--json")
	show("tenant", "revoke", "acme", "lost")
	show("tenant", "tokens", "nobody")

	seen := regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:]+(\.\d+)?Z`).ReplaceAllString(all.String(), "2026-11-27T08:00:00Z")
	seen = regexp.MustCompile(`signet_[A-Za-z0-9_-]{43}`).ReplaceAllString(seen, "signet_SECRET")
	goldenfile.Compare(t, "tokens.golden", id.ReplaceAllString(seen, "0123456789ab"))
}
