package facts

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// Options say where facts are kept, and how many.
type Options struct {
	// Dir is the data directory, made if absent. The store is facts.db in it,
	// readable by its owner only.
	Dir string
	// MaxFacts bounds the facts, of all names together. Beyond it the oldest go.
	// Default 100,000.
	MaxFacts int
	// MaxBytes bounds their keys and values. Beyond it the oldest go. The file
	// can be a few times as large, and does not shrink. Default 64 MiB.
	MaxBytes int64
	// MaxValue bounds one fact's value, in bytes of JSON, so that one answer does
	// not push out all others. Default 64 KiB.
	MaxValue int
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Logger is told of a damaged file. Default: none.
	Logger *slog.Logger
}

const (
	defaultMaxFacts = 100_000
	defaultMaxBytes = 64 << 20
	defaultMaxValue = 64 << 10
)

func (o *Options) complete() error {
	if o.Dir == "" {
		return errors.New("open facts: no data directory is named")
	}
	o.MaxFacts = cmp.Or(o.MaxFacts, defaultMaxFacts)
	o.MaxBytes = cmp.Or(o.MaxBytes, defaultMaxBytes)
	o.MaxValue = cmp.Or(o.MaxValue, defaultMaxValue)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Errors that callers decide by.
var (
	ErrTooLarge = errors.New("the fact is too large")
	ErrClosed   = errors.New("the store of facts is closed")
)

// Store is an open store. Its methods may be called by many goroutines.
type Store struct {
	o    Options
	path string
	puts chan *put
	quit chan struct{} // closed by Close
	done chan struct{} // closed when the writer has ended
	stop sync.Once

	db       *bbolt.DB
	closeErr error // of db, written before done is closed

	mu      sync.Mutex
	size    Size // of what is durable
	failing bool // the newest commit failed
}

// Size is what a store holds, expired facts included that are not pruned yet.
type Size struct {
	Facts int
	Bytes int64 // of keys and values
}

// Size is what the store holds now.
func (s *Store) Size() Size {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// put is one fact on its way to the disk.
type put struct {
	key    []byte
	record record
	done   chan error // holds the outcome
}

// Remember keeps a fact until it expires, in place of the one with the same key.
// It is durable when Remember returns nil. If ctx ends first the fact may be kept
// or not.
func (s *Store) Remember(ctx context.Context, k Key, f Fact) error {
	p, err := s.put(k, f)
	if err == nil {
		err = s.commit(ctx, p)
	}
	if err != nil {
		return fmt.Errorf("remember fact %s: %w", k.Name, err)
	}
	return nil
}

func (s *Store) put(k Key, f Fact) (*put, error) {
	key, err := k.encode()
	if err != nil {
		return nil, err
	}
	if n := len(f.JSON); n > s.o.MaxValue || int64(n+len(key)) > s.o.MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, of at most %d", ErrTooLarge, n, s.o.MaxValue)
	}
	return &put{
		key:    key,
		record: record{expires: f.Expires.UnixNano(), receiptID: f.ReceiptID, value: f.JSON},
		done:   make(chan error, 1),
	}, nil
}

func (s *Store) commit(ctx context.Context, p *put) error {
	select {
	case s.puts <- p:
	case <-s.quit:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
	}
	select { // the writer's last group may have had it
	case err := <-p.done:
		return err
	default:
		return ErrClosed
	}
}

// Lookup is the fact of that key. It is nil for one that was never remembered,
// has expired or had to make room.
func (s *Store) Lookup(_ context.Context, k Key) (*Fact, error) {
	key, err := k.encode()
	if err == nil && s.closed() {
		err = ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("look up fact %s: %w", k.Name, err)
	}
	var fact *Fact
	err = contain(func() error {
		return s.db.View(func(tx *bbolt.Tx) (err error) {
			fact, err = s.read(key, tx.Bucket(factsBucket).Get(key))
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("look up fact %s: %w", k.Name, err)
	}
	return fact, nil
}

func (s *Store) closed() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// read is nil for a fact that is not there any more. stored is bbolt's.
func (s *Store) read(key, stored []byte) (*Fact, error) {
	if stored == nil {
		return nil, nil
	}
	r, err := decode(key, stored)
	if err != nil {
		return nil, err
	}
	if s.o.Now().UnixNano() >= r.expires {
		return nil, nil
	}
	return &Fact{JSON: bytes.Clone(r.value), ReceiptID: r.receiptID, Expires: time.Unix(0, r.expires)}, nil
}

// Close writes what is queued and closes the file.
func (s *Store) Close() error {
	s.stop.Do(func() { close(s.quit) })
	<-s.done
	return s.closeErr
}

// contain makes an error of what bbolt panics with on a page that was damaged
// after the file was opened.
func contain(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: bbolt: %v", errDamaged, v)
		}
	}()
	return f()
}
