package postgres

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/relation"
	"github.com/signet-egress/signet/receipts"
)

var rows = flag.Int("postgres.rows", 20_000, "how many records TestPlans makes")

// bulk makes records of a hundred chains over three months, without verifying
// anything: plans only depend on what there is much of.
const bulk = `
SET signet.tenant = 'acme';
INSERT INTO tenants VALUES ('acme', now());
INSERT INTO chains (tenant, chain_id, agent, kid, public_key, registered, last_sign)
	SELECT 'acme', md5('chain' || c)::uuid, 'agent-' || c %% 10, 'k', sha256('k'), now(), now() FROM generate_series(0, 99) c;
INSERT INTO records
	SELECT 'acme', md5('chain' || g %% 100)::uuid, g / 100 + 1, 'signet.receipt/1', t.first + (g * (interval '80 days' / %[1]d)), now(), sha256(g::text::bytea),
		repeat('x', 1400), false, md5('receipt' || g)::uuid, 'trace-' || g / 10, 1, 'agent-' || g %% 10, 'host-' || g %% 50 || '.example',
		CASE WHEN g %% 20 = 0 THEN 'denied' ELSE 'forwarded' END, CASE WHEN g %% 20 = 0 THEN 'HEL_HOST_NOT_ALLOWED' ELSE 'ok' END, 1, 1, 0, 812, 5120, ''
	FROM generate_series(0, %[1]d - 1) g, (SELECT timestamptz '2028-01-05' AS first) t;
ANALYZE;`

// Every statement of the read side finds its records through an index, and reads
// no more of them than its page or its window. The plans are those of the
// statements as the store makes them, with EXPLAIN before them.
func TestPlans(t *testing.T) {
	name := newDatabase(t)
	s := open(t, cluster.URL("", name))
	if err := s.Maintain(t.Context(), time.Date(2028, 2, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	if err := cluster.SQL(t.Context(), name, fmt.Sprintf(bulk, *rows)); err != nil {
		t.Fatal(err)
	}
	examined := &explaining{DB: s.DB}
	read := &relation.Store{DB: examined}
	r := newReader(t, read)
	for name, query := range r.queries() {
		examined.most, examined.plan, examined.scanned = 0, "", false
		if err := query(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if examined.scanned || !strings.Contains(examined.plan, "records") {
			t.Errorf("%s: the plan is\n%s", name, examined.plan)
		}
		// Partitions are merged: each gives its first row before it is known to be needed.
		const partitions = 6
		if examined.most > r.limits[name]+partitions {
			t.Errorf("%s: %d rows are read, want at most %d; the plan is\n%s", name, examined.most, r.limits[name], examined.plan)
		}
	}
	r = newReader(t, s)
	for _, name := range slices.Sorted(maps.Keys(r.limits)) {
		t.Logf("%-28s %s", name, r.time(t, name))
	}
}

// reader asks for something else each time.
type reader struct {
	store  *relation.Store
	random *rand.Rand
	limits map[string]int // of records read, by query
	t      *testing.T
}

func newReader(t *testing.T, s *relation.Store) *reader {
	return &reader{store: s, t: t, random: rand.New(rand.NewPCG(1, 2)), limits: map[string]int{
		"a receipt": 1, "a record": 1, "the newest page": 51, "a page": 51, "a page of a host": 51, "a page of an agent": 51, "a page of denials": 51,
		"a page of a reason": 51, "a trace": 51, "a page of a chain": 51, "a page of a host and an agent": 5000, "a page of a period": 51, "a range": 100,
	}}
}

func (r *reader) receipts(q store.ReceiptQuery) func() error {
	return func() error {
		_, err := r.store.Receipts(r.t.Context(), "acme", q)
		return err
	}
}

func (r *reader) queries() map[string]func() error {
	n := r.random.IntN(*rows)
	at := time.Date(2028, 1, 5, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * (80 * 24 * time.Hour / time.Duration(*rows)))
	chain, id := uuidOf(fmt.Sprint("chain", n%100)), uuidOf(fmt.Sprint("receipt", n))
	after := &store.Cursor{TS: at, Chain: chain, Seq: 1}
	host, agent := fmt.Sprintf("host-%d.example", n%50), fmt.Sprintf("agent-%d", n%10)
	return map[string]func() error{
		"a receipt": func() error {
			_, err := r.store.Receipt(r.t.Context(), "acme", id)
			return err
		},
		"a record": func() error {
			_, err := r.store.Record(r.t.Context(), "acme", chain, int64(n/100+1))
			return err
		},
		"a range": func() error {
			_, err := r.store.Range(r.t.Context(), "acme", chain, int64(n/100+1), 100)
			return err
		},
		"the newest page":               r.receipts(store.ReceiptQuery{}),
		"a page":                        r.receipts(store.ReceiptQuery{After: after}),
		"a page of a host":              r.receipts(store.ReceiptQuery{After: after, Host: host}),
		"a page of an agent":            r.receipts(store.ReceiptQuery{After: after, Agent: agent}),
		"a page of denials":             r.receipts(store.ReceiptQuery{After: after, Outcome: receipts.Denied}),
		"a page of a reason":            r.receipts(store.ReceiptQuery{After: after, Reason: "HEL_HOST_NOT_ALLOWED"}),
		"a trace":                       r.receipts(store.ReceiptQuery{Trace: fmt.Sprint("trace-", n/10)}),
		"a page of a chain":             r.receipts(store.ReceiptQuery{After: after, Chain: chain}),
		"a page of a host and an agent": r.receipts(store.ReceiptQuery{After: after, Host: host, Agent: agent}),
		"a page of a period":            r.receipts(store.ReceiptQuery{From: at.Add(-time.Hour), To: at}),
	}
}

func (r *reader) time(t *testing.T, name string) string {
	const times = 200
	took := make([]time.Duration, times)
	for i := range took {
		query := r.queries()[name]
		begin := time.Now()
		if err := query(); err != nil {
			t.Fatal(err)
		}
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	return fmt.Sprintf("median %s, p95 %s", took[times/2].Round(time.Microsecond), took[times*95/100].Round(time.Microsecond))
}

// uuidOf is what md5(text)::uuid is in SQL.
func uuidOf(text string) string {
	sum := md5.Sum([]byte(text))
	return uuid.UUID(sum).String()
}

// explaining has each query explained, with what it really read, before it runs.
type explaining struct {
	relation.DB
	plan    string // of the last query
	most    int    // records that it read
	scanned bool   // some of them without an index
}

func (e *explaining) Do(ctx context.Context, tenant string, mode relation.Mode, f func(relation.Tx) error) error {
	return e.DB.Do(ctx, tenant, mode, func(tx relation.Tx) error { return f(explainingTx{tx, e}) })
}

type explainingTx struct {
	relation.Tx
	to *explaining
}

func (tx explainingTx) Query(ctx context.Context, sql string, args ...any) (relation.Rows, error) {
	rows, err := tx.Tx.Query(ctx, "EXPLAIN (ANALYZE, FORMAT JSON) "+sql, args...)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		if err := rows.Scan(&tx.to.plan); err != nil {
			return nil, err
		}
	}
	rows.Close()
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(tx.to.plan), &plans); err != nil {
		return nil, err
	}
	tx.to.most, tx.to.scanned = plans[0].Plan.read()
	return tx.Tx.Query(ctx, sql, args...)
}

// node is a step of a plan.
type node struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Actual Rows"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Loops    float64 `json:"Actual Loops"`
	Plans    []node
}

// read is how many records a step and those below it take from tables, and
// whether one of them reads a table that is not empty without an index.
func (n *node) read() (sum int, scanned bool) {
	if n.Relation != "" {
		sum = int((n.Rows + n.Removed) * n.Loops)
		scanned = n.Type == "Seq Scan" && sum > 0
	}
	for i := range n.Plans {
		below, also := n.Plans[i].read()
		sum, scanned = sum+below, scanned || also
	}
	return sum, scanned
}
