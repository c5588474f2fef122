package resolver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// startHTTPS serves over HTTP/2, or over HTTP/1.1 alone.
func startHTTPS(t testing.TB, config *tls.Config, h2 bool, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS, s.EnableHTTP2 = config, h2
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func newTestHTTPS(t testing.TB, s *httptest.Server, name string, roots *x509.CertPool) *overHTTPS {
	t.Helper()
	u := newHTTPS(netip.MustParseAddrPort(s.Listener.Addr().String()), name, "/dns-query", roots)
	t.Cleanup(u.close)
	return u
}

// message answers a query in the body of r with the records that have its type.
func message(t testing.TB, r *http.Request, lines ...string) *dns.Msg {
	body, err := io.ReadAll(r.Body)
	query := new(dns.Msg)
	if err != nil || query.Unpack(body) != nil {
		t.Errorf("reading the query: %v", err)
	}
	reply := new(dns.Msg).SetReply(query)
	fill(reply, lines...)
	return reply
}

func write(t testing.TB, w http.ResponseWriter, m *dns.Msg) {
	wire, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	w.Header().Set("Content-Type", messageType)
	_, _ = w.Write(wire)
}

func TestPinOverHTTPS(t *testing.T) {
	ca := newCA(t)
	for _, h2 := range []bool{true, false} {
		s := startHTTPS(t, ca.server(nil), h2, func(w http.ResponseWriter, r *http.Request) {
			_, port, _ := strings.Cut(r.Context().Value(http.LocalAddrContextKey).(interface{ String() string }).String(), ":")
			if r.Method != http.MethodPost || r.URL.String() != "/dns-query" || r.Host != dnsName+":"+port || (r.ProtoMajor == 2) != h2 ||
				r.Header.Get("Content-Type") != messageType || r.Header.Get("Accept") != messageType || r.Header.Get("User-Agent") != "" ||
				r.Header.Get("Accept-Encoding") != "" || r.ContentLength%paddedTo != 0 {
				t.Errorf("%s %s %s %s %v", r.Proto, r.Method, r.Host, r.URL, r.Header)
			}
			m := message(t, r, host+". 60 IN A 9.9.9.9", host+". 60 IN AAAA 2620:fe::fe")
			if m.Id != 0 {
				t.Errorf("ID %d", m.Id)
			}
			write(t, w, m)
		})
		url := "https://" + s.Listener.Addr().String() + "/dns-query?name=" + dnsName
		r := newResolver(t, Config{Upstreams: []string{url}, Roots: ca.roots})
		p, err := r.Pin(t.Context(), host, 443, newGuard())
		if err != nil {
			t.Fatal(err)
		}
		if addresses(p) != "9.9.9.9 2620:fe::fe" || p.Resolver != url {
			t.Errorf("got %+v", p)
		}
	}
}

func TestHTTPSByAddress(t *testing.T) {
	ca := newCA(t)
	s := startHTTPS(t, ca.server(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, loopbackIPs }), true,
		func(w http.ResponseWriter, r *http.Request) { write(t, w, message(t, r, host+". 60 IN A 9.9.9.9")) })
	if _, err := newTestHTTPS(t, s, "", ca.roots).exchange(t.Context(), question); err != nil {
		t.Error(err)
	}
}

func TestHTTPSVerifiesTheServer(t *testing.T) {
	ca := newCA(t)
	for name, c := range hostileServers(t, ca) {
		t.Run(name, func(t *testing.T) {
			s := startHTTPS(t, c.config, true, func(http.ResponseWriter, *http.Request) { t.Error("a query was sent") })
			_, err := newTestHTTPS(t, s, dnsName, ca.roots).exchange(t.Context(), question)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestHTTPSConnectionsAreUsedAgain(t *testing.T) {
	ca := newCA(t)
	for _, h2 := range []bool{true, false} {
		s := startHTTPS(t, ca.server(nil), h2, func(w http.ResponseWriter, r *http.Request) {
			write(t, w, message(t, r, host+". 60 IN A 9.9.9.9"))
		})
		u := newTestHTTPS(t, s, dnsName, ca.roots)
		for range 5 {
			if _, err := u.exchange(t.Context(), question); err != nil {
				t.Fatal(err)
			}
		}
		u.mu.Lock()
		if len(u.open) != 1 {
			t.Errorf("%d connections for five questions", len(u.open))
		}
		u.mu.Unlock()
		u.close()
		if _, err := u.exchange(t.Context(), question); err == nil {
			t.Error("a closed upstream is asked")
		}
	}
}

func TestHostileAnswersOverHTTPS(t *testing.T) {
	ca := newCA(t)
	var elsewhere atomic.Int32
	other := startHTTPS(t, ca.server(nil), true, func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Add(1)
		write(t, w, message(t, r, host+". 60 IN A 8.8.8.8"))
	})
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/dns-query", status) }
	}
	typed := func(contentType string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			wire, _ := message(t, r, host+". 60 IN A 9.9.9.9").Pack()
			w.Header()["Content-Type"] = nil
			if contentType != "" {
				w.Header().Set("Content-Type", contentType)
			}
			_, _ = w.Write(wire)
		}
	}
	spoil := func(change func(*dns.Msg)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			m := message(t, r, host+". 60 IN A 9.9.9.9")
			change(m)
			write(t, w, m)
		}
	}
	raw := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", messageType)
			_, _ = w.Write(body)
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"redirect that changes the method": {redirect(http.StatusFound), "status 302"},
		"redirect that keeps it":           {redirect(http.StatusPermanentRedirect), "status 308"},
		"error":                            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "status 503"},
		"no content":                       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "status 204"},
		"JSON":                             {typed("application/dns-json"), "something other than application/dns-message"},
		"HTML":                             {typed("text/html; charset=utf-8"), "something other than"},
		"no type":                          {typed(""), "something other than"},
		"broken type":                      {typed("application/dns-message; ="), "something other than"},
		"oversized":                        {raw(make([]byte, maxMessage+1)), "more than 65535 bytes"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", messageType)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<14)); err != nil {
					return
				}
			}
		}, "more than 65535 bytes"},
		"giant header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxHeader)) }, "asking over HTTPS"},
		"garbage":      {raw([]byte("garbage garbage garbage")), "not an answer"},
		"empty":        {raw(nil), "not an answer"},
		"wrong ID":     {spoil(func(m *dns.Msg) { m.Id = 1 }), "wrong ID"},
		"wrong name":   {spoil(func(m *dns.Msg) { m.Question[0].Name = "evil.example." }), "wrong question"},
		"truncated":    {spoil(func(m *dns.Msg) { m.Truncated = true }), "truncated"},
		"cut":          {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "asking over HTTPS"},
	} {
		for _, h2 := range []bool{true, false} {
			t.Run(name+" over h2 "+strconv.FormatBool(h2), func(t *testing.T) {
				s := startHTTPS(t, ca.server(nil), h2, c.answer)
				_, err := newTestHTTPS(t, s, dnsName, ca.roots).exchange(t.Context(), question)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			})
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// TestStalledHTTPS has servers that accept and then say nothing, or not enough.
func TestStalledHTTPS(t *testing.T) {
	ca := newCA(t)
	for name, handler := range map[string]http.HandlerFunc{
		"before the header": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"within the body": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", messageType)
			_, _ = w.Write([]byte{0})
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		for _, h2 := range []bool{true, false} {
			s := startHTTPS(t, ca.server(nil), h2, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // so that the server notices who leaves
				handler(w, r)
			})
			url := "https://" + s.Listener.Addr().String() + "/dns-query?name=" + dnsName
			r := newResolver(t, Config{Upstreams: []string{url}, Roots: ca.roots, Timeout: 60 * time.Millisecond})
			_, err := r.Pin(t.Context(), host, 443, newGuard())
			if le, ok := errors.AsType[*LookupError](err); !ok || !le.Timeout {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
}

func TestHTTPSStreamsAreBounded(t *testing.T) {
	ca := newCA(t)
	s := startHTTPS(t, ca.server(nil), true, func(http.ResponseWriter, *http.Request) { t.Error("a query was sent") })
	u := newTestHTTPS(t, s, dnsName, ca.roots)
	for range maxStreams {
		u.streams <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := u.exchange(ctx, question); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestHTTPSUsesNoProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	ca := newCA(t)
	s := startHTTPS(t, ca.server(nil), true, func(w http.ResponseWriter, r *http.Request) { write(t, w, message(t, r)) })
	u := newTestHTTPS(t, s, dnsName, ca.roots)
	if u.transport.Proxy != nil {
		t.Error("the transport has a proxy")
	}
	if _, err := u.exchange(t.Context(), question); err != nil {
		t.Error(err)
	}
}

func TestAgeShortensTTLs(t *testing.T) {
	ca := newCA(t)
	for age, want := range map[string]uint32{"": 60, "0": 60, "20": 40, "60": 0, "3600": 0, "-1": 60, "99999999999": 0, "soon": 60} {
		s := startHTTPS(t, ca.server(nil), false, func(w http.ResponseWriter, r *http.Request) {
			if age != "" {
				w.Header().Set("Age", age)
			}
			write(t, w, message(t, r, host+". 60 IN A 9.9.9.9"))
		})
		m, err := newTestHTTPS(t, s, dnsName, ca.roots).exchange(t.Context(), question)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Answer[0].Header().Ttl; got != want {
			t.Errorf("age %q: TTL %d, want %d", age, got, want)
		}
	}
}

func TestCloseEndsHTTPSUnderWay(t *testing.T) {
	ca := newCA(t)
	asked := make(chan struct{}, 2)
	s := startHTTPS(t, ca.server(nil), true, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	})
	r := newResolver(t, Config{Upstreams: []string{"https://" + s.Listener.Addr().String() + "?name=" + dnsName}, Roots: ca.roots})
	result := make(chan error, 1)
	go func() {
		_, err := r.Pin(t.Context(), host, 443, newGuard())
		result <- err
	}()
	<-asked
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
