package invariants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/internal/testkit/goldenfile"
)

// TestCompileErrors is what authors of rules are told.
func TestCompileErrors(t *testing.T) {
	var out strings.Builder
	for _, check := range []string{
		"",
		"original.amount = 1",
		"original.amount ==",
		"orignal.amount == 1",
		"original.amount > 1 &&\n  transformd.amount > 1",
		"1 == 'a'",
		"original.a + 'x' - 1 > 2",
		"1 + 1",
		"'text'",
		"size(original.items)",
		"original.id.matches('(')",
		"original.id.matches(transformed.pattern)",
		"sum(original.items, 'n') == 1",
		"b'x' == b'x'",
		"{1: true}[1]",
		"{original.name: true}.x",
		"request.methd == 'POST'",
		"int(original.amount) == 1",
		"double(original.amount) == 1.0",
		"type(original) == map",
		"timestamp(original.date) < timestamp(transformed.date)",
		"google.protobuf.Int64Value{value: 1} == 1",
		"original.items[1.5] == 1",
		"99999999999999999999 == original.amount",
		"1e999 == original.amount",
		"decimal('1e5') == original.amount",
		"decimal('007') == original.amount",
		"minor_units(original.amount) == 1",
		"unknown(original.amount)",
		"original.items.all(1, true)",
		"has(original)",
		"@equal(1, 'a')",
		strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200),
		strings.Repeat("x", maxSource+1),
	} {
		_, err := Compile([]Rule{{ID: "r", Check: check}}, Options{})
		var compileError *CompileError
		if !errors.As(err, &compileError) || compileError.Rule != "r" {
			t.Errorf("%s: %v", check, err)
		}
		if len(check) > 100 {
			check = check[:20] + "…"
		}
		fmt.Fprintf(&out, "%s\n    %s\n", strings.ReplaceAll(check, "\n", "\\n"), strings.ReplaceAll(fmt.Sprint(err), "\n", "\n    "))
	}
	goldenfile.Compare(t, "compile.golden", out.String())
}

func TestRuleIDs(t *testing.T) {
	_, err := Compile([]Rule{
		{ID: "a", Check: "true"},
		{ID: "a", Check: "true"},
		{ID: "", Check: "true"},
		{ID: "two words", Check: "true"},
		{ID: strings.Repeat("x", 65), Check: "true"},
		{ID: "b", Check: "wrong"},
	}, Options{})
	for _, want := range []string{`rule "a": another rule`, `rule "": an id`, `rule "two words": an id`, `rule "xxx`, `rule "b" at 1:1`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestNames(t *testing.T) {
	p, err := Compile([]Rule{
		{ID: "a", Check: "original.amount == transformed['to tal'].x[0] && has(facts.invoice.lines) && original.l.all(i, i.n == 'text')"},
		{ID: "b", Use: "ids-preserved", With: With{Fields: []string{"/a~1b/*/0/id"}}},
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a/b", "amount", "id", "invoice", "l", "lines", "n", "to tal", "x"}
	if got := p.Names(); !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
}

// TestLimits: what costs or takes too much is a violation, soon.
func TestLimits(t *testing.T) {
	long := Input{Transformed: doc(t, `{"l": [1`+strings.Repeat(",1", 4999)+`], "s": "`+strings.Repeat("x", 1<<20)+`"}`)}
	const square = "transformed.l.all(x, transformed.l.all(y, x == y))"
	for _, c := range []struct {
		name, check string
		o           Options
		want        string
	}{
		{"cost", square, Options{Cost: 20_000, Time: time.Minute}, "costs more than 20000 steps"},
		{"less cost", "transformed.l.all(x, x == 1)", Options{Cost: 1000, Time: time.Minute}, "costs more than 1000 steps"},
		{"memory", "transformed.l.map(x, transformed.s + transformed.s).size() > 0", Options{Time: time.Minute}, "costs more than 1000000 steps"},
		{"regular expressions", "transformed.l.all(x, transformed.s.matches('^(x|y)*$'))", Options{Time: time.Minute}, "costs more than 1000000 steps"},
		{"documents", "transformed.l.all(x, transformed == transformed)", Options{Time: time.Minute}, "costs more than 1000000 steps"},
		{"time", square, Options{Cost: 1 << 60, Time: time.Millisecond}, "context deadline exceeded"},
	} {
		p, err := Compile([]Rule{{ID: "first", Check: c.check}, {ID: "second", Check: "true"}}, c.o)
		if err != nil {
			t.Fatal(err)
		}
		violations := p.Check(t.Context(), long)
		if len(violations) == 0 || !strings.Contains(violations[0].Message, c.want) {
			t.Errorf("%s: %+v, want %s", c.name, violations, c.want)
		}
		// A rule that could not be evaluated any more is violated too.
		if late := c.o.Time < time.Second; late != (len(violations) == 2) {
			t.Errorf("%s: %+v", c.name, violations)
		}
	}
	p, err := Compile([]Rule{{ID: "r", Check: "true"}, {ID: "s", Use: "ids-preserved", With: With{Fields: []string{"/l"}}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if violations := p.Check(ctx, long); len(violations) != 2 {
		t.Errorf("a cancelled check: %+v", violations)
	}
}

// TestMessages: what an agent is told of a violation, without the payload.
func TestMessages(t *testing.T) {
	var out strings.Builder
	in := Input{Original: doc(t, `{"amount": 12.505, "secret": "hunter2", "l": [7331]}`), Transformed: doc(t, `{"secret": 4711, "l": []}`)}
	for _, check := range []string{
		"original.amount == transformed.secret",
		"original.secret == transformed.secret",
		"original.secret > transformed.secret",
		"minor_units(original.amount, 'EUR') == 1",
		"minor_units(1, original.secret) == 1",
		"minor_units(original.secret, 'EUR') == 1",
		"transformed.amount == 1",
		"has(transformed.amount)",
		"has(transformed.amount.value)",
		"transformed.l[0] == 1",
		"original.l[transformed.secret] == 1",
		"original.l[original.secret] == 1",
		"original[original.secret] == 1",
		"original.l.exists(x, x > 9999)",
		"sum(original.l, '/n') == 1",
		"original.secret + 1 == 2",
		"-original.secret == 2",
		"!original.secret",
		"original.secret && true",
		"original.secret",
		"original.secret in original.l",
		"original.secret in original.amount",
		"iban_valid(original.secret)",
		"iban_valid(original.amount)",
		"original.secret.matches('^h$')",
		"original.amount.matches('^h$')",
		"original.amount.size() == 1",
		"decimal(original.secret) == 1",
		"original.amount / 0 == 1",
		"original.amount / 7 == 1",
		"facts.invoice.amount == 1",
		"equal_exact(original.amount + 1, 13.505)",
		"original.l.all(x, x.y == 1)",
		"original.amount.all(x, true)",
	} {
		got, message := verdict(t, check, in)
		fmt.Fprintf(&out, "%s: %s\n", got, cmp.Or(message, check))
		for _, value := range []string{"hunter2", "4711", "7331", "12.505"} {
			if strings.Contains(message, value) && !strings.Contains(check, value) {
				t.Errorf("%s tells %s", message, value)
			}
		}
		if got == "true" || got == "compile" {
			t.Errorf("%s: %s %s", check, got, message)
		}
	}
	goldenfile.Compare(t, "messages.golden", out.String())
}

// TestMissingDocuments: a rule about a document that is not there does not hold.
func TestMissingDocuments(t *testing.T) {
	for _, check := range []string{"original.a == 1", "transformed.a == 1", "original == transformed", "!has(original.a)", "facts.a.b == 1", "!has(facts.a.b)"} {
		if got, message := verdict(t, check, Input{Facts: map[string]*jsonx.Value{"a": nil}}); got != "error" {
			t.Errorf("%s: %s %s", check, got, message)
		}
	}
	if got, _ := verdict(t, "!has(facts.a)", Input{}); got != "true" {
		t.Errorf("a fact that is not there is there: %s", got)
	}
}

func TestExpression(t *testing.T) {
	in := Input{Original: doc(t, `{"amount": 120.50, "currency": "EUR", "big": 1e30, "lines": [{"n": 1.0, "x": null}, true], "o": {"b": 1, "a": [2.0]}}`)}
	for _, c := range []struct{ source, want string }{
		{"original.amount", "120.50"},
		{"original.big", "1e30"},
		{"original.big + 0", "1000000000000000000000000000000"},
		{"minor_units(original.amount, original.currency)", "12050"},
		{"major_units(minor_units(original.amount, original.currency), original.currency)", "120.50"},
		{"major_units(5, 'KWD')", "0.005"},
		{"major_units(-5, 'JPY')", "-5"},
		{"string(major_units(12050, 'EUR'))", `"120.50"`},
		{"original.amount * 2", "241"},
		{"1.50", "1.50"},
		{"1.5e3", "1500"},
		{"0x10", "16"},
		{".5", "0.5"},
		{"-0.0", "0"},
		{"original.lines", `[{"n":1.0,"x":null},true]`},
		{"original.o", `{"b":1,"a":[2.0]}`},
		{"{'z': original.amount, 'a': [original.currency, null, size(original.lines)]}", `{"a":["EUR",null,2],"z":120.50}`},
		{"original.lines.filter(l, l != true)", "at 1:28: an object is not comparable with a boolean"},
		{"original.lines[0:1]", "Syntax error"},
		{"original.currency == 'EUR' ? 'SEPA' : 'SWIFT'", `"SEPA"`},
		{"original.amount > 1", "true"},
		{"'line\\n\"quoted\"'", `"line\n\"quoted\""`},
		{"original.missing", "no such key: missing"},
		{"transformed.amount", "no such attribute"},
	} {
		e, err := CompileExpression("/amount", c.source, Options{})
		var got *jsonx.Value
		if err == nil {
			got, err = e.Eval(t.Context(), in)
		}
		switch {
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %s", c.source, err, c.want)
		case err == nil && string(jsonx.Append(nil, got)) != c.want:
			t.Errorf("%s is %s, want %s", c.source, jsonx.Append(nil, got), c.want)
		}
	}
}
