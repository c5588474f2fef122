package metrics

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md and golden files")

// exercise uses every metric at least once.
func exercise(m *Metrics) {
	failure := errors.New("any text")
	m.Exchanges.Settled(Exchange{
		Tenant: "acme", Host: "*.example", Method: "GET", Endpoint: "inner", Reason: "ok",
		Hop: 3, Status: 200, Total: 20 * time.Millisecond, Carried: 10 * time.Millisecond,
	})
	m.Exchanges.Settled(Exchange{
		Tenant: "acme", Method: "BREW", Endpoint: "connect", Reason: "HEL_HOST_NOT_ALLOWED", Denied: true, Hop: 1, Total: time.Millisecond,
	})
	m.Exchanges.Settled(Exchange{Tenant: "acme", Method: "GET", Endpoint: "http", Reason: "JOURNAL_UNAVAILABLE", Denied: true, Total: time.Millisecond})
	m.Exchanges.Settled(Exchange{
		Tenant: "acme", Host: "would-deny.example", Method: "GET", Endpoint: "http", Reason: "HEL_PATH_NOT_ALLOWED",
		Hop: 200, Total: time.Second, Carried: time.Second,
	})
	m.Exchanges.Settled(Exchange{Tenant: "acme", Method: "GET", Endpoint: "http", Reason: "ok", Patterns: []string{"keys"}, Hop: 1})
	m.Exchanges.Limited("acme", "concurrent")
	m.Exchanges.Panicked()
	m.Tunnels.Opened("opaque")()
	m.Tunnels.Opened("intercept")
	m.Tunnels.Carried(10, 20)
	m.Intercept.LeafCached(true)
	m.Intercept.LeafCached(false)
	m.Intercept.LeafMinted(nil)
	m.Intercept.LeafMinted(failure)
	m.Intercept.Handshake(nil)
	m.Intercept.Handshake(failure)
	m.Resolver.Lookup("answered", time.Millisecond)
	m.Resolver.Lookup("timeout", 5*time.Second)
	m.Resolver.Cache(true)
	m.Resolver.Cache(false)
	m.Resolver.Denied("loopback")
	m.Resolver.Rebound("loopback", false)
	m.Resolver.Rebound("private-use", true)
	m.Resolver.Query("tls://9.9.9.9:853", "answered")
	m.Resolver.Query("tls://9.9.9.9:853", "refused")
	m.Resolver.Upstream("tls://9.9.9.9:853", true)
	m.Resolver.Upstream("udp://10.0.0.10:53", false)
	m.Upstream.Connected(time.Millisecond, nil)
	m.Upstream.Connected(time.Millisecond, nil)()
	m.Upstream.Connected(time.Second, failure)()
	m.Journal.Watch(func() JournalState { return JournalState{Available: true, LastSeq: 42} })
	m.Journal.Committed(Commit{Took: time.Millisecond, Intents: 2, Records: 3, Pending: 4, Open: 5, Bytes: 4096})
	m.Journal.Committed(Commit{Took: time.Millisecond, Err: failure, Open: 5, Bytes: 4096})
	m.Journal.Signed(30 * time.Microsecond)
	m.Journal.Sealed(time.Millisecond, nil)
	m.Journal.Sealed(time.Millisecond, failure)
	m.Journal.Checkpointed(42, 3*time.Millisecond, nil)
	m.Journal.Checkpointed(50, 3*time.Millisecond, failure)
	m.Policy.Loaded("sha256:old", "report", time.Unix(1, 0))
	m.Policy.Loaded("sha256:new", "enforce", time.Unix(1.7e9, 5e8))
	m.Policy.LoadFailed(failure)
	m.Payload.WatchBudget(func() int64 { return 4096 })
	m.Payload.Checked("payment", "ok")
	m.Payload.Checked("payment", "INVARIANT_VIOLATED")
	m.Payload.Violated("payment", "amount")
	m.Payload.Stage("parse", 20*time.Microsecond)
	m.Payload.Transformed("invoice.v1", "payment.v1", 60*time.Microsecond)
	m.Payload.Repaired("local", nil)
	m.Payload.Repaired("model", failure)
	m.Payload.Fallback("acme", "PAYLOAD_MALFORMED", 321)
	m.Payload.Captured("source", nil)
	m.Payload.Captured("source", failure)
	m.Payload.LookedUp("invoice", "ok")
	m.Ship.Connected(true)
	m.Ship.Acked(7, 3)
	m.Ship.Failed("unreachable")
	m.Payload.LookedUp("invoice", "missing")
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	server := httptest.NewServer(m.Handler())
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", response.Status, err)
	}
	return string(body)
}

func TestLint(t *testing.T) {
	m := New("v1.2.3")
	exercise(m)
	problems, err := testutil.GatherAndLint(m.Registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, namespace+"_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestValues holds all that one scrape shows against a golden file, but for what
// a histogram's buckets hold and what differs from machine to machine.
func TestValues(t *testing.T) {
	m := New("v1.2.3")
	exercise(m)
	var got []string
	for line := range strings.Lines(scrape(t, m)) {
		if strings.HasPrefix(line, namespace+"_") && !strings.Contains(line, "_bucket{") && !strings.HasPrefix(line, "signet_build_info") {
			got = append(got, line)
		}
	}
	const golden = "testdata/scrape.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(got, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, "") != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, ""), want)
	}
}

func TestScrapeHasTheRuntimeToo(t *testing.T) {
	page := scrape(t, New("v1.2.3"))
	for _, want := range []string{"go_goroutines ", "process_open_fds ", `signet_build_info{go_version="go`, `version="v1.2.3"} 1`, "signet_journal_available 0"} {
		if !strings.Contains(page, want) {
			t.Errorf("the scrape lacks %q", want)
		}
	}
}

func TestEachIsExercisedAndDefined(t *testing.T) {
	m := New("")
	exercise(m)
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var scraped, defined []string
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), namespace+"_") {
			scraped = append(scraped, f.GetName())
		}
	}
	for _, d := range m.Definitions() {
		defined = append(defined, d.Name)
	}
	slices.Sort(defined)
	if !slices.Equal(scraped, defined) {
		t.Errorf("\nscraped %q\ndefined %q", scraped, defined)
	}
	if again := New(""); again.Registry == m.Registry {
		t.Error("two have one registry")
	}
}

func TestPeersCannotGrowSeries(t *testing.T) {
	m := New("")
	for i := range 2000 {
		m.Exchanges.Settled(Exchange{Tenant: "acme", Method: fmt.Sprint("M", i), Endpoint: "http", Reason: "ok", Hop: int64(i), Status: i, Carried: 1})
	}
	if n := testutil.CollectAndCount(m.Exchanges.request); n != 1 {
		t.Errorf("%d series of methods", n)
	}
	if n := testutil.CollectAndCount(m.Exchanges.receipts); n != 5 {
		t.Errorf("%d series of hops", n)
	}
	if n := testutil.CollectAndCount(m.Exchanges.forwarded); n != 501 {
		t.Errorf("%d series of status codes, want 500 and none", n)
	}
}

func TestHops(t *testing.T) {
	for n, want := range map[int64]string{0: "1", 1: "1", 2: "2-5", 5: "2-5", 6: "6-20", 20: "6-20", 21: "21-100", 100: "21-100", 101: "101+", 1 << 40: "101+"} {
		if got := hop(n); got != want {
			t.Errorf("hop %d: %s, want %s", n, got, want)
		}
	}
}

const docsEnd = "<!-- end -->\n"

// TestDocs holds docs/metrics.md and docs/collector.md against the definitions:
// each metric with its type, labels and meaning, and each label with its values.
func TestDocs(t *testing.T) {
	holdDocs(t, "../../docs/metrics.md", reference(t, New("").Definitions(), Meanings()))
	holdDocs(t, "../../docs/collector.md", reference(t, NewCollector("").Definitions(), CollectorMeanings()))
}

func holdDocs(t *testing.T, file, reference string) {
	t.Helper()
	const begin = "<!-- from internal/metrics; go test ./internal/metrics -update -->\n"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(page, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(docsEnd))
	if !ok || !closed {
		t.Fatalf("%s lacks the marks %q and %q", file, begin, docsEnd)
	}
	want := bytes.Join([][]byte{before, []byte(begin), []byte(reference), []byte(docsEnd), after}, nil)
	if *update {
		if err := os.WriteFile(file, want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(page, want) {
		t.Errorf("%s is behind the code: run go test ./internal/metrics -update", file)
	}
}

func reference(t *testing.T, definitions []Definition, meanings map[string]string) string {
	t.Helper()
	var b strings.Builder
	used := make(map[string]bool)
	b.WriteString("\n| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, d := range definitions {
		var labels []string
		for _, label := range d.Labels {
			used[label] = true
			labels = append(labels, "`"+label+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Type, strings.Join(labels, " "), d.Help)
	}
	if documented, inUse := slices.Sorted(maps.Keys(meanings)), slices.Sorted(maps.Keys(used)); !slices.Equal(documented, inUse) {
		t.Errorf("\nlabels documented %q\n          in use %q", documented, inUse)
	}
	b.WriteString("\n| label | values |\n|---|---|\n")
	for _, label := range slices.Sorted(maps.Keys(meanings)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", label, meanings[label])
	}
	b.WriteByte('\n')
	return b.String()
}

// TestDesignsNames keeps the names and labels that dashboards and alerts are
// built on.
func TestDesignsNames(t *testing.T) {
	defined := make(map[string]string)
	for _, d := range New("").Definitions() {
		defined[d.Name] = strings.Join(d.Labels, ",")
	}
	contract := regexp.MustCompile(`(\w+)\{([\w,]+)\}`)
	for _, name := range []string{
		"exchanges_total{tenant,api_key,payload_type,target_type}", "denied_total{reason,tenant,host}", "forward_total{host,status_code}",
		"receipt_created_total{tenant,hop}", "request_duration_seconds{method,endpoint}", "forward_duration_seconds{host}",
		"signature_duration_seconds{operation}", "policy_denied_total{reason,host,tenant}", "storage_operations_total{operation,backend}",
		"crypto_operations_total{operation,key_type}", "cache_hits_total{cache_type}", "cache_misses_total{cache_type}",
	} {
		parts := contract.FindStringSubmatch(name)
		if got := defined[namespace+"_"+parts[1]]; got != parts[2] {
			t.Errorf("%s has labels %q", name, got)
		}
	}
}

func BenchmarkSettled(b *testing.B) {
	m := New("")
	x := Exchange{Tenant: "acme", Host: "*.example", Method: "GET", Endpoint: "inner", Reason: "ok", Hop: 3, Status: 200, Total: 1, Carried: 1}
	b.ReportAllocs()
	for b.Loop() {
		m.Exchanges.Settled(x)
	}
}
