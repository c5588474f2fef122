package logproof_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/witnesses"
	"github.com/signet-egress/signet/receipts/logproof"
)

// TestPolicy has checkpoints that some of six witnesses have cosigned.
func TestPolicy(t *testing.T) {
	text := checkpointText()
	signed, key := sign(t, origin, text)
	_, otherKey := sign(t, "collector.example/other", text)
	known, definitions := map[string]witnesses.Cosigner{}, ""
	for _, name := range []string{"x1", "x2", "x3", "y1", "y2", "y3"} {
		known[name] = witnesses.NewCosigner("witness.example/" + name)
		definitions += "witness " + name + " " + known[name].VerifierKey() + " https://" + name + ".example/\n"
	}
	cosigned := func(names ...string) []byte {
		note := string(signed)
		for _, name := range names {
			note += known[name].LineAt(text, second)
		}
		return []byte(note)
	}
	twoLevels := definitions + "group x 2 x1 x2 x3\n\tgroup y any y1 y2 y3 \n# both\ngroup both all x y\nquorum both\n"
	for _, test := range []struct {
		policy string
		by     []string
		lacks  string // "": nothing
	}{
		{twoLevels, []string{"x1", "x3", "y2"}, ""},
		{twoLevels, []string{"x1", "x2", "x3", "y1", "y2", "y3"}, ""},
		{twoLevels, []string{"x1", "y2"}, "it needs x and y"},
		{twoLevels, []string{"x1", "x2"}, "cosigned by witness.example/x1 and witness.example/x2, and not by witness.example/x3 and"},
		{definitions + "group any2 2 x1 y1 y2\nquorum any2", []string{"y2"}, "it needs 2 of x1, y1, y2"},
		{definitions + "quorum x2", []string{"x2"}, ""},
		{definitions + "quorum x2", nil, "cosigned by nobody, and not by witness.example/x1 and"},
		{"log " + key + " https://collector.example\n" + definitions + "quorum none", nil, ""},
		{"log " + otherKey + "\nquorum none", nil, "has no log with the key"},
		{"log " + otherKey + "\nlog " + key + "\nquorum none", nil, ""},
	} {
		p, err := logproof.ParsePolicy([]byte(test.policy))
		if err != nil {
			t.Fatal(err)
		}
		found, _, err := p.Check(cosigned(test.by...), key)
		switch {
		case test.lacks == "" && (err != nil || len(found) != len(test.by)):
			t.Errorf("%s\ncosigned by %v: %v, %v", test.policy, test.by, found, err)
		case test.lacks != "" && (err == nil || !strings.Contains(err.Error(), test.lacks)):
			t.Errorf("%s\ncosigned by %v: %v; want an error with %q", test.policy, test.by, err, test.lacks)
		}
	}
}

func TestNeeded(t *testing.T) {
	text := checkpointText()
	signed, key := sign(t, origin, text)
	a, b := witnesses.NewCosigner("witness.example/a"), witnesses.NewCosigner("witness.example/b")
	byA := []byte(string(signed) + a.LineAt(text, second))
	for needed, good := range []bool{0: false, 1: true, 2: false} {
		p, err := logproof.Needed(needed, witnessOf(t, a), witnessOf(t, b))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Check(byA, key); (err == nil) != good {
			t.Errorf("%d needed: %v", needed, err)
		}
	}
	twin := witnesses.Cosigner{Name: "witness.example/twin", Key: a.Key}
	for name, err := range map[string]error{
		"more than there are": errorOf(logproof.Needed(3, witnessOf(t, a), witnessOf(t, b))),
		"fewer than none":     errorOf(logproof.Needed(-1, witnessOf(t, a))),
		"one key twice":       errorOf(logproof.Needed(2, witnessOf(t, a), witnessOf(t, twin))),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func errorOf(_ *logproof.Policy, err error) error { return err }

func TestBadPolicies(t *testing.T) {
	a, b := witnesses.NewCosigner("witness.example/a"), witnesses.NewCosigner("witness.example/b")
	ab := "witness a " + a.VerifierKey() + "\nwitness b " + b.VerifierKey() + "\n"
	_, log := sign(t, origin, checkpointText())
	for policy, want := range map[string]string{
		"":                                       "no line quorum",
		ab:                                       "no line quorum",
		"quorum a\n" + ab:                        `line 1: quorum "a": no witness or group of that name`,
		ab + "quorum a\nquorum b":                "line 4: a second quorum",
		ab + "quorum none\nquorum none":          "line 4: a second quorum",
		ab + "quorum a b":                        "line 3: \"quorum a b\" is none of",
		ab + "witness a " + a.VerifierKey():      "have one key",
		ab + "witness none " + a.KeyOfType(1):    "the key of a log",
		"witness none " + a.VerifierKey():        `the name "none" is taken`,
		"witness a\n":                            "is none of",
		ab + "group g 3 a b":                     `line 3: group g: "3" is none of all, any, and 1 to 2`,
		ab + "group g 0 a b":                     "is none of all",
		ab + "group g +1 a b":                    "is none of all",
		ab + "group g all a c":                   `no witness or group "c"`,
		ab + "group g all g":                     `no witness or group "g"`,
		ab + "group g all a a":                   "a is a member of a group already",
		ab + "group g all a\ngroup h all a b":    "line 4: group h: a is a member of a group already",
		ab + "group a all b":                     `the name "a" is taken`,
		ab + "group g all":                       "is none of",
		"log " + a.VerifierKey():                 "line 1: the log's key",
		"log " + log + "\nlog " + log:            "line 2: the log's key",
		"quorum none\r\n":                        `line 1: the control character '\r'`,
		"Quorum none":                            "is none of",
		strings.Repeat("#", 64<<10) + "\nquorum": "bytes; a policy has at most",
		strings.Repeat("group g all a\n", 1):     "no witness or group",
	} {
		if p, err := logproof.ParsePolicy([]byte(policy)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.300s\nis taken as %v, %v; want an error with %q", policy, p, err, want)
		}
	}
	many := ""
	for n := range 65 {
		many += fmt.Sprintf("witness w%d %s\n", n, witnesses.NewCosigner(fmt.Sprint(n)).VerifierKey())
	}
	if _, err := logproof.ParsePolicy([]byte(many + "quorum none")); err == nil || !strings.Contains(err.Error(), "line 65: more than 64 witnesses") {
		t.Errorf("65 witnesses: %v", err)
	}
}

// FuzzParsePolicy: a policy is read in bounded time, and what is taken can be asked.
func FuzzParsePolicy(f *testing.F) {
	a := witnesses.NewCosigner("witness.example/a").VerifierKey()
	for _, policy := range []string{"quorum none", "witness a " + a + "\nquorum a\n", "witness a " + a + " https://a.example\ngroup g any a # not a comment\nquorum g", "group g 1 g\nquorum g", "log x\n", "#\n\t\nquorum\tnone "} {
		f.Add([]byte(policy))
	}
	signed := []byte(checkpointText() + "\n— x AAAAAAA=\n")
	f.Fuzz(func(t *testing.T, policy []byte) {
		p, err := logproof.ParsePolicy(policy)
		if err != nil {
			return
		}
		if found, _, _ := p.Check(signed, "key"); len(found) > 0 {
			t.Errorf("%s: cosignatures from nowhere: %v", policy, found)
		}
	})
}
