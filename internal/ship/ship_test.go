package ship_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/ship"
	"github.com/signet-egress/signet/receipts/journal"
)

// A sidecar's life: it enrols, ships while it writes, survives a collector that
// goes and comes back, and has its clean stop taken too.
func TestChainsAreShippedWhole(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	j := openJournal(t, dir)
	w := newWatcher()
	o := s.options(dir, j)
	o.Observer = w
	shipper := ship.New(o)
	stop := run(t, shipper)
	write(t, j, 5)
	w.until(t, "a collector that is not there", func() bool { return w.failed["unreachable"] > 0 })

	s.up()
	w.until(t, "the ack of what was written before", func() bool { return w.acked == j.Head().Seq })
	write(t, j, 1100) // more than a batch
	w.until(t, "the ack of what was written since", func() bool { return w.acked == j.Head().Seq })
	s.down()
	write(t, j, 10)
	s.up()
	w.until(t, "the ack after a restart", func() bool { return w.acked == j.Head().Seq })
	if got := j.Acked(); got.Seq != j.Head().Seq || got.Hash != j.Head().Hash {
		t.Errorf("the journal has the ack of seq %d, and ends at %d", got.Seq, j.Head().Seq)
	}

	stop()
	chain := j.Head().Chain
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	drain(t, shipper, dir)
	kept, err := s.store.Chain(t.Context(), tenant, chain)
	if err != nil {
		t.Fatal(err)
	}
	if !kept.CleanStop || kept.Agent != "billing-agent" || kept.Head.Seq != w.acked {
		t.Errorf("the collector has %+v; the newest ack is of seq %d", kept, w.acked)
	}
	j = openJournal(t, dir) // which is held against the ack
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A sidecar whose tenant may keep no more at the collector waits as long as it is
// told, says why, keeps its records, and goes on when there is room.
func TestQuotaIsWaitedFor(t *testing.T) {
	s := newSite(t)
	s.up()
	dir := t.TempDir()
	j := openJournal(t, dir)
	defer func() { _ = j.Close(t.Context()) }()
	quota := func(bytes int64) {
		t.Helper()
		if err := s.store.SetQuota(t.Context(), tenant, bytes); err != nil {
			t.Fatal(err)
		}
	}
	quota(1)
	write(t, j, 5)
	w := newWatcher()
	o := s.options(dir, j)
	o.Observer = w
	shipper := ship.New(o)
	pauses, resume := make(chan time.Duration), make(chan struct{})
	shipper.OnPause(func(ctx context.Context, d time.Duration) {
		select {
		case pauses <- d:
		case <-ctx.Done():
			return
		}
		select {
		case <-resume:
		case <-ctx.Done():
		}
	})
	run(t, shipper)
	for range 2 {
		if d := <-pauses; d < time.Minute || d > 90*time.Second {
			t.Errorf("the sidecar waits for %s", d)
		}
		if why := shipper.Waiting(); !strings.Contains(why, "QUOTA") || !strings.Contains(why, "may keep 1 bytes") {
			t.Errorf("the sidecar says that it waits since %q", why)
		}
		resume <- struct{}{}
	}
	<-pauses
	if w.failed["quota"] != 3 || w.acked != 0 {
		t.Errorf("failures %v, acknowledged %d", w.failed, w.acked)
	}
	quota(0)
	resume <- struct{}{}
	w.until(t, "the ack of what waited", func() bool { return w.acked == j.Head().Seq })
	if why := shipper.Waiting(); why != "" {
		t.Errorf("the sidecar says that it waits since %q", why)
	}
}

// The collector can have acknowledged more than the sidecar, which was stopped
// then, has heard: draining takes that in, although the journal is closed.
func TestDrainHearsOfOlderAcks(t *testing.T) {
	s := newSite(t)
	s.up()
	dir := t.TempDir()
	j := openJournal(t, dir)
	s.shipAll(dir, j)
	if err := errors.Join(j.Close(t.Context()), os.Remove(filepath.Join(dir, "ack.json"))); err != nil {
		t.Fatal(err)
	}

	j = openJournal(t, dir)
	chain := j.Head().Chain
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	drain(t, ship.New(s.options(dir, j)), dir)
	if kept, err := s.store.Chain(t.Context(), tenant, chain); err != nil || !kept.CleanStop {
		t.Errorf("the collector has %+v, %v", kept, err)
	}
}

func drain(t *testing.T, s *ship.Shipper, dir string) {
	t.Helper()
	rest, err := journal.OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Drain(t.Context(), rest, func(document []byte) error { return journal.SetAckedStopped(dir, document) })
	if err := errors.Join(err, rest.Close()); err != nil {
		t.Fatal(err)
	}
}

// A journal that was put back to an older state shows as soon as a collector says
// what it has, and denies egress.
func TestRollbackIsFound(t *testing.T) {
	s := newSite(t)
	s.up()
	dir, old := t.TempDir(), t.TempDir()
	j := openJournal(t, dir)
	write(t, j, 3)
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	j = openJournal(t, dir)
	write(t, j, 5)
	s.shipAll(dir, j)
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	if err := os.Chmod(filepath.Join(old, "journal.db"), 0o600); err != nil {
		t.Fatal(err)
	}
	j = openJournal(t, old)
	w := newWatcher()
	o := s.options(old, j)
	o.Observer = w
	run(t, ship.New(o))
	w.until(t, "the rollback", func() bool { return w.failed["rollback"] > 0 })
	if j.Err() == nil {
		t.Error("egress is not denied")
	}
	_ = j.Close(t.Context()) // it says what is wrong with the journal
}

// Nothing is shipped to who cannot prove to be the collector, nor without a token
// that may enrol, nor for another tenant.
func TestWhoIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*ship.Options)
		reason string
	}{
		"another authority": {func(o *ship.Options) { o.Roots = x509.NewCertPool() }, "unreachable"},
		"another name":      {func(o *ship.Options) { o.Address = "localhost" + o.Address[len("127.0.0.1"):] }, "unreachable"},
		"unknown token":     {func(o *ship.Options) { o.Token = func() ([]byte, error) { return []byte("nobody"), nil } }, "credential"},
		"another scope":     {func(o *ship.Options) { o.Token = func() ([]byte, error) { return []byte("reader"), nil } }, "credential"},
		"another tenant":    {func(o *ship.Options) { o.Tenant = "other" }, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.token("reader", store.ScopeReceiptsRead)
			s.up()
			dir := t.TempDir()
			j := openJournal(t, dir)
			defer func() { _ = j.Close(t.Context()) }()
			w := newWatcher()
			o := s.options(dir, j)
			test.change(&o)
			o.Observer = w
			stop := run(t, ship.New(o))
			w.until(t, "the refusal", func() bool { return w.failed[test.reason] > 0 })
			stop()
			if _, err := s.store.Record(t.Context(), tenant, j.Head().Chain, 1); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the collector has a record: %v", err)
			}
			if w.acked > 0 || j.Acked().Seq > 0 {
				t.Errorf("records up to %d were acknowledged", w.acked)
			}
		})
	}
}

// A certificate is replaced when its time has come, and again by enrolment where
// the collector no longer takes it.
func TestCredentialsAreRenewed(t *testing.T) {
	s := newSite(t)
	s.up()
	dir := t.TempDir()
	j := openJournal(t, dir)
	defer func() { _ = j.Close(t.Context()) }()
	ships := func() {
		t.Helper()
		w := newWatcher()
		o := s.options(dir, j)
		o.Observer = w
		stop := run(t, ship.New(o))
		write(t, j, 1)
		w.until(t, "the ack", func() bool { return w.acked == j.Head().Seq })
		stop()
	}
	issued := func() int {
		t.Helper()
		certs, err := s.store.Certificates(t.Context(), tenant, j.Head().Chain)
		if err != nil {
			t.Fatal(err)
		}
		return len(certs)
	}
	ships()
	ships()
	if n := issued(); n != 1 {
		t.Errorf("%d certificates were issued while the first was good", n)
	}
	expire(t, dir, time.Now().Add(-time.Hour))
	ships()
	if n := issued(); n != 2 {
		t.Errorf("%d certificates were issued after the first was due", n)
	}
	expire(t, dir, time.Now().Add(-time.Hour))
	if err := s.store.RevokeCertificates(t.Context(), tenant, j.Head().Chain, time.Now()); err != nil {
		t.Fatal(err)
	}
	ships()
	if n := issued(); n != 3 {
		t.Errorf("%d certificates were issued after the second was revoked", n)
	}
}

// A stream that is open does not keep a certificate in use that is due, or that
// the collector has revoked.
func TestOpenStreamsRenew(t *testing.T) {
	for name, end := range map[string]func(s *site, dir, chain string) error{
		"due": func(_ *site, dir, _ string) error {
			expire(t, dir, time.Now().Add(500*time.Millisecond))
			return nil
		},
		"revoked": func(s *site, _, chain string) error {
			return s.store.RevokeCertificates(t.Context(), tenant, chain, time.Now())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.up()
			dir := t.TempDir()
			j := openJournal(t, dir)
			defer func() { _ = j.Close(t.Context()) }()
			w := newWatcher()
			o := s.options(dir, j)
			o.Observer = w
			ships := func() {
				t.Helper()
				write(t, j, 1)
				w.until(t, "the ack", func() bool { return w.acked == j.Head().Seq })
			}
			stop := run(t, ship.New(o))
			ships()
			if name == "due" { // which is known when a stream opens
				stop()
			}
			if err := end(s, dir, j.Head().Chain); err != nil {
				t.Fatal(err)
			}
			if name == "due" {
				run(t, ship.New(o))
			}
			ships()
			w.until(t, "another certificate", func() bool {
				certs, err := s.store.Certificates(t.Context(), tenant, j.Head().Chain)
				return err == nil && len(certs) == 2
			})
			ships()
		})
	}
}

// expire sets when the kept credential is due.
func expire(t *testing.T, dir string, due time.Time) {
	t.Helper()
	path := filepath.Join(dir, "collector.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	c["renew_after"] = due
	if text, err = json.Marshal(c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A chain whose key has changed before any collector knew it enrols, and is
// shipped; so is what a sidecar that never reached one has left when it stops.
func TestKeysChangeBeforeEnrolment(t *testing.T) {
	s := newSite(t)
	s.up()
	dir := t.TempDir()
	j := openJournal(t, dir)
	write(t, j, 3)
	if _, err := j.RotateKey(ed25519.NewKeyFromSeed([]byte("another key, of thirty-two bytes"))); err != nil {
		t.Fatal(err)
	}
	write(t, j, 3)
	s.shipAll(dir, j)
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	late := t.TempDir()
	j = openJournal(t, late)
	write(t, j, 3)
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	drain(t, ship.New(s.options(late, j)), late)
	if kept, err := s.store.Chain(t.Context(), tenant, j.Head().Chain); err != nil || !kept.CleanStop {
		t.Errorf("the collector has %+v, %v", kept, err)
	}
}
