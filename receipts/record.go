// Package receipts is the format of Signet's evidence: the record types, their
// canonical form (RFC 8785), the hash chain, signatures and verification.
//
// It imports the standard library and gowebpki/jcs only, so that an auditor can
// import it. docs/receipt.md lists every member of every type.
package receipts

import (
	"encoding/json"
	"time"
)

// Type names a record type and its version; it is signed as a prefix, so that a
// signature over one type can never be read as one over another.
type Type string

// The record types of a chain. A new algorithm is a new version, never a field.
const (
	TypeGenesis Type = "signet.genesis/1"
	TypeReceipt Type = "signet.receipt/1"
	TypeEvent   Type = "signet.event/1"
)

// Record is one link of a chain: *Genesis, *Receipt or *Event.
type Record interface {
	RecordType() Type
	RecordHead() *Head
}

// Head is what every record has. The journal's writer fills all of it.
type Head struct {
	Chain       Chain     `json:"chain"`
	TS          time.Time `json:"ts"`  // time of sequencing: UTC, milliseconds, never before the record before
	KID         string    `json:"kid"` // RFC 7638 thumbprint of the signing key
	ReceiptHash string    `json:"receipt_hash"`
	Signature   string    `json:"signature"` // unpadded base64url, 64 bytes
}

// RecordHead makes every type that embeds Head half a Record.
func (h *Head) RecordHead() *Head { return h }

// Chain is a record's place.
type Chain struct {
	ID   string `json:"id"`             // UUIDv7, made at genesis
	Seq  int64  `json:"seq"`            // 1 at genesis, then without gaps but those that a gap event owns up to
	Prev string `json:"prev,omitempty"` // receipt_hash of the record before; absent at 1
}

// Genesis is seq 1: it binds the chain to its owner and its first key.
type Genesis struct {
	Head
	Tenant        string `json:"tenant"`
	Agent         string `json:"agent"`
	Build         string `json:"build"`      // version of the program that wrote it
	PublicKey     string `json:"public_key"` // unpadded base64url, 32 bytes; kid is its thumbprint
	PolicyVersion string `json:"policy_version"`
}

// RecordType implements Record.
func (*Genesis) RecordType() Type { return TypeGenesis }

// EventKind says what an event records.
type EventKind string

// The closed set of events.
const (
	EventStart     EventKind = "start"      // the sidecar started: Build, PolicyVersion
	EventStop      EventKind = "stop"       // clean stop: nothing open was left behind
	EventGap       EventKind = "gap"        // found after an unclean stop: Gap
	EventKeyChange EventKind = "key_change" // signed by the old key, proved by the new one: Key
	EventClockStep EventKind = "clock_step" // the wall clock moved against the monotonic one: Clock
	EventPosture   EventKind = "posture"    // how the sidecar runs changed: Posture
)

// Event is what happened to the sidecar itself.
type Event struct {
	Head
	Event         EventKind  `json:"event"`
	Build         string     `json:"build,omitempty"`
	PolicyVersion string     `json:"policy_version,omitempty"`
	Gap           *Gap       `json:"gap,omitempty"`
	Key           *KeyChange `json:"key,omitempty"`
	Clock         *ClockStep `json:"clock,omitempty"`
	Posture       *Posture   `json:"posture,omitempty"`
}

// RecordType implements Record.
func (*Event) RecordType() Type { return TypeEvent }

// Gap tells what a recovery found.
type Gap struct {
	Unknown int64 `json:"unknown"`        // open intents that become receipts with outcome unknown, right after this event
	Lost    *Lost `json:"lost,omitempty"` // only where an operator had the chain go on without what is lost
}

// Lost is what an operator's recovery could not bring back. The traces before it
// are forgotten: each begins again at hop 1. First and Last are 0 where no
// record is known to be lost. Where Last is right before the event, its
// chain.prev is the hash of the record before First; a loss further back was
// noticed late, and only its own range is missing.
type Lost struct {
	Cause LossCause `json:"cause"`
	First int64     `json:"first,omitempty"` // seq of the first record that is lost
	Last  int64     `json:"last,omitempty"`  // seq of the last one
}

// LossCause says how records were lost.
type LossCause string

// The closed set of causes.
const (
	LossDamage   LossCause = "damage"   // files are missing, or are not what was written
	LossRollback LossCause = "rollback" // an older state of the disk: a collector has seen later records
)

// KeyChange introduces the key that signs from the next record on.
type KeyChange struct {
	KID       string `json:"kid"`        // of the new key
	PublicKey string `json:"public_key"` // the new key
	Proof     string `json:"proof"`      // by the new key, see docs/receipt.md
}

// ClockStep is a jump of the wall clock.
type ClockStep struct {
	StepMS int64 `json:"step_ms"` // negative: backwards
}

// Posture is a named statement of how the sidecar runs, such as mode=report.
type Posture struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Outcome is how an exchange ended.
type Outcome string

// The closed set of outcomes.
const (
	Forwarded Outcome = "forwarded" // the upstream's answer was read whole
	Denied    Outcome = "denied"    // Signet refused
	Failed    Outcome = "failed"    // allowed, but not carried to its end
	Unknown   Outcome = "unknown"   // cut short by a crash; nobody can say
)

// Receipt is the record of one exchange. The core is always kept; Detail can be
// withheld without breaking the chain, since the core holds its digest.
type Receipt struct {
	Head
	ReceiptID          string          `json:"receipt_id"` // UUIDv7
	TraceID            string          `json:"trace_id"`
	Hop                int64           `json:"hop"`               // place in the trace, from 1, in order of completion
	PrevReceiptHash    string          `json:"prev_receipt_hash"` // of the hop before; null in the encoding at hop 1
	Tenant             string          `json:"tenant"`
	Agent              string          `json:"agent"`
	APIKey             string          `json:"api_key,omitempty"` // the key's id, never the key
	Outcome            Outcome         `json:"outcome"`
	Policy             Policy          `json:"policy"`
	Usage              Usage           `json:"usage"`
	FallbackUsed       bool            `json:"fallback_used"`
	FUTokens           int64           `json:"fu_tokens"`
	SemanticViolations []string        `json:"semantic_violations,omitempty"`
	Count              int64           `json:"count"`              // exchanges this stands for: 1, more for coalesced denials
	Internal           string          `json:"internal,omitempty"` // model | collector: Signet's own traffic
	DetailDigest       string          `json:"detail_digest"`
	Ext                json.RawMessage `json:"ext,omitempty"` // the one open member: an object, hashed, not interpreted
	Detail             *Detail         `json:"detail,omitempty"`
	// The encoding also holds the constants canon "jcs" and algo "sha256".
}

// RecordType implements Record.
func (*Receipt) RecordType() Type { return TypeReceipt }

// Policy is what the HEL said. The encoding also holds the constant engine "HEL".
type Policy struct {
	Allowed bool     `json:"allowed"`
	Reason  string   `json:"reason"` // of the denial, else of the failure, else ok
	Rule    string   `json:"rule,omitempty"`
	Mode    string   `json:"mode"` // enforce | report
	Version string   `json:"version"`
	Flags   []string `json:"flags,omitempty"` // names of patterns that flagged
}

// Usage is what the exchange is billed as.
type Usage struct {
	VEX int64 `json:"vex"` // 1 for a forwarded exchange of the agent's, else 0
	FU  int64 `json:"fu"`
}

// Detail is the part of a receipt that can be withheld. Parts that do not apply
// are absent.
type Detail struct {
	Salt       string       `json:"salt"` // 16 random bytes, unpadded base64url
	Started    time.Time    `json:"started"`
	DurationUS int64        `json:"duration_us"`
	Request    *Request     `json:"request,omitempty"` // absent where it could not be parsed
	DNS        *DNS         `json:"dns,omitempty"`
	TLS        *TLS         `json:"tls,omitempty"`
	Forwarded  *ForwardedTo `json:"forwarded,omitempty"` // absent where no connection was made
	Payload    *Payload     `json:"payload,omitempty"`   // absent where no contract applied
	Repair     *Repair      `json:"repair,omitempty"`    // absent where nothing was repaired
}

// Request is what the agent asked for. No query, no header values.
type Request struct {
	Protocol string `json:"protocol"` // h1 | h2
	Method   string `json:"method"`
	Scheme   string `json:"scheme,omitempty"`
	Host     string `json:"host"`
	Port     int64  `json:"port"`
	Path     string `json:"path,omitempty"`   // absent for a tunnel
	Digest   string `json:"digest,omitempty"` // over the exact body bytes sent; absent for a tunnel and where nothing was sent
	Size     *int64 `json:"size,omitempty"`   // present with Digest
}

// DNS is how the host became addresses.
type DNS struct {
	Resolver string   `json:"resolver"` // URL of the upstream, static, or literal
	Answers  []string `json:"answers"`
	CNAME    []string `json:"cname"`
	TTL      int64    `json:"ttl"`               // seconds, clamped
	Rebound  bool     `json:"rebound,omitempty"` // the answer before led elsewhere: see docs/resolver.md
}

// TLS is what was seen of TLS.
type TLS struct {
	Mode     string `json:"mode"` // intercept | tunnel | none
	SNI      string `json:"sni,omitempty"`
	ECH      bool   `json:"ech"`                 // the ClientHello carried an encrypted_client_hello extension, GREASE or real
	Version  string `json:"version,omitempty"`   // of the connection to the upstream: 1.2 | 1.3
	ALPN     string `json:"alpn,omitempty"`      // likewise
	PeerSPKI string `json:"peer_spki,omitempty"` // sha256: over the upstream leaf's SubjectPublicKeyInfo
}

// ForwardedTo is where the exchange went and what came back.
type ForwardedTo struct {
	PinnedIP       string `json:"pinned_ip"`
	Port           int64  `json:"port"`
	StatusCode     *int64 `json:"status_code,omitempty"`     // absent for a tunnel, and where no answer came
	ResponseDigest string `json:"response_digest,omitempty"` // over the exact body bytes read
	ResponseSize   *int64 `json:"response_size,omitempty"`   // present with ResponseDigest
	BytesUp        *int64 `json:"bytes_up,omitempty"`        // agent to upstream; tunnels and upgraded connections only
	BytesDown      *int64 `json:"bytes_down,omitempty"`
}

// Payload is what a contract made of the body.
type Payload struct {
	Contract    string `json:"contract"`
	PayloadType string `json:"payload_type,omitempty"`
	TargetType  string `json:"target_type,omitempty"`
	CID         string `json:"cid,omitempty"` // SHA-256 of the body's JCS form, where every number round-trips
	Facts       []Fact `json:"facts,omitempty"`
}

// Fact names a remembered value that the payload was held against, and the
// receipt of the exchange that it came from.
type Fact struct {
	Name      string `json:"name"`
	ReceiptID string `json:"receipt_id"`
}

// Repair is how a malformed body was mended.
type Repair struct {
	Method string `json:"method"` // local | model
	Before string `json:"before"` // digest of the bytes that came
	After  string `json:"after"`  // digest of the bytes that left
	Edits  []Edit `json:"edits,omitempty"`
	Model  string `json:"model,omitempty"`
}

// Edit is one change of a repair.
type Edit struct {
	Op     string `json:"op"`
	Path   string `json:"path"`   // JSON Pointer
	Offset int64  `json:"offset"` // bytes into the body that came
}
