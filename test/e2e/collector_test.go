package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts/journal"
)

// collector is a running signet-collector, which comes back where it was.
type collector struct {
	*peers.Process
	t      *testing.T
	data   string
	listen string // for sidecars
	http   string
	token  string // reads and exports
}

// newCollector has the site's sidecars ship to a collector with the tenant acme.
func (s *site) newCollector() *collector {
	s.t.Helper()
	c := &collector{t: s.t, data: s.path("collector"), listen: "127.0.0.1:0", http: "127.0.0.1:0"}
	c.command("tenant", "create", "acme")
	s.write("enrol-token", c.command("tenant", "token", "acme", "--scope", "enroll"))
	c.token = c.command("tenant", "token", "acme", "--scope", "receipts.read,export")
	c.start()
	s.writeConfig("data", fmt.Sprintf("collector: {address: %q, ca_file: collector/ca.pem, token_file: enrol-token, addresses: [127.0.0.1/32], drain_timeout: 5m}\n", c.listen))
	return c
}

func (c *collector) command(args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), testkit.BuildCollector(c.t), append(args, "--data", c.data)...)
	cmd.Env = []string{}
	printed, err := cmd.Output()
	must(c.t, err)
	return strings.TrimSpace(string(printed))
}

// start returns once the collector listens. After the first time it is where it
// was then.
func (c *collector) start() {
	c.t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(c.t.Context()), testkit.BuildCollector(c.t), "serve", "--data", c.data, "--listen", c.listen, "--http-listen", c.http)
	cmd.Env = []string{}
	c.Process = testkit.Start(c.t, cmd)
	line, err := c.Line(c.t.Context(), says("listening"))
	must(c.t, err)
	var listening struct{ GRPC, HTTP string }
	must(c.t, json.Unmarshal([]byte(line), &listening))
	c.listen, c.http = listening.GRPC, listening.HTTP
}

func (c *collector) ask(method, path, body string) []byte {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, "http://"+c.http+path, strings.NewReader(body))
	must(c.t, err)
	request.Header.Set("Authorization", "Bearer "+c.token)
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	must(c.t, err)
	received, err := io.ReadAll(answer.Body)
	must(c.t, errors.Join(err, answer.Body.Close()))
	if answer.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %s: %s: %s", method, path, answer.Status, received)
	}
	return received
}

// chain is what the collector knows of the one chain; nil before it has enrolled.
func (c *collector) chain() *chainState {
	c.t.Helper()
	var list struct{ Chains []chainState }
	must(c.t, json.Unmarshal(c.ask(http.MethodGet, "/v1/chains", ""), &list))
	if len(list.Chains) == 0 {
		return nil
	}
	if len(list.Chains) > 1 {
		c.t.Fatalf("%d chains", len(list.Chains))
	}
	return &list.Chains[0]
}

type chainState struct {
	ID        string
	Seq       int64
	CleanStop bool `json:"clean_stop"`
}

// reaches returns when the collector has a record of the chain.
func (c *collector) reaches(seq int64) {
	c.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if state := c.chain(); state != nil && state.Seq >= seq {
			return
		}
		select {
		case <-tick.C:
		case <-c.t.Context().Done():
			c.t.Fatal("the test ended before record ", seq)
		}
	}
}

// records are all of the chain, as they were signed.
func (c *collector) records(chain string) (lines []string) {
	c.t.Helper()
	for from := int64(1); from > 0; {
		var page struct {
			Records []json.RawMessage
			Next    int64
		}
		must(c.t, json.Unmarshal(c.ask(http.MethodGet, fmt.Sprintf("/v1/chains/%s/records?from=%d&limit=1000", chain, from), ""), &page))
		for _, record := range page.Records {
			lines = append(lines, string(record))
		}
		from = page.Next
	}
	return lines
}

// receipts are the ids of all, newest first.
func (c *collector) receipts() (ids []string) {
	c.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Receipts []struct {
				ID string `json:"receipt_id"`
			}
			Next string
		}
		path := "/v1/receipts?limit=100"
		if cursor != "" {
			path += "&cursor=" + cursor
		}
		must(c.t, json.Unmarshal(c.ask(http.MethodGet, path, ""), &page))
		for _, r := range page.Receipts {
			ids = append(ids, r.ID)
		}
		if cursor = page.Next; cursor == "" {
			return ids
		}
	}
}

// What an agent did is at the collector, all of it once, whoever was killed in
// mid-traffic, and a bundle that the collector exports is good evidence of it.
func TestCollectorHasWhatTheAgentDid(t *testing.T) {
	s := newSite(t, options{})
	c := s.newCollector()
	car := s.start()

	calls := car.curl(300)
	c.reaches(50)
	c.Kill() // in mid-traffic, which goes on
	c.start()
	if got := <-calls; got.ExitCode != 0 || strings.Count(got.Stdout, "200\n") != 300 {
		t.Fatalf("the agent noticed that the collector was away: %+v", got)
	}
	c.reaches(300)

	calls = car.curl(300)
	c.reaches(350)
	car.Kill()
	<-calls // cut, in whatever way
	car = s.start()
	if got := <-car.curl(20); got.ExitCode != 0 {
		t.Fatalf("after the restart: %+v", got)
	}
	c.Kill()
	if got := <-car.curl(20); got.ExitCode != 0 { // the collector is away
		t.Fatalf("without the collector: %+v", got)
	}
	c.start()
	car.stop() // ships what is left

	state := c.chain()
	if !state.CleanStop {
		t.Error("the clean stop has not arrived")
	}
	if got, want := c.records(state.ID), s.lines(); !slices.Equal(got, want) {
		t.Errorf("the collector has %d records, and the journal %d; or they differ", len(got), len(want))
	}
	ids := c.receipts()
	want := len(s.evidence().receipts)
	slices.Sort(ids)
	if unique := len(slices.Compact(slices.Clone(ids))); len(ids) != want || unique != want || want < 340 {
		t.Errorf("%d receipts in the API, %d different ones; the journal has %d", len(ids), unique, want)
	}
	c.exportsGoodEvidence(s, state)
}

// exportsGoodEvidence has a bundle of the whole chain verified twice. The newest
// record has only just arrived; the bundle carries its proof from the log all the same.
func (c *collector) exportsGoodEvidence(s *site, state *chainState) {
	c.t.Helper()
	now := time.Now().UTC()
	body := fmt.Sprintf(`{"chain": %q, "from": %q, "to": %q}`, state.ID, now.Add(-24*time.Hour).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339))
	s.write("bundle.zip", string(c.ask(http.MethodPost, "/v1/exports", body)))
	ends := fmt.Appendf(nil, ", seq 1-%d, head ", state.Seq)
	s.write("token", c.token)
	key := strings.TrimSpace(string(c.ask(http.MethodGet, "/v1/log/key", "")))
	logged := fmt.Appendf(nil, "logged: the last record is in the log signet-collector/acme of %d records, by the word of the key that signs the manifest\n"+
		"log: every record is in it, up to its checkpoint of %[1]d records", state.Seq)
	for range 2 { // the second time it must extend the first
		output, err := exec.CommandContext(c.t.Context(), testkit.BuildSignet(c.t), "verify", "--log", "http://"+c.http, "--log-key", key,
			"--token-file", s.path("token"), "--log-checkpoint", s.path("log-checkpoint"), s.path("bundle.zip")).CombinedOutput()
		if err != nil || !bytes.Contains(output, ends) || !bytes.Contains(output, logged) {
			c.t.Errorf("signet verify: %v\n%s", err, output)
		}
	}
	second := testkit.PythonFile(c.t, "python3-cryptography", "cryptography", "../../docs/verify/signet_verify.py", s.path("bundle.zip"))
	if second.ExitCode != 0 || !strings.Contains(second.Stdout, string(ends)) {
		c.t.Errorf("the second verifier: %+v", second)
	}
}

// curl makes n calls one after the other, and prints the status of each.
func (c *sidecar) curl(n int) <-chan testkit.Result {
	c.t.Helper()
	cmd := testkit.Client{}.CurlCommand(c.t, "--proxy", c.proxyURL(), "--write-out", "%{http_code}\n",
		"--output", "/dev/null", fmt.Sprintf("http://plain.test:%d/small?n=[1-%d]", c.site.plain.Port(), n))
	ended := make(chan testkit.Result, 1)
	go func() {
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run() // its exit code is looked at
		ended <- testkit.Result{Stdout: out.String(), ExitCode: cmd.ProcessState.ExitCode()}
	}()
	return ended
}

// lines are the records of a stopped sidecar, as they were signed.
func (s *site) lines() (lines []string) {
	s.t.Helper()
	reader, err := journal.OpenReader(s.path("data"))
	must(s.t, err)
	defer func() { must(s.t, reader.Close()) }()
	must(s.t, reader.Range(s.t.Context(), 1, func(_ int64, line []byte) error {
		lines = append(lines, string(line))
		return nil
	}))
	return lines
}
