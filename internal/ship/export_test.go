package ship

import (
	"context"
	"time"
)

// OnPause has pauses told, and done with when f returns.
func (s *Shipper) OnPause(f func(ctx context.Context, d time.Duration)) { s.pause = f }
