package web

import (
	"errors"
	"net/http"

	"github.com/signet-egress/signet/internal/collector/audit"
	"github.com/signet-egress/signet/internal/collector/cursor"
	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
)

// failure is what is shown in place of a page.
type failure struct {
	Status int
	Detail string
}

func (f *failure) Error() string { return f.Detail }

// failureOf is an error as a page: what is no fault of the visitor's is one of the
// collector's.
func failureOf(err error) *failure {
	var f *failure
	var wrong *audit.RequestError
	var gone *audit.RemovedError
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, store.ErrNotFound):
		return &failure{http.StatusNotFound, "This tenant has no such thing."}
	case errors.As(err, &wrong):
		return &failure{http.StatusBadRequest, wrong.Error()}
	case errors.As(err, &gone):
		return &failure{http.StatusGone, "Records of this period were removed, since they were kept for long enough. Export from " + when(gone.Before) + " on."}
	case errors.Is(err, cursor.ErrForeign):
		return &failure{http.StatusBadRequest, "cursor: " + cursor.ErrForeign.Error()}
	case errors.Is(err, merkle.ErrBehind):
		return &failure{http.StatusServiceUnavailable, "Too many records wait for the log; try again in a minute."}
	}
	return &failure{http.StatusInternalServerError, "The collector failed; its log says why."}
}
