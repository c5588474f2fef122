package main

import (
	"crypto/ed25519"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector"
	"github.com/signet-egress/signet/internal/collector/store"
)

// Revoking ends every certificate of a chain, and of no other; again, or of a
// chain that is not known, is told.
func TestChainRevoke(t *testing.T) {
	data := t.TempDir()
	if _, _, err := command(t, "tenant", "create", "acme", "--data", data); err != nil {
		t.Fatal(err)
	}
	const chain, other = "01a21a8c-09f8-7469-ac93-702500ea7d1a", "01a21a8c-09f8-7469-ac93-702500ea7d1b"
	certificates := func(chain string) []store.Certificate {
		t.Helper()
		kept, err := collector.OpenStore(t.Context(), "sqlite:"+filepath.Join(data, "collector.db"))
		if err != nil {
			t.Fatal(err)
		}
		found, err := kept.Certificates(t.Context(), "acme", chain)
		if err != nil {
			t.Fatal(err)
		}
		if err := kept.Close(); err != nil {
			t.Fatal(err)
		}
		return found
	}
	enrolled(t, data, chain, "a1", "a2")
	enrolled(t, data, other, "b1")

	_, stderr, err := command(t, "chain", "revoke", "acme", chain, "--data", data)
	if err != nil || stderr != "revoked 2 client certificates of chain "+chain+"\n" {
		t.Errorf("%q, %v", stderr, err)
	}
	for _, c := range certificates(chain) {
		if c.Revoked.IsZero() {
			t.Errorf("%s still counts", c.Serial)
		}
	}
	if c := certificates(other); len(c) != 1 || !c[0].Revoked.IsZero() {
		t.Errorf("the other chain has %+v", c)
	}
	if _, stderr, err := command(t, "chain", "revoke", "acme", chain, "--data", data); err != nil || !strings.HasPrefix(stderr, "revoked 0 ") {
		t.Errorf("again: %q, %v", stderr, err)
	}
	if _, _, err := command(t, "chain", "revoke", "beta", chain, "--data", data); err == nil || !strings.Contains(err.Error(), "chain "+chain+" of tenant beta") {
		t.Errorf("another tenant's: %v", err)
	}
}

// enrolled puts a chain on record, with certificates of these serial numbers.
func enrolled(t *testing.T, data, chain string, serials ...string) {
	t.Helper()
	kept, err := collector.OpenStore(t.Context(), "sqlite:"+filepath.Join(data, "collector.db"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := kept.RegisterChain(t.Context(), "acme", store.Registration{ID: chain, Agent: "tester", PublicKey: make(ed25519.PublicKey, ed25519.PublicKeySize), At: now}); err != nil {
		t.Fatal(err)
	}
	for _, serial := range serials {
		if err := kept.AddCertificate(t.Context(), store.Certificate{Serial: serial, Tenant: "acme", Chain: chain, Issued: now, NotAfter: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
}
