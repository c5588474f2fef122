package main

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/goldenfile"
)

// How records come to be removed, as an operator has them removed and sees it.
func TestPrune(t *testing.T) {
	data := t.TempDir()
	all := &transcript{t: t, data: data}
	all.show("tenant", "create", "acme")
	all.show("tenant", "create", "beta")
	enrolled(t, data, "01a21a8c-09f8-7469-ac93-702500ea7d1a")
	keep(t, data, 123_456, time.Now().AddDate(-2, 0, 0))
	logged(t, data)
	all.show("prune")
	all.show("tenant", "retention", "acme", "13mo")
	all.show("tenant", "retention", "nobody", "13mo")
	all.show("tenant", "retention", "acme", "13")
	all.show("prune", "--dry-run")
	all.show("prune", "--dry-run", "--json")
	all.show("prune", "acme")
	all.show("prune", "--json")
	all.show("prune", "nobody")
	all.show("prune", "beta")
	all.show("tenant", "list")
	all.show("tenant", "list", "--json")
	text := regexp.MustCompile(`2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z`).ReplaceAllString(all.String(), "2026-11-23T03:04:05Z")
	text = regexp.MustCompile(`2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ`).ReplaceAllString(text, "2026-11-23T03:04:05Z")
	goldenfile.Compare(t, "prune.golden", regexp.MustCompile(`2\d{3}-\d\d-01\b`).ReplaceAllString(text, "2025-10-01"))
}

// logged has the log take in what acme keeps.
func logged(t *testing.T, data string) {
	t.Helper()
	kept, err := collector.OpenStore(t.Context(), "sqlite:"+filepath.Join(data, "collector.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = kept.Sequence(t.Context(), "acme", 1, func(_ context.Context, _ store.LogState, _ [][32]byte, _ func(int, int64) ([]byte, error)) (store.Growth, error) {
		return store.Growth{State: store.LogState{Size: 1}}, nil
	})
	if err := errors.Join(err, kept.Close()); err != nil {
		t.Fatal(err)
	}
}
