package storetest

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Bulk is what each store's testdata/bulk.sql makes of tenant acme, without
// verifying anything: plans only depend on what there is much of. Everything else
// has a fixed number.
type Bulk struct {
	Records int // of BulkWriters chains, over BulkDays
}

// How much there is beside records. SQL has the same numbers.
const (
	BulkChains  = 1000 // of which the last BulkWriters have records now, the others once had
	BulkWriters = 100
	BulkDays    = 80 // of records; roll-ups are of the first 40
	BulkAgents  = 10 // of chains, records and roll-ups
	BulkReasons = 3  // with their outcome, in each hour of each agent
	BulkAlarms  = 5000

	BulkCosignatures = 20 // each of a tree and a witness of its own
)

// BulkStart is when the first record was made.
var BulkStart = time.Date(2028, 1, 5, 0, 0, 0, 0, time.UTC)

// Chain is the nth id of a chain, in their order.
func (Bulk) Chain(n int) string { return bulkID('c', n) }

// Writer is the id of the chain that has the nth record.
func (b Bulk) Writer(n int) string { return b.Chain(BulkChains - BulkWriters + n%BulkWriters) }

// Receipt is the receipt_id of the nth record.
func (Bulk) Receipt(n int) string { return bulkID('e', n) }

// Alarm is the nth id of an alarm.
func (Bulk) Alarm(n int) string { return bulkID('a', n) }

func bulkID(kind rune, n int) string {
	return fmt.Sprintf("%08x-000%c-7000-8000-000000000000", n, kind)
}

// At is when the nth record was made.
func (b Bulk) At(n int) time.Time {
	return BulkStart.Add(time.Duration(n) * (BulkDays * 24 * time.Hour / time.Duration(b.Records)))
}

// Seq is the place of the nth record in its chain.
func (Bulk) Seq(n int) int64 { return int64(n/BulkWriters + 1) }

// Head is where every chain with records ends.
func (b Bulk) Head() store.Head {
	sum := bulkBytes("head")
	return store.Head{Seq: int64(b.Records / BulkWriters), Hash: "sha256:" + hex.EncodeToString(sum[:])}
}

// bulkKey is the key of every chain.
func bulkKey() ed25519.PublicKey {
	sum := bulkBytes("key")
	return sum[:]
}

// bulkBytes are 32 bytes that SQL can make too.
func bulkBytes(text string) [32]byte { return [32]byte(fmt.Appendf(nil, "%32s", text)) }
