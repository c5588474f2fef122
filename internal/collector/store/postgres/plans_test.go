package postgres

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/storetest"
)

// usualRecords is enough for PostgreSQL to prefer an index.
const usualRecords = 20_000

var records = flag.Int("postgres.rows", usualRecords, "how many records TestPlans makes; with more than usual it tells how long each use takes")

//go:embed testdata/bulk.sql
var bulkSQL string

// Every method of a store finds its rows through indexes, and reads no more of
// them than what it is asked for, whether its statements are planned for their
// parameters or for any.
func TestPlans(t *testing.T) {
	name := newDatabase(t)
	bulk := storetest.Bulk{Records: *records}
	if err := open(t, cluster.URL("", name)).Maintain(t.Context(), storetest.BulkStart.AddDate(0, 1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := cluster.SQL(t.Context(), name, fmt.Sprintf("SET bulk.records = %d; ", bulk.Records)+bulkSQL); err != nil {
		t.Fatal(err)
	}
	for i, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		s, heard := openExplained(t, cluster.URL("", name), mode)
		storetest.EachUse(t, bulk, 4321+i, func(u *storetest.Use) {
			heard.forget()
			if err := u.Run(t.Context(), s); err != nil || heard.fault != nil {
				t.Fatalf("%s: %v, %v", u.Name, err, heard.fault)
			}
			plans := strings.Join(heard.plans, "\n")
			// Partitions are merged: each gives its first row before it is known to be needed.
			const partitions = 6
			most := u.Rows
			if strings.Contains(plans, `"records_`) {
				most += partitions
			}
			if heard.scanned || heard.sorted || heard.jit || heard.rows > most {
				t.Errorf("%s, %s: %d rows are read, want at most %d, all through an index and in its order, and nothing compiled; the plans are\n%s", mode, u.Name, heard.rows, u.Rows, plans)
			}
		})
	}
	if *records > usualRecords {
		tell(t, name, bulk)
	}
}

// tell logs how long each use takes that reads.
func tell(t *testing.T, database string, bulk storetest.Bulk) {
	const times = 200
	s := open(t, cluster.URL("", database))
	took := map[string][]time.Duration{}
	var names []string
	for i := range times {
		storetest.EachUse(t, bulk, i*7919, func(u *storetest.Use) {
			if u.Writes {
				return
			}
			begin := time.Now()
			// Some sessions have been ended by the uses that write.
			if err := u.Run(t.Context(), s); err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("%s: %v", u.Name, err)
			}
			if took[u.Name] == nil {
				names = append(names, u.Name)
			}
			took[u.Name] = append(took[u.Name], time.Since(begin))
		})
	}
	for _, name := range names {
		all := took[name]
		slices.Sort(all)
		t.Logf("%-36s median %10s, p95 %10s", name, all[times/2].Round(time.Microsecond), all[times*95/100].Round(time.Microsecond))
	}
}
