package payload

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/jsonx"
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

var holdSpeed = flag.Bool("speed.hold", false, "BenchmarkContract fails where a body takes more CPU than it may")

// benchedSizes are bodies, and what parse, schema and five rules may take of one core.
var benchedSizes = []struct {
	name  string
	bytes int
	most  time.Duration
}{
	{"1KiB", 1 << 10, 60 * time.Microsecond},
	{"1MiB", 1 << 20, 25 * time.Millisecond},
}

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

// BenchmarkContract takes a body that is in memory through parse, schema and
// five rules, and nothing else.
func BenchmarkContract(b *testing.B) {
	set := load(b, benched, File{Path: "payment.json", Data: []byte(benchedSchema)})
	fact, err := known{}.Lookup(b.Context(), facts.Key{})
	if err != nil {
		b.Fatal(err)
	}
	original, err := jsonx.Parse(fact.JSON, jsonx.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range benchedSizes {
		body := paymentOf(size.bytes)
		b.Run(size.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			start := processor(b)
			for b.Loop() {
				x := inspection{contract: set.contracts[0], request: &Request{Agent: "a"}, body: body, original: original, result: new(Result)}
				for _, run := range []func(*inspection, context.Context) *Refusal{(*inspection).parse, (*inspection).checkSchema, (*inspection).checkRules} {
					if refusal := run(&x, b.Context()); refusal != nil {
						b.Fatalf("%+v", refusal)
					}
				}
			}
			took := (processor(b) - start) / time.Duration(b.N)
			b.ReportMetric(float64(took.Nanoseconds()), "cpu-ns/op")
			if *holdSpeed && took > size.most {
				b.Errorf("%v of CPU, more than %v", took, size.most)
			}
		})
	}
}

// BenchmarkSchema holds a body to its schema, by its shape and as where it has none.
func BenchmarkSchema(b *testing.B) {
	shaped := compiled(b, benchedSchema)
	for name, s := range map[string]*schema{"shape": shaped, "validator": {validator: shaped.validator}} {
		for _, size := range benchedSizes {
			v := parsed(b, string(paymentOf(size.bytes)))
			b.Run(name+"/"+size.name, func(b *testing.B) {
				b.ReportAllocs()
				start := processor(b)
				for b.Loop() {
					if _, err := validate(s, v); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((processor(b)-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// BenchmarkInspect takes a body through all of its inspection: reading, parse,
// schema, its fact, five rules and its identifier.
func BenchmarkInspect(b *testing.B) {
	set := load(b, benched, File{Path: "payment.json", Data: []byte(benchedSchema)})
	i := newInspector()
	i.Facts = known{}
	for _, size := range benchedSizes {
		body := paymentOf(size.bytes)
		b.Run(size.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			start := processor(b)
			for b.Loop() {
				r, err := i.Inspect(context.Background(), set.contracts[0], &Request{Body: bytes.NewReader(body), Length: int64(len(body)), Agent: "a"})
				if err != nil || r.Refusal != nil {
					b.Fatalf("%v, %+v", err, r.Refusal)
				}
				r.Release()
			}
			b.ReportMetric(float64((processor(b)-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
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
