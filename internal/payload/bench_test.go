package payload

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/invariants/facts"
)

const benched = `  - name: c
    on: {hosts: [bank.test], methods: [POST], paths: [/v1/payments]}
    schema: payment.json
    original: {fact: invoice, key: /order}
    rules:
      - {id: amount, check: "minor_units(original.amount, original.currency) == transformed.amount_minor"}
      - {id: currency, check: "original.currency == transformed.currency"}
      - {id: invoice, check: "equal_exact(original.invoice_id, transformed.invoice_id)"}
      - {id: approval, check: "transformed.amount_minor <= 1000000 || has(transformed.approval_required)"}
      - {id: positive, check: "transformed.amount_minor > 0"}
  - name: s
    on: {hosts: [erp.test]}
    capture: {fact: invoice, key: /order, keep: {amount: /amount}}
`

const benchedSchema = `{
  "type": "object", "required": ["order", "invoice_id", "amount_minor", "currency"],
  "properties": {
    "order": {"type": "string"}, "invoice_id": {"type": "string"}, "amount_minor": {"type": "integer"}, "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
    "lines": {"type": "array", "items": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}, "quantity": {"type": "integer"}, "net": {"type": "number"}}}}
  }
}`

// known is one invoice.
type known struct{}

func (known) Lookup(context.Context, facts.Key) (*facts.Fact, error) {
	return &facts.Fact{JSON: []byte(`{"invoice_id":"INV-2026-0042","amount":1250.00,"currency":"EUR"}`), ReceiptID: "r"}, nil
}

func (known) Remember(context.Context, facts.Key, facts.Fact) error { return nil }

// paymentOf is a payment of about so many bytes.
func paymentOf(size int) []byte {
	var b strings.Builder
	b.WriteString(`{"order": "PO-7", "invoice_id": "INV-2026-0042", "amount_minor": 125000, "currency": "EUR", "lines": [`)
	for i := 0; b.Len() < size-80; i++ {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, `{"sku": "A-%06d", "quantity": %d, "net": %d.50, "text": "One of the things that were ordered"}`, i, i%9+1, i)
	}
	b.WriteString("]}")
	return []byte(b.String())
}

// BenchmarkInspect takes a body through parse, schema, its fact and five rules.
func BenchmarkInspect(b *testing.B) {
	set := load(b, benched, File{Path: "payment.json", Data: []byte(benchedSchema)})
	i := newInspector()
	i.Facts = known{}
	for name, size := range map[string]int{"1KiB": 1 << 10, "1MiB": 1 << 20} {
		body := paymentOf(size)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := i.Inspect(context.Background(), set.contracts[0], &Request{Body: bytes.NewReader(body), Length: int64(len(body)), Agent: "a"})
				if err != nil || r.Refusal != nil {
					b.Fatalf("%v, %+v", err, r.Refusal)
				}
				r.Release()
			}
		})
	}
}

// BenchmarkNoContract is what a request costs that falls under none.
func BenchmarkNoContract(b *testing.B) {
	set := load(b, benched, File{Path: "payment.json", Data: []byte(benchedSchema)})
	target, err := policy.ParseAbsolute("https://api.elsewhere.example/v1/chat")
	if err != nil {
		b.Fatal(err)
	}
	r := &policy.Request{Target: target, Method: "POST"}
	none := new(Set)
	for name, s := range map[string]*Set{"of two": set, "of none": none} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s.For(r) != nil {
					b.Fatal("a contract")
				}
			}
		})
	}
}
