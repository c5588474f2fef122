package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"time"

	"github.com/signet-egress/signet/receipts"
)

// bound is one end of a range: a seq, a time, or neither.
type bound struct {
	seq int64
	at  time.Time
}

func parseBound(flag, text string) (bound, error) {
	if text == "" {
		return bound{}, nil
	}
	if seq, err := strconv.ParseInt(text, 10, 64); err == nil && seq > 0 {
		return bound{seq: seq}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return bound{at: at}, nil
		}
	}
	return bound{}, fmt.Errorf("%s %s: not a seq (1842), a date (2026-11-01) or a time (2026-11-01T10:00:00Z)", flag, printable(text))
}

// resolve turns the bounds into seqs, both included.
func (x *exporting) resolve(ctx context.Context) (first, last int64, err error) {
	head, err := x.records.head(ctx)
	if err != nil {
		return 0, 0, err
	}
	first, last = 1, head
	switch {
	case x.from.seq > 0:
		first = x.from.seq
	case !x.from.at.IsZero():
		first, err = x.notBefore(ctx, x.from.at, head)
	}
	switch {
	case err != nil:
	case x.to.seq > 0:
		last = min(x.to.seq, head)
	case !x.to.at.IsZero():
		last, err = x.notBefore(ctx, x.to.at, head)
		last--
	}
	if err == nil && first > last {
		err = exit(exitUnusable, fmt.Errorf("no record in this range; the chain ends with seq %d", head))
	}
	return first, last, err
}

// notBefore is the seq of the first record at or after a time, one past the head
// if there is none. Times never decrease along a chain.
func (x *exporting) notBefore(ctx context.Context, at time.Time, head int64) (int64, error) {
	if head >= math.MaxInt32 {
		return 0, errors.New("a chain this long needs seqs, not times")
	}
	var failed error
	n := sort.Search(int(head), func(i int) bool {
		r, err := x.record(ctx, int64(i)+1)
		failed = errors.Join(failed, err)
		return err != nil || !r.RecordHead().TS.Before(at)
	})
	return int64(n) + 1, failed
}

// record is the first from seq on.
func (x *exporting) record(ctx context.Context, seq int64) (r receipts.Record, err error) {
	err = x.records.each(ctx, seq, false, func(line []byte) error {
		if r, err = receipts.Decode(line); err != nil {
			return fmt.Errorf("a record from seq %d on cannot be read (signet verify says more): %w", seq, err)
		}
		return errEnough
	})
	switch {
	case errors.Is(err, errEnough):
		return r, nil
	case err == nil:
		err = exit(exitUnusable, fmt.Errorf("no record from seq %d on", seq))
	}
	return nil, err
}
