package journal

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var states = flag.Int("journal.states", 150, "how many crash states of the write log are opened; 0 for all")

const writeLogEnv = "SIGNET_TEST_WRITE_LOG"

func writeLogDir() string { return os.Getenv(writeLogEnv) }

// writeLogScenario is the child of TestWriteLog: exchanges, sealing, pruning, an
// acknowledgement, a checkpoint, an exchange that stays open. It says on stdout what has been
// acknowledged: "F id seq" for a receipt.
func writeLogScenario(dir string) {
	must := func(err error) {
		if err != nil {
			fmt.Println("E", err)
			os.Exit(1)
		}
	}
	o := options(dir)
	o.Limits = Limits{RetentionSize: 1, Shipped: true}
	j, err := Open(context.Background(), o)
	must(err)
	do := func(n int) {
		for i := range n {
			r := draft(fmt.Sprintf("trace-%d", i%2))
			must(j.Begin(r, ""))
			must(j.Finish(forward(r)).Wait())
			fmt.Println("F", r.ReceiptID, r.Chain.Seq)
		}
	}
	do(3)
	must(j.Seal(context.Background()))
	do(3)
	first := j.archive.list()[0]
	must(j.SetAcked(context.Background(), ackOf(j.Head().Chain, first.Last, first.Hash)))
	must(j.Begin(draft("open"), ""))
	must(j.Seal(context.Background())) // and prunes the first file
	do(2)
	must(j.Close(context.Background()))
}

// TestWriteLog records every write, sync and change of a name that the journal
// asks the system for, in order, and then opens what a power cut may leave after
// each of them: what was synced, and of the rest nothing, all, or any part.
// Whatever is left, it opens, it verifies, and it has every receipt that was
// acknowledged by then.
func TestWriteLog(t *testing.T) {
	log := recordWriteLog(t)
	seed := rand.Uint64()
	t.Logf("%d operations, seed %d", len(log), seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	total := 0
	replay(log, rng, func(int, *crashState) { total++ })
	checked := 0
	replay(log, rng, func(i int, s *crashState) {
		if *states > 0 && rng.IntN(total) >= *states || t.Failed() {
			return
		}
		checked++
		if s.check(t); t.Failed() {
			t.Errorf("after operation %d of %d: %s (%s)", i, len(log), &log[i], s.how)
		}
	})
	t.Logf("%d of %d crash states opened and verified", checked, total)
}

// replay calls fn with every crash state, after each operation.
func replay(log []call, rng *rand.Rand, fn func(i int, s *crashState)) {
	d := newDisk()
	for i := range log {
		d.apply(&log[i])
		d.crashes(rng, func(s *crashState) { fn(i, s) })
	}
}

// call is one system call on the data directory.
type call struct {
	name     string
	path, to string // names in the directory
	data     []byte
	off      int64
	trunc    bool
}

func (c *call) String() string {
	return fmt.Sprintf("%s %s %s, %d bytes at %d", c.name, c.path, c.to, len(c.data), c.off)
}

// recordWriteLog runs the scenario under strace(1).
func recordWriteLog(t *testing.T) []call {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("the write log is recorded with strace, which is not installed")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, traces := t.TempDir(), t.TempDir()
	cmd := exec.CommandContext(t.Context(), strace, "-ff", "-ttt", "-y", "-xx", "-s", "4194304", "-o", filepath.Join(traces, "t"),
		"-e", "trace=openat,write,pwrite64,fsync,fdatasync,fallocate,ftruncate,linkat,unlinkat,renameat,renameat2", exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), writeLogEnv+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		if bytes.Contains(out, []byte("ptrace")) {
			t.Skipf("the write log is recorded with strace, which may not trace here: %s", out)
		}
		t.Fatalf("%v: %s", err, out)
	}
	paths, err := filepath.Glob(filepath.Join(traces, "t.*"))
	if err != nil {
		t.Fatal(err)
	}
	type entry struct{ at, text string }
	var entries []entry
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			at, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			entries = append(entries, entry{at, unescape(text)})
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return strings.Compare(a.at, b.at) })
	var log []call
	for _, e := range entries {
		if c, ok := parseCall(e.text, dir); ok {
			log = append(log, c)
		}
	}
	if len(log) < 50 {
		t.Fatalf("only %d operations were recorded", len(log))
	}
	return log
}

var escape = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// unescape leaves the data of a string alone: it may hold anything, and is
// decoded by itself.
func unescape(text string) string {
	if strings.HasPrefix(text, "pwrite64(") || strings.HasPrefix(text, "write(") {
		head, rest, _ := strings.Cut(text, ", ")
		return decoded(head) + ", " + rest
	}
	return decoded(text)
}

func decoded(text string) string {
	return escape.ReplaceAllStringFunc(text, func(x string) string {
		n, _ := strconv.ParseUint(x[2:], 16, 8)
		return string([]byte{byte(n)})
	})
}

var callForm = regexp.MustCompile(`^(\w+)\((.*)\)\s+= (-?\d+)`)

// parseCall takes the calls that succeeded on files of dir, and what the child
// says.
func parseCall(text, dir string) (c call, ok bool) {
	m := callForm.FindStringSubmatch(text)
	if len(m) != 4 || strings.HasPrefix(m[3], "-") {
		return c, false
	}
	c.name = m[1]
	args := strings.Split(m[2], ", ")
	inDir := func(s string) (string, bool) {
		i := strings.Index(s, dir)
		if i < 0 {
			return "", false
		}
		s = strings.TrimRight(s[i+len(dir):], `>"`)
		return strings.TrimPrefix(s, "/"), true
	}
	last := func(i int) int64 {
		n, _ := strconv.ParseInt(args[len(args)-i], 10, 64)
		return n
	}
	switch c.name {
	case "write":
		if strings.HasPrefix(args[0], "1<") {
			c.name, c.data = "say", []byte(decoded(strings.Trim(args[1], `"`)))
			return c, true
		}
		c.off = -1
		fallthrough
	case "pwrite64":
		c.data = []byte(decoded(strings.Trim(args[1], `"`)))
		if c.name == "pwrite64" {
			c.off = last(1)
		}
	case "fallocate", "ftruncate":
		c.off = last(1)
		if c.name == "fallocate" {
			c.off += last(2)
		}
	case "openat":
		if !strings.Contains(m[2], "O_CREAT") && !strings.Contains(m[2], "O_TRUNC") {
			return c, false
		}
		c.path, ok = inDir(args[1])
		c.trunc = strings.Contains(m[2], "O_TRUNC")
		return c, ok
	case "linkat", "renameat", "renameat2":
		c.path, ok = inDir(args[1])
		c.to, _ = inDir(args[3])
		return c, ok
	case "unlinkat":
		c.path, ok = inDir(args[1])
		return c, ok
	}
	c.path, ok = inDir(args[0])
	return c, ok
}

// disk is a directory on a file system that keeps what was synced, and of the
// rest what it likes; only names change in order.
type disk struct {
	names   map[string]*inode // as the process sees them
	durable map[string]*inode
	pending []func(map[string]*inode)
	said    []string
}

type inode struct {
	size    int64 // as the process sees it
	durable []byte
	pending []func([]byte, int) []byte // int: how many bytes of the write come through, -1 for all
}

func newDisk() *disk { return &disk{names: map[string]*inode{}, durable: map[string]*inode{}} }

func (d *disk) apply(c *call) {
	switch c.name {
	case "say":
		d.said = append(d.said, strings.Split(strings.TrimSpace(string(c.data)), "\n")...)
	case "openat":
		n := d.names[c.path]
		if n == nil {
			n = &inode{}
			d.rename(func(names map[string]*inode) { names[c.path] = n })
		}
		if c.trunc {
			n.change(0, func([]byte, int) []byte { return nil })
		}
	case "linkat":
		n := d.names[c.path]
		d.rename(func(names map[string]*inode) { names[c.to] = n })
	case "renameat", "renameat2":
		n := d.names[c.path]
		d.rename(func(names map[string]*inode) { delete(names, c.path); names[c.to] = n })
	case "unlinkat":
		d.rename(func(names map[string]*inode) { delete(names, c.path) })
	case "fsync", "fdatasync":
		if c.path == "" {
			d.durable, d.pending = maps.Clone(d.names), nil
		} else if n := d.names[c.path]; n != nil {
			n.durable, n.pending = n.with(func(int) int { return -1 }), nil
		}
	case "fallocate", "ftruncate":
		size := c.off
		grow := c.name == "fallocate"
		n := d.names[c.path]
		n.change(size, func(b []byte, _ int) []byte { return resize(b, size, grow) })
	default: // write, pwrite64
		n := d.names[c.path]
		if n == nil {
			return // a name that is gone
		}
		off, data := c.off, c.data
		if off < 0 {
			off = n.size
		}
		n.change(max(n.size, off+int64(len(data))), func(b []byte, part int) []byte {
			if part < 0 || part > len(data) {
				part = len(data)
			}
			b = resize(b, off+int64(part), true)
			copy(b[off:], data[:part])
			return b
		})
	}
}

func resize(b []byte, size int64, grow bool) []byte {
	if int64(len(b)) >= size {
		if grow {
			return b
		}
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

func (n *inode) change(size int64, f func([]byte, int) []byte) {
	n.size = size
	n.pending = append(n.pending, f)
}

// with is the content where part of each pending change has come through: how
// many bytes, -1 for all, and 0 for none of it.
func (n *inode) with(part func(i int) int) []byte {
	b := slices.Clone(n.durable)
	for i, f := range n.pending {
		if p := part(i); p != 0 {
			b = f(b, p)
		}
	}
	return b
}

func (d *disk) rename(f func(map[string]*inode)) {
	f(d.names)
	d.pending = append(d.pending, f)
}

// crashState is what a power cut leaves.
type crashState struct {
	names map[string]*inode
	part  func(int) int
	said  []string
	how   string
}

// crashes are the states of a crash now: of the names the synced ones or all, of
// the writes none, all, and some twice.
func (d *disk) crashes(rng *rand.Rand, fn func(*crashState)) {
	unsynced := len(d.pending)
	for _, n := range d.names {
		unsynced += len(n.pending)
	}
	ways := map[string]func(int) int{"nothing that was not synced": func(int) int { return 0 }}
	if unsynced > 0 {
		ways["all writes"] = func(int) int { return -1 }
		for i := range 2 {
			ways[fmt.Sprintf("some writes, %d", i)] = func(int) int { return []int{0, -1, 512}[rng.IntN(3)] }
		}
	}
	namings := [][]func(map[string]*inode){nil}
	if len(d.pending) > 0 {
		namings = append(namings, d.pending, d.pending[:len(d.pending)-1])
	}
	for _, how := range slices.Sorted(maps.Keys(ways)) {
		for _, changes := range namings {
			names := maps.Clone(d.durable)
			for _, f := range changes {
				f(names)
			}
			fn(&crashState{names: names, part: ways[how], said: d.said, how: fmt.Sprintf("%s, %d of %d names", how, len(changes), len(d.pending))})
		}
	}
}

func (s *crashState) check(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for name, n := range s.names {
		writeSparse(t, filepath.Join(dir, name), n.with(s.part))
	}
	wantAcknowledged(t, dir, s.said)
}

// wantAcknowledged opens what is left in a directory, which verifies, and has every
// receipt that was said to be acknowledged.
func wantAcknowledged(t *testing.T, dir string, all []string) {
	t.Helper()
	j, err := Open(t.Context(), options(dir)) // which prunes nothing more while it is read
	if err != nil {
		t.Errorf("it does not open: %v", err)
		return
	}
	defer closeJournal(t, j)
	wantFrom(t, j, j.First())
	if err := j.Seal(t.Context()); err != nil {
		t.Errorf("it does not seal: %v", err)
	}
	wantFrom(t, j, j.First())
	here := make(map[string]bool)
	if err := j.Range(t.Context(), 1, func(_ int64, line []byte) error {
		if i := bytes.Index(line, []byte(`"receipt_id":"`)); i >= 0 {
			here[string(line[i+14:i+14+36])] = true
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	for _, said := range all {
		var id string
		var seq int64
		if n, _ := fmt.Sscanf(said, "F %s %d", &id, &seq); n == 2 && seq >= j.First() && !here[id] {
			t.Errorf("the acknowledged receipt %s of seq %d is gone", id, seq)
		}
	}
}

// writeSparse writes pages that hold something.
func writeSparse(t *testing.T, path string, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zero := make([]byte, 4096)
	for off := 0; off < len(data); off += 4096 {
		page := data[off:min(off+4096, len(data))]
		if bytes.Equal(page, zero[:len(page)]) {
			continue
		}
		if _, err := f.WriteAt(page, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		t.Fatal(err)
	}
}
