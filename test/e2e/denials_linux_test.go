package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/receipts"
)

// withoutDenial are the reasons that no denial has.
var withoutDenial = []policy.Reason{policy.OK}

// Each reason has a golden file of what people see of it, and no file is of none.
func TestEveryReasonHasItsDenial(t *testing.T) {
	var want, have []string
	for _, r := range policy.Reasons() {
		if !slices.Contains(withoutDenial, r) {
			want = append(want, string(r)+".txt")
		}
	}
	files, err := os.ReadDir("testdata/denials")
	must(t, err)
	for _, f := range files {
		have = append(have, f.Name())
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("testdata/denials has %q, want %q", have, want)
	}
	for _, r := range policy.Reasons() {
		if _, ok := denials[r]; ok == slices.Contains(withoutDenial, r) {
			t.Errorf("%s: a scene of it: %v", r, ok)
		}
	}
}

// What curl prints, what Python raises and what the receipt says, for each reason.
func TestDenials(t *testing.T) {
	for _, reason := range slices.Sorted(maps.Keys(denials)) {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			d := denials[reason]
			s := newSite(t, d.options)
			if d.disk > 0 {
				smallDisk(t, s.path("data"), d.disk)
			}
			car := s.start()
			trust, err := os.ReadFile(car.interceptionRoots())
			must(t, err)
			s.write("trust.pem", string(trust)+string(s.ca.PEM()))
			asks := d.asks(t, car)
			if d.before != nil {
				d.before(t, car)
			}
			var others sync.WaitGroup
			ctx, enough := context.WithCancel(t.Context())
			defer enough()
			if d.alongside != nil {
				others.Go(func() { d.alongside(ctx, t, car) })
			}
			text := d.tell(t, car, asks)
			enough()
			others.Wait()
			if !d.stopped {
				car.stop()
			}
			text += "\nReceipts:\n\n" + receiptForms(t, s.evidence().receipts, reason)
			golden(t, filepath.Join("denials", string(reason)+".txt"), s.mask(text))
		})
	}
}

// ask is one request that is denied, as curl and as Python make it.
type ask struct {
	url    string            // CLIENT in it becomes the client's name
	method string            // GET when empty
	header map[string]string // more fields
	body   string
	curl   []string // more arguments
	python string   // a script in place of the usual one
}

// tell makes each request with each client and writes down what they show.
func (d *scene) tell(t *testing.T, car *sidecar, asks []ask) string {
	t.Helper()
	type client func(*testing.T, *sidecar, ask) string
	var calls []func() string
	for _, a := range asks {
		for _, run := range []client{curlShows, pythonShows} {
			if d.python != "" {
				a.python = d.python
			}
			calls = append(calls, func() string {
				text := run(t, car, a)
				for d.again != nil && d.again(text) {
					text = run(t, car, a)
				}
				return text
			})
		}
	}
	if d.during == nil {
		var text strings.Builder
		for _, call := range calls {
			text.WriteString(call())
		}
		return text.String()
	}
	shown := make([]chan string, len(calls))
	for i, call := range calls {
		shown[i] = make(chan string, 1)
		go func() { shown[i] <- call() }()
	}
	d.during(t, car)
	var text strings.Builder
	for _, s := range shown {
		text.WriteString(<-s)
	}
	return text.String()
}

// shownFields are the fields of an answer that somebody who debugs looks at.
var shownFields = regexp.MustCompile(`(?i)^(HTTP/|Content-Type|Retry-After|Proxy-Authenticate|X-Signet-)`)

// curlShows is what curl prints with --include, and its exit status.
func curlShows(t *testing.T, car *sidecar, a ask) string {
	a.url = strings.ReplaceAll(a.url, "CLIENT", "curl")
	args := []string{"--include", "--proxy", car.proxyURL(), "--cacert", car.site.path("trust.pem")}
	command := "curl"
	if a.method != "" {
		args = append(args, "--request", a.method)
		command += " --request " + a.method
	}
	for name, value := range a.header {
		args = append(args, "--header", name+": "+value)
		command += " --header '" + name + ": " + value + "'"
	}
	if a.body != "" {
		args = append(args, "--data", a.body)
		command += " --data " + a.body
	}
	for _, arg := range a.curl {
		command += " " + arg
	}
	got := testkit.Curl(t, append(append(args, a.curl...), a.url)...)
	var text strings.Builder
	fmt.Fprintf(&text, "$ %s %s\n", command, a.url)
	inHead := false
	for line := range strings.Lines(got.Stdout) {
		if strings.HasPrefix(line, "HTTP/") {
			inHead = true
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case inHead && line == "":
			inHead = false
		case strings.HasPrefix(line, "{") || inHead && shownFields.MatchString(line):
			text.WriteString(line + "\n")
		}
	}
	fmt.Fprintf(&text, "curl: exit status %d\n\n", got.ExitCode)
	return text.String()
}

// raises is how the scripts say what was raised: the exception, and what it comes
// from where the library has wrapped it.
const raises = `
import json, sys

def raised(call, what):
    try:
        what()
        print(call, "raises nothing")
    except Exception as e:
        name = type(e).__module__ + "." + type(e).__qualname__
        root, within = e, [e]
        while within:
            root = within[-1]
            within = [c for c in (*root.args, getattr(root, "reason", None)) if isinstance(c, BaseException)]
        if root is not e:
            name += ", from " + type(root).__qualname__
        print(call, "raises", name + ":", root)

ask = json.loads(sys.argv[1])
`

const usualPython = raises + `
import requests, urllib.request
url, method, body = ask["url"], ask["method"], ask["body"].encode() or None
raised("urllib", lambda: urllib.request.urlopen(urllib.request.Request(url, body, ask["header"], method=method)).read())
raised("requests", lambda: requests.request(method, url, data=body, headers=ask["header"]).raise_for_status())
`

func pythonShows(t *testing.T, car *sidecar, a ask) string {
	a.url = strings.ReplaceAll(a.url, "CLIENT", "python")
	script, method := usualPython, "GET"
	if a.python != "" {
		script = raises + a.python
	}
	if a.method != "" {
		method = a.method
	}
	header := a.header
	if header == nil {
		header = map[string]string{}
	}
	arg, err := json.Marshal(map[string]any{"url": a.url, "method": method, "body": a.body, "header": header, "proxy": car.addr})
	must(t, err)
	trust := car.site.path("trust.pem")
	got := testkit.Client{Env: []string{
		"http_proxy=" + car.proxyURL(), "https_proxy=" + car.proxyURL(), "SSL_CERT_FILE=" + trust, "REQUESTS_CA_BUNDLE=" + trust,
	}}.Python(t, script, string(arg))
	if got.ExitCode != 0 {
		t.Errorf("the script ended with %d: %s", got.ExitCode, got.Stderr)
	}
	return fmt.Sprintf("Python, %s\n%s\n", a.url, got.Stdout)
}

// receiptForms are the receipts of a reason, each form once: what they decide, and
// which members the parts of their detail have.
func receiptForms(t *testing.T, all []*receipts.Receipt, reason policy.Reason) string {
	t.Helper()
	var forms []string
	for _, r := range all {
		if r.Policy.Reason != string(reason) {
			continue
		}
		var record struct {
			Policy json.RawMessage            `json:"policy"`
			Detail map[string]json.RawMessage `json:"detail"`
		}
		must(t, json.Unmarshal(receipts.Append(nil, r), &record))
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(record.Detail)) {
			var members map[string]json.RawMessage
			if json.Unmarshal(record.Detail[name], &members) == nil {
				parts = append(parts, fmt.Sprintf("    %s {%s}\n", name, strings.Join(slices.Sorted(maps.Keys(members)), ", ")))
			}
		}
		form := fmt.Sprintf("  outcome %s, policy %s\n%s", r.Outcome, record.Policy, strings.Join(parts, ""))
		if !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	if len(forms) == 0 {
		return "  none\n"
	}
	slices.Sort(forms)
	return strings.Join(forms, "\n")
}

// mask takes out what differs from run to run.
func (s *site) mask(text string) string {
	for _, u := range []uint16{s.secure.Port(), s.old.Port(), s.plain.Port()} {
		text = strings.ReplaceAll(text, fmt.Sprint(u), "PORT")
	}
	for _, m := range []struct{ pattern, mask string }{
		{`sha256:[0-9a-f]{64}`, "sha256:HASH"},
		{`Retry-After: \d+`, "Retry-After: SECONDS"},
		{`\(_ssl\.c:\d+\)`, "(_ssl.c:LINE)"},
		{`signet-[0-9a-f-]+`, "signet-ID"},
	} {
		text = regexp.MustCompile(m.pattern).ReplaceAllString(text, m.mask)
	}
	return text
}
