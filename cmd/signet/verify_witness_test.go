package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/testkit/witnesses"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/bundle"
)

// cosign has witnesses cosign the checkpoint in a mirror.
func cosign(t *testing.T, dir string, by ...witnesses.Cosigner) {
	t.Helper()
	path := filepath.Join(dir, "checkpoint")
	signed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(signed), "\n\n")
	for i, w := range by {
		signed = append(signed, w.Line(text+"\n", time.Unix(1790000000+int64(i), 0))...)
	}
	writeFile(t, path, signed)
}

// TestVerifyWitnesses says what is demanded of a log's witnesses, and what is seen
// where nothing is.
func TestVerifyWitnesses(t *testing.T) {
	t.Chdir(t.TempDir())
	e := sampleEvidence()
	writeFile(t, "records.jsonl", jsonLines(e.lines))
	a, b := witnesses.NewCosigner("witness.example/a"), witnesses.NewCosigner("witness.example/b")
	log := newTestLog(t)
	log.take(e.lines...)
	for dir, by := range map[string][]witnesses.Cosigner{
		"nobody": nil, "one": {a}, "two": {a, b}, "forged": {a},
	} {
		log.mirror(dir)
		cosign(t, dir, by...)
	}
	writeFile(t, "forged/checkpoint", append(readFile(t, "forged/checkpoint"), b.Line("another text\n", time.Unix(1790000000, 0))...))
	var exported bytes.Buffer
	if _, err := bundle.Export(&exported, bundle.Options{
		Tenant: "acme", Build: "v0.1.0", Created: time.Unix(1790000000, 0).UTC(), Profile: bundle.Full, Key: e.key,
		Keys: []receipts.ChainKey{{KID: receipts.KeyID(e.public()), PublicKey: e.public()}},
	}, func(add func([]byte) error) error {
		for _, line := range e.lines {
			if err := add(line); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	writeFile(t, "bundle.zip", exported.Bytes())
	policy := "log " + log.key + "\nwitness a " + a.VerifierKey() + "\nwitness b " + b.VerifierKey() + "\n"
	writeFile(t, "all", []byte(policy+"group both all a b\nquorum both\n"))
	writeFile(t, "none", []byte(policy+"quorum none\n"))
	writeFile(t, "bad", []byte(policy+"quorum c\n"))
	writeFile(t, "elsewhere", []byte("log "+newTestLog(t).key+"\nquorum none\n"))

	var all strings.Builder
	mask := strings.NewReplacer(log.key, "KEY", a.VerifierKey(), "A", b.VerifierKey(), "B", a.KeyOfType(1), "A-AS-A-LOG")
	show := func(args ...string) {
		fmt.Fprintf(&all, "$ signet %s\n%s\n", mask.Replace(strings.Join(args, " ")), steady(mask.Replace(signet(t, args...))))
	}
	verify := func(dir string, args ...string) {
		show(append([]string{"verify", "--log", dir, "--log-key", log.key, "records.jsonl"}, args...)...)
	}
	verify("two")
	verify("two", "--json")
	verify("two", "--witness", a.VerifierKey(), "--witness", b.VerifierKey())
	verify("two", "--witness", a.VerifierKey(), "--json")
	verify("one", "--witness", a.VerifierKey(), "--witness", b.VerifierKey())
	verify("one", "--witness", a.VerifierKey(), "--witness", b.VerifierKey(), "--witnesses-needed", "1")
	verify("nobody", "--witness", a.VerifierKey())
	verify("nobody", "--witness", a.VerifierKey(), "--json")
	verify("forged", "--witness", b.VerifierKey())
	verify("two", "--witness-policy", "all")
	verify("one", "--witness-policy", "all")
	verify("nobody", "--witness-policy", "none")
	verify("two", "--witness-policy", "elsewhere")
	verify("two", "--witness-policy", "bad")
	verify("two", "--witness-policy", "absent")
	verify("two", "--witness-policy", "all", "--witnesses-needed", "1")
	verify("two", "--witnesses-needed", "1")
	verify("two", "--witness", a.VerifierKey(), "--witnesses-needed", "2")
	verify("two", "--witness", a.VerifierKey(), "--witness", a.VerifierKey())
	verify("two", "--witness", a.KeyOfType(1))
	verify("two", "--witness", "witness.example/a")
	show("verify", "--witness", a.VerifierKey(), "records.jsonl")
	show("verify", "--witness", a.VerifierKey(), "bundle.zip")
	t.Chdir(sourceDir)
	golden(t, "records/witnesses", all.String())
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A collector's newest checkpoint may be newer than what witnesses have cosigned:
// then the records must be in what they have, and the log must extend that.
func TestVerifyWitnessesOverAPI(t *testing.T) {
	t.Chdir(t.TempDir())
	e := sampleEvidence()
	writeFile(t, "early.jsonl", jsonLines(e.lines[:6]))
	writeFile(t, "records.jsonl", jsonLines(e.lines))
	writeFile(t, "token", []byte("signet_secret\n"))
	w := witnesses.NewCosigner("witness.example/a")
	log, other := newTestLog(t), newTestLog(t)
	other.signer, other.key = log.signer, log.key
	other.take(e.lines[1:7]...)
	other.mirror("other")
	log.take(e.lines[:6]...)
	log.mirror("early")
	log.take(e.lines[6:]...)
	log.mirror("whole")
	cosign(t, "early", w)
	cosign(t, "other", w)
	cosigned := "early"
	files := http.StripPrefix("/v1/log/", http.FileServer(http.Dir("whole")))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/log/witnesses" {
			files.ServeHTTP(rw, r)
			return
		}
		type kept struct {
			Checkpoint string `json:"checkpoint"`
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"checkpoints": []kept{{string(readFile(t, cosigned+"/checkpoint"))}}})
	}))
	defer server.Close()
	for _, test := range []struct{ cosigned, path, want string }{
		{"early", "early.jsonl", "log: every record is in it, up to its checkpoint of 6 records\nwitnesses: cosigned by witness.example/a at 20"},
		{"early", "records.jsonl", "seq 7: log: it is not among the 6 records of the log that its witnesses have cosigned"},
		{"other", "early.jsonl", "log: the log with 10 records does not extend the one with 6"},
		{"whole", "early.jsonl", "log: the checkpoint is cosigned by nobody, and not by witness.example/a: it needs witness.example/a"},
	} {
		cosigned = test.cosigned
		out := signet(t, "verify", "--log", server.URL, "--log-key", log.key, "--token-file", "token", "--witness", w.VerifierKey(), test.path)
		if !strings.Contains(out, test.want) {
			t.Errorf("cosigned is %s: %s\nwant %q", test.cosigned, out, test.want)
		}
	}
}
