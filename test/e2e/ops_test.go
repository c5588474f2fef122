package e2e

import (
	"net/http"
	"testing"
)

// ops is the status of a path of the metrics listener.
func (c *sidecar) ops(t *testing.T, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.metrics+path, nil)
	must(t, err)
	got := get(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, req)
	must(t, got.err)
	return got.status
}
