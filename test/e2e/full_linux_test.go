package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/signet-egress/signet/receipts"
)

// smallDisk mounts a file system of its own at dir.
func smallDisk(t *testing.T, dir string, size int) {
	t.Helper()
	must(t, os.Mkdir(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		t.Skipf("a full disk needs the right to mount a file system (run as root): %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
}

// fill leaves no byte free in dir, until the returned function is called.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	file := filepath.Join(dir, "filler")
	f, err := os.Create(file)
	must(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 4<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	must(t, f.Close())
	return func() { must(t, os.Remove(file)) }
}

// diskSize leaves room for a chunk of the journal, 4 MiB, when the filler is gone.
const diskSize = 32 << 20

// A full disk denies what could not be receipted, lets what was begun end with
// its receipts, and is over when space returns.
func TestFullDisk(t *testing.T) {
	s := newSite(t, options{})
	smallDisk(t, s.path("data"), diskSize)
	car := s.start()
	var held []<-chan answer
	for i, m := range allModes {
		held = append(held, car.hold(m, fmt.Sprint(i)))
	}
	free := fill(t, s.path("data"))
	carried := untilUnavailable(t, car)
	if got := car.ops(t, http.MethodGet, "/readyz"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "the disk is full: free space there") {
		t.Errorf("/readyz: %+v", got)
	}
	for _, m := range allModes[1:] {
		if reason := refused(t, car, m.url(s, "/small")); reason != "JOURNAL_UNAVAILABLE" {
			t.Errorf("%s: %s", m.name, reason)
		}
	}
	if seen := int(s.plain.RequestCount()); seen != carried+1 { // and the held one
		t.Errorf("the upstream saw %d requests; %d were carried, and one is held", seen, carried)
	}
	for i, m := range allModes {
		m.upstream(s).Gate(fmt.Sprint(i)).Open()
		if got := <-held[i]; got.err != nil || got.status != http.StatusOK {
			t.Errorf("%s: begun before the disk was full: %+v", m.name, got)
		}
	}
	free()
	must(t, car.Ready(t.Context(), "http://"+car.metrics+"/readyz"))
	if got := get(car.client(plain), newRequest(t, plain.url(s, "/small"))); got.status != http.StatusOK {
		t.Errorf("after space has returned: %+v", got)
	}
	all := car.receipts()
	if len(all) != carried+len(allModes)+1 {
		t.Errorf("%d receipts, want %d", len(all), carried+len(allModes)+1)
	}
	for _, r := range all {
		if r.Outcome != receipts.Forwarded {
			t.Errorf("%s %+v", r.Outcome, r.Policy)
		}
	}
}

// untilUnavailable sends requests until the journal takes no more, and returns
// how many were carried.
func untilUnavailable(t *testing.T, c *sidecar) (carried int) {
	t.Helper()
	client := c.pooled(plain)
	defer client.CloseIdleConnections()
	for {
		resp, err := client.Do(newRequest(t, plain.url(c.site, "/small")))
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, errors.Join(err, resp.Body.Close()))
		if resp.StatusCode == http.StatusOK {
			carried++
			if carried > diskSize/64 {
				t.Fatal("the disk never fills")
			}
			continue
		}
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("X-Signet-Reason") != "JOURNAL_UNAVAILABLE" ||
			resp.Header.Get("Retry-After") == "" || strings.Contains(string(body), "receipt_id") {
			t.Errorf("%s %v %s", resp.Status, resp.Header, body)
		}
		return carried
	}
}

func newRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	return req
}

// A sidecar whose data directory cannot be made on a full disk says so, and one
// whose journal has room left starts there.
func TestStartOnFullDisk(t *testing.T) {
	s := newSite(t, options{})
	smallDisk(t, s.path("data"), diskSize)
	free := fill(t, s.path("data"))
	golden(t, filepath.Join("start", "disk-full.golden"), s.refusal())
	free()
	s.start().stop()
	free = fill(t, s.path("data"))
	s.start().stop()
	free()
	if e := s.evidence(); e.result.First != 1 || !e.result.CleanStop {
		t.Errorf("%+v", e.result)
	}
}
