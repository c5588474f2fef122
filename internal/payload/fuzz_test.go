package payload

import (
	"os"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/policy"
)

// FuzzContracts: whatever stands under contracts is refused with an error that
// names a place, or holds bodies without a panic, and lets only strict JSON go.
func FuzzContracts(f *testing.F) {
	example, err := os.ReadFile("../../examples/invoice/policy/policy.yaml")
	if err != nil {
		f.Fatal(err)
	}
	_, contracts, _ := strings.Cut(string(example), "contracts:\n")
	f.Add(contracts, `{"order":"PO-7","invoice_id":"INV","amount_minor":1,"currency":"EUR"}`)
	f.Add(mending, `{"amount" 12.50, "args":"{\"a\":1,}"}`)
	f.Add(benched, `[{"a":[1,2,{"b":null}]}]`)
	f.Add("  - {name: c, on: {hosts: [bank.test]}, transform: {/a: original.b, '/b/*/c': '1'}}\n", `{"a":1,"b":[{"c":2}]}`)
	f.Fuzz(func(t *testing.T, contracts, body string) {
		set, err := tryLoad(contracts, File{Path: "payment.json", Data: []byte(benchedSchema)}, File{Path: "payment.schema.json", Data: []byte(`true`)})
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		i := newInspector()
		i.Facts = known{}
		for _, c := range set.contracts {
			r, err := i.Inspect(t.Context(), c, &Request{Body: strings.NewReader(body), Length: -1})
			if err != nil {
				t.Fatal(err)
			}
			if reason(r) == policy.OK {
				if _, err := parse(r.Body, c.options, c.embedded); err != nil {
					t.Errorf("%q may go: %v", r.Body, err)
				}
			} else if r.Body != nil {
				t.Errorf("refused with %s, and %q may go", reason(r), r.Body)
			}
			r.Release()
		}
		if i.Budget.Used() != 0 {
			t.Errorf("%d bytes are held by nobody", i.Budget.Used())
		}
	})
}
