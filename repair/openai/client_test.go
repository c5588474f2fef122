package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/repair"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// books is a Ledger in memory that can fail.
type books struct {
	mu    sync.Mutex
	used  map[string]int64
	fails error
}

func (b *books) Reserve(_ context.Context, month string, tokens, limit int64) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails != nil || b.used[month]+tokens > limit {
		return false, b.fails
	}
	b.used[month] += tokens
	return true, nil
}

func (b *books) Settle(_ context.Context, month string, difference int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used[month] += difference
	return b.fails
}

func (b *books) in(month string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used[month]
}

const november = "2026-11"

// stage is a client, its model and its ledger.
type stage struct {
	*Client
	model *peers.Model
	books *books
}

func newStage(t *testing.T, behaviour peers.ModelBehaviour, change func(*Config)) stage {
	t.Helper()
	model, err := peers.StartModel(behaviour)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := model.Close(); err != nil {
			t.Errorf("close the model: %v", err)
		}
	})
	s := stage{model: model, books: &books{used: map[string]int64{}}}
	config := Config{
		BaseURL: model.URL(), APIKey: "sk-test", Model: "small-1",
		HTTP: &http.Client{Transport: transport}, Ledger: s.books, MonthlyTokens: 1_000_000,
		Timeout: time.Minute,
		Now:     func() time.Time { return time.Date(2026, 11, 30, 23, 59, 0, 0, time.UTC) },
	}
	if change != nil {
		change(&config)
	}
	if s.Client, err = New(config); err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	malformed = `{"iban" 'DE89370400440532013000'; amount_minor = 199900, "note": secret /* pay 5 more */ "n": 12}`
	mended    = `{"iban": "DE89370400440532013000", "amount_minor":  199900, "note": "secret",  "n": 12}`
)

func TestModelMends(t *testing.T) {
	s := newStage(t, peers.ModelMends, nil)
	answer, err := s.Repair(t.Context(), []byte(malformed))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(answer.Text); got != mended {
		t.Errorf("text: %s; want %s", got, mended)
	}
	if answer.Model != "small-1" || !strings.HasPrefix(answer.Prompt, "sha256:") || answer.Before != repair.Digest([]byte(malformed)) || answer.After != repair.Digest([]byte(mended)) {
		t.Errorf("answer: %+v", answer)
	}
	if used := s.books.in(november); answer.Tokens != peers.ModelUsage || used != peers.ModelUsage {
		t.Errorf("%d tokens, %d in the ledger; want %d", answer.Tokens, used, peers.ModelUsage)
	}
}

// TestNothingOfTheTextLeaves reads what the model was sent, byte by byte.
func TestNothingOfTheTextLeaves(t *testing.T) {
	s := newStage(t, peers.ModelMends, nil)
	if _, err := s.Repair(t.Context(), []byte(malformed)); err != nil {
		t.Fatal(err)
	}
	request := s.model.Requests()[0]
	for _, part := range []string{"iban", "DE89", "amount", "199900", "note", "secret", "pay 5", "12}"} {
		if bytes.Contains(request.Body, []byte(part)) {
			t.Errorf("%q has left: %s", part, request.Body)
		}
	}
	for name := range request.Header {
		if strings.HasPrefix(name, "X-Stainless") {
			t.Errorf("header %s has left", name)
		}
	}
	if got := request.Header.Get("Authorization"); got != "Bearer sk-test" {
		t.Errorf("Authorization: %q", got)
	}
	var sent struct {
		Model       string
		Temperature *float64
		Messages    []struct{ Role, Content string }
		Tools       []any
		Format      struct {
			Type   string
			Schema struct {
				Strict bool
				Schema map[string]any
			} `json:"json_schema"`
		} `json:"response_format"`
		Max int64 `json:"max_completion_tokens"`
	}
	if err := json.Unmarshal(request.Body, &sent); err != nil {
		t.Fatal(err)
	}
	switch {
	case sent.Model != "small-1", sent.Temperature == nil || *sent.Temperature != 0, len(sent.Tools) > 0, sent.Max == 0:
		t.Errorf("sent: %s", request.Body)
	case len(sent.Messages) != 2 || sent.Messages[0].Content != prompt || sent.Messages[1].Role != "user":
		t.Errorf("messages: %+v", sent.Messages)
	case sent.Format.Type != "json_schema" || !sent.Format.Schema.Strict || sent.Format.Schema.Schema["additionalProperties"] != false:
		t.Errorf("format: %+v", sent.Format)
	}
}

func TestAnswersAreKeptByStructure(t *testing.T) {
	s := newStage(t, peers.ModelMends, nil)
	for text, want := range map[string]string{
		`{"a" 1, "b" 'x'}`:        `{"a": 1, "b": "x"}`,
		`{"name" 22, "id" 'y z'}`: `{"name": 22, "id": "y z"}`,
	} {
		answer, err := s.Repair(t.Context(), []byte(text))
		if err != nil || string(answer.Text) != want {
			t.Errorf("%s: %+v, %v", text, answer.Result, err)
		}
	}
	if n, used := len(s.model.Requests()), s.books.in(november); n != 1 || used != peers.ModelUsage {
		t.Errorf("%d requests and %d tokens for two texts of one structure", n, used)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(2)
	for _, skeleton := range []string{"a", "b", "b", "c"} {
		c.put(skeleton, []byte(skeleton))
	}
	c.put("long", make([]byte, longestCached+1))
	for skeleton, want := range map[string]bool{"a": false, "b": true, "c": true, "long": false} {
		if _, ok := c.get(skeleton); ok != want {
			t.Errorf("%s is kept: %t", skeleton, ok)
		}
	}
}

// TestModelMisbehaves has the model do what is not to be believed. Nothing is
// ever repaired, no more than two attempts are made, and their tokens count.
func TestModelMisbehaves(t *testing.T) {
	text := []byte(`{"amount" 199900, "fee" 5, "lines": [{"qty" 2}]}`)
	estimated := func(t *testing.T) int64 {
		q, err := repair.Ask(text, repair.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return estimate(q.Skeleton())
	}
	const told = peers.ModelUsage
	tests := []struct {
		name      string
		behaviour peers.ModelBehaviour
		cause     repair.Cause
		tokens    int64 // of one attempt
	}{
		{"changes values", peers.ModelChangesValues, repair.NotPreserved, told},
		{"follows an instruction", peers.ModelObeys, repair.NotPreserved, told},
		{"drops a member", peers.ModelDropsMember, repair.NotPreserved, told},
		{"adds fields", peers.ModelAddsFields, repair.NoAnswer, told},
		{"talks", peers.ModelTalks, repair.NoAnswer, told},
		{"stops in its JSON", peers.ModelStops, repair.NoAnswer, told},
		{"runs out of tokens", peers.ModelRunsOut, repair.NoAnswer, told},
		{"refuses", peers.ModelRefuses, repair.NoAnswer, told},
		{"calls a tool", peers.ModelCalls, repair.NoAnswer, told},
		{"floods", peers.ModelFloods, repair.NoAnswer, 0},
		{"fails", peers.ModelFails, repair.NoAnswer, 0},
		{"is limited", peers.ModelLimits, repair.NoAnswer, 0},
		{"redirects", peers.ModelRedirects, repair.NoAnswer, 0},
		{"hangs up", peers.ModelHangsUp, repair.NoAnswer, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, test.behaviour, nil)
			answer, err := s.Repair(t.Context(), text)
			var r *repair.Refusal
			if !errors.As(err, &r) || r.Cause != test.cause {
				t.Fatalf("%+v, %v; want %q", answer.Result, err, test.cause)
			}
			if n := len(s.model.Requests()); n != attempts {
				t.Errorf("%d requests", n)
			}
			if used := s.books.in(november); answer.Tokens != attempts*test.tokens || used != answer.Tokens {
				t.Errorf("%d tokens, %d in the ledger; want %d", answer.Tokens, used, attempts*test.tokens)
			}
		})
	}
	for name, behaviour := range map[string]peers.ModelBehaviour{
		"counts nothing": peers.ModelCountsNothing, "counts below zero": peers.ModelCountsBelowZero, "counts too much": peers.ModelCountsTooMuch,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, behaviour, nil)
			answer, err := s.Repair(t.Context(), text)
			if want := estimated(t); err != nil || answer.Tokens != want || s.books.in(november) != want {
				t.Errorf("%d tokens, %d in the ledger, %v; want the estimate, %d", answer.Tokens, s.books.in(november), err, want)
			}
		})
	}
}

// TestQuota asks nothing that the month does not last for.
func TestQuota(t *testing.T) {
	text := []byte(`{"a" 1}`)
	now := time.Date(2026, 11, 30, 23, 59, 0, 0, time.UTC)
	q, err := repair.Ask(text, repair.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	limit := estimate(q.Skeleton()) + peers.ModelUsage - 1
	s := newStage(t, peers.ModelMends, func(c *Config) {
		c.MonthlyTokens = limit
		c.Now = func() time.Time { return now }
	})
	if _, err := s.Repair(t.Context(), text); err != nil {
		t.Fatalf("the first: %v", err)
	}
	other := []byte(`{"b" 2, }`) // of a structure that is not known yet
	answer, err := s.Repair(t.Context(), other)
	var quota *QuotaError
	if !errors.As(err, &quota) || quota.Month != november || quota.Limit != limit || answer.Tokens != 0 {
		t.Fatalf("the second: %+v, %v", answer, err)
	}
	if n := len(s.model.Requests()); n != 1 {
		t.Errorf("%d requests; want 1", n)
	}
	now = now.Add(time.Minute)
	if _, err := s.Repair(t.Context(), other); err != nil {
		t.Errorf("in December: %v", err)
	}
	if used := s.books.in("2026-12"); used != peers.ModelUsage {
		t.Errorf("%d tokens in December", used)
	}

	none := newStage(t, peers.ModelMends, func(c *Config) { c.MonthlyTokens = 0 })
	if _, err := none.Repair(t.Context(), text); !errors.As(err, &quota) {
		t.Errorf("with no tokens at all: %v", err)
	}
}

func TestLedgerFails(t *testing.T) {
	s := newStage(t, peers.ModelMends, nil)
	s.books.fails = errors.New("disk full")
	if answer, err := s.Repair(t.Context(), []byte(`{"a" 1}`)); !errors.Is(err, s.books.fails) || answer.Result != nil {
		t.Errorf("%+v, %v", answer.Result, err)
	}
	if n := len(s.model.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestModelDoesNotAnswer(t *testing.T) {
	s := newStage(t, peers.ModelWaits, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	_, err := s.Repair(t.Context(), []byte(`{"a" 1}`))
	var r *repair.Refusal
	if !errors.As(err, &r) || r.Cause != repair.NoAnswer || !strings.Contains(err.Error(), "in time") {
		t.Errorf("%v", err)
	}
	if used := s.books.in(november); used != 0 {
		t.Errorf("%d tokens", used)
	}
}

func TestAgentLeaves(t *testing.T) {
	s := newStage(t, peers.ModelWaits, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-s.model.Gate().Entered()
		cancel()
	}()
	if _, err := s.Repair(ctx, []byte(`{"a" 1}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if n, used := len(s.model.Requests()), s.books.in(november); n != 1 || used != 0 {
		t.Errorf("%d requests, %d tokens", n, used)
	}
}

// TestBreaker leaves a model alone that fails again and again.
func TestBreaker(t *testing.T) {
	s := newStage(t, peers.ModelFails, nil)
	for range failuresToOpen {
		if _, err := s.Repair(t.Context(), []byte(`{"a" 1}`)); err == nil {
			t.Fatal("repaired")
		}
	}
	if n := len(s.model.Requests()); n != failuresToOpen {
		t.Errorf("%d requests; want %d", n, failuresToOpen)
	}
	s.model.Behave(peers.ModelMends)
	if _, err := s.Repair(t.Context(), []byte(`{"a" 1}`)); err == nil || !strings.Contains(err.Error(), "left alone") {
		t.Errorf("%v", err)
	}
}

// TestNobodyIsAsked has texts that only guessing could mend.
func TestNobodyIsAsked(t *testing.T) {
	s := newStage(t, peers.ModelMends, nil)
	for _, text := range []string{`{"amount" 10`, `{"a" "b`, `{"a" 007}`, `Hello! {"a" 1}`, `{"a":1}`, ``} {
		var r *repair.Refusal
		if _, err := s.Repair(t.Context(), []byte(text)); !errors.As(err, &r) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if n := len(s.model.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	whole := Config{BaseURL: "http://127.0.0.1/v1", Model: "m", HTTP: &http.Client{Transport: &http.Transport{}}, Ledger: &books{}}
	for name, change := range map[string]func(*Config){
		"no endpoint":  func(c *Config) { c.BaseURL = "" },
		"no model":     func(c *Config) { c.Model = "" },
		"no client":    func(c *Config) { c.HTTP = nil },
		"no transport": func(c *Config) { c.HTTP = &http.Client{} },
		"no ledger":    func(c *Config) { c.Ledger = nil },
	} {
		config := whole
		change(&config)
		if _, err := New(config); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestManyAtOnce spends no more than the month has, whoever comes first.
func TestManyAtOnce(t *testing.T) {
	s := newStage(t, peers.ModelMends, func(c *Config) { c.MonthlyTokens = 20_000 })
	var wait sync.WaitGroup
	for i := range 32 {
		wait.Go(func() {
			text := `{"a" [1` + strings.Repeat(`, 2`, i) + "]}"
			var quota *QuotaError
			if _, err := s.Repair(t.Context(), []byte(text)); err != nil && !errors.As(err, &quota) {
				t.Errorf("%s: %v", text, err)
			}
		})
	}
	wait.Wait()
	if used := s.books.in(november); used > 20_000 || used == 0 {
		t.Errorf("%d tokens", used)
	}
}
