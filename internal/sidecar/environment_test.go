package sidecar

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit"
)

func TestAgentEnvironment(t *testing.T) {
	base := []string{"PATH=/bin", "HTTPS_PROXY=http://old:1", "all_proxy=socks5://old:2", "NO_PROXY=*", "SSL_CERT_FILE=/old.pem", "NAME=a=b"}
	got := AgentEnvironment(base, "http://127.0.0.1:3", "/b.pem")
	want := strings.Fields(`PATH=/bin NAME=a=b
		HTTP_PROXY=http://127.0.0.1:3 http_proxy=http://127.0.0.1:3 HTTPS_PROXY=http://127.0.0.1:3 https_proxy=http://127.0.0.1:3
		NO_PROXY=localhost,127.0.0.1,::1 no_proxy=localhost,127.0.0.1,::1
		SSL_CERT_FILE=/b.pem CURL_CA_BUNDLE=/b.pem REQUESTS_CA_BUNDLE=/b.pem NODE_EXTRA_CA_CERTS=/b.pem
		DENO_CERT=/b.pem GIT_SSL_CAINFO=/b.pem PIP_CERT=/b.pem AWS_CA_BUNDLE=/b.pem NODE_USE_ENV_PROXY=1`)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(base) != 6 || base[1] != "HTTPS_PROXY=http://old:1" {
		t.Errorf("the base was changed: %q", base)
	}
}

func TestTrusted(t *testing.T) {
	dir := t.TempDir()
	certificate := make(map[string]string)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	files := make(map[string]string)
	for _, name := range []string{"system", "mine", "corp"} {
		certificate[name] = string(testkit.CA(t).PEM())
		files[name] = write(name, "# "+name+"\n"+strings.TrimSpace(certificate[name])) // without a final newline
	}
	system := []string{filepath.Join(dir, "absent"), files["system"], files["corp"]}
	tests := map[string]struct {
		env    []string
		system []string
		want   []string
		err    string
	}{
		"the system's":    {want: []string{"system"}, system: system},
		"none":            {system: system[:1]},
		"one's own":       {env: []string{"SSL_CERT_FILE=" + files["mine"]}, system: system, want: []string{"mine"}},
		"in other places": {env: []string{"PIP_CERT=" + files["corp"], "AWS_CA_BUNDLE=" + files["corp"]}, system: system, want: []string{"system", "corp"}},
		"set to nothing":  {env: []string{"SSL_CERT_FILE=" + files["mine"], "SSL_CERT_FILE="}, system: system, want: []string{"system"}},
		"absent":          {env: []string{"CURL_CA_BUNDLE=" + system[0]}, system: system, err: "CURL_CA_BUNDLE: open " + system[0]},
		"no certificate":  {env: []string{"DENO_CERT=" + write("text", "none")}, system: system, err: "holds no certificate"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := trusted(test.env, test.system)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v; want %q", err, test.err)
				}
				return
			}
			var want string
			for _, name := range test.want {
				want += certificate[name]
			}
			if err != nil || string(got) != want {
				t.Errorf("got %q, %v\nwant %q", got, err, want)
			}
		})
	}
}
