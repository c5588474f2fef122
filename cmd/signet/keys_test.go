package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// steady gives what differs from run to run names in order of appearance.
func steady(text string) string {
	for _, form := range [][2]string{
		{"digest", `[0-9a-f]{64}`}, {"chain", `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`}, {"time", `\d{4}-\d\d-\d\dT[\d:.]+Z`}, {"key", `[\w-]{43}`},
	} {
		name, seen := form[0], map[string]string{}
		text = regexp.MustCompile(form[1]).ReplaceAllStringFunc(text, func(found string) string {
			if name == "time" {
				return "<time>"
			}
			if seen[found] == "" {
				seen[found] = fmt.Sprintf("<%s %d>", name, len(seen)+1)
			}
			return seen[found]
		})
	}
	return text
}

// TestKeysStopped lists, rotates, exports and verifies, on a stopped journal.
func TestKeysStopped(t *testing.T) {
	dir := closedJournal(t)
	var all strings.Builder
	show := func(args ...string) string {
		out := signet(t, args...)
		fmt.Fprintf(&all, "$ signet %s\n%s\n", strings.Join(args, " "), out)
		return out
	}
	show("keys", "list", "--data", dir)
	show("keys", "rotate", "--data", dir)
	show("keys", "list", "--data", dir)
	show("keys", "list", "--data", dir, "--json")
	jwks := filepath.Join(t.TempDir(), "keys.json")
	exported := show("keys", "export", "--data", dir)
	writeFile(t, jwks, []byte(strings.TrimSuffix(exported, "exit status 0\n")))
	show("verify", "--jwks", jwks, dir)
	show("keys", "rotate", "--data", t.TempDir())
	show("keys")
	text := strings.ReplaceAll(strings.ReplaceAll(all.String(), dir, "DATA"), jwks, "keys.json")
	golden(t, "records/keys", regexp.MustCompile(`/\S*/TestKeysStopped\S*?/\d+\b`).ReplaceAllString(steady(text), "EMPTY"))
}

// TestKeysRunning rotates through the admin socket, while the sidecar serves.
func TestKeysRunning(t *testing.T) {
	data := t.TempDir()
	proxy, stop := startSidecar(t, data)
	ask(t, proxy, "http://first.example/")
	before := signet(t, "keys", "export", "--data", data)
	if out := signet(t, "keys", "rotate", "--data", data); !strings.HasPrefix(out, "rotated: from seq ") || !strings.HasSuffix(out, "exit status 0\n") {
		t.Fatal(out)
	}
	ask(t, proxy, "http://second.example/")

	next := filepath.Join(t.TempDir(), "next.pem")
	writeFile(t, next, newKeyPEM(t))
	if out := signet(t, "keys", "rotate", "--data", data, "--to", next); !strings.Contains(out, "set key to "+next) {
		t.Error(out)
	}
	if out := signet(t, "keys", "rotate", "--data", data, "--to", next); !strings.Contains(out, "has had the key") || !strings.HasSuffix(out, "exit status 2\n") {
		t.Error(out)
	}
	if out := signet(t, "keys", "list", "--data", data); strings.Count(out, "\n") != 5 || strings.Count(out, "signs") != 1 {
		t.Errorf("list:\n%s", out)
	}
	stop()
	if err := os.Rename(next, filepath.Join(data, "key.pem")); err != nil {
		t.Fatal(err)
	}
	proxy, stop = startSidecar(t, data)
	ask(t, proxy, "http://third.example/")
	stop()
	jwks := filepath.Join(t.TempDir(), "keys.json")
	writeFile(t, jwks, []byte(strings.TrimSuffix(before, "exit status 0\n")))
	if out := signet(t, "verify", "--jwks", jwks, data); !strings.HasPrefix(out, "verified: 3 receipts, ") {
		t.Errorf("verify:\n%s", out)
	}
}

func newKeyPEM(t *testing.T) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
