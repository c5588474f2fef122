package enrol

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// audience is what a projected service-account token must be for.
const audience = "signet"

// Kubernetes checks the service-account tokens of a cluster.
type Kubernetes struct {
	Issuer string // of the cluster's tokens: the iss claim, exactly
	// Keys are the cluster's, as its JWKS endpoint has them; called for each token,
	// so that a rotation is noticed.
	Keys func(ctx context.Context) (*jose.JSONWebKeySet, error)
	// Tenants by namespace. A namespace that is not in it is a tenant of its own name.
	Tenants map[string]string
}

// algorithms are those that clusters sign with. None of them is symmetric.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.PS256}

// claims are those of a bound service-account token that matter here.
type claims struct {
	jwt.Claims
	Kubernetes struct {
		Namespace string `json:"namespace"`
	} `json:"kubernetes.io"`
}

// Tenant is whose pod a token was made for. A *TokenError says what is wrong with
// it.
func (k *Kubernetes) Tenant(ctx context.Context, token string, now time.Time) (string, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return "", &TokenError{errors.New("it is not a signed JWT")}
	}
	keys, err := k.Keys(ctx)
	if err != nil {
		return "", fmt.Errorf("the cluster's keys: %w", err)
	}
	var c claims
	if err := parsed.Claims(keys, &c); err != nil {
		return "", &TokenError{errors.New("it is not signed by the cluster")}
	}
	if c.Expiry == nil {
		return "", &TokenError{errors.New("it does not expire: mount a projected token")}
	}
	if err := c.Validate(jwt.Expected{Issuer: k.Issuer, AnyAudience: jwt.Audience{audience}, Time: now}); err != nil {
		return "", &TokenError{err}
	}
	if c.Kubernetes.Namespace == "" {
		return "", &TokenError{errors.New("it names no namespace")}
	}
	if tenant, ok := k.Tenants[c.Kubernetes.Namespace]; ok {
		return tenant, nil
	}
	return c.Kubernetes.Namespace, nil
}
