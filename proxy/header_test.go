package proxy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/peers"
)

// What an agent may say goes on as it is; what only a proxy may say does not.
func TestRequestFields(t *testing.T) {
	b := start(t, options{policy: anything})
	for _, mode := range []string{"plain", "intercepted"} {
		t.Run(mode, func(t *testing.T) {
			conn, base, host := b.http1(mode)
			_, err := fmt.Fprintf(conn, "GET %s/headers//a%%2Fb?q=%%zz;x HTTP/1.1\r\nHost: %s\r\n"+
				"Accept-Encoding: gzip\r\nX-Own: 1\r\nX-Own: 2\r\nConnection: keep-alive, x-drop\r\nX-Drop: 1\r\nKeep-Alive: 1\r\n"+
				"Proxy-Authorization: Basic YTpi\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\nTe: trailers, deflate\r\n"+
				"X-Signet-Reason: ok\r\nX-Signet-Trace: t-1\r\nForwarded: for=1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\nX-Real-Ip: 1.2.3.4\r\n"+
				"X_Signet_Reason: ok\r\nx_forwarded-for: 1.2.3.4\r\nX_REAL_IP: 1.2.3.4\r\n\r\n", base, host)
			must(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			var got peers.ReceivedRequest
			must(t, json.NewDecoder(resp.Body).Decode(&got))
			must(t, resp.Body.Close())
			if got.RequestURI != "/headers//a%2Fb?q=%zz;x" || got.Host != host {
				t.Errorf("upstream saw %q of %q", got.RequestURI, got.Host)
			}
			want := []string{"Accept-Encoding", "Te", "X-Own"}
			if mode == "plain" {
				want = append(want, "Via")
			}
			var names []string
			for name := range got.Header {
				names = append(names, name)
			}
			slices.Sort(names)
			slices.Sort(want)
			if !slices.Equal(names, want) || strings.Join(got.Header["X-Own"], ",") != "1,2" || got.Header.Get("Te") != "trailers" {
				t.Errorf("upstream saw %v, want the fields %v", got.Header, want)
			}
		})
	}
	for _, r := range b.receipts() {
		if r.TraceID != "t-1" {
			t.Errorf("trace %q", r.TraceID)
		}
	}
}

// Trailers reach an agent that asked for them.
func TestTrailers(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			b := start(t, options{policy: anything})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.secure.URL("up.test", "/trailers"), nil)
			must(t, err)
			req.Header.Set("Te", "trailers")
			resp, err := b.client(h2).Do(req)
			must(t, err)
			body := new(strings.Builder)
			_, err = bufio.NewReader(resp.Body).WriteTo(body)
			must(t, err)
			must(t, resp.Body.Close())
			if len(resp.Trailer) == 0 {
				t.Errorf("no trailers behind %q", body)
			}
		})
	}
}
