package ship

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/api"
)

// A certificate is renewed when two thirds of its time are over, whatever the clock of
// the sidecar says, here and, from the file, after a restart. One whose clock was set
// back since is renewed at once, since nobody knows how much of its time is over.
func TestClocksThatAreOff(t *testing.T) {
	issued := &api.Credential{ExpiresInMs: (24 * time.Hour).Milliseconds(), RenewInMs: (16 * time.Hour).Milliseconds()}
	for _, off := range []time.Duration{0, time.Minute, 17 * time.Hour, 30 * time.Hour, 400 * 24 * time.Hour, -time.Minute, -17 * time.Hour, -400 * 24 * time.Hour} {
		asked := time.Now().Add(off)
		c := &credential{Address: "a", Chain: "c"}
		c.since(asked, issued)
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		kept := new(credential)
		if err := json.Unmarshal(text, kept); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]*credential{"in memory": c, "from the file": kept} {
			for _, at := range []struct {
				after       time.Duration
				due, usable bool
			}{
				{0, false, true},
				{15 * time.Hour, false, true},
				{16*time.Hour + time.Second, true, true},
				{24*time.Hour + time.Second, true, false},
				{-time.Second, true, true},
				{-20 * time.Hour, true, true},
			} {
				now := asked.Add(at.after)
				if due, usable := c.due(now), c.usable("a", "c", now); due != at.due || usable != at.usable {
					t.Errorf("%s, with a clock that is %s off, after %s: due %t, usable %t", name, off, at.after, due, usable)
				}
			}
		}
	}
}
