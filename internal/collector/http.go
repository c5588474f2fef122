package collector

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/collector/access"
	"github.com/signet-egress/signet/internal/collector/audit"
	"github.com/signet-egress/signet/internal/collector/cache"
	"github.com/signet-egress/signet/internal/collector/httpapi"
	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/collector/web"
	"github.com/signet-egress/signet/internal/collector/witness"
	"github.com/signet-egress/signet/internal/metrics"
)

// httpHandler is what is served to people and their programs: API, pages, health.
func httpHandler(o Options, gate *access.Gate, cached *cache.Store, sequencer *merkle.Sequencer, measured *metrics.Collector) (http.Handler, error) {
	pub, ok := o.Key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("the signing key is not an Ed25519 key")
	}
	prover, signer := merkle.Prover{Store: o.Store}, merkle.NewSigner(o.LogName, o.Key)
	exporter := &audit.Exporter{Store: o.Store, Sequencer: sequencer, Prover: prover, Key: o.Key, Build: o.Build, Now: time.Now}
	api := httpapi.New(httpapi.Config{
		Store: cached, Prover: prover, Exporter: exporter, Gate: gate, Key: pub, LogKey: signer.VerifierKey, Witnesses: witness.Keys(o.Witnesses),
		Seal: sealOf(o.Key), Now: time.Now, Logger: o.Logger, Observer: measured,
	})
	pages, err := web.New(web.Config{
		Store: cached, Prover: prover, Exporter: exporter, Gate: gate, LogKey: signer.VerifierKey, Witnesses: witness.Keys(o.Witnesses),
		Seal: sealOf(o.Key), Now: time.Now, Logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for path, check := range map[string]func(context.Context) error{
		"/healthz": func(context.Context) error { return nil },
		"/readyz":  o.Store.Ping,
	} {
		mux.Handle("GET "+path, probe(check))
		mux.HandleFunc(path, onlyGet)
	}
	mux.Handle("/v1/", api)
	mux.Handle("/.well-known/", api)
	mux.Handle("/", pages)
	return mux, nil
}

// probe answers whether all is well.
func probe(check func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := check(r.Context()); err != nil {
			http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
}

func onlyGet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "a probe is asked by GET", http.StatusMethodNotAllowed)
}

// opsHandler is what is served to Prometheus.
func opsHandler(measured *metrics.Collector) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", measured.Handler())
	return mux
}

// site is an HTTP server and where it listens.
type site struct {
	server   *http.Server
	listener net.Listener
}

// answerWithin is how long an answer may take from the end of a request's header:
// a slow body, the slowest statement, and a slow reader. An export, which may take
// hours, asks for more while its reader takes what comes.
const answerWithin = 2 * time.Minute

// newSite binds a site. Requests and answers are small, so that who sends or reads
// one slowly is cut.
func newSite(ctx context.Context, key, address string, handler http.Handler, log *slog.Logger) (*site, error) {
	l, err := listen(ctx, key, address)
	if err != nil {
		return nil, err
	}
	return &site{listener: l, server: &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: answerWithin, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}, nil
}

// overTLS has the site speak TLS alone.
func (s *site) overTLS(cert *pki.FileCertificate) {
	s.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.Get}
}

// serve works until the server is shut down.
func (s *site) serve() error {
	serve := s.server.Serve
	if s.server.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.server.ServeTLS(l, "", "") }
	}
	if err := serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// sealOf derives what cursors and cached receipts are sealed with from the key that
// all replicas have.
func sealOf(key ed25519.PrivateKey) []byte {
	mac := hmac.New(sha256.New, key.Seed())
	mac.Write([]byte("signet collector seal"))
	return mac.Sum(nil)
}
