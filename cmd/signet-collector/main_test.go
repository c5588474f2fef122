package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/signet-egress/signet/internal/testkit/goldenfile"
)

// command runs the program's root command and returns what it printed.
func command(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := newRootCommand()
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

// transcript is what an operator sees who runs commands on one data directory.
type transcript struct {
	t    *testing.T
	data string
	strings.Builder
}

// show runs a command, takes down what it prints, and returns its output.
func (s *transcript) show(args ...string) string {
	s.t.Helper()
	stdout, stderr, err := command(s.t, append(args, "--data", s.data)...)
	fmt.Fprintf(s, "$ signet-collector %s\n%s%s", strings.Join(args, " "), stdout, stderr)
	if err != nil {
		fmt.Fprintln(s, "signet-collector:", err)
	}
	s.WriteByte('\n')
	return stdout
}

// A tenant from its creation to a token that replaced another.
func TestTenants(t *testing.T) {
	data := t.TempDir()
	run := func(args ...string) (string, string) {
		t.Helper()
		stdout, stderr, err := command(t, append(args, "--data", data)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return stdout, stderr
	}
	run("migrate")
	run("tenant", "create", "acme")
	run("tenant", "create", "beta")
	secret, about := run("tenant", "token", "acme", "--scope", "receipts.read,export")
	form := regexp.MustCompile(`^signet_[A-Za-z0-9_-]{43}\n$`)
	named := regexp.MustCompile(`^token ([0-9a-f]{12}) of tenant acme, which is shown this once:\n$`)
	if !form.MatchString(secret) || !named.MatchString(about) {
		t.Fatalf("got %q and %q", secret, about)
	}
	id := named.FindStringSubmatch(about)[1]
	next, _ := run("tenant", "rotate", "acme", id)
	if !form.MatchString(next) || next == secret {
		t.Errorf("rotated to %q", next)
	}
	run("tenant", "revoke", "acme", id)
	for _, args := range [][]string{{"tenant", "create", "acme"}, {"tenant", "token", "nobody"}, {"tenant", "rotate", "beta", id}, {"tenant", "revoke", "beta", id}} {
		if _, _, err := command(t, append(args, "--data", data)...); err == nil {
			t.Errorf("%v does not fail", args)
		}
	}
}

// A database that is somewhere else leaves nothing where the command is run.
func TestNothingBesideTheDatabase(t *testing.T) {
	data, url := filepath.Join(t.TempDir(), "data"), "sqlite:"+filepath.Join(t.TempDir(), "collector.db")
	for _, args := range [][]string{{"migrate"}, {"tenant", "create", "acme"}, {"tenant", "list"}, {"prune"}} {
		if _, _, err := command(t, append(args, "--data", data, "--database", url)...); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(data); !os.IsNotExist(err) {
			t.Fatalf("%v has made %s: %v", args, data, err)
		}
	}
}

// Arguments and settings that cannot be used have an exit status of their own.
func TestUnusable(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(data, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"nope"},
		{"serve", "--bogus"},
		{"serve", "extra"},
		{"serve", "--http-cert", file, "--data", data},
		{"serve", "--http-cert", file, "--http-key", file, "--data", data},
		{"tenant", "create"},
		{"tenant", "create", "two words", "--data", data},
		{"tenant", "create", "acme", "--quota", "much", "--data", data},
		{"tenant", "quota", "acme", "-1", "--data", data},
		{"tenant", "quota", "acme", "0", "--data", data},
		{"tenant", "quota", "acme", "--data", data},
		{"tenant", "token", "acme", "--scope", "everything", "--data", data},
		{"migrate", "--data", file},
		{"migrate", "--data", data, "--database", "mysql://root:secret@db/signet"},
		{"serve", "--data", data, "--redis", "cache.example:6379"},
	} {
		if status := run(t.Context(), args); status != exitUnusable {
			t.Errorf("signet-collector %v: exit status %d", args, status)
		}
	}
}

func TestEnvironment(t *testing.T) {
	data := t.TempDir()
	t.Setenv("SIGNET_COLLECTOR_DATA", data)
	t.Setenv("DATABASE_URL", "sqlite:"+filepath.Join(data, "elsewhere.db"))
	if _, _, err := command(t, "tenant", "create", "acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(data, "elsewhere.db")); err != nil {
		t.Error(err)
	}
	t.Setenv("SIGNET_COLLECTOR_EXPIRES", "soon")
	_, _, err := command(t, "tenant", "token", "acme")
	if err == nil || !strings.Contains(err.Error(), "SIGNET_COLLECTOR_EXPIRES") {
		t.Errorf("got %v, want the variable named", err)
	}
}

// What goes wrong with the database, or with Redis, does not print its password.
func TestNoPasswordInErrors(t *testing.T) {
	for _, url := range []string{"mysql://u:hunter2@db/x", "postgres://u:hunter2@127.0.0.1:1/x?connect_timeout=1", "postgres://u:hunter2@[::bad/x"} {
		_, stderr, err := command(t, "migrate", "--data", t.TempDir(), "--database", url)
		if err == nil || strings.Contains(stderr+err.Error(), "hunter2") {
			t.Errorf("%s: %v %s", url, err, stderr)
		}
	}
	for _, url := range []string{"hunter2@cache.example", "redis://u:hunter2@[::bad/x", "redis://u:hunter2@cache.example/x"} {
		t.Setenv("REDIS_URL", url)
		_, stderr, err := command(t, "serve", "--data", t.TempDir())
		if err == nil || !strings.HasPrefix(err.Error(), "REDIS_URL: ") || strings.Contains(stderr+err.Error(), "hunter2") {
			t.Errorf("%s: %v %s", url, err, stderr)
		}
	}
}

const (
	manual      = "../../docs/collector.md"
	manualBegin = "<!-- flags, from cmd/signet-collector; go test ./cmd/signet-collector -update -->\n"
	manualEnd   = "<!-- end of flags -->\n"
)

// The manual lists each flag of each command, with its variable and default.
func TestManual(t *testing.T) {
	page, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(page, []byte(manualBegin))
	_, after, closed := bytes.Cut(rest, []byte(manualEnd))
	if !ok || !closed {
		t.Fatalf("%s lacks the marks %q and %q", manual, manualBegin, manualEnd)
	}
	want := bytes.Join([][]byte{before, []byte(manualBegin), []byte(flags(newRootCommand(), "")), []byte(manualEnd), after}, nil)
	goldenfile.Compare(t, filepath.Join("..", manual), string(want))
}

// flags lists those that every command has, and then each command's own.
func flags(cmd *cobra.Command, above string) string {
	var b strings.Builder
	common := new(cobra.Command)
	new(settings).register(common)
	if above == "" {
		fmt.Fprintf(&b, "\nEvery command:\n\n%s", table(common.Flags(), nil))
	}
	if own := table(cmd.Flags(), common.Flags()); cmd.Runnable() && own != "" {
		fmt.Fprintf(&b, "\n`%s`: %s.\n\n%s", strings.TrimSpace(above+" "+cmd.Use), cmd.Short, own)
	}
	for _, sub := range cmd.Commands() {
		if sub.Name() != "help" && sub.Name() != "completion" {
			b.WriteString(flags(sub, strings.TrimSpace(above+" "+cmd.Name())))
		}
	}
	if above == "" {
		b.WriteByte('\n')
	}
	return b.String()
}

func table(all, but *pflag.FlagSet) string {
	var b strings.Builder
	all.VisitAll(func(f *pflag.Flag) {
		if but != nil && but.Lookup(f.Name) != nil {
			return
		}
		if b.Len() == 0 {
			b.WriteString("| flag | environment | default | meaning |\n|---|---|---|---|\n")
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", f.Name, variable(f.Name), code(f.DefValue), strings.ReplaceAll(f.Usage, "|", `\|`))
	})
	return b.String()
}

func code(value string) string {
	if value == "" || value == "[]" {
		return ""
	}
	return "`" + strings.Trim(value, "[]") + "`"
}
