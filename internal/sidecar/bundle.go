package sidecar

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/signet-egress/signet/internal/durable"
)

// systemBundles are where systems keep all their roots in one file; the first
// that exists counts.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Alpine, Arch
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL 7 and later
	"/etc/pki/tls/certs/ca-bundle.crt",                  // older RHEL
	"/etc/ssl/ca-bundle.pem",                            // SUSE
	"/etc/pki/tls/cacert.pem",
	"/etc/ssl/cert.pem", // macOS, BSD
}

// WriteBundle writes the certificates that a client behind the sidecar must
// trust to path, in PEM: those that it trusted before, which are the files that
// env names, or else the system's; those that the sidecar trusts besides, since
// an opaque tunnel shows the client the upstream's own; and the interception CA.
func (s *Sidecar) WriteBundle(path string, env []string) error {
	bundle, err := trusted(env, systemBundles)
	if err != nil {
		return err
	}
	for _, file := range s.config.TLS.ExtraRoots {
		if bundle, err = appendPEM(bundle, file); err != nil {
			return fmt.Errorf("tls.extra_roots: %w", err)
		}
	}
	return durable.WriteFile(path, append(bundle, s.RootPEM()...), 0o644)
}

// trusted is what clients with the environment env trust. A machine without any
// root has none, not an error: it may well be a container for one service.
func trusted(env, system []string) ([]byte, error) {
	var bundle []byte
	var err error
	files := namedBundles(env)
	if _, ok := files["SSL_CERT_FILE"]; !ok {
		if bundle, err = firstBundle(system); err != nil {
			return nil, err
		}
	}
	var done []string
	for _, variable := range bundleVariables {
		file, ok := files[variable]
		if !ok || slices.Contains(done, file) {
			continue
		}
		done = append(done, file)
		if bundle, err = appendPEM(bundle, file); err != nil {
			return nil, fmt.Errorf("%s: %w; unset it, or let it name a file of certificates", variable, err)
		}
	}
	return bundle, nil
}

// namedBundles are the files that env's variables name; the last entry of a
// name counts, as it does for a process.
func namedBundles(env []string) map[string]string {
	files := make(map[string]string)
	for _, entry := range env {
		name, file, _ := strings.Cut(entry, "=")
		if !slices.Contains(bundleVariables, name) {
			continue
		}
		delete(files, name)
		if file != "" {
			files[name] = file
		}
	}
	return files
}

func firstBundle(system []string) ([]byte, error) {
	for _, file := range system {
		bundle, err := appendPEM(nil, file)
		if !errors.Is(err, fs.ErrNotExist) {
			return bundle, err
		}
	}
	return nil, nil
}

// appendPEM appends the certificates of file, each a block of its own, and
// nothing else that may stand there.
func appendPEM(bundle []byte, file string) ([]byte, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	before := len(bundle)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			bundle = append(bundle, pem.EncodeToMemory(block)...)
		}
	}
	if len(bundle) == before {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return bundle, nil
}
