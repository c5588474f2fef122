package e2e

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// own is a loopback address that no test but this one listens on, so that a port
// found free there stays free.
const own = "127.0.0.77"

// apiServer is what every sidecar takes for its cluster's API server.
const apiServer = "127.0.0.88"

// No rule and no wide hole opens Signet's own ports, the machine's metadata or the
// cluster's API server.
func TestWhatNoPolicyOpens(t *testing.T) {
	s := newSite(t, options{})
	proxy, metrics := freePort(t), freePort(t)
	s.writePolicy(fmt.Sprintf(`
rules:
  - {name: own, hosts: [own.test, %[1]s], ports: [%[2]d, %[3]d], schemes: [http, https]}
  - {name: cluster, hosts: [kubernetes.test], ports: [80, 443, 6443], schemes: [http, https]}
  - {name: intercepted, hosts: [mine.test], ports: [%[2]d, %[3]d], intercept: true}
  - {name: metadata, hosts: [metadata.test, metadata6.test, metadata.google.internal, 169.254.169.254], ports: [80, 443], schemes: [http, https]}
`, own, proxy, metrics), "127.0.0.0/8, 169.254.0.0/16, 'fd00::/8'")
	s.writeConfig("data", "")
	s.replace("signet.yaml", "listen: 127.0.0.1:0\nmetrics_listen: 127.0.0.1:0",
		fmt.Sprintf("listen: %s:%d\nmetrics_listen: %s:%d", own, proxy, own, metrics))
	for name, address := range map[string]string{
		"own.test": own, "mine.test": own, "metadata.test": "169.254.169.254", "metadata6.test": "fd00:ec2::254",
		"kubernetes.test":          apiServer,
		"metadata.google.internal": "169.254.169.254",
	} {
		s.dns.Set(name, time.Minute, netip.MustParseAddr(address))
	}
	car := s.start()
	for _, url := range []string{
		fmt.Sprintf("http://own.test:%d/metrics", metrics),
		fmt.Sprintf("https://own.test:%d/metrics", metrics),
		fmt.Sprintf("http://%s:%d/metrics", own, metrics),
		fmt.Sprintf("https://mine.test:%d/metrics", metrics),
		fmt.Sprintf("http://own.test:%d/", proxy),
		fmt.Sprintf("https://own.test:%d/", proxy),
		fmt.Sprintf("https://mine.test:%d/", proxy),
		"http://metadata.test/latest/meta-data/",
		"https://metadata.test/latest/meta-data/",
		"http://metadata6.test/latest/meta-data/",
		"http://metadata.google.internal/computeMetadata/v1/",
		"http://169.254.169.254/latest/meta-data/",
		"http://kubernetes.test/api",
		"https://kubernetes.test/api",
		"https://kubernetes.test:6443/api",
	} {
		if reason := refused(t, car, url); reason != "HEL_ADDRESS_DENIED" {
			t.Errorf("%s: %s", url, reason)
		}
	}
	expectAllDenied(t, car.receipts())
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", own+":0")
	must(t, err)
	defer func() { must(t, l.Close()) }()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// What only the sidecar's own user may read or ask.
func TestFileModes(t *testing.T) {
	s := newSite(t, options{})
	car := s.start()
	defer car.stop()
	for name, mode := range map[string]fs.FileMode{
		"data": fs.ModeDir | 0o700, "data/admin.sock": fs.ModeSocket | 0o600,
		"data/key.pem": 0o600, "data/ca.key": 0o600, "data/journal.db": 0o600,
	} {
		info, err := os.Stat(s.path(name))
		must(t, err)
		if info.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), mode)
		}
	}
}
