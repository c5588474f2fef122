package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/signet-egress/signet/receipts"
)

func mapValues(m map[string]line) iter.Seq[line] { return maps.Values(m) }

// prover verifies records in the order of seq, and goes on behind one that is
// missing or bad.
type prover struct {
	s        *Survey
	keys     *receipts.KeySet
	v        *receipts.Verifier // of the run under way; nil before the first, and behind damage
	next     int64              // seq that comes next
	told     int64              // newest seq that damage was told of
	progress func(int64)
	verified int64
	stored   []line         // in the database, that were not looked at yet
	head     *receipts.Head // of the record that was good last
}

// prove fills in what is proved and what is damaged.
func (s *Survey) prove(ctx context.Context, progress func(int64)) error {
	keys, err := receipts.ParseJWKS(receipts.JWKS(s.keys...))
	if err != nil {
		return fmt.Errorf("the keys of the chain: %w", err)
	}
	p := &prover{s: s, keys: keys, next: s.gone.Last + 1, progress: progress, stored: s.stored}
	files, err := s.files(keys)
	if err != nil {
		return err
	}
	for i := range files {
		if err := p.file(ctx, &files[i]); err != nil {
			return err
		}
	}
	for len(p.stored) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.database(p.stored[0].seq)
	}
	s.Intents = len(s.intents)
	if len(s.Proved) > 0 && s.Pruned == 0 && s.listed == nil {
		s.Pruned = s.Proved[0].First - 1 // nobody says so, and nobody could
	}
	last, _ := s.Last()
	for i := range s.anchors {
		if a := &s.anchors[i]; a.seq > last {
			s.Damage = append(s.Damage, Damage{
				Path: a.path, First: last + 1, Last: a.seq, Err: fmt.Errorf("%s record %d, and the newest here is %d", a.who, a.seq, last),
			})
		}
	}
	return nil
}

// candidate is a file that may hold records of the chain.
type candidate struct {
	sealedFile       // as the database lists it; only First for one that it does not
	holds      int64 // seq of its first record, which should be First
}

// files are those that the database lists and those that are there, in the order
// of what they hold. Those that retention has given up are not among them.
func (s *Survey) files(keys *receipts.KeySet) ([]candidate, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("sealed files: %w", err)
	}
	files := slices.Clone(s.listed)
	for _, e := range entries {
		first, ok := firstOf(e.Name())
		listed := func(f sealedFile) bool { return f.First == first && !f.Lost }
		if ok && first > s.gone.Last && !slices.ContainsFunc(s.listed, listed) {
			files = append(files, sealedFile{First: first})
		}
	}
	candidates := make([]candidate, 0, len(files))
	for _, f := range files {
		candidates = append(candidates, candidate{f, s.holds(keys, &f)})
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(a.holds, b.holds) })
	return candidates, nil
}

// holds is the seq of a file's first record if that is good, or what its name
// says.
func (s *Survey) holds(keys *receipts.KeySet, f *sealedFile) int64 {
	seq := f.First
	if f.Lost {
		return seq
	}
	_ = eachSealed(filepath.Join(s.dir, f.name()), f.First, func(_ int64, text []byte) error { // what cannot be read is told later
		if _, err := alone(keys, text, func(r receipts.Record) { seq = r.RecordHead().Chain.Seq }); err != nil {
			return err
		}
		return io.EOF
	})
	return seq
}

// alone verifies a record without what is before it. The verifier goes on behind
// it, and has see called with each good record.
func alone(keys *receipts.KeySet, text []byte, see func(receipts.Record)) (*receipts.Verifier, error) {
	v := receipts.NewVerifier(keys)
	v.Observe(see)
	return v, v.Add(text)
}

// file takes the records of a file. Where one of them is bad or missing, the
// database may still have it.
func (p *prover) file(ctx context.Context, f *candidate) error {
	if f.Lost { // a gap event says so
		p.v, p.next = nil, f.Last+1
		p.s.sound = append(p.s.sound, f.sealedFile)
		return nil
	}
	path, trouble := filepath.Join(p.s.dir, f.name()), len(p.s.Damage)
	if f.holds != f.First {
		p.damage(path, 0, 0, fmt.Errorf("it begins with record %d, and its name says %d", f.holds, f.First))
	}
	read := sealedFile{First: f.First}
	seq := f.holds
	err := eachSealed(path, seq, func(_ int64, text []byte) error {
		p.database(seq - 1)
		if seq >= p.next {
			if head := p.add(path, seq, text); head != nil {
				read.Last, read.Hash, read.TS = seq, head.ReceiptHash, head.TS
			}
		}
		p.database(seq)
		seq++
		return ctx.Err()
	})
	bad, damaged := errors.AsType[*CorruptError](err)
	switch {
	case damaged && f.Last == 0:
		p.damage(path, 0, 0, bad.Err)
	case damaged:
		p.damage(path, seq, max(seq, f.Last), bad.Err)
	case errors.Is(err, fs.ErrNotExist):
		p.damage(path, f.First, f.Last, errors.New("it is missing"))
		return nil
	case err != nil:
		return err
	case f.holds == f.First && seq <= f.Last:
		p.damage(path, seq, f.Last, fmt.Errorf("it ends before record %d", seq))
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("sealed file: %w", err)
	}
	read.Bytes = info.Size()
	if f.Last > 0 && len(p.s.Damage) == trouble {
		if err := f.fits(read.Bytes, true); err != nil {
			p.damage(path, f.First, f.Last, err)
		}
	}
	if len(p.s.Damage) == trouble && read.Last == seq-1 {
		p.s.sound = append(p.s.sound, read)
	}
	return nil
}

// database takes what the database has of the records up to seq.
func (p *prover) database(seq int64) {
	for len(p.stored) > 0 && p.stored[0].seq <= seq {
		if l := &p.stored[0]; l.seq >= p.next {
			p.add(filepath.Join(p.s.dir, fileName), l.seq, l.text)
		}
		p.stored = p.stored[1:]
	}
}

// damage is told. What comes next is verified alone.
func (p *prover) damage(path string, first, last int64, err error) {
	p.v, p.told = nil, max(p.told, last)
	p.s.Damage = append(p.s.Damage, Damage{Path: path, First: first, Last: last, Err: err})
}

// add verifies the record that should be seq, after all before it or else alone.
// It returns nil for a bad one.
func (p *prover) add(path string, seq int64, text []byte) *receipts.Head {
	var after error
	if p.v != nil {
		if after = p.v.Add(text); after == nil {
			return p.good(seq, p.head)
		}
	}
	v, err := alone(p.keys, text, func(r receipts.Record) { p.head = r.RecordHead() })
	if err == nil && p.head.Chain.Seq != seq {
		err = fmt.Errorf("record %d stands where record %d should", p.head.Chain.Seq, seq)
	}
	if err != nil {
		p.damage(path, seq, seq, err)
		return nil
	}
	last, hash := p.s.Last()
	switch follows := seq == last+1 && p.head.Chain.Prev == hash; {
	case follows && len(p.s.Proved) > 0:
		p.v = v
		return p.good(seq, p.head)
	case seq > p.next && seq-1 > p.told:
		from := max(p.next, p.told+1)
		p.damage(path, from, seq-1, fmt.Errorf("the records %d to %d are missing", from, seq-1))
	case seq == p.next && after != nil:
		p.damage(path, seq, seq, after)
	}
	p.v = v
	p.s.Proved = append(p.s.Proved, Run{First: seq})
	return p.good(seq, p.head)
}

func (p *prover) good(seq int64, head *receipts.Head) *receipts.Head {
	run := &p.s.Proved[len(p.s.Proved)-1]
	run.Last, run.Head = seq, head.ReceiptHash
	for _, a := range p.s.anchors {
		if a.seq == seq && a.hash != run.Head {
			p.s.disown(a.path, fmt.Errorf("record %d has the hash %s, and %s %s", seq, run.Head, a.who, a.hash))
			break // the other, if there is one, is looked at by whoever opens the journal next
		}
	}
	p.next = seq + 1
	if p.verified++; p.progress != nil && p.verified%1024 == 0 {
		p.progress(p.verified)
	}
	return head
}
