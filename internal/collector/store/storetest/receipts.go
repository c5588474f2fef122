package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
)

// population is receipts of two chains with various hosts, agents, outcomes,
// reasons and traces; some at the same millisecond.
func population(t *testing.T, s store.Store) []store.Record {
	t.Helper()
	var all []store.Record
	for n, agent := range []string{"reader", "writer"} {
		c := register(t, s, agent, day)
		for i := range 40 {
			r := c.Receipt(fmt.Sprintf("host-%d.example", i%3), fmt.Sprintf("trace-%d", i%7))
			if i%4 == 0 {
				r = c.Denial("paste.example", fmt.Sprintf("trace-%d", i%7), "HEL_HOST_NOT_ALLOWED")
			}
			if i%10 == 0 {
				r.Outcome, r.Policy.Reason = receipts.Failed, "UPSTREAM_FAILED"
			}
			if n == 1 && i%5 == 0 {
				c.Now = c.Now.Add(-c.Step)
			}
			c.Add(r)
		}
		b := Batch(t, c.Lines, day)
		must1(t)(s.Append(t.Context(), "acme", b))
		all = append(all, b.Records[1:]...)
	}
	slices.SortFunc(all, func(a, b store.Record) int {
		return -compare(store.Cursor{TS: a.TS, Chain: a.Chain, Seq: a.Seq}, store.Cursor{TS: b.TS, Chain: b.Chain, Seq: b.Seq})
	})
	return all
}

func compare(a, b store.Cursor) int {
	if c := a.TS.Compare(b.TS); c != 0 {
		return c
	}
	if c := bytes.Compare([]byte(a.Chain), []byte(b.Chain)); c != 0 {
		return c
	}
	return int(a.Seq - b.Seq)
}

// Every query, page by page of every size, finds what a scan over all finds.
func testReceipts(t *testing.T, s store.Store) {
	all := population(t, s)
	queries := map[string]store.ReceiptQuery{
		"all":                {},
		"host":               {Host: "host-1.example"},
		"agent":              {Agent: "writer"},
		"outcome":            {Outcome: receipts.Denied},
		"forwarded":          {Outcome: receipts.Forwarded},
		"reason":             {Reason: "UPSTREAM_FAILED"},
		"ok":                 {Reason: "ok"},
		"trace":              {Trace: "trace-3"},
		"chain":              {Chain: all[0].Chain},
		"host and agent":     {Host: "paste.example", Agent: "reader"},
		"agent and outcome":  {Agent: "reader", Outcome: receipts.Denied},
		"everything":         {Host: "paste.example", Agent: "reader", Outcome: receipts.Failed, Reason: "UPSTREAM_FAILED", Trace: "trace-0", Chain: all[len(all)-1].Chain},
		"period":             {From: day.Add(100 * time.Millisecond), To: day.Add(200 * time.Millisecond)},
		"period and host":    {From: day.Add(100 * time.Millisecond), Host: "host-2.example"},
		"nothing":            {Host: "other.example"},
		"text of a database": {Host: "x' OR '1'='1", Agent: `"; DROP TABLE records`},
		"no chain":           {Chain: "' OR 1=1 --"},
	}
	for name := range queries {
		for _, limit := range []int{1, 7, 500} {
			q := queries[name]
			q.Limit, q.After = limit, nil
			var got []string
			for {
				page := get(s.Receipts(t.Context(), "acme", q))(t)
				if len(page.Receipts) > limit {
					t.Fatalf("%s: %d receipts on a page of %d", name, len(page.Receipts), limit)
				}
				for i := range page.Receipts {
					got = append(got, page.Receipts[i].ReceiptID)
				}
				if q.After = page.Next; page.Next == nil {
					break
				}
			}
			same(t, fmt.Sprintf("%s by %d", name, limit), got, matching(all, q))
		}
	}
	whole := get(s.Receipt(t.Context(), "acme", all[3].ReceiptID))(t)
	same(t, "by id", whole, all[3])
	for _, id := range []string{chains.UUID(), "", "' OR ''='"} {
		_, err := s.Receipt(t.Context(), "acme", id)
		wantError(t, "receipt "+id, err, store.ErrNotFound)
	}
}

func matching(all []store.Record, q store.ReceiptQuery) (ids []string) {
	is := func(want, got string) bool { return want == "" || want == got }
	for i := range all {
		r := &all[i]
		if is(q.Host, r.Host) && is(q.Agent, r.Agent) && is(string(q.Outcome), string(r.Outcome)) && is(q.Reason, r.Reason) &&
			is(q.Trace, r.TraceID) && is(q.Chain, r.Chain) && !r.TS.Before(q.From) && (q.To.IsZero() || r.TS.Before(q.To)) {
			ids = append(ids, r.ReceiptID)
		}
	}
	return ids
}

// A query that finds little looks at a window, and the next page goes on.
func testPages(t *testing.T, s store.Store) {
	c := register(t, s, "a", day)
	c.Add(c.Denial("rare.example", "t", "HEL_HOST_NOT_ALLOWED"))
	for i := range Window + 200 {
		r := c.Receipt("api.example", fmt.Sprint("t", i))
		if i == 100 {
			r.Outcome, r.Policy.Reason = receipts.Failed, "UPSTREAM_FAILED"
		}
		c.Add(r)
	}
	appendAll(t, s, c)
	q := store.ReceiptQuery{Agent: "a", Host: "api.example", Outcome: receipts.Failed, Reason: "UPSTREAM_FAILED"}
	// reason leads: one page, though the others are held against it.
	same(t, "leading reason", len(get(s.Receipts(t.Context(), "acme", q))(t).Receipts), 1)
	q = store.ReceiptQuery{Agent: "a", Outcome: receipts.Forwarded, Reason: "ok", From: day, Limit: 500}
	found := 0
	for {
		page := get(s.Receipts(t.Context(), "acme", q))(t)
		found += len(page.Receipts)
		if q.After = page.Next; page.Next == nil {
			break
		}
	}
	same(t, "found", found, Window+199)
	q = store.ReceiptQuery{Agent: "a", Host: "rare.example"}
	same(t, "leading host", len(get(s.Receipts(t.Context(), "acme", q))(t).Receipts), 1)
	q = store.ReceiptQuery{Host: "api.example", Agent: "nobody"}
	pages := 0
	for {
		page := get(s.Receipts(t.Context(), "acme", q))(t)
		same(t, "nothing", len(page.Receipts), 0)
		pages++
		if q.After = page.Next; page.Next == nil {
			break
		}
	}
	same(t, "pages of nothing", pages, 2)
}

func testSpans(t *testing.T, s store.Store) {
	ctx := t.Context()
	var want []store.Span
	for i := range 3 {
		c := register(t, s, "a", day.Add(time.Duration(i)*time.Minute))
		c.Step = time.Second
		c.Exchanges(9)
		appendAll(t, s, c)
		if i < 2 {
			want = append(want, store.Span{Chain: c.ID, First: 1, Last: 10})
		}
	}
	want[0].First = 5
	from, to := day.Add(3*time.Second), day.Add(2*time.Minute)
	register(t, s, "a", day) // which has no records
	spans := func(q store.SpanQuery) store.SpanPage { return get(s.Spans(ctx, "acme", q))(t) }
	same(t, "all", spans(store.SpanQuery{From: from, To: to}), store.SpanPage{Spans: want})
	same(t, "a page", spans(store.SpanQuery{From: from, To: to, Limit: 1}), store.SpanPage{Spans: want[:1], Next: want[0].Chain})
	same(t, "the next", spans(store.SpanQuery{From: from, To: to, After: want[0].Chain}), store.SpanPage{Spans: want[1:]})
	same(t, "of a chain", spans(store.SpanQuery{From: from, To: to, Chain: want[1].Chain}), store.SpanPage{Spans: want[1:]})
	same(t, "of no chain", spans(store.SpanQuery{From: from, To: to, Chain: chains.UUID()}), store.SpanPage{})
	same(t, "of no id at all", spans(store.SpanQuery{From: from, To: to, Chain: "' OR 1=1 --"}), store.SpanPage{})
	same(t, "none", spans(store.SpanQuery{From: day.Add(-time.Hour), To: day}), store.SpanPage{})
	same(t, "a page with none", spans(store.SpanQuery{From: day.Add(time.Minute), To: to, Limit: 1}), store.SpanPage{Next: want[0].Chain})
	same(t, "between records", spans(store.SpanQuery{From: day.Add(time.Millisecond), To: day.Add(2 * time.Millisecond)}), store.SpanPage{})
}

// Where a clock went back with the disk, what was given up may be of a later time
// than what came after: a period still has the records of its own that verify.
func testSpansAcrossALoss(t *testing.T, s store.Store) {
	c := register(t, s, "a", day)
	c.Step = time.Minute
	c.Exchanges(6)
	c.Now = day.Add(30 * 24 * time.Hour) // the clock runs ahead
	c.Exchanges(3)
	c.Now = day.Add(10 * time.Minute)
	back := c.Recover(7, c.Head().Chain.Seq)
	back.Exchanges(9)
	appendAll(t, s, c)
	b := Batch(t, back.Lines[7:], day)
	b.After = store.Head{Seq: c.Head().Chain.Seq, Hash: c.Head().ReceiptHash}
	b.GivenUp = store.Span{Chain: c.ID, First: 8, Last: 10}
	must1(t)(s.Append(t.Context(), "acme", b))

	later := day.Add(60 * 24 * time.Hour)
	for name, test := range map[string]struct {
		from, to time.Time
		want     []store.Span
	}{
		"all":                   {day, later, []store.Span{{Chain: c.ID, First: 1, Last: 20}}},
		"from what is given up": {day.Add(24 * time.Hour), later, nil},
		"from after it":         {day.Add(10 * time.Minute), later, []store.Span{{Chain: c.ID, First: 11, Last: 20}}},
		"up to before it":       {day, day.Add(10 * time.Minute), []store.Span{{Chain: c.ID, First: 1, Last: 7}}},
	} {
		same(t, name, get(s.Spans(t.Context(), "acme", store.SpanQuery{From: test.from, To: test.to}))(t).Spans, test.want)
	}
}

func total(t *testing.T, s store.Store, tenant string) (sum store.Rollup) {
	t.Helper()
	for _, r := range get(s.Rollups(t.Context(), tenant, store.RollupQuery{From: day.Add(-24 * time.Hour), To: day.Add(24 * time.Hour)}))(t) {
		sum.Add(r.Counts)
	}
	return sum
}

func testRollups(t *testing.T, s store.Store) {
	for _, agent := range []string{"a", "b"} {
		c := register(t, s, agent, day)
		c.Step = 20 * time.Minute
		c.Exchanges(4)
		d := c.Denial("paste.example", "t", "HEL_HOST_NOT_ALLOWED")
		d.Count = 40
		c.Add(d)
		internal := c.Receipt("model.example", "t")
		internal.Internal = "model"
		c.Add(internal)
		appendAll(t, s, c)
	}
	hour := day.Truncate(time.Hour)
	q := store.RollupQuery{From: hour, To: hour.Add(2 * time.Hour)}
	same(t, "hours", get(s.Rollups(t.Context(), "acme", q))(t), []store.Rollup{
		{Hour: hour, Outcome: receipts.Forwarded, Reason: "ok", Counts: store.Counts{Exchanges: 4, BytesUp: 4 * 812, BytesDown: 4 * 5120, VEX: 4}},
		{Hour: hour.Add(time.Hour), Outcome: receipts.Denied, Reason: "HEL_HOST_NOT_ALLOWED", Counts: store.Counts{Exchanges: 80, BytesUp: 2 * 812}},
		{Hour: hour.Add(time.Hour), Outcome: receipts.Forwarded, Reason: "ok", Counts: store.Counts{Exchanges: 4, BytesUp: 4 * 812, BytesDown: 4 * 5120, VEX: 4}},
	})
	q.After = &store.Rollup{Hour: hour.Add(time.Hour), Outcome: receipts.Denied, Reason: "HEL_HOST_NOT_ALLOWED"}
	same(t, "the rows after one", get(s.Rollups(t.Context(), "acme", q))(t), []store.Rollup{
		{Hour: hour.Add(time.Hour), Outcome: receipts.Forwarded, Reason: "ok", Counts: store.Counts{Exchanges: 4, BytesUp: 4 * 812, BytesDown: 4 * 5120, VEX: 4}},
	})
	q = store.RollupQuery{From: hour.Add(time.Hour), To: hour.Add(24 * time.Hour), Agent: "b"}
	same(t, "one agent", get(s.Rollups(t.Context(), "acme", q))(t)[:1], []store.Rollup{
		{Hour: hour.Add(time.Hour), Outcome: receipts.Denied, Reason: "HEL_HOST_NOT_ALLOWED", Counts: store.Counts{Exchanges: 40, BytesUp: 812}},
	})

	// What a sidecar claims adds up to the largest number, and not beyond.
	huge := register(t, s, "huge", day)
	for range 20 {
		r := huge.Receipt("api.example", "t")
		r.Usage.FU = 1<<53 - 1
		huge.Add(r)
	}
	must1(t)(s.Append(t.Context(), "acme", Batch(t, huge.Lines[:10], day)))
	must1(t)(s.Append(t.Context(), "acme", Batch(t, huge.Lines[10:], day)))
	q = store.RollupQuery{From: hour, To: hour.Add(time.Hour), Agent: "huge"}
	same(t, "the largest sum", get(s.Rollups(t.Context(), "acme", q))(t)[0].FU, store.MaxCount)

	// So does what many agents claim.
	many := register(t, s, "many", day)
	for i := range 3 {
		r := many.Receipt("api.example", "t")
		r.Agent, r.Policy.Reason, r.Usage.FU = strconv.Itoa(i), "MANY", store.MaxCount
		many.Add(r)
	}
	must1(t)(s.Append(t.Context(), "acme", Batch(t, many.Lines, day)))
	same(t, "the largest sum of all", total(t, s, "acme").FU, store.MaxCount)
}

// What agents choose is found again by what a database can hold of it, and the
// line is kept as it came.
func testForeignText(t *testing.T, s store.Store) {
	c := register(t, s, "a", day)
	hosts := []string{"nul\x00.example", "\u202e\U0001F600.example", string(bytes.Repeat([]byte("é"), 4000)), "' OR 1=1 --"}
	for _, host := range hosts {
		c.Add(c.Denial(host, "t", "HEL_TARGET_MALFORMED"))
	}
	appendAll(t, s, c)
	stored := get(s.Range(t.Context(), "acme", c.ID, 2, 0))(t)
	for i := range stored {
		r := &stored[i]
		if !bytes.Equal(r.Line, c.Lines[i+1]) {
			t.Errorf("the line of host %.20q has changed", hosts[i])
		}
		found := get(s.Receipts(t.Context(), "acme", store.ReceiptQuery{Host: r.Host}))(t)
		if len(found.Receipts) != 1 || found.Receipts[0].ReceiptID != r.ReceiptID {
			t.Errorf("host %.20q is not found", hosts[i])
		}
	}
	// What no record can say finds nothing, and is no fault of the store's.
	for _, text := range []string{"a\x00", "\xff", "\x00"} {
		page := get(s.Receipts(t.Context(), "acme", store.ReceiptQuery{Trace: text, Host: text, Agent: text, Reason: text}))(t)
		same(t, "receipts of no text", len(page.Receipts), 0)
		same(t, "chains of no text", len(get(s.ListChains(t.Context(), "acme", store.ChainQuery{Agent: text}))(t)), 0)
		same(t, "usage of no text", len(get(s.Rollups(t.Context(), "acme", store.RollupQuery{From: day, To: day.AddDate(1, 0, 0), Agent: text}))(t)), 0)
	}
}
