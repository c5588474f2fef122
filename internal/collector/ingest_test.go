package collector_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
)

// What a chain goes through: records in batches, again, with a hole, on a new
// stream, under a new key, contradicted.
func TestIngest(t *testing.T) { onEach(t, testIngest) }

func testIngest(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(30)
	s := w.open(cert, c.ID)
	if s.State.GetNextSeq() != 1 || s.State.GetAck() != nil {
		t.Fatalf("a chain without records is at %v", s.State)
	}
	s.acked(headOf(t, c.Lines[9]), c.Lines[:10]...)
	s.acked(headOf(t, c.Lines[9]), c.Lines[:10]...) // replayed
	s.acked(headOf(t, c.Lines[14]), c.Lines[5:15]...)
	if gap := s.ship(c.Lines[20:25]...).GetGap(); gap.GetNextSeq() != 16 {
		t.Fatalf("got %v, want a gap from seq 16", gap)
	}

	s = w.open(cert, c.ID)
	if s.State.GetNextSeq() != 16 {
		t.Fatalf("got %v, want to go on from seq 16", s.State)
	}
	w.wantAck(s.State.GetAck(), headOf(t, c.Lines[14]))
	c.ChangeKey()
	c.Exchanges(10)
	c.Stop()
	fork := c.Fork(len(c.Lines) - 3)
	s.acked(c.Head(), c.Lines[15:]...)

	fork.Exchanges(1)
	s.refused(api.Refusal_FORK, fork.Lines[len(fork.Lines)-1])
	forks, err := w.store.Forks(t.Context(), c.Tenant, c.ID)
	if err != nil || len(forks) != 1 || forks[0].Hash != fork.Head().ReceiptHash {
		t.Fatalf("the evidence of the fork is %v, %v", forks, err)
	}
	chain, err := w.store.Chain(t.Context(), c.Tenant, c.ID)
	if err != nil || !chain.CleanStop || chain.Head.Seq != int64(len(c.Lines)) {
		t.Fatalf("the chain is %+v, %v", chain, err)
	}
	verifyStored(t, w.store, c)
}

func headOf(t *testing.T, line []byte) receipts.Head {
	t.Helper()
	r, err := receipts.Decode(line)
	if err != nil {
		t.Fatal(err)
	}
	return *r.RecordHead()
}

// verifyStored verifies what the store has of a chain, to the last record.
func verifyStored(t *testing.T, kept store.Store, c *chains.Chain) {
	t.Helper()
	v := receipts.NewVerifier(nil)
	for next := int64(1); ; {
		records, err := kept.Range(t.Context(), c.Tenant, c.ID, next, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			if err := v.Add(records[i].Line); err != nil {
				t.Fatal(err)
			}
			next = records[i].Seq + 1
		}
		if len(records) == 0 {
			break
		}
	}
	result, err := v.Result()
	if err != nil || result.Last != c.Head().Chain.Seq || result.Head != c.Head().ReceiptHash {
		t.Fatalf("the store has seq 1 to %d (%s), %v; want %d (%s)", result.Last, result.Head, err, c.Head().Chain.Seq, c.Head().ReceiptHash)
	}
}

// Streams are open for weeks. A collector that stops does not wait for them: each
// ends behind what it is at, and its sidecar is told to go elsewhere.
func TestStop(t *testing.T) { onEach(t, testStop) }

func testStop(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	s := w.open(w.enrol(c), c.ID)
	c.Exchanges(3)
	s.acked(c.Head(), c.Lines...)
	w.stop()
	_, err := s.Recv()
	if got := status.Convert(err); got.Code() != codes.Unavailable || !strings.Contains(got.Message(), "this collector stops") {
		t.Errorf("the stream ends with %v", err)
	}
}
