package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// What an agent reads, and what it writes of it.
const (
	demoInvoice = `{"invoice_id": "INV-2026-0042", "order": "PO-7", "amount": 90071992547409.93, "currency": "EUR"}`
	demoPayment = `{"order": "PO-7", "invoice_id": "INV-2026-0042", "amount_minor": 9007199254740993, "currency": "EUR", "approval_required": true}`
)

// demoContracts hold a payment against the invoice that was read, and the same
// payment within a tool call.
const demoContracts = `contracts:
  - name: invoice-source
    on: {hosts: [erp.demo.test], ports: [%[1]d], methods: [GET]}
    capture: {fact: invoice, key: /order, keep: {invoice_id: /invoice_id, amount: /amount, currency: /currency}}
  - name: payment
    on: {hosts: [bank.demo.test], methods: [POST], paths: [/v1/payments]}
    repair: {local: true}
    original: {fact: invoice, key: /order}
    rules:
      - id: amount
        use: money-preserved
        with: {original: {amount: /amount, currency: /currency}, transformed: {amount: /amount_minor, currency: /currency, unit: minor}}
      - {id: currency, use: currency-preserved, with: {fields: [/currency]}}
      - {id: invoice, use: ids-preserved, with: {fields: [/invoice_id]}}
      - {id: approval, check: "original.amount <= 10000 || has(transformed.approval_required) && transformed.approval_required"}
  - name: tool-call
    on: {hosts: [bank.demo.test], methods: [POST], paths: [/v1/tool_calls]}
    embedded: [/function/arguments]
    original: {fact: invoice, key: /function/arguments/order}
    rules:
      - id: amount
        use: money-preserved
        with: {original: {amount: /amount, currency: /currency}, transformed: {amount: /function/arguments/amount_minor, currency: /function/arguments/currency, unit: minor}}
`

// readInvoice fetches what the payments are held against.
func readInvoice(ctx context.Context, v *visit) (string, error) {
	return v.get(ctx, v.stage.api.URL(erpHost, "/v1/invoices/42"))
}

// pay sends the payment of the invoice as a model might: with old replaced by
// changed.
func pay(old, changed string) func(context.Context, *visit) (string, error) {
	return func(ctx context.Context, v *visit) (string, error) {
		return v.post(ctx, "/v1/payments", strings.Replace(demoPayment, old, changed, 1))
	}
}

// toolCall sends the same as the arguments of a tool call: JSON in a string.
func toolCall(old, changed string) func(context.Context, *visit) (string, error) {
	return func(ctx context.Context, v *visit) (string, error) {
		arguments := strconv.Quote(strings.Replace(demoPayment, old, changed, 1))
		return v.post(ctx, "/v1/tool_calls", `{"function": {"name": "pay", "arguments": `+arguments+`}}`)
	}
}

// post sends a body to the bank, which answers with what it was sent.
func (v *visit) post(ctx context.Context, path, body string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.stage.files.URL(bankHost, path), strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("X-Signet-Trace", v.trace)
	request.Header.Set("Content-Type", "application/json")
	answer, err := v.client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end below
	received, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return "", fmt.Errorf("%d, then %w", answer.StatusCode, err)
	case answer.StatusCode != http.StatusOK:
		return strconv.Itoa(answer.StatusCode), nil
	case string(received) == body:
		return "200, byte for byte", nil
	case string(received) == demoPayment:
		return "200, the payment as it was meant", nil
	}
	return "200, something else", nil
}
