package web_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// copied is a visitor who has the cookies that another has now, at any replica.
func (v *visitor) copied(s *site) *visitor {
	v.t.Helper()
	thief := s.visitor(v.t)
	from, err := url.Parse(v.base)
	if err != nil {
		v.t.Fatal(err)
	}
	to, err := url.Parse(thief.base)
	if err != nil {
		v.t.Fatal(err)
	}
	thief.client.Jar.SetCookies(to, v.client.Jar.Cookies(from))
	return thief
}

// wantIn wants a visitor to be logged in, or not to be.
func (v *visitor) wantIn(what string, in bool) {
	v.t.Helper()
	want := http.StatusSeeOther
	if in {
		want = http.StatusOK
	}
	if resp, _ := v.get("/"); resp.StatusCode != want {
		v.t.Errorf("%s: %s", what, resp.Status)
	}
}

func (v *visitor) logout(form url.Values) {
	v.t.Helper()
	if resp, body := v.post("/logout", form); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/login" {
		v.t.Fatalf("logout: %s %s", resp.Status, body)
	}
}

// cookie is the value that a visitor's browser keeps.
func (v *visitor) cookie() string {
	v.t.Helper()
	base, err := url.Parse(v.base)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.client.Jar.Cookies(base) {
		return c.Value
	}
	return ""
}

func (v *visitor) setCookie(value string) {
	v.t.Helper()
	base, err := url.Parse(v.base)
	if err != nil {
		v.t.Fatal(err)
	}
	v.client.Jar, err = cookiejar.New(nil)
	if err != nil {
		v.t.Fatal(err)
	}
	v.client.Jar.SetCookies(base, []*http.Cookie{{Name: "signet-session", Value: value}})
}

// Whoever has copied a cookie has nothing of it after the logout, at no replica.
func TestLogoutEndsTheSession(t *testing.T) { onEach(t, testLogoutEndsTheSession) }

func testLogoutEndsTheSession(t *testing.T, s *site) {
	replica := s.replica()
	v, elsewhere := s.visitor(t), replica.visitor(t)
	v.login("acme-token")
	elsewhere.login("acme-token")
	here, there := v.copied(s), v.copied(replica)
	here.wantIn("the copy, before", true)
	there.wantIn("the copy at a replica, before", true)
	v.logout(nil)
	v.wantIn("after the logout", false)
	here.wantIn("the copy", false)
	there.wantIn("the copy at a replica", false)
	elsewhere.wantIn("another session of the token", true)

	v.login("acme-token")
	here, other := v.copied(s), s.visitor(t)
	other.login("other-token")
	v.logout(url.Values{"everywhere": {"1"}})
	for what, visitor := range map[string]*visitor{"the session": v, "its copy": here, "the session at a replica": elsewhere} {
		visitor.wantIn(what+", after logging out everywhere", false)
	}
	other.wantIn("another token's session", true)
	if resp, body := v.post("/logout", url.Values{"everywhere": {"1"}}); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "has ended before") {
		t.Errorf("twice: %s %s", resp.Status, body)
	}

	// A page that was left open for longer than its session still ends the others.
	v.login("acme-token")
	s.now = s.now.Add(store.SessionIdle - time.Minute)
	elsewhere.login("acme-token")
	s.now = s.now.Add(2 * time.Minute)
	v.logout(url.Values{"everywhere": {"1"}})
	elsewhere.wantIn("another session, after one that was over has logged out everywhere", false)
}

// A login is a new session, whatever the browser had before.
func TestLoginBeginsANewSession(t *testing.T) { onEach(t, testLoginBeginsANewSession) }

func testLoginBeginsANewSession(t *testing.T, s *site) {
	v := s.visitor(t)
	v.login("acme-token")
	before, first := v.copied(s), v.cookie()
	v.login("acme-token")
	if v.cookie() == first {
		t.Error("the second login has the secret of the first")
	}
	before.wantIn("the session from before the login", false)
	v.setCookie(strings.Repeat("A", 43)) // that somebody else knows
	v.login("acme-token")
	if v.cookie() == strings.Repeat("A", 43) {
		t.Error("the login has kept a secret that it did not make")
	}
}

func TestSessionsEnd(t *testing.T) { onEach(t, testSessionsEnd) }

func testSessionsEnd(t *testing.T, s *site) {
	v := s.visitor(t)
	if resp, body := v.post("/login", url.Values{"token": {"nobody"}}); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "not known") {
		t.Errorf("a token that is not known: %s", resp.Status)
	}
	v.login("acme-token")
	for range 12 { // each within the idle time of the one before
		v.wantIn("a session that is used", true)
		s.now = s.now.Add(store.SessionIdle - time.Second)
	}
	v.wantIn("until the end of the working day", true)
	s.now = s.now.Add(time.Minute)
	v.wantIn("after a working day", false)
	v.login("acme-token")
	s.now = s.now.Add(store.SessionIdle)
	v.wantIn("after an hour without use", false)

	v.login("acme-token")
	copied, secret := v.copied(s), v.cookie()
	for what, value := range map[string]string{
		"made up": strings.Repeat("A", 43), "too short": secret[:42], "too long": secret + "A", "no base64url": strings.Repeat("!", 43),
		"changed": flipped(secret), "of the sealed form": strings.Repeat("A", 90),
	} {
		v.setCookie(value)
		v.wantIn("with a cookie that is "+what, false)
	}
	copied.wantIn("with the cookie as it was", true)
	tokens, err := s.store.Tokens(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.RevokeToken(t.Context(), "acme", tokens[0].ID, s.now); err != nil {
		t.Fatal(err)
	}
	copied.wantIn("after the token was revoked", false)

	brief := store.Token{ID: "brief", Tenant: "acme", Digest: digest("brief"), Scopes: store.Scopes(), Created: s.now, Expires: s.now.Add(time.Minute)}
	if err := s.store.AddToken(t.Context(), brief); err != nil {
		t.Fatal(err)
	}
	v.login("brief")
	v.wantIn("before the token expires", true)
	s.now = brief.Expires
	v.wantIn("after the token has expired", false)
}

// flipped has another first letter.
func flipped(secret string) string {
	if secret[0] == 'A' {
		return "B" + secret[1:]
	}
	return "A" + secret[1:]
}

// A script that logs in again and again ends its own sessions, and no others.
func TestSessionsOfATokenAreBounded(t *testing.T) { onEach(t, testSessionsOfATokenAreBounded) }

func testSessionsOfATokenAreBounded(t *testing.T, s *site) {
	first, other := s.visitor(t), s.visitor(t)
	first.login("acme-token")
	other.login("other-token")
	for range store.MaxSessions {
		s.now = s.now.Add(time.Second)
		s.visitor(t).login("acme-token")
	}
	first.wantIn("the first of too many sessions", false)
	other.wantIn("another token's", true)
}

// A page that is asked for by another method than its own is there, and says so.
func TestOtherMethodsAreNotAllowed(t *testing.T) { onEach(t, testOtherMethodsAreNotAllowed) }

func testOtherMethodsAreNotAllowed(t *testing.T, s *site) {
	v := s.visitor(t)
	v.login("acme-token")
	for path, allowed := range map[string]string{
		"/": "GET, HEAD", "/receipts": "GET, HEAD", "/receipts/x": "GET, HEAD", "/traces/x": "GET, HEAD", "/chains": "GET, HEAD", "/chains/x": "GET, HEAD",
		"/usage": "GET, HEAD", "/static/style.css": "GET, HEAD", "/login": "GET, HEAD, POST", "/export": "GET, HEAD, POST", "/logout": "POST",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
			taken := strings.Contains(allowed, method)
			if taken && (method == http.MethodPost || path == "/logout") {
				continue // it is tested where it does something
			}
			req, err := http.NewRequestWithContext(t.Context(), method, v.base+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, body := v.do(req)
			if refused := resp.StatusCode == http.StatusMethodNotAllowed; refused == taken || refused && resp.Header.Get("Allow") != allowed {
				t.Errorf("%s %s: %s, Allow %q; want %q\n%s", method, path, resp.Status, resp.Header.Get("Allow"), allowed, body)
			}
		}
	}
	if resp, _ := v.post("/nothing", nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a page that is not there: %s", resp.Status)
	}
}
