package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/goldenfile"
)

// signet runs a command line and returns what a person sees of it.
func signet(t *testing.T, args ...string) string {
	t.Helper()
	return signetWith(t, nil, args...)
}

// signetWith runs the program with a standard input.
func signetWith(t *testing.T, in io.Reader, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	root := newRootCommand()
	root.SetIn(in)
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	code := 0
	if err := root.ExecuteContext(t.Context()); err != nil {
		code = 1
		var coded *exitError
		if errors.As(err, &coded) {
			code, err = coded.code, coded.err
		}
		if err != nil {
			fmt.Fprintln(&out, "signet:", err)
		}
	}
	fmt.Fprintln(&out, "exit status", code)
	return out.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	goldenfile.Compare(t, name+".golden", got)
}

func TestCheck(t *testing.T) {
	const policyFile, report, config = "--policy=testdata/check/policy.yaml", "--policy=testdata/check/report.yaml", "--config=testdata/check/signet.yaml"
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"allowed", []string{policyFile, "https://api.models.example/v1/chat?stream=true", "https://packages.example/a", "http://erp.example:8080/invoices/7", "ws://erp.example:8080/invoices/7"}},
		{"denied", []string{
			policyFile, "https://unknown.example/", "https://models.example/v1/x", "https://secret.models.example/v1/x", "https://x.leaks.packages.example/", "https://api.models.example:8443/v1/x",
			"http://packages.example/", "https://api.models.example/v2/x", "https://api.models.example/v1/../admin", "wss://api.models.example/v1/x", "http://erp.example:8080/invoices/7/lines", "https://10.20.0.8/", "https://bank.example/",
		}},
		{"mixed", []string{policyFile, "https://packages.example/", "https://unknown.example/"}},
		{"method", []string{policyFile, "--method", "DELETE", "https://api.models.example/v1/x", "https://packages.example/", "http://erp.example:8080/invoices/7"}},
		{"agent", []string{policyFile, "--agent", "billing", "https://bank.example/"}},
		{"report", []string{report, "https://unknown.example/x", "https://api.models.example/v2", "https://packages.example/"}},
		{"patterns", []string{"--policy=testdata/check/patterns.yaml", "https://a.models.example/?u=http://169.254.169.254/", "https://a.models.example/?u=sk-12345678", "https://a.models.example/169%2e254%2e"}},
		{"malformed", []string{
			policyFile, "https://user@packages.example/", "https://0x7f.1/", "https://packages.example:0443/", "https://packages.example/a#b", "ftp://packages.example/", "https://pack ages.example/",
			"https://packages.example/\x1b[2J", "https://\u202eelpmaxe.segakcap/", "https://[::ffff:10.0.0.1]/", "://",
		}},
		{"json", []string{policyFile, "--json", "https://api.models.example/v1/chat?a=<b>&c", "https://unknown.example/", "https://a..b/"}},
		{"resolve", []string{config, "--resolve", "http://erp.example:8080/invoices/7", "https://bank.example/", "https://trap.example/", "https://mixed.example/", "https://10.20.0.9/", "https://unknown.example/"}},
		{"resolve-json", []string{config, "--resolve", "--json", "https://mixed.example/", "http://erp.example:8080/invoices/7"}},
		{"unusable-url", []string{policyFile, "https://packages.example/", "packages.example"}},
		{"unusable-none", []string{policyFile}},
		{"unusable-policy", []string{"--policy=testdata/check/bad.yaml", "https://packages.example/"}},
		{"unusable-missing", []string{"--policy=testdata/check/nowhere.yaml", "https://packages.example/"}},
		{"unusable-no-policy", []string{"https://packages.example/"}},
		{"unusable-flag", []string{policyFile, "--methd=GET", "https://packages.example/"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			golden(t, "check/"+tt.name, signet(t, append([]string{"check"}, tt.args...)...))
		})
	}
}

// TestCheckReportsFailedLookups: a name that cannot be resolved is not allowed.
func TestCheckReportsFailedLookups(t *testing.T) {
	out := signet(t, "check", "--config=testdata/check/signet.yaml", "--resolve", "https://packages.example/")
	if !bytes.Contains([]byte(out), []byte("HEL_RESOLVE_FAILED, layer: address, rule: packages")) || !bytes.HasSuffix([]byte(out), []byte("exit status 3\n")) {
		t.Errorf("got %s", out)
	}
}
