package invariants

import (
	"testing"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/signet-egress/signet/internal/jsonx"
)

// FuzzRule compiles and evaluates whatever it is given. Nothing panics, no rule
// holds beside its opposite, the same input gets the same verdict, and no number
// is anything but a decimal.
func FuzzRule(f *testing.F) {
	documents := []string{
		`{"n": 1, "s": "1", "l": [1, 2.5, {"n": 3}], "o": {"a": null, "b": true}, "c": "EUR"}`,
		`{"n": 1.0, "s": "l", "l": [], "o": {}, "c": "EUR", "big": 1e400, "tiny": -1e-400}`,
		`[1, 2, 3]`, `-0`, `"text"`, `null`,
	}
	for i, check := range []string{
		"minor_units(original.n, original.c) == transformed.n * 100",
		"original.n == transformed.n && original.s != transformed.s",
		"original.l.all(x, x > 0) || has(transformed.o.a)",
		"original.l.exists_one(x, x == 1) ? size(original.l) / 3 == 1 : -1 % 2 == 1",
		"original.l.map(x, x * 2).filter(y, y in transformed.l)[0] == 2e0",
		"sum(original.l, '/n') + sum([0x10, .5, 1u]) <= 9007199254740993.0",
		"{'a': [original.n], 'b': {'c': decimal('1.50')}}['a'][size(original.s) - 1] == 1",
		"look_alike(original.s, transformed.s) || equal_exact(original, transformed)",
		"iban_valid(original.s) || bic_valid(original.s) || lei_valid(original.s)",
		"original.s.matches('^[0-9]+$') && original.s.startsWith('1') && string(original.n).contains('1')",
		"request.method == 'POST' && facts.invoice.n != null && 'n' in facts.invoice",
		"major_units(original.n, 'EUR') == 0.01 && currency_exponent('JPY') == 0",
		"!(original.l[transformed.n] != 2.5)",
	} {
		f.Add(check, documents[i%len(documents)], documents[(i+1)%len(documents)])
		f.Add(check, documents[0], documents[1])
	}
	f.Fuzz(func(t *testing.T, check, original, transformed string) {
		o := Options{Cost: 10_000, Time: time.Minute}
		p, err := Compile([]Rule{{ID: "it", Check: check}, {ID: "opposite", Check: "!(" + check + "\n)"}}, o)
		if err != nil {
			return
		}
		in := Input{Request: Request{Method: "POST"}}
		in.Original, _ = jsonx.Parse([]byte(original), jsonx.Options{})
		in.Transformed, _ = jsonx.Parse([]byte(transformed), jsonx.Options{})
		in.Facts = map[string]*jsonx.Value{"invoice": in.Original}
		violations := p.Check(t.Context(), in)
		if len(violations) == 0 {
			t.Fatalf("%s holds, and so does its opposite", check)
		}
		if again := p.Check(t.Context(), in); len(again) != len(violations) || again[0] != violations[0] {
			t.Fatalf("%s: %+v, then %+v", check, violations, again)
		}
		e, err := compile("e", check, o)
		if err != nil {
			t.Fatal(err)
		}
		if result, err := e.eval(t.Context(), &variables{in: in}); err == nil {
			exactOnly(t, result)
		}
	})
}

func exactOnly(t *testing.T, v ref.Val) {
	switch v := v.(type) {
	case types.Int, types.Uint, types.Double:
		t.Fatalf("%v is a %s", v, v.Type().TypeName())
	case traits.Lister:
		for it := v.Iterator(); it.HasNext() == types.True; {
			exactOnly(t, it.Next())
		}
	case traits.Mapper:
		for it := v.Iterator(); it.HasNext() == types.True; {
			exactOnly(t, v.Get(it.Next()))
		}
	}
}
