package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/checkpoint"
	"github.com/signet-egress/signet/receipts/logproof"
)

// Result is what was found of a good bundle.
type Result struct {
	receipts.Result // of its records; Pinned tells of those and of the manifest
	Manifest        *Manifest
	Checkpoints     checkpoint.Report // of those in the manifest
	Logged          Logged            // where the manifest has a proof
}

// Reader reads a bundle from a file. Its memory does not grow with the file.
type Reader struct {
	layout   *layout
	manifest *Manifest
	notes    []checkpoint.Note // the manifest's
	keys     *receipts.KeySet  // the manifest's
	observe  func(receipts.Record)
	policy   *logproof.Policy // nil: none is demanded
}

// Open reads and checks a bundle's layout and its manifest, whose key is not yet
// known to be one to trust. The error is an *Error, or says that the file cannot
// be read.
func Open(file io.ReaderAt, size int64) (*Reader, error) {
	l, err := readLayout(file, size)
	if err != nil {
		return nil, err
	}
	data, err := l.readManifest()
	if err != nil {
		return nil, err
	}
	m, keys, err := parseManifest(data)
	if err != nil {
		return nil, err
	}
	notes, err := m.notes()
	if err != nil {
		return nil, err
	}
	return &Reader{layout: l, manifest: m, notes: notes, keys: keys}, nil
}

// Manifest is what the bundle says of itself.
func (r *Reader) Manifest() *Manifest { return r.manifest }

// Keys are those of the manifest, which a verified bundle vouches for.
func (r *Reader) Keys() []receipts.ChainKey { return r.keys.Keys() }

// Observe has Verify call fn with each good record, in order.
func (r *Reader) Observe(fn func(receipts.Record)) { r.observe = fn }

// Demand has Verify want a proof that the last record is in a log, up to a checkpoint
// that the policy's witnesses have cosigned.
func (r *Reader) Demand(p *logproof.Policy) { r.policy = p }

// Size is how many bytes the records have, with their newlines.
func (r *Reader) Size() int64 { return int64(r.layout.records.UncompressedSize64) }

// Lines calls fn with each record, unverified. line is valid until fn returns.
func (r *Reader) Lines(fn func(line []byte) error) error {
	return receipts.EachLine(r.layout.readRecords(), fn)
}

// Verify checks all of a bundle: each record, their links, and that they are
// what the manifest says. The keys that may have signed are those of pinned and
// what these introduce; with nil, the manifest's are taken on trust. progress,
// where not nil, is called with the bytes of each line.
//
// The error is a *receipts.VerifyError for the first bad record, an *Error for
// what is wrong with the bundle, or says that it cannot be read.
func (r *Reader) Verify(pinned *receipts.KeySet, progress func(bytes int)) (Result, error) {
	trusted := pinned
	if trusted == nil {
		trusted = r.keys
	}
	v := receipts.NewVerifier(trusted)
	c := &claims{manifest: r.manifest, integrity: sha256.New(), audit: checkpoint.NewAudit(r.notes)}
	v.Observe(func(record receipts.Record) {
		c.note(record)
		if r.observe != nil {
			r.observe(record)
		}
	})
	p := v.Pipeline()
	err := r.Lines(func(line []byte) error {
		c.integrity.Write(line)
		c.integrity.Write([]byte{'\n'})
		if progress != nil {
			progress(len(line) + 1)
		}
		return p.Add(line)
	})
	if bad := p.Close(); bad != nil {
		return Result{}, bad
	}
	if err != nil {
		return Result{}, err
	}
	found, err := v.Result()
	if err != nil {
		return Result{}, err
	}
	found.Pinned = pinned != nil
	if err := r.checkSigner(trusted, v.Keys()); err != nil {
		return Result{}, err
	}
	if err := c.check(&found); err != nil {
		return Result{}, err
	}
	logged, err := r.checkLog()
	if err != nil {
		return Result{}, &Error{Part: "manifest", Cause: CauseLog, Err: err}
	}
	report, err := c.audit.Report(found.ChainID, slices.Concat(v.Keys(), trusted.Keys()))
	if err != nil {
		return Result{}, checkpoint.VerifyError(err)
	}
	return Result{Result: found, Manifest: r.manifest, Checkpoints: report, Logged: logged}, nil
}

func (r *Reader) checkLog() (Logged, error) {
	m := r.manifest
	switch {
	case m.Log != nil:
		return m.Log.check(r.keys.Key(m.KID), m.Last.ReceiptHash, r.policy)
	case r.policy != nil:
		return Logged{}, errors.New("it has no proof of a log, whose checkpoint witnesses could have cosigned: a collector's exports have one")
	}
	return Logged{}, nil
}

// checkSigner demands of the manifest's key what is demanded of the records'.
func (r *Reader) checkSigner(trusted *receipts.KeySet, introduced []receipts.ChainKey) error {
	kid := r.manifest.KID
	if trusted.Key(kid) != nil || slices.ContainsFunc(introduced, func(k receipts.ChainKey) bool { return k.KID == kid }) {
		return nil
	}
	return manifestError(receipts.CauseKey, "signed with key %s, which is not in the key set and which no record introduces", kid)
}

// claims are what a manifest says, held against the records.
type claims struct {
	manifest  *Manifest
	integrity hash.Hash
	audit     *checkpoint.Audit
	first     *receipts.Head
	last      *receipts.Head
	tenant    error // of the first record that has another
	profile   error // of the first record that has not the detail that it should, or has one that it should not
}

// note is called with each good record.
func (c *claims) note(r receipts.Record) {
	c.last = r.RecordHead()
	c.audit.Record(c.last.Chain.Seq, c.last.ReceiptHash)
	if c.first == nil {
		c.first = c.last
	}
	switch r := r.(type) {
	case *receipts.Genesis:
		c.noteTenant(&r.Head, r.Tenant)
	case *receipts.Receipt:
		c.noteTenant(&r.Head, r.Tenant)
		c.noteDetail(r)
	}
}

func (c *claims) noteTenant(h *receipts.Head, tenant string) {
	if c.tenant == nil && tenant != c.manifest.Tenant {
		c.tenant = &receipts.VerifyError{
			Seq: h.Chain.Seq, Cause: CauseTenant,
			Err: fmt.Errorf("a record of tenant %q in a bundle of %q", tenant, c.manifest.Tenant),
		}
	}
}

func (c *claims) noteDetail(r *receipts.Receipt) {
	if want := c.manifest.keeps(r); c.profile == nil && want != (r.Detail != nil) {
		has := "has no detail"
		if !want {
			has = "has a detail"
		}
		c.profile = &receipts.VerifyError{
			Seq: r.Chain.Seq, Cause: CauseProfile,
			Err: fmt.Errorf("the receipt %s, which profile and filter of the manifest do not say", has),
		}
	}
}

// keeps tells whether a receipt has its detail in the bundle.
func (m *Manifest) keeps(r *receipts.Receipt) bool {
	f := m.Filter
	return m.Profile == Full && (f == nil || (f.Agent == "" || f.Agent == r.Agent) && (f.Trace == "" || f.Trace == r.TraceID))
}

// check holds the whole of the records against the manifest.
func (c *claims) check(found *receipts.Result) error {
	m := c.manifest
	first, last := linkOf(c.first), linkOf(c.last)
	switch {
	case found.ChainID != m.Chain:
		return manifestError(receipts.CauseChain, "it is of chain %s, and the records are of %s", m.Chain, found.ChainID)
	case first != m.First:
		return manifestError(CauseFirst, "it is seq %d, and the manifest says seq %d with hash %s", first.Seq, m.First.Seq, m.First.ReceiptHash)
	case last != m.Last:
		return manifestError(CauseLast, "it is seq %d, and the manifest says seq %d with hash %s", last.Seq, m.Last.Seq, m.Last.ReceiptHash)
	case c.tenant != nil:
		return c.tenant
	case c.profile != nil:
		return c.profile
	case found.Records != m.RecordCount || found.Receipts != m.ReceiptCount || found.Withheld != m.DetailsWithheld:
		return manifestError(CauseCount, "%d records, %d receipts and %d details withheld, and the manifest says %d, %d and %d",
			found.Records, found.Receipts, found.Withheld, m.RecordCount, m.ReceiptCount, m.DetailsWithheld)
	case !c.first.TS.Equal(m.Period.From) || !c.last.TS.Equal(m.Period.To):
		return manifestError(CausePeriod, "the records are not from the period's first moment to its last")
	}
	if sum := "sha256:" + hex.EncodeToString(c.integrity.Sum(nil)); sum != m.IntegrityHash {
		return manifestError(CauseIntegrity, "it is %s, but the records hash to %s", m.IntegrityHash, sum)
	}
	return nil
}

// MagicLen is how many bytes IsBundle looks at.
const MagicLen = 4

// IsBundle tells a bundle from JSON lines by its first bytes, those of a zip
// file's first entry.
func IsBundle(start []byte) bool { return string(start) == "PK\x03\x04" }
