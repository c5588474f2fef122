package mitm

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

// TestRollover walks a clock through two weeks, an hour at a time: at each hour
// the chain that is served is valid and within its limits.
func TestRollover(t *testing.T) {
	now, seen := newClock(), new(counts)
	a := open(t, Options{Hosts: []string{"a.example"}, Now: now.now, Observer: seen})
	for range 14 * 24 {
		config := serverConfig(t, a, "a.example")
		state, err := handshake(t, config, trust(t, a, "a.example", now))
		if err != nil {
			t.Fatalf("%s: %v", now.now(), err)
		}
		leaf, intermediate, root := state.VerifiedChains[0][0], state.VerifiedChains[0][1], state.VerifiedChains[0][2]
		if left := leaf.NotAfter.Sub(now.now()); left < leafLead {
			t.Fatalf("a leaf with %s left was served", left)
		}
		if leaf.NotAfter.After(intermediate.NotAfter) || leaf.NotBefore.Before(intermediate.NotBefore) {
			t.Fatalf("leaf %s to %s does not lie within its intermediate's %s to %s", leaf.NotBefore, leaf.NotAfter, intermediate.NotBefore, intermediate.NotAfter)
		}
		if life := intermediate.NotAfter.Sub(intermediate.NotBefore); life > 7*24*time.Hour {
			t.Fatalf("an intermediate lives %s", life)
		}
		if root.NotAfter.Before(intermediate.NotAfter) {
			t.Fatal("an intermediate outlives its root")
		}
		now.advance(time.Hour)
	}
	if g := a.Generation(); g != 3 {
		t.Errorf("%d intermediates in 14 days, want one for each five", g)
	}
	if n := seen.mints.Load(); n < 14 || n > 17 {
		t.Errorf("%d leaves in 14 days, want about one a day", n)
	}
}

func TestClockThatStepsBackGetsACertificateThatIsValid(t *testing.T) {
	now := newClock()
	a := open(t, Options{Hosts: []string{"a.example"}, Now: now.now})
	now.advance(time.Hour)
	if err := a.Renew([]string{"a.example"}); err != nil {
		t.Fatal(err)
	}
	serverConfig(t, a, "a.example")
	now.advance(-time.Hour)
	if _, err := handshake(t, serverConfig(t, a, "a.example"), trust(t, a, "a.example", now)); err != nil {
		t.Error(err)
	}
}

func TestRootNearItsEnd(t *testing.T) {
	now := newClock()
	a := open(t, Options{Hosts: []string{"a.example"}, Now: now.now})
	now.advance(a.root.cert.NotAfter.Sub(now.now()) - 12*time.Hour)
	first := serverConfig(t, a, "a.example")
	if leaf := first.Certificates[0].Leaf; leaf.NotAfter.After(a.root.cert.NotAfter) {
		t.Errorf("a leaf outlives the root: %s", leaf.NotAfter)
	}
	if g := a.Generation(); serverConfig(t, a, "a.example") != first || a.Generation() != g {
		t.Error("an intermediate that cannot live longer is made again at each use")
	}
	now.advance(12 * time.Hour)
	_, err := a.ServerConfig(t.Context(), "a.example", nil)
	if err == nil || !strings.Contains(err.Error(), "expired at") || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func BenchmarkServerConfig(b *testing.B) {
	a := open(b, Options{Hosts: []string{"**.example"}})
	alpn := []string{"h2", "http/1.1"}
	serverConfig(b, a, "a.example", alpn...)
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := a.ServerConfig(b.Context(), "a.example", alpn); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("mint", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.issuers.Load().each[0].mint("a.example", time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkHandshake(b *testing.B) {
	a := open(b, Options{Hosts: []string{"**.example"}})
	for name, sessions := range map[string]tls.ClientSessionCache{"full": nil, "resumed": tls.NewLRUClientSessionCache(8)} {
		b.Run(name, func(b *testing.B) {
			client := trust(b, a, "a.example", nil)
			client.ClientSessionCache = sessions
			for b.Loop() {
				if _, err := handshake(b, serverConfig(b, a, "a.example"), client); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
