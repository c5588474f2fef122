package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
)

func limited(limits string) string {
	return fmt.Sprintf(`
rules:
  - {name: secure, hosts: [up.test], ports: [PORT], intercept: true, limits: {%[1]s}}
  - {name: opaque, hosts: [other.test], ports: [PORT], limits: {%[1]s}}
  - {name: plain, hosts: [plain.test], ports: [PORT], schemes: [http, https], limits: {%[1]s}}
`, limits)
}

func TestRateLimits(t *testing.T) {
	for name, policy := range map[string]string{
		"of the rule":  limited("requests_per_second: 1, burst: 2"),
		"of the agent": anything + "\nlimits: {requests_per_second: 1, burst: 2}\n",
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC) // stands still
			b := start(t, options{policy: policy, now: func() time.Time { return now }})
			client := b.client(true)
			for i, want := range []int{200, 200, 429} {
				resp, err := client.Get(b.secure.URL("up.test", "/small"))
				must(t, err)
				must(t, resp.Body.Close())
				if resp.StatusCode != want {
					t.Errorf("request %d: %s, want %d", i, resp.Status, want)
				}
				if want == 429 && (resp.Header.Get("X-Signet-Reason") != "RATE_LIMITED" || resp.Header.Get("Retry-After") != "1") {
					t.Errorf("%v", resp.Header)
				}
			}
		})
	}
}

func TestConcurrentLimit(t *testing.T) {
	b := start(t, options{policy: limited("concurrent: 1")})
	client := b.client(false)
	gate := b.plain.Gate("g")
	first := make(chan int, 1)
	go func() {
		resp, err := client.Get(b.plain.URL("plain.test", "/slow?gate=g"))
		if err != nil {
			t.Error(err)
			first <- 0
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		first <- resp.StatusCode
	}()
	<-gate.Entered()
	resp, err := client.Get(b.plain.URL("plain.test", "/small"))
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != 429 || resp.Header.Get("X-Signet-Reason") != "LIMIT_EXCEEDED" {
		t.Errorf("second at once: %s %v", resp.Status, resp.Header)
	}
	gate.Open()
	if got := <-first; got != 200 {
		t.Errorf("the first: %d", got)
	}
	resp, err = client.Get(b.plain.URL("plain.test", "/small"))
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != 200 {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

func TestTunnelLimit(t *testing.T) {
	b := start(t, options{policy: limited("tunnels: 1")})
	for _, name := range []string{"other.test", "up.test"} { // a limit for each rule
		host := b.secure.URL(name, "")[len("https://"):]
		first := b.connect(host)
		second := b.dial()
		_, err := fmt.Fprintf(second, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", host, host)
		must(t, err)
		answer, err := io.ReadAll(second)
		must(t, err)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 429 Signet LIMIT_EXCEEDED\r\n") {
			t.Errorf("%s: %q", name, answer)
		}
		must(t, first.Close())
	}
}

func TestByteLimits(t *testing.T) {
	b := start(t, options{policy: limited("request_bytes: 1000, response_bytes: 1000")})
	known := func(n int) func() io.Reader {
		return func() io.Reader { return strings.NewReader(strings.Repeat("x", n)) }
	}
	unknown := func(n int) func() io.Reader { return func() io.Reader { return io.MultiReader(known(n)()) } }
	none := func() io.Reader { return nil }
	for _, c := range []struct {
		name, path string
		body       func() io.Reader
		status     int
		cut        bool
	}{
		{"request of the limit", "/digest", known(1000), 200, false},
		{"request above", "/digest", known(1001), 413, false},
		{"request of the limit, no length", "/digest", unknown(1000), 200, false},
		{"request above, no length", "/digest", unknown(1001), 413, false},
		{"answer of the limit", "/bytes?n=1000", none, 200, false},
		{"answer above", "/bytes?n=1001", none, 502, false},
		{"answer of the limit, no length", "/chunks?n=1000", none, 200, false},
		{"answer above, no length", "/chunks?n=100000", none, 200, true},
	} {
		for _, url := range []string{b.plain.URL("plain.test", c.path), b.secure.URL("up.test", c.path)} {
			t.Run(c.name+" "+url[:5], func(t *testing.T) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, c.body())
				must(t, err)
				resp, err := b.client(false).Do(req)
				must(t, err)
				defer func() { _ = resp.Body.Close() }()
				n, err := io.Copy(io.Discard, resp.Body)
				if resp.StatusCode != c.status || (err != nil) != c.cut || c.cut && n > 1000 {
					t.Errorf("%s, %d bytes, %v; want %d, cut %v", resp.Status, n, err, c.status, c.cut)
				}
				if c.status > 400 && resp.Header.Get("X-Signet-Reason") != "LIMIT_EXCEEDED" {
					t.Errorf("%v", resp.Header)
				}
			})
		}
	}
	for _, r := range b.receipts() {
		if size := r.Detail.Request.Size; size != nil && *size > 1000 {
			t.Errorf("%d bytes of a request were sent", *size)
		}
	}
}

func TestTunnelByteAndTimeLimits(t *testing.T) {
	for _, c := range []struct{ name, limits, path string }{
		{"down", "response_bytes: 5KB", "/bytes?n=100000"},
		{"up", "request_bytes: 3KB", "/echo"},
		{"lifetime", "tunnel_lifetime: 1s", "/slow?gate=never"},
		{"idle", "tunnel_idle: 1s", "/slow?gate=never"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, options{policy: limited(c.limits)})
			defer b.secure.Gate("never").Open() // the handler does not hear of the cut by itself
			conn, err := b.tlsTo(b.connect(b.secure.URL("other.test", "")[len("https://"):]), "other.test")
			must(t, err)
			_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: other.test\r\nContent-Length: 5000\r\n\r\n%s", c.path, strings.Repeat("x", 5000))
			if _, err := io.Copy(io.Discard, conn); err == nil {
				t.Error("the tunnel ended as if in order")
			}
			_ = conn.Close()
			r := b.only()
			want := "LIMIT_EXCEEDED"
			if c.name == "idle" {
				want = "UPSTREAM_TIMEOUT"
			}
			if r.Outcome != receipts.Failed || r.Policy.Reason != want {
				t.Errorf("%s %+v", r.Outcome, r.Policy)
			}
			fwd := r.Detail.Forwarded
			if c.name == "down" && *fwd.BytesDown != 5000 || c.name == "up" && *fwd.BytesUp > 3000 {
				t.Errorf("carried %d up, %d down", *fwd.BytesUp, *fwd.BytesDown)
			}
		})
	}
}
