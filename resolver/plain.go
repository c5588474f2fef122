package resolver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// udpSize is the largest datagram that is asked for and accepted: one that no
// path fragments (RFC 9715, section 3).
const udpSize = 1232

// plain is an upstream over UDP, and over TCP where UDP is not enough.
type plain struct {
	addr netip.AddrPort
	name string
}

func newPlain(ap netip.AddrPort) *plain {
	return &plain{addr: ap, name: "udp://" + ap.String()}
}

func (p *plain) String() string { return p.name }

func (p *plain) close() {} // no connection outlives its question

// exchange asks over UDP, and again over TCP if the answer is truncated or if
// any datagram comes that does not answer the question exactly: a forger gets a
// single guess.
func (p *plain) exchange(ctx context.Context, q dns.Question) (*dns.Msg, error) {
	m, err := p.udp(ctx, q)
	if err == nil && !m.Truncated {
		return m, nil
	}
	if err != nil && !errors.Is(err, errMismatch) {
		return nil, fmt.Errorf("asking over UDP: %w", err)
	}
	m, err = p.tcp(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("asking over TCP: %w", err)
	}
	return m, nil
}

// udp asks from a fresh, connected socket: the kernel gives it a random source
// port and drops what other hosts send. The letters of the name get random case.
func (p *plain) udp(ctx context.Context, q dns.Question) (*dns.Msg, error) {
	q.Name = randomCase(q.Name)
	query := newQuery(q)
	conn, stop, err := dialUpstream(ctx, "udp", p.addr.String())
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := conn.WriteMsg(query); err != nil {
		return nil, contextError(ctx, err)
	}
	// One byte more than is acceptable, so that a longer datagram shows.
	buf := make([]byte, udpSize+1)
	n, err := conn.Conn.Read(buf)
	if err != nil {
		return nil, contextError(ctx, err)
	}
	if n > udpSize {
		return nil, fmt.Errorf("%w: a datagram of more than %d bytes", errMismatch, udpSize)
	}
	return decode(buf[:n], query.Id, q)
}

// tcp asks over a fresh connection. The name keeps its case: nobody off the
// path can answer here, and some servers change it.
func (p *plain) tcp(ctx context.Context, q dns.Question) (*dns.Msg, error) {
	query := newQuery(q)
	conn, stop, err := dialUpstream(ctx, "tcp", p.addr.String())
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := conn.WriteMsg(query); err != nil {
		return nil, contextError(ctx, err)
	}
	wire, err := conn.ReadMsgHeader(nil)
	if err != nil {
		return nil, contextError(ctx, err)
	}
	return decodeWhole(wire, query.Id, q)
}

// dialUpstream connects to an upstream. Reads and writes fail when ctx ends;
// stop closes the connection.
func dialUpstream(ctx context.Context, network, addr string) (conn *dns.Conn, stop func(), err error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, nil, contextError(ctx, err)
	}
	release := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return &dns.Conn{Conn: c}, func() {
		release()
		_ = c.Close()
	}, nil
}

// contextError prefers the end of ctx to the I/O error that it caused.
func contextError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// decode reads an answer to the query with this id and question. It is the
// first to touch bytes from the network.
func decode(wire []byte, id uint16, q dns.Question) (*dns.Msg, error) {
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		return nil, fmt.Errorf("%w: %w", errMismatch, err)
	}
	if err := check(m, id, q); err != nil {
		return nil, err
	}
	return m, nil
}

// decodeWhole is decode for transports that have room for every answer.
func decodeWhole(wire []byte, id uint16, q dns.Question) (*dns.Msg, error) {
	m, err := decode(wire, id, q)
	if err == nil && m.Truncated {
		return nil, errors.New("the answer is truncated")
	}
	return m, err
}

func newQuery(q dns.Question) *dns.Msg {
	m := &dns.Msg{Question: []dns.Question{q}}
	m.RecursionDesired = true
	m.AuthenticatedData = true // asks for the bit in the answer (RFC 6840, section 5.7)
	m.Id = randomID()
	m.SetEdns0(udpSize, false)
	return m
}

func randomID() uint16 {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return binary.BigEndian.Uint16(b[:])
}

// randomCase gives each letter of name a random case, which an answer must
// echo (draft-vixie-dnsext-dns0x20): a bit a letter that a forger has to guess.
func randomCase(name string) string {
	out := []byte(name)
	var bits [32]byte
	_, _ = rand.Read(bits[:])
	for i, c := range out {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if letter && bits[i/8]>>(i%8)&1 == 1 {
			out[i] ^= 0x20
		}
	}
	return string(out)
}
