package policy

// Reason says why an exchange was allowed, denied or failed. The set is closed:
// it is a metric label, a member of every receipt and part of every denial.
type Reason string

// The reasons. docs/policy.md tells what to do about each.
const (
	OK                    Reason = "ok"
	TargetMalformed       Reason = "HEL_TARGET_MALFORMED"
	HostNotAllowed        Reason = "HEL_HOST_NOT_ALLOWED"
	HostDenied            Reason = "HEL_HOST_DENIED"
	SchemeNotAllowed      Reason = "HEL_SCHEME_NOT_ALLOWED"
	PortNotAllowed        Reason = "HEL_PORT_NOT_ALLOWED"
	MethodNotAllowed      Reason = "HEL_METHOD_NOT_ALLOWED"
	PathNotAllowed        Reason = "HEL_PATH_NOT_ALLOWED"
	SuspiciousPattern     Reason = "HEL_SUSPICIOUS_PATTERN"
	AddressDenied         Reason = "HEL_ADDRESS_DENIED"
	ResolveFailed         Reason = "HEL_RESOLVE_FAILED"
	SNIMismatch           Reason = "HEL_SNI_MISMATCH"
	AuthorityMismatch     Reason = "HEL_AUTHORITY_MISMATCH"
	NotTLS                Reason = "HEL_NOT_TLS"
	AuthRequired          Reason = "AUTH_REQUIRED"
	RateLimited           Reason = "RATE_LIMITED"
	LimitExceeded         Reason = "LIMIT_EXCEEDED"
	PayloadTooLarge       Reason = "PAYLOAD_TOO_LARGE"
	PayloadMalformed      Reason = "PAYLOAD_MALFORMED"
	PayloadNotInspectable Reason = "PAYLOAD_NOT_INSPECTABLE"
	RepairRefused         Reason = "REPAIR_REFUSED"
	FUQuotaExceeded       Reason = "FU_QUOTA_EXCEEDED"
	SchemaInvalid         Reason = "SCHEMA_INVALID"
	InvariantViolated     Reason = "INVARIANT_VIOLATED"
	OriginalMissing       Reason = "ORIGINAL_MISSING"
	JournalUnavailable    Reason = "JOURNAL_UNAVAILABLE"
	UpstreamFailed        Reason = "UPSTREAM_FAILED"
	UpstreamTimeout       Reason = "UPSTREAM_TIMEOUT"
	UpstreamAborted       Reason = "UPSTREAM_ABORTED"
	ClientAborted         Reason = "CLIENT_ABORTED"
	LoopDetected          Reason = "LOOP_DETECTED"
	Internal              Reason = "INTERNAL"
)

// explanation is what a Reason means to people.
type explanation struct {
	reason Reason
	layer  string
	hint   string
}

// explanations holds every reason once, in the order of the layers.
var explanations = [...]explanation{
	{OK, "", "Nothing to do: the request was allowed."},
	{TargetMalformed, "target", "Signet, the egress proxy of this agent, refuses what two programs could read in two ways; the detail says what it is. Send a plain URL: a host name of letters, digits and hyphens, no user name, no fragment, no backslash, an IP address only in its usual form; https goes through a proxy by CONNECT."},
	{HostDenied, "deny list", "The host is on the deny list of Signet, the egress proxy of this agent, and no rule can allow it. Do not retry: use another service, or ask whoever runs this agent why the host is denied."},
	{HostNotAllowed, "allowlist", "Signet, the egress proxy of this agent, lets it reach only what its operator has listed, and this host is not listed for it. Do not retry: use a listed service, or ask whoever runs this agent to add the host to a rule of the egress policy."},
	{SchemeNotAllowed, "scheme", "The egress policy of this agent lists the host, but not for this scheme. Use the scheme that the rule lists, nearly always https, or ask whoever runs this agent to add the scheme (http, https, ws, wss) to the rule's schemes."},
	{PortNotAllowed, "port", "The egress policy of this agent lists the host, but not on this port. Use the service's usual port (443 unless the rule says otherwise), or ask whoever runs this agent to add the port to the rule's ports."},
	{MethodNotAllowed, "method", "The egress policy of this agent lists the host, but not for this HTTP method; TRACE and TRACK are never carried. Use a method that the rule allows, or ask whoever runs this agent to add the method to the rule's methods."},
	{PathNotAllowed, "path", "The egress policy of this agent lists the host, but not for this path, or the path is written ambiguously (such as %2f, //, ;, or ..). Write the path plainly, or ask whoever runs this agent to add it to the rule's paths."},
	{SuspiciousPattern, "patterns", "The URL matches a pattern that the egress policy of this agent treats as suspicious. Check it for leaked data or an internal address; if it is legitimate, ask whoever runs this agent to narrow the pattern, whose name stands as the rule."},
	{AuthRequired, "agent", "The egress proxy of this agent needs an API key to know who is calling, and there was none, or one that it does not know. Put the key that you were given into the proxy's URL, as in http://agent:KEY@HOST:PORT, or into the Proxy-Authorization header."},
	{RateLimited, "limits", "This agent sends more requests than its egress policy allows in a second. Wait for as many seconds as the Retry-After header says, then go on more slowly; if the work needs more, ask whoever runs this agent to raise the limit."},
	{LimitExceeded, "limits", "This request exceeds a limit of this agent's egress proxy, or is one too many at once; the detail says which. Send less at a time: a smaller body, fewer or shorter header fields, a shorter URL, fewer parallel requests; or ask whoever runs this agent to raise the limit."},
	{AddressDenied, "address", "The host's name leads to an address that must not be reached: private, loopback, cloud metadata or otherwise special; the detail says of what class. If that is intended, ask whoever runs this agent to add the range to addresses.allow in the egress policy; metadata addresses never open."},
	{ResolveFailed, "address", "The host is allowed, but its name could not be resolved. Check its spelling and try again later; if it persists, whoever runs this agent should check the resolver upstreams of Signet, its egress proxy."},
	{SNIMismatch, "connection", "The server name in the TLS handshake differs from the host that the tunnel was opened for, or is missing. Use the same host name in both: a client that fronts one host with another is refused by Signet, the egress proxy of this agent."},
	{AuthorityMismatch, "connection", "The request names another host than the connection it came on. Open a connection of its own for each host, and let the Host header be the URL's host."},
	{NotTLS, "connection", "A tunnel through Signet, the egress proxy of this agent, must carry TLS, and what came first was no TLS ClientHello. Use https through the proxy, and for plain http send the request to the proxy without CONNECT."},
	{PayloadTooLarge, "payload", "The body is larger than what can be inspected, so it was not sent. Send it in smaller parts, or ask whoever runs this agent about the size limit."},
	{PayloadMalformed, "payload", "The body is not well-formed (for JSON: duplicate names, bad UTF-8, trailing data and the like are refused too). Produce it again with an ordinary serializer."},
	{PayloadNotInspectable, "payload", "The body must be inspected before it may leave, and could not be: an unknown encoding, compression or type. Send it uncompressed, as plain JSON."},
	{RepairRefused, "payload", "The body is malformed and could not be repaired without guessing at a value. Produce the body again; Signet never guesses."},
	{FUQuotaExceeded, "payload", "The body would need a model to repair it, and the quota for that is spent. Produce the body again, well-formed, or ask whoever runs this agent to raise the quota."},
	{SchemaInvalid, "payload", "The body does not have the form that this service's contract asks for. The detail names the member: correct it and send the body again."},
	{InvariantViolated, "payload", "The body contradicts what it was made from: a rule that must hold between the original and this request does not. Compare the values that the detail names with their source, and correct them."},
	{OriginalMissing, "payload", "This request must be checked against a record that the agent has not read through this proxy, or not recently. Fetch the original from its source first, then send this request again."},
	{JournalUnavailable, "journal", "Signet, the egress proxy of this agent, cannot write its records at the moment, and sends nothing that it cannot record. Try again later; whoever runs this agent should check the disk that holds Signet's data."},
	{UpstreamFailed, "upstream", "The host was allowed, but could not be reached, or its certificate or its answer was not valid. Try again later; if it persists, check the service, and its certificate, from elsewhere."},
	{UpstreamTimeout, "upstream", "The host was allowed, but did not answer in time. Try again later, or ask for less at once."},
	{UpstreamAborted, "upstream", "The service broke off in the middle of its answer; what has come may be incomplete. Try again if repeating the request does no harm."},
	{ClientAborted, "agent", "The agent left before the answer was complete. If that was not meant, raise the client's own timeout."},
	{LoopDetected, "connection", "This request has been through this proxy before. Do not use the proxy's own address as a destination, and check that proxies do not point at each other."},
	{Internal, "internal", "Signet, the egress proxy of this agent, failed while it handled this request, or was stopped; that says nothing about the request. Try again; if it persists, whoever runs this agent should look for the receipt's id in Signet's log."},
}

// Reasons returns the closed set, in the order of the layers.
func Reasons() []Reason {
	all := make([]Reason, len(explanations))
	for i, e := range explanations {
		all[i] = e.reason
	}
	return all
}

// Hint tells somebody who has never heard of Signet what to do, in a sentence or
// three. It is "" for what is not a reason.
func (r Reason) Hint() string { return r.explain().hint }

// Layer names the step that decides by this reason: target, deny list,
// allowlist, scheme, port, method, path, ... It is "" for OK.
func (r Reason) Layer() string { return r.explain().layer }

func (r Reason) explain() explanation {
	for _, e := range explanations {
		if e.reason == r {
			return e
		}
	}
	return explanation{}
}

// relaxed tells whether report mode carries what this reason would deny. It is
// the rules and patterns that report mode tries out; everything else always holds.
func (r Reason) relaxed() bool {
	switch r {
	case HostNotAllowed, HostDenied, SchemeNotAllowed, PortNotAllowed, MethodNotAllowed, PathNotAllowed, SuspiciousPattern:
		return true
	}
	return false
}
