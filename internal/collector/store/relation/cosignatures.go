package relation

import (
	"context"

	"github.com/signet-egress/signet/internal/collector/store"
)

// selectCosignatures is bounded by what AddCosignature leaves: a few for each set of
// witnesses.
const selectCosignatures = `SELECT size, witness, checkpoint, line, at FROM log_cosignatures WHERE tenant = $1
	ORDER BY size DESC, witness DESC LIMIT 1000`

func scanCosignature(scan scan) (c store.Cosignature, err error) {
	err = scan(&c.Size, &c.Witness, &c.Checkpoint, &c.Line, timeOf(&c.At))
	return c, err
}

// Cosignatures implements store.Log.
func (s *Store) Cosignatures(ctx context.Context, tenant string) ([]store.Cosignature, error) {
	return reading(ctx, s, tenant, "cosignatures", func(tx Tx) ([]store.Cosignature, error) {
		return list(ctx, tx, scanCosignature, selectCosignatures, tenant)
	})
}

// AddCosignature implements store.Log.
func (s *Store) AddCosignature(ctx context.Context, tenant string, c store.Cosignature) error {
	return s.writing(ctx, tenant, "cosignature", func(tx Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO log_cosignatures (tenant, size, witness, checkpoint, line, at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant, size, witness) DO UPDATE SET checkpoint = excluded.checkpoint, line = excluded.line, at = excluded.at`,
			tenant, c.Size, c.Witness, c.Checkpoint, c.Line, when(c.At)); err != nil {
			return err
		}
		kept, err := list(ctx, tx, scanCosignature, selectCosignatures, tenant)
		if err != nil {
			return err
		}
		for _, size := range superseded(kept) {
			if _, err := tx.Exec(ctx, `DELETE FROM log_cosignatures WHERE tenant = $1 AND size = $2`, tenant, size); err != nil {
				return err
			}
		}
		return nil
	})
}

// superseded are the sizes of trees whose witnesses have all cosigned a larger one.
func superseded(kept []store.Cosignature) (sizes []int64) {
	var larger []map[string]bool // the witnesses of each tree that stays
	for len(kept) > 0 {
		n := 1
		for n < len(kept) && kept[n].Size == kept[0].Size {
			n++
		}
		if of := kept[:n]; coveredBy(larger, of) {
			sizes = append(sizes, of[0].Size)
		} else {
			witnesses := make(map[string]bool, n)
			for i := range of {
				witnesses[of[i].Witness] = true
			}
			larger = append(larger, witnesses)
		}
		kept = kept[n:]
	}
	return sizes
}

func coveredBy(larger []map[string]bool, of []store.Cosignature) bool {
	for _, witnesses := range larger {
		all := true
		for i := range of {
			all = all && witnesses[of[i].Witness]
		}
		if all {
			return true
		}
	}
	return false
}
