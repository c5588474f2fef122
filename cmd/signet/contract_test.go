package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const invoice = "../../examples/invoice/"

// The example's cases hold, and its README shows what its commands print.
func TestInvoiceExample(t *testing.T) {
	out := signet(t, "contract", "test", "--policy", invoice+"policy", invoice+"cases")
	if !strings.HasSuffix(out, "\n19 cases, 0 failed\nexit status 0\n") {
		t.Error(out)
	}
	readme, err := os.ReadFile(invoice + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"$ signet contract test --policy examples/invoice/policy examples/invoice/cases\n",
		"$ signet contract try --policy examples/invoice/policy --contract invoice-payment --original examples/invoice/original.json < examples/invoice/payment.json\n",
		"```\n" + strings.TrimSuffix(tried(t, "payment.json"), "exit status 0\n") + "```\n",
	} {
		if !bytes.Contains(readme, []byte(line)) {
			t.Errorf("README.md lacks\n%s", line)
		}
	}
}

// tried is what try prints of a file of the example.
func tried(t *testing.T, file string, more ...string) string {
	t.Helper()
	body, err := os.ReadFile(invoice + file)
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"contract", "try", "--policy", invoice + "policy", "--contract", "invoice-payment", "--original", invoice + "original.json"}, more...)
	return signetWith(t, bytes.NewReader(body), args...)
}

func TestContractTry(t *testing.T) {
	golden(t, "contract/try", tried(t, "payment.json"))
	golden(t, "contract/try-json", tried(t, "payment.json", "--json"))
	golden(t, "contract/try-refused", tried(t, "original.json"))
	golden(t, "contract/try-other", tried(t, "payment.json", "--request", "POST https://erp.example/v1/invoices/7"))
	golden(t, "contract/try-unknown", tried(t, "payment.json", "--contract", "payment"))
}

func TestContractTest(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile(invoice + "cases/amount.txt")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "case.txt")
	for name, content := range map[string]string{
		"wrong":        strings.Replace(string(text), "152000", "125000", 1),
		"no-input":     "contract: invoice-payment\n-- output --\n{}\n",
		"unknown-key":  "contrat: invoice-payment\n-- input --\n{}\n",
		"only-capture": "contract: invoice-source\n-- input --\n{}\n",
		"reason-alone": regexp.MustCompile(`(?s)INVARIANT_VIOLATED\n.*`).ReplaceAllString(string(text), "INVARIANT_VIOLATED\n"),
	} {
		writeFile(t, path, []byte(content))
		golden(t, "contract/test-"+name, strings.ReplaceAll(signet(t, "contract", "test", "--policy", invoice+"policy", path), dir, "DIR"))
	}
	writeFile(t, path, []byte(strings.Replace(string(text), "152000", "125000", 1)))
	signet(t, "contract", "test", "--update", "--policy", invoice+"policy", dir)
	if out := signet(t, "contract", "test", "--json", "--policy", invoice+"policy", dir); !strings.Contains(out, `"passed":true`) && !strings.Contains(out, `"passed": true`) {
		t.Error(out)
	}
}
