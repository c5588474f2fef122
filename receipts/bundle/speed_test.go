package bundle

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
)

var speedRecords = flag.Int("speed.records", 10_000, "records that BenchmarkSpeed measures with, and a tenth of the most that it measures memory with")

// typical adds a receipt as an intercepted exchange leaves it, in as many traces as
// a verifier remembers.
func (c *chain) typical() {
	n := len(c.lines)
	c.lines = append(c.lines[:0], nil) // only the last is kept
	size, status := int64(812+n%4000), int64(200)
	salt := receipts.Hash(fmt.Append(nil, c.head.Chain.Seq))
	c.add(&receipts.Receipt{
		ReceiptID: uuid(int(c.head.Chain.Seq)), TraceID: fmt.Sprintf("4bf92f3577b34da6a3ce%012x", c.head.Chain.Seq%receipts.MaxTraces), Tenant: "acme", Agent: "billing-agent",
		Outcome: receipts.Forwarded, Count: 1, Usage: receipts.Usage{VEX: 1},
		Policy: receipts.Policy{Allowed: true, Reason: "ok", Rule: "openai", Mode: "enforce", Version: receipts.Hash(nil)},
		Detail: &receipts.Detail{
			Salt: salt[7:7+22-1] + "A", Started: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), DurationUS: 41_900 + c.head.Chain.Seq,
			Request:   &receipts.Request{Protocol: "h2", Method: "POST", Scheme: "https", Host: "api.openai.com", Port: 443, Path: "/v1/chat/completions", Digest: salt, Size: &size},
			DNS:       &receipts.DNS{Resolver: "tls://9.9.9.9", Answers: []string{"192.0.2.1", "2001:db8::1"}, CNAME: []string{"edge.example"}, TTL: 60},
			TLS:       &receipts.TLS{Mode: "intercept", SNI: "api.openai.com", Version: "1.3", ALPN: "h2", PeerSPKI: receipts.Hash([]byte("spki"))},
			Forwarded: &receipts.ForwardedTo{PinnedIP: "192.0.2.1", Port: 443, StatusCode: &status, ResponseDigest: receipts.Hash([]byte(salt)), ResponseSize: &size},
		},
	})
}

// generate calls add with a chain of n records, which is not kept.
func generate(n int, add func([]byte) error) (*chain, error) {
	c := newChain(1)
	for range n {
		if err := add(c.lines[len(c.lines)-1]); err != nil {
			return nil, err
		}
		c.typical()
	}
	return c, nil
}

// clock is what a rate is taken by.
type clock func() time.Duration

func wall() clock {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

// speeds are records a second by a clock.
type speeds struct{ raw, verify, export, core float64 }

// fastest repeats what takes n records and gives the best of the rates.
func fastest(t testing.TB, n, rounds int, now clock, fn func() error) float64 {
	t.Helper()
	best := 0.0
	for range rounds {
		start := now()
		if err := fn(); err != nil {
			t.Fatal(err)
		}
		best = max(best, float64(n)/(now()-start).Seconds())
	}
	return best
}

// measure finds the rates of one run over n records.
func measure(t testing.TB, n, rounds int, now clock) speeds {
	t.Helper()
	dir := t.TempDir()
	plain, zipped := filepath.Join(dir, "records.jsonl"), filepath.Join(dir, "bundle.zip")
	c := writeLines(t, plain, n)
	var s speeds
	s.raw = fastest(t, n, rounds, now, rawVerification(c, n))
	for _, e := range []struct {
		profile Profile
		rate    *float64
	}{{Core, &s.core}, {Full, &s.export}} {
		*e.rate = fastest(t, n, rounds, now, func() error { return exportFile(plain, zipped, c, e.profile) })
	}
	s.verify = fastest(t, n, rounds, now, func() error { return verifyFile(zipped, nil) })
	return s
}

func writeLines(t testing.TB, path string, n int) *chain {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	c, err := generate(n, func(line []byte) error {
		_, err := fmt.Fprintf(w, "%s\n", line)
		return err
	})
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rawVerification is what no verifier can do without: one signature of one core
// a record, on all cores, and nothing else.
func rawVerification(c *chain, n int) func() error {
	r, _ := receipts.Decode(c.lines[len(c.lines)-1])
	message := append([]byte(receipts.TypeReceipt+"\n"), receipts.AppendCore(nil, r)...)
	signature, _ := base64.RawURLEncoding.DecodeString(r.RecordHead().Signature)
	pub, workers := public(c.key), runtime.GOMAXPROCS(0)
	return func() error {
		var running sync.WaitGroup
		for range workers {
			running.Go(func() {
				for range n / workers {
					if !ed25519.Verify(pub, message, signature) {
						panic("the signature is not good")
					}
				}
			})
		}
		running.Wait()
		return nil
	}
}

func exportFile(from, to string, c *chain, profile Profile) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	w := bufio.NewWriter(out)
	o := c.options()
	o.Profile = profile
	if _, err := Export(w, o, func(add func([]byte) error) error { return receipts.EachLine(in, add) }); err != nil {
		return err
	}
	return w.Flush()
}

func verifyFile(path string, progress func(int)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	r, err := Open(f, size)
	if err != nil {
		return err
	}
	_, err = r.Verify(nil, progress)
	return err
}

// peak is the most memory that verifying a bundle of n records holds, in bytes.
func peak(t testing.TB, n int) uint64 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bundle.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	o := newChain(1).options()
	if _, err := Export(w, o, func(add func([]byte) error) error { _, err := generate(n, add); return err }); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var most uint64
	seen := 0
	err = verifyFile(path, func(int) {
		if seen++; seen%(n/20) == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return most
}

// BenchmarkSpeed reports what docs/performance.md says of verification and
// export: rates of one run, and how they relate.
func BenchmarkSpeed(b *testing.B) {
	n := *speedRecords
	for b.Loop() {
		s := measure(b, n, 3, wall())
		small, large := peak(b, n), peak(b, 10*n)
		b.ReportMetric(s.raw, "raw/s")
		b.ReportMetric(s.verify, "verify/s")
		b.ReportMetric(s.export, "export/s")
		b.ReportMetric(s.core, "core-export/s")
		b.ReportMetric(100*s.verify/s.raw, "verify-%-of-raw")
		b.ReportMetric(s.export/s.verify, "export-per-verify")
		b.ReportMetric(s.core/s.verify, "core-export-per-verify")
		b.ReportMetric(float64(small)/(1<<20), "MiB-peak")
		b.ReportMetric(float64(large)/(1<<20), "MiB-peak-at-10x")
	}
}

// A record more costs a place in the memory of traces and of receipt ids, which
// have a bound, and not its own size.
func TestMemory(t *testing.T) {
	const records, each = 6000, 1200
	if small, large := peak(t, records/6), peak(t, records); large > small+records*5/6*each/2 {
		t.Errorf("%d bytes for %d records, %d for %d", small, records/6, large, records)
	}
}
