package receipts

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the worked example of docs/receipt.md anew")

const manual = "../docs/receipt.md"

func readManual(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The manual's tables list each member of each type, with its kind and whether
// it is always there, and none more.
func TestManualTables(t *testing.T) {
	types := map[string]any{
		"signet.genesis/1": wireGenesis{}, "signet.receipt/1": wireReceipt{}, "signet.event/1": wireEvent{},
		"chain": Chain{}, "policy": wirePolicy{}, "usage": Usage{},
		"gap": Gap{}, "gap.lost": Lost{}, "key": KeyChange{}, "clock": ClockStep{}, "posture": Posture{},
		"detail": Detail{}, "detail.request": Request{}, "detail.dns": DNS{}, "detail.tls": TLS{}, "detail.forwarded": ForwardedTo{},
		"detail.payload": Payload{}, "detail.payload.facts": Fact{}, "detail.repair": Repair{}, "detail.repair.edits": Edit{},
		"signet.ack/1": Ack{}, "signet.heartbeat/1": Heartbeat{},
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([^|]+) \\| ([^|]+) \\| [^|]+ \\|$")
	for section := range strings.SplitSeq(readManual(t), "\n### ") {
		name, ok := strings.CutPrefix(section, "`")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, "`")
		typ, ok := types[name]
		if !ok {
			t.Errorf("the manual has a section %q that is no type", name)
			continue
		}
		delete(types, name)
		got := map[string]string{}
		for _, m := range row.FindAllStringSubmatch(section, -1) {
			presence := "always"
			if m[3] != presence {
				presence = "optional"
			}
			got[m[1]] = m[2] + ", " + presence
		}
		want := members(reflect.TypeOf(typ))
		for member, form := range want {
			if got[member] != form {
				t.Errorf("%s: %s is %q in the program, %q in the manual", name, member, form, got[member])
			}
		}
		for member := range got {
			if want[member] == "" {
				t.Errorf("%s: the manual lists %s, which the program does not have", name, member)
			}
		}
	}
	for name := range types {
		t.Errorf("the manual has no section for %s", name)
	}
}

// members gives the kind and presence of each JSON member of a struct.
func members(t reflect.Type) map[string]string {
	all := map[string]string{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			maps.Copy(all, members(embedded))
			continue
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		presence := "always"
		if option == "omitempty" {
			presence = "optional"
		}
		all[name] = kind(f.Type) + ", " + presence
	}
	return all
}

func kind(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[json.RawMessage]():
		return "object"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kind(t.Elem())
	case reflect.Slice:
		return "list of " + kind(t.Elem()) + "s"
	case reflect.Struct:
		return "object"
	case reflect.Int64:
		return "integer"
	case reflect.Bool:
		return "boolean"
	}
	return t.Kind().String()
}

// The worked example is what the program writes.
func TestManualExample(t *testing.T) {
	text := readManual(t)
	seed, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	c := newChain(key)
	r := denial(1, "4bf92f3577b34da6a3ce929d0e0e4736")
	r.Policy.Reason = "HEL_HOST_NOT_ALLOWED"
	r.Detail.DurationUS = 184
	r.Detail.Request = &Request{Protocol: "h1", Method: "CONNECT", Scheme: "https", Host: "paste.example", Port: 443}
	c.add(r)
	for name, block := range map[string]string{
		"key": fmt.Sprintf("```text\nseed       %x\npublic_key %s\nkid        %s\n```",
			seed, EncodeKey(public(key)), KeyID(public(key))),
		"records": fmt.Sprintf("```json\n%s\n```", bytes.Join(c.lines, []byte("\n"))),
		"core":    fmt.Sprintf("```json\n%s\n```", AppendCore(nil, r)),
		"detail":  fmt.Sprintf("```json\n%s\n```", AppendDetail(nil, r.Detail)),
	} {
		marker := "<!-- example: " + name + " -->\n"
		before, after, ok := strings.Cut(text, marker)
		if !ok {
			t.Fatalf("the manual has no %q", marker)
		}
		after = strings.TrimPrefix(after, "\n")
		if strings.HasPrefix(after, block) {
			continue
		}
		if !*update {
			t.Errorf("example %q is not what the program writes; run go test ./receipts -run Manual -update. Want:\n%s", name, block)
			continue
		}
		if strings.HasPrefix(after, "```") {
			_, after, _ = strings.Cut(after[3:], "\n```")
		} else {
			after = "\n\n" + after
		}
		text = before + marker + "\n" + block + after
	}
	if *update {
		if err := os.WriteFile(manual, []byte(strings.TrimRight(text, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The manual's outline in Python agrees with the program: it is the second
// implementation of the format.
func TestManualOutline(t *testing.T) {
	for _, tool := range []string{"python3", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	_, code, ok := strings.Cut(readManual(t), "```python\n")
	code, _, closed := strings.Cut(code, "```")
	if !ok || !closed {
		t.Fatal("the manual has no Python outline")
	}
	good := sampleChain()
	run := func(lines [][]byte) (string, error) {
		dir := t.TempDir()
		for name, data := range map[string][]byte{"verify.py": []byte(code), "records.jsonl": append(bytes.Join(lines, []byte("\n")), '\n')} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), "python3", "verify.py", "records.jsonl")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(good.lines); err != nil || out != fmt.Sprintf("good: 17 records, head %s\n", good.head.ReceiptHash) {
		t.Errorf("a good chain: %v\n%s", err, out)
	}
	bad := append([][]byte{}, good.lines...)
	bad[4] = resign(t, testKey(9), bad[4], func(r *Receipt) { r.Outcome = Failed })
	if out, err := run(bad); err == nil {
		t.Errorf("a forged record was taken:\n%s", out)
	}
}
