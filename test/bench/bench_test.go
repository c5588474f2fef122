package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/testkit"
)

var update = flag.Bool("update", false, "write the golden files")

// TestMain lets the test binary be the other parts, as the program is.
func TestMain(m *testing.M) {
	takeRole()
	goleak.VerifyTestMain(m)
}

// One short round of everything, so that what is run by hand is known to run.
func TestEveryTargetIsMeasured(t *testing.T) {
	testkit.BuildCollector(t)
	o := &options{
		rounds: 1, window: time.Millisecond, only: regexp.MustCompile(`-1$|new|bulk`), targets: regexp.MustCompile(""), json: true,
		bin: filepath.Dir(testkit.BuildSignet(t)), dir: t.TempDir(), profile: t.TempDir(), progress: io.Discard,
	}
	var out bytes.Buffer
	if err := run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, w := range got.Rows {
		if w.Rate <= 0 || w.RateRatio == nil {
			t.Errorf("%s, %s: rate %v, ratio %v", w.Scenario, w.Target, w.Rate, w.RateRatio)
		}
		seen[w.Target]++
	}
	for _, name := range []string{"origin, no proxy", referenceName, "signet", "signet, no receipts"} {
		if seen[name] != 6 {
			t.Errorf("%s has %d rows; want 6", name, seen[name])
		}
	}
	if seen[shippingName] != 1 {
		t.Errorf("%s has %d rows; want 1", shippingName, seen[shippingName])
	}
	for _, name := range []string{"cpu.pprof", "allocs.pprof"} {
		if info, err := os.Stat(filepath.Join(o.profile, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if left, _ := os.ReadDir(o.dir); len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
}

func TestAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		length int
		err    string
	}{
		"length":     {answer: "HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 12\r\n\r\n", length: 12},
		"no length":  {answer: "HTTP/1.1 200 OK\r\n\r\n"},
		"refused":    {answer: "HTTP/1.1 403 Signet HEL_HOST_NOT_ALLOWED\r\n\r\n", err: "answer: HTTP/1.1 403 Signet HEL_HOST_NOT_ALLOWED"},
		"chunked":    {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", err: "answer: Transfer-Encoding: chunked"},
		"closed":     {answer: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", err: "answer: the connection is closed"},
		"bad length": {answer: "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", err: `answer: Content-Length: strconv.Atoi: parsing "x": invalid syntax`},
		"cut":        {answer: "HTTP/1.1 200 OK\r\nContent-Le", err: "read an answer: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				_, _ = io.WriteString(theirs, test.answer)
				_ = theirs.Close()
			}()
			c := newClientConn(ours)
			defer func() { _ = ours.Close() }()
			length, err := c.answer()
			if length != test.length || test.err == "" != (err == nil) || err != nil && err.Error() != test.err {
				t.Errorf("%d, %v; want %d, %q", length, err, test.length, test.err)
			}
		})
	}
}

func TestClientHelloIsOneRecord(t *testing.T) {
	hello := clientHello(opaqueHost)
	const handshake, header = 22, 5
	if len(hello) < header || hello[0] != handshake || len(hello) != header+int(hello[3])<<8+int(hello[4]) {
		t.Errorf("%x", hello)
	}
	if !bytes.Contains(hello, []byte(opaqueHost)) {
		t.Error("it does not name the host")
	}
}

func TestCPUTime(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for after := before; after == before; {
		if after, err = cpuTime(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cpuTime(-1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no process: %v", err)
	}
}

// Ratios are of rounds: a slow round slows both, and changes nothing.
func TestReport(t *testing.T) {
	kinds := scenarios()
	http16, fresh, bulk := kinds[1], kinds[9], kinds[11]
	rep := &report{CPUs: 2, Go: "go1.26.8", LoadAvg: "0.10", Rounds: 3, Window: time.Second, Reference: referenceName, Absent: []string{"squid"}}
	reference, signet := &target{name: referenceName}, &target{name: "signet"}
	for _, slow := range []time.Duration{1, 5, 2} {
		us := slow * time.Microsecond
		rep.add(http16, reference, &sample{Requests: 10_000, Took: slow * time.Second, CPU: 1_000_000 * us, P50: 900 * us, P99: 4000 * us})
		rep.add(http16, signet, &sample{Requests: 20_000, Took: slow * time.Second, CPU: 1_000_000 * us, P50: 500 * us, P99: 3000 * us, Connections: 1})
	}
	rep.add(fresh, signet, &sample{Requests: 500, Took: time.Second, CPU: time.Second, Connections: 500})
	rep.add(bulk, reference, &sample{Bytes: 2e9, Took: time.Second, CPU: time.Second})
	rep.add(bulk, signet, &sample{Bytes: 3e9, Took: time.Second, CPU: time.Second})
	rep.sum()
	var out strings.Builder
	if err := rep.write(&out); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "report.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"--rounds", "0"}, {"--window", "1ms"}, {"--only", "("}, {"http-16"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
