package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	tries = 3 // questions asked for one family, over all upstreams

	minTTL      = time.Second
	maxTTL      = 300 * time.Second
	negativeTTL = 30 * time.Second // for a name or address that does not exist
	failureTTL  = time.Second      // for a lookup that failed (RFC 9520, section 3.2)
)

// upstream is one recursive resolver.
type upstream interface {
	// exchange asks q and returns a checked, untruncated answer to exactly q.
	exchange(ctx context.Context, q dns.Question) (*dns.Msg, error)
	// String is the upstream's address as in the configuration, in full.
	String() string
	// close ends what outlives an exchange.
	close()
}

var errRefused = errors.New("the upstream answered")

// reply is what one family's question brought.
type reply struct {
	records
	missing  string // why there is no address: NXDOMAIN or NODATA
	upstream string
	err      error
}

// lookup asks for the A and AAAA records of name together. Both must be
// answered: with one family unknown, an address of it could be the bad one that
// denies the whole answer.
func (r *Resolver) lookup(ctx context.Context, name string) (answer, *LookupError) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	var a, aaaa reply
	z := r.zoneOf(name)
	var wg sync.WaitGroup
	wg.Go(func() { a = r.ask(ctx, z, name, dns.TypeA) })
	wg.Go(func() { aaaa = r.ask(ctx, z, name, dns.TypeAAAA) })
	wg.Wait()
	out, err := combine(name, a, aaaa)
	out.holes = z.opens(out.cname)
	return out, err
}

// ask asks for one family, each try with its share of the time and the next
// upstream.
func (r *Resolver) ask(ctx context.Context, z *zone, name string, qtype uint16) reply {
	q := dns.Question{Name: dns.Fqdn(name), Qtype: qtype, Qclass: dns.ClassINET}
	servers := z.order(r.now())
	var last reply
	for i := range tries {
		s := servers[i%len(servers)]
		last = reply{upstream: s.String()}
		msg, err := r.try(ctx, z, s, q, tries-i)
		if err == nil {
			last.records, err = follow(q, msg)
			last.missing = missing(msg.Rcode, last.records)
			last.err = err
			return last
		}
		last.err = err
		if ctx.Err() != nil {
			return last
		}
	}
	return last
}

func (r *Resolver) try(ctx context.Context, z *zone, s *server, q dns.Question, left int) (*dns.Msg, error) {
	ctx, cancel := share(ctx, left, 0)
	defer cancel()
	msg, err := s.exchange(ctx, q)
	if err == nil {
		s.answered()
		err = unusable(msg, z.requireAD)
	} else {
		s.failed(r.now(), err)
	}
	r.observer.Query(s.String(), queryResult(err))
	return msg, err
}

// unusable says why an answer, though it is one, is not taken.
func unusable(m *dns.Msg, requireAD bool) error {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return fmt.Errorf("%w %s", errRefused, cmp.Or(dns.RcodeToString[m.Rcode], "with an unknown code"))
	}
	if requireAD && !m.AuthenticatedData {
		return fmt.Errorf("%w without the AD bit, which the configuration requires: the name is not signed, or the upstream does not validate", errRefused)
	}
	return nil
}

// queryResult is the metric label of a question.
func queryResult(err error) string {
	switch {
	case err == nil:
		return "answered"
	case errors.Is(err, errRefused):
		return "refused"
	case isTimeout(err):
		return "timeout"
	}
	return "failed"
}

func missing(rcode int, r records) string {
	switch {
	case rcode == dns.RcodeNameError:
		return "NXDOMAIN"
	case len(r.addrs) == 0:
		return "NODATA"
	}
	return ""
}

// combine makes one answer of both families.
func combine(name string, a, aaaa reply) (answer, *LookupError) {
	resolver := a.upstream
	if aaaa.upstream != a.upstream {
		resolver += "," + aaaa.upstream
	}
	if err := errors.Join(familyError("A", a.err), familyError("AAAA", aaaa.err)); err != nil {
		return answer{}, &LookupError{
			Host:     name,
			Resolver: resolver,
			Why:      why(a.err, aaaa.err),
			Timeout:  isTimeout(a.err) || isTimeout(aaaa.err),
			Err:      err,
		}
	}
	if a.missing != "" && aaaa.missing != "" {
		text := "the name has no address (NODATA)"
		if a.missing == "NXDOMAIN" || aaaa.missing == "NXDOMAIN" {
			text = "the name does not exist (NXDOMAIN)"
		}
		return answer{ttl: min(a.ttl, aaaa.ttl)}, &LookupError{Host: name, Resolver: resolver, Why: text, NotFound: true}
	}
	out := answer{resolver: resolver, ttl: maxTTL}
	for _, f := range []reply{a, aaaa} {
		if f.missing != "" {
			continue
		}
		out.ttl = min(out.ttl, f.ttl)
		for _, alias := range f.cname {
			if !slices.Contains(out.cname, alias) {
				out.cname = append(out.cname, alias)
			}
		}
	}
	out.addrs = interleave(a.addrs, aaaa.addrs)
	return out, nil
}

func familyError(family string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", family, err)
}

func why(a, aaaa error) string {
	if a != nil && aaaa != nil {
		return "no upstream gave a usable answer"
	}
	return "A and AAAA must both be answered, and one was not"
}

// interleave alternates the families, IPv4 first, so that a family that is
// broken on this machine costs one address's share of the dialling time. An
// address is kept once.
func interleave(a, aaaa []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for i := range max(len(a), len(aaaa)) {
		for _, list := range [][]netip.Addr{a, aaaa} {
			if i < len(list) && !slices.Contains(out, list[i]) {
				out = append(out, list[i])
			}
		}
	}
	return out
}

// resultEntry makes the entry of what a lookup brought; before is what the name
// led to last.
func resultEntry(name string, a answer, err *LookupError, before *Pin, now time.Time) *entry {
	switch {
	case err == nil:
		return newEntry(name, a, before, now)
	case err.NotFound:
		return &entry{err: err, before: before, expires: now.Add(min(a.ttl, negativeTTL))}
	}
	return &entry{err: err, before: before, expires: now.Add(failureTTL)}
}

// result is the metric label of a lookup.
func result(err *LookupError) string {
	switch {
	case err == nil:
		return "answered"
	case err.NotFound:
		return "not-found"
	case err.Timeout:
		return "timeout"
	}
	return "failed"
}

// hostOf is a name on the wire as it stands in a pin.
func hostOf(fqdn string) string { return strings.TrimSuffix(dns.CanonicalName(fqdn), ".") }
