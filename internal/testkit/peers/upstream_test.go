package peers

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const host = "upstream.test"

// client trusts ca and connects to u, whatever the URL names.
func client(t *testing.T, ca *CA, u *Upstream, protocol string) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(protocol == "http/1.1")
	protocols.SetHTTP2(protocol == "h2")
	transport := &http.Transport{
		Protocols:       protocols,
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, u.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

func secure(t *testing.T, protocols ...string) (*CA, *Upstream) {
	t.Helper()
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Leaf(host, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	u, err := StartUpstream(UpstreamOptions{Certificate: &leaf, Protocols: protocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return ca, u
}

func send(t *testing.T, c *http.Client, method, url string, body io.Reader) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func read(t *testing.T, response *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestUpstreamPaths(t *testing.T) {
	type answer struct {
		status int
		length int64
		body   string
	}
	tests := map[string]struct {
		method, path, body string
		unsized            bool // the request's body has no declared length
		want               answer
	}{
		"small":          {path: "/small/7", want: answer{200, 30, "{\"ok\":true,\"path\":\"/small/7\"}\n"}},
		"empty":          {path: "/empty", want: answer{200, 0, ""}},
		"echo sized":     {method: "POST", path: "/echo", body: "hello", want: answer{200, 5, "hello"}},
		"echo unsized":   {method: "POST", path: "/echo", body: "hello", unsized: true, want: answer{200, -1, "hello"}},
		"digest":         {method: "POST", path: "/digest", body: string(patternAt(0, 9)), want: answer{200, -2, fmt.Sprintf("{\"sha256\":%q,\"size\":9}\n", PatternDigest(9))}},
		"bytes":          {path: "/bytes?n=300", want: answer{200, 300, string(patternAt(0, 300))}},
		"bytes HEAD":     {method: "HEAD", path: "/bytes?n=300", want: answer{200, 300, ""}},
		"bytes nonsense": {path: "/bytes?n=-1", want: answer{400, -2, "n: how much, not negative\n"}},
		"chunks":         {path: "/chunks?n=300", want: answer{200, -1, string(patternAt(0, 300))}},
		"chunks none":    {path: "/chunks?n=0", want: answer{200, -1, ""}},
		"status 204":     {path: "/status/204", want: answer{204, 0, ""}},
		"status 503":     {path: "/status/503", want: answer{503, 11, "status 503\n"}},
		"head":           {method: "HEAD", path: "/head", want: answer{200, 12, ""}},
		"head by GET":    {path: "/head", want: answer{200, 12, "twelve bytes"}},
		"redirect":       {path: "/redirect?to=/elsewhere", want: answer{302, -2, "<a href=\"/elsewhere\">Found</a>.\n\n"}},
		"early":          {method: "POST", path: "/early", body: "unread", want: answer{413, -2, "no need to read on\n"}},
		"unknown":        {path: "/nothing", want: answer{404, -2, "404 page not found\n"}},
	}
	for _, protocol := range []string{"http/1.1", "h2"} {
		ca, u := secure(t)
		c := client(t, ca, u, protocol)
		for name, test := range tests {
			t.Run(protocol+" "+name, func(t *testing.T) {
				var body io.Reader = strings.NewReader(test.body)
				if test.unsized {
					body = io.MultiReader(body)
				}
				if test.body == "" {
					body = nil
				}
				response := send(t, c, test.method, u.URL(host, test.path), body)
				got := answer{response.StatusCode, response.ContentLength, read(t, response)}
				if test.want.length == -2 {
					got.length = -2
				}
				if got != test.want {
					t.Errorf("got %+v\nwant %+v", got, test.want)
				}
			})
		}
		if u.SNI(host) == 0 || u.Connections() == 0 || u.RequestCount() < int64(len(tests)) {
			t.Errorf("%s: counted %d hellos for %s, %d connections, %d requests",
				protocol, u.SNI(host), host, u.Connections(), u.RequestCount())
		}
	}
}

func TestUpstreamTrailers(t *testing.T) {
	ca, u := secure(t)
	for _, protocol := range []string{"http/1.1", "h2"} {
		response := send(t, client(t, ca, u, protocol), "GET", u.URL(host, "/trailers"), nil)
		read(t, response)
		if got := response.Trailer.Get("X-Announced") + response.Trailer.Get("X-Unannounced"); got != "yesyes" {
			t.Errorf("%s: trailers %v", protocol, response.Trailer)
		}
	}
}

func TestUpstreamAbort(t *testing.T) {
	ca, u := secure(t)
	for _, protocol := range []string{"http/1.1", "h2"} {
		for _, path := range []string{"/abort?n=10", "/abort?n=10&chunked=1"} {
			response := send(t, client(t, ca, u, protocol), "GET", u.URL(host, path), nil)
			body, err := io.ReadAll(response.Body)
			if err == nil || len(body) != 10 {
				t.Errorf("%s %s: read %d bytes and %v; want 10 and an error", protocol, path, len(body), err)
			}
		}
	}
}

func TestUpstreamRecordsRequests(t *testing.T) {
	ca, u := secure(t)
	c := client(t, ca, u, "h2")
	request, err := http.NewRequestWithContext(t.Context(), "GET", u.URL(host, "/headers?q=1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Test-Id", "one")
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var received ReceivedRequest
	if err := json.NewDecoder(response.Body).Decode(&received); err != nil {
		t.Fatal(err)
	}
	if received.Header.Get("X-Test-Id") != "one" || received.Proto != "HTTP/2.0" || received.RequestURI != "/headers?q=1" {
		t.Errorf("/headers answered %+v", received)
	}

	send(t, c, "GET", u.URL(host, "/small"), nil)
	seen := u.Requests()
	if len(seen) != 1 || seen[0].ID != "one" || seen[0].SNI != host || seen[0].RequestURI != "/headers?q=1" || !seen[0].From.IsValid() {
		t.Errorf("recorded %+v; want only the request with an X-Test-Id", seen)
	}
	if u.RequestCount() != 2 || u.Protocol("HTTP/2.0") != 2 || u.Connections() != 1 {
		t.Errorf("counted %d requests, %d over h2, on %d connections; want 2, 2, 1",
			u.RequestCount(), u.Protocol("HTTP/2.0"), u.Connections())
	}
}

func TestEventsAreInLockStep(t *testing.T) {
	ca, u := secure(t)
	for _, protocol := range []string{"http/1.1", "h2"} {
		c := client(t, ca, u, protocol)
		response := send(t, c, "GET", u.URL(host, "/sse?n=3&id="+protocol), nil)
		events := bufio.NewReader(response.Body)
		for k := 1; k <= 3; k++ {
			want := fmt.Sprintf("id: %d\ndata: event %d\n\n", k, k)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(events, got); err != nil || string(got) != want {
				t.Fatalf("%s: event %d: %q, %v", protocol, k, got, err)
			}
			if events.Buffered() != 0 {
				t.Fatalf("%s: something came after event %d before its ack", protocol, k)
			}
			acknowledged := send(t, &http.Client{Transport: c.Transport, Timeout: 0}, "GET", u.URL(host, "/small"), nil)
			read(t, acknowledged)
			if k%2 == 0 {
				u.Stream(protocol).Ack(k)
				continue
			}
			ack(t, u.ControlURL()+"/sse/ack?id="+protocol+"&n="+strconv.Itoa(k))
		}
		if rest := read(t, response); rest != "" {
			t.Errorf("%s: %q after the last event", protocol, rest)
		}
	}
}

// ack uses a connection of its own, as a client in another process would.
func ack(t *testing.T, url string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	response := send(t, &http.Client{Transport: transport}, "POST", url, nil)
	if response.StatusCode != http.StatusNoContent {
		t.Fatalf("%s: %s", url, response.Status)
	}
}

func TestGateHoldsTheLastByte(t *testing.T) {
	ca, u := secure(t)
	c := client(t, ca, u, "http/1.1")
	for _, path := range []string{"/bytes?n=100&gate=declared", "/chunks?n=99&gate=chunked"} {
		_, name, _ := strings.Cut(path, "gate=")
		response := send(t, c, "GET", u.URL(host, path), nil)
		first := make([]byte, 99)
		if _, err := io.ReadFull(response.Body, first); err != nil {
			t.Fatal(err)
		}
		<-u.Gate(name).Entered()
		ack(t, u.ControlURL()+"/gate/open?name="+name)
		all := string(first) + read(t, response)
		if !strings.HasPrefix(string(patternAt(0, 100)), all) {
			t.Errorf("%s: %q", path, all)
		}
	}
}

func TestSlowHoldsTheHeader(t *testing.T) {
	ca, u := secure(t)
	go func() {
		<-u.Gate("header").Entered()
		u.Gate("header").Open()
	}()
	response := send(t, client(t, ca, u, "http/1.1"), "GET", u.URL(host, "/slow?gate=header"), nil)
	if response.StatusCode != http.StatusOK {
		t.Errorf("/slow: %s", response.Status)
	}
}

func TestUpstreamWebSocket(t *testing.T) {
	ca, u := secure(t)
	conn, response, err := websocket.Dial(t.Context(), u.URL(host, "/ws"), &websocket.DialOptions{
		HTTPClient: client(t, ca, u, "http/1.1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if response.Body != nil {
		defer func() { _ = response.Body.Close() }()
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := conn.Read(t.Context()); err != nil || string(message) != "hello" {
		t.Errorf("echoed %q, %v", message, err)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

func TestUpstreamProtocols(t *testing.T) {
	ca, u := secure(t, "http/1.1")
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: ca.Pool(), ServerName: host, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(t.Context(), "tcp", u.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if got := conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("an http/1.1 upstream chose %q", got)
	}
}

func TestPlainUpstream(t *testing.T) {
	u, err := StartUpstream(UpstreamOptions{Handler: http.RedirectHandler("/small", http.StatusSeeOther)})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if got := read(t, send(t, c, "GET", u.URL("", "/other"), nil)); got != "{\"ok\":true,\"path\":\"/small\"}\n" {
		t.Errorf("after the handler's redirect: %q", got)
	}
}

func TestPatternIsSeamless(t *testing.T) {
	const n = 3 * (32<<10 + period)
	got, err := io.ReadAll(io.LimitReader(NewPattern(), n))
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range got {
		if int(b) != i%period {
			t.Fatalf("byte %d is %d; want %d", i, b, i%period)
		}
	}
}
