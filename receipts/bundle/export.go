package bundle

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/klauspost/compress/flate"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/checkpoint"
)

// Options say what an export holds and who signs it.
type Options struct {
	Tenant  string             // whose records they are, where none says so itself
	Build   string             // version of the exporting program
	Created time.Time          // now
	Profile Profile            // "" is Full
	Filter  Filter             // receipts that it does not name lose their detail
	Key     ed25519.PrivateKey // signs the manifest; one of Keys
	Keys    []receipts.ChainKey
	// Checkpoints of the chain, ascending. The bundle takes those of its records.
	Checkpoints []checkpoint.Note
	// Log proves that the last record is in a log whose checkpoints Key signs; nil
	// where there is none.
	Log *LogProof
}

// ErrEmpty says that there was no record to export.
var ErrEmpty = errors.New("no record in this range")

// Export writes a bundle of the records that each calls add with: lines of one
// chain, in order, without their newlines. They are copied, not verified, but
// for their links, so that what a mistake in reading would leave out is noticed
// here. Memory does not grow with the records.
func Export(w io.Writer, o Options, each func(add func(line []byte) error) error) (*Manifest, error) {
	if o.Profile == "" {
		o.Profile = Full
	}
	e := &export{options: o, keys: keyring{chain: o.Keys}, integrity: sha256.New()}
	z := zip.NewWriter(w)
	// Level 5 makes a twentieth less of records, and takes more than twice the time.
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	records, err := z.Create(recordsName)
	if err != nil {
		return nil, fmt.Errorf("write the bundle: %w", err)
	}
	e.out = newBackground(records)
	err = each(e.add)
	if failed := e.out.close(); failed != nil {
		return nil, fmt.Errorf("write the bundle: %w", failed)
	}
	if err != nil {
		return nil, err
	}
	m, err := e.manifest()
	if err != nil {
		return nil, err
	}
	m.Signature = receipts.Sign(o.Key, Type, m.core())
	entry, err := z.Create(manifestName)
	if err == nil {
		_, err = entry.Write(receipts.EncodeDocument(m))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, fmt.Errorf("write the bundle: %w", err)
	}
	return m, nil
}

// export is what one pass over the records has gathered.
type export struct {
	options     Options
	keys        keyring
	out         *background
	integrity   hash.Hash
	first, last []byte // lines
	lastHash    []byte
	tenant      []byte // raw, of the first record that has one
	records     int64
	receipts    int64
	withheld    int64
}

func (e *export) add(line []byte) error {
	if err := e.check(line); err != nil {
		return fmt.Errorf("record %d of the range: %w; signet verify says more", e.records+1, err)
	}
	if e.records == 0 {
		e.first = bytes.Clone(line)
	}
	e.records++
	e.last = append(e.last[:0], line...)
	before, after := line, []byte(nil)
	if isReceipt(line) {
		e.receipts++
		start, end := detailOf(line)
		if end > 0 && e.withholds(line) {
			before, after, end = line[:start], line[end:], 0
		}
		if end == 0 {
			e.withheld++
		}
	}
	for _, part := range [][]byte{before, after, {'\n'}} {
		e.integrity.Write(part)
		if err := e.out.write(part); err != nil {
			return err
		}
	}
	return nil
}

// check holds a line against the one before, its keys and its tenant.
func (e *export) check(line []byte) error {
	own, prev := memberString(line, `,"receipt_hash":"`), prevOf(line)
	if own == nil || len(line) > receipts.MaxLine {
		return errors.New("not a record")
	}
	if e.records > 0 && !bytes.Equal(prev, e.lastHash) {
		return fmt.Errorf("seq %d does not follow the record before, so that no bundle holds both", Seq(line))
	}
	e.lastHash = append(e.lastHash[:0], own...)
	if tenant := memberString(line, `,"tenant":"`); tenant != nil {
		if e.tenant == nil {
			e.tenant = bytes.Clone(tenant)
		}
		if !bytes.Equal(tenant, e.tenant) {
			return fmt.Errorf("a record of tenant %q among those of %q: a bundle is of one tenant; export each range of its own", tenant, e.tenant)
		}
	}
	return e.keys.note(line)
}

// withholds tells whether a receipt loses its detail.
func (e *export) withholds(line []byte) bool {
	o := &e.options
	if o.Profile == Core {
		return true
	}
	return o.Filter.Agent != "" && !is(agentOf(line), o.Filter.Agent) ||
		o.Filter.Trace != "" && !is(memberString(line, `,"trace_id":"`), o.Filter.Trace)
}

// manifest is what there is to say of all records.
func (e *export) manifest() (*Manifest, error) {
	if e.records == 0 {
		return nil, ErrEmpty
	}
	first, err := receipts.Decode(e.first)
	if err != nil {
		return nil, fmt.Errorf("the first record: %w", err)
	}
	last, err := receipts.Decode(e.last)
	if err != nil {
		return nil, fmt.Errorf("the last record: %w", err)
	}
	o := &e.options
	from, to := first.RecordHead(), last.RecordHead()
	m := &Manifest{
		Type: Type, Tenant: o.Tenant, Build: o.Build, Created: o.Created, Profile: o.Profile,
		Chain: from.Chain.ID, Period: Period{From: from.TS, To: to.TS}, First: linkOf(from), Last: linkOf(to),
		Log:         o.Log,
		RecordCount: e.records, ReceiptCount: e.receipts, DetailsWithheld: e.withheld,
		IntegrityHash: "sha256:" + hex.EncodeToString(e.integrity.Sum(nil)),
	}
	pub, ok := o.Key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("sign the manifest: not an Ed25519 key")
	}
	m.KID = receipts.KeyID(pub)
	if err := e.keys.use(m.KID); err != nil {
		return nil, fmt.Errorf("sign the manifest: %w", err)
	}
	for _, n := range o.Checkpoints {
		if n.Chain == m.Chain && n.Seq >= m.First.Seq && n.Seq <= m.Last.Seq {
			m.Checkpoints = append(m.Checkpoints, string(n.Text))
		}
	}
	m.Keys = receipts.JWKS(e.keys.used...)
	if o.Filter != (Filter{}) {
		m.Filter = &o.Filter
	}
	if e.tenant != nil {
		m.Tenant = unescape(e.tenant)
	}
	return m, nil
}
