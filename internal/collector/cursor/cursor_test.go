package cursor

import (
	"errors"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

var (
	sealer = NewSealer([]byte("secret"))
	query  = store.ReceiptQuery{Host: "api.example", Outcome: "denied", From: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}
	place  = store.Cursor{TS: time.Date(2026, 11, 23, 3, 4, 5, 678e6, time.UTC), Chain: "0199f3a1-7c00-7000-8000-000000000001", Seq: 1842}
)

// A cursor leads to where it was made, and nowhere with anything else than it was
// made for.
func TestCursors(t *testing.T) {
	text, err := sealer.Seal("acme", &query, &place)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := sealer.Open("acme", &query, text); err != nil || *at != place {
		t.Errorf("got %+v, %v, want %+v", at, err, place)
	}
	other := query
	other.Host, other.Reason = "", query.Host // the same text elsewhere
	for name, open := range map[string]func() (*store.Cursor, error){
		"another tenant": func() (*store.Cursor, error) { return sealer.Open("other", &query, text) },
		"another query":  func() (*store.Cursor, error) { return sealer.Open("acme", &other, text) },
		"another secret": func() (*store.Cursor, error) { return NewSealer([]byte("other")).Open("acme", &query, text) },
	} {
		if at, err := open(); !errors.Is(err, ErrForeign) {
			t.Errorf("with %s it opens: %+v, %v", name, at, err)
		}
	}
}

// FuzzOpen: whatever opens is the one text that Seal writes for the place.
func FuzzOpen(f *testing.F) {
	text, err := sealer.Seal("acme", &query, &place)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text string) {
		at, err := sealer.Open("acme", &query, text)
		if err != nil {
			if at != nil || !errors.Is(err, ErrForeign) {
				t.Errorf("a place and the error %v", err)
			}
			return
		}
		if again, err := sealer.Seal("acme", &query, at); err != nil || again != text {
			t.Errorf("%q opens, and is sealed as %q, %v", text, again, err)
		}
	})
}
