package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// warmUp is how long every connection is used before anything is counted.
const warmUp = 100 * time.Millisecond

// patience bounds what must not take long: whatever hangs fails the run.
const patience = 30 * time.Second

// load is one measurement: a closed loop on each connection, which sends its next
// request when it has the answer to the last one.
type load struct {
	scenario scenario
	proxy    string // address; "" goes to the origin itself
	origin   originAddrs
	tls      *tls.Config // for what is inside a tunnel

	phase   atomic.Int32
	counted atomic.Int64 // requests that have ended while measuring, or bytes that have come
}

const (
	warming int32 = iota
	measuring
	done
)

// sample is what one measurement has counted.
type sample struct {
	Requests    int           `json:"requests"`
	Bytes       int64         `json:"bytes,omitempty"`
	Took        time.Duration `json:"took_ns"`
	CPU         time.Duration `json:"cpu_ns"` // of the process that is measured
	P50         time.Duration `json:"p50_ns,omitempty"`
	P99         time.Duration `json:"p99_ns,omitempty"`
	Connections int           `json:"connections,omitempty"` // that the origin accepted meanwhile
}

// run measures for a window of time, and reads pid's CPU time at both its ends.
func (l *load) run(ctx context.Context, window time.Duration, pid int) (*sample, error) {
	ctx, cancel := context.WithTimeout(ctx, window+patience)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	ready := make(chan struct{}, l.scenario.conns)
	latencies := make([][]time.Duration, l.scenario.conns)
	for i := range l.scenario.conns {
		group.Go(func() (err error) {
			latencies[i], err = l.worker(ctx, ready)
			return err
		})
	}
	s, err := l.window(ctx, ready, window, pid)
	l.phase.Store(done)
	if err != nil {
		cancel()
	}
	if groupErr := group.Wait(); groupErr != nil {
		return nil, groupErr // the cause; err is only that ctx has ended
	}
	if err != nil {
		return nil, err
	}
	if l.scenario.bulk {
		s.Bytes = l.counted.Load()
	}
	s.latencies(latencies)
	return s, nil
}

// window counts from when every connection has had its first answer and the
// warm-up is over, for as long as it takes to have something to count.
func (l *load) window(ctx context.Context, ready <-chan struct{}, window time.Duration, pid int) (*sample, error) {
	for range l.scenario.conns {
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if err := wait(ctx, warmUp); err != nil {
		return nil, err
	}
	accepted, err := originConnections(ctx, l.origin)
	if err != nil {
		return nil, err
	}
	cpu, err := cpuTime(pid)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	l.phase.Store(measuring)
	for first := true; first || l.counted.Load() == 0; first = false {
		if err := wait(ctx, window); err != nil {
			return nil, err
		}
	}
	l.phase.Store(done)
	s := &sample{Took: time.Since(start)}
	after, err := cpuTime(pid)
	if err != nil {
		return nil, err
	}
	s.CPU = after - cpu
	total, err := originConnections(ctx, l.origin)
	s.Connections = total - accepted - 1 // the one that asks
	return s, err
}

// worker keeps one connection busy, or makes one for each request.
func (l *load) worker(ctx context.Context, ready chan<- struct{}) (latencies []time.Duration, err error) {
	if l.scenario.bulk {
		return nil, l.receive(ctx, ready)
	}
	request := l.request()
	var c *clientConn
	defer func() { c.hangUp() }()
	for first := true; l.phase.Load() != done; first = false {
		start := time.Now()
		if c == nil {
			if c, err = l.dial(ctx); err != nil {
				return nil, err
			}
		}
		if err := c.exchange(request); err != nil {
			return nil, err
		}
		if l.scenario.fresh {
			c.hangUp()
			c = nil
		}
		if l.phase.Load() == measuring {
			latencies = append(latencies, time.Since(start))
			l.counted.Add(1)
		}
		if first {
			ready <- struct{}{}
		}
	}
	return latencies, nil
}

func (l *load) request() []byte {
	host, target := l.host(), "/v1/answer"
	if l.scenario.mode == plain && l.proxy != "" {
		target = "http://" + host + target
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: signet-bench\r\nAccept: application/json\r\n\r\n", target, host)
}

// host is where the scenario's requests go to.
func (l *load) host() string {
	switch {
	case l.scenario.bulk:
		return fmt.Sprintf("%s:%d", opaqueHost, l.origin.Bulk)
	case l.scenario.mode == opaque:
		return fmt.Sprintf("%s:%d", opaqueHost, l.origin.Secure)
	case l.scenario.mode == inspected:
		return fmt.Sprintf("%s:%d", inspectedHost, l.origin.Secure)
	}
	return fmt.Sprintf("%s:%d", opaqueHost, l.origin.Plain)
}

// dial makes a connection that takes requests.
func (l *load) dial(ctx context.Context) (*clientConn, error) {
	addr := l.proxy
	if addr == "" {
		_, port, _ := net.SplitHostPort(l.host())
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	c, err := dialClient(ctx, addr)
	if err != nil {
		return nil, err
	}
	if err := l.enter(ctx, c); err != nil {
		c.hangUp()
		return nil, err
	}
	return c, nil
}

// enter opens the tunnel, where there is one, and TLS inside of it.
func (l *load) enter(ctx context.Context, c *clientConn) error {
	if l.scenario.mode == plain {
		return nil
	}
	if l.proxy != "" {
		if err := c.connect(l.host()); err != nil {
			return err
		}
	}
	if l.scenario.bulk {
		return nil
	}
	return c.secure(ctx, l.tls)
}

// receive takes all that comes through a tunnel.
func (l *load) receive(ctx context.Context, ready chan<- struct{}) error {
	c, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer c.hangUp()
	if _, err := c.Write(clientHello(opaqueHost)); err != nil {
		return err
	}
	buffer := make([]byte, 1<<20)
	for first := true; l.phase.Load() != done; first = false {
		n, err := c.drop(buffer)
		if err != nil {
			return err
		}
		if l.phase.Load() == measuring {
			l.counted.Add(int64(n))
		}
		if first {
			ready <- struct{}{}
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
