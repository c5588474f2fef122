package httpapi

import (
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Limits of what one answer sums.
const (
	maxUsage     = 366 * 24 * time.Hour
	defaultUsage = 30 * 24 * time.Hour
)

// counts are store.Counts as they are answered.
type counts struct {
	Exchanges int64 `json:"exchanges"`
	BytesUp   int64 `json:"bytes_up"`
	BytesDown int64 `json:"bytes_down"`
	VEX       int64 `json:"vex"`
	FU        int64 `json:"fu"`
}

// stored is what the tenant keeps now, whatever the period, in bytes.
type stored struct {
	Bytes int64 `json:"bytes"`
	Quota int64 `json:"quota,omitempty"`
}

type usageAnswer struct {
	From     time.Time         `json:"from"`
	To       time.Time         `json:"to"`
	Agent    string            `json:"agent,omitempty"`
	Total    counts            `json:"total"`
	Outcomes map[string]counts `json:"outcomes"`
	Denials  map[string]int64  `json:"denials"` // exchanges by reason code
	Stored   stored            `json:"stored"`
}

// usage sums the hours of a period: whole hours, as they were counted on ingest.
func (a *API) usage(w http.ResponseWriter, r *request) error {
	v := newQuery(r)
	u := usageAnswer{
		From: v.time("from"), To: v.time("to"), Agent: v.text("agent"),
		Outcomes: map[string]counts{}, Denials: map[string]int64{},
	}
	if err := v.end(); err != nil {
		return err
	}
	if u.To.IsZero() {
		u.To = a.Now().UTC().Truncate(time.Hour).Add(time.Hour)
	}
	if u.From.IsZero() {
		u.From = u.To.Add(-defaultUsage)
	}
	u.From, u.To = u.From.Truncate(time.Hour), u.To.Truncate(time.Hour)
	if !u.From.Before(u.To) || u.To.Sub(u.From) > maxUsage {
		return badParameter("from", "from and to are whole hours, from before to, 366 days apart at most")
	}
	kept, err := a.Store.Stored(r.Context(), r.tenant)
	if err != nil {
		return err
	}
	u.Stored = stored(kept)
	var total store.Counts
	err = store.EachRollup(r.Context(), a.Store, r.tenant, store.RollupQuery{From: u.From, To: u.To, Agent: u.Agent}, func(row *store.Rollup) {
		total.Add(row.Counts)
		outcome := store.Counts(u.Outcomes[string(row.Outcome)])
		outcome.Add(row.Counts)
		u.Outcomes[string(row.Outcome)] = counts(outcome)
		if row.Outcome == "denied" {
			u.Denials[row.Reason] = min(u.Denials[row.Reason]+row.Exchanges, store.MaxCount)
		}
	})
	if err != nil {
		return err
	}
	u.Total = counts(total)
	return reply(w, u)
}
