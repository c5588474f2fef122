package e2e

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/signet-egress/signet/receipts"
)

// ledger holds what the kill test's two ends have seen against the chain, which
// it reads from the running sidecar after each start and verifies as it grows.
type ledger struct {
	t        *testing.T
	site     *site
	verifier *receipts.Verifier
	next     int64                          // seq
	byID     map[string][]*receipts.Receipt // by the exchange's id, its trace
	crowd    *crowd                         // of the round before; nil at first

	receipts, unknown, seen, completed int
}

func newLedger(t *testing.T, s *site) *ledger {
	return &ledger{t: t, site: s, verifier: receipts.NewVerifier(nil), next: 1, byID: make(map[string][]*receipts.Receipt)}
}

// expect keeps what a crowd has seen until the next start.
func (l *ledger) expect(c *crowd) { l.crowd = c }

// readAfterStart reads on from where the last start has left off: the receipts
// of the round before the kill, and what the recovery has made of its intents.
func (l *ledger) readAfterStart(car *sidecar) {
	l.t.Helper()
	records := l.read(car)
	l.checkRecovery(records)
	l.checkSeen()
	l.checkCompleted()
}

func (l *ledger) read(car *sidecar) []receipts.Record {
	l.t.Helper()
	resp := car.admin("/v1/records?from=" + strconv.FormatInt(l.next, 10))
	defer func() { must(l.t, resp.Body.Close()) }()
	var records []receipts.Record
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		must(l.t, l.verifier.Add(lines.Bytes()))
		rec, err := receipts.Decode(lines.Bytes())
		must(l.t, err)
		records = append(records, rec)
		if r, ok := rec.(*receipts.Receipt); ok {
			l.byID[r.TraceID] = append(l.byID[r.TraceID], r)
			l.receipts++
		}
		l.next = rec.RecordHead().Chain.Seq + 1
	}
	must(l.t, lines.Err())
	return records
}

// admin asks the admin socket, in the data directory by default.
func (c *sidecar) admin(uri string) *http.Response {
	c.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.site.path("data/admin.sock"))
	}}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://admin"+uri, nil)
	must(c.t, err)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	must(c.t, err)
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("GET %s on the admin socket: %s", uri, resp.Status)
	}
	return resp
}

// checkRecovery wants a gap event, then a receipt for each intent that it
// counts, and no other unknown receipt.
func (l *ledger) checkRecovery(records []receipts.Record) {
	l.t.Helper()
	if l.crowd == nil {
		return
	}
	gap := slices.IndexFunc(records, isGap)
	if gap < 0 {
		l.t.Fatal("after a kill there is no gap event")
	}
	unknown := int(records[gap].(*receipts.Event).Gap.Unknown)
	if unknown < len(l.crowd.held) {
		l.t.Errorf("the gap event counts %d open intents; at least %d exchanges were under way", unknown, len(l.crowd.held))
	}
	for i, rec := range records {
		r, ok := rec.(*receipts.Receipt)
		isUnknown := ok && r.Outcome == receipts.Unknown
		if recovered := i > gap && i <= gap+unknown; recovered != isUnknown {
			l.t.Errorf("record %d, %d after the gap event of %d intents: unknown %v", rec.RecordHead().Chain.Seq, i-gap, unknown, isUnknown)
		}
	}
	l.unknown += unknown
}

func isGap(rec receipts.Record) bool {
	e, ok := rec.(*receipts.Event)
	return ok && e.Event == receipts.EventGap
}

// checkSeen wants a receipt for each request that an upstream has seen.
func (l *ledger) checkSeen() {
	l.t.Helper()
	seen := make(map[string]int)
	for _, u := range l.site.upstreams() {
		requests := u.Requests()
		for i := range requests {
			seen[requests[i].ID]++
		}
	}
	l.seen = len(seen)
	for id, n := range seen {
		if got := l.byID[id]; len(got) < n {
			l.t.Errorf("%s: an upstream has seen it %d times, and it has %d receipts", id, n, len(got))
		}
		for _, r := range l.byID[id] {
			if r.Outcome == receipts.Denied {
				l.t.Errorf("%s: an upstream has seen it, and its receipt says denied: %+v", id, r.Policy)
			}
		}
	}
}

// checkCompleted wants a forwarded receipt for each exchange that a client has
// seen the end of, and an unknown one for those that the kill has cut.
func (l *ledger) checkCompleted() {
	l.t.Helper()
	if l.crowd == nil {
		return
	}
	for id, done := range l.crowd.completed {
		if !slices.ContainsFunc(l.byID[id], done.isReceipt) {
			l.t.Errorf("%s (%s) was completed; its receipts: %v", id, done.way, outcomes(l.byID[id]))
		}
	}
	for _, id := range l.crowd.held {
		if got := l.byID[id]; len(got) != 1 || got[0].Outcome != receipts.Unknown || got[0].Usage.VEX != 0 {
			l.t.Errorf("%s was under way; its receipts: %v", id, outcomes(got))
		}
	}
	l.completed += len(l.crowd.completed)
	l.crowd = nil
}

func (c completed) isReceipt(r *receipts.Receipt) bool {
	if r.Outcome != receipts.Forwarded {
		return false
	}
	if c.receipt == "" {
		return r.Detail.Request.Method == http.MethodConnect
	}
	return r.ReceiptID == c.receipt && r.Detail.Request.Path == c.path
}

func outcomes(all []*receipts.Receipt) []receipts.Outcome {
	var list []receipts.Outcome
	for _, r := range all {
		list = append(list, r.Outcome)
	}
	return list
}
