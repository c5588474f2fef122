package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/receipts"
)

// now is the time of an export, in what people and programs see of it.
var now = regexp.MustCompile(`exported \d{4}-[0-9T:.-]+Z|"created":"[^"]+"|exported +\d{4}-[0-9T:.-]+Z`)

// masked hides what differs from run to run.
func masked(out string) string {
	out = regexp.MustCompile(`"checkpoints":\[[^]]*\]`).ReplaceAllString(out, `"checkpoints":["…"]`)
	out = regexp.MustCompile(`"(signature|x)":"[A-Za-z0-9_-]+"`).ReplaceAllString(out, `"$1":"…"`)
	return random.ReplaceAllString(now.ReplaceAllString(out, "exported …"), "…")
}

// What export, verify and show say of the same bundles.
func TestBundles(t *testing.T) {
	data := closedJournal(t)
	t.Chdir(t.TempDir())
	writeFile(t, "config.yaml", []byte("data: "+data+"\n"))
	var all strings.Builder
	run := func(args ...string) {
		fmt.Fprintf(&all, "$ signet %s\n%s\n", strings.Join(args, " "), masked(strings.ReplaceAll(signet(t, args...), data, "DATA")))
	}
	export := func(name string, args ...string) {
		run(append([]string{"export", "-c", "config.yaml", "-o", name}, args...)...)
		run("verify", name)
	}
	export("all.zip")
	export("core.zip", "--profile", "core")
	export("part.zip", "--from", "3", "--to", "6", "--trace", "trace-1")
	export("month.zip", "--from", "2026-11-01", "--to", "2026-12-01", "--agent", "another")
	run("verify", "--json", "part.zip")
	writeFile(t, "keys.json", signetOut(t, "keys", "export", "-c", "config.yaml"))
	run("verify", "--jwks", "keys.json", "all.zip", "part.zip")
	writeFile(t, "others.json", receipts.JWKS(receipts.ChainKey{PublicKey: newEvidence(9).public()}))
	run("verify", "--jwks", "others.json", "all.zip")
	whole, err := os.ReadFile("all.zip")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, "cut.zip", whole[:len(whole)-1])
	run("verify", "cut.zip")
	run("verify", "--json", "cut.zip")
	run("show", "part.zip")
	run("show", "--json", "core.zip")
	run("show", "cut.zip")
	run("export", "-c", "config.yaml", "-o", "none.zip", "--from", "2026-12-01")
	run("export", "-c", "config.yaml", "-o", "none.zip", "--from", "7", "--to", "6")
	run("export", "-c", "config.yaml", "-o", "none.zip", "--from", "yesterday")
	run("export", "-c", "config.yaml", "-o", "none.zip", "--profile", "half")
	if _, err := os.Stat("none.zip"); err == nil {
		t.Error("an export that failed left a file")
	}
	if err := os.Remove(filepath.Join(data, "key.pem")); err != nil {
		t.Fatal(err)
	}
	run("export", "-c", "config.yaml", "-o", "none.zip")
	t.Chdir(sourceDir)
	golden(t, "records/bundles", all.String())
}

// signetOut is what a command writes to standard output.
func signetOut(t *testing.T, args ...string) []byte {
	t.Helper()
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestShow(t *testing.T) {
	t.Chdir(t.TempDir())
	e := sampleEvidence()
	writeFile(t, "records.jsonl", jsonLines(e.lines))
	for i, line := range e.lines {
		writeFile(t, fmt.Sprintf("%d.json", i+1), line)
	}
	writeFile(t, "changed.json", bytes.Replace(e.lines[2], []byte(`"hop":1`), []byte(`"hop":2`), 1))
	writeFile(t, "forged.json", bytes.Replace(e.lines[2], []byte(`"duration_us":41900`), []byte(`"duration_us":41901`), 1))
	var all strings.Builder
	for _, args := range [][]string{
		{"1.json"},
		{"2.json"},
		{"3.json"},
		{"4.json"},
		{"5.json"},
		{"7.json"},
		{"8.json"},
		{"forged.json"},
		{"changed.json"},
		{"--json", "5.json"},
		{evidenceID(1005), "records.jsonl"},
		{evidenceID(7), "records.jsonl"},
		{evidenceID(7), "nowhere"},
		{"records.jsonl"},
		{"nowhere"},
		{"1.json", "records.jsonl"},
		{},
	} {
		fmt.Fprintf(&all, "$ signet show %s\n%s\n", strings.Join(args, " "), signet(t, append([]string{"show"}, args...)...))
	}
	t.Chdir(sourceDir)
	golden(t, "records/show", all.String())
}

// A running sidecar's records are exported through its admin socket.
func TestExportOfRunningSidecar(t *testing.T) {
	data := t.TempDir()
	proxy, stop := startSidecar(t, data)
	ask(t, proxy, "http://first.example/")
	bundle := filepath.Join(t.TempDir(), "bundle.zip")
	if out := signet(t, "export", "--data", data, "-o", bundle); !strings.HasPrefix(out, "exported: 1 receipts, ") {
		t.Fatal(out)
	}
	if out := signet(t, "verify", bundle); !strings.HasPrefix(out, "verified: 1 receipts, ") || !strings.HasSuffix(out, "exit status 0\n") {
		t.Error(out)
	}
	from := time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	if out := signet(t, "export", "--data", data, "--from", from, "-o", bundle); !strings.Contains(out, "no record in this range") {
		t.Error(out)
	}
	id := regexp.MustCompile(`"receipt_id":"([^"]+)"`).FindSubmatch(signetOut(t, "receipts", "--data", data, "--json"))
	if id == nil {
		t.Fatal("no receipt")
	}
	if out := signet(t, "show", string(id[1]), "--data", data); !strings.Contains(out, "host=first.example") {
		t.Error(out)
	}
	stop()
}

// A bundle on standard input has its manifest where it cannot be read in time.
func TestVerifyRefusesPipedBundles(t *testing.T) {
	data := closedJournal(t)
	root := newRootCommand()
	root.SetIn(bytes.NewReader(signetOut(t, "export", "--data", data)))
	root.SetErr(&bytes.Buffer{})
	root.SetArgs([]string{"verify", "-"})
	if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "save it as a file") {
		t.Error(err)
	}
}

// chainOf is a source whose n-th record stands at minute n of the hour.
type chainOf struct {
	recordSource
	lines [][]byte
}

func (c chainOf) head(context.Context) (int64, error) { return int64(len(c.lines)), nil }

func (c chainOf) each(_ context.Context, from int64, _ bool, fn func([]byte) error) error {
	for _, line := range c.lines[from-1:] {
		if err := fn(line); err != nil {
			return err
		}
	}
	return nil
}

func TestExportRange(t *testing.T) {
	e := sampleEvidence() // seq n is at 03:04:05 and n quarters of a second, of 2026-11-23; 10 of them
	for _, tt := range []struct {
		from, to    string
		first, last int64 // 0 for no record
	}{
		{"", "", 1, 10},
		{"3", "", 3, 10},
		{"", "4", 1, 4},
		{"3", "3", 3, 3},
		{"3", "99", 3, 10},
		{"4", "3", 0, 0},
		{"11", "", 0, 0},
		{"2026-11-23", "2026-11-24", 1, 10},
		{"2026-11-24", "", 0, 0},
		{"", "2026-11-23", 0, 0},
		{"2026-11-23T03:04:06Z", "", 4, 10},
		{"2026-11-23T04:04:06+01:00", "", 4, 10},
		{"2026-11-23T03:04:06.1Z", "", 5, 10},
		{"", "2026-11-23T03:04:06Z", 1, 3},
		{"2026-11-23T03:04:06Z", "2026-11-23T03:04:07Z", 4, 7},
		{"5", "2026-11-23T03:04:07Z", 5, 7},
	} {
		x := &exporting{records: chainOf{lines: e.lines}}
		var err error
		if x.from, err = parseBound("--from", tt.from); err != nil {
			t.Fatal(err)
		}
		if x.to, err = parseBound("--to", tt.to); err != nil {
			t.Fatal(err)
		}
		first, last, err := x.resolve(t.Context())
		if (err != nil) != (tt.first == 0) || err == nil && (first != tt.first || last != tt.last) {
			t.Errorf("--from %q --to %q: %d to %d, %v", tt.from, tt.to, first, last, err)
		}
	}
}

// Sealed records are exported like those in the database.
func TestExportOfSealedRecords(t *testing.T) {
	data := closedJournal(t)
	before, after := filepath.Join(t.TempDir(), "before.zip"), filepath.Join(t.TempDir(), "after.zip")
	signet(t, "export", "--data", data, "-o", before)
	if out := signet(t, "journal", "seal", "--data", data); !strings.Contains(out, "1 file") {
		t.Fatal(out)
	}
	signet(t, "export", "--data", data, "-o", after)
	for _, path := range []string{before, after} {
		if out := signet(t, "verify", path); !strings.HasPrefix(out, "verified: 6 receipts, ") || !strings.Contains(out, "seq 1-9,") {
			t.Error(out)
		}
	}
}

// Both verifiers hold records against checkpoints that were kept elsewhere, and
// exit alike.
func TestBothVerifiersOnTheCommandLine(t *testing.T) {
	data, dir := closedJournal(t), t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, content)
		return path
	}
	kept, err := os.ReadFile(filepath.Join(data, "checkpoints"))
	if err != nil {
		t.Fatal(err)
	}
	checkpoints := file("kept", kept)
	records := signetOut(t, "tail", "--data", data, "--from", "1", "--json")
	lines := bytes.SplitAfter(records, []byte("\n"))
	good := file("good.jsonl", records)
	cut := file("cut.jsonl", bytes.Join(lines[:5], nil))
	bundle := file("bundle.zip", signetOut(t, "export", "--data", data))
	jwks := file("keys.json", signetOut(t, "keys", "export", "--data", data))
	others := file("others.json", receipts.JWKS(receipts.ChainKey{PublicKey: newEvidence(9).public()}))
	for _, tt := range []struct {
		args []string
		exit int
		says string // in the answer as JSON
	}{
		{[]string{good}, 0, `"verified":true`},
		{[]string{cut}, 0, `"verified":true`},
		{[]string{"--checkpoints", checkpoints, good}, 0, `"verified":true`},
		{[]string{"--checkpoints", checkpoints, cut}, 1, `"seq":6,"cause":"truncation"`},
		{[]string{"--checkpoints", checkpoints, "--jwks", jwks, bundle}, 0, `"verified":true`},
		{[]string{"--jwks", others, bundle}, 1, `"verified":false`},
		{[]string{"--jwks", others, "--jwks", jwks, bundle}, 0, `"pinned":true`},
		{[]string{"--jwks", jwks, "--jwks", good, bundle}, 2, ""},
		{[]string{"--checkpoints", jwks, bundle}, 2, ""},
		{[]string{file("empty", nil)}, 2, ""},
		{[]string{filepath.Join(dir, "nowhere")}, 2, ""},
		{nil, 2, ""},
	} {
		first := signet(t, append([]string{"verify", "--json"}, tt.args...)...)
		second := testkit.PythonFile(t, "python3-cryptography", "cryptography", "../../docs/verify/signet_verify.py", append([]string{"--json"}, tt.args...)...)
		said := strings.NewReplacer(`": `, `":`, `, "`, `,"`).Replace(second.Stdout)
		if !strings.HasSuffix(first, fmt.Sprintf("exit status %d\n", tt.exit)) || second.ExitCode != tt.exit ||
			!strings.Contains(first, tt.says) || !strings.Contains(said, tt.says) {
			t.Errorf("%v\nfirst: %s\nsecond: %s%s", tt.args, first, second.Stdout, second.Stderr)
		}
	}
}
