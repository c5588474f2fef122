package invariants

import (
	"sync"
	"testing"

	"github.com/signet-egress/signet/internal/jsonx"
)

// doc parses a document of a test.
func doc(t testing.TB, text string) *jsonx.Value {
	t.Helper()
	if text == "" {
		return nil
	}
	v, err := jsonx.Parse([]byte(text), jsonx.Options{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// verdict is what became of a check: true, false or error.
func verdict(t testing.TB, check string, in Input) (string, string) {
	t.Helper()
	return programCache{}.verdict(t, check, in)
}

// programCache holds what was compiled before.
type programCache map[string]*Program

func (c programCache) verdict(t testing.TB, check string, in Input) (string, string) {
	t.Helper()
	p := c[check]
	if p == nil {
		var err error
		if p, err = Compile([]Rule{{ID: "r", Check: check}}, Options{}); err != nil {
			return "compile", err.Error()
		}
		c[check] = p
	}
	violations := p.Check(t.Context(), in)
	switch {
	case len(violations) == 0:
		return "true", ""
	case violations[0].Message == check+" is false":
		return "false", ""
	}
	return "error", violations[0].Message
}

func TestCheck(t *testing.T) {
	const original = `{"id": "inv-1", "amount": 120.50, "currency": "EUR", "big": 9007199254740993, "items": [{"n": 1}, {"n": 2.5}], "none": null, "ok": true}`
	const transformed = `{"id": "inv-1", "amount_minor": 12050, "currency": "EUR", "text": "120.50", "list": [1, 2], "zero": 0, "mzero": -0, "two": {"a": 1, "b": [2, {"c": 3}]}, "same": {"b": [2.0, {"c": 3}], "a": 1}, "exact": {"b": [2, {"c": 3}], "a": 1}, "other": {"a": 1, "c": [2, {"c": 3}]}, "mixed": {"b": [2, {"c": "3"}], "a": 1}, "huge": 1e400, "tiny": 1e-400}`
	for _, c := range []struct{ check, want string }{
		{"minor_units(original.amount, original.currency) == transformed.amount_minor", "true"},
		{"original.currency == transformed.currency", "true"},
		{"transformed.amount_minor <= 1000000 || has(transformed.approval_required)", "true"},
		{"transformed.amount_minor <= 100 || has(transformed.approval_required)", "false"},
		{"original.big == 9007199254740993", "true"},
		{"original.big == 9007199254740992", "false"},
		{"9007199254740993.0 == original.big", "true"},
		{"9007199254740992.0 == original.big", "false"},
		{"0 == transformed.zero && transformed.zero == 0", "true"},
		{"0 == transformed.mzero && transformed.mzero == 0 && !(transformed.mzero < 0) && -0.0 == 0", "true"},
		{"transformed.huge > 1 && transformed.tiny > 0 && transformed.tiny < 1e-399", "true"},
		{"transformed.text == 120.5", "error"},
		{"transformed.text != 120.5", "error"},
		{"120.5 == transformed.text", "error"},
		{"decimal(transformed.text) == original.amount", "true"},
		{"transformed.text < 121", "error"},
		{"original.missing == 1", "error"},
		{"original.missing == 1 || true", "error"},
		{"true || original.missing == 1", "true"},
		{"false && original.missing == 1", "false"},
		{"original.none == null", "true"},
		{"original.none != null", "false"},
		{"original.amount == null", "false"},
		{"original.ok", "true"},
		{"original.amount", "error"},
		{"size(original.items) + 1 == 3", "true"},
		{"original.items.size() == 2", "true"},
		{"original.items[0].n == 1", "true"},
		{"original.items[size(original.items) - 1].n == 2.5", "true"},
		{"original.items[original.items[original.items[0].n].n - 1.5].n == 2.5", "true"},
		{"-1e-400 < 0 && 0 > -1e-400 && -0.5 < 0 && -.5 == -0.5 && - 1.5 == 0 - 1.5", "true"},
		{"-   9007199254740992.5 == -9007199254740992.5 && -   9007199254740992.5 != -9007199254740992.0", "true"},
		{"- \n 1.5e3 == 0-1500 && 1.5e-3==0.0015 && 'ü' == 'ü' && 9007199254740993.5 > 9007199254740993.0", "true"},
		{"original.items[2].n == 1", "error"},
		{"original.items[0.5].n == 1", "compile"},
		{"sum(original.items, '/n') == 3.5", "true"},
		{"sum(transformed.list) == 3", "true"},
		{"sum([]) == 0", "true"},
		{"sum(original.items) == 3.5", "error"},
		{"original.items.map(i, i.n) == [1, 2.5]", "true"},
		{"original.items.map(i, i.n * 2) == [2, 5]", "true"},
		{"original.items.filter(i, i.n > 1).size() == 1", "true"},
		{"original.items.exists_one(i, i.n == 1)", "true"},
		{"original.items.exists(i, i.n == 2.5)", "true"},
		{"original.items.exists(i, i.n == '1')", "error"},
		{"original.items.exists(i, i.n == '1' || true)", "error"},
		{"original.items.all(i, i.n > 0)", "true"},
		{"1 in transformed.list", "true"},
		{"3 in transformed.list", "false"},
		{"'1' in transformed.list", "error"},
		{"transformed.amount_minor in [1, 12050]", "true"},
		{"transformed.amount_minor in [1, 12050.0]", "true"},
		{"'id' in original", "true"},
		{"'x' in original", "false"},
		{"10 / 4 == 2.5", "true"},
		{"10 / 3 > 3", "error"},
		{"1 / transformed.zero == 1", "error"},
		{"7 % 4 == 3 && -7 % 4 == -3 && 5.5 % 2 == 1.5", "true"},
		{"(original.amount > 100 ? 1 : 2) == 1", "true"},
		{"equal_exact(original.amount, 120.50)", "true"},
		{"equal_exact(original.amount, 120.5)", "false"},
		{"original.amount == 120.5", "true"},
		{"request.method == 'POST'", "true"},
		{"request.metod == 'POST'", "compile"},
		{"has(original.items)", "true"},
		{"has(original.none)", "true"},
		{"has(original.nothing)", "false"},
		{"has(original.amount.x)", "error"},
		{"!has(original.id.x)", "error"},
		{"!has(original.items.x)", "error"},
		{"has(original.nothing.x)", "error"},
		{"facts.invoice.amount == 5", "true"},
		{"facts.other.amount == 5", "error"},
		{"original.id.matches('^inv-[0-9]+$')", "true"},
		{"original.id.matches('(')", "compile"},
		{"original.id.matches(original.id)", "compile"},
		{"string(major_units(12050, 'EUR')) == '120.50'", "true"},
		{"string(original.amount) == '120.50'", "true"},
		{"string(original.amount * 2) == '241'", "true"},
		{"orignal.amount == 1", "compile"},
		{"1 == 'a'", "compile"},
		{"b'a' == b'a'", "compile"},
		{"{1: 2}", "compile"},
		{"{'a': 1.50}.a == 1.5", "true"},
		{"original.items[0] == {'n': 1}", "true"},
		{"{'n': 1.0} == original.items[0]", "true"},
		{"{'n': 1, 'm': 2} == original.items[0]", "false"},
		{"transformed.two == transformed.same", "true"},
		{"transformed.two == transformed.other", "false"},
		{"transformed.two == transformed.mixed", "error"},
		{"equal_exact(transformed.two, transformed.same)", "false"},
		{"equal_exact(transformed.two, transformed.exact)", "true"},
		{"equal_exact(transformed.two, transformed.other)", "false"},
		{"google.protobuf.Int64Value{value: 1} == 1", "compile"},
		{"1 + 1", "compile"},
	} {
		got, message := verdict(t, c.check, Input{
			Original: doc(t, original), Transformed: doc(t, transformed), Request: Request{Method: "POST"},
			Facts: map[string]*jsonx.Value{"invoice": doc(t, `{"amount": 5}`)},
		})
		if got != c.want {
			t.Errorf("%s: %s %s, want %s", c.check, got, message, c.want)
		}
	}
}

// TestConcurrentChecks shares one program, as exchanges do.
func TestConcurrentChecks(t *testing.T) {
	p, err := Compile(typicalRules, Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Original: doc(t, invoice), Transformed: doc(t, payment)}
	wrong := Input{Original: doc(t, invoice), Transformed: doc(t, `{}`)}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if v := p.Check(t.Context(), in); len(v) != 0 {
					t.Errorf("%+v", v)
				}
				if v := p.Check(t.Context(), wrong); len(v) != len(typicalRules) {
					t.Errorf("%+v", v)
				}
			}
		})
	}
	wg.Wait()
}
