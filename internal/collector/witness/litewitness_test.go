package witness_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	_ "modernc.org/sqlite" // the witness's database

	"github.com/signet-egress/signet/internal/collector/witness"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts/logproof"
)

// lite is a litewitness, which runs: the witness that others run too.
type lite struct {
	t        *testing.T
	dir, url string
	key      string // verifier key
}

func startLite(t *testing.T) *lite {
	t.Helper()
	for _, tool := range []string{"ssh-agent", "ssh-add", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%v: install openssh-client", err)
		}
	}
	dir, err := os.MkdirTemp("", "lite") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := &lite{t: t, dir: dir}
	program := filepath.Join(dir, "litewitness")
	if out, err := l.goIn("mod", "download"); err != nil {
		t.Skipf("litewitness's modules cannot be had here: %v\n%s", err, out)
	}
	if out, err := l.goIn("build", "-o", program, "filippo.io/torchwood/cmd/litewitness"); err != nil {
		t.Fatalf("build litewitness: %v\n%s", err, out)
	}
	fingerprint := regexp.MustCompile(`SHA256:\S+`).FindString(l.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key") + l.run("ssh-keygen", "-l", "-f", "key"))
	address, agent := l.freeAddress(), filepath.Join(dir, "agent")
	// The agent runs the command, and ends after it.
	cmd := exec.Command("ssh-agent", "-a", agent, "sh", "-c", `ssh-add -q key && exec "$@"`, "sh",
		program, "-name", "witness.example/lite", "-db", filepath.Join(dir, "lite.db"), "-ssh-agent", agent, "-key", fingerprint, "-listen", address)
	cmd.Dir = dir
	p, err := peers.StartProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	line, err := p.Line(ctx, func(line string) bool { return strings.Contains(line, "vkey=") })
	if err == nil {
		err = p.Ready(ctx, "http://"+address+"/")
	}
	if err != nil {
		t.Fatal(err, p.Output())
	}
	l.url, l.key = "http://"+address+"/", regexp.MustCompile(`vkey=(\S+)`).FindStringSubmatch(line)[1]
	return l
}

// goIn runs the go command in litewitness's module.
func (l *lite) goIn(args ...string) ([]byte, error) {
	cmd := exec.CommandContext(l.t.Context(), "go", args...)
	cmd.Dir, cmd.Env = "../../../test/litewitness", append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	return cmd.CombinedOutput()
}

func (l *lite) run(name string, args ...string) string {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), name, args...)
	cmd.Dir = l.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func (l *lite) freeAddress() string {
	l.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// trust has it know a log, as its witnessctl would.
func (l *lite) trust(logKey string) {
	l.t.Helper()
	v, err := note.NewVerifier(logKey)
	if err != nil {
		l.t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(l.dir, "lite.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		l.t.Fatal(err)
	}
	defer db.Close()
	empty := sha256.Sum256(nil)
	for statement, args := range map[string][]any{
		"INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)": {v.Name(), base64.StdEncoding.EncodeToString(empty[:])},
		"INSERT INTO key (origin, key) VALUES (?, ?)":                     {v.Name(), logKey},
	} {
		if _, err := db.ExecContext(l.t.Context(), statement, args...); err != nil {
			l.t.Fatal(err)
		}
	}
}

// A witness that is not ours takes our checkpoints and proofs, and finds the second
// log that a collector with the same key shows it.
func TestLitewitness(t *testing.T) {
	l := startLite(t)
	w := newWorld(t)
	client, err := witness.New(l.key + " " + l.url)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f := w.feeder(client)
	w.grow(2)
	w.round(f)
	w.want("witness.example/lite refused")
	if w.logs("it does not know the log (404)") != 1 {
		t.Error(w.logged)
	}
	l.trust(w.key)
	for _, n := range []int{1, 300, 5} {
		w.grow(n)
		w.round(f)
		w.want("witness.example/lite cosigned")
	}
	key, err := logproof.NewWitness(l.key)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := logproof.Needed(1, key)
	if err != nil {
		t.Fatal(err)
	}
	newest := w.newest()
	if _, _, err := policy.Check(newest.Note(), w.key); err != nil {
		t.Error(err)
	}
	// What is known here of the witness is lost: it says where it is.
	other := newWorld(t)
	other.grow(308)
	g := other.feeder(client)
	other.round(g)
	other.want("witness.example/lite inconsistent")
	other.wantAlarm("does not cosign the log at 308 records")
	other.grow(5)
	other.round(g)
	other.want("witness.example/lite inconsistent")
	smaller := newWorld(t)
	smaller.grow(3)
	smaller.round(smaller.feeder(client))
	smaller.wantAlarm("that had 308 records")
	w.grow(1)
	w.round(f)
	w.want("witness.example/lite cosigned")
	w.wantAlarm("")
}
