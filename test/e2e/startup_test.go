package e2e

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/internal/testkit"
)

// What a sidecar says that cannot start: the thing, the place and the remedy.
// What it finds in the data directory is not lost.
func TestStartRefusals(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *site){
		// What was written by hand: exit status 2.
		"unknown key":           func(_ *testing.T, s *site) { s.writeConfig("data", "polcy: policy.yaml\ntimeouts: {dail: 3s}") },
		"values out of bounds":  func(_ *testing.T, s *site) { s.writeConfig("data", "shutdown_timeout: 5\ntimeouts: {dial: 1h}") },
		"configuration no YAML": func(_ *testing.T, s *site) { s.write("signet.yaml", "listen: [\n") },
		"configuration missing": func(t *testing.T, s *site) { must(t, os.Remove(s.path("signet.yaml"))) },
		"policy not named":      func(_ *testing.T, s *site) { s.write("signet.yaml", "listen: 127.0.0.1:0\ndata: data\n") },
		"policy missing":        func(t *testing.T, s *site) { must(t, os.Remove(s.path("policy.yaml"))) },
		"policy directory empty": func(t *testing.T, s *site) {
			must(t, os.Remove(s.path("policy.yaml")))
			must(t, os.Mkdir(s.path("policy.yaml"), 0o755))
		},
		"bad rules":              badRules,
		"extra root missing":     func(t *testing.T, s *site) { must(t, os.Remove(s.path("ca.pem"))) },
		"extra root no PEM":      func(_ *testing.T, s *site) { s.write("ca.pem", "not a certificate\n") },
		"data is a file":         func(_ *testing.T, s *site) { s.write("data", "") },
		"admin socket is a file": func(_ *testing.T, s *site) { s.write("sock", "precious"); s.writeConfig("data", "admin_socket: sock") },
		"listen taken":           listenTaken,
		"data in use":            func(_ *testing.T, s *site) { s.start(); s.writeConfig("data", "admin_socket: off") },
		"admin socket in use":    func(_ *testing.T, s *site) { s.start() },
		"key missing":            func(t *testing.T, s *site) { s.start().stop(); must(t, os.Remove(s.path("data/key.pem"))) },
		"key of another journal": otherKey,
		"key readable by others": func(t *testing.T, s *site) { s.start().stop(); must(t, os.Chmod(s.path("data/key.pem"), 0o644)) },
		"key no PEM":             func(_ *testing.T, s *site) { s.start().stop(); s.write("data/key.pem", "not a key\n") },
		"tenant of another chain": func(_ *testing.T, s *site) {
			s.start().stop()
			s.replace("signet.yaml", "tenant: acme", "tenant: other")
		},
		"journal of another version": func(t *testing.T, s *site) {
			s.start().stop()
			s.setJournalFormat("signet.journal/7")
		},
		"journal empty":     func(_ *testing.T, s *site) { s.start().stop(); s.write("data/journal.db", "") },
		"journal truncated": func(t *testing.T, s *site) { s.start().stop(); must(t, os.Truncate(s.path("data/journal.db"), 5000)) },
		"CA key missing":    func(t *testing.T, s *site) { s.start().stop(); must(t, os.Remove(s.path("data/ca.key"))) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, options{})
			prepare(t, s)
			before := s.digests()
			golden(t, filepath.Join("start", fileName(name)), s.refusal())
			after := s.digests()
			for file, digest := range before {
				if after[file] == digest {
					continue
				}
				// It may have come so far as to say that it started and stopped.
				if file != "journal.db" && file != "checkpoints" || !s.evidence().result.CleanStop {
					t.Errorf("%s was changed by a start that failed", file)
				}
			}
		})
	}
}

// refusal starts a sidecar that must not come up, and is its exit status and
// what it wrote, its log left out.
func (s *site) refusal() string {
	s.t.Helper()
	car := &sidecar{Process: testkit.Start(s.t, s.command()), t: s.t, site: s}
	if _, err := car.Line(s.t.Context(), says("serving")); err == nil {
		s.t.Fatal("the sidecar started")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "exit status %d\n", car.exitCode())
	for line := range strings.Lines(car.Output() + "\n") {
		if !strings.HasPrefix(line, `{"time":`) {
			b.WriteString(strings.ReplaceAll(line, s.dir, "DIR"))
		}
	}
	return b.String()
}

// digests are of the files in the data directory.
func (s *site) digests() map[string][sha256.Size]byte {
	s.t.Helper()
	files, err := filepath.Glob(s.path("data/*"))
	must(s.t, err)
	all := make(map[string][sha256.Size]byte)
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			continue
		}
		content, err := os.ReadFile(file)
		must(s.t, err)
		all[filepath.Base(file)] = sha256.Sum256(content)
	}
	return all
}

func (s *site) replace(name, old, with string) {
	s.t.Helper()
	content, err := os.ReadFile(s.path(name))
	must(s.t, err)
	s.write(name, strings.ReplaceAll(string(content), old, with))
}

func badRules(_ *testing.T, s *site) {
	s.write("policy.yaml", `version: 1
rules:
  - name: paths-without-intercept
    hosts: [api.test]
    paths: [/v1/**]
  - name: everything-under-com
    hosts: ["*.com"]
  - name: misspelt
    host: [api.test]
  - name: URL-for-a-host
    hosts: ["https://api.test/"]
    ports: [443, 0]
addresses: {allow: [127.0.0.0/33]}
`)
}

// listenTaken stays bound until the test's end.
func listenTaken(t *testing.T, s *site) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	s.replace("signet.yaml", "\nmetrics_listen: 127.0.0.1:0", "\nmetrics_listen: off")
	s.replace("signet.yaml", "listen: 127.0.0.1:0", "listen: "+l.Addr().String())
}

func otherKey(t *testing.T, s *site) {
	other := newSite(t, options{})
	other.start().stop()
	s.start().stop()
	key, err := os.ReadFile(other.path("data/key.pem"))
	must(t, err)
	s.write("data/key.pem", string(key))
}

// setJournalFormat makes the journal one that another version has written.
func (s *site) setJournalFormat(format string) {
	s.t.Helper()
	db, err := bbolt.Open(s.path("data/journal.db"), 0o600, &bbolt.Options{NoFreelistSync: true})
	must(s.t, err)
	must(s.t, db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte(format)) }))
	must(s.t, db.Close())
}
