package proxy_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/resolver"
)

// openConns counts the connections that are open.
type openConns struct{ atomic.Int64 }

func (o *openConns) Connected(_ time.Duration, err error) (closed func()) {
	if err != nil {
		return func() {}
	}
	o.Add(1)
	return func() { o.Add(-1) }
}

// While pools are put out for others, retired and expire under those that use
// them, every request has its own answer, and in the end no connection is left.
func TestPoolsUnderPressure(t *testing.T) {
	ca := testkit.CA(t)
	secure, plain := testkit.Secure(t, ca, "a.test", "b.test", "c.test"), testkit.Plain(t)
	var open openConns
	ups := proxy.NewUpstreams(proxy.UpstreamConfig{
		Roots: ca.Pool(), Observer: &open, IdleConn: time.Millisecond, IdlePerHost: 2, Destinations: 2,
		Dial: func(ctx context.Context, _ *resolver.Pin, port uint16, _ *resolver.Guard) (*net.TCPConn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return nil, err
			}
			return c.(*net.TCPConn), nil
		},
	})
	var work errgroup.Group
	for range 8 {
		work.Go(func() error {
			for range 40 {
				route := &proxy.Route{
					Version: []string{"one", "two"}[rand.N(2)], Host: []string{"a.test", "b.test", "c.test"}[rand.N(3)],
					Pin: new(resolver.Pin), Port: plain.Port(), HTTP1Only: true,
				}
				if rand.N(2) == 0 {
					route.TLS, route.Port = true, secure.Port()
				}
				if rand.N(8) == 0 {
					ups.Retire(route.Version)
				}
				if err := echo(t.Context(), ups, route, fmt.Sprint(rand.Int())); err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(t, work.Wait())
	ups.Close()
	for end := time.Now().Add(time.Minute); open.Load() != 0 && time.Now().Before(end); {
		runtime.Gosched() // a request may be noted as sent after its answer was read
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// echo sends content and holds the answer against it.
func echo(ctx context.Context, ups *proxy.Upstreams, route *proxy.Route, content string) error {
	scheme := map[bool]string{false: "http", true: "https"}[route.TLS]
	url := fmt.Sprintf("%s://%s:%d/echo", scheme, route.Host, route.Port)
	req, err := http.NewRequestWithContext(proxy.WithRoute(ctx, route), http.MethodPost, url, strings.NewReader(content))
	if err != nil {
		return err
	}
	resp, err := ups.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	said, err := io.ReadAll(resp.Body)
	if err == nil && string(said) != content {
		err = fmt.Errorf("%s: %q instead of %q", resp.Status, said, content)
	}
	return err
}
