// Package openai asks a model to put a malformed text into JSON, where the local
// repair refuses to. The model is given the text's structure and never a name or
// a value of it, and what it answers is held against the text like any repair.
//
// It speaks to any endpoint with OpenAI's chat completions.
package openai

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/sony/gobreaker/v2"

	"github.com/signet-egress/signet/repair"
)

// Config says which model is asked, and what that may cost.
type Config struct {
	BaseURL string // of the endpoint, such as https://api.openai.com/v1
	APIKey  string // sent as a bearer token
	Model   string // as the endpoint names it
	// HTTP carries the requests; its transport decides what can be reached, and
	// is not nil. Redirects are not followed, whatever it says.
	HTTP *http.Client

	Ledger        Ledger
	MonthlyTokens int64         // at most, in a calendar month of UTC; 0 allows none
	Timeout       time.Duration // of one attempt: 20 s; a skeleton is short
	CacheEntries  int           // answers kept, by skeleton: 1,024
	Limits        repair.Limits
	Now           func() time.Time // time.Now when nil
}

const (
	attempts            = 2
	defaultTimeout      = 20 * time.Second
	defaultCacheEntries = 1024
	// After so many failures in a row nothing is asked for a while.
	failuresToOpen = 5
	openFor        = 30 * time.Second
)

// Ledger keeps how many tokens each month has used, over restarts. Months are
// written like 2026-11. Its methods may be called at the same time.
type Ledger interface {
	// Reserve adds tokens to the month, unless that makes them more than limit,
	// which it reports as false. It is durable when it returns.
	Reserve(ctx context.Context, month string, tokens, limit int64) (bool, error)
	// Settle corrects the month by a difference, which may be negative.
	Settle(ctx context.Context, month string, difference int64) error
}

// QuotaError says that the month's tokens do not last for another question. No
// question was asked.
type QuotaError struct {
	Month    string
	Limit    int64 // tokens of a month
	Estimate int64 // tokens that the question may take
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("the model's quota for %s, %d tokens, does not last for a question of up to %d", e.Month, e.Limit, e.Estimate)
}

// Client asks a model.
type Client struct {
	config      Config
	completions sdk.ChatCompletionService
	breaker     *gobreaker.CircuitBreaker[completion]
	cache       *cache
}

// New checks a configuration. It connects to nothing.
func New(c Config) (*Client, error) {
	switch {
	case c.BaseURL == "" || c.Model == "":
		return nil, errors.New("a model needs the URL of its endpoint and its name")
	case c.HTTP == nil || c.HTTP.Transport == nil:
		return nil, errors.New("a model needs an HTTP client with a transport of its own")
	case c.Ledger == nil:
		return nil, errors.New("a model needs a ledger")
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.CacheEntries = cmp.Or(c.CacheEntries, defaultCacheEntries)
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Client{
		config:      c,
		completions: newService(c),
		cache:       newCache(c.CacheEntries),
		breaker: gobreaker.NewCircuitBreaker[completion](gobreaker.Settings{
			Timeout:     openFor,
			ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= failuresToOpen },
			IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) }, // the agent left
		}),
	}, nil
}

// Answer is what a question came to.
type Answer struct {
	*repair.Result        // nil with an error
	Model          string // as configured
	Prompt         string // sha256: digest of the fixed prompt and schema
	Tokens         int64  // used, also with an error; 0 where the answer was known
}

// Repair asks the model about a text that the local repair has refused. The error
// is a *repair.Refusal, a *QuotaError, or of the context or the ledger.
func (c *Client) Repair(ctx context.Context, text []byte) (Answer, error) {
	answer := Answer{Model: c.config.Model, Prompt: promptDigest()}
	question, err := repair.Ask(text, c.config.Limits)
	if err != nil {
		return answer, err
	}
	skeleton := question.Skeleton()
	if known, ok := c.cache.get(skeleton); ok {
		answer.Result, err = question.Judge(known)
		return answer, err
	}
	for range attempts {
		var reply completion
		reply, err = c.ask(ctx, skeleton)
		answer.Tokens += reply.tokens
		if err == nil {
			answer.Result, err = question.Judge(reply.json)
		}
		if err == nil {
			c.cache.put(skeleton, reply.json)
			return answer, nil
		}
		if refusal := (*repair.Refusal)(nil); !errors.As(err, &refusal) {
			break
		}
	}
	return answer, err
}

// ask makes one attempt, within what the month has left.
func (c *Client) ask(ctx context.Context, skeleton string) (completion, error) {
	month, estimate := c.config.Now().UTC().Format("2006-01"), estimate(skeleton)
	reserved, err := c.config.Ledger.Reserve(ctx, month, estimate, c.config.MonthlyTokens)
	switch {
	case err != nil:
		return completion{}, fmt.Errorf("reserve tokens of the model's quota: %w", err)
	case !reserved:
		return completion{}, &QuotaError{Month: month, Limit: c.config.MonthlyTokens, Estimate: estimate}
	}
	reply, err := c.breaker.Execute(func() (completion, error) { return c.complete(ctx, skeleton) })
	// What was used is used, also where the agent has left meanwhile.
	if settleErr := c.config.Ledger.Settle(context.WithoutCancel(ctx), month, reply.tokens-estimate); settleErr != nil {
		return reply, fmt.Errorf("record the tokens that the model used: %w", settleErr)
	}
	switch {
	case ctx.Err() != nil:
		return reply, fmt.Errorf("ask the model: %w", context.Cause(ctx))
	case err != nil:
		return reply, &repair.Refusal{Offset: -1, Cause: repair.NoAnswer, Detail: reason(err)}
	case reply.problem != "":
		return reply, &repair.Refusal{Offset: -1, Cause: repair.NoAnswer, Detail: reply.problem}
	}
	return reply, nil
}

// reason tells what went wrong without repeating what the endpoint says, which
// is not to be trusted with an agent's log.
func reason(err error) string {
	var status *sdk.Error
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return "it has failed several times, and is left alone for a while"
	case errors.As(err, &status):
		return fmt.Sprintf("its endpoint answers with status %d", status.StatusCode)
	case errors.Is(err, context.DeadlineExceeded):
		return "its endpoint did not answer in time"
	}
	return "its endpoint could not be reached, or broke off"
}
