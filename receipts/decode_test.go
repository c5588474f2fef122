package receipts

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"
)

func TestDecodeErrors(t *testing.T) {
	line := string(sampleChain().lines[2])
	swap := func(old, with string) string {
		if !strings.Contains(line, old) {
			t.Fatalf("no %q in %s", old, line)
		}
		return strings.Replace(line, old, with, 1)
	}
	var (
		syntax    *SyntaxError
		badType   *TypeError
		member    *UnknownMemberError
		canonical *CanonicalError
		field     *FieldError
	)
	tests := []struct {
		name, line string
		as         any
		says       string
	}{
		{"empty", "", &syntax, "not a record"},
		{"no JSON", "nonsense", &syntax, "not a record"},
		{"an array", "[]", &syntax, "not a record"},
		{"cut off", line[:len(line)-1], &syntax, "not a record"},
		{"two records", line + line, &syntax, "not a record"},
		{"too long", strings.Repeat(" ", MaxLine) + line, &syntax, "at most 1048576"},
		{"no type", "{}", &badType, "names no type"},
		{"another type", `{"type":"signet.checkpoint/1"}`, &badType, "signet.checkpoint/1"},
		{"unknown member", swap(`"hop":1`, `"hop":1,"hops":2`), &member, `"hops" is no member`},
		{"unknown member inside", swap(`"vex"`, `"vat":2,"vex"`), &member, `"usage.vat" is no member`},
		{"a Go name", swap(`{"agent"`, `{"Receipt":{},"agent"`), &member, `"Receipt" is no member`},
		{"a new line", line + "\n", &canonical, "canonical form"},
		{"an upper-case name", swap(`"hop"`, `"HOP"`), &canonical, "from byte "},
		{"an invalid byte", swap("acme", "ac\xffme"), &syntax, "not UTF-8"},
		{"a lone surrogate", swap("acme", `ac\ud800me`), &syntax, "surrogate"},
		{"a number in another form", swap(`"hop":1`, `"hop":1.0`), &canonical, "canonical form"},
		{"minus zero", swap(`"fu":0`, `"fu":-0`), &canonical, "canonical form"},
		{"a missing member", swap(`"fallback_used":false,`, ``), &field, "fallback_used: missing"},
		{"an empty optional", swap(`"api_key":"key-7"`, `"api_key":""`), &field, "api_key: empty"},
		{"another canon", swap(`"canon":"jcs"`, `"canon":"json"`), &field, `canon: "json", not jcs`},
		{"another algo", swap(`"algo":"sha256"`, `"algo":"md5"`), &field, `algo: "md5", not sha256`},
		{"another engine", swap(`"engine":"HEL"`, `"engine":"OPA"`), &field, "policy.engine"},
		{"a fraction", swap(`"hop":1`, `"hop":1.5`), &field, "hop: 1.5 is no integer"},
		{"a time of another kind", swap(`"ts":"2026-`, `"ts":"26-`), &field, "ts"},
		{"a missing tenant", swap(`"tenant":"acme",`, ``), &field, "tenant: missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode([]byte(tt.line))
			if err == nil || !errors.As(err, tt.as) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %T %v, want %T and %q", err, err, tt.as, tt.says)
			}
		})
	}
}

// Whatever Decode takes is canonical, is what Append writes, and is taken by the
// decoder that goes by the schema alone.
func FuzzDecode(f *testing.F) {
	for _, line := range sampleChain().lines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := Decode(line)
		if slow, slowErr := decodeAny(line); (err == nil) != (slowErr == nil) || err == nil && !reflect.DeepEqual(r, slow) {
			t.Fatalf("quickly: %+v, %v\nby the schema: %+v, %v", r, err, slow, slowErr)
		}
		if err != nil {
			return
		}
		if scanRecord(line) == nil {
			t.Fatalf("taken, but not quickly: %s", line)
		}
		if again := Append(nil, r); !bytes.Equal(again, line) {
			t.Fatalf("taken, but written as\n%s\nnot\n%s", again, line)
		}
		if canonical, err := jcs.Transform(line); err != nil || !bytes.Equal(canonical, line) {
			t.Fatalf("taken, but not canonical: %v\n%s", err, line)
		}
		if err := Validate(r); err != nil {
			t.Fatalf("taken, but not valid: %v", err)
		}
	})
}

// A verifier takes any lines without a panic, and nothing that its key set
// does not vouch for.
func FuzzVerifier(f *testing.F) {
	lines := sampleChain().lines
	f.Add(bytes.Join(lines, []byte("\n")))
	f.Add(bytes.Join(lines[11:], []byte("\n")))
	good := map[string]bool{}
	for _, line := range lines {
		good[string(line)] = true
	}
	keys := &KeySet{}
	if set, err := ParseJWKS(JWKS(chainKey(1), chainKey(2))); err == nil {
		keys = set
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v := NewVerifier(keys)
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			if v.Add(line) != nil {
				break
			}
			r, err := Decode(line)
			if err != nil {
				t.Fatal(err)
			}
			if receipt, ok := r.(*Receipt); ok && receipt.Detail == nil {
				continue // withheld, which its owner may do
			}
			if !good[string(line)] {
				t.Fatalf("a record that nobody wrote was verified: %s", line)
			}
		}
	})
}
