package web

import (
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/collector/httpapi"
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
	e := httpapi.Export{
		Chain: v.PostFormValue("chain"), Agent: v.PostFormValue("agent"), Trace: v.PostFormValue("trace"), Profile: v.PostFormValue("profile"),
	}
	var err error
	if e.From, err = formTime("From", v.PostFormValue("from")); err != nil {
		return err
	}
	if e.To, err = formTime("To", v.PostFormValue("to")); err != nil {
		return err
	}
	if err := e.Check(); err != nil {
		return err
	}
	return httpapi.WriteExport(v.Context(), rw, w.Store, w.Exporter, v.tenant, e)
}
