package proxy_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts"
)

// The first inner intent takes the CONNECT's place: two requests on one tunnel
// are two receipts.
func TestInterceptedExchanges(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			b := start(t, options{policy: anything})
			client := b.client(h2)
			for range 2 {
				resp, err := client.Post(b.secure.URL("up.test", "/digest?secret=1"), "text/plain", strings.NewReader("hello"))
				must(t, err)
				var got peers.BodyDigest
				must(t, json.NewDecoder(resp.Body).Decode(&got))
				must(t, resp.Body.Close())
				if got.Size != 5 {
					t.Errorf("the upstream read %d bytes", got.Size)
				}
			}
			all := b.receipts()
			if len(all) != 2 {
				t.Fatalf("%d receipts, want 2", len(all))
			}
			for i, r := range all {
				d := r.Detail
				if r.Outcome != receipts.Forwarded || r.Hop != int64(i+1) || r.Usage.VEX != 1 || d.TLS.Mode != "intercept" || d.TLS.PeerSPKI == "" {
					t.Errorf("receipt %d: %+v %+v", i, r, d.TLS)
				}
				const helloDigest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
				if d.Request.Path != "/digest" || d.Request.Digest != helloDigest || *d.Request.Size != 5 || *d.Forwarded.StatusCode != 200 {
					t.Errorf("receipt %d: %+v %+v", i, d.Request, d.Forwarded)
				}
				if want := map[bool]string{false: "h1", true: "h2"}[h2]; d.Request.Protocol != want {
					t.Errorf("protocol %s", d.Request.Protocol)
				}
			}
			if all[1].PrevReceiptHash != all[0].ReceiptHash {
				t.Error("the hops are not linked")
			}
			if n := b.secure.Connections(); n != 1 {
				t.Errorf("%d upstream connections, want 1", n)
			}
		})
	}
}

func TestInterceptWithoutAnExchange(t *testing.T) {
	b := start(t, options{policy: anything})
	host := b.secure.URL("up.test", "")[len("https://"):]
	raw := b.connect(host)
	c, err := b.tlsTo(raw, "up.test")
	must(t, err)
	must(t, c.CloseWrite())
	_, _ = io.Copy(io.Discard, raw) // until the tunnel is over
	r := b.only()
	if r.Outcome != receipts.Failed || r.Policy.Reason != "CLIENT_ABORTED" || r.Detail.Request.Method != "CONNECT" {
		t.Errorf("%s %+v %+v", r.Outcome, r.Policy, r.Detail.Request)
	}
}

// A bad upstream never gets a leaf that looks good: the CONNECT itself fails.
func TestInterceptBadUpstream(t *testing.T) {
	ca := testkit.CA(t)
	for name, make := range map[string]func() (tls.Certificate, error){
		"self-signed": func() (tls.Certificate, error) { return peers.SelfSigned("up.test") },
		"other name":  func() (tls.Certificate, error) { return ca.Leaf("other.test") },
		"expired":     func() (tls.Certificate, error) { return ca.ExpiredLeaf("up.test") },
	} {
		t.Run(name, func(t *testing.T) {
			leaf, err := make()
			must(t, err)
			u := testkit.Upstream(t, peers.UpstreamOptions{Certificate: &leaf})
			b := start(t, options{policy: strings.ReplaceAll(anything, "PORT", fmt.Sprint(u.Port())), ca: ca})
			conn := b.dial()
			_, err = fmt.Fprintf(conn, "CONNECT up.test:%d HTTP/1.1\r\nHost: up.test:%d\r\n\r\n", u.Port(), u.Port())
			must(t, err)
			answer, err := io.ReadAll(conn)
			must(t, err)
			if !strings.HasPrefix(string(answer), "HTTP/1.1 502 Signet UPSTREAM_FAILED\r\n") {
				t.Errorf("answered %q", answer)
			}
			if r := b.only(); r.Outcome != receipts.Failed || r.Policy.Reason != "UPSTREAM_FAILED" || !r.Policy.Allowed {
				t.Errorf("%s %+v", r.Outcome, r.Policy)
			}
			if n := u.RequestCount(); n != 0 {
				t.Errorf("the upstream saw %d requests", n)
			}
		})
	}
}

// Each inner request is decided again: another host on the same connection is
// misdirected (RFC 9113, section 9.1.1), whatever the policy says of it.
func TestInterceptAuthorityMismatch(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			b := start(t, options{policy: anything})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.secure.URL("up.test", "/small"), nil)
			must(t, err)
			req.Host = "other.test"
			resp, err := b.client(h2).Do(req)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != http.StatusMisdirectedRequest || resp.Header.Get("X-Signet-Reason") != "HEL_AUTHORITY_MISMATCH" {
				t.Errorf("%s %v", resp.Status, resp.Header)
			}
			if n := b.secure.RequestCount(); n != 0 {
				t.Errorf("the upstream saw %d requests", n)
			}
		})
	}
}

func TestInterceptedPolicy(t *testing.T) {
	b := start(t, options{policy: `
rules:
  - {name: api, hosts: [up.test], ports: [PORT], methods: [GET], paths: ["/small/**"], intercept: true}
`})
	client := b.client(true)
	for _, c := range []struct {
		method, path, reason string
		status               int
	}{
		{"GET", "/small/1", "", 200},
		{"POST", "/small/1", "HEL_METHOD_NOT_ALLOWED", 403},
		{"GET", "/headers", "HEL_PATH_NOT_ALLOWED", 403},
		{"GET", "/small/..%2fheaders", "HEL_PATH_NOT_ALLOWED", 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, b.secure.URL("up.test", "")+c.path, nil)
		must(t, err)
		resp, err := client.Do(req)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != c.status || resp.Header.Get("X-Signet-Reason") != c.reason {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.path, resp.StatusCode, resp.Header.Get("X-Signet-Reason"), c.status, c.reason)
		}
	}
	if n := b.secure.RequestCount(); n != 1 {
		t.Errorf("the upstream saw %d requests, want 1", n)
	}
}

func TestWebSocket(t *testing.T) {
	for _, c := range []struct{ name, url string }{{"plain", "http"}, {"intercepted", "https"}} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, options{policy: anything})
			url := b.plain.URL("plain.test", "/ws")
			if c.url == "https" {
				url = b.secure.URL("up.test", "/ws")
			}
			ws, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: b.client(false)})
			must(t, err)
			if resp.Header.Get("X-Signet-Receipt") == "" {
				t.Error("no receipt id in the handshake's answer")
			}
			must(t, ws.Write(t.Context(), websocket.MessageText, []byte("hello")))
			_, echo, err := ws.Read(t.Context())
			must(t, err)
			if string(echo) != "hello" {
				t.Errorf("echo %q", echo)
			}
			must(t, ws.Close(websocket.StatusNormalClosure, ""))
			r := b.only()
			fwd := r.Detail.Forwarded
			if r.Outcome != receipts.Forwarded || *fwd.StatusCode != 101 || *fwd.BytesUp == 0 || *fwd.BytesDown == 0 {
				t.Errorf("%s %+v %+v", r.Outcome, r.Policy, fwd)
			}
		})
	}
	t.Run("only by rule", func(t *testing.T) {
		b := start(t, options{policy: strings.ReplaceAll(anything, "[https, wss]", "[https]")})
		_, resp, err := websocket.Dial(context.Background(), b.secure.URL("up.test", "/ws"), &websocket.DialOptions{HTTPClient: b.client(false)})
		if err == nil || resp == nil || resp.Header.Get("X-Signet-Reason") != "HEL_SCHEME_NOT_ALLOWED" {
			t.Errorf("%v %v", resp, err)
		}
	})
}
