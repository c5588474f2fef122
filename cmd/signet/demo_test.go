package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

// runDemo runs signet demo as anybody would, with more environment.
func runDemo(t *testing.T, env []string, args ...string) string {
	t.Helper()
	testkit.BuildCollector(t) // into the same directory
	cmd := exec.CommandContext(t.Context(), testkit.BuildSignet(t), append([]string{"demo"}, args...)...)
	cmd.Env = append(append(os.Environ(), "NO_COLOR=", "CLICOLOR_FORCE="), env...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return string(output)
}

// What differs from run to run: ids, hashes, and the directory that is kept.
var demoVaries = []struct {
	pattern *regexp.Regexp
	mask    string
}{
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:HASH"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`(?m)\b[0-9a-f]{8}$`), "RECEIPT"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`signet_[A-Za-z0-9_-]{43}`), "signet_TOKEN"},
}

func maskDemo(output string) string {
	for _, v := range demoVaries {
		output = v.pattern.ReplaceAllString(output, v.mask)
	}
	return output
}

func TestDemo(t *testing.T) {
	plain := maskDemo(runDemo(t, nil))
	golden(t, "demo", plain)

	coloured := runDemo(t, []string{"CLICOLOR_FORCE=1"})
	stripped := regexp.MustCompile(`\x1b\[\d+m`).ReplaceAllString(coloured, "")
	if maskDemo(stripped) != plain || coloured == stripped {
		t.Errorf("in colour:\n%s", coloured)
	}
	if asked := maskDemo(runDemo(t, []string{"CLICOLOR_FORCE=1", "NO_COLOR=1"})); asked != plain {
		t.Errorf("with NO_COLOR:\n%s", asked)
	}
}

func TestDemoJSON(t *testing.T) {
	var got playbill
	if err := json.Unmarshal([]byte(runDemo(t, nil, "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Passed || len(got.Lines) != len(scenes) || got.Collector == nil || got.Collector.Receipts != len(scenes) || !strings.HasPrefix(got.Verified, fmt.Sprintf("verified: %d receipts, ", len(scenes))) {
		t.Errorf("%+v", got)
	}
}

func TestDemoKeeps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	if out := runDemo(t, nil, "--keep", dir); !strings.Contains(out, "signet receipts --data "+dir+"/data\n") {
		t.Error(out)
	}
	if out := signet(t, "verify", filepath.Join(dir, "data")); !strings.HasPrefix(out, fmt.Sprintf("verified: %d receipts, ", len(scenes))) {
		t.Error(out)
	}
	if out := signet(t, "receipts", "--data", filepath.Join(dir, "data"), "--outcome", "unknown"); !strings.Contains(out, apiHost) {
		t.Error(out)
	}
	if out := signet(t, "demo", "--keep", dir); !strings.Contains(out, "is not empty") || !strings.HasSuffix(out, "exit status 2\n") {
		t.Error(out)
	}
}

func TestDemoHasASecondOpinion(t *testing.T) {
	const script = "../../docs/verify/signet_verify.py"
	dir := filepath.Join(t.TempDir(), "kept")
	out := runDemo(t, nil, "--keep", dir, "--second-verifier", script)
	again := testkit.PythonFile(t, "python3-cryptography", "cryptography", script, filepath.Join(dir, "bundle.zip")) // skips without it
	if again.ExitCode != 0 || !strings.Contains(out, fmt.Sprintf("the second verifier: verified: %d receipts, ", len(scenes))) {
		t.Errorf("%s\n%+v", out, again)
	}
}

// --stay leaves the collector to be looked at until an interrupt, and then ends
// as well as ever.
func TestDemoStays(t *testing.T) {
	testkit.BuildCollector(t)
	p, err := peers.StartProcess(exec.CommandContext(t.Context(), testkit.BuildSignet(t), "demo", "--stay"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	invited := regexp.MustCompile(`^To look at its pages, until Ctrl-C: (http://\S+), with the token (signet_\S+)$`)
	line, err := p.Line(t.Context(), invited.MatchString)
	if err != nil {
		t.Fatal(err)
	}
	found := invited.FindStringSubmatch(line)
	r := &reader{demoCollector: &demoCollector{url: found[1], token: found[2]}, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	var list struct{ Receipts []json.RawMessage }
	if err := r.get(t.Context(), "/v1/receipts?outcome=unknown", &list); err != nil || len(list.Receipts) != 1 {
		t.Errorf("%d receipts, %v", len(list.Receipts), err)
	}
	if err := errors.Join(p.Signal(syscall.SIGINT), p.Wait()); err != nil {
		t.Errorf("after an interrupt: %v\n%s", err, p.Output())
	}
}

func TestDemoWithoutCollector(t *testing.T) {
	var out bytes.Buffer
	if err := (&demo{binary: testkit.BuildSignet(t), policy: demoPolicy}).run(t.Context(), &out); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "\nNo collector: there is no signet-collector beside signet; make build makes both.\n") {
		t.Error(out.String())
	}
}

// The demonstration is only worth something if it can fail.
func TestDemoFails(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	binary := testkit.BuildSignet(t)
	for name, test := range map[string]struct {
		old, replacement string // in the policy
		want             []string
	}{
		"a host too many": {
			"hosts: [files.demo.test", "hosts: ['*.demo.test'",
			[]string{
				"FAIL  a host that no rule lists                    denied    HEL_SCHEME_NOT_ALLOWED: 403, no DNS query, no connection",
				"wanted    HEL_HOST_NOT_ALLOWED: 403, no DNS query, no connection",
			},
		},
		"a hole too many": {
			"127.0.0.1/32", "127.0.0.0/8",
			[]string{"FAIL  the same name, rebound to 127.0.0.2", "1 × at the tripwire"},
		},
		"report mode": {
			"mode: enforce", "mode: report",
			[]string{"FAIL  a host that no rule lists", "2 × DNS query"},
		},
		"no interception": {
			"    methods: [GET]\n    intercept: true\n", "",
			[]string{"FAIL  an allowed call, intercepted                 allowed   forwarded: 200 over h2, not opened"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			policy := strings.Replace(demoPolicy, test.old, test.replacement, 1)
			var out bytes.Buffer
			err := (&demo{binary: binary, policy: policy}).run(t.Context(), &out)
			var coded *exitError
			if !errors.As(err, &coded) || coded.code != 1 {
				t.Errorf("error %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(collapsed(out.String()), collapsed(want)) {
					t.Errorf("no %q in\n%s", want, out.String())
				}
			}
		})
	}
}

// collapsed has one blank where the columns of a table have several.
func collapsed(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestDemoCannotBegin(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	err := (&demo{binary: testkit.BuildSignet(t), policy: "version: 1\nroles: []\n# %[1]d %[2]d\n"}).run(t.Context(), &out)
	if err == nil || !strings.Contains(err.Error(), "policy.yaml:2") {
		t.Errorf("a bad policy: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	err = (&demo{binary: testkit.BuildSignet(t), policy: demoPolicy}).run(ended, &out)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// make picture draws it from what the demonstration writes.
func TestPictureIsOfThisDemo(t *testing.T) {
	picture, err := os.ReadFile("../../docs/images/demo.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenes {
		for _, text := range []string{s.tried, s.want} {
			if !bytes.Contains(picture, []byte(">"+text+"<")) {
				t.Errorf("docs/images/demo.svg does not show %q: run make picture", text)
			}
		}
	}
}
