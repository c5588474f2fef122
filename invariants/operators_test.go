package invariants

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/internal/testkit/goldenfile"
)

// comparisons are the operators and what they say of a sign of a comparison.
var comparisons = []struct {
	operator string
	holds    func(c int) bool
}{
	{"==", func(c int) bool { return c == 0 }},
	{"!=", func(c int) bool { return c != 0 }},
	{"<", func(c int) bool { return c < 0 }},
	{"<=", func(c int) bool { return c <= 0 }},
	{">", func(c int) bool { return c > 0 }},
	{">=", func(c int) bool { return c >= 0 }},
}

// forms are the ways in which a number can stand in a rule. The number is also
// the member n of transformed, and alone in its array of the name l + n. Empty:
// there is no such way for this number.
var forms = []struct {
	name  string
	basic bool // tried with all basic ones in TestOperators, the others with the first
	of    func(text, n string) string
}{
	{"of a document", true, func(_, n string) string { return "transformed." + n }},
	{"by its name as a string", false, func(_, n string) string { return "transformed['" + n + "']" }},
	{"by an index", false, func(_, n string) string { return "transformed.l" + n + "[0]" }},
	{"by a computed index", false, func(_, n string) string { return "transformed.l" + n + "[size(transformed.l" + n + ") - 1]" }},
	{"literal", true, func(text, _ string) string { return text }},
	{"literal with its sign apart", false, func(text, _ string) string {
		digits, negative := strings.CutPrefix(text, "-")
		if !negative {
			return ""
		}
		return "- \t" + digits
	}},
	{"decimal of a string", true, func(text, _ string) string {
		if !plainNumber(text) {
			return ""
		}
		return "decimal('" + text + "')"
	}},
	{"a sum", true, func(_, n string) string { return "(transformed." + n + " + 0)" }},
	{"a difference", false, func(_, n string) string { return "(transformed." + n + " - 0)" }},
	{"a product", false, func(_, n string) string { return "(1 * transformed." + n + ")" }},
	{"a quotient", false, func(_, n string) string { return "(transformed." + n + " / 1)" }},
	{"twice negated", false, func(_, n string) string { return "(-(-transformed." + n + "))" }},
	{"a choice", false, func(_, n string) string { return "(true ? transformed." + n + " : 0)" }},
	{"of a mapped list", false, func(_, n string) string { return "transformed.l" + n + ".map(x, x + 0)[0]" }},
	{"of a filtered list", false, func(_, n string) string { return "transformed.l" + n + ".filter(x, x == x)[0]" }},
	{"a sum of a list", false, func(_, n string) string { return "sum(transformed.l" + n + ")" }},
	{"of a list in the rule", false, func(_, n string) string { return "[transformed." + n + "][0]" }},
	{"of an object in the rule", false, func(_, n string) string { return "{'x': transformed." + n + "}.x" }},
}

// frames are the ways in which a comparison can stand in a rule. Each is as true
// as a op b.
var frames = []func(a, op, b string) string{
	func(a, op, b string) string { return a + " " + op + " " + b },
	func(a, op, b string) string { return "!!(" + a + " " + op + " " + b + ")" },
	func(a, op, b string) string { return "[" + b + "].exists(v, " + a + " " + op + " v)" },
	func(a, op, b string) string { return "[" + a + "].all(v, v " + op + " " + b + ")" },
	func(a, op, b string) string { return "[" + a + "].exists_one(v, v " + op + " " + b + ")" },
	func(a, op, b string) string { return "[" + a + "].filter(v, v " + op + " " + b + ").size() == 1" },
	func(a, op, b string) string { return "(" + a + " " + op + " " + b + " ? 1 : 0) == 1" },
	func(a, op, b string) string { return "false || " + a + " " + op + " " + b },
	func(a, op, b string) string { return a + " " + op + " " + b + " && true" },
}

func numbers(t testing.TB, a, b string) Input {
	return Input{Transformed: doc(t, fmt.Sprintf(`{"a": %s, "la": [%s], "b": %s, "lb": [%s]}`, a, a, b, b))}
}

func rational(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic(text)
	}
	return r
}

// TestOperators is the table of the comparison operators: pairs of awkward
// numbers in all forms on either side. A verdict is what math/big says, or the
// rule is refused.
func TestOperators(t *testing.T) {
	pairs := [][2]string{
		{"0", "0"},
		{"0", "-0"},
		{"-0", "0.00"},
		{"0", "0e5"},
		{"0", "1"},
		{"-1", "0"},
		{"-0.0", "1e-400"},
		{"1", "1.0"},
		{"10", "1e1"},
		{"0.1", "1e-1"},
		{"-1", "1"},
		{"-2", "-1"},
		{"0.3", "0.30000000000000001"},
		{"9007199254740992", "9007199254740993"},
		{"9007199254740993", "9007199254740993.0"},
		{"9223372036854775807", "9223372036854775808"},
		{"-9223372036854775808", "-9223372036854775809"},
		{"1e400", "1e399"},
		{"1e400", "1e-400"},
		{"-1e400", "1e400"},
		{"1e-400", "2e-400"},
		{"1e-400", "1.0e-400"},
		{strings.Repeat("9", 100), strings.Repeat("9", 99) + "8"},
		{"0." + strings.Repeat("3", 99), "0." + strings.Repeat("3", 98) + "4"},
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-26s %-26s", "a", "b")
	for _, c := range comparisons {
		fmt.Fprintf(&table, " %-5s", c.operator)
	}
	fmt.Fprintf(&table, " refused\n")
	programs := programCache{}
	for _, pair := range pairs {
		refused := map[string]bool{}
		in := numbers(t, pair[0], pair[1])
		fmt.Fprintf(&table, "%-26s %-26s", short(pair[0]), short(pair[1]))
		for _, c := range comparisons {
			want := fmt.Sprint(c.holds(rational(pair[0]).Cmp(rational(pair[1]))))
			fmt.Fprintf(&table, " %-5s", want)
			for _, left := range forms {
				for _, right := range forms {
					a, b := left.of(pair[0], "a"), right.of(pair[1], "b")
					if a == "" || b == "" || !left.basic && right.name != forms[0].name || !right.basic && left.name != forms[0].name {
						continue
					}
					check := a + " " + c.operator + " " + b
					got, message := programs.verdict(t, check, in)
					literal := strings.HasPrefix(left.name, "literal") || strings.HasPrefix(right.name, "literal")
					switch {
					case got == "compile" && literal:
						refused[strings.SplitN(message, ": ", 2)[1]] = true
					case got != want:
						t.Errorf("%s with %s and %s: %s %s, want %s", check, pair[0], pair[1], got, message, want)
					}
				}
			}
		}
		for message := range refused {
			fmt.Fprintf(&table, " literal: %s", message)
		}
		table.WriteByte('\n')
	}
	goldenfile.Compare(t, "operators.golden", strings.ReplaceAll(table.String(), " \n", "\n"))
}

func short(text string) string {
	if len(text) > 24 {
		return fmt.Sprintf("%s…(%d)", text[:12], len(text))
	}
	return text
}

// drawNumber draws the text of a JSON number within jsonx's limits.
func drawNumber(t *rapid.T, label string) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"0", "-0", "0.0", "-0.00", "0e9", "1", "-1", "10", "1e1", "1E+1", "100e-2", "9007199254740993", "-9007199254740993", "1e400", "-1e400", "1e-400", "-1e-400"}),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?`),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-3]?[0-9]{1,2})?`),
	).Draw(t, label)
}

// drawPair often draws two that are equal, or almost.
func drawPair(t *rapid.T) (a, b string) {
	a = drawNumber(t, "a")
	switch rapid.IntRange(0, 4).Draw(t, "kind of b") {
	case 0:
		return a, a
	case 1: // equal, written another way
		mantissa, exponent, _ := strings.Cut(strings.ToLower(a), "e")
		if !strings.Contains(mantissa, ".") {
			mantissa += "."
		}
		mantissa += strings.Repeat("0", rapid.IntRange(1, 20).Draw(t, "zeros"))
		if exponent != "" {
			mantissa += "e" + exponent
		}
		return a, mantissa
	case 2: // a digit more
		if !strings.ContainsAny(a, ".eE") {
			a += ".5"
		}
		if strings.ContainsAny(a, "eE") {
			break
		}
		return a, a + rapid.SampledFrom([]string{"1", "9", "00001"}).Draw(t, "more")
	}
	return a, drawNumber(t, "b")
}

// TestComparisonIsArithmetic: whatever stands on either side of an operator, and
// wherever the comparison stands, the verdict is that of math/big or refused.
func TestComparisonIsArithmetic(t *testing.T) {
	refused, decided := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		a, b := drawPair(rt)
		left := rapid.SampledFrom(forms).Draw(rt, "left")
		right := rapid.SampledFrom(forms).Draw(rt, "right")
		frame := rapid.SampledFrom(frames).Draw(rt, "frame")
		x, y := left.of(a, "a"), right.of(b, "b")
		if x == "" || y == "" {
			rt.Skip("no such form")
		}
		in := numbers(t, a, b)
		for _, c := range comparisons {
			check := frame(x, c.operator, y)
			want := fmt.Sprint(c.holds(rational(a).Cmp(rational(b))))
			switch got, message := verdict(t, check, in); {
			case got == want:
				decided++
			case got == "compile" && strings.Contains(message, "a number of this size"):
				refused++ // a literal that CEL has no syntax for
			default:
				rt.Fatalf("%s with %s and %s: %s %s, want %s", check, a, b, got, message, want)
			}
		}
	})
	t.Logf("%d decided as math/big does, %d refused", decided, refused)
	if refused > decided/4 {
		t.Errorf("%d of %d were refused", refused, refused+decided)
	}
}

// TestArithmeticIsExact: a result is that of math/big or refused.
func TestArithmeticIsExact(t *testing.T) {
	truncated := func(z, x, y *big.Rat) *big.Rat { // x - y*trunc(x/y)
		q := new(big.Rat).Quo(x, y)
		whole := new(big.Int).Quo(q.Num(), q.Denom())
		return z.Sub(x, new(big.Rat).Mul(y, new(big.Rat).SetInt(whole)))
	}
	operations := []struct {
		operator string
		of       func(z, x, y *big.Rat) *big.Rat
		divides  bool
	}{
		{"+", (*big.Rat).Add, false},
		{"-", (*big.Rat).Sub, false},
		{"*", (*big.Rat).Mul, false},
		{"/", (*big.Rat).Quo, true},
		{"%", truncated, true},
	}
	expressions := map[string]*Expression{}
	for _, o := range operations {
		e, err := CompileExpression("e", "transformed.a "+o.operator+" transformed.b", Options{})
		if err != nil {
			t.Fatal(err)
		}
		expressions[o.operator] = e
	}
	exact := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		a, b := drawPair(rt)
		in := numbers(t, a, b)
		for _, o := range operations {
			got, err := expressions[o.operator].Eval(t.Context(), in)
			if o.divides && rational(b).Sign() == 0 {
				if err == nil {
					rt.Fatalf("%s %s %s is %s", a, o.operator, b, got.Text)
				}
				continue
			}
			if err != nil {
				// What is refused is a quotient that does not end, or a number out of bounds.
				if o.operator == "/" || strings.Contains(err.Error(), errTooLarge.Error()) {
					continue
				}
				rt.Fatalf("%s %s %s: %v", a, o.operator, b, err)
			}
			if want := o.of(new(big.Rat), rational(a), rational(b)); got.Kind != jsonx.Number || rational(got.Text).Cmp(want) != 0 {
				rt.Fatalf("%s %s %s is %s, want %s", a, o.operator, b, got.Text, want.RatString())
			}
			exact[o.operator]++
		}
	})
	t.Logf("exact results: %v", exact)
	for _, o := range operations {
		if exact[o.operator] == 0 {
			t.Errorf("no %s was computed", o.operator)
		}
	}
}

// TestMixedTypes: no operator decides about a number and something else, and
// none about two things that are no numbers where it takes numbers only.
func TestMixedTypes(t *testing.T) {
	in := Input{Transformed: doc(t, `{"n": 1, "z": 0, "s": "1", "e": "", "t": true, "f": false, "a": [1], "o": {"n": 1}}`)}
	values := strings.Fields("n z s e t f a o")
	same := map[string]bool{"n z": true, "s e": true, "t f": true}
	for _, x := range values {
		for _, y := range values {
			if x == y || same[x+" "+y] || same[y+" "+x] {
				continue
			}
			for _, c := range comparisons {
				for _, check := range []string{
					"transformed." + x + " " + c.operator + " transformed." + y,
					"!(transformed." + x + " " + c.operator + " transformed." + y + ")",
					"transformed." + x + " " + c.operator + " transformed." + y + " || true",
					"!(transformed." + x + " " + c.operator + " transformed." + y + " && false)",
				} {
					if got, _ := verdict(t, check, in); got != "error" {
						t.Errorf("%s: %s", check, got)
					}
				}
			}
		}
	}
}

// TestBounds: a number or a result beyond the bounds of the language is refused,
// however the rule asks.
func TestBounds(t *testing.T) {
	v, err := jsonx.Parse([]byte(`{"n": 1e5000, "l": [1e5000], "m": 1e400}`), jsonx.Options{Limits: jsonx.MaxLimits()})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"transformed.n", "transformed.l[0]", "sum(transformed.l)", "transformed.l.map(x, x)[0]", "transformed.m * transformed.m * transformed.m", "1 / (transformed.m * transformed.m) / transformed.m"} {
		for _, c := range comparisons {
			for _, check := range []string{n + c.operator + " 1", "1" + c.operator + n, "!(" + n + c.operator + "1)", "[1].exists(x, x" + c.operator + n + ")", n + c.operator + n} {
				if got, message := verdict(t, check, Input{Transformed: v}); got != "error" {
					t.Errorf("%s: %s %s", check, got, message)
				}
			}
		}
	}
	for _, check := range []string{"transformed.l.exists(x, x > 1)", "transformed.l.all(x, true || x > 1) && transformed.l == [1]", "1 in transformed.l", "has(transformed.n)", "minor_units(transformed.n, 'EUR') > 0"} {
		if got, message := verdict(t, check, Input{Transformed: v}); got != "error" {
			t.Errorf("%s: %s %s", check, got, message)
		}
	}
}
