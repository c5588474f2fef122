package containment

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// finding is a check of signet doctor.
type finding struct{ Group, Name, Status, Detail, Fix string }

// TestDoctor has signet doctor examine the pod, with the real clients, as its
// agent: as it should be set up, and with everything that can be wrong.
func TestDoctor(t *testing.T) {
	w := newWorld(t)
	w.startSignet()
	ca := w.trust()
	agent := []string{
		"PATH=/usr/bin:/bin", "HOME=" + w.dir, "JAVA_TOOL_OPTIONS=-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128",
	}
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		agent = append(agent, name+"="+proxy)
	}
	for _, name := range []string{"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "DENO_CERT"} {
		agent = append(agent, name+"="+ca.bundle)
	}
	args := []string{"--ca", ca.root, "--probe", "https://intercepted.test/small", "--direct", at(trap4, 443).String()}

	t.Run("open", func(t *testing.T) {
		// Without clients, which would wait for nobody.
		found, code := w.on(t).doctor([]string{"HTTPS_PROXY=" + proxy}, append(args, "--timeout", "2s")...)
		expect(t, found, "ways out/TCP to "+at(trap4, 443).String(), "red")
		expect(t, found, "ways out/UDP to 192.0.2.1:53", "yellow")
		if code != 1 {
			t.Errorf("exit status %d; want 1: there is a way out", code)
		}
	})
	w.load(rules(t))
	t.Run("contained", func(t *testing.T) {
		found, _ := w.on(t).doctor(agent, args...)
		for _, client := range []string{"curl", "Python urllib", "Python requests", "Go", "Git", "Java"} {
			if installed(found, client) {
				expect(t, found, "clients/"+client, "green")
			}
			if installed(found, client) && client != "Java" { // its trust store is its own
				expect(t, found, "trust/"+client, "green")
				expect(t, found, "trust/"+client+" to the probe", "green")
			}
		}
		for name, f := range found {
			if f.Group != "clients" && f.Group != "trust" && f.Group != "names" && f.Status != "green" {
				t.Errorf("%s: %+v", name, f)
			}
		}
	})
	t.Run("with nothing set", func(t *testing.T) {
		found, code := w.on(t).doctor([]string{"PATH=/usr/bin:/bin"}, "--proxy", proxy, "--ca", ca.root, "--probe", "https://intercepted.test/small")
		for _, client := range []string{"curl", "Python urllib", "Python requests", "Node", "Go", "Git", "Java"} {
			if installed(found, client) {
				expect(t, found, "clients/"+client, "red")
				expect(t, found, "trust/"+client, "red")
			}
		}
		expect(t, found, "variables/proxy", "red")
		expect(t, found, "proxy/reachable", "green")
		if code != 1 {
			t.Errorf("exit status %d; want 1", code)
		}
	})
}

// trusted are files for clients: the root of Signet's CA, and it with the site's.
type trusted struct{ root, bundle string }

func (w *world) trust() trusted {
	w.t.Helper()
	files := trusted{root: filepath.Join(w.dir, "root.pem"), bundle: filepath.Join(w.dir, "bundle.pem")}
	root, err := os.ReadFile(filepath.Join(w.dir, "data", "ca.pem"))
	must(w.t, err)
	site, err := os.ReadFile(filepath.Join(w.dir, "site.pem"))
	must(w.t, err)
	must(w.t, os.WriteFile(files.root, root, 0o644))
	must(w.t, os.WriteFile(files.bundle, slices.Concat(site, root), 0o644))
	return files
}

// doctor runs as the agent, in its environment.
func (w *world) doctor(env []string, args ...string) (map[string]finding, int) {
	w.t.Helper()
	cmd := command(w.t.Context(), filepath.Join(w.dir, "signet"), append([]string{"doctor", "--json", "--timeout", "20s"}, args...)...)
	cmd.Env, cmd.Dir = env, w.dir
	stdout, stderr, code := w.start(cmd, as(agentUser))
	var report struct{ Checks []finding }
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		w.t.Fatalf("doctor ended with %d, and printed %q and %q: %v", code, stdout, stderr, err)
	}
	found := map[string]finding{}
	for _, f := range report.Checks {
		found[f.Group+"/"+f.Name] = f
	}
	return found, code
}

func installed(found map[string]finding, client string) bool {
	_, ok := found["clients/"+client]
	return ok
}

func expect(t *testing.T, found map[string]finding, name, status string) {
	t.Helper()
	if f := found[name]; f.Status != status || strings.TrimSpace(f.Detail) == "" {
		t.Errorf("%s: %+v; want %s", name, f, status)
	}
}
