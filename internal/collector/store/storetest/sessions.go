package storetest

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

func testSessions(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, "beta")
	tokens := make(map[string]store.Token)
	for i, id := range []string{"one", "two"} {
		token := store.Token{ID: id, Tenant: []string{"acme", "beta"}[i], Digest: sha256.Sum256([]byte(id)), Scopes: []store.Scope{store.ScopeExport}, Created: day}
		must(t, s.AddToken(ctx, token))
		tokens[id] = token
	}
	begin := func(token string, n int) store.Session {
		t.Helper()
		at := day.Add(time.Duration(n) * time.Minute)
		begun := store.Session{Digest: sha256.Sum256(fmt.Append(nil, token, n)), Token: tokens[token], Begun: at, Used: at}
		must(t, s.BeginSession(ctx, begun))
		return begun
	}
	gone := func(what string, session store.Session) {
		t.Helper()
		_, err := s.Session(ctx, session.Digest)
		wantError(t, what, err, store.ErrNotFound)
	}
	a, b := begin("one", 0), begin("two", 0)
	same(t, "a session", get(s.Session(ctx, a.Digest))(t), a)
	wantError(t, "the same again", s.BeginSession(ctx, a), store.ErrExists)
	stray := a
	stray.Digest, stray.Token.Tenant = [32]byte{1}, "beta"
	wantError(t, "of a token of another tenant", s.BeginSession(ctx, stray), store.ErrNotFound)
	gone("a session that has not begun", stray)

	a.Used = day.Add(2 * time.Minute)
	must(t, s.UseSession(ctx, a.Digest, a.Used))
	must(t, s.UseSession(ctx, a.Digest, day)) // by a replica whose clock is behind
	same(t, "a used session", get(s.Session(ctx, a.Digest))(t), a)

	must(t, s.RevokeToken(ctx, "acme", "one", day.Add(time.Hour)))
	a.Token.Revoked = day.Add(time.Hour)
	same(t, "of a token that has ended", get(s.Session(ctx, a.Digest))(t), a)

	must(t, s.EndSession(ctx, a.Digest))
	must(t, s.EndSession(ctx, a.Digest))
	gone("a session that has ended", a)
	same(t, "another", get(s.Session(ctx, b.Digest))(t), b)

	// The first of too many ends.
	all := []store.Session{b}
	for i := range store.MaxSessions {
		all = append(all, begin("two", i+1))
	}
	gone("the first of too many", all[0])
	for i := range all[1:] {
		same(t, "one of many", get(s.Session(ctx, all[i+1].Digest))(t), all[i+1])
	}
	must(t, s.EndSessions(ctx, "acme", "two")) // it is not acme's
	same(t, "swept", get(s.SweepSessions(ctx, all[3].Used))(t), 2)
	gone("a swept session", all[2])
	same(t, "one that was used", get(s.Session(ctx, all[3].Digest))(t), all[3])
	must(t, s.EndSessions(ctx, "beta", "two"))
	gone("one of all that have ended", all[3])
	same(t, "nothing to sweep", get(s.SweepSessions(ctx, day.AddDate(1, 0, 0)))(t), 0)
}
