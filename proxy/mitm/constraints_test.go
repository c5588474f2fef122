package mitm

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// verify holds a leaf that the intermediate made, whether it should have or not,
// against the root alone.
func verify(t testing.TB, a *Authority, l *leaf) error {
	t.Helper()
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(a.RootPEM())
	intermediates.AddCert(a.issuers.Load().each[0].cert)
	_, err := l.certificate.Leaf.Verify(x509.VerifyOptions{DNSName: l.host, Roots: roots, Intermediates: intermediates})
	return err
}

func mint(t testing.TB, a *Authority, host string) *leaf {
	t.Helper()
	l, err := a.issuers.Load().each[0].mint(host, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestStolenIntermediateSpeaksForItsHostsOnly mints with the intermediate's key
// for hosts that the Authority itself would refuse.
func TestStolenIntermediateSpeaksForItsHostsOnly(t *testing.T) {
	for _, test := range []struct {
		name     string
		hosts    []string
		accepted []string
		refused  []string
	}{
		{
			name:     "names only",
			hosts:    []string{"api.example", "*.wild.example"},
			accepted: []string{"api.example", "x.wild.example"},
			refused:  []string{"bank.example", "notapi.example", "example", "192.0.2.7", "2001:db8::7", "127.0.0.1"},
		},
		{
			name:     "addresses only",
			hosts:    []string{"192.0.2.7"},
			accepted: []string{"192.0.2.7"},
			refused:  []string{"192.0.2.8", "2001:db8::7", "api.example", "localhost"},
		},
		{
			name:     "both",
			hosts:    []string{"api.example", "2001:db8::7"},
			accepted: []string{"api.example", "2001:db8::7"},
			refused:  []string{"2001:db8::8", "192.0.2.7", "bank.example"},
		},
		{
			name:    "nothing",
			refused: []string{"api.example", "192.0.2.7", "2001:db8::7"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := open(t, Options{Hosts: test.hosts})
			for _, host := range test.accepted {
				l := mint(t, a, host)
				if err := verify(t, a, l); err != nil {
					t.Errorf("crypto/x509 refuses %s: %v", host, err)
				}
				if out, err := opensslVerify(t, a, l); err != nil {
					t.Errorf("openssl refuses %s: %v\n%s", host, err, out)
				}
			}
			for _, host := range test.refused {
				l := mint(t, a, host)
				if err := verify(t, a, l); err == nil {
					t.Errorf("crypto/x509 accepts %s", host)
				}
				if out, err := opensslVerify(t, a, l); err == nil {
					t.Errorf("openssl accepts %s\n%s", host, out)
				} else if !strings.Contains(out, "subtree violation") {
					t.Errorf("openssl refuses %s for another reason:\n%s", host, out)
				}
			}
		})
	}
}

// opensslVerify is openssl's verdict, in the strict reading that Python uses. A
// machine without openssl has none: the test is then skipped.
func opensslVerify(t testing.TB, a *Authority, l *leaf) (string, error) {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// #nosec G204 -- the program under test's peer
	out, err := exec.CommandContext(t.Context(), openssl, "verify", "-x509_strict", "-purpose", "sslserver",
		"-CAfile", file("root.pem", a.RootPEM()),
		"-untrusted", file("chain.pem", pemOf(l.certificate.Certificate[1:]...)),
		file("leaf.pem", pemOf(l.certificate.Certificate[0]))).CombinedOutput()
	return string(out), err
}

func TestOpenSSLClient(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	a := open(t, Options{Hosts: []string{"api.example"}})
	root := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, a.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", serverConfig(t, a, "api.example", "h2"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_ = conn.(*tls.Conn).HandshakeContext(t.Context())
		_ = conn.Close()
	}()
	defer func() {
		_ = listener.Close()
		<-done
	}()
	// #nosec G204 -- a real client
	s := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", listener.Addr().String(), "-servername", "api.example",
		"-CAfile", root, "-no-CApath", "-no-CAstore", "-verify_return_error", "-verify_hostname", "api.example", "-x509_strict", "-alpn", "h2")
	s.Stdin = bytes.NewReader(nil)
	out, err := s.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("Verify return code: 0 (ok)")) || !bytes.Contains(out, []byte("ALPN protocol: h2")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestConstraintsAreCriticalAndMinimal(t *testing.T) {
	a := open(t, Options{Hosts: []string{"b.a.example", "*.a.example", "a.example", "**.other.example", "a.example", "192.0.2.7", "192.0.2.7"}})
	c := a.issuers.Load().each[0].cert
	if !c.PermittedDNSDomainsCritical {
		t.Error("the name constraints are not critical")
	}
	if want := []string{"a.example", "other.example"}; !slices.Equal(c.PermittedDNSDomains, want) {
		t.Errorf("domains %v, want %v", c.PermittedDNSDomains, want)
	}
	if len(c.PermittedIPRanges) != 1 || c.PermittedIPRanges[0].String() != "192.0.2.7/32" {
		t.Errorf("ranges %v", c.PermittedIPRanges)
	}
	if !c.MaxPathLenZero || c.MaxPathLen != 0 {
		t.Errorf("path length %d", c.MaxPathLen)
	}
}

func TestPatternsThatNoCertificateCanSay(t *testing.T) {
	for _, pattern := range []string{"", "*", "**", "*.", "a..b", ".example", "*.*.example", "Example", "exämple", "a b", "fe80::1%eth0", "::ffff:192.0.2.7", "[::1]", "10.0.0.0/8", strings.Repeat("a.", 127) + "a"} {
		if _, err := newConstraints([]string{pattern}); err == nil {
			t.Errorf("%q is accepted", pattern)
		}
	}
}

// TestPermitAgreesWithVerification holds the Authority's own answer against what
// crypto/x509 makes of the certificates.
func TestPermitAgreesWithVerification(t *testing.T) {
	host := rapid.OneOf(
		rapid.StringMatching(`([ab]|a-b)(\.[ab]){0,3}\.example`),
		rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"}),
	)
	pattern := rapid.OneOf(host, rapid.StringMatching(`\*{1,2}\.([ab]|a-b)(\.[ab]){0,2}\.example`))
	a := open(t, Options{})
	rapid.Check(t, func(r *rapid.T) {
		if err := a.Renew(rapid.SliceOfN(pattern, 0, 6).Draw(r, "patterns")); err != nil {
			r.Fatal(err)
		}
		h := host.Draw(r, "host")
		err := verify(t, a, mint(t, a, h))
		if permitted := a.issuers.Load().names.permit(h); permitted != (err == nil) {
			r.Errorf("permit says %v, verification %v", permitted, err)
		}
	})
}

// Thousands of hosts do not swell a handshake: each intermediate speaks for a few.
func TestManyHosts(t *testing.T) {
	const hosts = 5000
	names := []string{"192.0.2.7", "2001:db8::7"}
	for i := range hosts {
		names = append(names, fmt.Sprintf("host-%d.example-%d.test", i, i))
	}
	a := open(t, Options{Hosts: names})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.RootPEM())
	for _, host := range []string{names[0], names[1], names[2], names[hosts/2], names[hosts+1]} {
		c, err := a.ServerConfig(t.Context(), host, nil)
		must(t, err)
		chain := c.Certificates[0].Certificate
		intermediate, err := x509.ParseCertificate(chain[1])
		must(t, err)
		if size := len(chain[1]); size > 4096 {
			t.Errorf("%s: the intermediate has %d bytes", host, size)
		}
		pool := x509.NewCertPool()
		pool.AddCert(intermediate)
		_, err = c.Certificates[0].Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: pool})
		must(t, err)
	}
	if _, err := a.ServerConfig(t.Context(), "other.test", nil); err == nil {
		t.Error("a leaf for a host that is not intercepted")
	}
}
