package store

import (
	"context"
	"crypto/ed25519"
	"time"
)

// Chains is the write side of ingest, and what is known of each chain.
type Chains interface {
	// RegisterChain adds a chain before its first record. The same again does
	// nothing; another key or agent is ErrExists.
	RegisterChain(ctx context.Context, tenant string, c Registration) error
	// Chain is the one of this id, or ErrNotFound.
	Chain(ctx context.Context, tenant, id string) (Chain, error)
	// ListChains lists chains by id, which is by age, the newest first.
	ListChains(ctx context.Context, tenant string, q ChainQuery) ([]Chain, error)
	// SilentChains are those that did not stop, by when they were last heard of.
	SilentChains(ctx context.Context, tenant string, q SinceQuery) ([]Chain, error)
	// GapChains are those of which records are missing, by since when that is known.
	GapChains(ctx context.Context, tenant string, q SinceQuery) ([]Chain, error)
	// ChainKeys are the keys that have signed a chain, in the order of their use,
	// without those that came in with records that were given up.
	ChainKeys(ctx context.Context, tenant, id string) ([]Key, error)
	// ChainKey is the key with a kid that has ever signed a chain, one that came in with
	// records that were given up too, or ErrNotFound.
	ChainKey(ctx context.Context, tenant, id, kid string) (Key, error)

	// Append adds verified records to a chain in one transaction: under the lock of
	// the chain's row, the head is held against the batch (*HeadMovedError), the
	// records are inserted, roll-ups, what the tenant keeps and the log's queue take
	// them in, the head moves, and the alarms end that the records answer: for a gap,
	// for silence, and for the quota. *QuotaError where the tenant may not keep that
	// much, ErrNotFound where the chain is not registered. It returns the chain as it
	// is then.
	Append(ctx context.Context, tenant string, b *Batch) (Chain, error)
	// Hashes are the receipt_hash of the stored records with seq from..to, by seq.
	Hashes(ctx context.Context, tenant, chain string, from, to int64) (map[int64]string, error)

	// SaveVerifier keeps what a verifier knew after the record with a seq, in place
	// of what it knew before.
	SaveVerifier(ctx context.Context, tenant, chain string, seq int64, state []byte) error
	// Verifier is what SaveVerifier kept last, or ErrNotFound.
	Verifier(ctx context.Context, tenant, chain string) (seq int64, state []byte, err error)

	// Heard notes that a chain was heard of, whatever it brings, and ends its alarm
	// for silence.
	Heard(ctx context.Context, tenant, chain string, at time.Time) error
	// Beat is Heard by a heartbeat.
	Beat(ctx context.Context, tenant, chain string, b Beat) error
	// NoteGap notes that records are missing behind a head, unless that is noted
	// already; *HeadMovedError where the chain does not end there. Append takes the
	// note away.
	NoteGap(ctx context.Context, tenant, chain string, behind Head, at time.Time) error
}

// Registration is a chain as its sidecar enrolled it.
type Registration struct {
	ID        string // UUIDv7
	Agent     string
	PublicKey ed25519.PublicKey // that signs the genesis
	At        time.Time
}

// Head is where a chain ends.
type Head struct {
	Seq  int64  // 0: no record yet
	Hash string // receipt_hash; "" at 0
}

// Chain is what is known of a chain.
type Chain struct {
	ID         string
	Agent      string
	Build      string    // of the sidecar, from the newest genesis or start event
	KID        string    // of the key that signs from the head on
	PublicKey  []byte    // likewise, 32 bytes
	Registered time.Time // when it was enrolled
	Head       Head
	HeadTS     time.Time // ts of the record at the head; zero at 0
	Received   time.Time // when the newest record came; zero at 0
	CleanStop  bool      // the record at the head is a clean stop
	FirstTS    time.Time // ts of the oldest record that is stored; zero: there is none
	Pruned     int64     // seq up to which records were removed; 0: none were
	PrunedTS   time.Time // ts of the newest one that was removed; zero: none was
	Anchor     Head      // the last removed record that was not given up: what is left follows it; Seq 0: none
	AnchorTS   time.Time // its ts
	Gap        time.Time // since when records behind the head are missing; zero: none are known to be
	LastSign   time.Time // when it was last heard of: its enrolment, a stream, records or a heartbeat

	Beat Beat // the newest heartbeat; zero: none yet
}

// maxSkew is how far a sidecar's clock may be off before that is worth a look.
const maxSkew = 5 * time.Second

// Skewed tells whether the sidecar's clock was off at its newest heartbeat.
func (c *Chain) Skewed() bool { return c.Beat.Skew.Abs() > maxSkew }

// Beat is a heartbeat as it was taken.
type Beat struct {
	At   time.Time     // when it came
	Seq  int64         // where the sidecar's chain ended
	Skew time.Duration // the sidecar's clock minus the collector's
}

// Key is a key of a chain.
type Key struct {
	KID       string
	PublicKey []byte // 32 bytes
	FromSeq   int64  // of the first record that it signs
	// Introduced is the line of the record that introduces it, the genesis or a key
	// change, where that was removed; nil: it is stored.
	Introduced []byte
}

// IntroducedAt is the seq of the record that introduces the key.
func (k *Key) IntroducedAt() int64 { return max(k.FromSeq-1, 1) }

// ChainQuery selects chains. The zero value is the newest 100.
type ChainQuery struct {
	Agent string // "": all
	After string // chain id to go on after; "": from the newest on
	Limit int    // 0: 100; at most 1,000
}

// SinceQuery selects chains by a time of theirs, the oldest first.
type SinceQuery struct {
	From, To time.Time // in [From, To); From zero: open
	After    string    // chain id to go on after among those that have the time From; "": with all of them
	Limit    int       // 0: 100; at most 1,000
}

// Batch is a run of verified records.
type Batch struct {
	Chain    string
	After    Head     // what the first record follows
	Records  []Record // in order of seq, at least one
	Received time.Time
	Keys     []Key  // that the records bring in
	Build    string // from the newest genesis or start event; "": as before
	// GivenUp are stored records, up to the head, that the first record says are
	// lost: the sidecar's disk was put back, and an operator had the chain go on.
	// They stay, and are found by their ids; Range passes them over. Zero: none.
	GivenUp Span
}
