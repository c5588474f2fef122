package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

const (
	maxAliases = 8  // CNAMEs on one chain
	maxRecords = 64 // in one answer section
)

// errMismatch marks a message that is no answer to the question that was asked:
// forged, late or mangled on the way.
var errMismatch = errors.New("not an answer to the question")

// check returns why m does not answer the query with this id and question. The
// name must come back in the very case in which it was sent.
func check(m *dns.Msg, id uint16, q dns.Question) error {
	switch {
	case !m.Response:
		return fmt.Errorf("%w: a query", errMismatch)
	case m.Opcode != dns.OpcodeQuery:
		return fmt.Errorf("%w: wrong opcode", errMismatch)
	case m.Id != id:
		return fmt.Errorf("%w: wrong ID", errMismatch)
	case len(m.Question) != 1 || m.Question[0] != q:
		return fmt.Errorf("%w: wrong question", errMismatch)
	}
	return nil
}

// records is what an answer section says of one name and type.
type records struct {
	addrs []netip.Addr
	cname []string      // aliases on the way from the name, without it
	ttl   time.Duration // of the shortest record on the chain; for no address, of the lack of one
}

// follow walks the alias chain from q through the answer section of m. Records
// off the chain, and those of the other sections, count for nothing, except
// that the zone's SOA may shorten how long the lack of an address is remembered.
func follow(q dns.Question, m *dns.Msg) (records, error) {
	if len(m.Answer) > maxRecords {
		return records{}, fmt.Errorf("the answer has %d records; %d are the limit", len(m.Answer), maxRecords)
	}
	r := records{ttl: maxTTL}
	name := hostOf(q.Name)
	for {
		alias, found, err := aliasOf(m.Answer, name)
		if err != nil {
			return records{}, err
		}
		if !found {
			break
		}
		next := hostOf(alias.Target)
		if next == hostOf(q.Name) || slices.Contains(r.cname, next) {
			return records{}, fmt.Errorf("the aliases of the name go round in a loop at %s", next)
		}
		if len(r.cname) == maxAliases {
			return records{}, fmt.Errorf("the name has more than %d aliases in a row", maxAliases)
		}
		r.cname = append(r.cname, next)
		r.ttl = min(r.ttl, ttl(alias.Hdr.Ttl))
		name = next
	}
	for _, rr := range m.Answer {
		a, ok := address(rr, q.Qtype)
		if !ok || hostOf(rr.Header().Name) != name {
			continue
		}
		r.addrs = append(r.addrs, a)
		r.ttl = min(r.ttl, ttl(rr.Header().Ttl))
	}
	if m.Rcode == dns.RcodeNameError {
		r.addrs = nil
	}
	if len(r.addrs) == 0 {
		r.ttl = negative(m, name)
	}
	return r, nil
}

// aliasOf returns the CNAME record of name. Two that disagree leave the chain
// to chance, so they are refused.
func aliasOf(section []dns.RR, name string) (*dns.CNAME, bool, error) {
	var found *dns.CNAME
	for _, rr := range section {
		alias, ok := rr.(*dns.CNAME)
		if !ok || alias.Hdr.Class != dns.ClassINET || hostOf(alias.Hdr.Name) != name {
			continue
		}
		if found != nil && hostOf(found.Target) != hostOf(alias.Target) {
			return nil, false, fmt.Errorf("%s has two different aliases", name)
		}
		if found == nil || alias.Hdr.Ttl < found.Hdr.Ttl {
			found = alias
		}
	}
	return found, found != nil, nil
}

// address returns the address of rr if it is of class IN and of this type.
func address(rr dns.RR, qtype uint16) (netip.Addr, bool) {
	if rr.Header().Class != dns.ClassINET || rr.Header().Rrtype != qtype {
		return netip.Addr{}, false
	}
	var ip []byte
	switch rr := rr.(type) {
	case *dns.A:
		ip = rr.A
	case *dns.AAAA:
		ip = rr.AAAA
	}
	a, ok := netip.AddrFromSlice(ip)
	return a.Unmap(), ok
}

// ttl clamps the TTL of a record. One with the top bit set is 0 (RFC 2181,
// section 8).
func ttl(seconds uint32) time.Duration {
	if seconds == 0 || seconds > 1<<31-1 {
		return 0
	}
	return min(max(time.Duration(seconds)*time.Second, minTTL), maxTTL)
}

// negative returns how long the lack of an address of name may be remembered
// (RFC 2308, section 5).
func negative(m *dns.Msg, name string) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, dns.Fqdn(name)) {
			return min(ttl(soa.Hdr.Ttl), ttl(soa.Minttl), negativeTTL)
		}
	}
	return negativeTTL
}
