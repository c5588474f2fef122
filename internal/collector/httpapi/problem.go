package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/signet-egress/signet/internal/collector/access"
	"github.com/signet-egress/signet/internal/collector/audit"
	"github.com/signet-egress/signet/internal/collector/cursor"
	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
)

// Problem is what is answered where a request is not: RFC 9457, with the
// parameter that is meant.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	Parameter string `json:"parameter,omitempty"`

	retry time.Duration
	err   error // for the log
}

func (p *Problem) Error() string {
	if p.err != nil {
		return fmt.Sprintf("%d %s: %v", p.Status, p.Detail, p.err)
	}
	return fmt.Sprintf("%d %s", p.Status, p.Detail)
}

func (p *Problem) Unwrap() error { return p.err }

// badParameter says what is wrong with a parameter and how it is written.
func badParameter(name, format string, args ...any) *Problem {
	return &Problem{Status: http.StatusBadRequest, Parameter: name, Detail: fmt.Sprintf(format, args...)}
}

// notFound is store.ErrNotFound as an answer; every other error stays.
func notFound(err error, what string) error {
	if errors.Is(err, store.ErrNotFound) {
		return &Problem{Status: http.StatusNotFound, Detail: "this tenant has no such " + what, err: err}
	}
	return err
}

// whenBehind is how long a log that is behind is left alone with it.
const whenBehind = 30 * time.Second

// problemOf is an error as an answer: what is no fault of the request's is one of
// the collector's.
func problemOf(err error) *Problem {
	var p *Problem
	var wrong *audit.RequestError
	var gone *audit.RemovedError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &wrong):
		return badParameter(wrong.Member, "%s", wrong.Remedy)
	case errors.As(err, &gone):
		return &Problem{Status: http.StatusGone, Parameter: "from", Detail: gone.Error(), err: err}
	case errors.Is(err, cursor.ErrForeign):
		return badParameter("cursor", "%s", cursor.ErrForeign)
	case errors.Is(err, merkle.ErrBehind):
		return &Problem{Status: http.StatusServiceUnavailable, Detail: merkle.ErrBehind.Error() + "; ask again", retry: whenBehind, err: err}
	}
	return &Problem{Status: http.StatusInternalServerError, Detail: "the collector failed; its log says why", err: err}
}

// admit finds out who asks, and whether they may.
func (a *API) admit(scope store.Scope, w http.ResponseWriter, r *request) error {
	secret, err := access.Bearer(r.Header)
	if err == nil {
		r.token, err = a.Gate.Authenticate(r.Context(), secret)
	}
	switch {
	case access.Refused(err):
		if wait, ok := a.Gate.Refuse(r.Context(), r.RemoteAddr); !ok {
			return &Problem{Status: http.StatusTooManyRequests, Detail: "too many requests without a valid token", retry: wait, err: err}
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="signet"`)
		return &Problem{Status: http.StatusUnauthorized, Detail: "a valid bearer token is needed; signet-collector tenant token makes one", err: err}
	case err != nil:
		return err
	}
	r.tenant = r.token.Tenant
	if wait, ok := a.Gate.Allow(r.Context(), r.token.ID); !ok {
		return &Problem{Status: http.StatusTooManyRequests, Detail: "this token asks too often", retry: wait}
	}
	if !r.token.May(scope) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="signet", error="insufficient_scope", scope="`+string(scope)+`"`)
		return &Problem{Status: http.StatusForbidden, Detail: "the token lacks the scope " + string(scope)}
	}
	return nil
}

// refuse answers with a problem. An answer that has begun is cut.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if rec, ok := w.(*statusRecorder); ok && rec.begun {
		a.Logger.Warn("answer cut", "path", r.URL.Path, "error", err.Error())
		panic(http.ErrAbortHandler)
	}
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError {
		a.Logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err.Error())
	}
	answer := *p
	answer.Type, answer.Title = "about:blank", http.StatusText(p.Status)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusTooManyRequests || p.retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(max(1, (p.retry+time.Second-1)/time.Second)), 10))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(answer) // a client that left is no concern of ours
}

// reply answers with JSON.
func reply(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
	return nil
}
