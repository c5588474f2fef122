package doctor

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/goldenfile"
)

// TestClients has stand-ins of all clients on the PATH, each with its own way to
// succeed or fail. The real ones are asked in test/containment.
func TestClients(t *testing.T) {
	dir := t.TempDir()
	bundle := filepath.Join(dir, "bundle.pem")
	ca := testkit.CA(t)
	if err := os.WriteFile(bundle, append(testkit.CA(t).PEM(), ca.PEM()...), 0o600); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(ca.PEM())
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := filepath.Abs(filepath.Join("testdata", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer s.Close()
	e := &examination{
		env:    environment{"PATH=" + bin, "http_proxy=" + s.URL, "https_proxy=" + s.URL, "CURL_CA_BUNDLE=" + bundle, "GIT_SSL_CAINFO=" + dir + "/nowhere.pem", "DENO_CERT=" + bundle},
		denied: map[string]string{"http": "http://" + nobody4 + "/", "https": "https://" + nobody4 + "/"},
	}
	e.Options = Options{Environ: e.env, CA: root, Probe: &url.URL{Scheme: "https", Host: "probe.test", Path: "/"}, Timeout: time.Minute, Now: time.Now}
	e.Proxy = e.env.proxy()

	checks, missing := e.clients(t.Context())
	var b strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&b, "%s / %s: %s\n\t%s\n", c.Group, c.Name, c.Status, c.Detail)
		if c.Fix != "" {
			fmt.Fprintf(&b, "\tfix: %s\n", c.Fix)
		}
	}
	fmt.Fprintf(&b, "not installed: %v\n", missing)
	goldenfile.Compare(t, "clients.golden", strings.ReplaceAll(b.String(), dir, "DIR"))
}
