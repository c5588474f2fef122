package collector_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts/bundle"
	"github.com/signet-egress/signet/receipts/logproof"
)

// prune removes the first records of a chain, up to a seq, once the log has all that
// are stored.
func (w *world) prune(c *chains.Chain, upTo int64) {
	w.t.Helper()
	ctx := w.t.Context()
	known, err := w.store.Chain(ctx, c.Tenant, c.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	sequencer := merkle.NewSequencer(w.store, merkle.NewSigner("collector.example", w.key), metrics.NewCollector("v0.0.0-test"), slog.New(slog.DiscardHandler))
	if err := sequencer.Await(ctx, c.Tenant, c.ID, known.Head.Seq); err != nil {
		w.t.Fatal(err)
	}
	now := time.Now()
	p := store.Prune{Chain: c.ID, Before: now.Add(time.Hour), Months: 1, At: now, Limit: int(upTo - known.Pruned)}
	if gone, err := cluster.Owner(w.t, w.store).Prune(ctx, c.Tenant, p); err != nil || gone.Last != upTo {
		w.t.Fatalf("pruned up to seq %d, %v; want %d", gone.Last, err, upTo)
	}
}

// changed are the lines of a chain's records, of which one is another that its key has
// signed.
func changed(t *testing.T, c *chains.Chain, n int) [][]byte {
	t.Helper()
	fork := c.Fork(n - 1)
	fork.Exchanges(len(c.Lines) - n + 1)
	return fork.Lines
}

// Records that are removed hold nobody up: ingest goes on, on the stream that is open
// and on those to come, be what the verifier knew stored or not, and what a sidecar
// sends again is held against the log.
func TestIngestAfterPruning(t *testing.T) { onEach(t, testIngestAfterPruning) }

func testIngestAfterPruning(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(19)
	c.ChangeKey()
	c.Exchanges(19) // 40
	s := w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)
	w.prune(c, 30)

	c.Exchanges(5)
	s.acked(c.Head(), c.Lines[40:]...)   // the stream goes on
	s.acked(c.Head(), c.Lines...)        // all again
	s.acked(c.Head(), c.Lines[10:20]...) // removed ones alone
	s.acked(c.Head(), c.Lines[0])        // one
	s.acked(c.Head(), c.Lines[25:35]...) // some of both
	s.refused(api.Refusal_INVALID, c.Lines[10], []byte("no record"))
	s.beat(c.Heartbeat(time.Now()), 0) // at the head
	s.end()                            // which has the verifier stored
	s = w.open(cert, c.ID)             // it resumes
	c.Exchanges(5)
	s.acked(c.Head(), c.Lines[45:]...)
	s.end()

	// What the verifier knew is older than what is left, cannot be read, or is not there.
	w.prune(c, 50)
	for _, state := range []string{"", "what is no state"} {
		if err := w.store.SaveVerifier(t.Context(), "acme", c.ID, c.Head().Chain.Seq, []byte(state)); err != nil {
			t.Fatal(err)
		}
		c.Exchanges(5)
		s = w.open(cert, c.ID)
		s.acked(c.Head(), c.Lines[len(c.Lines)-5:]...)
		c.ChangeKey()
		s.acked(c.Head(), c.Lines[len(c.Lines)-1])
		s.cancel() // so that nothing is stored of the verifier
	}
	w.wantAlarms()

	// Another history of what is removed is a fork all the same.
	s = w.open(cert, c.ID)
	known, err := w.store.Chain(t.Context(), "acme", c.ID)
	if err != nil {
		t.Fatal(err)
	}
	other := changed(t, c, len(c.Lines)) // one other record at the end, which is stored
	s.refused(api.Refusal_FORK, other[len(other)-1])
	w.prune(c, known.Head.Seq) // the whole chain
	s.acked(c.Head(), c.Lines...)
	s.beat(c.Heartbeat(time.Now()), 0)
	if refusal := s.refused(api.Refusal_FORK, other...); !strings.Contains(refusal.GetMessage(), "removed since") {
		t.Errorf("got %v", refusal)
	}
	w.wantAlarms(store.AlarmFork)
	forks, err := w.store.Forks(t.Context(), "acme", c.ID)
	if err != nil || len(forks) != 1 { // the record is the same one
		t.Errorf("%d forks, %v", len(forks), err)
	}
	c.Exchanges(1)
	s.acked(c.Head(), c.Lines[len(c.Lines)-1])
}

// A sidecar whose disk was put back to before what is left cannot go on; one that was
// put back to what is left can.
func TestRecoveryAfterPruning(t *testing.T) { onEach(t, testRecoveryAfterPruning) }

func testRecoveryAfterPruning(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(29)
	s := w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)
	w.prune(c, 20)
	early := c.Recover(15, c.Head().Chain.Seq)
	if refusal := s.refused(api.Refusal_INVALID, early.Lines[15:]...); !strings.Contains(refusal.GetMessage(), "begin a new journal") {
		t.Errorf("got %v", refusal)
	}
	back := c.Recover(25, c.Head().Chain.Seq)
	back.Exchanges(4)
	s.acked(back.Head(), back.Lines[25:]...)
	// Up to within what was given up, and over it.
	w.prune(c, 28)
	s.end()
	if err := w.store.SaveVerifier(t.Context(), "acme", c.ID, back.Head().Chain.Seq+1, []byte("of a stream that has got further")); err != nil { // no stream has got so far
		t.Fatal(err)
	}
	s = w.open(cert, c.ID)
	back.Exchanges(1)
	s.acked(back.Head(), back.Lines[len(back.Lines)-1])
}

// What stays provable of removed records, and what is said of them.
func TestWhatStaysOfRemovedRecords(t *testing.T) { onEach(t, testWhatStaysOfRemovedRecords) }

func testWhatStaysOfRemovedRecords(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now().Add(-48*time.Hour))
	c.Step = time.Hour
	cert := w.enrol(c)
	c.Exchanges(9)
	c.ChangeKey()
	c.Exchanges(29) // 40, an hour apart
	s := w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)
	s.end()
	token := w.token("acme", store.ScopeReceiptsRead, store.ScopeExport)
	ask := func(path string, want int) string {
		t.Helper()
		status, body := w.ask(http.MethodGet, path, token, "")
		if status != want {
			t.Errorf("GET %s: %d %s; want %d", path, status, body, want)
		}
		return body
	}
	removed := c.ReceiptAt(6)
	ask("/v1/receipts/"+removed.ReceiptID, http.StatusOK) // it may be cached now
	usage := fmt.Sprintf("/v1/usage?from=%s&to=%s", c.Now.AddDate(0, 0, -5).Format(time.DateOnly), c.Now.AddDate(0, 0, 5).Format(time.DateOnly))
	var before, after struct{ Total, Stored map[string]int64 }
	decode(t, ask(usage, http.StatusOK), &before)
	w.prune(c, 20)
	decode(t, ask(usage, http.StatusOK), &after)
	if fmt.Sprint(before.Total) != fmt.Sprint(after.Total) || after.Stored["bytes"] >= before.Stored["bytes"] {
		t.Errorf("usage was %v, and is %v", before, after)
	}

	// The log proves the records that an auditor holds.
	var proof struct {
		Hash       string `json:"receipt_hash"`
		Index      int64
		Proof      []string
		Checkpoint string
	}
	for _, seq := range []int{1, 6, 20, 21} {
		proof.Hash = ""
		decode(t, ask(fmt.Sprintf("/v1/log/inclusion?chain=%s&seq=%d", c.ID, seq), http.StatusOK), &proof)
		held := headOf(t, c.Lines[seq-1])
		tree, err := logproof.OpenCheckpoint([]byte(proof.Checkpoint), strings.TrimSpace(ask("/v1/log/key", http.StatusOK)))
		if err != nil {
			t.Fatal(err)
		}
		if err := logproof.Included(tree, proof.Index, proof.Proof, held.ReceiptHash); err != nil || (proof.Hash == "") != (seq <= 20) {
			t.Errorf("seq %d: %+v, %v", seq, proof, err)
		}
	}
	if body := ask("/v1/chains/"+c.ID, http.StatusOK); !strings.Contains(body, `"removed_seq":20`) || strings.Count(body, `"x":`) != 2 {
		t.Errorf("the chain: %s", body)
	}
	if body := ask("/v1/chains/"+c.ID+"/records", http.StatusOK); !strings.Contains(body, `"removed_seq":20`) || !strings.Contains(body, `"seq":21`) {
		t.Errorf("its records: %s", body)
	}
	ask("/v1/log/entries", http.StatusOK)

	// Exports begin where the records do, or say why they cannot.
	export := func(from time.Time, chain string) (int, string) {
		return w.ask(http.MethodPost, "/v1/exports", token, fmt.Sprintf(`{"from": %q, "to": %q%s}`, from.UTC().Format(time.RFC3339), c.Now.Add(time.Hour).UTC().Format(time.RFC3339), chain))
	}
	last := headOf(t, c.Lines[19]).TS
	for what, chain := range map[string]string{"of the chain": `, "chain": "` + c.ID + `"`, "of all": ""} {
		if status, body := export(last, chain); status != http.StatusGone || !strings.Contains(body, "were removed") || !strings.Contains(body, `"parameter":"from"`) {
			t.Errorf("an export %s that is partly gone: %d %s", what, status, body)
		}
	}
	status, file := export(last.Add(time.Second), `, "chain": "`+c.ID+`"`)
	if status != http.StatusOK {
		t.Fatalf("an export of what is left: %d %s", status, file)
	}
	b, err := bundle.Open(strings.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Verify(nil, func(int) {}); err != nil || b.Manifest().First.Seq != 21 || b.Manifest().Last.Seq != 40 {
		t.Errorf("the bundle has %+v, %v", b.Manifest(), err)
	}
}

func decode(t *testing.T, body string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
}
