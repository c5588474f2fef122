package main

import "testing"

func TestConfigPrint(t *testing.T) {
	t.Setenv("SIGNET_TIMEOUTS_IDLE", "30m")
	const file, env = "--config=testdata/config/signet.yaml", "--env-file=testdata/config/sidecar.env"
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"print", []string{file, env, "--listen=127.0.0.1:3129"}},
		{"print-json", []string{file, env, "--metrics-listen=off", "--json"}},
		{"print-misspelt", []string{file, "--env-file=testdata/config/misspelt.env"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			golden(t, "config/"+tt.name, signet(t, append([]string{"config", "print"}, tt.args...)...))
		})
	}
}

// TestAllowedHosts: a list of hosts stands in for a policy, wherever it is set,
// and not beside one.
func TestAllowedHosts(t *testing.T) {
	const env = "--env-file=testdata/config/hosts.env"
	urls := []string{"https://packages.example/x", "https://api.models.example/", "http://erp.example:8080/", "https://erp.example/", "https://other.example/"}
	golden(t, "config/allowed-hosts", signet(t, append([]string{"check", env}, urls...)...))
	golden(t, "config/allowed-hosts-and-policy", signet(t, "check", env, "--policy=testdata/check/policy.yaml", urls[0]))
	t.Setenv("SIGNET_ALLOWED_HOSTS", "https://packages.example,*.com")
	golden(t, "config/allowed-hosts-wrong", signet(t, "check", urls[0]))
}
