package store

import (
	"context"
	"fmt"
)

// Storage is what a tenant keeps, and may keep.
type Storage interface {
	// Stored is what a tenant keeps. ErrNotFound where there is no such tenant.
	Stored(ctx context.Context, tenant string) (Stored, error)
	// SetQuota sets what a tenant may keep, in bytes; 0: whatever it sends. What is
	// stored stays. ErrNotFound where there is no such tenant.
	SetQuota(ctx context.Context, tenant string, bytes int64) error
}

// Stored is what a tenant keeps: the lines of its records and of the evidence of
// forks. The database is larger, by its indexes and columns.
type Stored struct {
	Bytes int64
	Quota int64 // of bytes; 0: none
}

// Check tells whether more bytes fit in: *QuotaError where they do not.
func (s Stored) Check(more int64) error {
	if s.Quota > 0 && s.Bytes+more > s.Quota {
		return &QuotaError{Quota: s.Quota}
	}
	return nil
}

// QuotaError says that a batch would take its tenant past what it may keep.
type QuotaError struct{ Quota int64 }

func (e *QuotaError) Error() string {
	return fmt.Sprintf("the tenant may keep %d bytes at the collector, and this would be more; who runs it can raise that (signet-collector tenant quota)", e.Quota)
}

// Size is what the records of a batch take of a quota.
func (b *Batch) Size() (bytes int64) {
	for i := range b.Records {
		bytes += int64(len(b.Records[i].Line))
	}
	return bytes
}
