package main

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/goldenfile"
)

// What tenants keep and may keep, as an operator sets and sees it.
func TestQuota(t *testing.T) {
	data := t.TempDir()
	all := &transcript{t: t, data: data}
	all.show("tenant", "create", "acme", "--quota", "10GiB")
	all.show("tenant", "create", "beta")
	all.show("tenant", "create", "gamma", "--quota", "1.5TB")
	enrolled(t, data, "01a21a8c-09f8-7469-ac93-702500ea7d1a")
	keep(t, data, 123_456, time.Now())
	all.show("tenant", "list")
	all.show("tenant", "quota", "beta", "250kB")
	all.show("tenant", "quota", "gamma", "none")
	all.show("tenant", "quota", "nobody", "1GB")
	all.show("tenant", "quota", "beta", "a lot")
	all.show("tenant", "list", "--json")
	created := regexp.MustCompile(`2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	goldenfile.Compare(t, "quota.golden", created.ReplaceAllString(all.String(), "2026-11-23T03:04:05Z"))
}

// keep has tenant acme keep a record of so many bytes.
func keep(t *testing.T, data string, bytes int, at time.Time) {
	t.Helper()
	kept, err := collector.OpenStore(t.Context(), "sqlite:"+filepath.Join(data, "collector.db"))
	if err != nil {
		t.Fatal(err)
	}
	const chain = "01a21a8c-09f8-7469-ac93-702500ea7d1a"
	_, err = kept.Append(t.Context(), "acme", &store.Batch{Chain: chain, Received: at, Records: []store.Record{{
		Chain: chain, Seq: 1, Type: "signet.genesis/1", TS: at, Received: at, Hash: "sha256:" + strings.Repeat("0", 64), Line: make([]byte, bytes),
	}}})
	if err := errors.Join(err, kept.Close()); err != nil {
		t.Fatal(err)
	}
}
