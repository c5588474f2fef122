package main

import "fmt"

// mode is how a request gets to the origin.
type mode string

const (
	plain     mode = "plain"     // absolute-form HTTP
	opaque    mode = "opaque"    // TLS to the origin through a tunnel
	inspected mode = "inspected" // TLS that the proxy terminates
)

// scenario is one kind of load.
type scenario struct {
	name  string
	title string
	mode  mode
	conns int
	fresh bool // each request on a connection, tunnel and TLS session of its own
	bulk  bool // bytes without end, instead of requests
}

// scenarios are all kinds of load, in the order of the table.
func scenarios() []scenario {
	var all []scenario
	for _, kind := range []struct {
		name, title string
		mode        mode
	}{
		{"http", "plain HTTP", plain},
		{"tunnel", "opaque tunnel, kept alive", opaque},
		{"intercept", "interception, kept alive", inspected},
	} {
		for _, n := range []int{1, 16, 64} {
			title := fmt.Sprintf("%s, %d connections", kind.title, n)
			if n == 1 {
				title = kind.title + ", 1 connection"
			}
			all = append(all, scenario{name: fmt.Sprintf("%s-%d", kind.name, n), title: title, mode: kind.mode, conns: n})
		}
	}
	return append(all,
		scenario{name: "new-tunnel", title: "a new opaque tunnel for each request, 16 at once", mode: opaque, conns: 16, fresh: true},
		scenario{name: "new-intercept", title: "a new intercepted tunnel for each request, 16 at once", mode: inspected, conns: 16, fresh: true},
		scenario{name: "bulk", title: "bulk transfer through one opaque tunnel", mode: opaque, conns: 1, bulk: true},
	)
}
