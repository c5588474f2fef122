package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Every parameter of every page takes what an attacker would send: it finds
// nothing or is refused, and never fails.
func TestParametersAreNoSQL(t *testing.T) { onEach(t, testParametersAreNoSQL) }

func testParametersAreNoSQL(t *testing.T, s *site) {
	hostile := []string{
		"' OR '1'='1", "'; DROP TABLE records; --", "%00", "a\x00b", "\xff\xfe", "$1", "{{1}}", "-1", "9223372036854775808", strings.Repeat("a", 5000), "..",
		"0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
	}
	c := s.traffic("acme")
	v := s.visitor(t)
	v.login("acme-token")
	for path, names := range map[string][]string{
		"/":               {"span", "agent"},
		"/receipts":       {"from", "to", "host", "agent", "outcome", "reason", "trace", "chain", "cursor"},
		"/chains":         {"after"},
		"/chains/" + c.ID: {"from"},
		"/usage":          {"month", "agent"},
		"/export":         {"chain", "agent", "trace"},
	} {
		for _, name := range names {
			for _, text := range hostile {
				v.unharmed(http.MethodGet, path+"?"+url.Values{name: {text}}.Encode(), nil)
			}
		}
	}
	for _, text := range hostile {
		for _, path := range []string{"/receipts/", "/traces/", "/chains/", "/static/"} {
			v.unharmed(http.MethodGet, path+url.PathEscape(text), nil)
		}
		for _, name := range []string{"from", "to", "chain", "agent", "trace", "profile"} {
			form := url.Values{"from": {"2026-11-23T00:00"}, "to": {"2026-11-24T00:00"}}
			form.Set(name, text)
			v.unharmed(http.MethodPost, "/export", form)
		}
	}
	if resp, body := v.get("/receipts"); resp.StatusCode != http.StatusOK || !strings.Contains(body, "api.example") {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

func (v *visitor) unharmed(method, path string, form url.Values) {
	v.t.Helper()
	ask := v.get
	if method == http.MethodPost {
		ask = func(path string) (*http.Response, string) { return v.post(path, form) }
	}
	if resp, body := ask(path); resp.StatusCode >= http.StatusInternalServerError {
		v.t.Errorf("%s %s %v: %s\n%s", method, path, form, resp.Status, body)
	}
}
