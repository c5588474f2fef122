package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/signet-egress/signet/receipts"
)

func mapValues(m map[string]line) iter.Seq[line] { return maps.Values(m) }

// prover verifies records in the order of seq, and begins anew behind one that is
// missing or bad.
type prover struct {
	s        *Survey
	keys     *receipts.KeySet
	v        *receipts.Verifier // of the run under way; nil before the first
	next     int64              // seq that comes next
	progress func(int64)
	verified int64
}

// prove fills in what is proved and what is damaged.
func (s *Survey) prove(ctx context.Context, progress func(int64)) error {
	keys, err := receipts.ParseJWKS(receipts.JWKS(s.keys...))
	if err != nil {
		return fmt.Errorf("the keys of the chain: %w", err)
	}
	p := &prover{s: s, keys: keys, next: s.gone.Last + 1, progress: progress}
	files, err := s.files()
	if err != nil {
		return err
	}
	for i := range files {
		if err := p.file(ctx, &files[i]); err != nil {
			return err
		}
	}
	path := filepath.Join(s.dir, fileName)
	for i := range s.stored {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.add(path, s.stored[i].seq, s.stored[i].text)
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

// files are those that the database lists, or else those that are there.
func (s *Survey) files() ([]sealedFile, error) {
	if s.listed != nil {
		return s.listed, nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("sealed files: %w", err)
	}
	var files []sealedFile
	for _, e := range entries {
		if first, ok := firstOf(e.Name()); ok {
			files = append(files, sealedFile{First: first})
		}
	}
	slices.SortFunc(files, func(a, b sealedFile) int { return int(max(-1, min(1, a.First-b.First))) })
	return files, nil
}

func (p *prover) file(ctx context.Context, f *sealedFile) error {
	path := filepath.Join(p.s.dir, f.name())
	if f.Lost { // a gap event says so
		p.v, p.next = nil, f.Last+1
		return nil
	}
	err := eachSealed(path, f.First, func(seq int64, text []byte) error {
		p.add(path, seq, text)
		return ctx.Err()
	})
	bad, damaged := errors.AsType[*CorruptError](err)
	switch {
	case damaged:
		p.damage(path, bad.First, f.Last, bad.Err)
	case errors.Is(err, fs.ErrNotExist):
		p.damage(path, f.First, f.Last, errors.New("it is missing"))
	case err != nil:
		return err
	case p.next <= f.Last:
		p.damage(path, p.next, f.Last, fmt.Errorf("it ends before record %d", p.next))
	}
	return nil
}

// damage ends the run; what comes next is behind it.
func (p *prover) damage(path string, first, last int64, err error) {
	p.v, p.next = nil, max(p.next, last+1)
	p.s.Damage = append(p.s.Damage, Damage{Path: path, First: first, Last: last, Err: err})
}

// add verifies a record. One that was there already, in a file and in the
// database, is passed over.
func (p *prover) add(path string, seq int64, text []byte) {
	if seq < p.next {
		return
	}
	var err error
	if p.v != nil {
		if err = p.v.Add(text); err == nil {
			p.good(seq)
			return
		}
	}
	v := receipts.NewVerifier(p.keys)
	if alone := v.Add(text); alone != nil {
		p.damage(path, seq, seq, alone)
		return
	}
	if seq > p.next {
		p.damage(path, p.next, seq-1, fmt.Errorf("the records %d to %d are missing", p.next, seq-1))
	} else if err != nil {
		p.damage(path, seq, seq, err)
	}
	p.v = v
	p.s.Proved = append(p.s.Proved, Run{First: seq})
	p.good(seq)
}

func (p *prover) good(seq int64) {
	r, err := p.v.Result()
	if err != nil {
		return // never: it was just added
	}
	run := &p.s.Proved[len(p.s.Proved)-1]
	run.Last, run.Head = seq, r.Head
	for _, a := range p.s.anchors {
		if a.seq == seq && a.hash != r.Head {
			p.s.disown(a.path, fmt.Errorf("record %d has the hash %s, and %s %s", seq, r.Head, a.who, a.hash))
			break // the other, if there is one, is looked at by whoever opens the journal next
		}
	}
	p.next = seq + 1
	if p.verified++; p.progress != nil && p.verified%1024 == 0 {
		p.progress(p.verified)
	}
}
