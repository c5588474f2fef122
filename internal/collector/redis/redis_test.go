package redis_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/collector/budget"
	"github.com/signet-egress/signet/internal/collector/redis"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is longer than a machine that works takes, however busy.
const patient = time.Minute

// observer counts what it is told.
type observer struct {
	mu        sync.Mutex
	questions map[string]int // by question and outcome
	available []bool
	log       bytes.Buffer
}

func (o *observer) RedisAvailable(yes bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.available = append(o.available, yes)
}

func (o *observer) Redis(question, outcome string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.questions[question+" "+outcome]++
}

// Write implements io.Writer, for the log.
func (o *observer) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.Write(p)
}

func (o *observer) logged() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.String()
}

func (o *observer) count(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.questions[what]
}

func server(t *testing.T, options ...string) *peers.Redis {
	t.Helper()
	s, err := peers.StartRedis(t.Context(), options...)
	if errors.Is(err, peers.ErrNoRedis) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// replica is a client as a replica has it, that waits and rests for so long.
func replica(t *testing.T, address string, timeout, rest time.Duration) (*redis.Client, *observer) {
	t.Helper()
	settings, err := redis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	settings.Timeout, settings.Rest = timeout, rest
	o := &observer{questions: make(map[string]int)}
	c := redis.New(t.Context(), settings, []byte("secret"), slog.New(slog.NewTextHandler(o, nil)), o)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, o
}

func own(perSecond, burst int) *budget.Local {
	return budget.NewLocal(budget.Limit{PerSecond: perSecond, Burst: burst}, time.Now)
}

// One budget, whichever replica is asked; what it holds is what was not taken.
func TestBudget(t *testing.T) {
	s := server(t)
	a, seen := replica(t, s.URL(nil), patient, patient)
	b, _ := replica(t, s.URL(nil), patient, patient)
	// So little comes back in the time of a test that what is taken is what counts.
	here, there := a.Budget("records", own(1, 5000)), b.Budget("records", own(1, 5000))
	begin := time.Now()
	if wait := here.Take(t.Context(), "acme", 3000); wait != 0 {
		t.Errorf("the first 3,000 have to wait for %s", wait)
	}
	wait := there.Take(t.Context(), "acme", 3000)
	if longest := 1000 * time.Second; wait > longest || wait < longest-time.Since(begin)-time.Second {
		t.Errorf("3,000 more, of which 1,000 are not there, have to wait for %s", wait)
	}
	if wait := there.Take(t.Context(), "acme", 2000); wait != 0 {
		t.Errorf("what a refused take left has to wait for %s", wait)
	}
	if wait := here.Take(t.Context(), "beta", 5000); wait != 0 {
		t.Errorf("another's budget has to wait for %s", wait)
	}
	if wait := b.Budget("requests", own(1, 10)).Take(t.Context(), "acme", 10); wait != 0 {
		t.Errorf("another budget has to wait for %s", wait)
	}
	if seen.logged() != "" || seen.count("take answered") != 2 {
		t.Errorf("saw %v, and logged %s", seen.questions, seen.logged())
	}
}

// What is kept is short, says nothing of whom it is about, and ends.
func TestNames(t *testing.T) {
	s := server(t)
	c, _ := replica(t, s.URL(nil), patient, patient)
	for _, who := range []string{"192.0.2.1", strings.Repeat("x", 1<<20), "\r\nFLUSHALL\r\n", ""} {
		c.Budget("refused", own(1, 30)).Take(t.Context(), who, 1)
	}
	c.Set(t.Context(), "acme\x00id", []byte("value"), time.Hour)
	direct := goredis.NewClient(options(t, s.URL(nil)))
	defer direct.Close()
	names, err := direct.Keys(t.Context(), "*").Result()
	if err != nil || len(names) != 5 {
		t.Fatalf("the names are %q, %v", names, err)
	}
	for _, name := range names {
		left, err := direct.TTL(t.Context(), name).Result()
		if err != nil || left <= 0 || left > time.Hour {
			t.Errorf("%s ends after %s, %v", name, left, err)
		}
		if len(name) > 64 || strings.Contains(name, "192.0.2.1") || strings.Contains(name, "acme") {
			t.Errorf("a name is %q", name)
		}
	}
}

func options(t *testing.T, address string) *goredis.Options {
	t.Helper()
	o, err := goredis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestValues(t *testing.T) {
	c, seen := replica(t, server(t).URL(nil), patient, patient)
	if value := c.Get(t.Context(), "a", 10); len(value) != 0 {
		t.Errorf("got %q before anything was set", value)
	}
	c.Set(t.Context(), "a", []byte("0123456789abcdef"), time.Hour)
	if value := c.Get(t.Context(), "a", 10); string(value) != "0123456789" {
		t.Errorf("got %q, want 10 bytes", value)
	}
	if value := c.Get(t.Context(), "b", 10); len(value) != 0 {
		t.Errorf("got %q for another id", value)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if value := c.Get(ended, "a", 16); string(value) != "0123456789abcdef" || seen.count("get failed") != 0 {
		t.Errorf("whoever hangs up makes an outage of it: got %q", value)
	}
}

// Redis is killed and comes back: budgets are the replica's own in between, and
// that is logged once.
func TestOutage(t *testing.T) {
	s := server(t)
	c, seen := replica(t, s.URL(nil), patient, time.Millisecond)
	b := c.Budget("records", own(1, 100))
	take := func() bool { return b.Take(t.Context(), "acme", 100) == 0 }
	for range 2 {
		if !take() || take() {
			t.Error("the shared budget is not one of 100")
		}
		s.Kill()
		if !take() {
			t.Error("the replica's own budget is not there")
		}
		for range 50 {
			if take() {
				t.Error("the replica's own budget has no end")
			}
		}
		if n := strings.Count(seen.logged(), "Redis does not answer"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for answered := seen.count("get answered"); seen.count("get answered") == answered; {
			c.Get(t.Context(), "a", 1)
		}
		if n := strings.Count(seen.logged(), "Redis answers again"); n != 1 {
			t.Errorf("logged %d times that it answers again", n)
		}
		seen.mu.Lock()
		if fmt.Sprint(seen.available) != "[true false true]" {
			t.Errorf("available: %v", seen.available)
		}
		seen.available = []bool{true}
		seen.log.Reset()
		seen.mu.Unlock()
		b = c.Budget("records", own(1, 100))
	}
}

// Whatever is there instead of a Redis that can be used is asked once, and then
// left alone.
func TestUnusable(t *testing.T) {
	closed := listener(t, nil)
	_ = closed.Close()
	withPassword := server(t, "requirepass right")
	for name, c := range map[string]struct {
		address string
		logged  string
	}{
		"nobody":          {"redis://" + closed.Addr().String(), "refused"},
		"silence":         {"redis://" + listener(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }).Addr().String(), "timeout"},
		"silence for TLS": {"rediss://" + listener(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }).Addr().String(), ""},
		"hangs up":        {"redis://" + listener(t, func(net.Conn) {}).Addr().String(), ""},
		"HTTP": {"redis://" + listener(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		}).Addr().String(), ""},
		"wrong password": {withPassword.URL(url.UserPassword("", "hunter2")), "WRONGPASS"},
		"no password":    {withPassword.URL(nil), "NOAUTH"},
		"full":           {server(t, "maxmemory 1", "maxmemory-policy noeviction").URL(nil), "OOM"},
	} {
		t.Run(name, func(t *testing.T) {
			client, seen := replica(t, c.address, time.Second, time.Hour)
			b := client.Budget("records", own(1, 100))
			for i := range 100 {
				if wait := b.Take(t.Context(), "acme", 1); wait != 0 {
					t.Fatalf("take %d has to wait for %s", i, wait)
				}
				client.Set(t.Context(), "a", []byte("value"), time.Hour)
				client.Get(t.Context(), "a", 10)
			}
			if wait := b.Take(t.Context(), "acme", 50); wait == 0 {
				t.Error("there is no budget")
			}
			if n := seen.count("ping failed") + seen.count("take failed"); n != 1 {
				t.Errorf("it was asked %d times: %v", n, seen.questions)
			}
			log := seen.logged()
			if strings.Count(log, "\n") != 1 || !strings.Contains(log, c.logged) || strings.Contains(log, "hunter2") {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// A server that speaks the protocol, and answers scripts with nothing of theirs.
func TestOtherAnswers(t *testing.T) {
	for _, answer := range []string{"*0\r\n", "$-1\r\n", ":1\r\n", "*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n", "*4\r\n:0\r\n:0\r\n$3\r\ninf\r\n$3\r\nnan\r\n"} {
		l := listener(t, func(c net.Conn) { answerScripts(c, answer) })
		client, _ := replica(t, "redis://"+l.Addr().String(), patient, time.Hour)
		if wait := client.Budget("records", own(1, 100)).Take(t.Context(), "acme", 1); wait < 0 || wait > 100*time.Second {
			t.Errorf("after %q one has to wait for %s", answer, wait)
		}
	}
}

// answerScripts is as much of Redis as a client needs to get to a script.
func answerScripts(c net.Conn, answer string) {
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
		var words []string
		for range n {
			size, _ := in.ReadString('\n')
			length, _ := strconv.Atoi(strings.TrimSpace(size[1:]))
			word := make([]byte, length+2)
			if _, err := io.ReadFull(in, word); err != nil {
				return
			}
			words = append(words, string(word[:length]))
		}
		reply := "+OK\r\n"
		switch strings.ToLower(words[0]) {
		case "hello":
			reply = "-ERR unknown command\r\n"
		case "evalsha", "eval":
			reply = answer
		}
		_, _ = io.WriteString(c, reply)
	}
}

// listener serves each connection until the test ends.
func listener(t *testing.T, serve func(net.Conn)) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		group.Wait()
	})
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	return l
}

// A client of the store's own that may do no more than the documentation says.
func TestPermissions(t *testing.T) {
	text, err := os.ReadFile("../../../docs/collector.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rule, ok := strings.Cut(string(text), "\nACL SETUSER collector ")
	rule, _, _ = strings.Cut(rule, "\n")
	if !ok {
		t.Fatal("the documentation has no ACL SETUSER collector")
	}
	s := server(t, "user collector "+strings.ReplaceAll(rule, "PASSWORD", "right"), "user default off")
	c, seen := replica(t, s.URL(url.UserPassword("collector", "right")), patient, patient)
	c.Budget("records", own(1, 100)).Take(t.Context(), "acme", 1)
	c.Set(t.Context(), "a", []byte("value"), time.Hour)
	if value := c.Get(t.Context(), "a", 10); string(value) != "value" || seen.logged() != "" || seen.count("take answered") != 1 {
		t.Errorf("got %q; logged %s", value, seen.logged())
	}
}
