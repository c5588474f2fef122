package receipts

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestTraces(t *testing.T) {
	traces := newTraces(2)
	put := func(id string, seq, wantHop int64, wantPrev, wantForgotten string) {
		t.Helper()
		hop, prev := traces.Next(id)
		if hop != wantHop || prev != wantPrev {
			t.Errorf("seq %d: hop %d after %q, want %d after %q", seq, hop, prev, wantHop, wantPrev)
		}
		if got := traces.Put(id, hop, fmt.Sprint("hash-", seq), seq); got != wantForgotten {
			t.Errorf("seq %d pushed out %q, want %q", seq, got, wantForgotten)
		}
	}
	put("a", 2, 1, "", "")
	put("b", 3, 1, "", "")
	put("a", 4, 2, "hash-2", "")
	put("c", 5, 1, "", "b")
	put("a", 6, 3, "hash-4", "")
	put("b", 7, 1, "", "c")
}

// The memory agrees with a plain model of it, and does not depend on the order
// in which a stored one is loaded.
func TestTracesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 4
		type entry struct {
			id, hash string
			hop, seq int64
		}
		var model []entry // by last use
		traces := newTraces(limit)
		for seq := range rapid.Int64Range(1, 60).Draw(t, "receipts") {
			id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "trace")
			next := entry{id: id, hop: 1, seq: seq, hash: fmt.Sprint(seq)}
			prev := ""
			if i := slices.IndexFunc(model, func(e entry) bool { return e.id == id }); i >= 0 {
				next.hop, prev = model[i].hop+1, model[i].hash
				model = slices.Delete(model, i, i+1)
			}
			model = append(model, next)
			forgotten := ""
			if len(model) > limit {
				forgotten, model = model[0].id, model[1:]
			}
			if hop, gotPrev := traces.Next(id); hop != next.hop || gotPrev != prev {
				t.Fatalf("seq %d: hop %d after %q, want %d after %q", seq, hop, gotPrev, next.hop, prev)
			}
			if got := traces.Put(id, next.hop, next.hash, seq); got != forgotten {
				t.Fatalf("seq %d pushed out %q, want %q", seq, got, forgotten)
			}
		}
		loaded := newTraces(limit)
		for _, e := range rapid.Permutation(model).Draw(t, "stored") {
			loaded.Put(e.id, e.hop, e.hash, e.seq)
		}
		for _, e := range model {
			if len(loaded.used) == limit {
				if got := loaded.Put("new "+e.id, 1, "", 1000+e.seq); got != e.id {
					t.Fatalf("loaded in another order, it forgets %q before %q", got, e.id)
				}
			}
		}
	})
}

func TestRecentIDs(t *testing.T) {
	ids := newRecentIDs(2)
	ids.add("a")
	ids.add("b")
	if !ids.has("a") || !ids.has("b") {
		t.Error("forgotten too early")
	}
	ids.add("c")
	if ids.has("a") || !ids.has("b") || !ids.has("c") {
		t.Error("the window is not the last two")
	}
}
