package resolver

import (
	"fmt"
	"net/netip"
)

// DeniedError says that a name or literal leads to an address that must not be
// dialled. One such address denies all the others of the answer.
type DeniedError struct {
	Host    string
	Addr    netip.Addr
	Verdict Verdict
	Answer  *Pin // all that the name leads to, for the record; a Dialer refuses it
	Rebound bool // the name's answer before this one was allowed, or had public addresses only
}

func (e *DeniedError) Error() string {
	text := fmt.Sprintf("%s leads to %s, which is %s", e.Host, e.Addr, e.Verdict.Class)
	if e.Verdict.Block.IsValid() {
		text += fmt.Sprintf(" (%s, %s)", e.Verdict.Block, e.Verdict.What)
	}
	if e.Rebound {
		text += ", after an answer that led elsewhere (rebinding)"
	}
	switch {
	case e.Verdict.Class == ClassOwnAddress:
		return text + "; if that is meant, list this single address under addresses.allow"
	case closed(e.Verdict.Class):
		return text + "; addresses.allow cannot open it"
	}
	return text + "; if that is meant, list it under addresses.allow"
}

// LookupError says why a name has no addresses. Its text is for the operator:
// it names upstreams and must not be shown to an agent.
type LookupError struct {
	Host     string
	Resolver string // the upstreams that were asked; empty when none was
	Why      string
	NotFound bool // the name, or an address of it, does not exist
	Timeout  bool // no upstream answered in time, or the caller's context ended
	Err      error
}

func (e *LookupError) Error() string {
	text := "looking up " + e.Host
	if e.Resolver != "" {
		text += " through " + e.Resolver
	}
	text += ": " + e.Why
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *LookupError) Unwrap() error { return e.Err }

// DialError says why no address of a pin could be connected to. Its text is for
// the operator and must not be shown to an agent.
type DialError struct {
	Host    string
	Port    uint16
	Addr    netip.Addr // the last address that was tried
	Timeout bool       // the time ran out, on this side or in TCP
	Refused bool       // the host answered with a reset
	Err     error
}

func (e *DialError) Error() string {
	return fmt.Sprintf("connecting to %s at %s: %v", e.Host, netip.AddrPortFrom(e.Addr, e.Port), e.Err)
}

func (e *DialError) Unwrap() error { return e.Err }
