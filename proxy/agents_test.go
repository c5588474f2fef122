package proxy_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/receipts"
)

// The key selects the agent, on plain HTTP, on CONNECT and for all that is inside
// a tunnel; it goes no further than Signet.
func TestAPIKeys(t *testing.T) {
	agents := proxy.NewAgents([]proxy.APIKey{
		{ID: "k1", Agent: "reader", SHA256: sha256.Sum256([]byte("reader-key"))},
		{ID: "k2", Agent: "writer", SHA256: sha256.Sum256([]byte("writer-key"))},
	})
	b := start(t, options{agents: agents, policy: `
rules:
  - {name: secure, hosts: [up.test], ports: [PORT], intercept: true, agents: [writer]}
  - {name: plain, hosts: [plain.test], ports: [PORT], schemes: [http]}
`})
	for _, c := range []struct {
		name, url string
		user      *url.Userinfo
		status    int
		agent     string
	}{
		{"password", b.plain.URL("plain.test", "/headers"), url.UserPassword("anything", "reader-key"), 200, "reader"},
		{"user name", b.plain.URL("plain.test", "/headers"), url.User("writer-key"), 200, "writer"},
		{"inside a tunnel", b.secure.URL("up.test", "/headers"), url.User("writer-key"), 200, "writer"},
		{"wrong key", b.plain.URL("plain.test", "/headers"), url.User("guess"), 407, "tester"},
		{"no key", b.plain.URL("plain.test", "/headers"), nil, 407, "tester"},
		{"a rule for another", b.secure.URL("up.test", "/headers"), url.User("reader-key"), 403, "reader"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := b.client(false)
			client.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: b.addr, User: c.user})
			resp, err := client.Get(c.url)
			if c.status == 403 {
				if err == nil {
					t.Errorf("allowed: %s", resp.Status)
				}
				return
			}
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != c.status {
				t.Errorf("%s, want %d", resp.Status, c.status)
			}
			if got := resp.Header.Get("Proxy-Authenticate"); (got != "") != (c.status == 407) {
				t.Errorf("Proxy-Authenticate: %q", got)
			}
		})
	}
	var got []string
	for _, r := range b.receipts() {
		got = append(got, fmt.Sprintf("%s %s %s", r.Agent, r.APIKey, r.Policy.Reason))
		if r.Outcome == receipts.Forwarded && r.APIKey == "" {
			t.Error("a forwarded receipt without the key's id")
		}
	}
	want := "[reader k1 ok writer k2 ok writer k2 ok tester  AUTH_REQUIRED tester  AUTH_REQUIRED reader k1 HEL_HOST_NOT_ALLOWED]"
	if fmt.Sprint(got) != want {
		t.Errorf("receipts %v, want %v", got, want)
	}
}

// A key counts where it belongs, once and whole; nothing else says who asks.
func TestKeysThatAreNone(t *testing.T) {
	b := start(t, options{policy: anything, agents: proxy.NewAgents([]proxy.APIKey{
		{ID: "k1", Agent: "reader", SHA256: sha256.Sum256([]byte("reader-key"))},
	})})
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	for name, c := range map[string]struct {
		query, fields string
		status        int
	}{
		"Bearer":                {fields: "Proxy-Authorization: Bearer reader-key\r\n", status: 200},
		"bearer":                {fields: "proxy-authorization: bearer  reader-key \r\n", status: 200},
		"password with a colon": {fields: "Proxy-Authorization: " + basic("a::reader-key") + "\r\n", status: 407},
		"user and no password":  {fields: "Proxy-Authorization: " + basic("reader-key:") + "\r\n", status: 200},
		"user beside another":   {fields: "Proxy-Authorization: " + basic("reader-key:guess") + "\r\n", status: 407},
		"twice":                 {fields: strings.Repeat("Proxy-Authorization: Bearer reader-key\r\n", 2), status: 407},
		"the second of two":     {fields: "Proxy-Authorization: Bearer guess\r\nProxy-Authorization: Bearer reader-key\r\n", status: 407},
		"a list":                {fields: "Proxy-Authorization: Bearer guess, Bearer reader-key\r\n", status: 407},
		"huge":                  {fields: "Proxy-Authorization: Bearer " + strings.Repeat("a", 30_000) + "\r\n", status: 407},
		"empty":                 {fields: "Proxy-Authorization: \r\n", status: 407},
		"no scheme":             {fields: "Proxy-Authorization: reader-key\r\n", status: 407},
		"another scheme":        {fields: "Proxy-Authorization: Digest reader-key\r\n", status: 407},
		"Basic of nothing":      {fields: "Proxy-Authorization: " + basic(":") + "\r\n", status: 407},
		"Basic, not base64":     {fields: "Proxy-Authorization: Basic reader-key\r\n", status: 407},
		"Basic, not UTF-8":      {fields: "Proxy-Authorization: " + basic("\xff:\xff\x00") + "\r\n", status: 407},
		"for the upstream":      {fields: "Authorization: Bearer reader-key\r\n", status: 407},
		"a cookie":              {fields: "Cookie: proxy-authorization=reader-key\r\n", status: 407},
		"named in another":      {fields: "X-Signet-Agent: reader\r\nX-Api-Key: reader-key\r\n", status: 407},
		"the query":             {query: "?proxy-authorization=Bearer+reader-key", status: 407},
	} {
		host := fmt.Sprintf("plain.test:%d", b.plain.Port())
		for way, target := range map[string]string{"http": "GET http://" + host + "/small" + c.query, "CONNECT": "CONNECT " + host} {
			want := c.status
			switch {
			case way == "CONNECT" && c.query != "":
				continue
			case way == "CONNECT" && want == http.StatusOK:
				want = http.StatusForbidden // known, and the rule is for http
			}
			conn := b.dial()
			_, err := io.WriteString(conn, target+" HTTP/1.1\r\nHost: "+host+"\r\n"+c.fields+"\r\n")
			must(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != want || (want == http.StatusProxyAuthRequired) != (len(resp.Header["Proxy-Authenticate"]) == 2) {
				t.Errorf("%s, %s: %s %v, want %d", name, way, resp.Status, resp.Header, want)
			}
			_ = conn.Close()
		}
	}
	if log := b.logs.String(); strings.Contains(log, "reader-key") || strings.Contains(log, "guess") {
		t.Error("a key is in the log")
	}
}

// A key that is no agent's any more ends the tunnels that it opened, and no other.
func TestRevokedKey(t *testing.T) {
	key := func(id, agent, secret string) proxy.APIKey {
		return proxy.APIKey{ID: id, Agent: agent, SHA256: sha256.Sum256([]byte(secret))}
	}
	kept := key("k1", "reader", "kept")
	for _, c := range []struct {
		name string
		left []proxy.APIKey
		cut  int
	}{
		{"as before", []proxy.APIKey{kept, key("k2", "writer", "revoked")}, 0},
		{"gone", []proxy.APIKey{kept}, 1},
		{"another secret under the same id", []proxy.APIKey{kept, key("k2", "writer", "new")}, 1},
		{"another agent's", []proxy.APIKey{kept, key("k2", "reader", "revoked")}, 1},
	} {
		for _, host := range []string{"up.test", "other.test"} { // intercepted, opaque
			t.Run(c.name+" "+host, func(t *testing.T) {
				b := start(t, options{policy: anything, agents: proxy.NewAgents([]proxy.APIKey{kept, key("k2", "writer", "revoked")})})
				authority := b.secure.URL(host, "")[len("https://"):]
				other, err := b.tlsTo(b.connect(authority, "Proxy-Authorization: Bearer kept"), host)
				must(t, err)
				conn, err := b.tlsTo(b.connect(authority, "Proxy-Authorization: Bearer revoked"), host)
				must(t, err)
				next := *b.snap.Load()
				next.Agents = proxy.NewAgents(c.left)
				b.snap.Store(&next)
				if n := b.proxy.Revalidate(); n != c.cut {
					t.Errorf("%d connections cut, want %d", n, c.cut)
				}
				must(t, other.Close())
				if c.cut == 0 {
					must(t, conn.Close())
				}
				for _, r := range b.receipts() {
					if cut := r.Policy.Reason == "AUTH_REQUIRED"; cut != (r.APIKey == "k2" && c.cut == 1) {
						t.Errorf("%s: %s %+v", r.APIKey, r.Outcome, r.Policy)
					}
				}
			})
		}
	}
}
