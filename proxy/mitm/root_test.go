package mitm

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRootIsStable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := open(t, Options{Dir: dir, Hosts: []string{"a.example"}})
	second := open(t, Options{Dir: dir, Hosts: []string{"b.example"}})
	if !bytes.Equal(first.RootPEM(), second.RootPEM()) {
		t.Error("a restart made another root")
	}
	stored, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil || !bytes.Equal(stored, first.RootPEM()) {
		t.Errorf("ca.pem is not what clients are told to trust: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ca.key: %v, %v", info.Mode(), err)
	}
	if bytes.Equal(first.issuers.Load().each[0].cert.Raw, second.issuers.Load().each[0].cert.Raw) {
		t.Error("the intermediate outlived its process")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("files beside the root: %v, %v", entries, err)
	}
	root := first.root.cert
	if life := root.NotAfter.Sub(root.NotBefore); life < rootLife || !root.IsCA || root.MaxPathLen != 1 {
		t.Errorf("root: lives %s, CA %v, path length %d", life, root.IsCA, root.MaxPathLen)
	}
	if other := open(t, Options{}); other.root.cert.Subject.String() == root.Subject.String() {
		t.Error("two installations' roots have one name")
	}
}

func TestStartCutShortBetweenKeyAndCertificate(t *testing.T) {
	dir := t.TempDir()
	before := open(t, Options{Dir: dir})
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	after := open(t, Options{Dir: dir, Hosts: []string{"a.example"}})
	// A client that trusted the certificate that was lost trusts the new one's
	// intermediates, since name and key are the same.
	if _, err := handshake(t, serverConfig(t, after, "a.example"), trust(t, before, "a.example", nil)); err != nil {
		t.Error(err)
	}
}

func TestDamagedRootIsAnErrorThatNamesTheFile(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   []string
	}{
		{"key is gone", remove("ca.key"), []string{"ca.key", "no such file"}},
		{"key is empty", write("ca.key", nil), []string{"ca.key", "restore"}},
		{"key is cut", cut("ca.key"), []string{"ca.key", "restore"}},
		{"certificate is empty", write("ca.pem", nil), []string{"ca.pem", "restore"}},
		{"certificate is cut", cut("ca.pem"), []string{"ca.pem", "restore"}},
		{"certificate is text", write("ca.pem", []byte("hello")), []string{"ca.pem", "restore"}},
		{"certificate is gone, key is text", both(remove("ca.pem"), write("ca.key", []byte("hello"))), []string{"ca.key", "restore"}},
		{"certificate is gone, key is cut", both(remove("ca.pem"), cut("ca.key")), []string{"ca.key", "restore"}},
		{"key of another root", another, []string{"ca.key", "does not match", "restore"}},
		{"key readable by its group", mode("ca.key", 0o640), []string{"ca.key", "0640", "chmod 600"}},
		{"key readable by all", mode("ca.key", 0o604), []string{"ca.key", "0604", "chmod 600"}},
		{"certificate is gone, key readable by all", both(remove("ca.pem"), mode("ca.key", 0o644)), []string{"ca.key", "chmod 600"}},
		{"certificate is a directory", both(remove("ca.pem"), directory("ca.pem")), []string{"ca.pem"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, Options{Dir: dir})
			test.damage(t, dir)
			_, err := Open(Options{Dir: dir})
			checkError(t, err, test.want)
		})
	}
}

func checkError(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func remove(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, name))) }
}

func write(name string, data []byte) func(*testing.T, string) {
	return func(t *testing.T, dir string) { must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600)) }
}

func cut(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		must(t, os.Truncate(filepath.Join(dir, name), info.Size()/2))
	}
}

func mode(name string, perm fs.FileMode) func(*testing.T, string) {
	return func(t *testing.T, dir string) { must(t, os.Chmod(filepath.Join(dir, name), perm)) }
}

func directory(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { must(t, os.Mkdir(filepath.Join(dir, name), 0o700)) }
}

func both(first, second func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		first(t, dir)
		second(t, dir)
	}
}

func another(t *testing.T, dir string) {
	other := t.TempDir()
	open(t, Options{Dir: other})
	key, err := os.ReadFile(filepath.Join(other, "ca.key"))
	must(t, err)
	write("ca.key", key)(t, dir)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// operator is an operator's CA: what its certificate says can be changed before
// it is signed.
type operator struct {
	template *x509.Certificate
	parent   *x509.Certificate // nil: self-signed
	signer   crypto.Signer     // the parent's
	key      crypto.Signer     // nil: P-256
	above    [][]byte
}

func newOperator(name string) *operator {
	return &operator{template: &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(365 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}}
}

func (o *operator) files(t *testing.T) (cert *x509.Certificate, options Options) {
	t.Helper()
	var err error
	if o.key == nil {
		cert, o.key, err = certify(o.template, o.parent, o.signer)
	} else {
		cert, err = sign(o.template, o.template, o.key.Public(), o.key)
	}
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(o.key)
	must(t, err)
	dir := t.TempDir()
	options = Options{CertFile: filepath.Join(dir, "corp.pem"), KeyFile: filepath.Join(dir, "corp.key"), Hosts: []string{"a.example"}}
	must(t, os.WriteFile(options.CertFile, pemOf(append([][]byte{cert.Raw}, o.above...)...), 0o600))
	must(t, os.WriteFile(options.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return cert, options
}

func TestOperatorsCA(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	for name, key := range map[string]crypto.Signer{"ECDSA": nil, "RSA": rsaKey, "Ed25519": edKey} {
		t.Run(name, func(t *testing.T) {
			o := newOperator("Corp root")
			o.key = key
			cert, options := o.files(t)
			must(t, os.Chmod(options.KeyFile, 0o440)) // as Kubernetes mounts a secret
			a := open(t, options)
			if !bytes.Equal(a.RootPEM(), pemOf(cert.Raw)) {
				t.Error("clients are told to trust something else")
			}
			config := serverConfig(t, a, "a.example")
			if _, err := handshake(t, config, trust(t, a, "a.example", nil)); err != nil {
				t.Error(err)
			}
			if n := len(config.Certificates[0].Certificate); n != 2 {
				t.Errorf("%d certificates are sent, want leaf and intermediate", n)
			}
		})
	}
}

func TestOperatorsCABelowACorporateRoot(t *testing.T) {
	corp := newOperator("Corp root")
	corpCert, _ := corp.files(t)
	sub := newOperator("Corp interception")
	sub.parent, sub.signer, sub.above = corpCert, corp.key, [][]byte{corpCert.Raw}
	_, options := sub.files(t)
	a := open(t, options)
	pool := x509.NewCertPool()
	pool.AddCert(corpCert)
	client := &tls.Config{RootCAs: pool, ServerName: "a.example", MinVersion: tls.VersionTLS12}
	if _, err := handshake(t, serverConfig(t, a, "a.example"), client); err != nil {
		t.Errorf("a client that trusts the corporate root: %v", err)
	}
}

func TestOperatorsCAThatCannotIssue(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*operator)
		want   string
	}{
		{"no CA", func(o *operator) { o.template.IsCA = false; o.template.KeyUsage = x509.KeyUsageDigitalSignature }, "not a CA"},
		{"no path length left", func(o *operator) { o.template.MaxPathLenZero = true }, "path length 0"},
		{"may not sign certificates", func(o *operator) { o.template.KeyUsage = x509.KeyUsageCRLSign }, "keyCertSign"},
		{"for mail only", func(o *operator) { o.template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }, "serverAuth"},
		{"expired", func(o *operator) { o.template.NotAfter = time.Now().Add(-time.Minute) }, "expired at"},
		{"not yet valid", func(o *operator) { o.template.NotBefore = time.Now().Add(time.Hour) }, "not valid before"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOperator("Corp root")
			test.change(o)
			_, options := o.files(t)
			_, err := Open(options)
			checkError(t, err, []string{options.CertFile, test.want})
		})
	}
}

func TestOperatorsFiles(t *testing.T) {
	_, options := newOperator("Corp root").files(t)
	_, other := newOperator("Corp root").files(t)
	encrypted := filepath.Join(t.TempDir(), "encrypted.key")
	must(t, os.WriteFile(encrypted, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}), 0o600))
	for _, test := range []struct {
		name      string
		cert, key string
		want      []string
	}{
		{"no key", options.CertFile, "", []string{"together"}},
		{"no certificate", "", options.KeyFile, []string{"together"}},
		{"certificate is absent", "/nonexistent/ca.pem", options.KeyFile, []string{"/nonexistent/ca.pem"}},
		{"key is absent", options.CertFile, "/nonexistent/ca.key", []string{"/nonexistent/ca.key"}},
		{"key of another", options.CertFile, other.KeyFile, []string{options.CertFile, other.KeyFile, "does not match"}},
		{"encrypted key", options.CertFile, encrypted, []string{encrypted, "unencrypted"}},
		{"exchanged", options.KeyFile, options.CertFile, []string{options.CertFile, options.KeyFile}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(Options{CertFile: test.cert, KeyFile: test.key})
			checkError(t, err, test.want)
		})
	}
	must(t, os.Chmod(options.KeyFile, 0o644))
	_, err := Open(options)
	checkError(t, err, []string{options.KeyFile, "0644", "chmod 600"})
}
