package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/peers"
)

// The default is well above what is allowed in memory, so that a buffered body
// shows; `make torture` sends 1 GiB.
var bodyBytes = flag.Int64("e2e.bytes", 128<<20, "size in bytes of the memory test's bodies")

const mostResident = 100 << 20

// Memory does not grow with bodies, and the receipts' digests are those that
// both ends have computed.
func TestMemoryDoesNotGrowWithBodies(t *testing.T) {
	n := *bodyBytes
	digest := peers.PatternDigest(n)
	for _, m := range []mode{plain, opaqueH1, interceptedH1, interceptedH2} {
		t.Run(m.name, func(t *testing.T) {
			s := newSite(t, options{})
			car := s.start()
			up, answer := upload(t, car, m, n)
			if up.SHA256 != digest || up.Size != n {
				t.Errorf("the upstream read %d bytes of digest %s; want %d of %s", up.Size, up.SHA256, n, digest)
			}
			if got := download(t, car, m, n); got != digest {
				t.Errorf("the client read a body of digest %s, want %s", got, digest)
			}
			memory, err := peers.MemoryOf(car.PID())
			must(t, err)
			t.Logf("resident at most %d MiB for %d MiB each way", memory.Peak>>20, n>>20)
			if memory.Peak > mostResident {
				t.Errorf("%d MiB were resident, want at most %d", memory.Peak>>20, mostResident>>20)
			}

			all := car.receipts()
			if len(all) != 2 {
				t.Fatalf("%d receipts, want 2", len(all))
			}
			m.expect(t, s, all[0], request{
				method: http.MethodPost, path: "/digest", up: n, upDigest: "sha256:" + digest,
				down: int64(len(answer)), downDigest: digestOf(answer),
			})
			m.expect(t, s, all[1], request{
				method: http.MethodGet, path: "/bytes", upDigest: digestOf(""), down: n, downDigest: "sha256:" + digest,
			})
		})
	}
}

// upload sends n bytes and returns what the upstream says of them, read and as
// it came.
func upload(t *testing.T, c *sidecar, m mode, n int64) (read peers.BodyDigest, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.url(c.site, "/digest"), io.LimitReader(peers.NewPattern(), n))
	must(t, err)
	req.ContentLength = n
	body := do(t, c, m, req)
	defer func() { must(t, body.Close()) }()
	text, err := io.ReadAll(body)
	must(t, err)
	must(t, json.Unmarshal(text, &read))
	return read, string(text)
}

// download reads n bytes and returns their digest.
func download(t *testing.T, c *sidecar, m mode, n int64) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.url(c.site, fmt.Sprintf("/bytes?n=%d", n)), nil)
	must(t, err)
	body := do(t, c, m, req)
	defer func() { must(t, body.Close()) }()
	hash := sha256.New()
	_, err = io.Copy(hash, body)
	must(t, err)
	return hex.EncodeToString(hash.Sum(nil))
}

// do sends req, which must be answered with 200.
func do(t *testing.T, c *sidecar, m mode, req *http.Request) io.ReadCloser {
	t.Helper()
	resp, err := c.client(m).Do(req)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", req.Method, req.URL, resp.Status)
	}
	return resp.Body
}
