package witness_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"

	"github.com/signet-egress/signet/internal/collector/witness"
	"github.com/signet-egress/signet/internal/testkit/witnesses"
	"github.com/signet-egress/signet/receipts/logproof"
)

// FuzzAnswer: whatever a witness answers is a cosignature that an auditor takes, or
// an error, and a size that it tells is one.
func FuzzAnswer(f *testing.F) {
	a := witnesses.NewCosigner("witness.example/a")
	const text = "collector.example/acme\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	checkpoint := []byte(text + "\n— collector.example/acme AAAAAAAA\n")
	for _, seed := range []struct {
		status   int
		kind     string
		contents string
	}{
		{http.StatusOK, "text/plain", a.LineAt(text, 1790000000)},
		{http.StatusOK, "text/plain", a.LineAt("other", 1790000000)},
		{http.StatusOK, "", "— witness.example/b AAAAAAAA\n" + a.LineAt(text, 1790000000)},
		{http.StatusOK, "", "\n\n" + a.LineAt(text, 1790000000)},
		{http.StatusConflict, "text/x.tlog.size", "7\n"},
		{http.StatusConflict, "text/x.tlog.size", "07\n"},
		{http.StatusConflict, "text/plain", "7\n"},
		{http.StatusUnprocessableEntity, "", ""},
		{http.StatusBadGateway, "", "<html>"},
	} {
		f.Add(seed.status, seed.kind, []byte(seed.contents))
	}
	client, err := witness.New(a.VerifierKey() + " https://witness.example")
	if err != nil {
		f.Fatal(err)
	}
	key, err := logproof.NewWitness(a.VerifierKey())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, kind string, answer []byte) {
		line, err := witness.Answer(client, status, kind, checkpoint, answer)
		if moved, ok := errors.AsType[*witness.SizeError](err); ok && (moved.Size < 0 || status != http.StatusConflict) {
			t.Fatalf("status %d tells the size %d", status, moved.Size)
		}
		if err != nil {
			return
		}
		found, _, err := logproof.Cosignatures(append(bytes.Clone(checkpoint), line+"\n"...), []*logproof.Witness{key})
		if err != nil || len(found) != 1 || status != http.StatusOK {
			t.Fatalf("status %d: %q is taken: %v, %v", status, line, found, err)
		}
	})
}
