package collector_test

import (
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
)

// A tenant that keeps as much as it may has its records wait at the sidecar, and
// taken when there is room again; nobody else is concerned.
func TestQuota(t *testing.T) { onEach(t, testQuota) }

func testQuota(t *testing.T, w *world) {
	c, other := chains.New("acme", "billing-agent", time.Now()), chains.New("beta", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(29)
	s := w.open(cert, c.ID)
	s.acked(headOf(t, c.Lines[9]), c.Lines[:10]...)
	stored, err := w.store.Stored(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	quota := func(bytes int64) {
		t.Helper()
		if err := w.store.SetQuota(t.Context(), "acme", bytes); err != nil {
			t.Fatal(err)
		}
	}
	quota(stored.Bytes + 10)

	for range 3 {
		refusal := s.refused(api.Refusal_QUOTA, c.Lines[10:20]...)
		if refusal.GetRetryAfterMs() != 60_000 || refusal.GetNextSeq() != 11 || !strings.Contains(refusal.GetMessage(), "may keep") {
			t.Errorf("got %v", refusal)
		}
	}
	s.acked(headOf(t, c.Lines[9]), c.Lines[:10]...) // what is stored is acknowledged again
	s.beat(c.Heartbeat(time.Now()), 0)
	w.wantAlarms(store.AlarmQuota)
	w.wantMetrics(`signet_ingest_refused_total{code="QUOTA"} 3`, `signet_alarms_total{kind="quota"} 1`)
	if n := strings.Count(w.log.String(), "code=QUOTA"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	o := w.open(w.enrol(other), other.ID)
	o.acked(other.Head(), other.Lines...)

	// The alarm is over with the next commit, and raised again by the next refusal.
	s.end()
	again := time.Now().Truncate(time.Millisecond)
	s = w.open(cert, c.ID)
	if known, err := w.store.Chain(t.Context(), "acme", c.ID); err != nil || known.LastSign.Before(again) {
		t.Errorf("a chain that waits was last heard of at %s, %v; want %s or later", known.LastSign, err, again)
	}
	s.refused(api.Refusal_QUOTA, c.Lines[10:20]...)
	s.end()
	quota(stored.Bytes + int64(len(text(c.Lines[10:20]))))
	s = w.open(cert, c.ID)
	s.acked(headOf(t, c.Lines[19]), c.Lines[10:20]...)
	w.wantAlarms()
	s.refused(api.Refusal_QUOTA, c.Lines[20:]...)
	w.wantAlarms(store.AlarmQuota)
	quota(0)
	s.acked(c.Head(), c.Lines[20:]...)
	w.wantAlarms()
	verifyStored(t, w.store, c)
}

// Sidecars of one tenant that come at once stop at its quota, and each of them
// goes on where it was stopped.
func TestQuotaOfMany(t *testing.T) { onEach(t, testQuotaOfMany) }

func testQuotaOfMany(t *testing.T, w *world) {
	const sidecars, batches, size = 4, 5, 10
	type answer struct {
		refused *api.Refusal
		acked   int // records
	}
	all, streams := make([]*chains.Chain, sidecars), make([]*stream, sidecars)
	var bytes int64
	for i := range all {
		all[i] = chains.New("acme", "billing-agent", time.Now())
		streams[i] = w.open(w.enrol(all[i]), all[i].ID)
		all[i].Exchanges(batches*size - 1)
		bytes += int64(len(text(all[i].Lines)) - len(all[i].Lines))
	}
	half := bytes / 2
	if err := w.store.SetQuota(t.Context(), "acme", half); err != nil {
		t.Fatal(err)
	}
	answers := make([]answer, sidecars)
	ship := func(i int) {
		a := &answers[i]
		for a.refused = nil; a.refused == nil && a.acked < batches*size; {
			lines := all[i].Lines[a.acked : a.acked+size]
			_ = streams[i].Send(batch(lines...)) // Recv says why
			response, err := streams[i].Recv()
			switch {
			case err != nil:
				t.Error(err)
				return
			case response.GetAck() != nil:
				a.acked += size
			default:
				a.refused = response.GetRefusal()
			}
		}
	}
	together := func() {
		done := make(chan struct{})
		for i := range all {
			go func() {
				ship(i)
				done <- struct{}{}
			}()
		}
		for range all {
			<-done
		}
	}
	together()
	refused := 0
	for i := range answers {
		if answers[i].refused.GetCode() == api.Refusal_QUOTA {
			refused++
		}
	}
	stored, err := w.store.Stored(t.Context(), "acme")
	if err != nil || stored.Bytes > half || stored.Bytes < half-size*2048 || refused == 0 {
		t.Errorf("%d of %d bytes are stored, %v; %d sidecars were refused", stored.Bytes, half, err, refused)
	}
	if err := w.store.SetQuota(t.Context(), "acme", 0); err != nil {
		t.Fatal(err)
	}
	together()
	for _, c := range all {
		verifyStored(t, w.store, c)
	}
	if stored, err := w.store.Stored(t.Context(), "acme"); err != nil || stored.Bytes != bytes {
		t.Errorf("%d bytes are counted, %v; want %d", stored.Bytes, err, bytes)
	}
}
