package invariants

import (
	"testing"
)

// invoice is 1 KiB of an ordinary payload.
const invoice = `{
  "invoice_id": "INV-2026-0042", "issued": "2026-11-02", "due": "2026-12-02", "currency": "EUR", "amount": 9350.40,
  "seller": {"name": "Nordwind Maschinenbau GmbH", "vat": "DE811907980", "iban": "DE89370400440532013000", "bic": "COBADEFFXXX"},
  "buyer": {"name": "Sonnenfeld Logistik AG", "lei": "529900T8BM49AURSDO55", "address": {"street": "Hafenstrasse 12", "city": "Hamburg", "zip": "20457", "country": "DE"}},
  "lines": [
    {"sku": "P-100", "text": "Hydraulic pump, 16 bar", "quantity": 4, "unit_price": 1250.00, "total": 5000.00},
    {"sku": "P-220", "text": "Pressure hose, 2 m", "quantity": 20, "unit_price": 42.52, "total": 850.40},
    {"sku": "S-001", "text": "Installation on site", "quantity": 14, "unit_price": 250.00, "total": 3500.00}
  ],
  "payment": {"method": "SEPA", "reference": "RF18539007547034", "terms": "30 days net, 2 percent discount within 10 days"},
  "notes": "Goods remain our property until paid in full.", "approval_required": true
}`

const payment = `{"invoice_id": "INV-2026-0042", "amount_minor": 935040, "currency": "EUR", "iban": "DE89370400440532013000", "approval_required": true}`

var typicalRules = []Rule{
	{ID: "amount", Check: "minor_units(original.amount, original.currency) == transformed.amount_minor"},
	{ID: "currency", Check: "original.currency == transformed.currency"},
	{ID: "id", Check: "original.invoice_id == transformed.invoice_id"},
	{ID: "approval", Check: "transformed.amount_minor <= 1000000 || has(transformed.approval_required)"},
	{ID: "iban", Check: "iban_valid(transformed.iban) && original.seller.iban == transformed.iban"},
}

func BenchmarkCheck(b *testing.B) {
	in := Input{Original: doc(b, invoice), Transformed: doc(b, payment)}
	run := func(name string, rules []Rule) {
		b.Run(name, func(b *testing.B) {
			p, err := Compile(rules, Options{})
			if err != nil {
				b.Fatal(err)
			}
			if v := p.Check(b.Context(), in); len(v) > 0 {
				b.Fatal(v)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Check(b.Context(), in)
			}
		})
	}
	run("five", typicalRules)
	for i := range typicalRules {
		run(typicalRules[i].ID, typicalRules[i:i+1])
	}
	run("lines", []Rule{{ID: "lines", Check: "original.lines.all(l, l.quantity * l.unit_price == l.total) && sum(original.lines, '/total') == original.amount"}})
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(typicalRules, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
