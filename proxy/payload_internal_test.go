package proxy

import (
	"io"
	"strings"
	"testing"
)

// An answer is kept as far as there is room, which is given back; the agent has
// all of it in any case.
func TestKeptAnswers(t *testing.T) {
	for _, tt := range []struct {
		size, limit, room int
		kept              bool
	}{
		{1 << 20, 1 << 20, 1 << 20, true},
		{0, 0, 0, true},
		{1<<20 + 1, 1 << 20, 2 << 20, false},
		{1 << 20, 2 << 20, 1<<20 - 1, false},
	} {
		held := 0
		k := &kept{Reader: strings.NewReader(strings.Repeat("x", tt.size)), limit: tt.limit, hold: func(n int) bool {
			if n > 0 && held+n > tt.room {
				return false
			}
			held += n
			return true
		}}
		n, err := io.Copy(io.Discard, k)
		if err != nil || int(n) != tt.size || k.over == tt.kept || tt.kept && (len(k.body) != tt.size || held != tt.size) || !tt.kept && held != 0 {
			t.Errorf("%+v: %d passed, %d kept, %d held, %v", tt, n, len(k.body), held, err)
		}
		k.drop()
		if held != 0 {
			t.Errorf("%+v: %d bytes are held for nobody", tt, held)
		}
	}
	(*kept)(nil).drop() // of an exchange that keeps nothing
}
