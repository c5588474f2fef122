package main

import (
	"errors"
	"fmt"
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
	var all strings.Builder
	show := func(args ...string) {
		t.Helper()
		stdout, stderr, err := command(t, append(args, "--data", data)...)
		fmt.Fprintf(&all, "$ signet-collector %s\n%s%s", strings.Join(args, " "), stdout, stderr)
		if err != nil {
			fmt.Fprintln(&all, "signet-collector:", err)
		}
		all.WriteByte('\n')
	}
	show("tenant", "create", "acme", "--quota", "10GiB")
	show("tenant", "create", "beta")
	show("tenant", "create", "gamma", "--quota", "1.5TB")
	enrolled(t, data, "01a21a8c-09f8-7469-ac93-702500ea7d1a")
	keep(t, data, 123_456)
	show("tenant", "list")
	show("tenant", "quota", "beta", "250kB")
	show("tenant", "quota", "gamma", "none")
	show("tenant", "quota", "nobody", "1GB")
	show("tenant", "quota", "beta", "a lot")
	show("tenant", "list", "--json")
	created := regexp.MustCompile(`2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	goldenfile.Compare(t, "quota.golden", created.ReplaceAllString(all.String(), "2026-11-23T03:04:05Z"))
}

// keep has tenant acme keep a record of so many bytes.
func keep(t *testing.T, data string, bytes int) {
	t.Helper()
	kept, err := collector.OpenStore(t.Context(), "sqlite:"+filepath.Join(data, "collector.db"))
	if err != nil {
		t.Fatal(err)
	}
	const chain = "01a21a8c-09f8-7469-ac93-702500ea7d1a"
	_, err = kept.Append(t.Context(), "acme", &store.Batch{Chain: chain, Received: time.Now(), Records: []store.Record{{
		Chain: chain, Seq: 1, Type: "signet.genesis/1", TS: time.Now(), Received: time.Now(), Hash: "sha256:" + strings.Repeat("0", 64), Line: make([]byte, bytes),
	}}})
	if err := errors.Join(err, kept.Close()); err != nil {
		t.Fatal(err)
	}
}
