package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestEffectiveIsAConfiguration: what is printed means the same when it is read.
func TestEffectiveIsAConfiguration(t *testing.T) {
	everything := make(map[string]any)
	for _, k := range keys() {
		if k.path != "policy" && k.path != "agents" { // which cannot stand beside allowed_hosts; whose digests are withheld
			everything[k.path] = samples[k.path][1]
		}
	}
	for name, flags := range map[string]map[string]any{"defaults": nil, "everything": everything, "off": {"metrics_listen": "off", "admin_socket": "off"}} {
		t.Run(name, func(t *testing.T) {
			s := Sources{Flags: flags}
			want, err := s.Load()
			if err != nil {
				t.Fatal(err)
			}
			e, err := s.Effective()
			if err != nil {
				t.Fatal(err)
			}
			var printed bytes.Buffer
			if err := e.WriteYAML(&printed); err != nil {
				t.Fatal(err)
			}
			if got := load(t, writeFile(t, printed.String()), nil); !reflect.DeepEqual(got, want) {
				t.Errorf("\n got %+v\nwant %+v\n%s", got, want, printed.String())
			}
		})
	}
}

// TestEffectiveSources: each value says where it comes from, and the key beside
// it is no source.
func TestEffectiveSources(t *testing.T) {
	t.Setenv("SIGNET_TIMEOUTS_IDLE", "20m")
	file := writeFile(t, "tenant: acme\nagent:\nlog:\n  level: debug\nresolver:\n  hosts:\n    - {name: a.example, addresses: [192.0.2.7]}\nagents:\n  - {name: a, keys: [{id: k, sha256: "+strings.Repeat("ab", 32)+"}]}\n")
	envFile := writeEnvFile(t, "\nSIGNET_TLS_EXTRA_ROOTS=/a.pem,/b.pem\n")
	e, err := Sources{File: file, EnvFile: envFile, Flags: map[string]any{"metrics_listen": "off"}}.Effective()
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := e.WriteJSON(&printed); err != nil {
		t.Fatal(err)
	}
	var members []struct {
		Key, Source string
		Value       any
	}
	if err := json.Unmarshal(printed.Bytes(), &members); err != nil || len(members) != len(keys()) {
		t.Fatalf("%d members, %v", len(members), err)
	}
	want := map[string]string{
		"tenant": file + ":1", "agent": "default", "log.level": file + ":4", "log.format": "default", "resolver.hosts": file + ":6", "resolver.timeout": "default", "agents": file + ":8",
		"timeouts.idle": "environment SIGNET_TIMEOUTS_IDLE", "timeouts.dial": "default", "tls.extra_roots": envFile + ":2", "metrics_listen": "flag --metrics-listen",
	}
	for _, m := range members {
		if source, ok := want[m.Key]; ok && m.Source != source {
			t.Errorf("%s: source %q, want %q", m.Key, m.Source, source)
		}
	}
	if strings.Contains(printed.String(), "abab") || !strings.Contains(printed.String(), "(withheld)") {
		t.Error("a digest is printed")
	}
}
