package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/gzip"
	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/receipts"
)

// eachSealed calls fn with every line of a sealed file, from the one with seq
// first on. Its error is fn's, fs.ErrNotExist, or a *CorruptError.
func eachSealed(path string, first int64, fn func(seq int64, line []byte) error) error {
	seq := first
	damaged := func(err error) error {
		return &CorruptError{Path: path, First: seq, Err: fmt.Errorf("record %d cannot be read: %w", seq, err)}
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return damaged(errors.New("it is no regular file")) // a pipe would be waited for
	}
	if err != nil {
		return fmt.Errorf("sealed file: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sealed file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	zipped, err := gzip.NewReader(bufio.NewReaderSize(f, 64<<10))
	if err != nil {
		return damaged(err)
	}
	lines := bufio.NewScanner(zipped)
	lines.Buffer(make([]byte, 0, 64<<10), receipts.MaxLine+1)
	lines.Split(wholeLines)
	for ; lines.Scan(); seq++ {
		if err := fn(seq, lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return damaged(err)
	}
	return nil
}

// wholeLines is bufio.ScanLines for lines that all end.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

// records is the whole chain: the sealed files, and then the database.
type records struct {
	archive *archive
	view    func(func(*bbolt.Tx) error) error
}

// each calls fn with the records from..to, ascending. What was pruned before
// from counts as not being there; what is moved or pruned meanwhile is found
// where it is then, or is an error.
func (r records) each(ctx context.Context, from, to int64, fn func(seq int64, line []byte) error) error {
	var b batch
	for next := max(from, 1, r.archive.gone().Last+1); next <= to; {
		f, sealed := r.archive.find(next)
		var err error
		if sealed {
			next, err = r.eachIn(ctx, &f, next, to, fn)
		} else {
			next, err = r.eachStored(ctx, &b, next, to, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eachIn reads from a sealed file, and returns the seq that comes next.
func (r records) eachIn(ctx context.Context, f *sealedFile, next, to int64, fn func(seq int64, line []byte) error) (int64, error) {
	if f.First > next {
		return 0, fmt.Errorf("read journal: the records %d to %d were pruned while they were read", next, f.First-1)
	}
	if f.Lost {
		return f.Last + 1, nil
	}
	enough := errors.New("enough")
	err := eachSealed(r.archive.path(f), f.First, func(seq int64, line []byte) error {
		switch {
		case seq > f.Last:
			return &CorruptError{Path: r.archive.path(f), First: seq, Err: fmt.Errorf("it goes on after record %d, its last one", f.Last)}
		case seq > to:
			return enough
		case seq < next:
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		next = seq + 1
		return fn(seq, line)
	})
	if errors.Is(err, fs.ErrNotExist) {
		if gone := r.archive.gone().Last; gone >= next {
			return 0, fmt.Errorf("read journal: the records %d to %d were pruned while they were read", next, gone)
		}
		return 0, &CorruptError{Path: r.archive.path(f), First: next, Last: f.Last, Err: errors.New("it is missing")}
	}
	if err == nil && next <= min(f.Last, to) {
		err = &CorruptError{Path: r.archive.path(f), First: next, Last: f.Last, Err: fmt.Errorf("it ends before record %d", next)}
	}
	if err != nil && !errors.Is(err, enough) {
		return 0, err
	}
	return next, nil
}

// eachStored reads one batch from the database, and returns the seq that comes
// next.
func (r records) eachStored(ctx context.Context, b *batch, next, to int64, fn func(seq int64, line []byte) error) (int64, error) {
	var first int64
	err := r.view(func(tx *bbolt.Tx) (err error) {
		first, err = b.fill(tx.Bucket(recordsBucket).Cursor(), next, to)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read journal: %w", err)
	}
	switch {
	case len(b.ends) > 0 && first == next:
	case r.archive.last().Last >= next:
		return next, nil // sealed meanwhile
	case len(b.ends) > 0:
		return first, nil // nothing from there to first; whoever verifies will tell
	default:
		return to + 1, nil
	}
	start := 0
	for i, end := range b.ends {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := fn(first+int64(i), b.buf[start:end:end]); err != nil {
			return 0, err
		}
		start = end
	}
	return first + int64(len(b.ends)), nil
}
