package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/httpapi"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/witnesses"
	"github.com/signet-egress/signet/receipts/logproof"
)

// cosign keeps what a witness says of the log's newest checkpoint.
func (w *world) cosign(by witnesses.Cosigner) {
	w.t.Helper()
	state, err := w.store.LogState(w.t.Context(), "acme")
	if err != nil {
		w.t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(state.Checkpoint), "\n\n")
	if err := w.store.AddCosignature(w.t.Context(), "acme", store.Cosignature{
		Size: state.Size, Witness: by.VerifierKey(), Checkpoint: state.Checkpoint, Line: strings.TrimSuffix(by.Line(text+"\n", w.now), "\n"), At: w.now.UTC().Truncate(time.Second),
	}); err != nil {
		w.t.Fatal(err)
	}
}

// What witnesses have said is served with the checkpoints that they said it of.
func TestWitnesses(t *testing.T) { onEach(t, testWitnesses) }

func testWitnesses(t *testing.T, w *world) {
	_, schemas := readDocument(t)
	first, second := witnesses.NewCosigner(asked), witnesses.NewCosigner("witness.example/formerly")
	type answer struct {
		Witnesses   []httpapi.Witness
		Checkpoints []httpapi.Cosigned
	}
	list := func() (a answer) {
		t.Helper()
		_, body := w.do(http.MethodGet, "/v1/log/witnesses", acme, nil)
		wantSchema(t, schemas, "#/components/schemas/Witnesses", body)
		if err := json.Unmarshal(body, &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	cosignatures := func(query string, want int) {
		t.Helper()
		resp, text := w.do(http.MethodGet, "/v1/log/checkpoint"+query, acme, nil)
		w1, err := logproof.NewWitness(first.VerifierKey())
		if err != nil {
			t.Fatal(err)
		}
		w2, err := logproof.NewWitness(second.VerifierKey())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := logproof.OpenCheckpoint(text, w.logKey()); err != nil {
			t.Fatal(query, resp.Status, err)
		}
		if found, _, err := logproof.Cosignatures(text, []*logproof.Witness{w1, w2}); err != nil || len(found) != want {
			t.Errorf("checkpoint%s has %d cosignatures, %v; want %d", query, len(found), err, want)
		}
	}
	if a := list(); len(a.Witnesses) != 1 || a.Witnesses[0].Size != nil || len(a.Checkpoints) != 0 {
		t.Errorf("before the log has begun: %+v", a)
	}
	c := w.chain("a.example", "b.example")
	w.sequence()
	cosignatures("", 0)
	w.wantProblem("/v1/log/checkpoint?witnesses=1", acme, http.StatusNotFound)
	w.wantProblem("/v1/log/checkpoint?witnesses=-1", acme, http.StatusBadRequest)
	w.cosign(first)
	w.cosign(second)
	cosignatures("", 2)
	early := list().Checkpoints[0].Size
	w.chain("c.example")
	w.sequence()
	w.cosign(first)
	w.chain("d.example")
	w.sequence()
	cosignatures("", 0)
	cosignatures("?witnesses=1", 1)
	cosignatures("?witnesses=2", 2)
	w.wantProblem("/v1/log/checkpoint?witnesses=3", acme, http.StatusNotFound)
	a := list()
	if len(a.Witnesses) != 1 || a.Witnesses[0].Key != first.VerifierKey() || *a.Witnesses[0].Size <= early || !a.Witnesses[0].At.Equal(w.now.Truncate(time.Second)) {
		t.Errorf("witnesses: %+v", a.Witnesses)
	}
	if len(a.Checkpoints) != 2 || len(a.Checkpoints[0].Witnesses) != 1 || len(a.Checkpoints[1].Witnesses) != 2 || a.Checkpoints[1].Size != early {
		t.Errorf("checkpoints: %+v", a.Checkpoints)
	}
	// A record is proved up to what the most have cosigned.
	var p httpapi.Proof
	w.get(fmt.Sprintf("/v1/log/inclusion?chain=%s&seq=1", c.ID), &p)
	if p.Size != early || p.Checkpoint != a.Checkpoints[1].Checkpoint {
		t.Errorf("the first record is proved up to %d: %s", p.Size, p.Checkpoint)
	}
	if _, body := w.do(http.MethodGet, "/v1/log/witnesses", other, nil); strings.Contains(string(body), "checkpoint\":") {
		t.Errorf("another tenant is told %s", body)
	}
}

// An alarm about the log names no chain.
func TestAlarmOfTheLog(t *testing.T) { onEach(t, testAlarmOfTheLog) }

func testAlarmOfTheLog(t *testing.T, w *world) {
	_, schemas := readDocument(t)
	if _, err := w.store.Raise(t.Context(), "acme", store.Alarm{ID: "0199f3a1-7c00-7000-8000-000000000001", Kind: store.AlarmWitness, Message: "why", Raised: w.now}); err != nil {
		t.Fatal(err)
	}
	_, body := w.do(http.MethodGet, "/v1/alarms", acme, nil)
	if !strings.Contains(string(body), `"kind":"witness"`) || strings.Contains(string(body), `"chain"`) {
		t.Errorf("%s", body)
	}
	wantSchema(t, schemas, "#/components/schemas/Alarms", body)
}
