package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// chainState is what is known of a chain.
type chainState struct {
	ID         string     `json:"id"`
	Agent      string     `json:"agent"`
	Build      string     `json:"build,omitempty"`
	KID        string     `json:"kid,omitempty"`
	Registered time.Time  `json:"registered"`
	Seq        int64      `json:"seq"`
	Head       string     `json:"head,omitempty"`        // receipt_hash
	HeadTS     *time.Time `json:"head_ts,omitempty"`     // of the record at the head
	Removed    int64      `json:"removed_seq,omitempty"` // up to it records were removed
	LastSign   time.Time  `json:"last_sign"`             // when it was last heard of
	CleanStop  bool       `json:"clean_stop"`
	GapSince   *time.Time `json:"gap_since,omitempty"`
	SkewMS     int64      `json:"skew_ms"` // the sidecar's clock minus the collector's
}

func stateOf(c *store.Chain) chainState {
	return chainState{
		ID: c.ID, Agent: c.Agent, Build: c.Build, KID: c.KID, Registered: c.Registered,
		Seq: c.Head.Seq, Head: c.Head.Hash, HeadTS: optional(c.HeadTS), Removed: c.Pruned, LastSign: c.LastSign,
		CleanStop: c.CleanStop, GapSince: optional(c.Gap), SkewMS: c.Beat.Skew.Milliseconds(),
	}
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (a *API) listChains(w http.ResponseWriter, r *request) error {
	v := newQuery(r)
	limit := int(v.number("limit", 1, 1000, 100))
	q := store.ChainQuery{Agent: v.text("agent"), After: v.text("after"), Limit: limit}
	if err := v.end(); err != nil {
		return err
	}
	chains, err := a.Store.ListChains(r.Context(), r.tenant, q)
	if err != nil {
		return err
	}
	list := struct {
		Chains []chainState `json:"chains"`
		Next   string       `json:"next,omitempty"` // after of the next page
	}{Chains: make([]chainState, len(chains))}
	for i := range chains {
		list.Chains[i] = stateOf(&chains[i])
	}
	if len(chains) == limit {
		list.Next = chains[limit-1].ID
	}
	return reply(w, list)
}

// chainKey is a key of a chain as a JWK (RFC 8037), with where it begins to sign.
type chainKey struct {
	KTY     string `json:"kty"`
	CRV     string `json:"crv"`
	X       string `json:"x"`
	KID     string `json:"kid"`
	FromSeq int64  `json:"from_seq"`
}

func (a *API) chain(w http.ResponseWriter, r *request) error {
	if err := newQuery(r).end(); err != nil {
		return err
	}
	c, err := a.Store.Chain(r.Context(), r.tenant, r.PathValue("id"))
	if err != nil {
		return notFound(err, "chain")
	}
	keys, err := a.Store.ChainKeys(r.Context(), r.tenant, c.ID)
	if err != nil {
		return err
	}
	answer := struct {
		chainState
		Keys []chainKey `json:"keys"`
	}{chainState: stateOf(&c), Keys: make([]chainKey, len(keys))}
	for i, k := range keys {
		answer.Keys[i] = chainKey{KTY: "OKP", CRV: "Ed25519", X: base64.RawURLEncoding.EncodeToString(k.PublicKey), KID: k.KID, FromSeq: k.FromSeq}
	}
	return reply(w, answer)
}

func (a *API) records(w http.ResponseWriter, r *request) error {
	v := newQuery(r)
	from, limit := v.number("from", 1, 1<<53-1, 1), int(v.number("limit", 1, 1000, 100))
	if err := v.end(); err != nil {
		return err
	}
	id := r.PathValue("id")
	chain, err := a.Store.Chain(r.Context(), r.tenant, id)
	if err != nil {
		return notFound(err, "chain")
	}
	records, err := a.Store.Range(r.Context(), r.tenant, id, from, limit)
	if err != nil {
		return err
	}
	list := struct {
		Records []json.RawMessage `json:"records"`
		Removed int64             `json:"removed_seq,omitempty"` // up to it there are none any more; absent where from is behind it
		Next    int64             `json:"next,omitempty"`        // from of the next page
	}{Records: lines(records)}
	if from <= chain.Pruned {
		list.Removed = chain.Pruned
	}
	if len(records) == limit {
		list.Next = records[limit-1].Seq + 1
	}
	return reply(w, list)
}

// fork is two records at one place of a chain: the one that is stored, and the
// one that was refused.
type fork struct {
	Chain    string    `json:"chain"`
	Seq      int64     `json:"seq"`
	Known    string    `json:"known,omitempty"` // receipt_hash; absent where no record was stored there
	Refused  string    `json:"refused"`         // receipt_hash
	Line     string    `json:"line"`            // the refused record, byte for byte
	Received time.Time `json:"received"`
}

func (a *API) forks(w http.ResponseWriter, r *request) error {
	if err := newQuery(r).end(); err != nil {
		return err
	}
	id := r.PathValue("id")
	if _, err := a.Store.Chain(r.Context(), r.tenant, id); err != nil {
		return notFound(err, "chain")
	}
	found, err := a.Store.Forks(r.Context(), r.tenant, id)
	if err != nil {
		return err
	}
	forks := make([]fork, len(found))
	for i := range found {
		f := &found[i]
		forks[i] = fork{Chain: f.Chain, Seq: f.Seq, Known: f.Known, Refused: f.Hash, Line: string(f.Line), Received: f.Received}
	}
	return reply(w, map[string]any{"forks": forks})
}

// alarm is one thing that an operator must look at.
type alarm struct {
	ID      string     `json:"id"`
	Kind    string     `json:"kind"`
	Chain   string     `json:"chain,omitempty"` // absent: it is about the log
	Seq     int64      `json:"seq,omitempty"`
	Message string     `json:"message"`
	Raised  time.Time  `json:"raised"`
	Last    time.Time  `json:"last"`
	Cleared *time.Time `json:"cleared,omitempty"`
}

func (a *API) listAlarms(w http.ResponseWriter, r *request) error {
	v := newQuery(r)
	limit := int(v.number("limit", 1, 1000, 100))
	q := store.AlarmQuery{Open: v.oneOf("open", "true", "false") == "true", Chain: v.text("chain"), After: v.text("after"), Limit: limit}
	if err := v.end(); err != nil {
		return err
	}
	found, err := a.Store.ListAlarms(r.Context(), r.tenant, q)
	if err != nil {
		return err
	}
	list := struct {
		Alarms []alarm `json:"alarms"`
		Next   string  `json:"next,omitempty"`
	}{Alarms: make([]alarm, len(found))}
	for i := range found {
		f := &found[i]
		list.Alarms[i] = alarm{
			ID: f.ID, Kind: string(f.Kind), Chain: f.Chain, Seq: f.Seq, Message: f.Message,
			Raised: f.Raised, Last: f.Last, Cleared: optional(f.Cleared),
		}
	}
	if len(found) == limit {
		list.Next = found[limit-1].ID
	}
	return reply(w, list)
}
