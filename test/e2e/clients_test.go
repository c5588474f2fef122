package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit"
)

const (
	message = "hello from the agent\n"
	testID  = "one"
)

// client posts message to a URL with X-Test-Id through the proxy, and returns
// what came back.
type client struct {
	name  string
	modes []mode
	post  func(t *testing.T, c *sidecar, m mode, url string) string
}

func clients() []client {
	return []client{
		{"curl", allModes, curl},
		{"go", allModes, goClient},
		{"urllib", h1Modes, pythonClient(urllib)},
		{"requests", h1Modes, pythonClient(requests)},
		{"httpx", h1Modes, pythonClient(httpx)},
		// ProxyAgent opens a tunnel for plain HTTP too, which must carry TLS.
		{"undici", []mode{opaqueH1, interceptedH1}, node},
	}
}

// Ordinary clients work in every mode that they know, and each exchange leaves
// one receipt that says what happened.
func TestClients(t *testing.T) {
	for _, client := range clients() {
		for _, m := range client.modes {
			t.Run(client.name+"/"+m.name, func(t *testing.T) {
				s := newSite(t, options{})
				car := s.start()
				const path = "/echo/" + testID
				if got := client.post(t, car, m, m.url(s, path+"?q=secret")); got != message {
					t.Errorf("the body came back as %q", got)
				}
				seen := m.upstream(s).Requests()
				if len(seen) != 1 || seen[0].Proto != m.seen || seen[0].SNI != m.sni() || seen[0].RequestURI != path+"?q=secret" {
					t.Fatalf("the upstream saw %+v", seen)
				}
				n := int64(len(message))
				m.expect(t, s, car.only(), request{
					method: http.MethodPost, path: path,
					up: n, down: n, upDigest: digestOf(message), downDigest: digestOf(message),
				})
			})
		}
	}
}

func curl(t *testing.T, c *sidecar, m mode, url string) string {
	version := map[string]string{"h1": "--http1.1", "h2": "--http2"}[m.protocol]
	got := testkit.Curl(t, version, "--proxy", c.proxyURL(), "--cacert", m.roots(c), "--header", "X-Test-Id: "+testID,
		"--data-binary", message, "--write-out", "%{http_version} %{response_code}", url)
	body, end, _ := strings.Cut(got.Stdout, "\n")
	want := map[string]string{"h1": "1.1 200", "h2": "2 200"}[m.protocol]
	if got.ExitCode != 0 || end != want {
		t.Errorf("curl exited with %d, and said %q and %q; want %q", got.ExitCode, end, got.Stderr, want)
	}
	return body + "\n"
}

func goClient(t *testing.T, c *sidecar, m mode, url string) string {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(message))
	must(t, err)
	req.Header.Set("X-Test-Id", testID)
	resp, err := c.client(m).Do(req)
	must(t, err)
	defer func() { must(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s", resp.Status)
	}
	return string(body)
}

// The scripts take the URL, the message and the id, and find the proxy and what
// to trust where each library looks for them.
const (
	urllib = `
import sys, urllib.request
url, message, id = sys.argv[1:]
request = urllib.request.Request(url, data=message.encode(), headers={"X-Test-Id": id})
sys.stdout.write(urllib.request.urlopen(request).read().decode())
`
	requests = `
import sys, requests
url, message, id = sys.argv[1:]
answer = requests.post(url, data=message.encode(), headers={"X-Test-Id": id})
answer.raise_for_status()
sys.stdout.write(answer.text)
`
	httpx = `
import sys, httpx
url, message, id = sys.argv[1:]
answer = httpx.post(url, content=message.encode(), headers={"X-Test-Id": id})
answer.raise_for_status()
sys.stdout.write(answer.text)
`
	undici = `
const { ProxyAgent, request } = require("undici");
const [url, message, id, proxy] = process.argv.slice(2);
(async () => {
  const dispatcher = new ProxyAgent(proxy);
  const answer = await request(url, { dispatcher, method: "POST", body: message, headers: { "X-Test-Id": id } });
  if (answer.statusCode !== 200) throw new Error("status " + answer.statusCode);
  process.stdout.write(await answer.body.text());
  await dispatcher.close();
})();
`
)

// environment is how an agent is told of the sidecar.
func environment(c *sidecar, m mode) []string {
	return []string{
		"http_proxy=" + c.proxyURL(), "https_proxy=" + c.proxyURL(),
		"SSL_CERT_FILE=" + m.roots(c), "REQUESTS_CA_BUNDLE=" + m.roots(c), "NODE_EXTRA_CA_CERTS=" + m.roots(c),
	}
}

func pythonClient(script string) func(*testing.T, *sidecar, mode, string) string {
	return func(t *testing.T, c *sidecar, m mode, url string) string {
		return output(t, testkit.Client{Env: environment(c, m)}.Python(t, script, url, message, testID))
	}
}

func node(t *testing.T, c *sidecar, m mode, url string) string {
	return output(t, testkit.Client{Env: environment(c, m)}.Node(t, undici, url, message, testID, c.proxyURL()))
}

func output(t *testing.T, r testkit.Result) string {
	t.Helper()
	if r.ExitCode != 0 {
		t.Errorf("exit status %d: %s", r.ExitCode, r.Stderr)
	}
	return r.Stdout
}
