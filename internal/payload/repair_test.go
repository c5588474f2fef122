package payload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/repair"
)

const mending = "  - {name: c, on: {hosts: [bank.test]}, embedded: [/args], repair: {local: true, model: true}, rules: [{id: amount, check: transformed.amount == 12.50}]}\n"

func TestRepair(t *testing.T) {
	set := load(t, mending)
	for _, tt := range []struct {
		body, sent string
		want       policy.Reason
		edits      string
	}{
		{`{"amount":12.50}`, `{"amount":12.50}`, policy.OK, ""},
		{`{"amount":12.50,}`, `{"amount":12.50}`, policy.OK, "[{remove_comma  15}]"},
		{"```json\n{'amount': 12.50}\n```", "\n{\"amount\": 12.50}\n", policy.OK, "any"},
		{`{"amount":12.50, "args":"{\"a\":1,}"}`, `{"amount":12.50, "args":"{\"a\":1}"}`, policy.OK, "[{remove_comma /args 24}]"},
		{`{"amount":12.50, "args":"{\"a\":1,}",}`, `{"amount":12.50, "args":"{\"a\":1}"}`, policy.OK, "any"},
		{`{"amount":12.51,}`, "", policy.InvariantViolated, "any"},
		{`{"amount":12.5`, "", policy.RepairRefused, ""},
		{`{"amount":12.50, "args":"{\"a\":1"}`, "", policy.RepairRefused, ""},
		{`{"amount":12.50,"amount":12.50}`, "", policy.PayloadMalformed, ""},
		{`{"amount":12.50,"Amount":1}`, "", policy.PayloadMalformed, ""},
		{`{"amount":12.50,"amount":1,}`, "", policy.PayloadMalformed, ""},
	} {
		r := inspect(t, newInspector(), set, Request{}, tt.body)
		if reason(r) != tt.want || string(r.Body) != tt.sent {
			t.Errorf("%s: %s %+v, sent %q", tt.body, reason(r), r.Refusal, r.Body)
			continue
		}
		switch {
		case tt.edits == "" && r.Repair != nil:
			t.Errorf("%s: repaired by %+v", tt.body, r.Repair)
		case tt.edits == "":
		case r.Repair == nil || r.Repair.Method != "local" || r.Repair.Before != digest([]byte(tt.body)) || tt.sent != "" && r.Repair.After != digest([]byte(tt.sent)):
			t.Errorf("%s: repaired by %+v", tt.body, r.Repair)
		case tt.edits != "any" && fmt.Sprint(r.Repair.Edits) != tt.edits:
			t.Errorf("%s: edits %v, want %s", tt.body, r.Repair.Edits, tt.edits)
		}
	}
}

// TestRepairIsOptIn: without it a body that could be mended is malformed, and a
// signed one is never touched.
func TestRepairIsOptIn(t *testing.T) {
	if r := inspect(t, newInspector(), load(t, plainContract), Request{}, `{"amount":12.50,}`); reason(r) != policy.PayloadMalformed {
		t.Errorf("%s", reason(r))
	}
	if r := inspect(t, newInspector(), load(t, mending), Request{Signed: true}, `{"amount":12.50,}`); reason(r) != policy.RepairRefused {
		t.Errorf("signed: %s", reason(r))
	}
}

// scripted is a model that answers as told.
type scripted struct {
	text   string
	tokens int64
	err    error
	asked  []string
}

func (m *scripted) Name() string { return "scripted" }

func (m *scripted) Repair(_ context.Context, text []byte) (*repair.Result, int64, error) {
	m.asked = append(m.asked, string(text))
	if m.err != nil {
		return nil, m.tokens, m.err
	}
	return &repair.Result{Text: []byte(m.text), Edits: []repair.Edit{{Op: repair.AddColon, Path: "/amount", Offset: 9}}}, m.tokens, nil
}

// TestModelIsAskedLast: only where the local repair has no rule, and the contract
// says so.
func TestModelIsAskedLast(t *testing.T) {
	const noColon = `{"amount" 12.50}`
	refusal := &repair.Refusal{Offset: -1, Cause: repair.Disagreement}
	for name, tt := range map[string]struct {
		body   string
		model  *scripted
		want   policy.Reason
		asked  int
		tokens int64
	}{
		"a missing colon":     {noColon, &scripted{text: `{"amount":12.50}`, tokens: 42}, policy.OK, 1, 42},
		"another amount":      {noColon, &scripted{text: `{"amount":12.51}`, tokens: 42}, policy.InvariantViolated, 1, 42},
		"nonsense":            {noColon, &scripted{text: `{"amount":`, tokens: 42}, policy.RepairRefused, 1, 42},
		"refused":             {noColon, &scripted{err: refusal, tokens: 42}, policy.RepairRefused, 1, 42},
		"no quota":            {noColon, &scripted{err: ErrQuota}, policy.FUQuotaExceeded, 1, 0},
		"what is mended":      {`{"amount":12.50,}`, &scripted{}, policy.OK, 0, 0},
		"what is cut":         {`{"amount":12.5`, &scripted{}, policy.RepairRefused, 0, 0},
		"what stands twice":   {`{"amount":1,"amount":2}`, &scripted{}, policy.PayloadMalformed, 0, 0},
		"what is well formed": {`{"amount":12.50}`, &scripted{}, policy.OK, 0, 0},
	} {
		i := newInspector()
		i.Model = tt.model
		r := inspect(t, i, load(t, mending), Request{}, tt.body)
		if reason(r) != tt.want || len(tt.model.asked) != tt.asked || r.Tokens != tt.tokens {
			t.Errorf("%s: %s, asked %d times for %d tokens", name, reason(r), len(tt.model.asked), r.Tokens)
		}
		if tt.want == policy.OK && tt.asked > 0 && (r.Repair.Method != "model" || r.Repair.Model != "scripted") {
			t.Errorf("%s: %+v", name, r.Repair)
		}
	}
	i := newInspector()
	i.Model = &scripted{err: errors.New("must not be asked")}
	local := load(t, strings.Replace(mending, ", model: true", "", 1))
	if r := inspect(t, i, local, Request{}, noColon); reason(r) != policy.RepairRefused || len(i.Model.(*scripted).asked) != 0 {
		t.Errorf("without leave: %s", reason(r))
	}
}

// What a transform has made malformed is refused, and not mended: no rule of a
// repair is meant for it.
func TestTransformIsNotMended(t *testing.T) {
	set := load(t, "  - {name: c, on: {hosts: [bank.test]}, repair: {local: true}, embedded: [/args], transform: {/args: original.text}}\n")
	for body, want := range map[string]policy.Reason{
		`{"text":"x","args":"{}"}`: policy.OK, // a value in the place of a text is written as one
		`{"text":"{\"a\":1}"}`:     policy.OK,
		`{"text":"{\"a\":1,}"}`:    policy.PayloadMalformed,
	} {
		if r := inspect(t, newInspector(), set, Request{}, body); reason(r) != want || r.Repair != nil {
			t.Errorf("%s: %s, want %s; repair %+v", body, reason(r), want, r.Repair)
		}
	}
}
