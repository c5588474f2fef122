// Package audit exports what the collector keeps as signed bundles.
package audit

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
)

// Reader is what an Exporter reads.
type Reader interface {
	ChainKeys(ctx context.Context, tenant, id string) ([]store.Key, error)
	Record(ctx context.Context, tenant, chain string, seq int64) (store.Record, error)
	Range(ctx context.Context, tenant, chain string, from int64, limit int) ([]store.Record, error)
	Spans(ctx context.Context, tenant string, q store.SpanQuery) (store.SpanPage, error)
	Chain(ctx context.Context, tenant, id string) (store.Chain, error)
	Removals(ctx context.Context, tenant string) ([]store.Removal, error)
}

// Exporter exports the records of tenants.
type Exporter struct {
	Store     Reader
	Sequencer *merkle.Sequencer  // of the tenants' logs
	Prover    merkle.Prover      // likewise; Key signs their checkpoints
	Key       ed25519.PrivateKey // signs the manifests
	Build     string             // version of the program
	Now       func() time.Time
}
