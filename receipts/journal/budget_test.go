package journal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestDiskBudget fills the budget with sealed files: above the high-water mark
// the log says so, at the hard mark intents are refused and open ones finish, and
// when records are pruned the chain goes on without a gap.
func TestDiskBudget(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC).UnixNano())
	var log bytes.Buffer
	o := options(t.TempDir())
	o.Logger = slog.New(slog.NewTextHandler(&log, nil)) // written by the writer and the sealer, and read when they have ended
	o.hooks.clock = func() (time.Time, time.Duration) {
		n := now.Load()
		return time.Unix(0, n), time.Duration(n)
	}
	o.Limits = Limits{SealSize: 1 << 20, RetentionAge: time.Hour, HighWater: 14 << 20, HardMark: 16 << 20}
	j := open(t, o)
	held := begin(t, j, draft("held"))
	var err error
	for i := 1; err == nil; i++ {
		if i%16 == 0 { // the database's file does not shrink: it must not take the budget itself
			seal(t, j)
		}
		r := draft("t")
		r.SemanticViolations = []string{noise(24 << 10)}
		if err = j.Begin(r, ""); err == nil {
			finish(t, j, forward(r))
		}
	}
	wantUnavailable(t, err, true)
	if !strings.Contains(err.Error(), "budget") || !strings.Contains(err.Error(), "hard_mark") {
		t.Errorf("the error %q does not say what to do", err)
	}
	if used, high := j.DiskUse(); used > o.Limits.HardMark+o.Limits.SealSize || !high {
		t.Errorf("%d bytes are used, high: %t", used, high)
	}
	finish(t, j, forward(held))
	wantUnavailable(t, j.Begin(draft("t"), ""), true)
	last := j.Head()

	now.Add(int64(2 * time.Hour))
	seal(t, j)
	resumed(t, j)
	r := draft("t")
	finish(t, j, forward(begin(t, j, r)))
	if r.Chain.Seq != last.Seq+1 || r.Chain.Prev != last.Hash {
		t.Errorf("after record %d (%s) comes %+v", last.Seq, last.Hash, r.Chain)
	}
	wantFrom(t, j, j.archive.gone().Last+1)
	closeJournal(t, j)
	for _, part := range []string{"above the high-water mark", "below the high-water mark", "egress goes on"} {
		if n := strings.Count(log.String(), part); n != 1 {
			t.Errorf("the log says %q %d times:\n%s", part, n, &log)
		}
	}
	for _, part := range []string{"egress is denied", "records pruned"} { // by the mark and the disk; file by file
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log does not say %q:\n%s", part, &log)
		}
	}
}

// noise is text that hardly compresses.
func noise(n int) string {
	b := make([]byte, n*3/4)
	_, _ = rand.Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)
}
