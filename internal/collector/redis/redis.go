// Package redis is what replicas of the collector share beside the store: budgets,
// and a cache. It never holds the only copy of anything, and nobody waits for it:
// a Redis that does not answer in time is left alone for a while, in which budgets
// are this replica's own and nothing is cached there.
//
// Nothing can be read there either. Names are keyed digests, and what a name is
// made of, such as an address that a stranger has, does not appear.
package redis

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/sony/gobreaker/v2"
)

// Observer is told how Redis does.
type Observer interface {
	// RedisAvailable tells that it answers, or that it no longer does.
	RedisAvailable(yes bool)
	// Redis tells of a question ("take", "get", "set", "ping") and its outcome
	// ("answered", "failed", or "skipped" while it is left alone).
	Redis(question, outcome string)
}

// Client asks one Redis. It is safe for concurrent use.
type Client struct {
	redis    *goredis.Client
	limiter  *redis_rate.Limiter
	timeout  time.Duration
	key      []byte // of the names
	breaker  *gobreaker.CircuitBreaker[struct{}]
	failure  atomic.Pointer[string] // what went wrong last
	log      *slog.Logger
	observer Observer
}

// New returns a Client, which the caller closes. It asks once, so that the log says
// at the start where Redis does not answer; that is no error. Replicas share what
// they have the same secret for.
func New(ctx context.Context, s *Settings, secret []byte, log *slog.Logger, observer Observer) *Client {
	// The library writes each failed dial to the standard error, for all clients of
	// the process; here an outage is logged once.
	logging.Disable()
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("signet redis names"))
	c := &Client{redis: goredis.NewClient(s.connection()), timeout: s.Timeout, key: mac.Sum(nil), log: log, observer: observer}
	c.limiter = redis_rate.NewLimiter(c.redis)
	c.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout: s.Rest, ReadyToTrip: func(gobreaker.Counts) bool { return true }, OnStateChange: c.changed,
	})
	observer.RedisAvailable(true)                                                              // until it turns out otherwise
	_ = c.ask(ctx, "ping", func(ctx context.Context) error { return c.redis.Ping(ctx).Err() }) // the log has it
	return c
}

// noMaintenance has the library not ask for notices of maintenance, which only
// one vendor's servers send.
func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// Close lets go of all connections.
func (c *Client) Close() error {
	if err := c.redis.Close(); err != nil {
		return fmt.Errorf("close Redis: %w", err)
	}
	return nil
}

// ask puts one question, unless Redis is being left alone. It waits for the timeout
// and not for ctx, so that whoever hangs up makes no outage.
func (c *Client) ask(ctx context.Context, question string, put func(context.Context) error) error {
	asked := false
	_, err := c.breaker.Execute(func() (struct{}, error) {
		asked = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
		defer cancel()
		err := guarded(ctx, put)
		if err != nil {
			text := err.Error()
			c.failure.Store(&text)
		}
		return struct{}{}, err
	})
	switch {
	case err == nil:
		c.observer.Redis(question, "answered")
	case asked:
		c.observer.Redis(question, "failed")
	default:
		c.observer.Redis(question, "skipped")
	}
	return err
}

// guarded makes an error of an answer that is none of Redis', in which a library
// may look for what is not there.
func guarded(ctx context.Context, put func(context.Context) error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("not an answer of Redis: %v", fault)
		}
	}()
	return put(ctx)
}

// changed logs an outage where it begins and where it ends, however often Redis
// is tried in between.
func (c *Client) changed(_ string, from, to gobreaker.State) {
	switch {
	case from == gobreaker.StateClosed:
		c.observer.RedisAvailable(false)
		c.log.Warn("Redis does not answer: until it does, limits are each replica's own, and receipts are cached in memory alone", "error", *c.failure.Load())
	case to == gobreaker.StateClosed:
		c.observer.RedisAvailable(true)
		c.log.Info("Redis answers again")
	}
}

// name is what something is kept under: short, whatever it is about, and nothing
// that another installation on the same Redis has too.
func (c *Client) name(kind, what string) string {
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte(kind + "\x00" + what))
	return "signet:" + kind + ":" + hex.EncodeToString(mac.Sum(nil)[:16])
}
