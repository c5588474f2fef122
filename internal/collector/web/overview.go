package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
)

// span is a period that the overview shows.
type span struct {
	Name   string
	Title  string
	length time.Duration
	step   time.Duration
	layout string
}

var spans = []span{
	{"24h", "24 hours", 24 * time.Hour, time.Hour, "15:04"},
	{"7d", "7 days", 7 * 24 * time.Hour, 3 * time.Hour, "Jan 2 15:04"},
	{"30d", "30 days", 30 * 24 * time.Hour, 12 * time.Hour, "Jan 2"},
}

// spanOf is the one that is asked for, else the first.
func spanOf(r *http.Request) span {
	for _, s := range spans {
		if s.Name == r.URL.Query().Get("span") {
			return s
		}
	}
	return spans[0]
}

type overviewPage struct {
	Spans    []span
	Span     span
	Agent    string
	Total    store.Counts
	Outcomes map[string]int64
	Traffic  []plot
	Denials  []denialBar
	Alarms   []store.Alarm
	From, To time.Time
}

// denialBar is a reason, how often it denied, and how much that is of the most.
type denialBar struct {
	Reason  string
	Count   int64
	Percent int64 // of the longest bar
}

func (w *Web) overview(rw http.ResponseWriter, v *visit) error {
	s := spanOf(v.Request)
	p := overviewPage{Spans: spans, Span: s, Agent: v.URL.Query().Get("agent"), Outcomes: map[string]int64{}}
	p.To = w.Now().UTC().Truncate(s.step).Add(s.step)
	p.From = p.To.Add(-s.length)
	if err := w.countTraffic(v.Context(), v.tenant, &p); err != nil {
		return err
	}
	var err error
	if p.Alarms, err = w.Store.ListAlarms(v.Context(), v.tenant, store.AlarmQuery{Open: true, Limit: 10}); err != nil {
		return err
	}
	return w.show(rw, v, "overview", "Overview", p)
}

func (w *Web) countTraffic(ctx context.Context, tenant string, p *overviewPage) error {
	steps := make([]step, p.Span.length/p.Span.step)
	for i := range steps {
		steps[i] = step{At: p.From.Add(time.Duration(i) * p.Span.step), Counts: map[string]int64{}}
	}
	denials := map[string]int64{}
	query := store.RollupQuery{From: p.From, To: p.To, Agent: p.Agent}
	count := func(sums map[string]int64, of string, n int64) { sums[of] = min(sums[of]+n, store.MaxCount) }
	err := store.EachRollup(ctx, w.Store, tenant, query, func(r *store.Rollup) {
		p.Total.Add(r.Counts)
		count(p.Outcomes, string(r.Outcome), r.Exchanges)
		if i := int(r.Hour.Sub(p.From) / p.Span.step); i >= 0 && i < len(steps) {
			count(steps[i].Counts, string(r.Outcome), r.Exchanges)
		}
		if r.Outcome == receipts.Denied {
			count(denials, r.Reason, r.Exchanges)
		}
	})
	p.Traffic, p.Denials = drawTraffic(steps, p.Span.layout), denialBars(denials)
	return err
}

func denialBars(denials map[string]int64) []denialBar {
	bars := make([]denialBar, 0, len(denials))
	for reason, n := range denials {
		bars = append(bars, denialBar{Reason: reason, Count: n})
	}
	slices.SortFunc(bars, func(a, b denialBar) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	for i := range bars {
		bars[i].Percent = max(bars[i].Count*100/bars[0].Count, 1)
	}
	return bars
}
