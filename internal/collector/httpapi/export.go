package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/signet-egress/signet/internal/collector/audit"
	"github.com/signet-egress/signet/internal/collector/download"
)

const maxExportRequest = 4 << 10

// export streams one bundle for a chain; without one, a zip file with a bundle
// for each chain that has records in the period.
func (a *API) export(w http.ResponseWriter, r *request) error {
	var q audit.Request
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxExportRequest))
	dec.DisallowUnknownFields()
	err := dec.Decode(&q)
	if _, more := dec.Token(); err != nil || !errors.Is(more, io.EOF) {
		return &Problem{Status: http.StatusBadRequest, Detail: "the body is one JSON object with from and to, and chain, agent, trace and profile where they apply", err: err}
	}
	found, err := a.Exporter.Find(r.Context(), r.tenant, q)
	if err != nil {
		return notFound(err, "record in that period")
	}
	return download.Serve(r.Context(), w, found)
}
