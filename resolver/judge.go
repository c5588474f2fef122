package resolver

import "net/netip"

// judgement is what one Guard says of an entry.
type judgement struct {
	guard   *Guard
	pin     *Pin         // marked, if it is rebinding
	denied  *DeniedError // or nil
	at      netip.Addr   // the address that decided; not valid where all are public
	verdict Verdict      // of that address
	rebound bool
}

// judgement returns what g says of e, which must have a pin.
func (e *entry) judgement(g *Guard) *judgement {
	if j := e.judged.Load(); j != nil && j.guard == g {
		return j
	}
	j := &judgement{guard: g, pin: e.pin}
	j.at, j.verdict = survey(e.pin, g)
	j.rebound = rebinding(e.before, g, j.verdict)
	if !j.verdict.Allowed {
		j.denied = &DeniedError{Host: e.pin.Host, Addr: j.at, Verdict: j.verdict, Answer: e.pin, Rebound: j.rebound}
	} else if j.rebound {
		marked := *e.pin
		marked.Rebound = true
		j.pin = &marked
	}
	e.judged.Store(j)
	return j
}

// survey returns the address of p that decides: the first that is denied, which
// poisons the whole answer, since keeping the good ones would let a name mix both
// and wait for a fall-back; else the first that is open only to a hole.
func survey(p *Pin, g *Guard) (netip.Addr, Verdict) {
	var at netip.Addr
	worst := Verdict{Allowed: true, Class: ClassPublic}
	for _, a := range p.Addrs {
		switch v := g.address(a, p.holes); {
		case !v.Allowed:
			return a, v
		case v.Class != ClassPublic && worst.Class == ClassPublic:
			at, worst = a, v
		}
	}
	return at, worst
}

// rebinding reports whether a name that leads to now got there from an answer
// that was better: allowed and now not, or public and now not. Both are judged by
// one Guard, so that a new policy is none.
func rebinding(before *Pin, g *Guard, now Verdict) bool {
	if before == nil || now.Allowed && now.Class == ClassPublic {
		return false
	}
	_, was := survey(before, g)
	return was.Allowed && (!now.Allowed || was.Class == ClassPublic)
}

// endpoint returns the pin, or which address of it must not be dialled at port.
func (j *judgement) endpoint(port uint16) (*Pin, error) {
	if j.denied != nil {
		return nil, j.denied
	}
	if j.guard.ownPort(port) {
		for _, a := range j.pin.Addrs {
			if v := j.guard.endpoint(netip.AddrPortFrom(a, port), j.pin.holes); !v.Allowed {
				return nil, &DeniedError{Host: j.pin.Host, Addr: a, Verdict: v, Answer: j.pin, Rebound: j.rebound}
			}
		}
	}
	return j.pin, nil
}
