package ruleset

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/internal/strictyaml"
)

const one = "version: 1\nrules:\n  - {name: one, hosts: [one.example]}\n"

const two = "version: 1\nrules:\n  - {name: two, hosts: [two.example]}\n"

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, path string) *Set {
	t.Helper()
	set, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func allows(t *testing.T, set *Set, authority string) bool {
	t.Helper()
	target, err := policy.ParseAuthority(authority)
	if err != nil {
		t.Fatal(err)
	}
	return set.Policy.Decide(&policy.Request{Target: target, Tunnel: true}).Allowed
}

func TestLoadFile(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"policy.yaml": one, "other-name.txt": one})
	set := load(t, filepath.Join(dir, "policy.yaml"))
	if !allows(t, set, "one.example:443") || allows(t, set, "two.example:443") {
		t.Error("the policy is not that of the file")
	}
	// The digest of one member, computed by other means:
	//   printf '[{"path":"policy.yaml","sha256":"%s"}]' $(sha256sum < policy.yaml | cut -c-64) | sha256sum
	if want := "sha256:9a7fc8feb524dcc310bdfcf877fb6d988216dc3f8c98b7bb83b3a7942f20479a"; set.Version != want {
		t.Errorf("version %s, want %s", set.Version, want)
	}
	if other := load(t, filepath.Join(dir, "other-name.txt")); other.Version == set.Version {
		t.Error("the version does not tell the path")
	}
}

func TestLoadDirectory(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"b.yaml": two, "a.yml": one, "README.md": "x", ".hidden.yaml": "nonsense", "c.yaml.bak": "nonsense", ".git/x.yaml": "nonsense"})
	set := load(t, dir)
	if !allows(t, set, "one.example:443") || !allows(t, set, "two.example:443") {
		t.Error("a file of the directory is missing")
	}
	if again := load(t, dir); again.Version != set.Version {
		t.Error("the version is not stable")
	}
	write(t, dir, map[string]string{"b.yaml": two + "# changed\n"})
	if changed := load(t, dir); changed.Version == set.Version {
		t.Error("the version does not tell a changed file")
	}
}

// TestLoadMountedVolume builds what the kubelet builds: files that are links
// through ..data to a directory of one generation.
func TestLoadMountedVolume(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"..2026_01/policy.yaml": one, "..2026_02/policy.yaml": two})
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..2026_01", "..data")
	link("..data/policy.yaml", "policy.yaml")
	first := load(t, dir)
	link("..2026_02", "..data_tmp")
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	second := load(t, dir)
	if !allows(t, first, "one.example:443") || !allows(t, second, "two.example:443") || allows(t, second, "one.example:443") {
		t.Error("the policy is not that of the current generation")
	}
	plain := load(t, write(t, t.TempDir(), map[string]string{"policy.yaml": two}))
	if plain.Version != second.Version {
		t.Error("the version depends on how the directory is mounted")
	}
	if load(t, filepath.Join(dir, "policy.yaml")).Version != second.Version {
		t.Error("the one file of a directory has another version than the directory")
	}
}

func TestLoadEmptyFileDeniesEverything(t *testing.T) {
	set := load(t, write(t, t.TempDir(), map[string]string{"policy.yaml": ""}))
	if allows(t, set, "one.example:443") || set.Policy.Mode() != policy.Enforce || set.Version == "" {
		t.Errorf("%+v", set)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{
		"empty/README.md": "", "nested/a.yaml": one, "nested/team/b.yaml": two, "bad/a.yaml": "version: 1\nrule: []\n", "bad/b.yaml": "version: 2\n",
		"unreadable/a.yaml": one, "large/a.yaml": one, "large/b.yaml": "", "dangling/a.yaml": one, "loop/x.yaml": one,
	})
	if err := os.Truncate(filepath.Join(dir, "large", "b.yaml"), maxBytes); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling", "b.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "pipe"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe", "a.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"missing.yaml": "read policy: DIR/missing.yaml does not exist; name a policy file or a directory of them",
		"empty":        "read policy: DIR/empty has no *.yaml or *.yml file; to deny everything, put an empty one there",
		"nested":       "read policy: DIR/nested/team is a directory; policy files stand side by side in DIR/nested, and are not looked for below it",
		"bad": "policy DIR/bad is not usable:\n" +
			"a.yaml:2: unknown key \"rule\" (did you mean rules?)\n" +
			"b.yaml:1: version is the number \"2\", and only version: 1 is known to this build",
		"large":       "read policy: DIR/large/b.yaml is too large: a policy is at most 16000000 bytes in all",
		"dangling":    "read policy: stat DIR/dangling/b.yaml: no such file or directory",
		"pipe":        "read policy: DIR/pipe/a.yaml is not a regular file",
		"pipe/a.yaml": "read policy: DIR/pipe/a.yaml is not a regular file",
	} {
		set, err := Load(filepath.Join(dir, path))
		if set != nil || err == nil {
			t.Errorf("%s: %+v, %v", path, set, err)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", path, got, want)
		}
	}
}

func TestLoadNothing(t *testing.T) {
	if _, err := Load(""); err == nil || !strings.Contains(err.Error(), "--policy") {
		t.Errorf("got %v", err)
	}
}

func TestLoadUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	path := filepath.Join(write(t, t.TempDir(), map[string]string{"a.yaml": one}), "a.yaml")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
}

// TestLoadErrorsAreTyped: callers can find file and line of what is wrong.
func TestLoadErrorsAreTyped(t *testing.T) {
	_, err := Load(filepath.Join(write(t, t.TempDir(), map[string]string{"a.yaml": "version: 1\nrule: []\n"}), "a.yaml"))
	var mistake *strictyaml.Error
	if !errors.As(err, &mistake) || mistake.Path != "a.yaml" || mistake.Line != 2 {
		t.Errorf("got %v", err)
	}
}

func TestReportAll(t *testing.T) {
	set := ReportAll()
	target, err := policy.ParseAbsolute("http://anything.example:8080/x")
	if err != nil {
		t.Fatal(err)
	}
	d := set.Policy.Decide(&policy.Request{Target: target, Method: "POST"})
	if d.Allowed || !d.Carries() || d.Reason != policy.HostNotAllowed || set.Version != ReportAll().Version {
		t.Errorf("%+v", d)
	}
}
