package policy

import "slices"

// rule is a compiled entry of rules, or of deny, where only its host patterns
// count. An empty list does not restrict.
type rule struct {
	index     int // place among all rules of all files
	name      string
	hosts     []hostPattern
	schemes   schemes
	ports     []uint16
	methods   []string
	paths     []pathPattern
	agents    []string
	intercept bool
	opaque    bool    // a tunnel may carry what is not TLS
	denyECH   bool    // a tunnel whose ClientHello hides its server name is refused
	limits    *Limits // nil: none

	loosePaths []pathPattern // of a selector: paths as servers read them that ignore case
}

// layer is the step that a request fails at, in the order of the steps.
type layer uint8

const (
	atHost layer = iota // no rule has the host for this agent
	atScheme
	atPort
	atMethod
	atPath
	passed
)

func (l layer) reason() Reason {
	switch l {
	case atScheme:
		return SchemeNotAllowed
	case atPort:
		return PortNotAllowed
	case atMethod:
		return MethodNotAllowed
	case atPath:
		return PathNotAllowed
	case passed:
		return OK
	}
	return HostNotAllowed
}

// reaches tells how far a request to one of the rule's hosts comes.
func (r *rule) reaches(req *Request) layer {
	switch {
	case r.agents != nil && !slices.Contains(r.agents, req.Agent):
		return atHost
	case !r.hasScheme(req):
		return atScheme
	case !slices.Contains(r.ports, req.Target.Port):
		return atPort
	case req.Tunnel:
		return passed
	case r.methods != nil && !slices.Contains(r.methods, req.Method):
		return atMethod
	case r.paths != nil && !r.hasPath(&req.Target):
		return atPath
	}
	return passed
}

func (r *rule) hasScheme(req *Request) bool {
	if req.Tunnel {
		return r.schemes&overTLS != 0
	}
	return r.schemes&schemeBit(req.Target.Scheme) != 0
}

func (r *rule) hasPath(t *Target) bool {
	for i := range r.paths {
		if r.paths[i].matches(t.reading) {
			return true
		}
	}
	return false
}

// schemes is a set.
type schemes uint8

const (
	schemeHTTP schemes = 1 << iota
	schemeHTTPS
	schemeWS
	schemeWSS

	overTLS   = schemeHTTPS | schemeWSS
	plaintext = schemeHTTP | schemeWS
)

// names lists the schemes of a set.
func (s schemes) names() []string {
	var names []string
	for _, name := range []string{"http", "https", "ws", "wss"} {
		if s&schemeBit(name) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// schemeBit is 0 for a scheme that is not carried.
func schemeBit(scheme string) schemes {
	switch scheme {
	case "http":
		return schemeHTTP
	case "https":
		return schemeHTTPS
	case "ws":
		return schemeWS
	case "wss":
		return schemeWSS
	}
	return 0
}
