package journal

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signet-egress/signet/receipts"
)

// RotateKey has next sign the chain from the next record on, and returns the key
// change once it is durable. Whoever calls it must have next on disk before: from
// then on nothing else continues the chain. See KeyFile.Rotate. After an error it
// is not known which of the two keys does, until the journal is opened again.
func (j *Journal) RotateKey(next ed25519.PrivateKey) (*receipts.Event, error) {
	o := newOp(opRotate)
	o.next = newSigner(next, j.observer)
	j.enqueue(o)
	if err := o.Wait(); err != nil {
		return nil, fmt.Errorf("rotate the signing key: %w", err)
	}
	event, _ := o.record.(*receipts.Event)
	return event, nil
}

// admitKey takes one key a group, and none that the chain has had: verifiers
// would refuse it.
func (w *writer) admitKey(next *signer) error {
	if w.rotating {
		return errors.New("another rotation is under way")
	}
	if slices.ContainsFunc(w.keys, func(k receipts.ChainKey) bool { return k.KID == next.kid }) {
		return fmt.Errorf("the chain has had the key %s already: give it another", next.kid)
	}
	w.known[next.kid], w.rotating = next, true
	return nil
}

func (w *writer) keyChange(next *signer) *receipts.Event {
	return &receipts.Event{Event: receipts.EventKeyChange, Key: receipts.NewKeyChange(next.key, w.head.Chain, w.sign.kid)}
}

// changeKey goes over to the key that o's record, which has its place, brings
// in.
func (w *writer) changeKey(o *op) {
	last := len(w.keys) - 1
	retired, next := w.keys[last].SucceededBy(publicOf(o.next.key), o.record.RecordHead())
	w.keys = append(slices.Clone(w.keys[:last]), retired, next) // those before are published
	w.sign = o.next
}

// takeKey finds what the chain is signed with from here on.
func (w *writer) takeKey(path string) error {
	kid := w.keys[len(w.keys)-1].KID
	w.sign = w.known[kid]
	if w.sign != nil {
		return nil
	}
	given := slices.Sorted(maps.Keys(w.known))
	return fmt.Errorf("journal %s is signed with the key %s, and the key given is %s: "+
		"give it the key that it goes on with, or move the data directory away to begin a new chain", path, kid, strings.Join(given, " or "))
}

// signers are all that a journal was given, by kid.
func (o *Options) signers() map[string]*signer {
	known := make(map[string]*signer, 2)
	for _, key := range []ed25519.PrivateKey{o.Key, o.Next} {
		if key != nil {
			s := newSigner(key, o.Observer)
			known[s.kid] = s
		}
	}
	return known
}

// introduces tells whether the record brings a key in.
func (e *entry) introduces() bool {
	event, ok := e.record.(*receipts.Event)
	return ok && event.Event == receipts.EventKeyChange
}
