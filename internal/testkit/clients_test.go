package testkit

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The clients reach an upstream of their own accord, without any proxy.

func TestCurl(t *testing.T) {
	ca := CA(t)
	u := Secure(t, ca, "localhost")
	file := CAFile(t, ca)
	for version, want := range map[string]string{"--http1.1": "1.1", "--http2": "2"} {
		got := Curl(t, version, "--cacert", file, "--write-out", "%{http_version}", "--output", "/dev/null", u.URL("localhost", "/small"))
		if got.ExitCode != 0 || got.Stdout != want {
			t.Errorf("%s: %+v", version, got)
		}
	}
	if got := Curl(t, u.URL("localhost", "/small")); got.ExitCode != 60 || !strings.Contains(got.Stderr, "certificate") {
		t.Errorf("without the CA: %+v", got)
	}
}

func TestPython(t *testing.T) {
	ca := CA(t)
	u := Secure(t, ca, "localhost")
	script := `
import sys, ssl, urllib.request, requests, httpx
url, ca = sys.argv[1:]
print(urllib.request.urlopen(url, context=ssl.create_default_context(cafile=ca)).status)
print(requests.get(url, verify=ca).status_code)
print(httpx.get(url, verify=ca).status_code)
`
	got := Python(t, script, u.URL("localhost", "/small"), CAFile(t, ca))
	if got.ExitCode != 0 || got.Stdout != "200\n200\n200\n" {
		t.Errorf("%+v", got)
	}
}

func TestNode(t *testing.T) {
	ca := CA(t)
	u := Secure(t, ca, "localhost")
	script := `
const { ProxyAgent, request } = require("undici");
new ProxyAgent("http://127.0.0.1:9");
request(process.argv[2]).then(async (r) => { await r.body.text(); console.log(r.statusCode) });
`
	c := Client{Env: []string{"NODE_EXTRA_CA_CERTS=" + CAFile(t, ca)}}
	got := c.Node(t, script, u.URL("localhost", "/small"))
	if got.ExitCode != 0 || got.Stdout != "200\n" {
		t.Errorf("%+v", got)
	}
}

func TestStartedClientIsWatched(t *testing.T) {
	u := Plain(t)
	p := Start(t, Client{}.CurlCommand(t, "--no-buffer", u.URL("", "/sse?n=2&id=x")))
	for k, want := range []string{"data: event 1", "data: event 2"} {
		if _, err := p.Line(t.Context(), func(line string) bool { return line == want }); err != nil {
			t.Fatal(err)
		}
		u.Stream("x").Ack(k + 1)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("curl: %v; it wrote %s", err, p.Output())
	}
}

func TestPeersEndWithTheTest(t *testing.T) {
	DNS(t)
	Tripwire(t, "")
}
