package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
)

// Use is a call of a store, and the most that it may read, however much is stored.
type Use struct {
	Name   string
	Rows   int // of all tables
	Method string
	Args   []any // behind the context
	Window bool  // it looks through a part of an index, and picks from that
	Writes bool
}

// Run makes the call.
func (u *Use) Run(ctx context.Context, s store.Store) error {
	in := []reflect.Value{reflect.ValueOf(ctx)}
	for _, arg := range u.Args {
		in = append(in, reflect.ValueOf(arg))
	}
	out := reflect.ValueOf(s).MethodByName(u.Method).Call(in)
	err, _ := out[len(out)-1].Interface().(error)
	return err
}

// EachUse calls do with uses of every method that a store has for what is stored.
func EachUse(t *testing.T, b Bulk, n int, do func(u *Use)) {
	t.Helper()
	all := slices.Concat(b.directoryUses(n), b.chainUses(n), b.writeUses(n), b.recordUses(n), b.receiptUses(n), b.usageUses(n), b.logUses(n), b.alarmUses(n), b.pruningUses(n))
	used := map[string]bool{"Ping": true, "Maintain": true, "Reclaim": true, "Close": true} // which are for no row
	for i := range all {
		used[all[i].Method] = true
		do(&all[i])
	}
	for method := range reflect.TypeFor[store.Store]().Methods() {
		if !used[method.Name] {
			t.Errorf("nothing says what %s may read", method.Name)
		}
	}
}

func (b Bulk) directoryUses(n int) []Use {
	chain := b.Chain(n % 100)
	return []Use{
		{Name: "a new tenant", Rows: 0, Method: "CreateTenant", Args: []any{store.Tenant{Name: chains.UUID(), Created: day}}, Writes: true},
		{Name: "a tenant", Rows: 1, Method: "Tenant", Args: []any{"acme"}},
		{Name: "a page of tenants", Rows: 1000, Method: "Tenants", Args: []any{"tenant-1", 1000}},
		{Name: "a new token", Rows: 1, Method: "AddToken", Args: []any{store.Token{ID: chains.UUID(), Tenant: "acme", Digest: [32]byte([]byte(chains.UUID())), Created: day}}, Writes: true},
		{Name: "a token", Rows: 1, Method: "TokenByDigest", Args: []any{bulkBytes(fmt.Sprintf("token-%d", n%1500+1))}},
		{Name: "tokens", Rows: 1000, Method: "Tokens", Args: []any{"acme"}},
		{Name: "the end of a token", Rows: 1, Method: "RevokeToken", Args: []any{"acme", fmt.Sprintf("token-%d", n%1500+1), day}, Writes: true},
		{Name: "a new session", Rows: 1 + store.MaxSessions + 1, Method: "BeginSession", Args: []any{store.Session{Digest: [32]byte([]byte(chains.UUID())), Token: store.Token{ID: "token-7", Tenant: "acme"}, Begun: day, Used: day}}, Writes: true},
		{Name: "a session", Rows: 2, Method: "Session", Args: []any{bulkBytes(fmt.Sprintf("session-%d", n%1500))}},
		{Name: "the use of a session", Rows: 1, Method: "UseSession", Args: []any{bulkBytes(fmt.Sprintf("session-%d", n%1500)), day}, Writes: true},
		{Name: "the end of a session", Rows: 1, Method: "EndSession", Args: []any{bulkBytes(fmt.Sprintf("session-%d", n%1500))}, Writes: true},
		{Name: "the end of all sessions of a token", Rows: store.MaxSessions, Method: "EndSessions", Args: []any{"acme", fmt.Sprintf("token-%d", 10+n%60)}, Writes: true},
		{Name: "sweeping sessions", Rows: 4, Method: "SweepSessions", Args: []any{BulkStart.Add(3 * time.Minute)}, Writes: true},
		{Name: "a new certificate", Rows: 0, Method: "AddCertificate", Args: []any{store.Certificate{Serial: chains.UUID(), Tenant: "acme", Chain: chain, Issued: day, NotAfter: day}}, Writes: true},
		{Name: "a certificate", Rows: 1, Method: "Certificate", Args: []any{"acme", "serial-" + chain + "-3"}},
		{Name: "certificates of a chain", Rows: 6, Method: "Certificates", Args: []any{"acme", chain}},
		{Name: "the end of certificates", Rows: 6, Method: "RevokeCertificates", Args: []any{"acme", chain, day}, Writes: true},
	}
}

func (b Bulk) chainUses(n int) []Use {
	chain, agent := b.Chain(n%BulkChains), fmt.Sprintf("agent-%d", n%BulkAgents)
	at := BulkStart.Add(time.Duration(n%BulkChains) * time.Minute)
	return []Use{
		{Name: "a chain", Rows: 1, Method: "Chain", Args: []any{"acme", chain}},
		{Name: "a key of a chain", Rows: 1, Method: "ChainKey", Args: []any{"acme", chain, "k"}},
		{Name: "keys of a chain", Rows: 1 + 5, Method: "ChainKeys", Args: []any{"acme", chain}},
		{Name: "the newest chains", Rows: 100, Method: "ListChains", Args: []any{"acme", store.ChainQuery{}}},
		{Name: "a page of chains", Rows: 100, Method: "ListChains", Args: []any{"acme", store.ChainQuery{After: chain}}},
		{Name: "the newest chains of an agent", Rows: 100, Method: "ListChains", Args: []any{"acme", store.ChainQuery{Agent: agent}}},
		{Name: "a page of chains of an agent", Rows: 100, Method: "ListChains", Args: []any{"acme", store.ChainQuery{Agent: agent, After: chain}}},
		{Name: "silent chains", Rows: 100, Method: "SilentChains", Args: []any{"acme", store.SinceQuery{To: at}}},
		{Name: "a page of silent chains", Rows: 100, Method: "SilentChains", Args: []any{"acme", store.SinceQuery{From: at, After: chain, To: BulkStart.AddDate(1, 0, 0)}}},
		{Name: "chains silent since", Rows: 4, Method: "SilentChains", Args: []any{"acme", store.SinceQuery{From: at, To: at.Add(15 * time.Minute)}}},
		{Name: "chains with gaps", Rows: 100, Method: "GapChains", Args: []any{"acme", store.SinceQuery{To: at}}},
		{Name: "a page of chains with gaps", Rows: 100, Method: "GapChains", Args: []any{"acme", store.SinceQuery{From: at, After: chain, To: BulkStart.AddDate(1, 0, 0)}}},
		{Name: "a verifier", Rows: 1, Method: "Verifier", Args: []any{"acme", chain}},
		{Name: "hashes", Rows: 100, Method: "Hashes", Args: []any{"acme", b.Writer(n), int64(1), int64(100)}},
	}
}

// writeUses are those of ingest.
func (b Bulk) writeUses(n int) []Use {
	writer, head := b.Writer(n), b.Head()
	batch := &store.Batch{Chain: writer, After: head, Received: BulkStart.AddDate(0, 0, BulkDays), Build: "v1"}
	for i := range 50 {
		batch.Records = append(batch.Records, store.Record{
			Chain: writer, Seq: head.Seq + int64(i) + 1, Type: receipts.TypeReceipt, TS: batch.Received, Received: batch.Received, Hash: head.Hash, Line: []byte("{}"),
			ReceiptID: chains.UUID(), TraceID: "t", Agent: "agent-1", Outcome: receipts.Denied, Reason: "REASON_1", Count: 1,
		})
	}
	known := store.Registration{ID: writer, Agent: fmt.Sprintf("agent-%d", n%BulkWriters%BulkAgents), PublicKey: bulkKey(), At: day}
	fresh := known
	fresh.ID = chains.UUID()
	return []Use{
		{Name: "a new chain", Rows: 0, Method: "RegisterChain", Args: []any{"acme", fresh}, Writes: true},
		{Name: "a known chain", Rows: 2, Method: "RegisterChain", Args: []any{"acme", known}, Writes: true},
		{Name: "a gap", Rows: 2, Method: "NoteGap", Args: []any{"acme", writer, head, day}, Writes: true},
		{Name: "a batch", Rows: 3, Method: "Append", Args: []any{"acme", batch}, Writes: true},
		{Name: "what a verifier knows", Rows: 0, Method: "SaveVerifier", Args: []any{"acme", writer, int64(2), []byte("state")}, Writes: true},
		{Name: "a sign", Rows: 2, Method: "Heard", Args: []any{"acme", writer, day}, Writes: true},
		{Name: "a heartbeat", Rows: 2, Method: "Beat", Args: []any{"acme", writer, store.Beat{At: day, Seq: 1}}, Writes: true},
		{Name: "what a tenant may keep", Rows: 1, Method: "SetQuota", Args: []any{"acme", int64(0)}, Writes: true},
	}
}

func (b Bulk) recordUses(n int) []Use {
	n %= b.Records
	writer, at := b.Writer(n), b.At(n)
	hour := store.SpanQuery{From: at, To: at.Add(time.Hour)}
	one, dead, alive := hour, hour, hour
	one.Chain, dead.After, alive.After = writer, b.Chain(n%800), b.Chain(BulkChains-BulkWriters-1)
	return []Use{
		{Name: "a receipt", Rows: 1, Method: "Receipt", Args: []any{"acme", b.Receipt(n)}},
		{Name: "a record", Rows: 1, Method: "Record", Args: []any{"acme", writer, b.Seq(n)}},
		{Name: "a range", Rows: 100, Method: "Range", Args: []any{"acme", writer, b.Seq(n), 100}},
		// Of chains that have records at the time, both ends of their run are looked up.
		{Name: "the span of a chain", Rows: 1 + 2, Method: "Spans", Args: []any{"acme", one}},
		{Name: "spans of chains that ended", Rows: 100, Method: "Spans", Args: []any{"acme", dead}},
		{Name: "spans of chains that have records", Rows: 100 + 2*100, Method: "Spans", Args: []any{"acme", alive}},
	}
}

func (b Bulk) receiptUses(n int) (uses []Use) {
	n %= b.Records
	writer, at := b.Writer(n), b.At(n)
	after := &store.Cursor{TS: at, Chain: writer, Seq: b.Seq(n)}
	host, agent := fmt.Sprintf("host-%d.example", n%50), fmt.Sprintf("agent-%d", n%BulkAgents)
	const page, window = 50 + 1, 5000 // one more tells whether there is another page
	use := func(name string, rows int, q store.ReceiptQuery) {
		uses = append(uses, Use{Name: name, Rows: rows, Method: "Receipts", Args: []any{"acme", q}, Window: rows == window})
	}
	use("the newest receipts", page, store.ReceiptQuery{})
	use("a page of receipts", page, store.ReceiptQuery{After: after})
	use("receipts of a host", page, store.ReceiptQuery{After: after, Host: host})
	use("receipts of an agent", page, store.ReceiptQuery{After: after, Agent: agent})
	use("receipts of denials", page, store.ReceiptQuery{After: after, Outcome: receipts.Denied})
	use("receipts of a reason", page, store.ReceiptQuery{After: after, Reason: "HEL_HOST_NOT_ALLOWED"})
	use("receipts of a trace", page, store.ReceiptQuery{Trace: fmt.Sprintf("trace-%d", n/10)})
	use("receipts of a chain", page, store.ReceiptQuery{After: after, Chain: writer})
	use("receipts of a period", page, store.ReceiptQuery{From: at.Add(-time.Hour), To: at})
	use("receipts of a host in a period", page, store.ReceiptQuery{From: at.Add(-24 * time.Hour), To: at, Host: host})
	use("receipts of a host and an agent", window, store.ReceiptQuery{After: after, Host: host, Agent: agent})
	use("receipts that were forwarded", window, store.ReceiptQuery{After: after, Outcome: receipts.Forwarded})
	return uses
}

// usageUses read the hours of their period, and each reason of them: of one agent, or
// of all.
func (Bulk) usageUses(n int) []Use {
	from := BulkStart.AddDate(0, 0, n%(40-31))
	week, month := store.RollupQuery{From: from, To: from.AddDate(0, 0, 7)}, store.RollupQuery{From: from, To: from.AddDate(0, 0, 31)}
	ofAgent := month
	ofAgent.Agent = fmt.Sprintf("agent-%d", n%BulkAgents)
	next := month
	next.After = &store.Rollup{Hour: month.To.Add(-2 * time.Hour), Outcome: receipts.Denied, Reason: "REASON_0"}
	return []Use{
		{Name: "what a tenant keeps", Rows: 2, Method: "Stored", Args: []any{"acme"}},
		{Name: "a week's usage", Rows: 7 * 24 * BulkReasons, Method: "Rollups", Args: []any{"acme", week}},
		{Name: "a month's usage", Rows: 31 * 24 * BulkReasons, Method: "Rollups", Args: []any{"acme", month}},
		{Name: "the end of a month's usage", Rows: 2*BulkReasons - 1, Method: "Rollups", Args: []any{"acme", next}},
		{Name: "a month's usage of an agent", Rows: 31 * 24 * BulkReasons, Method: "Rollups", Args: []any{"acme", ofAgent}},
	}
}

func (b Bulk) logUses(n int) []Use {
	n %= b.Records / 2 // that are in the log
	grow := func(_ context.Context, old store.LogState, leaves [][32]byte, tile func(int, int64) ([]byte, error)) (store.Growth, error) {
		_, err := tile(0, 1)
		old.Size += int64(len(leaves))
		return store.Growth{State: old, Tiles: []store.Tile{{Level: 0, N: 1, Data: old.Root[:]}}}, err
	}
	const runs, perRun = 100, 10 // that Sequence takes at once, and that are in a run of the log
	return []Use{
		{Name: "the log", Rows: 1, Method: "LogState", Args: []any{"acme"}},
		{Name: "a tile", Rows: 1, Method: "Tile", Args: []any{"acme", 0, int64(n % 1000)}},
		{Name: "a record's place", Rows: 1, Method: "LeafIndex", Args: []any{"acme", b.Writer(n), b.Seq(n)}},
		{Name: "entries", Rows: 250 + 250/perRun + 2, Method: "LogEntries", Args: []any{"acme", int64(n), 250}},
		{Name: "what waits for the log", Rows: 1000 + 2, Method: "Waiting", Args: []any{"acme"}},
		{Name: "cosignatures", Rows: BulkCosignatures, Method: "Cosignatures", Args: []any{"acme"}},
		{Name: "a newer cosignature", Rows: BulkCosignatures + 1, Method: "AddCosignature", Args: []any{"acme", store.Cosignature{
			Size: 10, Witness: "witness-10", Checkpoint: []byte("checkpoint"), Line: "line", At: day,
		}}, Writes: true},
		// Each run is read and taken away; then the log, and a tile.
		{Name: "sequencing", Rows: 3*runs + 3, Method: "Sequence", Args: []any{"acme", 2000, store.Grow(grow)}, Writes: true},
	}
}

func (b Bulk) alarmUses(n int) []Use {
	chain, after := b.Chain(n%50), b.Alarm(n%BulkAlarms)
	fresh := store.Alarm{ID: chains.UUID(), Kind: store.AlarmClock, Chain: chain, Message: "message", Raised: day}
	again := fresh
	again.ID, again.Kind = chains.UUID(), store.AlarmGap
	ofLog := store.Alarm{ID: chains.UUID(), Kind: store.AlarmWitness, Message: "message", Raised: day}
	const open = 7 // of a chain, at most: one of each kind
	page := make([]string, 50)
	for i := range page {
		page[i] = b.Chain(i)
	}
	fork := store.Fork{Chain: chain, Seq: 1, Hash: b.Head().Hash, Known: b.Head().Hash, Line: []byte("{}"), Received: day}
	return []Use{
		{Name: "alarms", Rows: 100, Method: "ListAlarms", Args: []any{"acme", store.AlarmQuery{}}},
		{Name: "a page of alarms", Rows: 100, Method: "ListAlarms", Args: []any{"acme", store.AlarmQuery{After: after}}},
		{Name: "open alarms", Rows: 100, Method: "ListAlarms", Args: []any{"acme", store.AlarmQuery{Open: true}}},
		{Name: "a page of open alarms", Rows: 100, Method: "ListAlarms", Args: []any{"acme", store.AlarmQuery{Open: true, After: after}}},
		{Name: "alarms of a chain", Rows: 100, Method: "ListAlarms", Args: []any{"acme", store.AlarmQuery{Chain: chain}}},
		{Name: "a page of alarms of a chain", Rows: 100, Method: "ListAlarms", Args: []any{"acme", store.AlarmQuery{Chain: chain, After: after}}},
		{Name: "open alarms of a chain", Rows: open, Method: "ListAlarms", Args: []any{"acme", store.AlarmQuery{Chain: chain, Open: true}}},
		{Name: "a page of open alarms of a chain", Rows: open, Method: "ListAlarms", Args: []any{"acme", store.AlarmQuery{Chain: chain, Open: true, After: after}}},
		{Name: "open alarms of a page of chains", Rows: 50, Method: "OpenAlarms", Args: []any{"acme", page}},
		{Name: "an alarm that is open", Rows: open, Method: "Raise", Args: []any{"acme", again}, Writes: true},
		{Name: "a new alarm", Rows: open, Method: "Raise", Args: []any{"acme", fresh}, Writes: true},
		{Name: "the end of an alarm", Rows: open, Method: "Clear", Args: []any{"acme", chain, store.AlarmClock, day}, Writes: true},
		{Name: "an alarm of the log", Rows: 1, Method: "Raise", Args: []any{"acme", ofLog}, Writes: true},
		{Name: "the end of an alarm of the log", Rows: 1, Method: "Clear", Args: []any{"acme", "", store.AlarmWitness, day}, Writes: true},
		{Name: "forks", Rows: 100, Method: "Forks", Args: []any{"acme", ""}},
		{Name: "forks of a chain", Rows: 21, Method: "Forks", Args: []any{"acme", chain}},
		{Name: "a new fork", Rows: 21, Method: "AddFork", Args: []any{"acme", fork}, Writes: true},
	}
}

// pruningUses are last, since what they remove is gone.
func (b Bulk) pruningUses(n int) []Use {
	far, oldest := BulkStart.AddDate(50, 0, 0), b.Chain(BulkChains-1)
	const limit = 10
	removing := store.Prune{Chain: oldest, Before: far, Months: 1, At: far, Limit: limit}
	rehearsal := removing
	rehearsal.Rehearse, rehearsal.After = true, limit
	// The chain's row, the log's newest run of it and the records are read to find what
	// goes. To remove it, they are read again, with the chain's keys and their
	// introductions, the first record that stays, and what the tenant keeps.
	const find, remove = 1 + 1 + limit, limit + 2 + 1 + 2 + 1
	return []Use{
		{Name: "how long records are kept", Rows: 3, Method: "Retention", Args: []any{"acme"}},
		{Name: "to keep records for long", Rows: 1, Method: "SetRetention", Args: []any{"acme", n}, Writes: true},
		{Name: "old chains", Rows: 100, Method: "OldChains", Args: []any{"acme", store.SinceQuery{To: far}}},
		{Name: "a page of old chains", Rows: 100, Method: "OldChains", Args: []any{"acme", store.SinceQuery{From: BulkStart, After: b.Chain(n % 100), To: far}}},
		{Name: "what would go", Rows: find, Method: "Prune", Args: []any{"acme", rehearsal}},
		{Name: "what goes", Rows: find + remove, Method: "Prune", Args: []any{"acme", removing}, Writes: true},
		{Name: "what is gone", Rows: 12 + 1, Method: "Removals", Args: []any{"acme"}},
		{Name: "entries of what is gone", Rows: 100 + 100/10 + 3 + 10, Method: "LogEntries", Args: []any{"acme", int64(950), 100}},
	}
}
