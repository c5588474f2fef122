package enrol_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc/codes"

	"github.com/signet-egress/signet/internal/collector/enrol"
	"github.com/signet-egress/signet/internal/testkit/chains"
)

const issuer = "https://kubernetes.default.svc.cluster.local"

// issuerOf is a cluster: it signs service-account tokens, and has its keys at an
// https URL.
type issuerOf struct {
	t    *testing.T
	url  string
	ca   string // PEM file
	rsa  *rsa.PrivateKey
	ec   *ecdsa.PrivateKey
	keys jose.JSONWebKeySet
	down atomic.Bool
	read atomic.Int32
}

func newIssuer(t *testing.T) *issuerOf {
	t.Helper()
	c := &issuerOf{t: t, ca: filepath.Join(t.TempDir(), "cluster-ca.pem")}
	var err error
	if c.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if c.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	c.keys.Keys = []jose.JSONWebKey{
		{Key: c.rsa.Public(), KeyID: "rsa", Algorithm: "RS256", Use: "sig"},
		{Key: c.ec.Public(), KeyID: "ec", Algorithm: "ES256", Use: "sig"},
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c.read.Add(1)
		if c.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(c.keys)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL + "/openid/v1/jwks"
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(c.ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// cluster is what a collector is told of it.
func (c *issuerOf) cluster() *enrol.Kubernetes {
	c.t.Helper()
	keys, err := enrol.ClusterKeys(c.url, c.ca)
	if err != nil {
		c.t.Fatal(err)
	}
	return &enrol.Kubernetes{Issuer: issuer, Keys: keys, Tenants: map[string]string{"billing": "acme"}}
}

// claims are those of a projected token in the namespace billing, with changes;
// nil takes one out.
func claims(changes map[string]any) map[string]any {
	now := time.Now()
	all := map[string]any{
		"iss": issuer, "aud": []string{"signet"}, "sub": "system:serviceaccount:billing:agent",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "billing"},
	}
	for name, value := range changes {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	return all
}

func (c *issuerOf) sign(algorithm jose.SignatureAlgorithm, kid string, key any, all map[string]any) string {
	c.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(all).Serialize()
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}

func (c *issuerOf) token(changes map[string]any) string {
	c.t.Helper()
	return c.sign(jose.RS256, "rsa", c.rsa, claims(changes))
}

// unsecured is a token with the algorithm none (RFC 7519, section 6).
func unsecured(t *testing.T) string {
	t.Helper()
	body, err := json.Marshal(claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","kid":"rsa"}`)) + "." + encode(body) + "."
}

func TestServiceAccountsEnrol(t *testing.T) {
	c := newIssuer(t)
	d := newDesk(t, c.cluster())
	d.tenant("research")
	for name, test := range map[string]struct{ token, tenant string }{
		"RS256":               {c.token(nil), "acme"},
		"ES256":               {c.sign(jose.ES256, "ec", c.ec, claims(nil)), "acme"},
		"several audiences":   {c.token(map[string]any{"aud": []string{"api", "signet"}}), "acme"},
		"a namespace as such": {c.token(map[string]any{"kubernetes.io": map[string]any{"namespace": "research"}}), "research"},
	} {
		t.Run(name, func(t *testing.T) {
			credential, err := d.Enroll(t.Context(), request(t, chains.UUID(), newKey(t), test.token))
			if err != nil {
				t.Fatal(err)
			}
			if who := d.issued(credential); who.Tenant != test.tenant {
				t.Errorf("%+v", who)
			}
		})
	}
	if n := c.read.Load(); n != 1 {
		t.Errorf("the keys were read %d times", n)
	}
	if _, err := d.Enroll(t.Context(), request(t, chains.UUID(), newKey(t), secret)); err != nil {
		t.Errorf("a bootstrap token beside the cluster's: %v", err)
	}
}

func TestServiceAccountsRefused(t *testing.T) {
	c := newIssuer(t)
	d := newDesk(t, c.cluster())
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: c.rsa.N.Bytes()})
	hour := time.Hour
	good := c.token(nil)
	for name, test := range map[string]struct{ token, says string }{
		"another issuer":         {c.token(map[string]any{"iss": "https://other.example"}), "issuer"},
		"no issuer":              {c.token(map[string]any{"iss": nil}), "issuer"},
		"another audience":       {c.token(map[string]any{"aud": []string{"api"}}), "audience"},
		"no audience":            {c.token(map[string]any{"aud": nil}), "audience"},
		"expired":                {c.token(map[string]any{"exp": time.Now().Add(-hour).Unix()}), "expired"},
		"not valid yet":          {c.token(map[string]any{"nbf": time.Now().Add(hour).Unix()}), "not valid yet"},
		"no expiry":              {c.token(map[string]any{"exp": nil}), "does not expire"},
		"no namespace":           {c.token(map[string]any{"kubernetes.io": nil}), "no namespace"},
		"a tenant that is none":  {c.token(map[string]any{"kubernetes.io": map[string]any{"namespace": "nobody"}}), "tenant nobody does not exist"},
		"the algorithm none":     {unsecured(t), "not a signed JWT"},
		"HS256 with the RSA key": {c.sign(jose.HS256, "rsa", public, claims(nil)), "not a signed JWT"},
		"an unknown key":         {c.sign(jose.RS256, "other", stranger, claims(nil)), "not signed by the cluster"},
		"another's key by name":  {c.sign(jose.RS256, "rsa", stranger, claims(nil)), "not signed by the cluster"},
		"a key of another kind":  {c.sign(jose.RS256, "ec", c.rsa, claims(nil)), "not signed by the cluster"},
		"changed":                {swapClaims(t, good, c.token(map[string]any{"sub": "other"})), "not signed by the cluster"},
		"no JWT":                 {"a.b.c", "not a signed JWT"},
	} {
		t.Run(name, func(t *testing.T) {
			d.refuses(request(t, chains.UUID(), newKey(t), test.token), codes.Unauthenticated, test.says)
		})
	}
	if strings.Contains(d.logs.String(), good[:40]) {
		t.Error("a token is in the log")
	}
}

// swapClaims is a token with the claims of another.
func swapClaims(t *testing.T, token, other string) string {
	t.Helper()
	parts, others := strings.Split(token, "."), strings.Split(other, ".")
	return parts[0] + "." + others[1] + "." + parts[2]
}

// A cluster that does not answer lets nobody in, and is no refusal: the sidecar
// tries again.
func TestClusterDown(t *testing.T) {
	c := newIssuer(t)
	c.down.Store(true)
	d := newDesk(t, c.cluster())
	token := c.token(nil)
	d.refuses(request(t, chains.UUID(), newKey(t), token), codes.Unavailable, "try again")
	c.down.Store(false)
	if _, err := d.Enroll(t.Context(), request(t, chains.UUID(), newKey(t), token)); err != nil {
		t.Errorf("once it answers: %v", err)
	}
}

func TestClusterKeys(t *testing.T) {
	c := newIssuer(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	jwks, err := json.Marshal(c.keys)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ source, ca, says string }{
		"from a file":            {file("keys.json", string(jwks)), "", ""},
		"by https":               {c.url, c.ca, ""},
		"by http":                {strings.Replace(c.url, "https", "http", 1), c.ca, "from a file or by https"},
		"of another authority":   {c.url, "", "certificate"},
		"without an authority":   {c.url, file("empty.pem", ""), "no certificate"},
		"no such authority":      {c.url, filepath.Join(dir, "absent.pem"), "no such file"},
		"no such file":           {filepath.Join(dir, "absent.json"), "", "no such file"},
		"no JWKS":                {file("text.json", "keys"), "", "not a JWKS"},
		"a JWKS without any key": {file("none.json", `{"keys": []}`), "", "without keys"},
	} {
		t.Run(name, func(t *testing.T) {
			read, err := enrol.ClusterKeys(test.source, test.ca)
			var keys *jose.JSONWebKeySet
			if err == nil {
				keys, err = read(context.WithoutCancel(t.Context()))
			}
			if test.says == "" && (err != nil || len(keys.Keys) != 2) {
				t.Errorf("%+v, %v", keys, err)
			}
			if test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}
