package httpapi

import (
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts/logproof"
)

// checkpoint is the log's newest signed note (C2SP tlog-checkpoint), or the newest
// that so many witnesses have cosigned, with their lines.
func (a *API) checkpoint(w http.ResponseWriter, r *request) error {
	v := newQuery(r)
	witnesses := int(v.number("witnesses", 0, 1000, 0))
	if err := v.end(); err != nil {
		return err
	}
	all, err := a.checkpoints(r)
	if err != nil {
		return err
	}
	for i := range all {
		if len(all[i].By) >= witnesses {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write(all[i].Note())
			return nil
		}
	}
	return notFound(store.ErrNotFound, "checkpoint that so many witnesses have cosigned")
}

// witness is one of the log's, and the newest checkpoint that it has cosigned.
type witness struct {
	Key  string     `json:"key"`            // verifier key (C2SP signed-note)
	Size *int64     `json:"size,omitempty"` // of the checkpoint's tree; absent with at: it has cosigned none
	At   *time.Time `json:"at,omitempty"`   // when, by its clock
}

// cosigned is a checkpoint that witnesses have cosigned.
type cosigned struct {
	Size       int64    `json:"size"`
	Witnesses  []string `json:"witnesses"` // verifier keys
	Checkpoint string   `json:"checkpoint"`
}

// witnesses says who has cosigned the log, up to where and when, and has the
// checkpoints to show it, those of the larger trees first.
func (a *API) witnesses(w http.ResponseWriter, r *request) error {
	if err := newQuery(r).end(); err != nil {
		return err
	}
	all, err := a.Prover.Checkpoints(r.Context(), r.tenant)
	if err != nil {
		return err
	}
	list := struct {
		Witnesses   []witness  `json:"witnesses"`
		Checkpoints []cosigned `json:"checkpoints"`
	}{make([]witness, len(a.Witnesses)), []cosigned{}}
	for i, key := range a.Witnesses {
		list.Witnesses[i].Key = key
		if c := merkle.Newest(all, key); c != nil {
			list.Witnesses[i].Size, list.Witnesses[i].At = &c.Size, &c.At
		}
	}
	for i := range all {
		if len(all[i].By) == 0 {
			continue
		}
		c := cosigned{Size: all[i].N, Checkpoint: string(all[i].Note())}
		for j := range all[i].By {
			c.Witnesses = append(c.Witnesses, all[i].By[j].Witness)
		}
		list.Checkpoints = append(list.Checkpoints, c)
	}
	return reply(w, list)
}

// logKey is the verifier key of the log's checkpoints (C2SP signed-note).
func (a *API) logKey(w http.ResponseWriter, r *request) error {
	if err := newQuery(r).end(); err != nil {
		return err
	}
	key, err := a.LogKey(r.tenant)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(key + "\n"))
	return nil
}

// checkpoints are the newest, and those that are cosigned.
func (a *API) checkpoints(r *request) ([]merkle.Checkpoint, error) {
	all, err := a.Prover.Checkpoints(r.Context(), r.tenant)
	if err == nil && len(all) == 0 {
		return nil, notFound(store.ErrNotFound, "log yet: it begins with the first record")
	}
	return all, err
}

// tile is a tile of hashes at the path that C2SP tlog-tiles gives it:
// LEVEL/INDEX, or LEVEL/INDEX.p/WIDTH for one that is not full.
func (a *API) tile(w http.ResponseWriter, r *request) error {
	if err := newQuery(r).end(); err != nil {
		return err
	}
	t, err := logproof.ParseTilePath(r.PathValue("rest"))
	if err != nil {
		return &Problem{Status: http.StatusBadRequest, Detail: "a tile is at LEVEL/INDEX or LEVEL/INDEX.p/WIDTH, with INDEX in groups of three digits (C2SP tlog-tiles)", err: err}
	}
	data, err := a.Store.Tile(r.Context(), r.tenant, t.L, t.N)
	if err != nil {
		return notFound(err, "tile")
	}
	if len(data) < t.W*tlog.HashSize {
		return notFound(store.ErrNotFound, "tile")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(data[:t.W*tlog.HashSize])
	return nil
}

// logEntry is a leaf and the record that it stands for.
type logEntry struct {
	Index int64  `json:"index"`
	Chain string `json:"chain"`
	Seq   int64  `json:"seq"`
	Hash  string `json:"receipt_hash,omitempty"` // absent where the record was removed
}

func (a *API) logEntries(w http.ResponseWriter, r *request) error {
	v := newQuery(r)
	from, limit := v.number("from", 0, 1<<53-1, 0), int(v.number("limit", 1, 1000, 100))
	if err := v.end(); err != nil {
		return err
	}
	leaves, err := a.Store.LogEntries(r.Context(), r.tenant, from, limit)
	if err != nil {
		return err
	}
	list := struct {
		Entries []logEntry `json:"entries"`
		Next    *int64     `json:"next,omitempty"` // from of the next page
	}{Entries: make([]logEntry, len(leaves))}
	for i, leaf := range leaves {
		list.Entries[i] = logEntry{Index: from + int64(i), Chain: leaf.Chain, Seq: leaf.Seq}
		if leaf.Hash != [32]byte{} {
			list.Entries[i].Hash = "sha256:" + hex.EncodeToString(leaf.Hash[:])
		}
	}
	if len(leaves) == limit {
		next := from + int64(limit)
		list.Next = &next
	}
	return reply(w, list)
}

// proof is a proof of RFC 6962, section 2.1, and the checkpoint that it leads to.
type proof struct {
	Chain      string   `json:"chain,omitempty"`
	Seq        int64    `json:"seq,omitempty"`
	Leaf       string   `json:"receipt_hash,omitempty"`
	Index      *int64   `json:"index,omitempty"`
	Old        int64    `json:"old,omitempty"`
	Size       int64    `json:"size"`
	Proof      []string `json:"proof"` // hashes in hex, from the leaf's end of the tree to the root's
	Checkpoint string   `json:"checkpoint"`
}

// inclusion proves that a record is in the log, up to the checkpoint that the most
// witnesses have cosigned.
func (a *API) inclusion(w http.ResponseWriter, r *request) error {
	v := newQuery(r)
	id, chain, seq := v.text("receipt"), v.text("chain"), v.number("seq", 1, 1<<53-1, 0)
	if err := v.end(); err != nil {
		return err
	}
	if (id == "") == (chain == "" || seq == 0) {
		return badParameter("receipt", "name a record by receipt, or by chain and seq")
	}
	rec, err := a.find(r, id, chain, seq)
	if err != nil {
		return err
	}
	p, err := a.Prover.Inclusion(r.Context(), r.tenant, rec.Chain, rec.Seq)
	if err != nil {
		return notFound(err, "record in its log yet")
	}
	return reply(w, proof{
		Chain: rec.Chain, Seq: rec.Seq, Leaf: rec.Hash, Index: &p.Index, Size: p.Size, Proof: p.Hashes, Checkpoint: p.Checkpoint,
	})
}

// find is the record that is asked for. Of one that was removed it is the place: the
// log has its leaf, and who asks has the record.
func (a *API) find(r *request, id, chain string, seq int64) (store.Record, error) {
	if id != "" {
		rec, err := a.Store.Receipt(r.Context(), r.tenant, id)
		return rec, a.removed(r.Context(), r.tenant, id, err)
	}
	rec, err := a.Store.Record(r.Context(), r.tenant, chain, seq)
	if !errors.Is(err, store.ErrNotFound) {
		return rec, err
	}
	c, err := a.Store.Chain(r.Context(), r.tenant, chain)
	if err == nil && seq > c.Pruned {
		err = store.ErrNotFound
	}
	return store.Record{Chain: chain, Seq: seq}, notFound(err, "record")
}

// consistency proves that the newest checkpoint extends an older tree.
func (a *API) consistency(w http.ResponseWriter, r *request) error {
	v := newQuery(r)
	old := v.number("from", 1, 1<<53-1, 0)
	if err := v.end(); err != nil {
		return err
	}
	all, err := a.checkpoints(r)
	if err != nil {
		return err
	}
	newest := &all[0]
	if old < 1 || old > newest.N {
		return badParameter("from", "it is the size of an older checkpoint, from 1 to %d", newest.N)
	}
	p, err := a.Prover.Consistency(r.Context(), r.tenant, old, newest)
	if err != nil {
		return err
	}
	return reply(w, proof{Old: old, Size: p.Size, Proof: p.Hashes, Checkpoint: p.Checkpoint})
}
