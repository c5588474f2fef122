package web

import (
	"net/http"
	"strconv"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
)

const chainsPerPage = 50

type chainsPage struct {
	Chains []chainRow
	Next   string // after of the next page; "" on the last
}

// chainRow is a chain and what there is to say of it.
type chainRow struct {
	store.Chain
	State string // stopped | live | silent | gap
}

func (w *Web) chains(rw http.ResponseWriter, v *visit) error {
	q := store.ChainQuery{After: v.URL.Query().Get("after"), Limit: chainsPerPage}
	chains, err := w.Store.ListChains(v.Context(), v.tenant, q)
	if err != nil {
		return err
	}
	ids := make([]string, len(chains))
	for i := range chains {
		ids[i] = chains[i].ID
	}
	open, err := w.Store.OpenAlarms(v.Context(), v.tenant, ids)
	if err != nil {
		return err
	}
	p := chainsPage{Chains: make([]chainRow, len(chains))}
	for i := range chains {
		p.Chains[i] = chainRow{chains[i], stateOf(&chains[i], open)}
	}
	if len(chains) == chainsPerPage {
		p.Next = chains[chainsPerPage-1].ID
	}
	return w.show(rw, v, "chains", "Chains", p)
}

// stateOf is the worst that is known of a chain.
func stateOf(c *store.Chain, open []store.Alarm) string {
	state := "live"
	if c.CleanStop {
		state = "stopped"
	}
	for i := range open {
		if open[i].Chain == c.ID {
			return string(open[i].Kind)
		}
	}
	if !c.Gap.IsZero() {
		return string(store.AlarmGap)
	}
	return state
}

const recordsPerPage = 50

type chainPage struct {
	Chain   store.Chain
	State   string
	Keys    []store.Key
	Alarms  []store.Alarm
	Forks   []store.Fork
	Records []recordRow
	Before  int64 // seq that the page before begins with; 0 for none
	After   int64 // likewise the next
}

// recordRow is a record of a chain, of any type.
type recordRow struct {
	store.Record
	Event string // of an event; "" for other types
}

func (w *Web) chain(rw http.ResponseWriter, v *visit) error {
	ctx, id := v.Context(), v.PathValue("id")
	var p chainPage
	var err error
	if p.Chain, err = w.Store.Chain(ctx, v.tenant, id); err != nil {
		return err
	}
	if p.Keys, err = w.Store.ChainKeys(ctx, v.tenant, id); err != nil {
		return err
	}
	if p.Alarms, err = w.Store.ListAlarms(ctx, v.tenant, store.AlarmQuery{Chain: id, Limit: 20}); err != nil {
		return err
	}
	if p.Forks, err = w.Store.Forks(ctx, v.tenant, id); err != nil {
		return err
	}
	open, err := w.Store.OpenAlarms(ctx, v.tenant, []string{id})
	if err != nil {
		return err
	}
	p.State = stateOf(&p.Chain, open)
	from, err := firstSeq(v.URL.Query().Get("from"), p.Chain.Head.Seq)
	if err != nil {
		return err
	}
	records, err := w.Store.Range(ctx, v.tenant, id, from, recordsPerPage)
	if err != nil {
		return err
	}
	p.Records = rowsOf(records)
	oldest := p.Chain.Pruned + 1
	from = max(from, oldest)
	if from > oldest {
		p.Before = max(from-recordsPerPage, oldest)
	}
	if last := from + int64(len(records)); last <= p.Chain.Head.Seq {
		p.After = last
	}
	return w.show(rw, v, "chain", "Chain", &p)
}

// firstSeq is where the page begins: by default, so that it ends with the head.
func firstSeq(text string, head int64) (int64, error) {
	if text == "" {
		return max(head-recordsPerPage+1, 1), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > 1<<53-1 {
		return 0, &failure{http.StatusBadRequest, "A page of records begins with a sequence number from 1."}
	}
	return n, nil
}

func rowsOf(records []store.Record) []recordRow {
	rows := make([]recordRow, len(records))
	for i := range records {
		rows[i] = recordRow{Record: records[i]}
		if r, err := receipts.Decode(records[i].Line); err == nil {
			if event, ok := r.(*receipts.Event); ok {
				rows[i].Event = string(event.Event)
			}
		}
	}
	return rows
}
