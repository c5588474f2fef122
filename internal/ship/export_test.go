package ship

import (
	"context"
	"time"
)

// OnPause has pauses told, and done with when f returns.
func (s *Shipper) OnPause(f func(ctx context.Context, d time.Duration)) { s.pause = f }

// AnswerWithin sets how long a collector may take to answer.
func (s *Shipper) AnswerWithin(d time.Duration) { s.answerWithin = d }
