package receipts

import (
	"testing"
	"time"
)

// A resumed verifier gives the verdicts that the first one would have given.
func TestResume(t *testing.T) {
	c := sampleChain()
	want, err := verifyLines(nil, c.lines)
	if err != nil {
		t.Fatal(err)
	}
	first := NewVerifier(nil)
	for cut, line := range c.lines {
		if err := first.Add(line); err != nil {
			t.Fatal(err)
		}
		resumed := resume(t, first)
		for _, line := range c.lines[cut+1:] {
			if err := resumed.Add(line); err != nil {
				t.Fatalf("after seq %d: %v", cut+1, err)
			}
		}
		if got, err := resumed.Result(); err != nil || got != want {
			t.Fatalf("after seq %d: %+v, %v; want %+v", cut+1, got, err, want)
		}
		again := resume(t, first).Add(line)
		wantCause(t, again, int64(cut+1), CauseOrder)
	}
	c.add(exchange(301, "trace-9")) // the id is there, 16 records ago
	wantCause(t, resume(t, first).Add(c.lines[len(c.lines)-1]), int64(len(c.lines)), CauseReceiptID)
}

func resume(t *testing.T, v *Verifier) *Verifier {
	t.Helper()
	state, err := v.State()
	if err != nil {
		t.Fatal(err)
	}
	resumed, err := ResumeVerifier(nil, state)
	if err != nil {
		t.Fatal(err)
	}
	return resumed
}

func TestResumeRefuses(t *testing.T) {
	for _, state := range []string{"", "{}", `{"version":1}`, `{"version":2,"keys":[{}]}`} {
		if _, err := ResumeVerifier(nil, []byte(state)); err == nil {
			t.Errorf("a verifier goes on from the state %q", state)
		}
	}
}

// Acks and heartbeats are read by the key that signed them, and in no other form.
func TestStatements(t *testing.T) {
	key, other := testKey(1), testKey(2)
	at := time.Date(2026, 11, 23, 3, 4, 5, 678_900_000, time.UTC)
	ack := SealAck(key, &Ack{Chain: testChain, ReceiptHash: Hash(nil), Seq: 7, Tenant: "acme", TS: at})
	beat := SealHeartbeat(key, &Heartbeat{Chain: testChain, ReceiptHash: Hash(nil), Seq: 7, TS: at})

	if got, err := ParseAck(ack, keySet(t, key)); err != nil || got.Seq != 7 || got.Tenant != "acme" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ParseHeartbeat(beat, public(key)); err != nil || got.Seq != 7 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := ParseAck(ack, keySet(t, other)); err == nil {
		t.Error("an ack of another key is read")
	}
	if _, err := ParseHeartbeat(beat, public(other)); err == nil {
		t.Error("a heartbeat of another key is read")
	}
	if _, err := ParseAck(beat, keySet(t, key)); err == nil {
		t.Error("a heartbeat is read as an ack")
	}
	for _, document := range [][]byte{
		nil, []byte("null"), append(ack, ' '), edit(t, ack, `"seq":7`, `"seq":8`), edit(t, ack, `"seq":7`, `"seq":7,"seq":7`),
		edit(t, ack, `"tenant":"acme"`, `"tenant":"acne"`), edit(t, ack, `{`, `{"a":1,`), edit(t, ack, `"type":"signet.ack/1"`, `"type":"signet.ack/2"`),
	} {
		if _, err := ParseAck(document, keySet(t, key)); err == nil {
			t.Errorf("%s is read as an ack", document)
		}
	}
}

// A verifier that goes on after records that are gone takes what follows them, and
// nothing else.
func TestVerifierAfter(t *testing.T) {
	c := sampleChain()
	want, err := verifyLines(nil, c.lines)
	if err != nil {
		t.Fatal(err)
	}
	before := NewVerifier(nil)
	for cut, line := range c.lines {
		if err := before.Add(line); err != nil {
			t.Fatal(err)
		}
		last, err := Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		after, err := VerifierAfter(nil, before.Keys(), last.RecordHead())
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range c.lines[cut+1:] {
			if err := after.Add(line); err != nil {
				t.Fatalf("after seq %d: %v", cut+1, err)
			}
		}
		if got, err := after.Result(); err != nil || got.Head != want.Head || got.KID != want.KID || got.ChainID != want.ChainID {
			t.Fatalf("after seq %d: %+v, %v; want %+v", cut+1, got, err, want)
		}
		again, err := VerifierAfter(nil, before.Keys(), last.RecordHead())
		if err != nil {
			t.Fatal(err)
		}
		wantCause(t, again.Add(line), int64(cut+1), CauseOrder)
		if cut+2 < len(c.lines) {
			skipping, err := VerifierAfter(nil, before.Keys(), last.RecordHead())
			if err != nil {
				t.Fatal(err)
			}
			wantCause(t, skipping.Add(c.lines[cut+2]), int64(cut+3), CauseGap)
		}
	}
	if _, err := VerifierAfter(nil, nil, &Head{}); err == nil {
		t.Error("a verifier goes on without a key")
	}
}
