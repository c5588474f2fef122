package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
)

// logPage is the log's newest checkpoint, and who has witnessed what.
type logPage struct {
	Key       string             // verifier key
	Newest    *merkle.Checkpoint // nil: nothing is logged yet
	Note      string             // of the newest, with its witnesses' lines
	Witnesses []witnessRow
	Alarms    []store.Alarm // open ones about the log, of the newest 100 of all
}

// witnessRow is a witness, and the newest checkpoint that it has cosigned.
type witnessRow struct {
	Key    string // verifier key
	Asked  bool   // by the configuration of today
	Size   int64  // records in that checkpoint; 0: there is none
	Behind int64  // records that came after it
	At     time.Time
}

func (w *Web) log(rw http.ResponseWriter, v *visit) error {
	all, err := w.Prover.Checkpoints(v.Context(), v.tenant)
	if err != nil {
		return err
	}
	p := logPage{Witnesses: w.witnessRows(all)}
	if p.Key, err = w.LogKey(v.tenant); err != nil {
		return err
	}
	if len(all) > 0 {
		p.Newest, p.Note = &all[0], string(all[0].Note())
	}
	if p.Alarms, err = w.Store.ListAlarms(v.Context(), v.tenant, store.AlarmQuery{Open: true}); err != nil {
		return err
	}
	p.Alarms = slices.DeleteFunc(p.Alarms, func(a store.Alarm) bool { return a.Chain != "" })
	return w.show(rw, v, "log", "Log", p)
}

// witnessRows are those who are asked, then those who were.
func (w *Web) witnessRows(all []merkle.Checkpoint) []witnessRow {
	keys := slices.Clone(w.Witnesses)
	for i := range all {
		for j := range all[i].By {
			if key := all[i].By[j].Witness; !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	rows := make([]witnessRow, len(keys))
	for i, key := range keys {
		rows[i] = witnessRow{Key: key, Asked: i < len(w.Witnesses)}
		if c := merkle.Newest(all, key); c != nil {
			rows[i].Size, rows[i].At = c.Size, c.At
		}
		if len(all) > 0 {
			rows[i].Behind = all[0].N - rows[i].Size
		}
	}
	return rows
}

// witnessName is the name in a verifier key.
func witnessName(key string) string {
	name, _, _ := strings.Cut(key, "+")
	return name
}
