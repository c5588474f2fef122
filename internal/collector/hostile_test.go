package collector_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/stores"
	"github.com/signet-egress/signet/receipts"
)

// What a sidecar may not send is refused with the reason, nothing of it is
// stored, it is logged once, and the stream goes on.
func TestHostileBatches(t *testing.T) { onEach(t, testHostileBatches) }

func testHostileBatches(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(9)
	good := slices.Clone(c.Lines)
	other := chains.New("acme", "billing-agent", time.Now())
	w.enrol(other)
	other.Exchanges(9)

	forged := c.Fork(5)
	forged.Key = other.Key // signed by another key, which its kid names
	forged.Exchanges(1)
	foreign := c.Fork(5)
	foreign.Tenant = "beta"
	foreign.Exchanges(1)
	swapped := slices.Clone(good[5:])
	swapped[1], swapped[2] = swapped[2], swapped[1]
	with := func(line []byte, old, other string) []byte { return bytes.Replace(line, []byte(old), []byte(other), 1) }

	s := w.open(cert, c.ID)
	s.acked(headOf(t, good[4]), good[:5]...)
	tests := map[string]struct {
		lines   []byte // as compressed
		code    api.Refusal_Code
		seq     int64
		records int64 // 0: 1
	}{
		"another chain":          {compress(text(other.Lines[:3])), api.Refusal_IDENTITY, 1, 3},
		"another tenant":         {compress(text(foreign.Lines[5:])), api.Refusal_IDENTITY, 6, int64(len(foreign.Lines) - 5)},
		"another key":            {compress(text(forged.Lines[5:])), api.Refusal_INVALID, 6, int64(len(forged.Lines) - 5)},
		"a changed member":       {compress(text([][]byte{with(good[5], `"count":1`, `"count":2`)})), api.Refusal_INVALID, 6, 0},
		"a changed detail":       {compress(text([][]byte{with(good[5], `"size":812`, `"size":813`)})), api.Refusal_INVALID, 6, 0},
		"a changed signature":    {compress(text([][]byte{with(good[5], `"signature":"`, `"signature":"A`)})), api.Refusal_INVALID, 0, 0},
		"a changed stored one":   {compress(text([][]byte{with(good[3], `"count":1`, `"count":2`)})), api.Refusal_INVALID, 4, 0},
		"order":                  {compress(text(swapped[1:])), api.Refusal_INVALID, 0, int64(len(swapped) - 1)},
		"an unknown member":      {compress(text([][]byte{with(good[5], `{`, `{"a":1,`)})), api.Refusal_INVALID, 0, 0},
		"a cut record":           {compress(append(bytes.Clone(good[5][:200]), '\n')), api.Refusal_INVALID, 0, 0},
		"no newline":             {compress(good[5]), api.Refusal_INVALID, 0, 0},
		"an empty line":          {compress([]byte("\n")), api.Refusal_INVALID, 0, 0},
		"no record":              {compress(nil), api.Refusal_INVALID, 0, 0},
		"nothing":                {nil, api.Refusal_INVALID, 0, 0},
		"no zstd":                {text(good[5:]), api.Refusal_INVALID, 0, 0},
		"two frames":             {bytes.Repeat(compress(text(good[5:])), 2), api.Refusal_INVALID, 0, int64(2 * len(good[5:]))},
		"fewer than it says":     {compress(text(good[5:])), api.Refusal_INVALID, 0, int64(len(good))},
		"half a frame":           {compress(text(good[5:]))[:100], api.Refusal_INVALID, 0, 0},
		"a gigabyte of zeros":    {bomb(), api.Refusal_TOO_LARGE, 0, 0},
		"too many records":       {compress(bytes.Repeat([]byte("{}\n"), 1001)), api.Refusal_TOO_LARGE, 0, 1001},
		"a line of megabytes":    {compress(append(bytes.Repeat([]byte("x"), 2<<20), '\n')), api.Refusal_TOO_LARGE, 0, 0},
		"half a million bracket": {compress(append(bytes.Repeat([]byte("["), 500_000), '\n')), api.Refusal_INVALID, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s.send(&api.ShipRequest{Message: &api.ShipRequest_Batch{Batch: &api.Batch{Lines: test.lines, Records: cmp.Or(test.records, 1)}}})
			response := s.receive()
			refusal := response.GetRefusal()
			if test.seq == 0 && name == "order" {
				if response.GetGap().GetNextSeq() != 6 {
					t.Fatalf("got %v, want to be asked for seq 6", response)
				}
				return
			}
			if refusal.GetCode() != test.code || refusal.GetSeq() != test.seq || refusal.GetNextSeq() != 6 || refusal.GetMessage() == "" {
				t.Errorf("got %v, want %s of seq %d", response, test.code, test.seq)
			}
		})
	}
	w.wantMetrics(`signet_ingest_refused_total{code="IDENTITY"} 2`, `signet_ingest_refused_total{code="INVALID"} 16`,
		`signet_ingest_refused_total{code="TOO_LARGE"} 3`, "signet_ingest_gaps_total 1", `signet_alarms_total{kind="invalid"} 1`)
	w.open(cert, c.ID).refused(api.Refusal_INVALID, []byte("{}")) // and comes back with it
	if logged := strings.Count(w.log.String(), "refused what a sidecar sent"); logged != 3 {
		t.Errorf("%d lines in the log, want one a kind of refusal:\n%s", logged, w.log.String())
	}
	chain, err := w.store.Chain(t.Context(), c.Tenant, c.ID)
	if err != nil || chain.Head.Seq != 5 {
		t.Fatalf("the chain ends at seq %d, %v", chain.Head.Seq, err)
	}
	s.acked(c.Head(), good[5:]...)
	verifyStored(t, w.store, c)
}

// wantMetrics wants lines in what Prometheus is told.
func (w *world) wantMetrics(lines ...string) {
	w.t.Helper()
	text := w.scrape()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			w.t.Errorf("/metrics lacks %s", line)
		}
	}
}

// bomb is a frame of some 40 kB that expands to a gigabyte.
func bomb() []byte {
	once := compress(make([]byte, 64<<20))
	return bytes.Repeat(once, 16) // frames one after the other are one stream
}

// Who has no certificate cannot have the collector hold a long message, of which it
// waits for the end.
func TestStrangersSendLittle(t *testing.T) {
	w := start(t, open(t, "sqlite:"+filepath.Join(t.TempDir(), "collector.db")))
	connection, err := grpc.NewClient(w.collector.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: w.authority.Pool(),
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	client := api.NewEnrolmentClient(connection)
	for size, code := range map[int]codes.Code{16 << 10: codes.InvalidArgument, 1 << 20: codes.Unavailable} {
		if _, err := client.Enroll(t.Context(), &api.EnrollRequest{Token: strings.Repeat("x", size)}); status.Code(err) != code {
			t.Errorf("a token of %d bytes: %v, want %s", size, err, code)
		}
	}
}

// A good record is stored up to the bad one behind it, which is named.
func TestGoodPrefix(t *testing.T) { onEach(t, testGoodPrefix) }

func testGoodPrefix(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	s := w.open(w.enrol(c), c.ID)
	c.Exchanges(9)
	spoiled := slices.Clone(c.Lines)
	spoiled[7] = bytes.Replace(spoiled[7], []byte(`"count":1`), []byte(`"count":2`), 1)
	refusal := s.refused(api.Refusal_INVALID, spoiled...)
	if refusal.GetSeq() != 8 || refusal.GetNextSeq() != 8 {
		t.Errorf("got %v, want seq 8 refused and the seven before it stored", refusal)
	}
	s.acked(c.Head(), c.Lines[7:]...)
	verifyStored(t, w.store, c)
}

// One tenant cannot take what the others need; what it may not send now, it may
// after a while that it is told.
func TestTenantRate(t *testing.T) {
	w := start(t, open(t, "sqlite:"+filepath.Join(t.TempDir(), "collector.db")))
	w.rate = 20
	w.serve()
	greedy, modest := chains.New("acme", "billing-agent", time.Now()), chains.New("beta", "billing-agent", time.Now())
	certs := []tls.Certificate{w.enrol(greedy), w.enrol(modest)}
	greedy.Exchanges(1200)
	s := w.open(certs[0], greedy.ID)
	s.acked(headOf(t, greedy.Lines[899]), greedy.Lines[:900]...) // a burst: a batch, whatever the rate
	refusal := s.refused(api.Refusal_RATE_LIMITED, greedy.Lines[900:]...)
	if wait := refusal.GetRetryAfterMs(); wait < 5000 || wait > 15_000 || refusal.GetNextSeq() != 901 {
		t.Errorf("got %v", refusal)
	}
	s.acked(headOf(t, greedy.Lines[909]), greedy.Lines[900:910]...)
	s = w.open(certs[1], modest.ID)
	s.acked(modest.Head(), modest.Lines...)

	// What cannot be read is not free: it costs what it says that it holds.
	idle := chains.New("gamma", "billing-agent", time.Now())
	s = w.open(w.enrol(idle), idle.ID)
	unreadable := &api.ShipRequest{Message: &api.ShipRequest_Batch{Batch: &api.Batch{Lines: compress(make([]byte, 8<<20)), Records: 1}}}
	for _, code := range []api.Refusal_Code{api.Refusal_INVALID, api.Refusal_RATE_LIMITED} {
		s.send(unreadable)
		if got := s.receive().GetRefusal().GetCode(); got != code {
			t.Errorf("got %s, want %s", got, code)
		}
	}
}

// Who a sidecar is, its certificate says, and nothing else.
func TestCredentials(t *testing.T) { onEach(t, testCredentials) }

func testCredentials(t *testing.T, w *world) {
	c, other := chains.New("acme", "billing-agent", time.Now()), chains.New("beta", "billing-agent", time.Now())
	cert, others := w.enrol(c), w.enrol(other)
	c.Exchanges(3)
	s := w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)

	// Another tenant's certificate, with everything of this chain.
	s = w.open(others, other.ID)
	s.refused(api.Refusal_IDENTITY, c.Lines...)
	s.send(heartbeat(c.Heartbeat(time.Now())))
	if code := s.receive().GetRefusal().GetCode(); code != api.Refusal_INVALID {
		t.Errorf("a heartbeat of another chain: %s", code)
	}
	w.wantStatus(codes.PermissionDenied, others, c.ID)

	stranger := &world{t: t, store: w.store, collector: w.collector, authority: w.authority, key: w.key}
	elsewhere := start(t, w.store) // with a CA of its own
	unknown := chains.New("acme", "billing-agent", time.Now())
	stranger.authority = elsewhere.authority
	certOfOther := stranger.enrol(unknown)
	stranger.authority = w.authority
	if err := stranger.hello(certOfOther, unknown.ID); err == nil {
		t.Error("a certificate of another CA opens a stream")
	}
	w.wantStatus(codes.Unauthenticated, tls.Certificate{}, c.ID)

	// One that the CA has signed and the collector does not know.
	key := others.PrivateKey
	pub := others.Leaf.PublicKey
	leaf, err := w.authority.Client(pki.Identity{Tenant: c.Tenant, Chain: c.ID}, pub, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.wantStatus(codes.Unauthenticated, tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, c.ID)

	if err := w.store.RevokeCertificates(t.Context(), c.Tenant, c.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	w.wantStatus(codes.Unauthenticated, cert, c.ID)
}

// A stream that is open when its certificate is revoked, or expires, brings
// nothing any more.
func TestCertificatesEnd(t *testing.T) { onEach(t, testCertificatesEnd) }

func testCertificatesEnd(t *testing.T, w *world) {
	for name, message := range map[string]func(c *chains.Chain) *api.ShipRequest{
		"batch":     func(c *chains.Chain) *api.ShipRequest { return batch(c.Lines[1:]...) },
		"heartbeat": func(c *chains.Chain) *api.ShipRequest { return heartbeat(c.Heartbeat(time.Now())) },
	} {
		c := chains.New("acme", "billing-agent", time.Now())
		s := w.open(w.enrol(c), c.ID)
		s.acked(c.Head(), c.Lines...)
		c.Exchanges(1)
		if err := w.store.RevokeCertificates(t.Context(), c.Tenant, c.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		s.send(message(c))
		if response, err := s.Recv(); status.Code(err) != codes.Unauthenticated {
			t.Errorf("a %s after the revocation: got %v, %v", name, response, err)
		}
		if known, err := w.store.Chain(t.Context(), c.Tenant, c.ID); err != nil || known.Head.Seq != 1 || !known.Beat.At.IsZero() {
			t.Errorf("a %s after the revocation: the chain is at seq %d, heard of at %s: %v", name, known.Head.Seq, known.Beat.At, err)
		}
	}
	expired := chains.New("acme", "billing-agent", time.Now())
	w.wantStatus(codes.Unauthenticated, w.enrolUntil(expired, time.Now().Add(-time.Second)), expired.ID)
}

func (w *world) hello(cert tls.Certificate, chain string) error {
	s, err := w.connect(cert)
	if err != nil {
		return err
	}
	if err := s.Send(hello(chain)); err != nil {
		w.t.Logf("send: %v", err) // Recv says why
	}
	_, err = s.Recv()
	return err
}

func (w *world) wantStatus(code codes.Code, cert tls.Certificate, chain string) {
	w.t.Helper()
	if err := w.hello(cert, chain); status.Code(err) != code {
		w.t.Errorf("got %v, want %s", err, code)
	}
}

// Two histories of one chain are evidence, in whatever months they are.
func TestForks(t *testing.T) { onEach(t, testForks) }

func testForks(t *testing.T, w *world) {
	monthEnd := time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC)
	c := chains.New("acme", "billing-agent", monthEnd)
	c.Step = time.Second
	s := w.open(w.enrol(c), c.ID)
	c.Exchanges(3)
	c.ChangeKey()
	c.Exchanges(3)
	s.acked(c.Head(), c.Lines...)

	early, late, follows, forged := c.Fork(2), c.Fork(4), c.Fork(7), c.Fork(4)
	early.Key = c.FirstKey
	early.Now = monthEnd.Add(-time.Second)
	early.Exchanges(1) // seq 3, in November; stored is one in December
	late.Key = c.FirstKey
	late.Exchanges(2)
	follows.Exchanges(2) // its seq 9 follows a seq 8 that is not the stored one
	forged.Key = chains.New("acme", "billing-agent", monthEnd).Key
	forged.Exchanges(1)

	s.refused(api.Refusal_FORK, early.Lines[2])
	s.refused(api.Refusal_FORK, late.Lines...)
	s.refused(api.Refusal_FORK, late.Lines...)
	s.refused(api.Refusal_FORK, follows.Lines[8])
	s.refused(api.Refusal_INVALID, forged.Lines[4])
	var seqs []int64
	forks, err := w.store.Forks(t.Context(), "acme", c.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i := range forks {
		seqs = append(seqs, forks[i].Seq)
		if _, err := receipts.Decode(forks[i].Line); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(seqs)
	if !slices.Equal(seqs, []int64{3, 5, 9}) {
		t.Errorf("the evidence is of seq %v", seqs)
	}
	w.wantAlarms(store.AlarmFork, store.AlarmInvalid)
	c.Exchanges(1)
	s.acked(c.Head(), c.Lines[8:]...)
	verifyStored(t, w.store, c)
}

// keyless is a store that does not answer when it is asked for a chain's key.
type keyless struct{ store.Store }

func (keyless) ChainKey(context.Context, string, string, string) (store.Key, error) {
	return store.Key{}, errors.New("the password of db.internal is wrong")
}

// What contradicts the stored records is no fault of the sidecar's until the store has
// said whose key has signed it.
func TestForksWaitForTheStore(t *testing.T) {
	w := start(t, keyless{stores.SQLite(t)})
	c := chains.New("acme", "billing-agent", time.Now())
	s := w.open(w.enrol(c), c.ID)
	c.Exchanges(3)
	s.acked(c.Head(), c.Lines...)
	fork := c.Fork(2)
	fork.Exchanges(1)
	s.send(batch(fork.Lines[2]))
	response, err := s.Recv()
	if status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), "db.internal") {
		t.Errorf("got %v, %v", response, err)
	}
	w.wantAlarms()
}

func (w *world) wantAlarms(kinds ...store.AlarmKind) {
	w.t.Helper()
	alarms, err := w.store.ListAlarms(w.t.Context(), "acme", store.AlarmQuery{Open: true})
	if err != nil {
		w.t.Fatal(err)
	}
	var open []store.AlarmKind
	for i := range alarms {
		open = append(open, alarms[i].Kind)
	}
	slices.Sort(open)
	slices.Sort(kinds)
	if !slices.Equal(open, kinds) {
		w.t.Errorf("the open alarms are %v, want %v", open, kinds)
	}
}
