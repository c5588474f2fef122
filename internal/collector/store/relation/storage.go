package relation

import (
	"context"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Stored implements store.Storage.
func (s *Store) Stored(ctx context.Context, tenant string) (store.Stored, error) {
	return reading(ctx, s, tenant, "storage of tenant "+tenant, func(tx Tx) (store.Stored, error) {
		return one(ctx, tx, scanStored,
			`SELECT COALESCE(s.bytes, 0), COALESCE(s.quota, 0) FROM tenants t LEFT JOIN storage s ON s.tenant = t.tenant WHERE t.tenant = $1`, tenant)
	})
}

func scanStored(scan scan) (stored store.Stored, err error) {
	err = scan(&stored.Bytes, &stored.Quota)
	return stored, err
}

// SetQuota implements store.Storage.
func (s *Store) SetQuota(ctx context.Context, tenant string, bytes int64) error {
	return s.writing(ctx, tenant, "quota of tenant "+tenant, func(tx Tx) error {
		if _, err := one(ctx, tx, scanTenant, selectTenant, tenant); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO storage (tenant, quota) VALUES ($1, $2) ON CONFLICT (tenant) DO UPDATE SET quota = excluded.quota`,
			tenant, bytes)
		return err
	})
}

// addStored counts bytes that a tenant keeps from here on, and returns the sum.
// The tenant's chains share the row, so that it comes last in a transaction.
func addStored(ctx context.Context, tx Tx, tenant string, bytes int64) (store.Stored, error) {
	return one(ctx, tx, scanStored, `INSERT INTO storage (tenant, bytes) VALUES ($1, $2)
		ON CONFLICT (tenant) DO UPDATE SET bytes = storage.bytes + excluded.bytes RETURNING bytes, quota`, tenant, bytes)
}
