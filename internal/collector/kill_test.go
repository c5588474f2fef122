package collector_test

import (
	"encoding/json"
	"flag"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/signet-egress/signet/internal/collector"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

var kills = flag.Int("collector.kills", 3, "how many times TestKill kills the collector, with each store")

// The whole process is killed in mid-ingest, again and again. What it had
// acknowledged is there at the end, and all else once.
func TestKill(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { testKill(t, "") })
	t.Run("postgres", func(t *testing.T) { testKill(t, cluster.Database(t)) })
}

func testKill(t *testing.T, url string) {
	data := t.TempDir()
	if url == "" {
		url = "sqlite:" + filepath.Join(data, "collector.db")
	}
	binary := testkit.BuildCollector(t)
	process, addr := serveProcess(t, binary, data, url)
	var at atomic.Value
	at.Store(addr)

	w := &world{t: t, store: open(t, url)}
	var err error
	if w.authority, err = pki.LoadAuthority(filepath.Join(data, "ca.pem"), filepath.Join(data, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if w.key, err = collector.LoadKey(filepath.Join(data, "key.pem")); err != nil {
		t.Fatal(err)
	}
	f := w.fleet(t.Context(), 2, 200*(*kills+1), func() string { return at.Load().(string) })
	for i := range *kills {
		f.reach(t, int64(300*(i+1)))
		process.Kill()
		process, addr = serveProcess(t, binary, data, url)
		at.Store(addr)
	}
	f.settle(t, w)
}

// serveProcess starts signet-collector and returns where it listens for sidecars.
func serveProcess(t *testing.T, binary, data, url string) (*peers.Process, string) {
	t.Helper()
	cmd := exec.Command(binary, "serve", "--data", data, "--database", url, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
	process, err := peers.StartProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Kill)
	line, err := process.Line(t.Context(), func(line string) bool { return strings.Contains(line, `"msg":"listening"`) })
	if err != nil {
		t.Fatal(err)
	}
	var listening struct {
		GRPC string `json:"grpc"`
	}
	if err := json.Unmarshal([]byte(line), &listening); err != nil {
		t.Fatal(err)
	}
	return process, listening.GRPC
}
