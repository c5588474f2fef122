package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/checkpoint"
)

// watched is an Observer that hands out what checkpoints came to.
type watched struct {
	counter
	made chan int64 // seq, or 0 for a failure
}

func (w *watched) Checkpointed(seq int64, _ time.Duration, err error) {
	if err != nil {
		seq = 0
	}
	w.made <- seq
}

// checkpointed are options by which a head is signed after so many records.
func checkpointed(dir string, records int64) (Options, *watched) {
	o := options(dir)
	seen := &watched{made: make(chan int64, 1000)}
	o.Observer, o.CheckpointRecords, o.CheckpointInterval = seen, records, time.Hour
	return o, seen
}

func seqs(t *testing.T, dir string) (list []int64) {
	t.Helper()
	notes, err := ReadCheckpoints(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notes {
		list = append(list, n.Seq)
	}
	return list
}

func TestCheckpoints(t *testing.T) {
	dir := t.TempDir()
	o, seen := checkpointed(dir, 3)
	j := open(t, o)
	if j.Checkpoint() != nil {
		t.Error("a chain of one start has a checkpoint")
	}
	finish(t, j, draft("t")) // 3; with the genesis
	if seq := <-seen.made; seq != 3 {
		t.Errorf("a checkpoint at seq %d", seq)
	}
	if n := j.Checkpoint(); n.Seq != 3 || n.Hash != j.Head().Hash || n.Verify(j.Keys()) != nil {
		t.Errorf("the newest checkpoint is %+v", n.Checkpoint)
	}
	finish(t, j, draft("t"))
	finish(t, j, draft("t"))
	closeJournal(t, j) // and the stop, 6
	if got := seqs(t, dir); got[0] != 3 || got[len(got)-1] != 6 {
		t.Errorf("checkpoints at %v", got)
	}

	o, _ = checkpointed(dir, 1000)
	j = open(t, o)
	if n := j.Checkpoint(); n == nil || n.Seq != 6 {
		t.Errorf("after a restart the newest is %+v", n)
	}
	closeJournal(t, j)
	if got := seqs(t, dir); got[len(got)-1] != 8 {
		t.Errorf("checkpoints at %v", got)
	}
}

// TestCheckpointInterval signs what is new after a time, and nothing twice.
func TestCheckpointInterval(t *testing.T) {
	o, seen := checkpointed(t.TempDir(), 1000)
	o.CheckpointInterval = time.Millisecond
	j := open(t, o)
	for seq := <-seen.made; seq < j.Head().Seq; {
		seq = <-seen.made
	}
	finish(t, j, draft("t"))
	if seq := <-seen.made; seq != 3 {
		t.Errorf("a checkpoint at seq %d", seq)
	}
	closeJournal(t, j)
	close(seen.made)
	if rest := <-seen.made; rest != 4 { // of the stop
		t.Errorf("a checkpoint at seq %d", rest)
	}
}

// Each checkpoint of a chain that changes its key under load is signed by a key
// that signs there, and holds.
func TestCheckpointsUnderLoad(t *testing.T) {
	dir := t.TempDir()
	o, _ := checkpointed(dir, 5)
	j, key := keyed(t, dir, o)
	first := key.Key
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 30 {
				finish(t, j, draft("t"))
			}
		})
	}
	for range 3 {
		if _, err := key.Rotate(j, ""); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	closeJournal(t, j)

	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	verifyWith(t, r, first)
	notes, err := ReadCheckpoints(dir)
	if err != nil {
		t.Fatal(err)
	}
	a := checkpoint.NewAudit(notes)
	if err := r.Range(context.Background(), 1, func(seq int64, line []byte) error {
		rec, err := receipts.Decode(line)
		if err == nil {
			a.Record(seq, rec.RecordHead().ReceiptHash)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if report, err := a.Report(r.Head().Chain, r.Keys()); err != nil || report.Held != len(notes) || report.Newest.Seq != r.Head().Seq {
		t.Errorf("%+v of %d, %v", report, len(notes), err)
	}
}

// TestRolledBack opens states of the data directory in which the journal is not
// what its newest checkpoint shows.
func TestRolledBack(t *testing.T) {
	dir := t.TempDir()
	file, kept := filepath.Join(dir, fileName), filepath.Join(dir, checkpointsName)
	closeJournal(t, open(t, options(dir)))
	early, earlyKept := read(t, file), read(t, kept)
	j := open(t, options(dir))
	finish(t, j, draft("t"))
	closeJournal(t, j)
	lateKept := read(t, kept)

	replace(t, file, early)
	_, err := Open(context.Background(), options(dir))
	back, ok := errors.AsType[*RolledBackError](err)
	if !ok || back.Head.Seq != 3 || back.Known.Seq != 6 || !strings.Contains(err.Error(), "restore") {
		t.Errorf("an old journal: %v", err)
	}
	replace(t, kept, earlyKept)
	j = open(t, options(dir))
	finish(t, j, draft("another"))
	closeJournal(t, j) // a fork of the first
	replace(t, kept, lateKept)
	if _, err := Open(context.Background(), options(dir)); !errors.As(err, &back) {
		t.Errorf("a forked journal: %v", err)
	}

	other := t.TempDir()
	closeJournal(t, open(t, options(other)))
	damaged := slices.Clone(lateKept)
	damaged[len(damaged)-10] ^= 1
	for name, data := range map[string][]byte{
		"another chain's": read(t, filepath.Join(other, checkpointsName)), "damaged": damaged, "no notes": []byte("a\n\nb\n\n"),
	} {
		replace(t, kept, data)
		var bad *CheckpointError
		if _, err := Open(context.Background(), options(dir)); !errors.As(err, &bad) || !strings.Contains(err.Error(), kept) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, open(t, options(dir)))
	if got := seqs(t, dir); len(got) != 1 {
		t.Errorf("begun anew: %v", got)
	}
}

// TestCheckpointCut leaves every part of a last checkpoint, as a crash can.
func TestCheckpointCut(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, checkpointsName)
	closeJournal(t, open(t, options(dir)))
	first := read(t, kept)
	for _, left := range []int{1, 40, len(first) - 1} {
		replace(t, kept, slices.Concat(first, first[:left]))
		closeJournal(t, open(t, options(dir)))
		if got := seqs(t, dir); len(got) != 2 || got[0] != 3 {
			t.Fatalf("%d bytes left: checkpoints at %v", left, got)
		}
	}
}

// TestCheckpointFails cannot write the file; the journal goes on, and so do
// checkpoints when it can be written.
func TestCheckpointFails(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, checkpointsName)
	o, seen := checkpointed(dir, 1)
	j := open(t, o)
	for seq := <-seen.made; seq < 2; {
		seq = <-seen.made
	}
	if err := os.Rename(kept, kept+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	finish(t, j, draft("t"))
	if seq := <-seen.made; seq != 0 {
		t.Errorf("a checkpoint at %d in no file", seq)
	}
	if err := j.Err(); err != nil {
		t.Errorf("the journal is unavailable: %v", err)
	}
	if err := errors.Join(syscall.Rmdir(kept), os.Rename(kept+".away", kept)); err != nil {
		t.Fatal(err)
	}
	finish(t, j, draft("t"))
	if seq := <-seen.made; seq != 4 {
		t.Errorf("a checkpoint at seq %d", seq)
	}
	closeJournal(t, j)
	if got := seqs(t, dir); !slices.IsSorted(got) || got[len(got)-1] != 5 {
		t.Errorf("checkpoints at %v", got)
	}
}

// TestCheckpointsAreBounded thins a file that has grown long.
func TestCheckpointsAreBounded(t *testing.T) {
	p := &checkpointer{path: filepath.Join(t.TempDir(), checkpointsName)}
	head := checkpoint.Checkpoint{Chain: NewReceiptID(), Hash: anyDigest, TS: time.Now()}
	const many = 4000
	var data []byte
	for head.Seq = 1; head.Seq <= many; head.Seq++ {
		n, err := checkpoint.Sign(head, testKey)
		if err != nil {
			t.Fatal(err)
		}
		data = checkpoint.AppendFile(data, n)
	}
	replace(t, p.path, data)
	p.size = int64(len(data))
	n, err := checkpoint.Sign(head, testKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.write(n); err != nil {
		t.Fatal(err)
	}
	if got := seqs(t, filepath.Dir(p.path)); len(got) != many/2+1 || got[0] != many/2+1 || got[len(got)-1] != many+1 {
		t.Errorf("%d are left, from %d to %d", len(got), got[0], got[len(got)-1])
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
