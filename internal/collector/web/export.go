package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/collector/audit"
	"github.com/signet-egress/signet/internal/collector/download"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts/bundle"
)

type exportPage struct {
	From, To, Chain, Agent, Trace string
}

// exportPage is the form, filled in with what the page before was about.
func (w *Web) exportPage(rw http.ResponseWriter, v *visit) error {
	const layout = "2006-01-02T15:04"
	now := w.Now().UTC()
	in := v.URL.Query()
	return w.show(rw, v, "export", "Export", exportPage{
		From: now.AddDate(0, 0, -7).Format(layout), To: now.Add(time.Minute).Format(layout),
		Chain: in.Get("chain"), Agent: in.Get("agent"), Trace: in.Get("trace"),
	})
}

const maxForm = 16 << 10

func (w *Web) export(rw http.ResponseWriter, v *visit) error {
	v.Body = http.MaxBytesReader(rw, v.Body, maxForm)
	q := audit.Request{
		Chain: v.PostFormValue("chain"), Agent: v.PostFormValue("agent"), Trace: v.PostFormValue("trace"), Profile: bundle.Profile(v.PostFormValue("profile")),
	}
	var err error
	if q.From, err = formTime("From", v.PostFormValue("from")); err != nil {
		return err
	}
	if q.To, err = formTime("To", v.PostFormValue("to")); err != nil {
		return err
	}
	found, err := w.Exporter.Find(v.Context(), v.tenant, q)
	if errors.Is(err, store.ErrNotFound) {
		return &failure{http.StatusNotFound, "This tenant has no record in that period."}
	}
	if err != nil {
		return err
	}
	return download.Serve(v.Context(), rw, found)
}
