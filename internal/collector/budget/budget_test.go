package budget_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/budget"
)

func TestLocal(t *testing.T) {
	now := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	b := budget.NewLocal(budget.Limit{PerSecond: 10, Burst: 100}, func() time.Time { return now })
	for _, step := range []struct {
		who   string
		n     int
		after time.Duration // since the step before
		wait  time.Duration
	}{
		{"a", 60, 0, 0},
		{"a", 60, 0, 2 * time.Second}, // 40 are left
		{"a", 40, 0, 0},               // and nothing was taken by the step before
		{"b", 100, 0, 0},
		{"a", 20, time.Second, time.Second},
		{"a", 20, time.Second, 0},
		{"a", 100, time.Minute, 0}, // no more than a burst came back
		{"a", 1, 0, 100 * time.Millisecond},
	} {
		now = now.Add(step.after)
		if wait := b.Take(t.Context(), step.who, step.n); wait != step.wait {
			t.Errorf("%+v: got %s", step, wait)
		}
	}
}

// Whoever makes names up makes the table no longer than it may be.
func TestLocalIsBounded(t *testing.T) {
	b := budget.NewLocal(budget.Limit{PerSecond: 1, Burst: 1}, time.Now)
	for i := range 25_000 {
		b.Take(t.Context(), fmt.Sprint(i), 1)
		if n := b.Holders(); n > 10_000 {
			t.Fatalf("%d holders", n)
		}
	}
}
