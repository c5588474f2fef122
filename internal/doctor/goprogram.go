package doctor

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpproxy"
)

// goProgram is this program itself, with the proxy that net/http would take
// from the environment.
func (e *examination) goProgram(ctx context.Context, target string) answer {
	choose := (&httpproxy.Config{
		HTTPProxy: e.env.either("HTTP_PROXY"), HTTPSProxy: e.env.either("HTTPS_PROXY"), NoProxy: e.env.either("NO_PROXY"),
	}).ProxyFunc()
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	_, err := fetch(ctx, target, func(r *http.Request) (*url.URL, error) { return choose(r.URL) })
	if err != nil {
		return answer{failed: short(err)}
	}
	return answer{reached: true}
}

// goRoots verifies the CA against the roots that Go programs load, which
// SSL_CERT_FILE and SSL_CERT_DIR replace.
func (e *examination) goRoots() answer {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return answer{failed: err.Error()}
	}
	_, err = e.CA.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: e.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return answer{trusted: err == nil}
}
