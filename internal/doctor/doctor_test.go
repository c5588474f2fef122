package doctor

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// signet denies as the sidecar does what doctor asks for, and answers the probe.
func signet(t *testing.T, reason string, date time.Time) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", date.UTC().Format(http.TimeFormat))
		if r.Host == "probe.test" {
			return
		}
		if reason != "" {
			w.Header().Set("X-Signet-Reason", reason)
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// statuses are the report's by group and name.
func statuses(r *Report) map[string]Status {
	all := map[string]Status{}
	for _, c := range r.Checks {
		all[c.Group+"/"+c.Name] = c.Status
		if (c.Fix == "") != (c.Status == Green) {
			all[c.Group+"/"+c.Name+" has a fix"] = "as only what is not green has"
		}
	}
	return all
}

func TestProxy(t *testing.T) {
	now := time.Now()
	tests := map[string]struct {
		proxy            func(t *testing.T) *url.URL
		reachable, clock Status
		detail           string
	}{
		"Signet":         {func(t *testing.T) *url.URL { return signet(t, "HEL_ADDRESS_DENIED", now) }, Green, Green, "HEL_ADDRESS_DENIED"},
		"its disk full":  {func(t *testing.T) *url.URL { return signet(t, "JOURNAL_UNAVAILABLE", now) }, Red, Green, "denies everything"},
		"another proxy":  {func(t *testing.T) *url.URL { return signet(t, "", now) }, Red, Green, "not as Signet"},
		"a minute late":  {func(t *testing.T) *url.URL { return signet(t, "HEL_ADDRESS_DENIED", now.Add(-time.Minute)) }, Green, Yellow, ""},
		"an hour early":  {func(t *testing.T) *url.URL { return signet(t, "HEL_ADDRESS_DENIED", now.Add(time.Hour)) }, Green, Red, ""},
		"nobody listens": {func(*testing.T) *url.URL { return &url.URL{Scheme: "http", Host: "127.0.0.1:1"} }, Red, Yellow, "does not answer"},
		"none is named":  {func(*testing.T) *url.URL { return nil }, Red, Yellow, "no proxy is known"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := &examination{
				Options: Options{Proxy: tt.proxy(t), Timeout: time.Minute, Now: func() time.Time { return now }},
				denied:  map[string]string{"http": "http://" + nobody4 + "/"},
			}
			c := e.proxy(t.Context())[0]
			if c.Status != tt.reachable || !strings.Contains(c.Detail, tt.detail) {
				t.Errorf("%+v; want %s", c, tt.reachable)
			}
			if c := e.clock(); c.Status != tt.clock {
				t.Errorf("%+v; want %s", c, tt.clock)
			}
		})
	}
}

func TestProbeAndJournalTellTheTime(t *testing.T) {
	now := time.Now()
	probe := &url.URL{Scheme: "http", Host: "probe.test", Path: "/"}
	e := &examination{
		Options: Options{Proxy: signet(t, "HEL_ADDRESS_DENIED", now), Probe: probe, Timeout: time.Minute, Now: func() time.Time { return now }, Newest: now.Add(time.Minute)},
		denied:  map[string]string{"http": "http://" + nobody4 + "/"},
	}
	if c := e.proxy(t.Context())[1]; c.Status != Green {
		t.Errorf("%+v", c)
	}
	if c := e.clock(); c.Status != Red || !strings.Contains(c.Detail, "1m0s ahead") {
		t.Errorf("%+v", c)
	}
}

func TestVariables(t *testing.T) {
	const p = "http://127.0.0.1:3128"
	all := []string{"HTTP_PROXY=" + p, "http_proxy=" + p, "HTTPS_PROXY=127.0.0.1:3128", "https_proxy=" + p}
	tests := map[string]struct {
		env                     []string
		proxy, exceptions, more Status
	}{
		"all":            {append(all, "NO_PROXY=localhost,127.0.0.1,::1", "no_proxy=[::1] 127.0.0.0/8"), Green, Green, Green},
		"none":           {nil, Red, Green, Green},
		"one case":       {all[:1], Yellow, Green, Green},
		"another proxy":  {append(all, "http_proxy=http://127.0.0.1:8080"), Red, Green, Green},
		"SOCKS":          {append(all, "https_proxy=socks5://127.0.0.1:3128"), Red, Green, Green},
		"no port":        {append(all, "https_proxy=http://127.0.0.1"), Red, Green, Green},
		"a way around":   {append(all, "NO_PROXY=localhost,.example.com"), Green, Yellow, Green},
		"every way":      {append(all, "no_proxy=*"), Green, Red, Green},
		"all of IPv4":    {append(all, "no_proxy=127.0.0.0/0"), Green, Yellow, Green},
		"ALL_PROXY, too": {append(all, "ALL_PROXY=socks5://127.0.0.1:1080"), Green, Green, Yellow},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := &examination{env: tt.env, Options: Options{Proxy: &url.URL{Scheme: "http", Host: "127.0.0.1:3128"}}}
			got := statuses(&Report{Checks: e.variables()})
			want := map[string]Status{"variables/proxy": tt.proxy, "variables/NO_PROXY": tt.exceptions, "variables/other proxies": tt.more}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v; want %v", got, want)
			}
		})
	}
}

func TestBundles(t *testing.T) {
	dir := t.TempDir()
	one, two := testkit.CA(t), testkit.CA(t)
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	single, both := write("one.pem", one.PEM()), write("both.pem", append(one.PEM(), two.PEM()...))
	e := &examination{env: environment{
		"SSL_CERT_FILE=" + both, "CURL_CA_BUNDLE=" + single, "REQUESTS_CA_BUNDLE=" + filepath.Join(dir, "nowhere.pem"),
		"PIP_CERT=" + write("empty.pem", nil), "NODE_EXTRA_CA_CERTS=" + single,
	}}
	want := map[string]Status{
		"variables/SSL_CERT_FILE": Green, "variables/CURL_CA_BUNDLE": Yellow, "variables/REQUESTS_CA_BUNDLE": Red,
		"variables/PIP_CERT": Red, "variables/NODE_EXTRA_CA_CERTS": Green,
	}
	if got := statuses(&Report{Checks: e.bundles()}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v; want %v", got, want)
	}

	block, _ := pem.Decode(two.PEM())
	second, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for file, trusted := range map[string]bool{single: false, both: true} {
		if a := inFiles(second, file); a.trusted != trusted {
			t.Errorf("%s: %+v", file, a)
		}
	}
	if a := inFiles(second, filepath.Join(dir, "nowhere.pem")); a.trusted || a.failed == "" {
		t.Errorf("a file that is not there: %+v", a)
	}
	if _, err := ReadCA(write("text.pem", []byte("no certificate"))); err == nil {
		t.Error("text was read as a CA")
	}
}

// TestAnswers are what clients print.
func TestAnswers(t *testing.T) {
	dir := t.TempDir()
	e := &examination{Options: Options{Timeout: time.Minute}}
	for i, tt := range []struct {
		script string
		want   answer
	}{
		{"echo STATUS 200", answer{reached: true}},
		{"echo a warning; echo STATUS 403", answer{reached: true}},
		{"echo 'ERROR Tunnel connection failed: 403 Signet HEL_ADDRESS_DENIED'", answer{failed: "Tunnel connection failed: 403 Signet HEL_ADDRESS_DENIED"}},
		{"echo 'ERROR connect ECONNREFUSED 192.0.2.1:443'", answer{failed: "connect ECONNREFUSED 192.0.2.1:443"}},
		{"echo TRUSTED", answer{trusted: true}},
		{"echo UNTRUSTED it reads /x", answer{detail: "it reads /x"}},
		{"echo MISSING", answer{missing: true}},
		{"echo broken >&2; exit 3", answer{failed: "exit status 3: broken"}},
		{"true", answer{failed: "no answer"}},
	} {
		program := filepath.Join(dir, fmt.Sprint("client", i))
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		got := e.ask(t.Context(), "", program)
		if got != tt.want {
			t.Errorf("%s: %+v; want %+v", tt.script, got, tt.want)
		}
		if refused := strings.Contains(tt.script, "Tunnel"); toProxy(got).reached != (got.reached || refused) {
			t.Errorf("%s: %+v counts as %+v", tt.script, got, toProxy(got))
		}
	}
}

func TestUntrusted(t *testing.T) {
	for message, want := range map[string]bool{
		"curl: (60) SSL certificate problem: unable to get local issuer certificate":               true,
		"server certificate verification failed. CAfile: none CRLfile: none":                       true,
		"<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed>":               true,
		"fetch failed: SELF_SIGNED_CERT_IN_CHAIN: self-signed certificate in certificate chain":    true,
		"javax.net.ssl.SSLHandshakeException: PKIX path building failed":                           true,
		"invalid peer certificate: UnknownIssuer":                                                  true,
		"x509: certificate signed by unknown authority":                                            true,
		"tls: failed to verify certificate: x509: certificate is valid for a.test, not for b.test": true,
		"connect ECONNREFUSED 192.0.2.1:443":                                                       false,
		"Could not resolve host: api.test":                                                         false,
	} {
		if untrusted(message) != want {
			t.Errorf("%s: %t; want %t", message, !want, want)
		}
	}
}

func TestRefusal(t *testing.T) {
	for err, want := range map[error]bool{
		os.NewSyscallError("sendto", syscall.EPERM):         true,
		os.NewSyscallError("connect", syscall.EACCES):       true,
		os.NewSyscallError("connect", syscall.EHOSTUNREACH): true,
		os.NewSyscallError("connect", syscall.ECONNREFUSED): false,
		errors.New("i/o timeout"):                           false,
	} {
		if why, local := refusal(err); local != want || local == (why == "") {
			t.Errorf("%v: %q, %t", err, why, local)
		}
	}
}

func TestNames(t *testing.T) {
	for text, want := range map[string]Status{
		"nameserver 10.96.0.10\nsearch cluster.local\n": Yellow,
		"nameserver 127.0.0.53\nnameserver ::1\n":       Green,
		"": Green,
	} {
		file := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		e := &examination{Options: Options{Resolv: file}}
		if c := e.names()[0]; c.Status != want {
			t.Errorf("%q: %+v", text, c)
		}
	}
}

func TestDisk(t *testing.T) {
	if c := disk(t.TempDir()); !strings.HasSuffix(c.Detail, "MiB free") {
		t.Errorf("%+v", c)
	}
	if c := disk(filepath.Join(t.TempDir(), "nowhere")); c.Status != Red {
		t.Errorf("%+v", c)
	}
}
