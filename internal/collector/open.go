package collector

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/postgres"
	"github.com/signet-egress/signet/internal/collector/store/sqlite"
)

// ErrDatabase says what a DATABASE_URL may be. It does not repeat the one that is
// wrong, since that may hold a password.
var ErrDatabase = errors.New("DATABASE_URL: want postgres://USER@HOST/DATABASE or sqlite:PATH")

// OpenStore opens the store that a DATABASE_URL names. The tables of PostgreSQL
// must be there; those of SQLite, which nobody else owns, are brought up to date.
func OpenStore(ctx context.Context, url string) (store.Store, error) {
	scheme, path, _ := strings.Cut(url, ":")
	switch {
	case scheme == "postgres", scheme == "postgresql":
		return opened(postgres.Open(ctx, url))
	case scheme == "sqlite" && path != "":
		return opened(sqlite.Open(ctx, path))
	}
	return nil, ErrDatabase
}

// opened makes a nil pointer a nil interface.
func opened[S store.Store](s S, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// MigrateStore brings the tables of the store up to date, as their owner.
func MigrateStore(ctx context.Context, url string) error {
	if scheme, _, _ := strings.Cut(url, ":"); scheme == "postgres" || scheme == "postgresql" {
		return postgres.Migrate(ctx, url, time.Now())
	}
	s, err := OpenStore(ctx, url)
	if err != nil {
		return err
	}
	return s.Close()
}
