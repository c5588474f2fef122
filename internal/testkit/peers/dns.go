package peers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// DNS is an authoritative server over UDP and TCP, both on one port. A name
// that was never set does not exist (NXDOMAIN). It counts every query.
type DNS struct {
	addr    netip.AddrPort
	servers []*dns.Server
	running sync.WaitGroup

	mu    sync.Mutex
	names map[string]*zoneName
	log   []Query
}

// Query is one question that reached the server.
type Query struct {
	Name      string // lower case, no trailing dot
	Type      string // "A", "AAAA", …
	Transport string // "udp" or "tcp"
}

// Answer is what one lookup of a name gives.
type Answer struct {
	Addrs []netip.Addr
	TTL   time.Duration // whole seconds
	CNAME string        // the name is an alias of this one; Addrs is not used
	RCode int           // RFC 1035 section 4.1.1 and its registry; 0 is success

	Truncate bool // over UDP: no records and the TC bit, so that the client asks over TCP
	Silent   bool // no answer at all
}

// zoneName is the answers of one name, in turn for each query type: A and AAAA
// of one lookup get the same one.
type zoneName struct {
	answers []Answer
	asked   map[uint16]int
}

// StartDNS serves on 127.0.0.1, on a port that is free for both transports.
func StartDNS() (*DNS, error) { return StartDNSAt("127.0.0.1:0") }

// StartDNSAt serves at address, whose port may be 0.
func StartDNSAt(address string) (*DNS, error) {
	packets, listener, err := listenBoth(address)
	if err != nil {
		return nil, fmt.Errorf("start a DNS server: %w", err)
	}
	d := &DNS{addr: addrPort(listener.Addr()), names: map[string]*zoneName{}}
	d.serve(&dns.Server{PacketConn: packets, Handler: d.handler("udp")})
	d.serve(&dns.Server{Listener: listener, Handler: d.handler("tcp")})
	return d, nil
}

// listenBoth tries until a port that is free for UDP is free for TCP too.
func listenBoth(address string) (net.PacketConn, net.Listener, error) {
	var config net.ListenConfig
	var last error
	for range 64 {
		packets, err := config.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			return nil, nil, err
		}
		listener, err := listen(packets.LocalAddr().String())
		if err == nil {
			return packets, listener, nil
		}
		last = err
		_ = packets.Close()
	}
	return nil, nil, fmt.Errorf("no port is free for both UDP and TCP: %w", last)
}

// serve returns once the server runs, since Shutdown of one that has not
// started yet fails.
func (d *DNS) serve(server *dns.Server) {
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	ended := make(chan struct{})
	d.servers = append(d.servers, server)
	d.running.Go(func() {
		defer close(ended)
		_ = server.ActivateAndServe()
	})
	select {
	case <-started:
	case <-ended:
	}
}

// Addr is where it serves, over both transports.
func (d *DNS) Addr() netip.AddrPort { return d.addr }

// URL is the server as resolver.upstreams names it.
func (d *DNS) URL() string { return "udp://" + d.addr.String() }

// Set makes name answer with addrs, A and AAAA by their family.
func (d *DNS) Set(name string, ttl time.Duration, addrs ...netip.Addr) {
	d.Sequence(name, Answer{Addrs: addrs, TTL: ttl})
}

// CNAME makes name an alias of target, whose records are sent along when the
// server has them.
func (d *DNS) CNAME(name, target string, ttl time.Duration) {
	d.Sequence(name, Answer{CNAME: target, TTL: ttl})
}

// Sequence makes the n-th lookup of name give the n-th answer, and those after
// the last give the last.
func (d *DNS) Sequence(name string, answers ...Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[canonicalName(name)] = &zoneName{answers: answers, asked: map[uint16]int{}}
}

// Queries is how many questions of any type came for name.
func (d *DNS) Queries(name string) int {
	n := 0
	for _, q := range d.Log() {
		if q.Name == canonicalName(name) {
			n++
		}
	}
	return n
}

// Log is every question so far, in order of arrival.
func (d *DNS) Log() []Query {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Query(nil), d.log...)
}

// Close stops both transports and waits for their goroutines.
func (d *DNS) Close() {
	for _, server := range d.servers {
		_ = server.Shutdown()
	}
	d.running.Wait()
}

func (d *DNS) handler(transport string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, query *dns.Msg) {
		if reply := d.reply(query, transport); reply != nil {
			_ = w.WriteMsg(reply)
		}
	}
}

// reply is nil where the client is to wait in vain.
func (d *DNS) reply(query *dns.Msg, transport string) *dns.Msg {
	reply := new(dns.Msg).SetReply(query)
	reply.Authoritative = true
	if len(query.Question) != 1 {
		return reply.SetRcode(query, dns.RcodeFormatError)
	}
	question := query.Question[0]

	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, Query{
		Name: canonicalName(question.Name), Type: dns.TypeToString[question.Qtype], Transport: transport,
	})
	answer, ok := d.next(question.Name, question.Qtype)
	switch {
	case !ok:
		return reply.SetRcode(query, dns.RcodeNameError)
	case answer.Silent:
		return nil
	case answer.Truncate && transport == "udp":
		reply.Truncated = true
		return reply
	}
	reply.Rcode = answer.RCode
	reply.Answer = d.records(question.Name, question.Qtype, answer)
	fit(reply, query, transport)
	return reply
}

// fit sets the TC bit and drops records where the client's buffer is too small.
func fit(reply, query *dns.Msg, transport string) {
	size := dns.MaxMsgSize
	if transport == "udp" {
		size = dns.MinMsgSize
	}
	if opt := query.IsEdns0(); opt != nil {
		if transport == "udp" {
			size = max(size, int(opt.UDPSize()))
		}
		reply.SetEdns0(opt.UDPSize(), opt.Do())
	}
	reply.Truncate(size)
}

// next takes the answer whose turn it is. Callers hold the lock.
func (d *DNS) next(name string, qtype uint16) (Answer, bool) {
	zone := d.names[canonicalName(name)]
	if zone == nil || len(zone.answers) == 0 {
		return Answer{}, false
	}
	n := min(zone.asked[qtype], len(zone.answers)-1)
	zone.asked[qtype]++
	return zone.answers[n], true
}

// records follows aliases within the server, up to a length that still lets a
// test send a chain that is too long. Callers hold the lock.
func (d *DNS) records(name string, qtype uint16, answer Answer) []dns.RR {
	const longest = 32
	var records []dns.RR
	for range longest {
		header := dns.RR_Header{Name: dns.Fqdn(name), Class: dns.ClassINET, Ttl: uint32(answer.TTL / time.Second)}
		if answer.CNAME == "" {
			return append(records, addressRecords(header, qtype, answer.Addrs)...)
		}
		header.Rrtype = dns.TypeCNAME
		records = append(records, &dns.CNAME{Hdr: header, Target: dns.Fqdn(answer.CNAME)})
		name = answer.CNAME
		var ok bool
		if answer, ok = d.next(name, qtype); !ok {
			return records
		}
	}
	return records
}

func addressRecords(header dns.RR_Header, qtype uint16, addrs []netip.Addr) []dns.RR {
	var records []dns.RR
	header.Rrtype = qtype
	for _, addr := range addrs {
		switch {
		case qtype == dns.TypeA && addr.Is4():
			records = append(records, &dns.A{Hdr: header, A: addr.AsSlice()})
		case qtype == dns.TypeAAAA && addr.Is6():
			records = append(records, &dns.AAAA{Hdr: header, AAAA: addr.AsSlice()})
		}
	}
	return records
}

func canonicalName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
