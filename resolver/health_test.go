package resolver

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// mute gives no usable answer, at once.
func mute(w dns.ResponseWriter, _ *dns.Msg, _ string) { _, _ = w.Write(make([]byte, 12)) }

func refuse(w dns.ResponseWriter, reply *dns.Msg, _ string) {
	reply.Rcode = dns.RcodeRefused
	_ = w.WriteMsg(reply)
}

// healthWatcher records what is told of upstreams, by the name of the server.
type healthWatcher struct {
	watcher
	names map[string]string
}

func (o *healthWatcher) Lookup(string, time.Duration) {}
func (o *healthWatcher) Cache(bool)                   {}
func (o *healthWatcher) Query(upstream, result string) {
	o.note(o.names[upstream] + " " + result)
}

func (o *healthWatcher) Upstream(upstream string, up bool) {
	o.note(fmt.Sprintf("%s up %t", o.names[upstream], up))
}

// take returns what was recorded since the last time, sorted: A and AAAA are
// asked at the same time.
func (o *healthWatcher) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	events := o.events
	o.events = nil
	slices.Sort(events)
	return strings.Join(events, ", ")
}

func TestFailOver(t *testing.T) {
	now := newClock()
	first, second := startServer(t, mute), startServer(t, echo("9.9.9.9"))
	watch := &healthWatcher{names: map[string]string{first.url: "first", second.url: "second"}}
	var log logged
	r := newResolver(t, Config{Upstreams: []string{first.url, second.url}, Now: now.Now, Observer: watch, Logger: slog.New(&log)})
	n := 0
	lookup := func() string {
		t.Helper()
		n++
		if _, err := r.Pin(t.Context(), fmt.Sprintf("n%d.example", n), 443, newGuard()); err != nil {
			t.Fatal(err)
		}
		return watch.take()
	}
	step := func(what, want string) {
		t.Helper()
		if got := lookup(); got != want {
			t.Errorf("%s:\n got %s\nwant %s", what, got, want)
		}
	}
	const well = "second answered, second answered"
	if got := watch.take(); got != "first up true, second up true" {
		t.Errorf("at the start: %s", got)
	}
	step("one silent question each", "first failed, first failed, "+well)
	// The other question may see that it is passed over, or not yet.
	if got := lookup(); !strings.Contains(got, "first failed, first up false, "+well) {
		t.Errorf("the third in a row: %s", got)
	}
	step("passed over", well)
	now.Advance(passOver)
	step("tried by one question of one lookup", "first failed, "+well)
	step("and passed over again", well)
	first.use(echo("9.9.9.10"))
	step("which nobody knows yet", well)
	now.Advance(passOver)
	// The other question may see that it is well, or not yet.
	if got := lookup(); !strings.Contains(got, "first answered, first up true") && !strings.HasPrefix(got, "first answered, first answered") {
		t.Errorf("well again: %s", got)
	}
	step("back in its turn", "first answered, first answered")
	for _, want := range []string{
		"WARN the DNS upstream does not answer and is passed over upstream=" + first.url + " error=",
		"INFO the DNS upstream answers again upstream=" + first.url,
	} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log lacks %q, or has it twice:\n%s", want, log.String())
		}
	}
}

func TestErrorCodesAreAnswers(t *testing.T) {
	first, second := startServer(t, refuse), startServer(t, echo("9.9.9.9"))
	watch := &healthWatcher{names: map[string]string{first.url: "first", second.url: "second"}}
	r := newResolver(t, Config{Upstreams: []string{first.url, second.url}, Observer: watch})
	for i := range 2 * maxFailures {
		if _, err := r.Pin(t.Context(), fmt.Sprintf("n%d.example", i), 443, newGuard()); err != nil {
			t.Fatal(err)
		}
	}
	if got := watch.take(); strings.Contains(got, "up false") || strings.Count(got, "first refused") != 4*maxFailures {
		t.Errorf("observed %s", got)
	}
}

func TestLastResort(t *testing.T) {
	now := newClock()
	first, second := startServer(t, mute), startServer(t, mute)
	watch := &healthWatcher{names: map[string]string{first.url: "first", second.url: "second"}}
	r := newResolver(t, Config{Upstreams: []string{first.url, second.url}, Now: now.Now, Observer: watch})
	for i := range maxFailures {
		if _, err := r.Pin(t.Context(), fmt.Sprintf("n%d.example", i), 443, newGuard()); err == nil {
			t.Fatal("an answer from nobody")
		}
	}
	if got := watch.take(); !strings.Contains(got, "first up false") || !strings.Contains(got, "second up false") {
		t.Errorf("observed %s", got)
	}
	second.use(echo("9.9.9.9"))
	if _, err := r.Pin(t.Context(), "again.example", 443, newGuard()); err != nil {
		t.Errorf("with all passed over: %v", err)
	}
	if got := watch.take(); !strings.Contains(got, "second up true") {
		t.Errorf("observed %s", got)
	}
}

func TestCloseIsNoFailureOfAnUpstream(t *testing.T) {
	asked := make(chan struct{}, 8)
	s := startServer(t, func(dns.ResponseWriter, *dns.Msg, string) { asked <- struct{}{} })
	r := newResolver(t, Config{Upstreams: []string{s.url}})
	result := make(chan error, 1)
	go func() {
		_, err := r.Pin(t.Context(), host, 443, newGuard())
		result <- err
	}()
	<-asked
	_ = r.Close()
	if err := <-result; err == nil {
		t.Error("an answer from nobody")
	}
	if n := r.servers[0].failures; n != 0 {
		t.Errorf("%d failures", n)
	}
}
