package sidecar

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/signet-egress/signet/internal/ship"
	"github.com/signet-egress/signet/receipts/journal"
	"github.com/signet-egress/signet/resolver"
)

// newShipper is what ships to the collector; nil where there is none.
func (s *Sidecar) newShipper() (*ship.Shipper, error) {
	c := &s.config.Collector
	if c.Address == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("collector.ca_file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("collector.ca_file: %s holds no certificate in PEM form", c.CAFile)
	}
	return ship.New(ship.Options{
		Address: c.Address, Roots: roots, Token: func() ([]byte, error) { return os.ReadFile(c.TokenFile) },
		Dial: s.dialCollector, Dir: s.config.Data, Tenant: s.config.Tenant, Agent: s.config.Agent, Chain: s.journal,
		Log: s.log, Observer: s.metrics.Ship,
	}), nil
}

// dialCollector connects to an address of the collector's that was resolved,
// classified and pinned like any other. Its own blocks are open to it alone.
func (s *Sidecar) dialCollector(ctx context.Context, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	guard := resolver.NewGuard(s.config.Collector.Addresses, nil, nil).WithNAT64(s.config.Resolver.NAT64)
	pin, err := s.resolver.Pin(ctx, host, uint16(number), guard)
	if denied, ok := errors.AsType[*resolver.DeniedError](err); ok {
		return nil, fmt.Errorf("%w; open its block in collector.addresses, if that is where the collector is", denied)
	}
	if err != nil {
		return nil, err
	}
	return (&resolver.Dialer{Timeout: s.config.Timeouts.Dial}).Dial(ctx, pin, uint16(number), guard)
}

// drain ships what the journal, which is closed, still has: its clean stop among
// it. What the collector does not take in time waits for the next start.
func (s *Sidecar) drain(ctx context.Context) {
	if s.shipper == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Collector.DrainTimeout)
	defer cancel()
	rest, err := journal.OpenReader(s.config.Data)
	if err == nil {
		err = s.shipper.Drain(ctx, rest, func(document []byte) error { return journal.SetAckedStopped(s.config.Data, document) })
		err = errors.Join(err, rest.Close())
	}
	if err != nil {
		s.log.Warn("the collector has not taken everything: the rest is shipped after the next start", "error", err.Error())
	}
}
