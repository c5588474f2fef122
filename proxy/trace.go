package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"sync"
	"time"
)

const (
	traceField  = "X-Signet-Trace"
	maxTraceID  = 128
	sessionIdle = 15 * time.Minute
)

// traceID is the trace that a request says it belongs to: the trace-id of a
// valid traceparent (W3C Trace Context), else X-Signet-Trace, else "".
func traceID(h http.Header) string {
	if id := traceparentID(h.Get("Traceparent")); id != "" {
		return id
	}
	id := h.Get(traceField)
	if id == "" || len(id) > maxTraceID {
		return ""
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] >= 0x7f || id[i] == '"' || id[i] == '\\' {
			return ""
		}
	}
	return id
}

// traceparentID takes the 32 hex digits out of version-traceid-parentid-flags.
func traceparentID(v string) string {
	const id, end = 3, 35
	if len(v) < 55 || v[2] != '-' || v[end] != '-' || v[52] != '-' || v[:2] == "ff" {
		return ""
	}
	zero := true
	for _, c := range []byte(v[id:end]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
		zero = zero && c == '0'
	}
	if zero {
		return ""
	}
	return v[id:end]
}

// sessions gives requests that name no trace one for their agent's session,
// which ends when the agent was idle for sessionIdle. There is one agent in a
// sidecar, or as many as it has API keys.
type sessions struct {
	mu      sync.Mutex
	byAgent map[string]session
}

type session struct {
	trace string
	last  time.Time
}

func (s *sessions) trace(agent string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	cur, ok := s.byAgent[agent]
	if !ok || now.Sub(cur.last) > sessionIdle {
		var id [16]byte
		_, _ = rand.Read(id[:]) // never fails
		cur.trace = hex.EncodeToString(id[:])
	}
	cur.last = now
	if s.byAgent == nil {
		s.byAgent = make(map[string]session)
	}
	s.byAgent[agent] = cur
	return cur.trace
}
