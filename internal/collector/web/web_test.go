package web_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
)

// visitor is a browser without its window.
type visitor struct {
	t      *testing.T
	client *http.Client
	base   string
}

func (s *site) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, base: s.server.URL, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (v *visitor) get(path string) (*http.Response, string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.base+path, http.NoBody)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.do(req)
}

func (v *visitor) post(path string, form url.Values, header ...string) (*http.Response, string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return v.do(req)
}

func (v *visitor) do(req *http.Request) (*http.Response, string) {
	v.t.Helper()
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp, string(body)
}

func (v *visitor) login(token string) {
	v.t.Helper()
	if resp, body := v.post("/login", url.Values{"token": {token}}); resp.StatusCode != http.StatusSeeOther {
		v.t.Fatalf("login: %s %s", resp.Status, body)
	}
}

func TestPagesShowWhatHappened(t *testing.T) { onEach(t, testPagesShowWhatHappened) }

func testPagesShowWhatHappened(t *testing.T, s *site) {
	c := s.traffic("acme")
	if err := s.store.SetQuota(t.Context(), "acme", 5_000_000); err != nil {
		t.Fatal(err)
	}
	v := s.visitor(t)
	v.login("acme-token")
	receipt := c.ReceiptAt(2)
	for path, wants := range map[string][]string{
		"/":                                 {"HEL_HOST_NOT_ALLOWED", "Why it was denied", "<rect class=\"denied\"", "To look at", "not heard of"},
		"/?span=7d":                         {"aria-current=\"true\">7 days"},
		"/receipts":                         {"api.example", "HEL_HOST_NOT_ALLOWED", receipt.ReceiptID[:12]},
		"/receipts?outcome=denied":          {"paste.example"},
		"/receipts/" + receipt.ReceiptID:    {"verified up to the signed root", "POST https://api.example/v1/messages", "192.0.2.1", "seq 2"},
		"/traces/" + receipt.TraceID:        {receipt.TraceID, receipt.ReceiptID},
		"/chains":                           {c.ID, "silent"},
		"/chains/" + c.ID:                   {"genesis", receipt.ReceiptID, "Key from seq 1"},
		"/usage":                            {"VEX by day", "2026-11-23", "kB of 5.0 MB"},
		"/export?chain=" + c.ID:             {"value=\"" + c.ID + "\""},
		"/receipts?host=%22%3E%3Cscript%3E": {"No receipt is like that", "&#34;&gt;&lt;script&gt;"},
	} {
		resp, body := v.get(path)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %s", path, resp.Status)
		}
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("GET %s lacks %q:\n%s", path, want, body)
			}
		}
		if strings.Contains(body, "<script") || strings.Contains(body, "style=") {
			t.Errorf("GET %s has what the content security policy forbids", path)
		}
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'") || strings.Contains(csp, "unsafe") {
			t.Errorf("GET %s: Content-Security-Policy %q", path, csp)
		}
	}
}

// What an agent, or a sidecar that lies, can have written stays text wherever it is
// shown, and a link to it leads to it.
func TestHostileTextsStayTexts(t *testing.T) { onEach(t, testHostileTextsStayTexts) }

func testHostileTextsStayTexts(t *testing.T, s *site) {
	const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(1)>`
	c := chains.New("acme", hostile, began)
	r := c.Receipt(hostile, `a/../?"'><script>#%2f&x=\`)
	r.Policy.Rule, r.Policy.Flags, r.SemanticViolations, r.APIKey = hostile, []string{hostile}, []string{hostile}, hostile
	r.Detail.Request.Path, r.Detail.Request.Method, r.Detail.Request.Scheme = hostile, hostile, "javascript"
	r.Detail.TLS.ALPN, r.Detail.DNS.Resolver = hostile, hostile
	c.Add(r)
	s.keep(c)
	if _, err := s.store.Raise(t.Context(), "acme", store.Alarm{
		ID: chains.UUID(), Kind: store.AlarmInvalid, Chain: c.ID, Message: hostile, Raised: s.now, Last: s.now,
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Beat(t.Context(), "acme", c.ID, store.Beat{At: s.now, Seq: 2, Skew: 6 * time.Second}); err != nil {
		t.Fatal(err)
	}
	v := s.visitor(t)
	v.login("acme-token")
	for path, want := range map[string]string{
		"/": "&lt;script&gt;", "/?span=7d&agent=" + url.QueryEscape(hostile): "&lt;script&gt;", "/receipts": "&lt;script&gt;",
		"/receipts/" + r.ReceiptID: "&lt;script&gt;", "/traces/" + url.PathEscape(r.TraceID): "&lt;script&gt;",
		"/chains": "clock 6s", "/chains/" + c.ID: "6s</span> from the collector", "/usage": "VEX by day",
		"/export?agent=" + url.QueryEscape(hostile): "&lt;script&gt;",
	} {
		resp, body := v.get(path)
		if resp.StatusCode != http.StatusOK || strings.Contains(body, "<script") || strings.Contains(body, "<img src=x") || !strings.Contains(body, want) {
			t.Errorf("GET %s: %s\n%s", path, resp.Status, body)
		}
	}
	_, page := v.get("/receipts/" + r.ReceiptID)
	_, link, _ := strings.Cut(page, `href="/traces/`)
	link, _, _ = strings.Cut(link, `"`)
	if resp, body := v.get("/traces/" + html.UnescapeString(link)); resp.StatusCode != http.StatusOK || !strings.Contains(body, r.ReceiptID) {
		t.Errorf("the link to the trace, %q: %s", link, resp.Status)
	}
}

func TestNobodySeesAnothersPages(t *testing.T) { onEach(t, testNobodySeesAnothersPages) }

func testNobodySeesAnothersPages(t *testing.T, s *site) {
	c := s.traffic("acme")
	receipt := c.ReceiptAt(2)
	paths := []string{"/receipts/" + receipt.ReceiptID, "/traces/" + receipt.TraceID, "/chains/" + c.ID}
	other := s.visitor(t)
	other.login("other-token")
	for _, path := range paths {
		if resp, body := other.get(path); resp.StatusCode != http.StatusNotFound || strings.Contains(body, "api.example") {
			t.Errorf("GET %s as another tenant: %s", path, resp.Status)
		}
	}
	for _, path := range append(paths, "/", "/receipts", "/chains", "/usage", "/export") {
		if resp, _ := s.visitor(t).get(path); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/login" {
			t.Errorf("GET %s without a login: %s", path, resp.Status)
		}
	}
	for _, path := range []string{"/", "/receipts", "/chains", "/usage"} {
		if _, body := other.get(path); strings.Contains(body, ">api.example<") || strings.Contains(body, c.ID) {
			t.Errorf("GET %s shows another tenant's", path)
		}
	}
}

func TestFailedLoginsHaveABudget(t *testing.T) { onEach(t, testFailedLoginsHaveABudget) }

func testFailedLoginsHaveABudget(t *testing.T, s *site) {
	v := s.visitor(t)
	for i := range 31 {
		want := http.StatusUnauthorized
		if i == 30 {
			want = http.StatusTooManyRequests
		}
		if resp, _ := v.post("/login", url.Values{"token": {"guess"}}); resp.StatusCode != want {
			t.Fatalf("failed login %d: %s", i+1, resp.Status)
		}
	}
	v.login("acme-token")
}

// What changes something is refused where another site asks for it.
func TestOtherSitesCannotAsk(t *testing.T) { onEach(t, testOtherSitesCannotAsk) }

func testOtherSitesCannotAsk(t *testing.T, s *site) {
	s.traffic("acme")
	v := s.visitor(t)
	v.login("acme-token")
	form := url.Values{"from": {"2026-11-23T00:00"}, "to": {"2026-11-24T00:00"}, "profile": {"core"}}
	for name, header := range map[string][]string{
		"by fetch metadata": {"Sec-Fetch-Site", "cross-site"},
		"by origin":         {"Origin", "https://evil.example"},
	} {
		for _, path := range []string{"/export", "/logout", "/login"} {
			if resp, _ := v.post(path, form, header...); resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s, POST %s: %s", name, path, resp.Status)
			}
		}
	}
	if resp, _ := v.post("/export", form, "Sec-Fetch-Site", "same-origin"); resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/zip" {
		t.Errorf("from the page itself: %s", resp.Status)
	}
}

func TestCookiesAreKeptFromScriptsAndOthers(t *testing.T) {
	onEach(t, testCookiesAreKeptFromScriptsAndOthers)
}

func testCookiesAreKeptFromScriptsAndOthers(t *testing.T, s *site) {
	req := httptest.NewRequest(http.MethodPost, "https://collector.example/login", strings.NewReader("token=acme-token"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	s.web.ServeHTTP(rec, req)
	cookie := rec.Header().Get("Set-Cookie")
	for _, want := range []string{"__Host-signet-session=", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("Set-Cookie %q lacks %s", cookie, want)
		}
	}
}

func TestScopesHoldForPages(t *testing.T) { onEach(t, testScopesHoldForPages) }

func testScopesHoldForPages(t *testing.T, s *site) {
	s.token("acme", "reader", store.ScopeReceiptsRead)
	v := s.visitor(t)
	v.login("reader")
	if resp, _ := v.get("/receipts"); resp.StatusCode != http.StatusOK {
		t.Errorf("receipts: %s", resp.Status)
	}
	for _, path := range []string{"/receipts?cursor=AAAA", "/receipts?from=yesterday", "/chains/' OR 1=1", "/usage?month=13", "/nothing"} {
		if resp, _ := v.get(strings.ReplaceAll(path, " ", "%20")); resp.StatusCode < 400 || resp.StatusCode >= 500 {
			t.Errorf("GET %s: %s", path, resp.Status)
		}
	}
	if resp, body := v.get("/export"); resp.StatusCode != http.StatusForbidden || !strings.Contains(body, "lacks the scope export") {
		t.Errorf("export: %s", resp.Status)
	}
}
