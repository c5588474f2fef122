package collector_test

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/keyfile"
	"github.com/signet-egress/signet/internal/testkit/stores"
)

// With a certificate, API and pages are spoken to over TLS and in no other way.
func TestHTTPS(t *testing.T) {
	w := start(t, stores.SQLite(t))
	pair, err := w.authority.Server([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Create(keyFile, pair.PrivateKey); err != nil {
		t.Fatal(err)
	}
	if w.certificate, err = pki.OpenCertificate(certFile, keyFile, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	w.serve()
	address := w.collector.HTTPAddr().String()
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: w.authority.Pool()}}}
	defer client.CloseIdleConnections()
	if status, proto := get(t, client, "https://"+address+"/healthz"); status != http.StatusOK || proto != "HTTP/2.0" {
		t.Errorf("over TLS: %d over %s", status, proto)
	}
	if status, _ := get(t, client, "http://"+address+"/healthz"); status != http.StatusBadRequest {
		t.Errorf("without TLS: %d", status)
	}
}

func get(t *testing.T, client *http.Client, url string) (status int, proto string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Proto
}
