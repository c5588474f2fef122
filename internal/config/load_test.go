package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite golden files and docs/configuration.md")

func writeFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signet.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, path string, set map[string]any) *Config {
	t.Helper()
	c, err := Load(path, set)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	want := &Config{
		Listen:          "127.0.0.1:3128",
		MetricsListen:   ":9464",
		AdminSocket:     "/var/lib/signet/admin.sock",
		Data:            "/var/lib/signet",
		AllowedHosts:    []string{},
		Tenant:          "default",
		Agent:           "default",
		Agents:          []Agent{},
		Resolver:        Resolver{Upstreams: []string{}, Zones: []Zone{}, DNSSEC: "off", NAT64: []netip.Prefix{}, Hosts: []Host{}, Timeout: 5 * time.Second, CacheSize: 4096},
		Model:           Model{Addresses: []netip.Prefix{}},
		TLS:             TLS{ExtraRoots: []string{}},
		Log:             Log{Level: "info", Format: "json"},
		Journal:         Journal{SealSize: 16e6, SealAge: 24 * time.Hour, RetentionAge: 8760 * time.Hour, RetentionSize: 6e9, HighWater: 8e9, HardMark: 10e9},
		MaxPayloadSize:  10_000_000,
		Checkpoints:     Checkpoints{Records: 10_000, Interval: time.Minute},
		Collector:       Collector{Addresses: []netip.Prefix{}, DrainTimeout: 5 * time.Second},
		ShutdownTimeout: 30 * time.Second,
		Timeouts: Timeouts{
			RequestHeader: 10 * time.Second, Dial: 5 * time.Second, TLSHandshake: 10 * time.Second,
			ClientHello: 5 * time.Second, ResponseHeader: 10 * time.Minute, Idle: 15 * time.Minute,
		},
	}
	for name, path := range map[string]string{
		"no file": "", "empty file": writeFile(t, ""), "comments": writeFile(t, "# nothing\n"), "null": writeFile(t, "null\n"),
		"empty sections": writeFile(t, "listen:\nresolver:\nlog: ~\ntimeouts: {}\n"),
	} {
		if got := load(t, path, nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

func TestWholeFile(t *testing.T) {
	path := writeFile(t, `
listen: 127.0.0.1:3129
metrics_listen: off
admin_socket: /run/signet/admin.sock
data: state
policy: policies
key: /etc/signet/key.pem
tenant: acme
agent: billing-agent
agents:
  - name: billing
    keys:
      - {id: billing-1, sha256: 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a}
      - {id: billing-2, sha256: FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF}
  - {name: reader, keys: [{id: reader-1, sha256: "1111111111111111111111111111111111111111111111111111111111111111"}]}
resolver:
  upstreams: ["udp://10.0.0.10:53", "udp://[2001:db8::53]"]
  hosts: [{name: erp.example, addresses: [10.20.0.7, "2001:db8::7"]}]
  zones:
    - suffix: svc.cluster.local
      upstreams: ["tls://10.96.0.10:8853?name=dns.cluster.local", "https://10.96.0.11/q?name=dns.cluster.local"]
      dnssec: require-ad
      addresses: {allow: [10.96.0.0/12, "fd00:96::/108"]}
    - {suffix: Corp.Example., addresses: {allow: [10.20.0.7/32]}}
  dnssec: require-ad
  nat64: ["2001:db8:64::/96"]
  timeout: 2s
  cache_size: 100
tls:
  extra_roots: [corp-ca.pem, /etc/signet/other.pem]
  ca: {cert: ca.pem, key: ../ca.key}
log: {level: debug, format: text}
timeouts: {request_header: 1s, dial: 2s, tls_handshake: 3s, client_hello: 4s, response_header: 1h, idle: 24h}
journal: {seal_size: 1000000, seal_age: 1h, retention_age: 720h, retention_size: 1000000000, high_water: 2000000000, hard_mark: 3000000000}
max_payload_size: 64000000
shutdown_timeout: 1m30s
model: {url: "https://model.example/v1", name: tiny, key_file: model.key, addresses: [10.30.0.0/16], monthly_tokens: 100000}
checkpoints: {records: 500, interval: 10s}
collector: {address: "collector.example:8443", ca_file: collector-ca.pem, token_file: /run/token, addresses: [10.96.0.0/12], drain_timeout: 10s}
`)
	dir := filepath.Dir(path)
	want := &Config{
		Listen:       "127.0.0.1:3129",
		AdminSocket:  "/run/signet/admin.sock",
		Data:         filepath.Join(dir, "state"),
		Policy:       filepath.Join(dir, "policies"),
		AllowedHosts: []string{},
		Key:          "/etc/signet/key.pem",
		Model: Model{
			URL: "https://model.example/v1", Name: "tiny", KeyFile: filepath.Join(dir, "model.key"),
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.30.0.0/16")}, MonthlyTokens: 100000,
		},
		Tenant: "acme",
		Agent:  "billing-agent",
		Agents: []Agent{
			{Name: "billing", Keys: []APIKey{{ID: "billing-1", SHA256: Digest(bytes.Repeat([]byte{0x0a}, 32))}, {ID: "billing-2", SHA256: Digest(bytes.Repeat([]byte{0xff}, 32))}}},
			{Name: "reader", Keys: []APIKey{{ID: "reader-1", SHA256: Digest(bytes.Repeat([]byte{0x11}, 32))}}},
		},
		Resolver: Resolver{
			Upstreams: []string{"udp://10.0.0.10:53", "udp://[2001:db8::53]"},
			Hosts:     []Host{{Name: "erp.example", Addresses: []netip.Addr{netip.MustParseAddr("10.20.0.7"), netip.MustParseAddr("2001:db8::7")}}},
			Zones: []Zone{
				{
					Suffix:    "svc.cluster.local",
					Upstreams: []string{"tls://10.96.0.10:8853?name=dns.cluster.local", "https://10.96.0.11/q?name=dns.cluster.local"},
					DNSSEC:    "require-ad",
					Addresses: Addresses{Allow: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("fd00:96::/108")}},
				},
				{Suffix: "Corp.Example.", Addresses: Addresses{Allow: []netip.Prefix{netip.MustParsePrefix("10.20.0.7/32")}}},
			},
			DNSSEC: "require-ad", NAT64: []netip.Prefix{netip.MustParsePrefix("2001:db8:64::/96")},
			Timeout: 2 * time.Second, CacheSize: 100,
		},
		TLS: TLS{
			ExtraRoots: []string{filepath.Join(dir, "corp-ca.pem"), "/etc/signet/other.pem"},
			CA:         CA{Cert: filepath.Join(dir, "ca.pem"), Key: filepath.Join(filepath.Dir(dir), "ca.key")},
		},
		Log: Log{Level: "debug", Format: "text"},
		Timeouts: Timeouts{
			RequestHeader: time.Second, Dial: 2 * time.Second, TLSHandshake: 3 * time.Second,
			ClientHello: 4 * time.Second, ResponseHeader: time.Hour, Idle: 24 * time.Hour,
		},
		Journal: Journal{
			SealSize: 1e6, SealAge: time.Hour, RetentionAge: 720 * time.Hour, RetentionSize: 1e9, HighWater: 2e9, HardMark: 3e9,
		},
		Checkpoints: Checkpoints{Records: 500, Interval: 10 * time.Second},
		Collector: Collector{
			Address: "collector.example:8443", CAFile: filepath.Join(dir, "collector-ca.pem"), TokenFile: "/run/token",
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}, DrainTimeout: 10 * time.Second,
		},
		MaxPayloadSize: 64_000_000, ShutdownTimeout: 90 * time.Second,
	}
	if got := load(t, path, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

// samples has, for each key, two valid values in the environment's form.
var samples = map[string][2]string{
	"listen":                   {"127.0.0.1:1", "[::1]:2"},
	"metrics_listen":           {"127.0.0.1:3", "localhost:4"},
	"admin_socket":             {"/a.sock", "/b.sock"},
	"data":                     {"/a", "/b"},
	"policy":                   {"/a.yaml", "/b.yaml"},
	"allowed_hosts":            {"a.example,b.example:8443", "*.c.example"},
	"key":                      {"/a.pem", "/b.pem"},
	"tenant":                   {"a", "b"},
	"agent":                    {"a", "b"},
	"agents":                   {"[{name: a, keys: [{id: k, sha256: '" + strings.Repeat("0a", 32) + "'}]}]", `[{"name": "b", "keys": [{"id": "k1", "sha256": "` + strings.Repeat("1B", 32) + `"}]}]`},
	"journal.seal_size":        {"10000", "20000"},
	"journal.seal_age":         {"1s", "2s"},
	"journal.retention_age":    {"1m", "2m"},
	"journal.retention_size":   {"10000", "20000"},
	"journal.high_water":       {"7000000000", "7500000000"},
	"journal.hard_mark":        {"9000000000", "9500000000"},
	"resolver.upstreams":       {"udp://10.0.0.1, udp://10.0.0.2:53", "udp://10.0.0.3"},
	"resolver.hosts":           {"[{name: a.example, addresses: [10.0.0.1, 10.0.0.2]}]", `[{"name": "b.example", "addresses": ["::1"]}]`},
	"resolver.zones":           {"[{suffix: svc.cluster.local, upstreams: ['udp://10.96.0.10'], addresses: {allow: [10.96.0.0/12]}}]", `[{"suffix": "corp", "dnssec": "require-ad", "upstreams": ["tls://10.0.0.1?name=dns.corp"]}]`},
	"resolver.dnssec":          {"off", "require-ad"},
	"resolver.nat64":           {"2001:db8:64::/96", "64:ff9b::/96, 2001:db8:6400::/40"},
	"resolver.timeout":         {"1s", "2s"},
	"resolver.cache_size":      {"1", "2"},
	"tls.extra_roots":          {"/a.pem,/b.pem", "/c.pem"},
	"tls.ca.cert":              {"/a.pem", "/b.pem"},
	"tls.ca.key":               {"/a.key", "/b.key"},
	"model.url":                {"https://api.openai.com/v1", "http://127.0.0.1:8000/v1"},
	"model.name":               {"gpt-5-nano", "other"},
	"model.key_file":           {"/a", "/b"},
	"model.addresses":          {"127.0.0.1/32", "10.0.0.0/8, fd00::/8"},
	"model.monthly_tokens":     {"1", "2"},
	"checkpoints.records":      {"1", "2"},
	"checkpoints.interval":     {"1s", "2s"},
	"collector.address":        {"a.example:1", "b.example:2"},
	"collector.ca_file":        {"/a.pem", "/b.pem"},
	"collector.token_file":     {"/a", "/b"},
	"collector.addresses":      {"10.96.0.0/12", "127.0.0.0/8, fd00::/8"},
	"collector.drain_timeout":  {"1s", "2s"},
	"log.level":                {"debug", "warn"},
	"log.format":               {"json", "text"},
	"timeouts.request_header":  {"1s", "2s"},
	"timeouts.dial":            {"1s", "2s"},
	"timeouts.tls_handshake":   {"1s", "2s"},
	"timeouts.client_hello":    {"1s", "2s"},
	"timeouts.response_header": {"1s", "2s"},
	"timeouts.idle":            {"1s", "2s"},
	"max_payload_size":         {"1", "2"},
	"shutdown_timeout":         {"1s", "2s"},
}

// TestPrecedence sets each key in each source: flags win over the environment,
// the environment over the file, the file over the default.
func TestPrecedence(t *testing.T) {
	for _, k := range keys() {
		t.Run(k.path, func(t *testing.T) {
			sample, ok := samples[k.path]
			if !ok {
				t.Fatal("has no samples in this test")
			}
			first, second := sample[0], sample[1]
			path := writeFile(t, nested(k.path, first)+beside(k.path, "/x"))
			value := func(set map[string]any) any { return k.in(load(t, path, set)).Interface() }

			fromFile := value(nil)
			if reflect.DeepEqual(fromFile, k.in(load(t, "", caBeside(k.path))).Interface()) && first != k.tag.Get("default") {
				t.Errorf("the file does not win over the default: %v", fromFile)
			}
			t.Setenv(k.env(), second)
			fromEnvironment := value(nil)
			if reflect.DeepEqual(fromEnvironment, fromFile) {
				t.Errorf("%s does not win over the file: %v", k.env(), fromEnvironment)
			}
			if got := value(map[string]any{k.path: first}); !reflect.DeepEqual(got, fromFile) {
				t.Errorf("the flag %v does not win over the environment: %v", fromFile, got)
			}
			t.Setenv(k.env(), "")
			if got := value(map[string]any{k.path: fromEnvironment}); !reflect.DeepEqual(got, fromEnvironment) {
				t.Errorf("a flag with the key's own type: %v, want %v", got, fromEnvironment)
			}
		})
	}
}

// nested writes a key with dots as YAML; what is a list in the environment's
// form is put in brackets.
func nested(key, value string) string {
	parts := strings.Split(key, ".")
	var b strings.Builder
	for i, part := range parts {
		fmt.Fprintf(&b, "%s%s:", strings.Repeat("  ", i), part)
		if i < len(parts)-1 {
			b.WriteByte('\n')
		}
	}
	if strings.Contains(value, ",") && !strings.HasPrefix(value, "[") {
		value = "[" + value + "]"
	}
	if !strings.HasPrefix(value, "[{") && !strings.HasPrefix(value, "[/") && !strings.HasPrefix(value, "[udp") && strings.Trim(value, "0123456789") != "" {
		value = "'" + value + "'"
	}
	return b.String() + " " + value + "\n"
}

// beside adds what a key needs beside it.
func beside(key, path string) string {
	switch key {
	case "tls.ca.cert":
		return "    key: " + path + "\n"
	case "tls.ca.key":
		return "    cert: " + path + "\n"
	case "collector.address":
		return "  ca_file: " + path + "\n  token_file: " + path + "\n"
	case "model.url":
		return "  name: x\n"
	case "model.name":
		return "  url: https://x.example/v1\n"
	case "model.key_file", "model.addresses":
		return "  url: https://x.example/v1\n  name: x\n"
	}
	return ""
}

func caBeside(key string) map[string]any {
	switch key {
	case "tls.ca.cert", "tls.ca.key":
		return map[string]any{"tls.ca.cert": "/y", "tls.ca.key": "/y"}
	case "model.url", "model.name", "model.key_file", "model.addresses":
		return map[string]any{"model.url": "https://y.example", "model.name": "y"}
	}
	return nil
}

func TestPathsOutsideOfTheFileAreLeftAlone(t *testing.T) {
	path := writeFile(t, "data: state\n")
	t.Setenv("SIGNET_POLICY", "policy.yaml")
	c := load(t, path, map[string]any{"data": "elsewhere"})
	if c.Data != "elsewhere" || c.Policy != "policy.yaml" || c.AdminSocket != "elsewhere/admin.sock" {
		t.Errorf("data %s, policy %s, admin socket %s", c.Data, c.Policy, c.AdminSocket)
	}
}

func TestOff(t *testing.T) {
	c := load(t, writeFile(t, "metrics_listen: off\nadmin_socket: off\n"), nil)
	if c.MetricsListen != "" || c.AdminSocket != "" {
		t.Errorf("metrics %q, admin socket %q", c.MetricsListen, c.AdminSocket)
	}
}

func TestVariablesOfOthersAreIgnored(t *testing.T) {
	t.Setenv("SIGNET_PORT", "tcp://10.96.0.1:3128")
	t.Setenv("SIGNET_SERVICE_HOST", "10.96.0.1")
	load(t, "", nil)
}

// TestMistakes holds files and the errors that they get in one golden file each.
func TestMistakes(t *testing.T) {
	const separator = "=== errors\n"
	cases, err := filepath.Glob("testdata/mistakes/*.txt")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, golden := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(golden), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			content, want, _ := strings.Cut(string(data), separator)
			path := writeFile(t, content)
			_, err = Load(path, nil)
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.ReplaceAll(err.Error(), path, "signet.yaml") + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(content+separator+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestMistakesNameTheirSource(t *testing.T) {
	path := writeFile(t, "log: {level: loud}\n")
	t.Setenv("SIGNET_TIMEOUTS_DIAL", "5")
	_, err := Load(path, map[string]any{"metrics_listen": "9464", "no_such": 1})
	var got []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var wrong *KeyError
		if !errors.As(e, &wrong) {
			t.Fatalf("%T: %v", e, e)
		}
		got = append(got, wrong.Source+" "+wrong.Key)
	}
	slices.Sort(got)
	want := []string{
		path + ":1 log.level", "environment SIGNET_TIMEOUTS_DIAL timeouts.dial", "flag --metrics-listen metrics_listen", "flag no_such",
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestAbsentFile(t *testing.T) {
	_, err := Load("/nonexistent/signet.yaml", nil)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/nonexistent/signet.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestLoadsDoNotShareState(t *testing.T) {
	one, two := writeFile(t, "tenant: one\n"), writeFile(t, "tenant: two\n")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if c, err := Load(one, nil); err != nil || c.Tenant != "one" {
				t.Errorf("%v, %v", c, err)
			}
		})
		wg.Go(func() {
			if c, err := Load(two, map[string]any{"agent": "a"}); err != nil || c.Tenant != "two" {
				t.Errorf("%v, %v", c, err)
			}
		})
	}
	wg.Wait()
}

// FuzzLoad: any file is either a configuration that holds its own limits, or an
// error that names the file.
func FuzzLoad(f *testing.F) {
	cases, err := filepath.Glob("testdata/mistakes/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range cases {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		content, _, _ := strings.Cut(string(data), "=== errors\n")
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := writeFile(t, string(data))
		c, err := Load(path, nil)
		if err != nil {
			if !strings.Contains(err.Error(), path) {
				t.Errorf("the error does not name the file: %v", err)
			}
			return
		}
		for _, k := range keys() {
			if err := k.outside(c); err != nil {
				t.Errorf("%s: %v", k.path, err)
			}
		}
	})
}
