package collector_test

import (
	"flag"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/internal/testkit/stores"
)

var (
	rateSeconds = flag.Int("collector.seconds", 1, "how long TestRate sends for")
	rateSenders = flag.Int("collector.sidecars", 8, "how many sidecars send in TestRate")
	rateBatch   = flag.Int("collector.batch", 250, "records in a batch of TestRate's")
	rateSQLite  = flag.Bool("collector.sqlite", false, "have TestRate measure SQLite instead of PostgreSQL")
	rateWanted  = flag.Int("collector.rate", 0, "records per second that TestRate must reach; 0: none")
)

// Records per second, verified and committed by PostgreSQL on this machine (with
// its usual durability, where a rate is wanted), from sidecars of one tenant that each
// have two batches under way. Where a rate is wanted they send at twice that, for
// the whole time; else as fast as they can. What they send is made before, since
// making it costs as much as verifying.
func TestRate(t *testing.T) {
	sidecars, size := *rateSenders, *rateBatch
	pg := &cluster
	if *rateWanted > 0 && !*rateSQLite && pg.Postgres != nil {
		durable, err := peers.StartPostgres(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = durable.Close() }) // behind the collector
		pg = &stores.Cluster{Postgres: durable}
	}
	var kept store.Store
	if *rateSQLite {
		kept = stores.SQLite(t)
	} else {
		kept = open(t, pg.Database(t))
	}
	w := start(t, kept)
	records := max(*rateWanted*2, 2500) * *rateSeconds
	senders := make([]*sender, sidecars)
	for i := range senders {
		senders[i] = newSender(w, records/sidecars, size)
	}
	var every time.Duration
	if *rateWanted > 0 {
		every = time.Second * time.Duration(size*sidecars) / time.Duration(*rateWanted*2)
	}
	begin := time.Now()
	end := begin.Add(time.Duration(*rateSeconds) * time.Second)
	var group sync.WaitGroup
	for _, s := range senders {
		group.Go(func() { s.run(t, end, every) })
	}
	group.Wait()
	took := time.Since(begin)
	acked, answers := 0, []time.Duration(nil)
	for _, s := range senders {
		acked += s.acked
		answers = append(answers, s.answers...)
	}
	slices.Sort(answers)
	rate := int(float64(acked) / took.Seconds())
	t.Logf("%d records of %d sidecars in %s: %d a second; a batch of %d is acknowledged after %s (median), %s (p99)",
		acked, sidecars, took.Round(time.Millisecond), rate, size, answers[len(answers)/2], answers[len(answers)*99/100])
	if rate < *rateWanted {
		t.Errorf("%d records a second; want %d", rate, *rateWanted)
	}
}

// sender is a sidecar with a stock of batches.
type sender struct {
	stream  *stream
	batches []*api.ShipRequest
	size    int
	acked   int
	answers []time.Duration
}

func newSender(w *world, records, size int) *sender {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(records)
	s := &sender{stream: w.open(cert, c.ID), size: size}
	for lines := range slices.Chunk(c.Lines, size) {
		if len(lines) == size {
			s.batches = append(s.batches, batch(lines...))
		}
	}
	return s
}

// run sends a batch at most every so often.
func (s *sender) run(t *testing.T, end time.Time, every time.Duration) {
	const underWay = 2
	var sent []time.Time
	next := 0
	pace := time.NewTicker(max(every, 1))
	defer pace.Stop()
	for {
		for len(sent) < underWay && next < len(s.batches) && time.Now().Before(end) {
			<-pace.C
			if err := s.stream.Send(s.batches[next]); err != nil {
				t.Error(err)
				return
			}
			sent = append(sent, time.Now())
			next++
		}
		if len(sent) == 0 {
			return
		}
		response, err := s.stream.Recv()
		if err != nil || response.GetAck() == nil {
			t.Errorf("got %v, %v; want an ack", response, err)
			return
		}
		s.answers = append(s.answers, time.Since(sent[0]))
		sent = sent[1:]
		s.acked += s.size
	}
}
