package journal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/signet-egress/signet/internal/boltfile"
	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts"
)

// Survey is what the files of a sidecar that does not run prove, whatever state
// they are in. A record proves itself, by its hash, its signature and its link;
// so it counts wherever it is found.
type Survey struct {
	Chain   string
	Pruned  int64    // seq up to which retention has removed the chain; 0 for nothing
	Proved  []Run    // in order; a whole chain is one run
	Damage  []Damage // what is not as it was written, in the order of the chain
	Intents int      // exchanges without a receipt
	Known   int64    // newest seq that a collector's acknowledgement or a checkpoint shows; 0 for none

	dir     string
	file    *os.File // journal.db, locked
	anchors []anchor // what shows from outside that the chain had a record
	foreign []string // paths of files that are not of this chain
	tenant  string
	intents map[string][]byte
	keys    []receipts.ChainKey
	// introductions are the records that bring in the keys
	introductions []line
	gone          pruned
	listed        []sealedFile // by the database; nil if it cannot say
	sound         []sealedFile // files that are as they were written
	stored        []line       // records in the database, ascending, not necessarily without gaps
}

// Run is a part of the chain that verifies in itself.
type Run struct {
	First, Last int64
	Head        string // receipt_hash of the last record
}

// Damage is one thing that is wrong, and where. First and Last are 0 where it is
// about no record in particular.
type Damage struct {
	Path        string
	First, Last int64
	Err         error
}

// line is a record as it is stored.
type line struct {
	seq        int64
	hash, prev string
	text       []byte
	key        receipts.Record // a genesis or a key change; nil for all others
}

// Whole tells whether nothing is wrong, but for what gap events have owned up to.
func (s *Survey) Whole() bool { return len(s.Damage) == 0 && len(s.Proved) > 0 }

// Last is the newest record that is proved.
func (s *Survey) Last() (seq int64, hash string) {
	if n := len(s.Proved); n > 0 {
		return s.Proved[n-1].Last, s.Proved[n-1].Head
	}
	return s.gone.Last, s.gone.Hash
}

// Examine verifies the whole chain in dir, and goes on behind what is damaged.
// progress, if not nil, is called now and then with the number of records that
// were verified. Errors are *LockedError, and those of reading.
func Examine(ctx context.Context, dir string, progress func(records int64)) (*Survey, error) {
	s, err := examine(ctx, dir, false, progress)
	if err != nil {
		return nil, err
	}
	return s, s.file.Close()
}

func examine(ctx context.Context, dir string, exclusive bool, progress func(int64)) (_ *Survey, err error) {
	s := &Survey{dir: dir, intents: make(map[string][]byte)}
	refused := refusal(ctx, dir)
	if v, ok := errors.AsType[*VersionError](refused); ok && v.Found != "" {
		return nil, v
	}
	if s.file, err = os.Open(filepath.Join(dir, fileName)); err != nil {
		return nil, fmt.Errorf("no journal in %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			_ = s.file.Close() // only read
		}
	}()
	if err := durable.TryLock(s.file, exclusive); errors.Is(err, durable.ErrLocked) {
		return nil, &LockedError{Dir: dir}
	} else if err != nil {
		return nil, fmt.Errorf("lock journal: %w", err)
	}
	if err := s.readDatabase(); err != nil {
		return nil, err
	}
	if err := s.readAnchors(); err != nil {
		return nil, err
	}
	if err := s.prove(ctx, progress); err != nil {
		return nil, err
	}
	s.readIntents()
	s.alsoRefused(refused)
	return s, nil
}

// refusal is what a start would not accept of the files, whoever signs.
func refusal(ctx context.Context, dir string) error {
	s, c, err := openVerified(filepath.Join(dir, fileName), true)
	if err != nil {
		return err
	}
	work := &sealing{records: records{archive: c.archive, view: s.view}}
	return errors.Join(work.reconcile(ctx), s.close())
}

// alsoRefused makes damage of what a start refuses, where nothing else says what
// is wrong with that file: there is nothing that neither a start nor a recovery
// takes.
func (s *Survey) alsoRefused(err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			s.alsoRefused(err)
		}
		return
	}
	if err == nil {
		return
	}
	d := Damage{Path: filepath.Join(s.dir, fileName), Err: err}
	if bad, ok := errors.AsType[*CorruptError](err); ok {
		d = Damage{Path: bad.Path, First: bad.First, Last: bad.Last, Err: bad.Err}
	}
	if !slices.ContainsFunc(s.Damage, func(known Damage) bool { return known.Path == d.Path }) {
		s.Damage = append(s.Damage, d)
	}
}

// readIntents leaves out those that no receipt can be made of.
func (s *Survey) readIntents() {
	place := receipts.Head{Chain: receipts.Chain{ID: s.Chain, Seq: 2, Prev: anyDigest}, TS: s.keys[0].From, KID: s.keys[0].KID}
	for id, draft := range s.intents {
		if _, err := unknownReceipt(draft, place); err != nil {
			delete(s.intents, id)
		}
	}
	s.Intents = len(s.intents)
}

// anchor is a record that the chain is known to have had.
type anchor struct {
	path, who string
	seq       int64
	hash      string
}

// readAnchors takes in what a collector has acknowledged, and the newest
// checkpoint. What is not of this chain is damage.
func (s *Survey) readAnchors() error {
	ack, err := ReadAck(s.dir)
	if bad, ok := errors.AsType[*CorruptError](err); ok {
		s.disown(bad.Path, bad.Err)
	} else if err != nil {
		return err
	}
	if ack != nil {
		s.take(ack.Chain, anchor{path: filepath.Join(s.dir, ackName), who: "a collector has acknowledged", seq: ack.Seq, hash: ack.Hash})
	}
	notes, err := ReadCheckpoints(s.dir)
	path := filepath.Join(s.dir, checkpointsName)
	if err != nil {
		s.disown(path, err)
	}
	if n := len(notes); n > 0 {
		newest := &notes[n-1]
		if err := newest.Verify(s.keys); err != nil && newest.Chain == s.Chain {
			s.disown(path, fmt.Errorf("that of seq %d: %w", newest.Seq, err))
			return nil
		}
		s.take(newest.Chain, anchor{path: path, who: "a checkpoint shows", seq: newest.Seq, hash: newest.Hash})
	}
	return nil
}

func (s *Survey) take(chain string, a anchor) {
	if chain != s.Chain {
		s.disown(a.path, fmt.Errorf("it is of chain %s, and the journal's is %s", chain, s.Chain))
		return
	}
	s.anchors = append(s.anchors, a)
	s.Known = max(s.Known, a.seq)
}

// disown notes that a file shows what is not of this chain.
func (s *Survey) disown(path string, err error) {
	s.Damage = append(s.Damage, Damage{Path: path, Err: err})
	s.foreign = append(s.foreign, path)
	s.anchors = slices.DeleteFunc(s.anchors, func(a anchor) bool { return a.path == path })
	s.Known = 0
	for i := range s.anchors {
		s.Known = max(s.Known, s.anchors[i].seq)
	}
}

// readDatabase takes what the pages of the database say, where they are whole,
// and for records also what any other page has.
func (s *Survey) readDatabase() error {
	path := filepath.Join(s.dir, fileName)
	trouble := boltfile.Check(s.file)
	if trouble != nil {
		s.Damage = append(s.Damage, Damage{Path: path, Err: trouble})
	}
	found := make(map[string]line) // by hash
	reachable := int64(0)
	keys := make(map[string]line)
	trouble = cmp.Or(trouble, boltfile.Bucket(s.file, string(recordsBucket), func(_, text []byte) {
		if l, ok := readLine(text); ok {
			found[l.hash] = l
			reachable = max(reachable, l.seq)
		}
	}))
	trouble = cmp.Or(trouble, boltfile.Bucket(s.file, string(keysBucket), func(_, text []byte) {
		if l, ok := readLine(text); ok && l.key != nil {
			keys[l.hash] = l
		}
	}))
	trouble = cmp.Or(trouble, boltfile.Bucket(s.file, string(intentsBucket), func(id, draft []byte) {
		s.intents[string(id)] = slices.Clone(draft)
	}))
	trouble = cmp.Or(trouble, boltfile.Bucket(s.file, string(metaBucket), s.readMeta))
	s.listed = []sealedFile{}
	if err := boltfile.Bucket(s.file, string(sealedBucket), s.readListed); err != nil && trouble != nil {
		s.listed = nil // with a whole database it only says that nothing was sealed
	}
	if trouble == nil {
		return s.settleDatabase(found, keys, reachable)
	}
	err := boltfile.Scan(s.file, func(_, text []byte) {
		l, ok := readLine(text)
		if !ok {
			return
		}
		if reachable == 0 || l.seq <= reachable {
			found[l.hash] = l
		}
		if l.key != nil {
			keys[l.hash] = l
		}
	})
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	return s.settleDatabase(found, keys, reachable)
}

func (s *Survey) readMeta(k, v []byte) {
	if bytes.Equal(k, prunedKey) {
		_ = json.Unmarshal(v, &s.gone) // nothing then: the files say where the chain begins
		s.Pruned = s.gone.Last
	}
}

func (s *Survey) readListed(_, v []byte) {
	var f sealedFile
	if json.Unmarshal(v, &f) == nil {
		s.listed = append(s.listed, f)
	}
}

// readLine takes a record whose hash is right.
func readLine(text []byte) (l line, ok bool) {
	if len(text) == 0 || text[0] != '{' {
		return l, false
	}
	rec, err := receipts.Decode(text)
	if err != nil {
		return l, false // a draft of an intent, for one
	}
	h := rec.RecordHead()
	if receipts.Hash(receipts.AppendCore(nil, rec)) != h.ReceiptHash {
		return l, false
	}
	l = line{seq: h.Chain.Seq, hash: h.ReceiptHash, prev: h.Chain.Prev, text: slices.Clone(text)}
	switch r := rec.(type) {
	case *receipts.Genesis:
		l.key = r
	case *receipts.Event:
		if r.Event == receipts.EventKeyChange {
			l.key = r
		}
	}
	return l, true
}

// settleDatabase picks, among the records that were found, those that are linked
// to the newest one: what was written and never committed is not.
func (s *Survey) settleDatabase(found, keys map[string]line, reachable int64) error {
	all := slices.SortedFunc(mapValues(found), func(a, b line) int { return cmp.Compare(b.seq, a.seq) })
	bound := int64(1<<62 - 1)
	for i := range all {
		l, linked := all[i], true
		if l.seq >= bound || reachable > 0 && l.seq > reachable {
			continue
		}
		for ; linked; l, linked = found[l.prev] {
			s.stored = append(s.stored, l)
			bound = l.seq
		}
	}
	slices.Reverse(s.stored)
	begins := func(seq int64) bool { return seq <= s.gone.Last }
	if len(s.listed) > 0 && begins(s.listed[0].First) || len(s.stored) > 0 && begins(s.stored[0].seq) {
		s.gone, s.Pruned = pruned{}, 0 // it cannot be so
	}
	return s.readKeys(keys)
}

// readKeys finds the keys of the chain: in the database, or else in the sealed
// files.
func (s *Survey) readKeys(found map[string]line) error {
	if len(found) == 0 {
		paths, err := filepath.Glob(filepath.Join(s.dir, "*"+sealedSuffix))
		if err != nil {
			return err
		}
		for _, path := range paths {
			first, _ := firstOf(filepath.Base(path))
			_ = eachSealed(path, first, func(_ int64, text []byte) error { // what cannot be read is told later
				if l, ok := readLine(text); ok && l.key != nil {
					found[l.hash] = l
				}
				return nil
			})
		}
	}
	s.introductions = slices.SortedFunc(mapValues(found), func(a, b line) int { return cmp.Compare(a.seq, b.seq) })
	introductions := make([]receipts.Record, 0, len(s.introductions))
	for i := range s.introductions {
		introductions = append(introductions, s.introductions[i].key)
	}
	var err error
	if s.keys, err = receipts.Introduced(introductions); err != nil || len(s.keys) == 0 {
		return &CorruptError{Path: filepath.Join(s.dir, fileName), Err: fmt.Errorf("the keys of the chain are not to be found: %w", cmp.Or(err, errors.New("no genesis")))}
	}
	s.Chain = s.keys[0].Chain
	if g, ok := introductions[0].(*receipts.Genesis); ok {
		s.tenant = g.Tenant
	}
	return nil
}
