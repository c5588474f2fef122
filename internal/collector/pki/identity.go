// Package pki is who a sidecar is to the collector: the name in its client
// certificate, and the authority that issues it.
package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Identity is what a client certificate says.
type Identity struct {
	Tenant string
	Chain  string // UUIDv7
	Serial string // of the certificate, hex
}

// trustDomain is the SPIFFE trust domain of a collector's sidecars. It is no
// host's name: who trusts the collector's CA trusts all in it.
const trustDomain = "signet"

// URI is the one URI SAN of a sidecar's certificate, a SPIFFE ID (SPIFFE-ID
// section 2).
func (i Identity) URI() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: trustDomain, Path: "/tenant/" + i.Tenant + "/chain/" + i.Chain}
}

// IdentityOf reads a client certificate that was verified.
func IdentityOf(cert *x509.Certificate) (Identity, error) {
	if len(cert.URIs) != 1 {
		return Identity{}, fmt.Errorf("the client certificate has %d URI names, not one", len(cert.URIs))
	}
	uri := cert.URIs[0]
	parts := strings.Split(uri.EscapedPath(), "/")
	if uri.Scheme != "spiffe" || uri.Host != trustDomain || len(parts) != 5 || parts[1] != "tenant" || parts[3] != "chain" {
		return Identity{}, fmt.Errorf("the client certificate is for %q, not for spiffe://%s/tenant/TENANT/chain/CHAIN", uri, trustDomain)
	}
	i := Identity{Tenant: parts[2], Chain: parts[4], Serial: cert.SerialNumber.Text(16)}
	if i.Tenant == "" || i.Chain == "" {
		return Identity{}, errors.New("the client certificate names no tenant or no chain")
	}
	return i, nil
}
