package witness_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/witness"
	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/internal/testkit/witnesses"
)

// A log that grows is cosigned from where each witness was; one that rests is left
// alone.
func TestFeeder(t *testing.T) {
	w := newWorld(t)
	a, clientA := w.serve("witness.example/a")
	b, clientB := w.serve("witness.example/b")
	f := w.feeder(clientA, clientB)
	w.round(f) // nothing is logged yet
	w.want()
	for _, n := range []int{1, 1, 5, 300, 257} {
		w.grow(n)
		w.round(f)
		w.want(a.Name+" cosigned", b.Name+" cosigned")
		w.wantCosigned(a.Cosigner, b.Cosigner)
	}
	w.round(f)
	w.want()
	w.wantAlarm("")
	if size := a.Seen(w.key).N; size != 564 {
		t.Errorf("the witness has seen %d records", size)
	}
	// One that was gone for a while, and one that is new, begin where they are.
	c, clientC := w.serve("witness.example/c")
	w.grow(3)
	w.round(w.feeder(clientB))
	w.grow(4)
	w.round(w.feeder(clientA, clientB, clientC))
	w.wantCosigned(a.Cosigner, b.Cosigner, c.Cosigner)
	kept, err := w.store.Cosignatures(t.Context(), "acme")
	if err != nil || len(kept) != 3 {
		t.Errorf("%d cosignatures are kept, %v", len(kept), err)
	}
}

// What the store knows of a witness may be behind, or lost: the witness says where it
// is.
func TestFeederGoesOnFromTheWitness(t *testing.T) {
	w := newWorld(t)
	a, client := w.serve("witness.example/a")
	w.grow(7)
	a.See(w.key, w.newest().Tree)
	w.grow(3)
	w.round(w.feeder(client))
	w.want(a.Name + " cosigned")
	w.wantCosigned(a.Cosigner)
	if a.Asked() != 2 {
		t.Errorf("it was asked %d times", a.Asked())
	}
}

// A witness that has seen another log of this key and name is what all this is for.
func TestSplitView(t *testing.T) {
	for name, test := range map[string]struct {
		seen func(n int64) int64 // size of the other log, of that of ours
		want string
	}{
		"of the same size": {func(n int64) int64 { return n }, "at 20 records: it finds that the log does not extend"},
		"smaller":          {func(n int64) int64 { return n - 3 }, "at 20 records: it finds that the log does not extend"},
		"larger":           {func(n int64) int64 { return n + 3 }, "what it has cosigned before: that had 23 records"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, clientA := w.serve("witness.example/a")
			b, clientB := w.serve("witness.example/b")
			f := w.feeder(clientA, clientB)
			w.grow(10)
			w.round(f)
			w.want(a.Name+" cosigned", b.Name+" cosigned")
			good := a.Seen(w.key)
			w.grow(10)
			a.See(w.key, otherTree(test.seen(20)))
			w.round(f)
			w.want(a.Name+" inconsistent", b.Name+" cosigned")
			w.wantCosigned(b.Cosigner)
			w.wantAlarm(test.want)
			w.round(f) // said once
			if n := w.logs("level=ERROR msg=alarm"); n != 1 {
				t.Errorf("the alarm was logged %d times", n)
			}
			a.See(w.key, good)
			w.round(f)
			w.wantCosigned(a.Cosigner, b.Cosigner)
			w.wantAlarm("")
		})
	}
}

// Whatever a witness does: nothing of it is kept, the others are asked, nobody is
// alarmed, it is logged once, and the witness is asked again.
func TestMisbehaviour(t *testing.T) {
	thief := witnesses.NewCosigner("witness.example/thief")
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			rw.Header().Set("Content-Type", contentType)
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, body)
		}
	}
	tamper := func(change func(line string) string) func(*witnesses.Server) {
		return func(s *witnesses.Server) { s.Tamper(change) }
	}
	// sign makes a cosignature of whatever was sent.
	sign := func(by func(text string) string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			text := bytes.SplitN(body, []byte("\n\n"), 3)[1]
			_, _ = io.WriteString(rw, by(string(text)+"\n"))
		}
	}
	misbehave := func(h http.HandlerFunc) func(*witnesses.Server) {
		return func(s *witnesses.Server) { s.Misbehave(h) }
	}
	const refused, unanswered = "refused", "unanswered"
	for name, test := range map[string]struct {
		do      func(s *witnesses.Server)
		outcome string
		logged  string
	}{
		"unknown log":      {misbehave(answer(404, "", "")), refused, "it does not know the log (404)"},
		"unknown key":      {misbehave(answer(403, "", "")), refused, "by another key (403)"},
		"bad request":      {misbehave(answer(400, "", "what?")), refused, "400 Bad Request"},
		"broken":           {misbehave(answer(500, "", "oh")), unanswered, "500 Internal Server Error"},
		"busy":             {misbehave(answer(429, "", "")), unanswered, "429 Too Many Requests"},
		"elsewhere":        {misbehave(http.RedirectHandler("http://192.0.2.1/", http.StatusTemporaryRedirect).ServeHTTP), refused, "307 Temporary Redirect"},
		"empty":            {misbehave(answer(200, "", "")), refused, "no cosignature by the key"},
		"garbage":          {misbehave(answer(200, "", "\x00\xff\n")), refused, "malformed note"},
		"a page":           {misbehave(answer(200, "text/html", "<html></html>\n")), refused, "malformed note"},
		"huge":             {misbehave(answer(200, "", strings.Repeat("— a AAAAAAAA\n", 10_000))), unanswered, "an answer of more than 16384 bytes"},
		"hung up":          {misbehave(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), unanswered, "EOF"},
		"the same size":    {misbehave(answer(409, "text/x.tlog.size", "0\n")), refused, "answers that it must be from 0"},
		"no size":          {misbehave(answer(409, "text/x.tlog.size", "seven\n")), refused, "which is no size"},
		"a negative size":  {misbehave(answer(409, "text/x.tlog.size", "-7\n")), refused, "which is no size"},
		"too large a size": {misbehave(answer(409, "text/x.tlog.size", strings.Repeat("9", 40)+"\n")), refused, "which is no size"},
		"another's key":    {misbehave(sign(func(text string) string { return thief.Line(text, time.Now()) })), refused, "no cosignature by the key"},
		"a forged line":    {tamper(func(line string) string { return flip(line, 40) }), refused, "not by its key"},
		"of another text": {misbehave(sign(func(text string) string {
			return witnesses.NewCosigner("witness.example/a").Line(text+"x\n", time.Now())
		})), refused, "not by its key"},
		"of all that was sent": {misbehave(func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, checkpoint, _ := bytes.Cut(body, []byte("\n\n"))
			_, _ = io.WriteString(rw, "\n"+witnesses.NewCosigner("witness.example/a").Line(string(checkpoint), time.Now()))
		}), refused, "an empty line"},
		"of long ago":       {misbehave(sign(func(text string) string { return witnesses.NewCosigner("witness.example/a").LineAt(text, 1) })), refused, "its cosignature is of 1970-01-01T00:00:01Z"},
		"of the far future": {misbehave(sign(func(text string) string { return witnesses.NewCosigner("witness.example/a").LineAt(text, 253402300799) })), refused, "its cosignature is of 9999"},
		"of no time":        {misbehave(sign(func(text string) string { return witnesses.NewCosigner("witness.example/a").LineAt(text, 1<<63) })), refused, "not by its key"},
		"never twice one": {misbehave(func() http.HandlerFunc {
			size := 0
			return func(rw http.ResponseWriter, r *http.Request) {
				size = 3 - size
				answer(409, "text/x.tlog.size", fmt.Sprintln(size))(rw, r)
			}
		}()), refused, "changes each time"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, clientA := w.serve("witness.example/a")
			b, clientB := w.serve("witness.example/b")
			f := w.feeder(clientA, clientB)
			w.grow(5)
			test.do(a)
			for range 2 {
				w.round(f)
			}
			w.want(b.Name+" cosigned", a.Name+" "+test.outcome, a.Name+" "+test.outcome)
			w.wantCosigned(b.Cosigner)
			w.wantAlarm("")
			if n := w.logs(test.logged); n != 1 {
				t.Errorf("%q is logged %d times:\n%s", test.logged, n, w.logged)
			}
			if w.heard.waits[a.Name] <= 0 || w.heard.waits[b.Name] != 0 {
				t.Errorf("logs wait %v", w.heard.waits)
			}
			a.Misbehave(nil)
			a.Tamper(nil)
			w.round(f)
			w.wantCosigned(a.Cosigner, b.Cosigner)
			if w.heard.waits[a.Name] != 0 {
				t.Errorf("logs wait %v", w.heard.waits)
			}
		})
	}
}

// flip changes a bit of a signature line's data.
func flip(line string, at int) string {
	words := strings.Fields(line)
	data, err := base64.StdEncoding.DecodeString(words[2])
	if err != nil {
		panic(err) // the line is of our own making
	}
	data[at] ^= 1
	return words[0] + " " + words[1] + " " + base64.StdEncoding.EncodeToString(data) + "\n"
}

// A witness that hangs keeps nobody waiting for longer than its time limit, and is
// not asked about each tenant in turn.
func TestHanging(t *testing.T) {
	w := newWorld(t)
	a, clientA := w.serve("witness.example/a")
	b, clientB := w.serve("witness.example/b")
	a.Misbehave(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	witness.Hurry(clientA, 50*time.Millisecond)
	w.grow(5)
	f := w.feeder(clientA, clientB)
	w.round(f)
	w.want(b.Name+" cosigned", a.Name+" unanswered")
	w.wantCosigned(b.Cosigner)
	const many, atOnce = 30, 8
	for n := range many {
		tenant := fmt.Sprintf("tenant-%d", n)
		if err := w.store.CreateTenant(t.Context(), store.Tenant{Name: tenant, Created: began}); err != nil {
			t.Fatal(err)
		}
		w.growOf(tenant, 1)
	}
	before := a.Asked()
	w.round(w.feeder(clientA))
	if asked := a.Asked() - before; asked < 1 || asked > atOnce {
		t.Errorf("it was asked about %d of %d tenants", asked, many)
	}
}

// Replicas that feed one log at a time do each other no harm.
func TestReplicas(t *testing.T) {
	w := newWorld(t)
	a, clientA := w.serve("witness.example/a")
	b, clientB := w.serve("witness.example/b")
	for range 5 {
		w.grow(40)
		var replicas sync.WaitGroup
		for range 3 {
			f := w.feeder(clientA, clientB)
			replicas.Go(func() { w.round(f) })
		}
		w.grow(1)
		replicas.Wait()
	}
	w.round(w.feeder(clientA, clientB))
	w.wantCosigned(a.Cosigner, b.Cosigner)
	w.wantAlarm("")
}

// What another replica has just had cosigned is passed over; an idle log is witnessed
// once a day.
func TestDue(t *testing.T) {
	w := newWorld(t)
	a, client := w.serve("witness.example/a")
	w.grow(5)
	minutely := witness.Every(w.feeder(client), time.Minute)
	w.round(minutely)
	w.want(a.Name + " cosigned")
	w.grow(5)
	w.round(minutely)
	w.want()
	witness.At(minutely, time.Now().Add(time.Minute))
	w.round(minutely)
	w.want(a.Name + " cosigned")
	witness.At(minutely, time.Now().Add(23*time.Hour))
	w.round(minutely)
	w.want()
	witness.At(minutely, time.Now().Add(24*time.Hour+time.Minute))
	w.round(minutely) // its cosignature is a day old then, by this clock
	w.want(a.Name + " refused")
}

// Run asks at once, then with an interval between, and leaves nothing behind.
func TestRun(t *testing.T) {
	client, err := witness.New(witnesses.NewCosigner("witness.example/a").VerifierKey() + " https://witness.example")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		kept := new(nobody)
		f := witness.NewFeeder(kept, merkle.Prover{}, []*witness.Client{client}, time.Minute, metrics.NewCollector("v0.0.0-test"), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute+30*time.Second)
		defer cancel()
		f.Run(ctx)
		if kept.asked < 10 || kept.asked > 12 {
			t.Errorf("%d rounds in ten minutes and a half", kept.asked)
		}
	})
}

func TestNew(t *testing.T) {
	key := witnesses.NewCosigner("witness.example/a").VerifierKey()
	for _, good := range []string{key + " https://witness.example", " " + key + "  https://witness.example/a/ "} {
		if _, err := witness.New(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for named, want := range map[string]string{
		"":                         "want a verifier key and a URL",
		key:                        "want a verifier key and a URL",
		"https://w.example " + key: "not a verifier key",
		witnesses.NewCosigner("a").KeyOfType(1) + " https://w.example": "the key of a log",
		key + " w.example":             "is not the URL",
		key + " ftp://w.example":       "is not the URL",
		key + " https://w.example?a":   "is not the URL",
		key + " https://w.example#a":   "is not the URL",
		key + " https://":              "is not the URL",
		key + " https://w\x7f.example": "is not the URL",
	} {
		if _, err := witness.New(named); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want an error with %q", named, err, want)
		}
	}
}
