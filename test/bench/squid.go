package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"time"
)

// squidConfig is a plain forward proxy on one port and one that intercepts on
// another, with nothing cached and nothing logged.
const squidConfig = `http_port {listen}
http_port {intercept} ssl-bump cert={dir}/ca.pem generate-host-certificates=on dynamic_cert_mem_cache_size=4MB
sslcrtd_program {certgen} -s {dir}/leaves -M 4MB
sslcrtd_children 1 startup=1 idle=1
tls_outgoing_options cafile={dir}/origin.pem
acl hello at_step SslBump1
ssl_bump peek hello
ssl_bump bump all
http_access allow all
hosts_file {dir}/hosts
cache deny all
cache_mem 0 MB
access_log none
cache_log {dir}/cache.log
cache_store_log none
pid_filename none
coredump_dir {dir}
netdb_filename none
pinger_enable off
via off
forwarded_for delete
client_db off
shutdown_lifetime 1 second
`

const (
	squid        = "/usr/sbin/squid"
	squidCertgen = "/usr/lib/squid/security_file_certgen"
)

// startSquid starts Debian's squid-openssl, where it is installed.
func (r *rig) startSquid(ctx context.Context) error {
	for _, program := range []string{squid, squidCertgen} {
		if _, err := os.Stat(program); errors.Is(err, os.ErrNotExist) {
			r.absent = append(r.absent, "squid")
			return nil
		}
	}
	// A directory of its own: started by root, squid becomes another user, who may
	// not enter everywhere.
	dir, err := os.MkdirTemp("", "signet-bench-squid")
	if err != nil {
		return err
	}
	r.dirs = append(r.dirs, dir)
	t := &target{name: "squid", log: filepath.Join(r.dirs[0], "squid.log")}
	file, err := r.configureSquid(ctx, t, dir)
	if err != nil {
		return fmt.Errorf("configure squid: %w", err)
	}
	return r.startProxy(ctx, t, []string{squid, "-N", "-f", file})
}

func (r *rig) configureSquid(ctx context.Context, t *target, dir string) (file string, err error) {
	if t.addr, err = freeAddr(); err != nil {
		return "", err
	}
	if t.intercept, err = freeAddr(); err != nil {
		return "", err
	}
	ca, err := newAuthority()
	if err != nil {
		return "", err
	}
	if t.roots, err = poolOf(ca); err != nil {
		return "", err
	}
	file = filepath.Join(dir, "squid.conf")
	for name, content := range map[string]string{
		"ca.pem":     ca,
		"origin.pem": r.origin.CA,
		"hosts":      "127.0.0.1 " + opaqueHost + " " + inspectedHost + "\n",
		"squid.conf": fill(squidConfig, "{listen}", t.addr, "{intercept}", t.intercept, "{dir}", dir, "{certgen}", squidCertgen),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	if said, err := exec.CommandContext(ctx, squidCertgen, "-c", "-s", filepath.Join(dir, "leaves"), "-M", "4MB").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, said)
	}
	return file, giveToSquid(dir)
}

// giveToSquid hands its files over to the user that squid becomes when root
// starts it.
func giveToSquid(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("proxy")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	return filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, -1)
	})
}

// newAuthority is an authority's certificate and key, PEM, as squid wants them: in
// one file.
func newAuthority() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return string(append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)), nil
}
