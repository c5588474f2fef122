package payload

import (
	"fmt"
	"strings"
	"testing"
)

func TestCompileErrors(t *testing.T) {
	for name, tt := range map[string]struct{ contracts, want string }{
		"no list":                     {"  name: c", "p.yaml:5: contracts is a list, not a mapping"},
		"no name":                     {"  - {on: {hosts: [bank.test]}}", "p.yaml:5: a contract needs a name, which receipts and metrics show"},
		"a bad name":                  {"  - {name: a b, on: {hosts: [bank.test]}}", `p.yaml:5: name "a b" is not 1 to 64 letters, digits, dots, hyphens and underscores that start with a letter or digit`},
		"twice":                       {"  - {name: c, on: {hosts: [bank.test]}}\n  - {name: c, on: {hosts: [erp.test]}}", `p.yaml:6: contract "c": another contract has this name`},
		"no on":                       {"  - {name: c}", `p.yaml:5: contract "c": a contract needs on, with the hosts that it is for`},
		"no hosts":                    {"  - {name: c, on: {methods: [POST]}}", `p.yaml:5: contract "c": on needs hosts`},
		"unknown key":                 {"  - {name: c, on: {hosts: [bank.test]}, shema: x}", `p.yaml:5: contract "c": unknown key "shema" (did you mean schema?)`},
		"a host that no rule has":     {"  - {name: c, on: {hosts: [other.test]}}", `p.yaml:5: contract "c": no rule shows requests to "other.test": a rule that lists it needs intercept: true, or the scheme http`},
		"two for one request":         {"  - {name: c, on: {hosts: [bank.test]}}\n  - {name: d, on: {hosts: [bank.test], methods: [POST]}}", `p.yaml:6: contract "d": a request can fall under contract "c", in p.yaml, as well; a request has one contract: narrow their hosts, ports, methods or paths, or make them one`},
		"no such schema":              {"  - {name: c, on: {hosts: [bank.test]}, schema: x.json}", `p.yaml:5: contract "c": schema: x.json is not there; schemas are *.json files of a policy directory, beside its *.yaml files`},
		"a mode":                      {"  - {name: c, on: {hosts: [bank.test]}, mode: off}", `p.yaml:5: contract "c": mode "off" is not known; write enforce or report`},
		"a size":                      {"  - {name: c, on: {hosts: [bank.test]}, max_bytes: 1GB}", `p.yaml:5: contract "c": max_bytes is a size of at least one byte, such as 500000, 500KB, 10MB or 64MiB, and at most 64 MiB, not "1GB"`},
		"a pointer":                   {"  - {name: c, on: {hosts: [bank.test]}, embedded: [messages]}", `p.yaml:5: contract "c": a pointer of embedded: "messages" is no JSON Pointer: it starts with /, as in /items/0/id`},
		"a rule without an id":        {"  - {name: c, on: {hosts: [bank.test]}, rules: [{check: 'true'}]}", `p.yaml:5: contract "c": a rule needs an id, which denials and receipts show`},
		"a model alone":               {"  - {name: c, on: {hosts: [bank.test]}, repair: {model: true}}", `p.yaml:5: contract "c": repair.model needs local: true: a model is asked only where the local repair has no rule`},
		"a rule that is two":          {"  - {name: c, on: {hosts: [bank.test]}, rules: [{id: a, check: 'true', use: ids-preserved}]}", `p.yaml:5: contract "c": a rule has either check, an expression, or use, the name of a ready-made rule`},
		"a rule that is not made":     {"  - {name: c, on: {hosts: [bank.test]}, rules: [{id: a, use: id-preserved}]}", `p.yaml:5: contract "c": rule "a": there is no ready-made rule "id-preserved"; there are currency-preserved, `},
		"a parameter too many":        {"  - {name: c, on: {hosts: [bank.test]}, rules: [{id: a, use: ids-preserved, with: {fields: [/id], format: x}}]}", `p.yaml:5: contract "c": rule "a": ids-preserved takes fields and renamed, and no format`},
		"an unknown parameter":        {"  - {name: c, on: {hosts: [bank.test]}, rules: [{id: a, use: ids-preserved, with: {field: [/id]}}]}", `p.yaml:5: contract "c": unknown key "field" (did you mean fields?)`},
		"a rule that is none":         {"  - name: c\n    on: {hosts: [bank.test]}\n    rules:\n      - {id: a, check: 'true'}\n      - {id: b, check: '1 +'}", `p.yaml:9: contract "c": rule "b" at 1:4: Syntax error: `},
		"transform to nowhere":        {"  - {name: c, on: {hosts: [bank.test]}, transform: {amount: '1'}}", `p.yaml:5: contract "c": transform writes to a JSON Pointer of a member, such as /amount_minor, and "amount" is none`},
		"a transform that is none":    {"  - name: c\n    on: {hosts: [bank.test]}\n    transform:\n      /a: '1'\n      /b: original.", `p.yaml:9: contract "c": rule "/b" at 1:10: Syntax error: `},
		"a fact that nobody captures": {"  - {name: c, on: {hosts: [bank.test]}, original: {fact: invoice, key: /id}}", `p.yaml:5: contract "c": no contract captures the fact invoice, so that every body would be without its original`},
		"original without a key":      {"  - {name: c, on: {hosts: [bank.test]}, original: {fact: invoice}, capture: {fact: invoice, key: /id, keep: {id: /id}}}", `p.yaml:5: contract "c": original needs key`},
		"missing_original alone":      {"  - {name: c, on: {hosts: [bank.test]}, missing_original: deny}", `p.yaml:5: contract "c": missing_original does nothing without original`},
		"capture of nothing":          {"  - {name: c, on: {hosts: [bank.test]}, capture: {fact: invoice, key: /id, keep: {}}}", `p.yaml:5: contract "c": capture.keep is empty; leave the key out, or write something`},
		"capture of the request":      {"  - {name: c, on: {hosts: [bank.test]}, capture: {fact: invoice, part: request, key: /id, keep: {id: /id}}}", `p.yaml:5: contract "c": capture.part "request" is not known; write response`},
		"a key with a star":           {"  - {name: c, on: {hosts: [bank.test]}, capture: {fact: invoice, key: /*/id, keep: {id: /id}}}", `p.yaml:5: contract "c": capture.key names one place: no *`},
		"two scopes of a fact":        {"  - {name: c, on: {hosts: [bank.test]}, capture: [{fact: invoice, key: /id, keep: {id: /id}}, {fact: invoice, key: /id, keep: {id: /id}, scope: tenant}]}", `p.yaml:5: contract "c": the fact invoice has the scope agent elsewhere; a fact has one`},
	} {
		if _, err := tryLoad(tt.contracts + "\n"); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got\n%v\nwant\n%s", name, err, tt.want)
		}
	}
}

// TestEveryMistakeIsTold: of all contracts and all files at once.
func TestEveryMistakeIsTold(t *testing.T) {
	_, err := tryLoad("  - {name: c, mod: x, on: {hosts: [bank.test]}, rules: [{id: a, check: x}, {id: b, check: y}]}\n",
		File{Path: "a.json", Data: []byte(`{"type":`)}, File{Path: "b.json", Data: []byte(`{"$schema":"http://json-schema.org/draft-07/schema#"}`)})
	want := `a.json: not valid JSON at byte 8, in "/type": the input ends inside a value
b.json: $schema is "http://json-schema.org/draft-07/schema#", and schemas are in JSON Schema 2020-12: write "https://json-schema.org/draft/2020-12/schema", or leave it out
p.yaml:5: contract "c": unknown key "mod" (did you mean mode?)
p.yaml:5: contract "c": rule "a" at 1:1: undeclared reference to 'x'
p.yaml:5: contract "c": rule "b" at 1:1: undeclared reference to 'y'`
	if fmt.Sprint(err) != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// TestNothingIsFetched: a reference out of the directory is an error when the
// contract is loaded.
func TestNothingIsFetched(t *testing.T) {
	for _, ref := range []string{"http://127.0.0.1:9/x.json", "file:///etc/passwd", "other.json", "../x.json"} {
		_, err := tryLoad("  - {name: c, on: {hosts: [bank.test]}, schema: a.json}\n", File{Path: "a.json", Data: []byte(`{"$ref":"` + ref + `"}`)})
		if err == nil || !strings.Contains(err.Error(), "is not a schema of this directory, and nothing is fetched from elsewhere") {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// TestSchemasByID: a schema may refer to others by the $id that they have.
func TestSchemasByID(t *testing.T) {
	load(t, "  - {name: c, on: {hosts: [bank.test]}, schema: a.json}\n",
		File{Path: "a.json", Data: []byte(`{"$id":"https://schemas.example/a","$ref":"b"}`)},
		File{Path: "b.json", Data: []byte(`{"$id":"https://schemas.example/b","type":"object"}`)})
}

func TestContractsOfSeveralFiles(t *testing.T) {
	set := load(t, "  - {name: c, on: {hosts: [bank.test], methods: [POST]}}\n  - {name: d, on: {hosts: [bank.test], methods: [GET]}, capture: {fact: f, key: /id, keep: {id: /id}}}\n")
	if fmt.Sprint(set.Names()) != "[c d]" || set.Named("d") == nil || set.Named("e") != nil {
		t.Errorf("%q", set.Names())
	}
	if c := set.Named("c"); !c.Checks() || c.Captures() {
		t.Error("c only checks")
	}
	if d := set.Named("d"); d.Checks() || !d.Captures() {
		t.Error("d only captures")
	}
}
