package relation

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Raise implements store.Alarms.
func (s *Store) Raise(ctx context.Context, tenant string, a store.Alarm) (bool, error) {
	raised := false
	err := s.writing(ctx, tenant, "alarm", func(tx Tx) error {
		w := openAlarm(tenant, a.Chain)
		w.and(`kind = `, string(a.Kind))
		set := `seq = ` + w.bind(a.Seq) + `, message = ` + w.bindText(a.Message) + `, last = ` + w.bind(when(a.Raised))
		n, err := tx.Exec(ctx, `UPDATE alarms SET `+set+` WHERE `+w.sql(), w.args...)
		if err != nil || n > 0 {
			return err
		}
		n, err = tx.Exec(ctx,
			`INSERT INTO alarms (tenant, alarm_id, kind, chain_id, seq, message, raised, last) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
			 ON CONFLICT DO NOTHING`,
			tenant, a.ID, string(a.Kind), chainOf(a.Chain), a.Seq, a.Message, when(a.Raised))
		raised = n > 0
		return err
	})
	return raised, err
}

// Clear implements store.Alarms.
func (s *Store) Clear(ctx context.Context, tenant, chain string, kind store.AlarmKind, at time.Time) error {
	return s.writing(ctx, tenant, "alarm", func(tx Tx) error {
		return clearAlarms(ctx, tx, tenant, chain, at, kind)
	})
}

// clearAlarms ends the alarms of these kinds that are open for a chain.
func clearAlarms(ctx context.Context, tx Tx, tenant, chain string, at time.Time, kinds ...store.AlarmKind) error {
	sql, args := clearing(tenant, chain, at, kinds...)
	_, err := tx.Exec(ctx, sql, args...)
	return err
}

// clearing is the statement of clearAlarms, one for each number of kinds.
func clearing(tenant, chain string, at time.Time, kinds ...store.AlarmKind) (sql string, args []any) {
	w := openAlarm(tenant, chain)
	in(w, `kind`, kinds)
	return `UPDATE alarms SET cleared = ` + w.bind(when(at)) + ` WHERE ` + w.sql(), w.args
}

// openAlarm finds what is open for a chain, or for the log.
func openAlarm(tenant, chain string) *where {
	w := new(where)
	w.and(`tenant = `, tenant)
	if chain == "" {
		w.text(` AND chain_id IS NULL`)
	} else {
		w.and(`chain_id = `, chain)
	}
	w.text(` AND cleared IS NULL`)
	return w
}

// chainOf is a chain's id as a parameter: NULL for none.
func chainOf(id string) any {
	if id == "" {
		return nil
	}
	return id
}

// ListAlarms implements store.Alarms.
func (s *Store) ListAlarms(ctx context.Context, tenant string, q store.AlarmQuery) ([]store.Alarm, error) {
	if q.Chain != "" && !isUUID(q.Chain) || q.After != "" && !isUUID(q.After) {
		return nil, nil
	}
	var w where
	w.and(`tenant = `, tenant)
	if q.Open {
		w.text(` AND cleared IS NULL`)
	}
	if q.Chain != "" {
		w.and(`chain_id = `, q.Chain)
	}
	if q.After != "" {
		w.and(`alarm_id < `, q.After)
	}
	return reading(ctx, s, tenant, "alarms", func(tx Tx) ([]store.Alarm, error) {
		return list(ctx, tx, scanAlarm, selectAlarms+w.sql()+` ORDER BY alarm_id DESC LIMIT `+w.bind(page(q.Limit, 100, 1000)), w.args...)
	})
}

const selectAlarms = `SELECT CAST(alarm_id AS text) AS id, kind, COALESCE(CAST(chain_id AS text), '') AS chain, seq, message, raised, last, cleared FROM alarms WHERE `

func scanAlarm(scan scan) (a store.Alarm, err error) {
	err = scan(&a.ID, &a.Kind, &a.Chain, &a.Seq, &a.Message, timeOf(&a.Raised), timeOf(&a.Last), timeOf(&a.Cleared))
	return a, err
}

// OpenAlarms implements store.Alarms. Each chain is looked up by itself, since the
// index has the alarms of one together.
func (s *Store) OpenAlarms(ctx context.Context, tenant string, chains []string) ([]store.Alarm, error) {
	chains = slices.DeleteFunc(slices.Clone(chains), func(chain string) bool { return !isUUID(chain) })
	if len(chains) == 0 {
		return nil, nil
	}
	var w where
	w.and(`tenant = `, tenant)
	w.text(` AND cleared IS NULL`)
	in(&w, `chain_id`, chains)
	found, err := reading(ctx, s, tenant, "alarms", func(tx Tx) ([]store.Alarm, error) {
		return list(ctx, tx, scanAlarm, selectAlarms+w.sql(), w.args...)
	})
	slices.SortFunc(found, func(a, b store.Alarm) int { return cmp.Compare(b.ID, a.ID) })
	return found, err
}

// maxForks bounds the evidence of one chain: two records prove a fork, and a
// sidecar that writes many histories proves no more with each.
const maxForks = 100

// AddFork implements store.Alarms.
func (s *Store) AddFork(ctx context.Context, tenant string, f store.Fork) error {
	hash, err := Digest(f.Hash)
	if err != nil {
		return err
	}
	known, err := Digest(f.Known)
	if err != nil {
		return err
	}
	return s.writing(ctx, tenant, "fork of chain "+f.Chain, func(tx Tx) error {
		kept, err := one(ctx, tx, func(scan scan) (n int, err error) {
			err = scan(&n)
			return n, err
		}, `SELECT COUNT(*) FROM forks WHERE tenant = $1 AND chain_id = $2`, tenant, f.Chain)
		if err != nil || kept >= maxForks {
			return err
		}
		n, err := tx.Exec(ctx,
			`INSERT INTO forks (tenant, chain_id, seq, receipt_hash, known_hash, line, received) VALUES ($1, $2, $3, $4, $5, $6, $7)
			 ON CONFLICT DO NOTHING`, tenant, f.Chain, f.Seq, hash, known, f.Line, when(f.Received))
		if err != nil || n == 0 {
			return err
		}
		// Counted, and kept beyond any quota too: a chain has little of it.
		_, err = addStored(ctx, tx, tenant, int64(len(f.Line)))
		return err
	})
}

// Forks implements store.Alarms.
func (s *Store) Forks(ctx context.Context, tenant, chain string) ([]store.Fork, error) {
	if chain != "" && !isUUID(chain) {
		return nil, nil
	}
	var w where
	w.and(`tenant = `, tenant)
	if chain != "" {
		w.and(`chain_id = `, chain)
	}
	return reading(ctx, s, tenant, "forks", func(tx Tx) ([]store.Fork, error) {
		return list(ctx, tx, func(scan scan) (f store.Fork, err error) {
			var hash, known []byte
			err = scan(&f.Chain, &f.Seq, &hash, &known, &f.Line, timeOf(&f.Received))
			f.Hash, f.Known = hashOf(hash), hashOf(known)
			return f, err
		}, `SELECT CAST(chain_id AS text) AS chain, seq, receipt_hash, known_hash, line, received FROM forks WHERE `+w.sql()+
			` ORDER BY received DESC, chain_id DESC, seq DESC LIMIT 100`, w.args...)
	})
}
