package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func writeEnvFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestEnvFile: a .env file wins over the file and loses to the environment.
func TestEnvFile(t *testing.T) {
	t.Setenv("SIGNET_TENANT", "from-environment")
	t.Setenv("SIGNET_AGENT", "")
	s := Sources{
		File: writeFile(t, "tenant: from-file\nagent: from-file\nlog: {level: warn, format: text}\ntimeouts: {dial: 1s}\ndata: state\n"),
		EnvFile: writeEnvFile(t, `# what the container is started with
SIGNET_TENANT=from-env-file
export SIGNET_AGENT='from-env-file'
SIGNET_LOG_LEVEL = error   # no debugging here
SIGNET_LOG_FORMAT=json
SIGNET_ALLOWED_HOSTS="api.example.com, *.example.net"
SIGNET_DATA=relative
SIGNET_TLS_EXTRA_ROOTS=
DATABASE_URL=postgres://not-ours
`),
		Flags: map[string]any{"log.format": "text"},
	}
	c, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	if c.Tenant != "from-environment" || c.Agent != "from-env-file" || c.Log.Level != "error" || c.Log.Format != "text" || c.Timeouts.Dial != time.Second || c.Data != "relative" {
		t.Errorf("%+v", c)
	}
	if want := []string{"api.example.com", "*.example.net"}; !slices.Equal(c.AllowedHosts, want) {
		t.Errorf("allowed hosts %q, want %q", c.AllowedHosts, want)
	}
}

func TestEnvFileMistakes(t *testing.T) {
	for _, tt := range []struct{ name, content, want string }{
		{"unknown", "# x\n\nSIGNET_POLCY=a\nSIGNET_WHATEVER_THIS_IS=b\n", ".env:3: SIGNET_POLCY: is no setting of Signet's; did you mean SIGNET_POLICY?\n.env:4: SIGNET_WHATEVER_THIS_IS: is no setting of Signet's"},
		{"twice", "SIGNET_POLICY=a\nOTHER=a\nOTHER=b\nSIGNET_POLICY=b\n", ".env:4: SIGNET_POLICY: is set twice; keep one"},
		{"value", "\nSIGNET_TIMEOUTS_DIAL=5\nSIGNET_TENANT='two words'\n", ".env:2: timeouts.dial: \"5\" is not a duration; write one such as 500ms, 30s or 10m\n.env:3: tenant: \"two words\" is not 1 to 64 letters, digits, dots, dashes and underscores"},
		{"no assignment", "SIGNET_POLICY=a\n\nSIGNET_DATA\n", "read the configuration: .env:3: is not NAME=value, or its quotes do not close"},
		{"open quote", "SIGNET_POLICY=\"a\nb\"\nSIGNET_DATA='a\nSIGNET_TENANT=b\n", "read the configuration: .env:3: is not NAME=value, or its quotes do not close"},
		{"large", strings.Repeat("# comment\n", 10_000), "read the configuration: .env: is larger than 65536 bytes, and hardly a .env file"},
		{"policy and hosts", "SIGNET_POLICY=a\nSIGNET_ALLOWED_HOSTS=a.example\n", ".env:2: allowed_hosts: is set beside policy, which is set by .env:1; keep one of them"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := writeEnvFile(t, tt.content)
			_, err := Sources{EnvFile: path}.Load()
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), path, ".env"); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	if _, err := (Sources{EnvFile: "/nonexistent/.env"}).Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

// FuzzEnvFile: any file is read, or refused by its name.
func FuzzEnvFile(f *testing.F) {
	f.Add("SIGNET_TENANT=a\n# b\nexport SIGNET_AGENT=\"c\n d\"\nX: y\n")
	f.Add("'\n\"=\\\n=")
	f.Fuzz(func(t *testing.T, content string) {
		path := writeEnvFile(t, content)
		if _, err := (Sources{EnvFile: path}).Load(); err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("the error does not name the file: %v", err)
		}
	})
}
