package relation

import (
	"bytes"
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
)

// RegisterChain implements store.Chains.
func (s *Store) RegisterChain(ctx context.Context, tenant string, c store.Registration) error {
	return s.writing(ctx, tenant, "chain "+c.ID, func(tx Tx) error {
		n, err := tx.Exec(ctx,
			`INSERT INTO chains (tenant, chain_id, agent, kid, public_key, registered, last_sign) VALUES ($1, $2, $3, $4, $5, $6, $6)
			 ON CONFLICT DO NOTHING`,
			tenant, c.ID, c.Agent, receipts.KeyID(c.PublicKey), []byte(c.PublicKey), when(c.At))
		if err != nil {
			return err
		}
		if n == 0 {
			return sameChain(ctx, tx, tenant, c)
		}
		_, err = tx.Exec(ctx, insertKey, tenant, c.ID, receipts.KeyID(c.PublicKey), []byte(c.PublicKey), 1)
		return err
	})
}

const insertKey = `INSERT INTO chain_keys (tenant, chain_id, kid, public_key, from_seq) VALUES ($1, $2, $3, $4, $5)`

// sameChain holds a registration against the one that was there first.
func sameChain(ctx context.Context, tx Tx, tenant string, c store.Registration) error {
	known, err := one(ctx, tx, scanChain, selectChain, tenant, c.ID)
	if err != nil {
		return err
	}
	keys, err := list(ctx, tx, scanKey, selectKeys+` LIMIT 1`, tenant, c.ID)
	if err != nil {
		return err
	}
	if known.Agent != c.Agent || len(keys) == 0 || !bytes.Equal(keys[0].PublicKey, c.PublicKey) {
		return store.ErrExists
	}
	return nil
}

const (
	chainColumns = `CAST(chain_id AS text) AS chain, agent, build, kid, public_key, registered, head_seq, head_hash, head_ts, received, clean_stop, gap_since, last_sign, beat_at, beat_seq, skew_ms,
		first_ts, pruned_seq, pruned_ts, anchor_seq, anchor_hash, anchor_ts`
	selectChain = `SELECT ` + chainColumns + ` FROM chains WHERE tenant = $1 AND chain_id = $2`
	selectKeys  = `SELECT kid, public_key, from_seq, introduced FROM chain_keys k WHERE tenant = $1 AND chain_id = $2 AND NOT EXISTS (
		SELECT 1 FROM given_up g WHERE g.tenant = k.tenant AND g.chain_id = k.chain_id AND g.first_seq < k.from_seq AND g.last_seq >= k.from_seq - 1) ORDER BY from_seq`
)

func scanChain(scan scan) (c store.Chain, err error) {
	var head, anchor []byte
	var skew int64
	err = scan(&c.ID, &c.Agent, &c.Build, &c.KID, &c.PublicKey, timeOf(&c.Registered), &c.Head.Seq, &head, timeOf(&c.HeadTS),
		timeOf(&c.Received), &c.CleanStop, timeOf(&c.Gap), timeOf(&c.LastSign), timeOf(&c.Beat.At), &c.Beat.Seq, &skew,
		timeOf(&c.FirstTS), &c.Pruned, timeOf(&c.PrunedTS), &c.Anchor.Seq, &anchor, timeOf(&c.AnchorTS))
	c.Head.Hash, c.Anchor.Hash, c.Beat.Skew = hashOf(head), hashOf(anchor), time.Duration(skew)*time.Millisecond
	return c, err
}

func scanKey(scan scan) (k store.Key, err error) {
	err = scan(&k.KID, &k.PublicKey, &k.FromSeq, &k.Introduced)
	return k, err
}

// lockChain locks the row of a chain that ends at a head: *store.HeadMovedError where
// it ends elsewhere.
func (s *Store) lockChain(ctx context.Context, tx Tx, tenant, id string, at store.Head) (store.Chain, error) {
	chain, err := one(ctx, tx, scanChain, selectChain+s.Lock(), tenant, id)
	if err == nil && chain.Head != at {
		err = &store.HeadMovedError{Chain: chain}
	}
	return chain, err
}

// Chain implements store.Chains.
func (s *Store) Chain(ctx context.Context, tenant, id string) (store.Chain, error) {
	if !isUUID(id) {
		return store.Chain{}, store.ErrNotFound
	}
	return reading(ctx, s, tenant, "chain "+id, func(tx Tx) (store.Chain, error) {
		return one(ctx, tx, scanChain, selectChain, tenant, id)
	})
}

// ChainKeys implements store.Chains.
func (s *Store) ChainKeys(ctx context.Context, tenant, id string) ([]store.Key, error) {
	if !isUUID(id) {
		return nil, store.ErrNotFound
	}
	return reading(ctx, s, tenant, "keys of chain "+id, func(tx Tx) ([]store.Key, error) {
		return list(ctx, tx, scanKey, selectKeys, tenant, id)
	})
}

// ChainKey implements store.Chains.
func (s *Store) ChainKey(ctx context.Context, tenant, id, kid string) (store.Key, error) {
	if !isUUID(id) {
		return store.Key{}, store.ErrNotFound
	}
	return reading(ctx, s, tenant, "a key of chain "+id, func(tx Tx) (store.Key, error) {
		return one(ctx, tx, scanKey, `SELECT kid, public_key, from_seq, introduced FROM chain_keys WHERE tenant = $1 AND chain_id = $2 AND kid = $3
			ORDER BY from_seq LIMIT 1`, tenant, id, store.Findable(kid))
	})
}

// ListChains implements store.Chains.
func (s *Store) ListChains(ctx context.Context, tenant string, q store.ChainQuery) ([]store.Chain, error) {
	var w where
	w.and(`tenant = `, tenant)
	if q.Agent != "" {
		w.and(`agent = `, q.Agent)
	}
	if q.After != "" {
		if !isUUID(q.After) {
			return nil, nil
		}
		w.and(`chain_id < `, q.After)
	}
	return reading(ctx, s, tenant, "chains", func(tx Tx) ([]store.Chain, error) {
		return list(ctx, tx, scanChain, `SELECT `+chainColumns+` FROM chains WHERE `+w.sql()+
			` ORDER BY chain_id DESC LIMIT `+w.bind(page(q.Limit, 100, 1000)), w.args...)
	})
}

// SilentChains implements store.Chains.
func (s *Store) SilentChains(ctx context.Context, tenant string, q store.SinceQuery) ([]store.Chain, error) {
	return s.chainsSince(ctx, tenant, `last_sign`, ` AND NOT clean_stop`, q)
}

// GapChains implements store.Chains.
func (s *Store) GapChains(ctx context.Context, tenant string, q store.SinceQuery) ([]store.Chain, error) {
	return s.chainsSince(ctx, tenant, `gap_since`, ` AND gap_since IS NOT NULL`, q)
}

// chainsSince selects by a column that has a partial index, whose condition is
// partial.
func (s *Store) chainsSince(ctx context.Context, tenant, column, partial string, q store.SinceQuery) ([]store.Chain, error) {
	if q.After != "" && !isUUID(q.After) {
		return nil, nil
	}
	var w where
	w.and(`tenant = `, tenant)
	w.text(partial)
	w.and(column+` < `, when(q.To))
	if !q.From.IsZero() {
		w.text(` AND (` + column + `, chain_id) > (` + w.bind(when(q.From)) + `, ` + w.bind(cmp.Or(q.After, uuid.Nil.String())) + `)`)
	}
	return reading(ctx, s, tenant, "chains", func(tx Tx) ([]store.Chain, error) {
		return list(ctx, tx, scanChain, `SELECT `+chainColumns+` FROM chains WHERE `+w.sql()+
			` ORDER BY `+column+`, chain_id LIMIT `+w.bind(page(q.Limit, 100, 1000)), w.args...)
	})
}

// SaveVerifier implements store.Chains.
func (s *Store) SaveVerifier(ctx context.Context, tenant, chain string, seq int64, state []byte) error {
	return s.writing(ctx, tenant, "verifier of chain "+chain, func(tx Tx) error {
		_, err := tx.Exec(ctx,
			`INSERT INTO verifiers (tenant, chain_id, seq, state) VALUES ($1, $2, $3, $4)
			 ON CONFLICT (tenant, chain_id) DO UPDATE SET seq = excluded.seq, state = excluded.state
			 WHERE verifiers.seq < excluded.seq`, tenant, chain, seq, state)
		return err
	})
}

// Verifier implements store.Chains.
func (s *Store) Verifier(ctx context.Context, tenant, chain string) (int64, []byte, error) {
	type saved struct {
		seq   int64
		state []byte
	}
	v, err := reading(ctx, s, tenant, "verifier of chain "+chain, func(tx Tx) (saved, error) {
		return one(ctx, tx, func(scan scan) (v saved, err error) {
			err = scan(&v.seq, &v.state)
			return v, err
		}, `SELECT seq, state FROM verifiers WHERE tenant = $1 AND chain_id = $2`, tenant, chain)
	})
	return v.seq, v.state, err
}

// Heard implements store.Chains.
func (s *Store) Heard(ctx context.Context, tenant, chain string, at time.Time) error {
	return s.writing(ctx, tenant, "sign of chain "+chain, func(tx Tx) error {
		err := updated(tx.Exec(ctx, `UPDATE chains SET last_sign = $3 WHERE tenant = $1 AND chain_id = $2`, tenant, chain, when(at)))
		if err != nil {
			return err
		}
		return clearAlarms(ctx, tx, tenant, chain, at, store.AlarmSilent)
	})
}

// Beat implements store.Chains.
func (s *Store) Beat(ctx context.Context, tenant, chain string, b store.Beat) error {
	return s.writing(ctx, tenant, "heartbeat of chain "+chain, func(tx Tx) error {
		err := updated(tx.Exec(ctx,
			`UPDATE chains SET beat_at = $3, beat_seq = $4, skew_ms = $5, last_sign = $3 WHERE tenant = $1 AND chain_id = $2`,
			tenant, chain, when(b.At), b.Seq, b.Skew.Milliseconds()))
		if err != nil {
			return err
		}
		return clearAlarms(ctx, tx, tenant, chain, b.At, store.AlarmSilent)
	})
}

// NoteGap implements store.Chains.
func (s *Store) NoteGap(ctx context.Context, tenant, chain string, behind store.Head, at time.Time) error {
	return s.writing(ctx, tenant, "gap of chain "+chain, func(tx Tx) error {
		if _, err := s.lockChain(ctx, tx, tenant, chain, behind); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE chains SET gap_since = COALESCE(gap_since, $3) WHERE tenant = $1 AND chain_id = $2`, tenant, chain, when(at))
		return err
	})
}

// Hashes implements store.Chains.
func (s *Store) Hashes(ctx context.Context, tenant, chain string, from, to int64) (map[int64]string, error) {
	hashes := make(map[int64]string)
	if !isUUID(chain) {
		return hashes, nil
	}
	return reading(ctx, s, tenant, "records of chain "+chain, func(tx Tx) (map[int64]string, error) {
		leaves, err := selectLeaves(ctx, tx, tenant, chain, from, to)
		for i := range leaves {
			hashes[leaves[i].Seq] = hashOf(leaves[i].Hash[:])
		}
		return hashes, err
	})
}
