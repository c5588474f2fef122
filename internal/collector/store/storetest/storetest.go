// Package storetest is what every store must do, whatever database it is.
package storetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
)

// Window is what the stores of the suite look at for one page.
const Window = 300

// Run runs the suite. open returns a store without tenants, which is closed by
// the test.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tests := map[string]func(t *testing.T, s store.Store){
		"directory":    testDirectory,
		"sessions":     testSessions,
		"certificates": testCertificates,
		"registration": testRegistration,
		"append":       testAppend,
		"given up":     testGivenUp,
		"race":         testRace,
		"crowd":        testCrowd,
		"months":       testMonths,
		"receipts":     testReceipts,
		"pages":        testPages,
		"spans":        testSpans,
		"spans lost":   testSpansAcrossALoss,
		"rollups":      testRollups,
		"quota":        testQuota,
		"shared quota": testSharedQuota,
		"retention":    testRetention,
		"pruning":      testPruning,
		"prune stops":  testPruningStops,
		"log":          testLog,
		"cosignatures": testCosignatures,
		"alarms":       testAlarms,
		"silence":      testSilence,
		"tenants":      testTenants,
		"foreign text": testForeignText,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			create(t, s, "acme")
			test(t, s)
		})
	}
}

// day is when the suite's records were made; a leap day shows who adds months.
var day = time.Date(2028, 2, 29, 12, 30, 0, 0, time.UTC)

func create(t *testing.T, s store.Store, tenant string) {
	t.Helper()
	must(t, s.CreateTenant(t.Context(), store.Tenant{Name: tenant, Created: day}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get[T any](found T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		must(t, err)
		return found
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got\n%+v\nwant\n%+v", what, got, want)
	}
}

// register begins a chain of tenant acme that the store knows.
func register(t *testing.T, s store.Store, agent string, at time.Time) *chains.Chain {
	t.Helper()
	c := chains.New("acme", agent, at)
	must(t, s.RegisterChain(t.Context(), "acme", store.Registration{ID: c.ID, Agent: agent, PublicKey: c.Public(), At: at}))
	return c
}

// Batch is lines as verified records that follow a head.
func Batch(t *testing.T, lines [][]byte, received time.Time) *store.Batch {
	t.Helper()
	b := &store.Batch{Received: received}
	for _, line := range lines {
		r, err := receipts.Decode(line)
		must(t, err)
		row := store.NewRecord(r, line, received)
		if place := r.RecordHead().Chain; b.Chain == "" {
			b.Chain, b.After = place.ID, store.Head{Seq: place.Seq - 1, Hash: place.Prev}
		}
		if e, ok := r.(*receipts.Event); ok && e.Key != nil {
			pub, err := receipts.DecodeKey(e.Key.PublicKey)
			must(t, err)
			b.Keys = append(b.Keys, store.Key{KID: e.Key.KID, PublicKey: pub, FromSeq: row.Seq + 1})
		}
		if g, ok := r.(*receipts.Genesis); ok {
			b.Build = g.Build
		}
		b.Records = append(b.Records, row)
	}
	return b
}

// Keep has a store know a chain and all of its records, as received at a time.
func Keep(t *testing.T, s store.Store, c *chains.Chain, received time.Time) {
	t.Helper()
	must(t, s.RegisterChain(t.Context(), c.Tenant, store.Registration{ID: c.ID, Agent: c.Agent, PublicKey: c.Public(), At: received}))
	must1(t)(s.Append(t.Context(), c.Tenant, Batch(t, c.Lines, received)))
}

// Counted is a growth of a log that only counts.
func Counted(_ context.Context, old store.LogState, leaves [][32]byte, _ func(int, int64) ([]byte, error)) (store.Growth, error) {
	old.Size += int64(len(leaves))
	return store.Growth{State: old}, nil
}

// appendAll stores a whole chain.
func appendAll(t *testing.T, s store.Store, c *chains.Chain) {
	t.Helper()
	must1(t)(s.Append(t.Context(), c.Tenant, Batch(t, c.Lines, day)))
}

func must1(t *testing.T) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		must(t, err)
	}
}
