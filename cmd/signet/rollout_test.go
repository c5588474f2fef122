package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-egress/signet/receipts"
)

// rolloutEvidence is the sample chain, with public addresses and a report
// period behind it.
func rolloutEvidence() *evidence {
	e := sampleEvidence()
	internal := e.exchange(receipts.Forwarded, "HEL_HOST_NOT_ALLOWED", "internal.example")
	internal.Policy.Allowed, internal.Policy.Mode = false, "report"
	internal.Detail.Request.Method, internal.Detail.Request.Path = "CONNECT", ""
	internal.Detail.TLS = &receipts.TLS{Mode: "tunnel"}
	internal.Detail.Forwarded = &receipts.ForwardedTo{PinnedIP: "10.20.0.9", Port: 443}
	e.add(internal)
	withheld := e.exchange(receipts.Forwarded, "ok", "hidden.example")
	e.add(withheld)
	withheld.Detail = nil
	e.lines[len(e.lines)-1] = receipts.Append(nil, withheld)
	return e
}

func TestRollout(t *testing.T) {
	data := filepath.Join(t.TempDir(), "records.jsonl")
	writeFile(t, data, jsonLines(rolloutEvidence().lines))
	empty := filepath.Join(t.TempDir(), "empty.jsonl")
	writeFile(t, empty, nil)
	const narrow, wide = "--policy=testdata/rollout/narrow.yaml", "--policy=testdata/rollout/wide.yaml"
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"suggest", []string{"suggest", data}},
		{"suggest-min", []string{"suggest", "--min=2", data}},
		{"suggest-json", []string{"suggest", "--json", data}},
		{"suggest-none", []string{"suggest"}},
		{"suggest-nowhere", []string{"suggest", "testdata/rollout/nowhere"}},
		{"suggest-no-records", []string{"suggest", "testdata/rollout/wide.yaml"}},
		{"replay-narrow", []string{"replay", narrow, data}},
		{"replay-narrow-json", []string{"replay", narrow, "--json", data}},
		{"replay-wide", []string{"replay", wide, data}},
		{"replay-twice", []string{"replay", wide, data, data}},
		{"replay-no-policy", []string{"replay", data}},
		{"replay-bad-policy", []string{"replay", "--policy=testdata/check/bad.yaml", data}},
		{"replay-empty", []string{"replay", wide, empty}},
		{"suggest-empty", []string{"suggest", empty}},
		{"replay-none", []string{"replay", wide}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			golden(t, "rollout/"+tt.name, strings.ReplaceAll(signet(t, tt.args...), data, "records.jsonl"))
		})
	}
}

// TestRolloutLoop: a proposal is a policy that breaks nothing, from every kind of
// DATA there is.
func TestRolloutLoop(t *testing.T) {
	dir := t.TempDir()
	records := jsonLines(rolloutEvidence().lines)
	data := filepath.Join(dir, "records.jsonl")
	writeFile(t, data, records)

	var out bytes.Buffer
	suggest := newRootCommand()
	suggest.SetArgs([]string{"suggest", "-"})
	suggest.SetIn(bytes.NewReader(records))
	suggest.SetOut(&out)
	if err := suggest.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	proposal := filepath.Join(dir, "proposal.yaml")
	writeFile(t, proposal, out.Bytes())
	if got := signet(t, "replay", "--policy", proposal, data); !strings.Contains(got, " 0 newly denied") || !strings.HasSuffix(got, "exit status 0\n") {
		t.Errorf("%s\n%s", out.String(), got)
	}
}

// TestRolloutFromSidecars reads a stopped sidecar's journal, and a running one's
// through its admin socket.
func TestRolloutFromSidecars(t *testing.T) {
	const wide = "--policy=testdata/rollout/wide.yaml"
	if got := signet(t, "replay", wide, closedJournal(t)); !strings.Contains(got, "TARGET") || !strings.HasSuffix(got, "exit status 0\n") {
		t.Error(got)
	}
	data := t.TempDir()
	proxy, stop := startSidecar(t, data)
	ask(t, proxy, "http://first.example/")
	for _, path := range []string{data, filepath.Join(data, "admin.sock")} {
		if got := signet(t, "suggest", path); !strings.Contains(got, "first.example: HEL_HOST_NOT_ALLOWED, once") {
			t.Errorf("%s: %s", path, got)
		}
	}
	stop()
	if got := signet(t, "suggest", data); !strings.Contains(got, "first.example: HEL_HOST_NOT_ALLOWED, once") {
		t.Error(got)
	}
}
