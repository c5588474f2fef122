package journal

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/receipts"
)

func TestMain(m *testing.M) {
	if dir := childDir(); dir != "" {
		appendUntilKilled(dir)
		return
	}
	if dir := writeLogDir(); dir != "" {
		writeLogScenario(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var testKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func options(dir string) Options {
	return Options{
		Dir: dir, Key: testKey, Tenant: "acme", Agent: "billing-agent", Build: "v0.0.0-test", PolicyVersion: anyDigest,
		Logger: slog.New(slog.DiscardHandler), hooks: hooks{resume: time.Millisecond},
	}
}

// tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
}

func open(t testing.TB, o Options) *Journal {
	t.Helper()
	j, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func closeJournal(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// crash lets go of the file as a kill would: no stop event, intents stay open.
func crash(t testing.TB, j *Journal) {
	t.Helper()
	j.err.Store(&UnavailableError{Path: j.path, Reason: "crashed by the test"})
	closeJournal(t, j)
}

func draft(trace string) *receipts.Receipt {
	return &receipts.Receipt{
		ReceiptID: NewReceiptID(), TraceID: trace, Tenant: "acme", Agent: "billing-agent", Outcome: receipts.Unknown, Count: 1,
		Policy: receipts.Policy{Allowed: true, Reason: "ok", Rule: "openai", Mode: "enforce", Version: anyDigest},
		Detail: &receipts.Detail{
			Started: time.Now(),
			Request: &receipts.Request{Protocol: "h1", Method: "POST", Scheme: "https", Host: "api.openai.com", Port: 443, Path: "/v1/chat/completions"},
			DNS:     &receipts.DNS{Resolver: "tls://9.9.9.9", Answers: []string{"192.0.2.1"}, CNAME: []string{}, TTL: 60},
		},
	}
}

// forward is what an exchange adds to its intent.
func forward(r *receipts.Receipt) *receipts.Receipt {
	status, size := int64(200), int64(5120)
	r.Outcome, r.Usage.VEX = receipts.Forwarded, 1
	r.Detail.DurationUS = 412_000
	r.Detail.Forwarded = &receipts.ForwardedTo{
		PinnedIP: "192.0.2.1", Port: 443, StatusCode: &status, ResponseDigest: anyDigest, ResponseSize: &size,
	}
	return r
}

func begin(t tester, j *Journal, r *receipts.Receipt) *receipts.Receipt {
	t.Helper()
	if err := j.Begin(r, ""); err != nil {
		t.Fatal(err)
	}
	return r
}

func finish(t tester, j *Journal, r *receipts.Receipt) {
	t.Helper()
	if err := j.Finish(r).Wait(); err != nil {
		t.Fatal(err)
	}
}

// chain is a verified chain: what it holds, in order.
type chain struct {
	receipts map[string]*receipts.Receipt
	kinds    []string // of events; "receipt" for receipts, "genesis"
}

type ranger interface {
	Range(ctx context.Context, from int64, fn func(seq int64, line []byte) error) error
}

// verify reads the whole chain and has it verified as a third party would.
func verify(t tester, from ranger) chain {
	t.Helper()
	return verifyWith(t, from, testKey)
}

// verifyWith does that for a chain that begins with first.
func verifyWith(t tester, from ranger, first ed25519.PrivateKey) chain {
	t.Helper()
	keys, err := receipts.ParseJWKS(receipts.JWKS(receipts.ChainKey{PublicKey: publicOf(first)}))
	if err != nil {
		t.Fatal(err)
	}
	c := chain{receipts: make(map[string]*receipts.Receipt)}
	v := receipts.NewVerifier(keys)
	err = from.Range(context.Background(), 1, func(seq int64, line []byte) error {
		if err := v.Add(line); err != nil {
			return fmt.Errorf("%w in %s", err, line)
		}
		rec, err := receipts.Decode(line)
		if err != nil {
			return err
		}
		switch rec := rec.(type) {
		case *receipts.Receipt:
			c.receipts[rec.ReceiptID] = rec
			c.kinds = append(c.kinds, "receipt")
		case *receipts.Event:
			c.kinds = append(c.kinds, string(rec.Event))
		default:
			c.kinds = append(c.kinds, "genesis")
		}
		if seq != int64(len(c.kinds)) {
			return fmt.Errorf("record %d is handed out as %d", len(c.kinds), seq)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Result(); err != nil {
		t.Fatal(err)
	}
	return c
}

func wantKinds(t testing.TB, c chain, want string) {
	t.Helper()
	if got := strings.Join(c.kinds, " "); got != want {
		t.Errorf("the chain is\n%s, want\n%s", got, want)
	}
}
