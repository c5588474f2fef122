// Package testkit ties the peers to a test's life: everything it starts is
// stopped by the test's Cleanup, and whatever fails to start fails the test.
package testkit

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/peers"
)

// CA is a test authority of the test's own.
func CA(t testing.TB) *peers.CA {
	t.Helper()
	ca, err := peers.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// CAFile is the authority's certificate in a PEM file.
func CAFile(t testing.TB, ca *peers.CA) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Upstream starts an upstream; Plain and Secure are the two usual ones.
func Upstream(t testing.TB, o peers.UpstreamOptions) *peers.Upstream {
	t.Helper()
	u, err := peers.StartUpstream(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// Plain starts an upstream that speaks plain HTTP/1.1.
func Plain(t testing.TB) *peers.Upstream {
	t.Helper()
	return Upstream(t, peers.UpstreamOptions{})
}

// Secure starts an HTTPS upstream, h2 and http/1.1, with a leaf of ca for names.
func Secure(t testing.TB, ca *peers.CA, names ...string) *peers.Upstream {
	t.Helper()
	leaf, err := ca.Leaf(names...)
	if err != nil {
		t.Fatal(err)
	}
	return Upstream(t, peers.UpstreamOptions{Certificate: &leaf})
}

// DNS starts a DNS server that knows no name yet.
func DNS(t testing.TB) *peers.DNS {
	t.Helper()
	d, err := peers.StartDNS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// Tripwire starts a listener on address ("" for a free port of 127.0.0.1) and
// fails the test at its end when anybody has connected.
func Tripwire(t testing.TB, address string) *peers.Tripwire {
	t.Helper()
	w, err := peers.StartTripwire(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer w.Close()
		n, err := w.Count(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Errorf("tripwire %v: %v", w.Addr(), err)
		}
		if n != 0 {
			t.Errorf("tripwire %v: %d connections; want none", w.Addr(), n)
		}
	})
	return w
}
