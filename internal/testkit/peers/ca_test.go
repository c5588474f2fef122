package peers

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
)

func TestLeaves(t *testing.T) {
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	verify := func(leaf tls.Certificate, name string) error {
		_, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: name})
		return err
	}
	must := func(leaf tls.Certificate, err error) tls.Certificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return leaf
	}

	good := must(ca.Leaf("a.test", "*.b.test", "127.0.0.1", "::1"))
	for _, name := range []string{"a.test", "x.b.test", "127.0.0.1", "[::1]"} {
		if err := verify(good, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify(good, "c.test"); !errors.As(err, new(x509.HostnameError)) {
		t.Errorf("a wrong name: %v", err)
	}
	var invalid x509.CertificateInvalidError
	if err := verify(must(ca.ExpiredLeaf("a.test")), "a.test"); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("an expired leaf: %v", err)
	}
	if err := verify(must(SelfSigned("a.test")), "a.test"); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("a self-signed leaf: %v", err)
	}

	block, rest := pem.Decode(ca.PEM())
	if block == nil || len(rest) != 0 {
		t.Fatalf("the CA's PEM is not one block: %q", ca.PEM())
	}
	if cert, err := x509.ParseCertificate(block.Bytes); err != nil || !cert.IsCA {
		t.Errorf("the CA's PEM: %v", err)
	}
}
