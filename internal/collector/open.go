package collector

import (
	"context"
	"errors"
	"strings"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/sqlite"
)

// OpenStore opens the store that a DATABASE_URL names: sqlite:PATH.
func OpenStore(ctx context.Context, url string) (store.Store, error) {
	scheme, path, _ := strings.Cut(url, ":")
	if scheme != "sqlite" || path == "" {
		return nil, errors.New("DATABASE_URL: want sqlite:PATH")
	}
	return sqlite.Open(ctx, path)
}
