package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/collector/store"
)

// listed are tenants, by name.
type listed []store.Tenant

func (l listed) Tenants(_ context.Context, after string, limit int) ([]store.Tenant, error) {
	i, there := slices.BinarySearchFunc(l, after, func(t store.Tenant, name string) int { return strings.Compare(t.Name, name) })
	if there {
		i++
	}
	return l[i:min(i+limit, len(l))], nil
}

func TestEachTenant(t *testing.T) {
	for _, n := range []int{0, 1, 999, 1000, 1001, 2500} {
		var all listed
		for i := range n {
			all = append(all, store.Tenant{Name: fmt.Sprintf("t%04d", i)})
		}
		var seen listed
		if err := store.EachTenant(t.Context(), all, func(t store.Tenant) error {
			seen = append(seen, t)
			return nil
		}); err != nil || !slices.Equal(seen, all) {
			t.Errorf("of %d tenants %d are seen, %v", n, len(seen), err)
		}
	}
	calls := 0
	if err := store.EachTenant(t.Context(), listed{{Name: "a"}, {Name: "b"}}, func(store.Tenant) error {
		calls++
		return io.EOF
	}); !errors.Is(err, io.EOF) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
