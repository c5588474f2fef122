package policy

// The keys of a policy file. docs/policy.md describes each.
var (
	fileKeys      = []string{"version", "mode", "rules", "deny", "patterns", "limits", "addresses", "contracts"}
	ruleKeys      = []string{"name", "hosts", "ports", "schemes", "methods", "paths", "agents", "intercept", "opaque", "ech", "limits"}
	denyKeys      = []string{"name", "hosts"}
	patternKeys   = []string{"name", "match", "action"}
	limitKeys     = []string{"requests_per_second", "burst", "concurrent", "tunnels", "request_bytes", "response_bytes", "tunnel_idle", "tunnel_lifetime"}
	addressesKeys = []string{"allow"}
)
