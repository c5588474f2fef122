package receipts

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// verifierState is a Verifier at rest.
type verifierState struct {
	Version int           `json:"version"`
	Result  Result        `json:"result"`
	LastTS  time.Time     `json:"last_ts"`
	Keys    []ChainKey    `json:"keys"`
	Traces  []tracesState `json:"traces"`
	IDs     []string      `json:"ids"` // oldest first
}

type tracesState struct {
	ID   string `json:"id"`
	Hop  int64  `json:"hop"`
	Hash string `json:"hash"`
	Seq  int64  `json:"seq"`
}

const stateVersion = 1

// State is all that a Verifier knows of the good records so far, for
// ResumeVerifier to go on from. It is worth what the place is where it is kept:
// whoever can change it decides what comes next.
func (v *Verifier) State() ([]byte, error) {
	s := verifierState{Version: stateVersion, Result: v.result, LastTS: v.lastTS, Keys: v.keys, IDs: v.ids.list()}
	for _, t := range v.traces.used {
		s.Traces = append(s.Traces, tracesState{ID: t.id, Hop: t.hop, Hash: t.hash, Seq: t.seq})
	}
	state, err := json.Marshal(&s)
	if err != nil {
		return nil, fmt.Errorf("keep the state of a verifier: %w", err)
	}
	return state, nil
}

// ResumeVerifier returns a Verifier that goes on after the records that State was
// taken after, with the same keys to trust.
func ResumeVerifier(keys *KeySet, state []byte) (*Verifier, error) {
	var s verifierState
	if err := json.Unmarshal(state, &s); err != nil {
		return nil, fmt.Errorf("read the state of a verifier: %w", err)
	}
	if s.Version != stateVersion || len(s.Keys) == 0 {
		return nil, fmt.Errorf("read the state of a verifier: version %d with %d keys is not of this program", s.Version, len(s.Keys))
	}
	v := NewVerifier(keys)
	v.result, v.lastTS, v.keys = s.Result, s.LastTS, s.Keys
	for _, t := range s.Traces {
		v.traces.Put(t.ID, t.Hop, t.Hash, t.Seq)
	}
	for _, id := range s.IDs {
		v.ids.add(id)
	}
	return v, nil
}

// VerifierAfter returns a Verifier that goes on after a record of which, and of all
// before, no more is left than where they end and the keys that they have introduced
// (Introduced). It does not know their receipt ids and traces: the first receipt of
// a trace that it sees counts as unproved, as in records that start after the genesis.
func VerifierAfter(pinned *KeySet, keys []ChainKey, last *Head) (*Verifier, error) {
	if len(keys) == 0 {
		return nil, errors.New("go on after a record: no key is known that signs there")
	}
	v := NewVerifier(pinned)
	first, signs := &keys[0], &keys[len(keys)-1]
	v.keys, v.lastTS = slices.Clone(keys), last.TS
	v.result = Result{
		ChainID: last.Chain.ID, Records: 1, First: last.Chain.Seq, Last: last.Chain.Seq, Head: last.ReceiptHash,
		TrustedKID: first.KID, Pinned: pinned != nil, KID: signs.KID,
	}
	return v, nil
}
