package receipts

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"
)

// The examples of RFC 8785 sections 3.2.2 to 3.2.4, as they go into the one open
// member of a record: in canonical form only.
func TestRFC8785Examples(t *testing.T) {
	for name, example := range map[string]struct{ in, canonical string }{
		"3.2.2 primitives": {
			`{
			   "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
			   "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
			   "literals": [null, true, false]
			 }`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		"3.2.3 order by UTF-16": {
			`{
			   "\u20ac": "Euro Sign",
			   "\r": "Carriage Return",
			   "\ufb33": "Hebrew Letter Dalet With Dagesh",
			   "1": "One",
			   "\ud83d\ude00": "Emoji: Grinning Face",
			   "\u0080": "Control",
			   "\u00f6": "Latin Small Letter O With Diaeresis"
			 }`,
			`{"\r":"Carriage Return","1":"One",` + "\"\u0080\"" + `:"Control","ö":"Latin Small Letter O With Diaeresis",` +
				`"€":"Euro Sign","😀":"Emoji: Grinning Face",` + "\"\uFB33\"" + `:"Hebrew Letter Dalet With Dagesh"}`,
		},
		"no normal form": {`{"\u0041\u030a":1,"\u00c5":2}`, "{\"A\u030a\":1,\"\u00c5\":2}"},
	} {
		if got, err := jcs.Transform([]byte(example.in)); err != nil || string(got) != example.canonical {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, example.canonical)
		}
		c := newChain(testKey(1))
		r := exchange(1, "t")
		r.Ext = []byte(example.canonical)
		c.add(r)
		if _, err := verifyLines(nil, c.lines); err != nil {
			t.Errorf("%s: the canonical form is refused: %v", name, err)
		}
		r.Ext = []byte(example.in)
		var bad *FieldError
		if err := Validate(r); !errors.As(err, &bad) || bad.Field != "ext" {
			t.Errorf("%s: another form: %v", name, err)
		}
	}
}

// The samples of RFC 8785 appendix B.
func TestRFC8785Numbers(t *testing.T) {
	for bits, want := range map[uint64]string{
		0x0000000000000000: "0",
		0x8000000000000000: "0",
		0x0000000000000001: "5e-324",
		0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308",
		0xffefffffffffffff: "-1.7976931348623157e+308",
		0x4340000000000000: "9007199254740992",
		0xc340000000000000: "-9007199254740992",
		0x4430000000000000: "295147905179352830000",
		0x7fffffffffffffff: "",
		0x7ff0000000000000: "",
		0x44b52d02c7e14af5: "9.999999999999997e+22",
		0x44b52d02c7e14af6: "1e+23",
		0x44b52d02c7e14af7: "1.0000000000000001e+23",
		0x444b1ae4d6e2ef4e: "999999999999999700000",
		0x444b1ae4d6e2ef4f: "999999999999999900000",
		0x444b1ae4d6e2ef50: "1e+21",
		0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7",
		0x3eb0c6f7a0b5ed8d: "0.000001",
		0x41b3de4355555553: "333333333.3333332",
		0x41b3de4355555554: "333333333.33333325",
		0x41b3de4355555555: "333333333.3333333",
		0x41b3de4355555556: "333333333.3333334",
		0x41b3de4355555557: "333333333.33333343",
		0xbecbf647612f3696: "-0.0000033333333333333333",
		0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		got, err := jcs.NumberToJSON(math.Float64frombits(bits))
		if (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%016x is %q (%v), want %q", bits, got, err, want)
		}
	}
}

// What is no I-JSON (RFC 7493) has no canonical form: half a surrogate pair,
// bytes that are not UTF-8, a name twice however it is escaped, numbers beyond
// what JSON readers hold. It is refused in a whole record too, where
// encoding/json would read most of it.
func TestNoCanonicalForm(t *testing.T) {
	for name, ext := range map[string]string{
		"a high surrogate alone":             `{"a":"\ud83d"}`,
		"a low surrogate alone":              `{"a":"\ude00x"}`,
		"surrogates in the wrong order":      `{"a":"\ude00\ud83d"}`,
		"a high surrogate before a letter":   `{"a":"\ud83d\u0041"}`,
		"a surrogate alone in a name":        `{"\ud83d":1}`,
		"a surrogate as bytes":               "{\"a\":\"\xed\xa0\x80\"}",
		"bytes that are not UTF-8":           "{\"a\":\"\xff\"}",
		"an overlong form":                   "{\"a\":\"\xc0\xaf\"}",
		"a name twice":                       `{"a":1,"a":2}`,
		"a name twice, once escaped":         `{"\u0061":1,"a":2}`,
		"a number too large":                 `{"a":1e309}`,
		"NaN":                                `{"a":NaN}`,
		"a byte order mark":                  "\uFEFF{}",
		"a control character as it is":       "{\"a\":\"\x01\"}",
		"no object":                          `[]`,
		"minus nought":                       `{"a":-0}`,
		"an escape that is not needed":       `{"a":"\u0061"}`,
		"an escaped character, upper case":   `{"a":"\u000F"}`,
		"an escape of a slash":               `{"a":"\/"}`,
		"a surrogate pair that is not bytes": `{"a":"\ud83d\ude00"}`,
		"order by code point":                "{\"\uFB33\":1,\"😀\":2}",
	} {
		c := newChain(testKey(1))
		r := exchange(1, "t")
		r.Ext = []byte(ext)
		if err := Validate(r); err == nil {
			t.Errorf("%s: %s is taken", name, ext)
		}
		c.add(r) // as somebody could who has the key
		if _, err := verifyLines(nil, c.lines); err == nil {
			t.Errorf("%s: a verifier takes %s", name, ext)
		}
	}
	line := newChain(testKey(1)).lines[0]
	for _, tenant := range []string{`\ud83d`, `\ude00\ud83d`, "\xed\xa0\x80", "\xff", `\ufffd`, `\ud83d\ude00`} {
		bad := strings.Replace(string(line), `"tenant":"acme"`, `"tenant":"`+tenant+`"`, 1)
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// FuzzExt holds what a record takes as its open member against gowebpki/jcs.
func FuzzExt(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,"x",null,true,{"b":"\u000f"}]}`))
	f.Add([]byte("{\"\uFB33\":1,\"😀\":2}"))
	f.Add([]byte(`{"a":"\ud83d"}`))
	f.Add([]byte(`{"n":1e+21,"o":1e21}`))
	f.Fuzz(func(t *testing.T, ext []byte) {
		r := exchange(1, "t")
		r.Head = Head{Chain: Chain{ID: testChain, Seq: 2, Prev: Hash(nil)}, TS: r.Detail.Started, KID: KeyID(public(testKey(1)))}
		r.Hop, r.DetailDigest, r.Ext = 1, Hash(nil), ext
		canonical, err := jcs.Transform(ext)
		taken := Validate(r) == nil
		if same := err == nil && bytes.Equal(canonical, ext) && ext[0] == '{'; taken != same {
			t.Fatalf("%q taken: %t, canonical: %t (%q, %v)", ext, taken, same, canonical, err)
		}
		if !taken {
			return
		}
		core := AppendCore(nil, r)
		if again, err := jcs.Transform(core); err != nil || !bytes.Equal(again, core) {
			t.Fatalf("a core with it is not canonical: %v\n%s", err, core)
		}
	})
}
