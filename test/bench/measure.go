package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"
)

// userHZ is the unit of CPU time in /proc on every Linux architecture.
const userHZ = 10 * time.Millisecond

// cpuTime is the user and system time that a process has used: fields 14 and 15
// of proc_pid_stat(5).
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	// The second field is the program's name, which may hold anything; the third
	// follows its last parenthesis.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0, fmt.Errorf("read CPU time: /proc/%d/stat is short", pid)
	}
	var ticks int64
	for _, field := range []int{utime, stime} {
		n, err := strconv.ParseInt(string(fields[field]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * userHZ, nil
}

// originConnections is how many connections the origin has accepted, this one
// included.
func originConnections(ctx context.Context, o originAddrs) (int, error) {
	c, err := dialClient(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Plain)))
	if err != nil {
		return 0, err
	}
	defer c.hangUp()
	if _, err := fmt.Fprintf(c, "GET /connections HTTP/1.1\r\nHost: origin\r\n\r\n"); err != nil {
		return 0, err
	}
	length, err := c.answer()
	if err != nil {
		return 0, err
	}
	body, err := c.reader.Peek(length)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(body))
}

// latencies fills in what is told of them.
func (s *sample) latencies(of [][]time.Duration) {
	all := slices.Concat(of...)
	slices.Sort(all)
	s.Requests = len(all)
	if len(all) > 0 {
		s.P50, s.P99 = all[len(all)/2], all[len(all)*99/100]
	}
}

// units are requests, or megabytes of a bulk transfer.
func (s *sample) units() float64 {
	if s.Bytes > 0 {
		return float64(s.Bytes) / 1e6
	}
	return float64(s.Requests)
}

// rate is units per second.
func (s *sample) rate() float64 { return s.units() / s.Took.Seconds() }

// cost is CPU time per unit, in microseconds.
func (s *sample) cost() float64 { return float64(s.CPU.Microseconds()) / s.units() }

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
