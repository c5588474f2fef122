package payload

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"github.com/signet-egress/signet/internal/policy"
)

const plainContract = "  - {name: c, on: {hosts: [bank.test]}}\n"

func TestBodiesAreStrictJSON(t *testing.T) {
	set := load(t, "  - {name: c, on: {hosts: [bank.test]}, rules: [{id: amount, check: transformed.amount > 0}]}\n")
	for body, want := range map[string]policy.Reason{
		`{"amount":1}`:                                policy.OK,
		"{\"amount\":\t1.50}\n":                       policy.OK,
		`{"amount":1,"amount":1}`:                     policy.PayloadMalformed,
		`{"amount":1,"Amount":2}`:                     policy.PayloadMalformed, // a reader that ignores case takes the last
		`{"amount":1,"other":1,"OTHER":2}`:            policy.OK,               // names that no rule looks at
		`{"amount":1}{}`:                              policy.PayloadMalformed,
		"\ufeff{\"amount\":1}":                        policy.PayloadMalformed,
		"{\"amount\":1,\"x\":\"\xff\"}":               policy.PayloadMalformed,
		`{"amount":1,"x":"\ud800"}`:                   policy.PayloadMalformed,
		`{"amount":NaN}`:                              policy.PayloadMalformed,
		`{"amount":01}`:                               policy.PayloadMalformed,
		`{"amount":1,}`:                               policy.PayloadMalformed,
		`{"amount":1e401}`:                            policy.PayloadMalformed,
		`{"amount":` + strings.Repeat("1", 101) + "}": policy.PayloadMalformed,
		"":     policy.PayloadMalformed,
		"null": policy.InvariantViolated,
	} {
		if r := inspect(t, newInspector(), set, Request{}, body); reason(r) != want {
			t.Errorf("%.80q: %s, want %s", body, reason(r), want)
		}
	}
}

// TestHostileBodiesAreRefusedFast: what is made to cost is refused before it does.
func TestHostileBodiesAreRefusedFast(t *testing.T) {
	set := load(t, "  - {name: c, on: {hosts: [bank.test]}, rules: [{id: sum, check: transformed.amount + 1 > 0}]}\n")
	bomb := compressed(t, "gzip", make([]byte, 200<<20))
	for name, tt := range map[string]struct {
		body, encoding string
		want           policy.Reason
	}{
		"brackets":        {strings.Repeat("[", 1<<20), "", policy.PayloadMalformed},
		"braces":          {strings.Repeat(`{"a":`, 1<<18), "", policy.PayloadMalformed},
		"a long exponent": {`{"amount":1e` + strings.Repeat("9", 100) + "}", "", policy.PayloadMalformed},
		"a bomb":          {string(bomb), "gzip", policy.PayloadNotInspectable},
	} {
		start := time.Now()
		r := inspect(t, newInspector(), set, Request{Encoding: tt.encoding}, tt.body)
		took := time.Since(start)
		t.Logf("%s: %s in %s", name, reason(r), took)
		if reason(r) != tt.want || took > 10*time.Second { // milliseconds on a machine that does nothing else
			t.Errorf("%s: %s in %s", name, reason(r), took)
		}
	}
}

func compressed(t testing.TB, coding string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw deflate":
		w, err = flate.NewWriter(&b, flate.DefaultCompression)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	}
	if err == nil {
		_, err = w.Write(data)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCompressedBodies(t *testing.T) {
	set := load(t, plainContract)
	const body = `{"amount":12.50}`
	for _, tt := range []struct {
		coding, field, body string
		want                policy.Reason
	}{
		{"gzip", "gzip", body, policy.OK},
		{"gzip", "x-gzip", body, policy.OK},
		{"gzip", "GZIP , identity", body, policy.OK},
		{"deflate", "deflate", body, policy.OK},
		{"raw deflate", "deflate", body, policy.OK},
		{"br", "br", body, policy.OK},
		{"zstd", "zstd", body, policy.OK},
		{"gzip", "zstd", body, policy.PayloadNotInspectable},
		{"gzip", "gzip, br", body, policy.PayloadNotInspectable},
		{"gzip", "compress", body, policy.PayloadNotInspectable},
		{"gzip", "", body, policy.PayloadMalformed},
		{"br", "br", strings.Repeat(" ", 64<<10) + body, policy.PayloadNotInspectable}, // ratio
		{"zstd", "zstd", strings.Repeat(" ", 11<<20), policy.PayloadNotInspectable},
	} {
		r := inspect(t, newInspector(), set, Request{Encoding: tt.field}, string(compressed(t, tt.coding, []byte(tt.body))))
		if reason(r) != tt.want || tt.want == policy.OK && string(r.Body) != tt.body {
			t.Errorf("%s as %q: %s, sent %q", tt.coding, tt.field, reason(r), r.Body)
		}
	}
}

func TestOtherTypes(t *testing.T) {
	set := load(t, plainContract)
	for _, tt := range []struct {
		kind, body string
		want       policy.Reason
	}{
		{"", `{"a":1}`, policy.OK},
		{"application/json", `{"a":1}`, policy.OK},
		{"Application/JSON ;charset=UTF-8", `{"a":1}`, policy.OK},
		{"application/problem+json", `{"a":1}`, policy.OK},
		{"text/plain", `{"a":1}`, policy.OK},
		{"", "a=1", policy.PayloadMalformed},
		{"application/problem+json", "a", policy.PayloadMalformed},
		// Another reader finds other values in what is JSON as well.
		{"application/x-www-form-urlencoded", `{"a":1,"x":"&a=2&"}`, policy.PayloadNotInspectable},
		{"application/x-www-form-urlencoded+json", `{"a":1,"x":"&a=2&"}`, policy.PayloadNotInspectable},
		{"application/x-www-form-urlencoded", "a=1", policy.PayloadNotInspectable},
		{"application/json,application/x-www-form-urlencoded", `{"a":1}`, policy.PayloadNotInspectable}, // two fields
		{"multipart/form-data; boundary=x", "--x\r\n", policy.PayloadNotInspectable},
		{"multipart/x+json; boundary=x", `{"a":1}`, policy.PayloadNotInspectable},
		{"application/x-protobuf", `{"a":1}`, policy.PayloadNotInspectable},
		{"application/yaml", `{"a":1}`, policy.PayloadNotInspectable},
		{"application/json; charset=utf-16", `{"a":1}`, policy.PayloadNotInspectable},
		{"application/json; charset=utf-7", `{"a":1,"x":"+ACI-,+ACI-a+ACI-:2"}`, policy.PayloadNotInspectable},
		{"application/json; charset=utf-8; charset=utf-7", `{"a":1}`, policy.PayloadNotInspectable},
		{"application/json; charset*=us-ascii''utf-7", `{"a":1}`, policy.PayloadNotInspectable},
		{"\xff", `{"a":1}`, policy.PayloadNotInspectable},
	} {
		if r := inspect(t, newInspector(), set, Request{Type: tt.kind}, tt.body); reason(r) != tt.want {
			t.Errorf("%q %q: %s, want %s", tt.kind, tt.body, reason(r), tt.want)
		}
	}
}

func TestLimits(t *testing.T) {
	set := load(t, "  - {name: c, on: {hosts: [bank.test]}, max_bytes: 100}\n")
	body := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	for n, want := range map[int]policy.Reason{100: policy.OK, 101: policy.PayloadTooLarge} {
		if r := inspect(t, newInspector(), set, Request{}, body(n)); reason(r) != want || r.Cut != (want != policy.OK) {
			t.Errorf("%d bytes: %s", n, reason(r))
		}
		r, err := newInspector().Inspect(t.Context(), set.contracts[0], &Request{Body: strings.NewReader(body(n)), Length: -1})
		if err != nil || reason(r) != want {
			t.Errorf("%d bytes without a length: %s, %v", n, reason(r), err)
		}
		if want != policy.OK && string(r.Raw) != body(n) {
			t.Errorf("of a body that is too large %q is left", r.Raw)
		}
		r.Release()
	}
}

func TestBudget(t *testing.T) {
	set := load(t, plainContract)
	i := newInspector()
	i.Budget = NewBudget(100)
	first := inspect(t, i, set, Request{}, `"`+strings.Repeat("x", 60)+`"`)
	second := inspect(t, i, set, Request{}, `"`+strings.Repeat("x", 60)+`"`)
	if reason(first) != policy.OK || reason(second) != policy.LimitExceeded || !second.Refusal.Busy {
		t.Errorf("%s, then %s", reason(first), reason(second))
	}
	first.Release()
	second.Release()
	if third := inspect(t, i, set, Request{}, `"`+strings.Repeat("x", 60)+`"`); reason(third) != policy.OK || i.Budget.Used() == 0 {
		t.Errorf("%s after the budget was given back; %d bytes used", reason(third), i.Budget.Used())
	} else if third.Release(); i.Budget.Used() != 0 {
		t.Errorf("%d bytes are used by nobody", i.Budget.Used())
	}
}

// What comes of a compressed body, or answer, has its room before it is there.
func TestBudgetOfCompressedBodies(t *testing.T) {
	set := load(t, "  - name: c\n    on: {hosts: [bank.test]}\n    embedded: [/args]\n    capture: {fact: f, key: /a, keep: {a: /a}}\n")
	i := newInspector()
	i.Budget, i.Facts = NewBudget(200<<10), known{}
	body := compressed(t, "gzip", []byte(`{"a":"`+strings.Repeat("x", 60<<10)+`"}`))
	if r := inspect(t, i, set, Request{Encoding: "gzip"}, string(body)); reason(r) != policy.OK {
		t.Errorf("%s: %v", reason(r), r.Refusal)
	} else {
		r.Release()
	}
	answer := &Answer{Body: body, Encoding: "gzip", Agent: "a"}
	if err := i.Remember(t.Context(), set.contracts[0], answer); err != nil {
		t.Error(err)
	}
	i.Budget.Take(150 << 10) // for others
	if r := inspect(t, i, set, Request{Encoding: "gzip"}, string(body)); reason(r) != policy.LimitExceeded || !r.Refusal.Busy {
		t.Errorf("without room: %s", reason(r))
	} else {
		r.Release()
	}
	if err := i.Remember(t.Context(), set.contracts[0], answer); !errors.Is(err, errNoBudget) {
		t.Errorf("an answer without room: %v", err)
	}
	if n := i.Budget.Used(); n != 150<<10 {
		t.Errorf("%d bytes are used", n)
	}
}

// TestReadingFails: the error of a body that breaks off is the reader's.
func TestReadingFails(t *testing.T) {
	set := load(t, plainContract)
	r, err := newInspector().Inspect(t.Context(), set.contracts[0], &Request{Body: io.MultiReader(strings.NewReader("{"), iotest.ErrReader(io.ErrUnexpectedEOF)), Length: -1})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%+v, %v", r, err)
	}
	r.Release()
}

func TestSchema(t *testing.T) {
	schemas := []File{
		{Path: "payment.schema.json", Data: []byte(`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"amount":{"$ref":"amount.json"},"due":{"type":"string","format":"date"}}}`)},
		{Path: "amount.json", Data: []byte(`{"type":"number","minimum":0,"maximum":9007199254740993,"multipleOf":0.01}`)},
	}
	set := load(t, "  - {name: c, on: {hosts: [bank.test]}, schema: payment.schema.json}\n", schemas...)
	for body, detail := range map[string]string{
		`{"amount":12.34}`:               "",
		`{"amount":9007199254740993}`:    "", // which no double holds
		`{"amount":9007199254740993.01}`: "/amount: maximum: got 9007199254740993.01, want 9007199254740993",
		`{"amount":0.001}`:               "/amount: multipleOf: got 0.001, want 0.01",
		`{"amount":"12.34"}`:             "/amount: got string, want number",
		`{"due":"2026-02-30"}`:           "/due: '2026-02-30' is not valid date",
		`[]`:                             "the body: got array, want object",
	} {
		r := inspect(t, newInspector(), set, Request{}, body)
		got := ""
		if r.Refusal != nil {
			got = r.Refusal.Detail
			if strings.Contains(fmt.Sprint(r.Refusal.Err), "2026") {
				t.Errorf("a value in the log: %v", r.Refusal.Err)
			}
		}
		if !strings.HasPrefix(got, detail) || (got == "") != (detail == "") {
			t.Errorf("%s: %q, want %q", body, got, detail)
		}
	}
}

// What is wrong is told in one order, by place, whatever order it is found in.
func TestSchemaMistakesHaveAnOrder(t *testing.T) {
	schema := File{Path: "s.json", Data: []byte(`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false,
		"properties":{"a":{"type":"number"},"b":{"type":"number"},"c":{"type":"number"}}}`)}
	set := load(t, "  - {name: c, on: {hosts: [bank.test]}, schema: s.json}\n", schema)
	want := "/a: got string, want number; /b: got string, want number; /c: got string, want number; " +
		"the body: additional properties 'x', 'y', 'z' not allowed"
	for range 20 {
		r := inspect(t, newInspector(), set, Request{}, `{"z":1,"c":"3","y":1,"b":"2","x":1,"a":"1"}`)
		if r.Refusal == nil || r.Refusal.Detail != want {
			t.Fatalf("got %+v, want %q", r.Refusal, want)
		}
	}
}

// A member that a schema speaks of has no other beside it that differs in case
// alone, which a reader that ignores case would take for it.
func TestSchemasNamesHaveOneCase(t *testing.T) {
	set := load(t, "  - {name: c, on: {hosts: [bank.test]}, schema: payment.json}\n",
		File{Path: "payment.json", Data: []byte(`{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"properties":{"lines":{"items":{"required":["net"],"additionalProperties":{"properties":{"self":{"$ref":"#/$defs/a"}}}}}}}}}`)})
	for body, want := range map[string]policy.Reason{
		`{"lines":[{"net":1}],"other":1,"Other":2}`: policy.OK,
		`{"lines":[{"net":1}],"Lines":[]}`:          policy.PayloadMalformed,
		`{"lines":[{"net":1,"NET":2}]}`:             policy.PayloadMalformed,
		`{"ſelf":1}`:                                policy.PayloadMalformed,
	} {
		if r := inspect(t, newInspector(), set, Request{}, body); reason(r) != want {
			t.Errorf("%s: %s, want %s", body, reason(r), want)
		}
	}
}

// TestCID: the identifier is that of what the body says, however it is written,
// and none where a number is more than a double.
func TestCID(t *testing.T) {
	set := load(t, plainContract)
	cid := func(body string) string { return inspect(t, newInspector(), set, Request{}, body).CID }
	same := cid(`{"b":1,"a":[1.5,"\u00e9"]}`)
	for _, body := range []string{"{ \"a\" : [ 1.50, \"é\" ], \"b\" : 1 }", `{"b":1e0,"a":[15e-1,"é"]}`} {
		if cid(body) != same || same == "" {
			t.Errorf("%s: %s, want %s", body, cid(body), same)
		}
	}
	for body, want := range map[string]bool{
		`9007199254740992`: true, `9007199254740993`: false, `0.1`: true, `1e23`: true, `1e400`: false,
		`123456789012345678`: false, `1.0000000000000000000`: true, `0.30000000000000004`: true, `0.300000000000000041`: false, `-0`: true, `5e-324`: true, `4e-324`: false,
	} {
		if got := cid(body) != ""; got != want {
			t.Errorf("%s: a cid: %t, want %t", body, got, want)
		}
	}
}
