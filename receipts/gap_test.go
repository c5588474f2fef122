package receipts

import "testing"

// lostChain goes on after an operator's recovery: seq 5 to 9 are lost.
func lostChain() *chain {
	c := newChain(testKey(1))
	for n := range 3 {
		c.add(exchange(n, "t")) // 2 to 4
	}
	c.head.Chain.Seq = 9
	c.add(&Event{Event: EventGap, Gap: &Gap{Lost: &Lost{Cause: LossDamage, First: 5, Last: 9}}}) // 10
	c.traces = NewTraces()
	c.add(exchange(10, "t")) // 11, hop 1 again
	return c
}

func TestVerifyAcrossALoss(t *testing.T) {
	got, err := verifyLines(nil, lostChain().lines)
	if err != nil || got.Recoveries != 1 || got.Lost != 5 || got.Last != 11 || got.Records != 6 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A loss that the event does not own up to, or one of records that are there, is
// no recovery.
func TestVerifyRefusesOtherLosses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		gap   *Gap
		seq   int64 // of the event; the record before is 4
		cause Cause
	}{
		{"none", &Gap{}, 10, CauseGap},
		{"no range", &Gap{Lost: &Lost{Cause: LossDamage}}, 10, CauseGap},
		{"fewer", &Gap{Lost: &Lost{Cause: LossDamage, First: 6, Last: 9}}, 10, CauseGap},
		{"more", &Gap{Lost: &Lost{Cause: LossDamage, First: 4, Last: 9}}, 10, CauseGap},
		{"further back", &Gap{Lost: &Lost{Cause: LossDamage, First: 5, Last: 8}}, 10, CauseGap},
		{"what is there", &Gap{Lost: &Lost{Cause: LossRollback, First: 3, Last: 4}}, 5, CauseGap},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newChain(testKey(1))
			for n := range 3 {
				c.add(exchange(n, "t"))
			}
			c.head.Chain.Seq = tt.seq - 1
			c.add(&Event{Event: EventGap, Gap: tt.gap})
			_, err := verifyLines(nil, c.lines)
			wantCause(t, err, tt.seq, tt.cause)
		})
	}
}

// A loss that was noticed late leaves the chain's end as it is.
func TestVerifyALossNoticedLate(t *testing.T) {
	c := newChain(testKey(1))
	for n := range 6 {
		c.add(exchange(n, "t"))
	}
	c.add(&Event{Event: EventGap, Gap: &Gap{Lost: &Lost{Cause: LossDamage, First: 2, Last: 3}}}) // 8
	got, err := verifyLines(keySet(t, testKey(1)), c.lines[3:])
	if err != nil || got.Recoveries != 1 || got.Lost != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
