package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/goldenfile"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/logproof"
)

// verdict is what a verifier says.
type verdict struct {
	Verified bool
	Seq      int64
	Cause    receipts.Cause
}

func (v verdict) String() string {
	switch {
	case v.Verified:
		return "good"
	case v.Cause == CauseLayout:
		return "layout"
	case v.Seq == 0:
		return fmt.Sprintf("manifest: %s", v.Cause)
	}
	return fmt.Sprintf("seq %d: %s", v.Seq, v.Cause)
}

func verdictOf(t *testing.T, err error) verdict {
	t.Helper()
	var (
		bad  *receipts.VerifyError
		made *Error
	)
	switch {
	case err == nil:
		return verdict{Verified: true}
	case errors.As(err, &bad):
		return verdict{Seq: bad.Seq, Cause: bad.Cause}
	case errors.As(err, &made):
		return verdict{Cause: made.Cause}
	}
	t.Fatalf("no verdict: %v", err)
	return verdict{}
}

// inputs are files that both verifiers are to judge, with the verdicts of the
// first.
type inputs struct {
	t     *testing.T
	dir   string
	paths []string
	first []verdict
}

func (in *inputs) write(data []byte, err error) verdict {
	in.t.Helper()
	path := filepath.Join(in.dir, fmt.Sprint(len(in.paths)))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		in.t.Fatal(err)
	}
	v := verdictOf(in.t, err)
	in.paths, in.first = append(in.paths, path), append(in.first, v)
	return v
}

func (in *inputs) bundle(data []byte, pinned *receipts.KeySet) verdict {
	in.t.Helper()
	return in.demanding(nil, data, pinned)
}

// demanding wants the bundle to meet a policy, which agree must be told of too.
func (in *inputs) demanding(policy *logproof.Policy, data []byte, pinned *receipts.KeySet) verdict {
	in.t.Helper()
	r, err := Open(bytes.NewReader(data), int64(len(data)))
	if err == nil {
		r.Demand(policy)
		_, err = r.Verify(pinned, nil)
	}
	return in.write(data, err)
}

// lines also holds the two ways of the first verifier against each other.
func (in *inputs) lines(lines [][]byte, pinned *receipts.KeySet) verdict {
	in.t.Helper()
	one, all := receipts.NewVerifier(pinned), receipts.NewVerifier(pinned)
	p := all.Pipeline()
	for _, line := range lines {
		_ = one.Add(line) // Result tells
		_ = p.Add(line)
	}
	_, err := one.Result()
	if parallel := p.Close(); (err == nil) != (parallel == nil) || err != nil && err.Error() != parallel.Error() {
		in.t.Errorf("one by one: %v; in parallel: %v", err, parallel)
	}
	return in.write(jsonLines(lines), err)
}

// agree has the second verifier judge them too, with the options that say what the
// first was told.
func (in *inputs) agree(jwks []byte, options ...string) {
	in.t.Helper()
	keys := filepath.Join(in.dir, "keys.json")
	if err := os.WriteFile(keys, jwks, 0o600); err != nil {
		in.t.Fatal(err)
	}
	args := slices.Concat([]string{"--json", "--jwks", keys}, options, in.paths)
	r := testkit.PythonFile(in.t, "python3-cryptography", "cryptography", "../../docs/verify/signet_verify.py", args...)
	second := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	if len(second) != len(in.first) {
		in.t.Fatalf("the second verifier gave %d verdicts on %d files:\n%s", len(second), len(in.first), r.Stderr)
	}
	for i := range second {
		var got verdict
		if err := json.Unmarshal([]byte(second[i]), &got); err != nil {
			in.t.Fatalf("%s: %v", second[i], err)
		}
		got = verdict{Verified: got.Verified, Seq: got.Seq, Cause: got.Cause}
		if got != in.first[i] {
			in.t.Errorf("%s: the first verifier says %v, the second %s", in.paths[i], in.first[i], second[i])
		}
	}
	if !slices.Contains(in.first, verdict{Verified: true}) {
		in.t.Error("no good input among them: a verifier that refuses everything would agree")
	}
}

// nameOf is a record's type, and an event's kind.
func nameOf(v map[string]any) string {
	text, _ := v["type"].(string)
	if kind, ok := v["event"].(string); ok {
		return text + " " + kind
	}
	return text
}

// Every change of one member of every record is refused at that record, by both
// verifiers and for the same cause: made by somebody who can only write, and by
// somebody who also makes the hashes right.
func TestEveryMember(t *testing.T) {
	c := everyRecord()
	keys := keySet(t, c.keys...)
	in := &inputs{t: t, dir: t.TempDir()}
	table := fmt.Sprintf("%-26s %-40s %-8s %-32s %s\n", "RECORD", "MEMBER", "CHANGE", "REFUSED AS", "WITH HASHES MADE RIGHT")
	seen := map[string]bool{}
	for i := range c.lines {
		from, to := max(0, i-1), min(len(c.lines), i+2)
		manifest := manifestOf(t, c.options(), c.lines[from:to])
		if v := in.bundle(forge(t, c.lines[from:to], manifest), keys); !v.Verified {
			t.Fatalf("unchanged: %v", v)
		}
		record := parseLine(t, c.lines[i])
		name := nameOf(record)
		if seen[name] {
			continue
		}
		seen[name] = true
		place := []int64{Seq(c.lines[i]), Seq(c.lines[max(0, i-1)]) + 1} // what it says, or what the record before asks for
		for n, m := range mutations("", record) {
			var verdicts []string
			for _, again := range []func(*testing.T, map[string]any){func(*testing.T, map[string]any) {}, rehash} {
				changed := parseLine(t, c.lines[i])
				mutations("", changed)[n].apply()
				again(t, changed)
				lines := slices.Clone(c.lines[from:to])
				if lines[i-from] = canonicalLine(t, changed); bytes.Equal(lines[i-from], c.lines[i]) {
					verdicts = append(verdicts, "the same record again")
					continue
				}
				v := in.bundle(forge(t, lines, manifest), keys)
				in.lines(lines, keys)
				if v.Verified || !slices.Contains(place, v.Seq) && m.path != "chain.seq" {
					t.Errorf("%s: %s %s: %v", name, m.path, m.change, v)
				}
				verdicts = append(verdicts, v.String())
			}
			table += fmt.Sprintf("%-26s %-40s %-8s %-32s %s\n", name, strings.TrimPrefix(m.path, "."), m.change, verdicts[0], verdicts[1])
		}
	}
	goldenfile.Compare(t, "members.golden", table)
	in.agree(receipts.JWKS(c.keys...))
}
