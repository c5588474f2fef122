package httpapi_test

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/collector/httpapi"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/logproof"
)

// logKey is what an auditor is given once.
func (w *world) logKey() string {
	w.t.Helper()
	resp, body := w.do(http.MethodGet, "/v1/log/key", acme, nil)
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("the log's key: %s %s", resp.Status, body)
	}
	return strings.TrimSpace(string(body))
}

func (w *world) sequence() {
	w.t.Helper()
	if _, err := w.sequencer.Take(w.t.Context(), "acme"); err != nil {
		w.t.Fatal(err)
	}
}

func hashesOf(t *testing.T, p httpapi.Proof) []tlog.Hash {
	t.Helper()
	hashes := make([]tlog.Hash, len(p.Proof))
	for i, text := range p.Proof {
		if _, err := hex.Decode(hashes[i][:], []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return hashes
}

// An auditor with the log's key alone checks every record's place, and that the
// log only ever grew.
func TestTheLogProves(t *testing.T) { onEach(t, testTheLogProves) }

func testTheLogProves(t *testing.T, w *world) {
	w.wantProblem("/v1/log/checkpoint", acme, http.StatusNotFound)
	first := w.chain("a.example", "b.example", "c.example")
	w.sequence()
	key := w.logKey()
	_, text := w.do(http.MethodGet, "/v1/log/checkpoint", acme, nil)
	old, err := logproof.OpenCheckpoint(text, key)
	if err != nil || old.N != int64(len(first.Lines)) {
		t.Fatalf("the first checkpoint: %d, %v", old.N, err)
	}
	w.chain("d.example")
	w.sequence()
	w.wantConsistent(old, key)
	for seq, line := range first.Lines {
		r, err := receipts.Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		w.wantIncluded(first.ID, int64(seq+1), r.RecordHead().ReceiptHash, key)
	}
	w.wantProblem("/v1/log/inclusion", acme, http.StatusBadRequest)
	w.wantProblem("/v1/log/consistency?from=1000", acme, http.StatusBadRequest)
	w.wantTiles(old.N)
}

func (w *world) wantIncluded(chain string, seq int64, hash, key string) {
	w.t.Helper()
	var p httpapi.Proof
	w.get(fmt.Sprintf("/v1/log/inclusion?chain=%s&seq=%d", chain, seq), &p)
	tree, err := logproof.OpenCheckpoint([]byte(p.Checkpoint), key)
	if err != nil {
		w.t.Fatal(err)
	}
	leaf, err := hex.DecodeString(strings.TrimPrefix(hash, "sha256:"))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := tlog.CheckRecord(hashesOf(w.t, p), tree.N, tree.Hash, *p.Index, tlog.RecordHash(leaf)); err != nil {
		w.t.Errorf("seq %d: %v", seq, err)
	}
}

func (w *world) wantConsistent(old tlog.Tree, key string) {
	w.t.Helper()
	var p httpapi.Proof
	w.get(fmt.Sprintf("/v1/log/consistency?from=%d", old.N), &p)
	tree, err := logproof.OpenCheckpoint([]byte(p.Checkpoint), key)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := tlog.CheckTree(hashesOf(w.t, p), tree.N, tree.Hash, old.N, old.Hash); err != nil {
		w.t.Error(err)
	}
}

func (w *world) wantTiles(width int64) {
	w.t.Helper()
	resp, body := w.do(http.MethodGet, fmt.Sprintf("/v1/log/tile/0/000.p/%d", width), acme, nil)
	if resp.StatusCode != http.StatusOK || int64(len(body)) != width*tlog.HashSize {
		w.t.Errorf("a tile of %d: %s, %d bytes", width, resp.Status, len(body))
	}
	for path, status := range map[string]int{
		"0/000": http.StatusNotFound, "0/001": http.StatusNotFound, "1/000": http.StatusNotFound, "0/000.p/200": http.StatusNotFound,
		"0/0": http.StatusBadRequest, "0/x000/001": http.StatusBadRequest, "9/000": http.StatusBadRequest, "0/000.p/256": http.StatusBadRequest,
		"00/000": http.StatusBadRequest, "0/-01": http.StatusBadRequest, "": http.StatusBadRequest,
	} {
		w.wantProblem("/v1/log/tile/"+path, acme, status)
	}
}
