// Package doctor examines, from where an agent runs, whether its clients go
// through Signet and trust it, and whether there is a way around.
//
// It sends nothing outside unless it is told where to. What goes to the proxy
// asks for an address of TEST-NET-1 (RFC 5737), which Signet denies in every
// mode, without a DNS query or a connection; each such request leaves a receipt.
package doctor

import (
	"context"
	"crypto/x509"
	"net/netip"
	"net/url"
	"time"
)

// Status is a check's colour.
type Status string

// The statuses, from good to bad.
const (
	Green  Status = "green"
	Yellow Status = "yellow" // may be meant so, or could not be told
	Red    Status = "red"
)

// Check is one finding. The JSON names are part of the command's contract.
type Check struct {
	Group  string `json:"group"` // proxy, variables, clients, trust, ways out, names, clock, disk
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // what to do; empty when green
}

// Report is all that was found.
type Report struct {
	Proxy        string   `json:"proxy"` // that was asked; empty when none is known
	Checks       []Check  `json:"checks"`
	NotInstalled []string `json:"not_installed"` // clients that were not found
}

// Count is how many checks have a status.
func (r *Report) Count(s Status) (n int) {
	for _, c := range r.Checks {
		if c.Status == s {
			n++
		}
	}
	return n
}

// Options say what to examine, and what may be sent where.
type Options struct {
	// Environ is what the agent's processes get, as os.Environ has it.
	Environ []string
	// Proxy is where Signet should be; nil: what the variables say.
	Proxy *url.URL
	// CA is the root of the interception CA that clients are to trust; nil: not
	// checked.
	CA *x509.Certificate
	// Probe is fetched by every client through the proxy; nil: nothing outside is.
	Probe *url.URL
	// Direct are addresses to try to reach around the proxy, besides those that
	// belong to nobody (RFC 5737, RFC 3849).
	Direct []netip.AddrPort
	// Data is Signet's data directory, whose disk is looked at; empty: not.
	Data string
	// Newest is the time of the journal's newest record; zero: not known.
	Newest time.Time
	// Timeout bounds each client's request, and four times it a client's start and
	// end with it; ways out that nobody can answer get a fifth.
	Timeout time.Duration
	// Resolv is the resolver configuration; /etc/resolv.conf when empty.
	Resolv string
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// examination is a run under way.
type examination struct {
	Options
	env     environment
	denied  map[string]string // by scheme: what every client asks the proxy for
	answers answers           // of the proxy, and through it
}

// Run makes all checks. It ends early, with what it has, only with ctx.
func Run(ctx context.Context, o Options) *Report {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Resolv == "" {
		o.Resolv = "/etc/resolv.conf"
	}
	e := &examination{Options: o, env: environment(o.Environ)}
	e.denied = map[string]string{"http": "http://" + nobody4 + "/", "https": "https://" + nobody4 + "/"}
	if e.Proxy == nil {
		e.Proxy = e.env.proxy()
	}
	r := &Report{NotInstalled: []string{}}
	if e.Proxy != nil {
		r.Proxy = e.Proxy.Redacted()
	}
	r.Checks = append(r.Checks, e.proxy(ctx)...)
	r.Checks = append(r.Checks, e.variables()...)
	clients, missing := e.clients(ctx)
	r.Checks = append(r.Checks, clients...)
	r.NotInstalled = append(r.NotInstalled, missing...)
	r.Checks = append(r.Checks, e.waysOut(ctx)...)
	r.Checks = append(r.Checks, e.names()...)
	r.Checks = append(r.Checks, e.clock())
	if e.Data != "" {
		r.Checks = append(r.Checks, disk(e.Data))
	}
	return r
}
