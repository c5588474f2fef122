package collector_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/redis"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts"
)

// redisAt is a Redis that replicas wait for as long as this machine may take, and
// try again at once when it has failed.
func redisAt(t *testing.T, url string) *redis.Settings {
	t.Helper()
	settings, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	settings.Timeout, settings.Rest = time.Minute, time.Millisecond
	return settings
}

func startRedis(t *testing.T) *peers.Redis {
	t.Helper()
	server, err := peers.StartRedis(t.Context())
	if errors.Is(err, peers.ErrNoRedis) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// replica is another collector on the same store, with the same keys.
func (w *world) replica() *world {
	w.t.Helper()
	r := *w
	r.serve()
	return &r
}

// unauthorised is how many of n requests without a token, in turn at each replica,
// are told so; the others are told that they are too many. What came back to a
// budget meanwhile is not counted.
func unauthorised(n int, replicas ...*world) int {
	began, told := time.Now(), 0
	for i := range n {
		r := replicas[i%len(replicas)]
		switch status, _ := r.ask(http.MethodGet, "/v1/receipts", "", ""); status {
		case http.StatusUnauthorized:
			told++
		case http.StatusTooManyRequests:
		default:
			r.t.Errorf("without a token: %d", status)
		}
	}
	return max(0, told-int(time.Since(began).Seconds())-1)
}

// Two replicas hold one budget through a Redis, each its own while that is away,
// and nothing fails at all.
func TestReplicas(t *testing.T) {
	server := startRedis(t)
	w := start(t, open(t, "sqlite:"+filepath.Join(t.TempDir(), "collector.db")))
	w.rate, w.redis = 1, redisAt(t, server.URL(nil))
	a, b := w.replica(), w.replica()
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(1149)

	if told := unauthorised(70, a, b); told > 30 {
		t.Errorf("the replicas share no budget: %d of 70 attempts were let through", told)
	}
	a.open(cert, c.ID).acked(headOf(t, c.Lines[899]), c.Lines[:900]...) // of 1,000
	b.open(cert, c.ID).refused(api.Refusal_RATE_LIMITED, c.Lines[900:1100]...)

	server.Kill()
	b.open(cert, c.ID).acked(headOf(t, c.Lines[1099]), c.Lines[900:1100]...)
	b.open(cert, c.ID).refused(api.Refusal_RATE_LIMITED, c.Lines[:900]...)
	for _, r := range []*world{a, b} {
		if told := unauthorised(40, r); told < 20 || told > 30 {
			t.Errorf("a replica on its own let %d of 40 attempts through", told)
		}
		if status, _ := r.ask(http.MethodGet, "/readyz", "", ""); status != http.StatusOK {
			t.Errorf("/readyz without Redis: %d", status)
		}
		r.wantMetrics("signet_redis_available 0")
	}
	if n := strings.Count(w.log.String(), "Redis does not answer"); n != 2 {
		t.Errorf("%d outages were logged by two replicas", n)
	}

	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "both replicas to find Redis again", func() bool {
		unauthorised(2, a, b)
		return strings.Count(w.log.String(), "Redis answers again") == 2
	})
	a.open(cert, c.ID).acked(headOf(t, c.Lines[1099]), c.Lines[:900]...) // once more
	b.open(cert, c.ID).refused(api.Refusal_RATE_LIMITED, c.Lines[:200]...)
	b.open(cert, c.ID).acked(c.Head(), c.Lines[1100:]...)
	a.wantMetrics("signet_redis_available 1")
	verifyStored(t, w.store, c)
}

// A Redis that takes connections and never answers is asked once.
func TestSilentRedis(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // whose connections nobody takes
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	w := start(t, open(t, "sqlite:"+filepath.Join(t.TempDir(), "collector.db")))
	w.redis = redisAt(t, "redis://"+silent.Addr().String())
	w.redis.Timeout, w.redis.Rest = 40*time.Millisecond, time.Hour
	w.serve()
	c := chains.New("acme", "billing-agent", time.Now())
	s := w.open(w.enrol(c), c.ID)
	c.Exchanges(50)
	for i, line := range c.Lines {
		s.acked(headOf(t, c.Lines[i]), line)
	}
	w.wantMetrics(
		`signet_redis_questions_total{outcome="failed",question="ping"} 1`, `signet_redis_questions_total{outcome="skipped",question="take"} 51`, "signet_redis_available 0")
	if n := strings.Count(w.log.String(), "Redis"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// token makes one for a tenant.
func (w *world) token(tenant string, scopes ...store.Scope) string {
	w.t.Helper()
	secret := "secret of " + tenant
	err := w.store.AddToken(w.t.Context(), store.Token{
		ID: chains.UUID(), Tenant: tenant, Digest: sha256.Sum256([]byte(secret)), Scopes: scopes, Created: time.Now(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

// A receipt that one replica has found another gets from Redis; what somebody else
// put there it does not take, and another tenant gets nothing.
func TestCachedReceipts(t *testing.T) {
	server := startRedis(t)
	w := start(t, open(t, "sqlite:"+filepath.Join(t.TempDir(), "collector.db")))
	w.redis = redisAt(t, server.URL(nil))
	c, other := chains.New("acme", "billing-agent", time.Now()), chains.New("beta", "billing-agent", time.Now())
	s := w.open(w.enrol(c), c.ID)
	w.enrol(other)
	c.Exchanges(2)
	s.acked(c.Head(), c.Lines...)
	token, others := w.token("acme", store.ScopeReceiptsRead), w.token("beta", store.ScopeReceiptsRead)
	ask := func(r *world, line []byte) {
		t.Helper()
		record, err := receipts.Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		path := "/v1/receipts/" + record.(*receipts.Receipt).ReceiptID
		status, body := r.ask(http.MethodGet, path, token, "")
		var answer struct {
			Receipt json.RawMessage `json:"receipt"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || string(answer.Receipt) != string(line) {
			t.Errorf("got %d %s, %v", status, body, err)
		}
		if status, body := r.ask(http.MethodGet, path, others, ""); status != http.StatusNotFound || strings.Contains(body, "receipt_hash") {
			t.Errorf("another tenant got %d %s", status, body)
		}
	}
	a, b := w.replica(), w.replica()
	for _, line := range c.Lines[1:] {
		ask(a, line)
	}
	ask(b, c.Lines[1])
	ask(b, c.Lines[1])
	b.wantMetrics(`signet_cache_hits_total{cache_type="redis"} 1`, `signet_cache_hits_total{cache_type="memory"} 1`)

	options, err := goredis.ParseURL(server.URL(nil))
	if err != nil {
		t.Fatal(err)
	}
	direct := goredis.NewClient(options)
	defer direct.Close()
	names, err := direct.Keys(t.Context(), "signet:value:*").Result()
	if err != nil || len(names) != 2 {
		t.Fatalf("the values are %q, %v", names, err)
	}
	slices.Sort(names)
	first, second := direct.Get(t.Context(), names[0]).Val(), direct.Get(t.Context(), names[1]).Val()
	for _, set := range []error{direct.Set(t.Context(), names[0], second, 0).Err(), direct.Set(t.Context(), names[1], first, 0).Err()} {
		if set != nil {
			t.Fatal(set)
		}
	}
	poisoned := w.replica()
	for _, line := range c.Lines[1:] {
		ask(poisoned, line)
	}
	poisoned.wantMetrics("signet_cache_rejected_total 2")
	if err := direct.Do(t.Context(), "LPUSH", "list", "x").Err(); err != nil {
		t.Fatal(err)
	}
	if err := direct.Rename(t.Context(), "list", names[0]).Err(); err != nil {
		t.Fatal(err)
	}
	fresh := w.replica()
	for _, line := range c.Lines[1:] {
		ask(fresh, line)
	}
}
