package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

// evidence is what a stopped sidecar has left, read offline and verified from
// the genesis on.
type evidence struct {
	records  []receipts.Record
	receipts []*receipts.Receipt
	result   receipts.Result
	open     int // intents that the next start makes receipts of
}

// evidence reads the journal of data, a directory of the site.
func (s *site) evidence() *evidence { s.t.Helper(); return readEvidence(s.t, s.path("data")) }

func readEvidence(t testing.TB, dir string) *evidence {
	t.Helper()
	r, err := journal.OpenReader(dir)
	must(t, err)
	defer func() { must(t, r.Close()) }()
	e := &evidence{open: r.OpenIntents()}
	v := receipts.NewVerifier(nil)
	must(t, r.Range(context.WithoutCancel(t.Context()), 1, func(_ int64, line []byte) error {
		if err := v.Add(line); err != nil {
			return err
		}
		rec, err := receipts.Decode(line)
		e.add(rec)
		return err
	}))
	e.result, err = v.Result()
	must(t, err)
	return e
}

func (e *evidence) add(rec receipts.Record) {
	e.records = append(e.records, rec)
	if r, ok := rec.(*receipts.Receipt); ok {
		e.receipts = append(e.receipts, r)
	}
}

// receipts stops the sidecar and returns what it has left, which must end in a
// clean stop.
func (c *sidecar) receipts() []*receipts.Receipt {
	c.t.Helper()
	c.stop()
	e := c.site.evidence()
	if !e.result.CleanStop || e.open != 0 {
		c.t.Fatalf("a stopped sidecar left no clean stop, and %d open intents", e.open)
	}
	return e.receipts
}

// only is the receipt of a test that makes one exchange.
func (c *sidecar) only() *receipts.Receipt {
	c.t.Helper()
	all := c.receipts()
	if len(all) != 1 {
		c.t.Fatalf("%d receipts, want 1", len(all))
	}
	return all[0]
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}
