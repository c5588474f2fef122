package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/signet-egress/signet/internal/testkit/peers"
)

// The names that the demonstration's DNS server knows.
const (
	apiHost      = "api.demo.test"      // opened by interception
	filesHost    = "files.demo.test"    // an opaque tunnel
	metadataHost = "metadata.demo.test" // listed, but leads to the cloud's metadata
	rebindHost   = "rebind.demo.test"   // leads elsewhere when asked again
	unlistedHost = "unlisted.demo.test" // would resolve, but no rule lists it
	erpHost      = "erp.demo.test"      // has invoices
	bankHost     = "bank.demo.test"     // takes payments, on the other server
)

const demoPolicy = `version: 1
mode: enforce
rules:
  - name: api
    hosts: [api.demo.test]
    ports: [%[1]d]
    methods: [GET]
    intercept: true
  - name: files
    hosts: [files.demo.test, metadata.demo.test, rebind.demo.test]
    ports: [%[2]d]
  - {name: erp, hosts: [erp.demo.test], ports: [%[1]d], methods: [GET], intercept: true}
  - {name: bank, hosts: [bank.demo.test], ports: [%[2]d], methods: [POST], intercept: true}
addresses:
  allow: [127.0.0.1/32] # the upstreams are on loopback; 127.0.0.2 stays closed
` + demoContracts

const demoConfig = `listen: 127.0.0.1:0
metrics_listen: "off"
admin_socket: "off"
data: data
policy: policy.yaml
tenant: demo
agent: scripted
resolver: {upstreams: ["%s"]}
tls: {extra_roots: [upstream-ca.pem]}
`

// stage is everything around the scripted agent: upstreams, DNS and the sidecar,
// each a real one, on loopback.
type stage struct {
	dir    string // signet.yaml, policy.yaml, upstream-ca.pem, and what the processes keep
	binary string

	ca         *peers.CA
	api, files *peers.Upstream
	dns        *peers.DNS
	tripwire   *peers.Tripwire // where nothing may connect; nil where the system has no 127.0.0.2

	collector *demoCollector // nil: there is none
	sidecar   *peers.Process
	proxy     *url.URL
	roots     *x509.CertPool // what the agent trusts
}

// openStage opens it without a collector where that program's path is "".
func openStage(ctx context.Context, binary, collector, dir, policy string) (*stage, error) {
	s := &stage{dir: dir, binary: binary}
	if collector != "" {
		s.collector = &demoCollector{binary: collector, data: s.path("collector")}
	}
	if err := s.open(ctx, policy); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) open(ctx context.Context, policy string) error {
	if err := s.openPeers(); err != nil {
		return err
	}
	config := fmt.Sprintf(demoConfig, s.dns.URL())
	if s.collector != nil {
		if err := s.collector.start(ctx, s.path("enrol-token")); err != nil {
			return err
		}
		config += fmt.Sprintf(demoCollectorConfig, s.collector.listen)
	}
	for name, text := range map[string]string{
		"policy.yaml":     fmt.Sprintf(policy, s.api.Port(), s.files.Port()),
		"signet.yaml":     config,
		"upstream-ca.pem": string(s.ca.PEM()),
	} {
		if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := s.startSidecar(ctx); err != nil {
		return err
	}
	root, err := os.ReadFile(s.path("data/ca.pem"))
	if err != nil {
		return err
	}
	s.roots = s.ca.Pool()
	s.roots.AppendCertsFromPEM(root)
	return nil
}

func (s *stage) openPeers() (err error) {
	if s.ca, err = peers.NewCA(); err != nil {
		return err
	}
	if s.api, err = s.openUpstream(apiHost, erpHost); err != nil {
		return err
	}
	if s.files, err = s.openUpstream(filesHost, rebindHost, bankHost); err != nil {
		return err
	}
	if s.dns, err = peers.StartDNS(); err != nil {
		return err
	}
	loopback, closed := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	for _, name := range []string{apiHost, filesHost, unlistedHost, erpHost, bankHost} {
		s.dns.Set(name, time.Minute, loopback)
	}
	s.dns.Set(metadataHost, time.Minute, netip.MustParseAddr("169.254.169.254"))
	s.dns.Sequence(rebindHost, peers.Answer{Addrs: []netip.Addr{loopback}}, peers.Answer{Addrs: []netip.Addr{closed}})
	// Only Linux has all of 127.0.0.0/8 by itself. Elsewhere the receipt alone
	// tells that nothing connected.
	s.tripwire, _ = peers.StartTripwire(netip.AddrPortFrom(closed, s.files.Port()).String())
	return nil
}

func (s *stage) openUpstream(names ...string) (*peers.Upstream, error) {
	leaf, err := s.ca.Leaf(names...)
	if err != nil {
		return nil, err
	}
	return peers.StartUpstream(peers.UpstreamOptions{Certificate: &leaf, Handler: peers.Books(map[string]string{"42": demoInvoice})})
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// startSidecar runs signet as anybody would, and returns once it serves.
func (s *stage) startSidecar(ctx context.Context) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), s.binary, "run", "--config", s.path("signet.yaml")) //nolint:gosec // this very program
	cmd.Env = []string{}                                                                                       // nothing of the user's settings
	p, err := peers.StartProcess(cmd)
	if err != nil {
		return err
	}
	s.sidecar = p
	_, err = p.Line(ctx, func(line string) bool {
		var serving struct {
			Msg    string `json:"msg"`
			Listen string `json:"listen"`
		}
		if json.Unmarshal([]byte(line), &serving) != nil || serving.Msg != "serving" {
			return false
		}
		s.proxy = &url.URL{Scheme: "http", Host: serving.Listen}
		return true
	})
	return err
}

// stopSidecar asks the sidecar to stop and waits until it has.
func (s *stage) stopSidecar(ctx context.Context) error {
	if err := s.sidecar.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.sidecar.Done():
	case <-ctx.Done():
		return fmt.Errorf("waiting for the sidecar to stop: %w", context.Cause(ctx))
	}
	if err := s.sidecar.Wait(); err != nil {
		return fmt.Errorf("the sidecar: %w; it wrote:\n%s", err, s.sidecar.Output())
	}
	return nil
}

func (s *stage) close() {
	if s.sidecar != nil {
		s.sidecar.Kill()
	}
	if s.collector != nil {
		s.collector.close()
	}
	for _, u := range []*peers.Upstream{s.api, s.files} {
		if u != nil {
			u.Close()
		}
	}
	if s.dns != nil {
		s.dns.Close()
	}
	if s.tripwire != nil {
		s.tripwire.Close()
	}
}
