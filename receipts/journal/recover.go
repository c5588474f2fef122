package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts"
)

// ErrNothingToRecover says that the journal is whole.
var ErrNothingToRecover = errors.New("the journal is whole: there is nothing to recover from")

// Recover has a chain go on that Open refuses to continue, because its files are
// damaged or of an older state than a collector has seen. What is proved is kept,
// in sealed files; gap events, signed with the key that the chain goes on with,
// own up to what is lost; and exchanges without a receipt stay open for the next
// start, which puts them on record. Damaged files are kept beside, under a name
// that ends with .damaged.
//
// Every step can be taken again: until the new database has its name, which is
// the last one, the old one is there, and Recover begins as before.
func Recover(ctx context.Context, o Options, progress func(records int64)) (*Survey, []receipts.Lost, error) {
	if err := o.complete(); err != nil {
		return nil, nil, err
	}
	s, err := examine(ctx, o.Dir, true, progress)
	if err != nil {
		return nil, nil, err
	}
	r := &recovery{Survey: s, o: &o}
	lost, err := r.run(ctx)
	return s, lost, errors.Join(err, s.file.Close())
}

// recovery is one run of Recover.
type recovery struct {
	*Survey
	o     *Options
	sign  *signer
	files []sealedFile // of the new database
}

func (r *recovery) run(ctx context.Context) ([]receipts.Lost, error) {
	if r.Whole() {
		return nil, ErrNothingToRecover
	}
	last, _ := r.Last()
	if last == 0 {
		return nil, &CorruptError{Path: filepath.Join(r.dir, fileName), Err: errors.New("no record of it is proved")}
	}
	kid := r.keys[len(r.keys)-1].KID
	if r.sign = r.o.signers()[kid]; r.sign == nil {
		return nil, fmt.Errorf("recover journal: it goes on with the key %s, and that is not the one given", kid)
	}
	if err := r.sealRuns(ctx); err != nil {
		return nil, fmt.Errorf("recover journal: %w", err)
	}
	lost := r.losses()
	if err := r.replace(lost); err != nil {
		return nil, fmt.Errorf("recover journal: %w", err)
	}
	return lost, nil
}

// sealRuns makes sealed files of what is proved and in no sound one.
func (r *recovery) sealRuns(ctx context.Context) error {
	keys, err := receipts.ParseJWKS(receipts.JWKS(r.keys...))
	if err != nil {
		return err
	}
	files, err := r.Survey.files(keys)
	if err != nil {
		return err
	}
	r.files = slices.Clone(r.sound)
	// Backwards, since the file that replaces a damaged one has its beginning.
	for _, run := range slices.Backward(r.Proved) {
		for next := run.First; next <= run.Last; {
			if err := ctx.Err(); err != nil {
				return err
			}
			if f, ok := r.covering(next); ok {
				next = f.Last + 1
				continue
			}
			f, err := r.collect(next, run.Last, files, keys)
			if err != nil {
				return err
			}
			r.files = append(r.files, *f)
			next = f.Last + 1
		}
	}
	slices.SortFunc(r.files, func(a, b sealedFile) int { return cmp.Compare(a.First, b.First) })
	return r.clear(files)
}

// clear takes away, under their own names, the files that hold nothing proved,
// and an acknowledgement of another chain.
func (r *recovery) clear(files []candidate) error {
	paths := slices.Clone(r.foreign)
	for i := range files {
		kept := func(f sealedFile) bool { return f.First == files[i].First }
		if !files[i].Lost && !slices.ContainsFunc(r.files, kept) {
			paths = append(paths, filepath.Join(r.dir, files[i].name()))
		}
	}
	for _, path := range paths {
		aside, err := nameAside(path)
		if err != nil {
			return err
		}
		if err := ignoreMissing(os.Rename(path, aside)); err != nil {
			return err
		}
	}
	return durable.SyncDir(r.dir)
}

func (r *recovery) covering(seq int64) (f sealedFile, ok bool) {
	for _, f := range r.files {
		if f.First <= seq && seq <= f.Last {
			return f, true
		}
	}
	return f, false
}

// collect writes the proved records from..to, as far as no file has them, into
// one file. It replaces a damaged one of the same name, which is kept.
func (r *recovery) collect(from, to int64, files []candidate, keys *receipts.KeySet) (*sealedFile, error) {
	for _, f := range r.files {
		if f.First > from {
			to = min(to, f.First-1)
		}
	}
	texts := make(map[int64][]byte)
	for i := range r.stored {
		texts[r.stored[i].seq] = r.stored[i].text
	}
	for i := range files {
		f := &files[i]
		if f.Lost || slices.ContainsFunc(r.sound, func(s sealedFile) bool { return s.First == f.First }) {
			continue
		}
		err := eachSealed(filepath.Join(r.dir, f.name()), f.holds, func(seq int64, text []byte) error {
			if seq < from || seq > to {
				return nil
			}
			_, err := alone(keys, text, func(rec receipts.Record) { texts[rec.RecordHead().Chain.Seq] = slices.Clone(text) })
			_, bad := errors.AsType[*receipts.VerifyError](err)
			if bad {
				return nil // the database has it, since it is proved
			}
			return err
		})
		if _, damaged := errors.AsType[*CorruptError](err); err != nil && !damaged && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	f := &sealedFile{First: from, Last: to}
	path := filepath.Join(r.dir, f.name())
	if err := setAside(path); err != nil {
		return nil, err
	}
	tmp := path + ".recovered"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	err := r.o.hooks.create(tmp, 0o600, func(w io.Writer) error {
		return compress(w, func(put func([]byte) error) error {
			v := receipts.NewVerifier(keys)
			for seq := from; seq <= to; seq++ {
				if err := cmp.Or(v.Add(texts[seq]), put(texts[seq])); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil {
		err = errors.Join(os.Rename(tmp, path), durable.SyncDir(r.dir))
	}
	if err != nil {
		return nil, err
	}
	rec, err := receipts.Decode(texts[to])
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", to, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	f.Hash, f.TS, f.Bytes = rec.RecordHead().ReceiptHash, rec.RecordHead().TS, info.Size()
	return f, nil
}

// setAside gives a damaged file another name beside its own, which the next
// step takes over.
func setAside(path string) error {
	aside, err := nameAside(path)
	if err != nil {
		return err
	}
	return ignoreMissing(os.Link(path, aside))
}

// nameAside is a name that path can be kept under: the first that is free. One
// that an interrupted recovery has given it is given up for that.
func nameAside(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return path + damagedSuffix, ignoreMissing(err)
	}
	for n := 1; ; n++ {
		aside := path + damagedSuffix
		if n > 1 {
			aside = fmt.Sprintf("%s.%d%s", path, n, damagedSuffix)
		}
		taken, err := os.Lstat(aside)
		if errors.Is(err, os.ErrNotExist) {
			return aside, nil
		}
		if err == nil && os.SameFile(info, taken) {
			err = os.Remove(aside)
			n--
		}
		if err != nil {
			return "", err
		}
	}
}

// damagedSuffix ends the names of files that are kept as evidence.
const damagedSuffix = ".damaged"

// losses are what the gap events own up to: between the runs, and behind the
// last where a collector has seen more. One of them is behind the end, first,
// since the events take the seqs after it.
func (r *recovery) losses() []receipts.Lost {
	var lost []receipts.Lost
	last, _ := r.Last()
	cause := receipts.LossDamage
	anchored := func(d Damage) bool { return slices.Contains([]string{ackName, checkpointsName}, filepath.Base(d.Path)) }
	if !slices.ContainsFunc(r.Damage, func(d Damage) bool { return !anchored(d) }) {
		cause = receipts.LossRollback // the files are whole, and of an older state
	}
	if r.Known > last {
		lost = append(lost, receipts.Lost{Cause: cause, First: last + 1, Last: r.Known})
	}
	next := r.gone.Last + 1
	for _, f := range r.files {
		if f.First > next {
			lost = append(lost, receipts.Lost{Cause: receipts.LossDamage, First: next, Last: f.First - 1})
		}
		next = f.Last + 1
	}
	if len(lost) == 0 {
		lost = append(lost, receipts.Lost{Cause: cause})
	}
	return lost
}

// replace makes the new database, whose only records are the gap events, and
// puts it in the old one's place.
func (r *recovery) replace(lost []receipts.Lost) error {
	path := filepath.Join(r.dir, fileName)
	tmp, err := os.CreateTemp(r.dir, ".journal-*.new")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone where all went well
	if err := tmp.Close(); err != nil {
		return err
	}
	lines := r.gapEvents(lost)
	archive := r.archiveEntries(lost)
	if err := writeDatabase(tmp.Name(), func(tx *bbolt.Tx) error { return r.fill(tx, lines, archive) }); err != nil {
		return err
	}
	if err := setAside(path); err != nil {
		return err
	}
	return errors.Join(os.Rename(tmp.Name(), path), durable.SyncDir(r.dir))
}

// gapEvents are the signed records, one for each loss.
func (r *recovery) gapEvents(lost []receipts.Lost) (lines []line) {
	seq, hash := r.Last()
	wall, _ := r.o.hooks.clock()
	ts := wall.UTC().Truncate(time.Millisecond)
	for _, f := range r.files {
		if f.TS.After(ts) {
			ts = f.TS
		}
	}
	for i := range lost {
		if seq++; lost[i].First == seq {
			seq = lost[i].Last + 1
		}
		e := &receipts.Event{
			Head:  receipts.Head{Chain: receipts.Chain{ID: r.Chain, Seq: seq, Prev: hash}, TS: ts, KID: r.sign.kid},
			Event: receipts.EventGap, Gap: &receipts.Gap{Lost: &lost[i]},
		}
		core := receipts.AppendCore(nil, e)
		e.ReceiptHash = receipts.Hash(core)
		hash = e.ReceiptHash
		lines = append(lines, line{seq: seq, hash: hash, text: r.sign.appendLine(nil, e, core)})
	}
	return lines
}

// archiveEntries lists the sealed files, and what is lost between and behind
// them.
func (r *recovery) archiveEntries(lost []receipts.Lost) []sealedFile {
	entries := slices.Clone(r.files)
	for _, l := range lost {
		if l.First == 0 {
			continue
		}
		f := sealedFile{First: l.First, Last: l.Last, Lost: true, Hash: r.gone.Hash}
		for _, before := range r.files {
			if before.Last < l.First {
				f.Hash, f.TS = before.Hash, before.TS
			}
		}
		entries = append(entries, f)
	}
	slices.SortFunc(entries, func(a, b sealedFile) int { return cmp.Compare(a.First, b.First) })
	return entries
}

func (r *recovery) fill(tx *bbolt.Tx, gaps []line, entries []sealedFile) error {
	errs := []error{
		tx.Bucket(metaBucket).Put(formatKey, []byte(format)),
		tx.Bucket(metaBucket).Put(chainKey, []byte(r.Chain)),
		tx.Bucket(metaBucket).Put(tenantKey, []byte(r.tenant)),
	}
	if r.gone.Last > 0 {
		mark, err := json.Marshal(r.gone)
		errs = append(errs, err, tx.Bucket(metaBucket).Put(prunedKey, mark))
	}
	put := func(bucket []byte, seq int64, value []byte) {
		key := seqKey(seq)
		errs = append(errs, tx.Bucket(bucket).Put(key[:], value))
	}
	for i := range gaps {
		put(recordsBucket, gaps[i].seq, gaps[i].text)
	}
	for i := range r.introductions {
		put(keysBucket, r.introductions[i].seq, r.introductions[i].text)
	}
	for i := range entries {
		entry, err := json.Marshal(&entries[i])
		errs = append(errs, err)
		put(sealedBucket, entries[i].First, entry)
	}
	for _, id := range slices.Sorted(maps.Keys(r.intents)) {
		errs = append(errs, tx.Bucket(intentsBucket).Put([]byte(id), r.intents[id]))
	}
	return errors.Join(errs...)
}
