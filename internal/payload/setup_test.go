package payload

import (
	"context"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/policy"
)

const rules = `version: 1
rules:
  - {name: bank, hosts: [bank.test, erp.test], intercept: true}
contracts:
`

// load compiles contracts, in YAML as list entries.
func load(t testing.TB, contracts string, schemas ...File) *Set {
	t.Helper()
	set, err := tryLoad(contracts, schemas...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func tryLoad(contracts string, schemas ...File) (*Set, error) {
	files := []File{{Path: "p.yaml", Data: []byte(rules + contracts)}}
	p, err := policy.Compile(files)
	if err != nil {
		return nil, err
	}
	return Compile(files, schemas, p)
}

func newInspector() *Inspector {
	return &Inspector{Limit: 10_000_000, Budget: NewBudget(DefaultBudget)}
}

// inspect takes a body through the one contract of a set.
func inspect(t testing.TB, i *Inspector, set *Set, r Request, body string) *Result {
	t.Helper()
	r.Body, r.Length = strings.NewReader(body), int64(len(body))
	r.Tenant, r.Agent, r.Trace = "acme", "tester", "trace"
	result, err := i.Inspect(context.Background(), set.contracts[0], &r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(result.Release)
	return result
}

// reason is why a body was refused; ok where it was not.
func reason(r *Result) policy.Reason {
	if r.Refusal == nil {
		return policy.OK
	}
	return r.Refusal.Reason
}
