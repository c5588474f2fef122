package web

import (
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

type usagePage struct {
	Month  string // 2006-01
	Months []string
	Agent  string
	Stored store.Stored
	Kept   store.Retention
	Total  store.Counts
	VEX    []plot // by day
	Days   []usageDay
}

type usageDay struct {
	Day time.Time
	store.Counts
}

const monthLayout = "2006-01"

// usage is what a month's verified receipts add up to.
func (w *Web) usage(rw http.ResponseWriter, v *visit) error {
	now := w.Now().UTC()
	p := usagePage{Month: v.URL.Query().Get("month"), Agent: v.URL.Query().Get("agent")}
	for i := range 12 {
		p.Months = append(p.Months, time.Date(now.Year(), now.Month()-time.Month(i), 1, 0, 0, 0, 0, time.UTC).Format(monthLayout))
	}
	if p.Month == "" {
		p.Month = p.Months[0]
	}
	begin, err := time.Parse(monthLayout, p.Month)
	if err != nil {
		return &failure{http.StatusBadRequest, "A month is written as 2006-01."}
	}
	end := begin.AddDate(0, 1, 0)
	for day := begin; day.Before(end); day = day.AddDate(0, 0, 1) {
		p.Days = append(p.Days, usageDay{Day: day})
	}
	query := store.RollupQuery{From: begin, To: end, Agent: p.Agent}
	if p.Stored, err = w.Store.Stored(v.Context(), v.tenant); err != nil {
		return err
	}
	if p.Kept, err = w.Store.Retention(v.Context(), v.tenant); err != nil {
		return err
	}
	err = store.EachRollup(v.Context(), w.Store, v.tenant, query, func(r *store.Rollup) {
		p.Total.Add(r.Counts)
		p.Days[r.Hour.UTC().Day()-1].Add(r.Counts)
	})
	if err != nil {
		return err
	}
	steps := make([]step, len(p.Days))
	for i := range p.Days {
		steps[i] = step{At: p.Days[i].Day, Counts: map[string]int64{"forwarded": p.Days[i].VEX}}
	}
	p.VEX = drawTraffic(steps, "Jan 2")
	return w.show(rw, v, "usage", "Usage", p)
}
