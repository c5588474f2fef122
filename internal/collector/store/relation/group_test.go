package relation

import (
	"reflect"
	"testing"

	"github.com/signet-egress/signet/internal/collector/store"
)

// A group has one batch a chain and no more records than it may; what does not go
// into it keeps its place in the queue.
func TestGroups(t *testing.T) {
	var all appends
	q := all.queue("acme")
	if all.queue("acme") != q || all.queue("beta") == q {
		t.Error("a tenant does not have a queue of its own")
	}
	var joined []*appending
	for _, b := range []struct {
		chain   string
		records int
	}{{"c", 300}, {"b", 300}, {"a", 500}, {"c", 1}, {"d", 400}, {"e", groupRecords + 1}} {
		a := &appending{batch: &store.Batch{Chain: b.chain, Records: make([]store.Record, b.records)}}
		joined = append(joined, a)
		q.join(a)
	}
	c1, b, a, c2, d, e := joined[0], joined[1], joined[2], joined[3], joined[4], joined[5]
	for _, step := range []struct {
		first         *appending
		want, waiting []*appending
	}{
		{b, []*appending{b, c1, d}, []*appending{a, c2, e}},
		{b, nil, []*appending{a, c2, e}},
		{e, []*appending{e}, []*appending{a, c2}},
		{a, []*appending{a, c2}, []*appending{}},
	} {
		if got := q.take(step.first); !reflect.DeepEqual(got, step.want) {
			t.Errorf("%s takes %d batches, want %d", step.first.batch.Chain, len(got), len(step.want))
		}
		if !reflect.DeepEqual(q.waiting, step.waiting) {
			t.Errorf("behind %s %d batches wait, want %d", step.first.batch.Chain, len(q.waiting), len(step.waiting))
		}
	}
	q.join(d)
	if !q.leave(d) || q.leave(d) {
		t.Error("a batch does not leave once")
	}
}
