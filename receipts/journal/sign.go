package journal

import (
	"crypto/ed25519"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-egress/signet/receipts"
)

// signer signs records. It is safe for concurrent use.
type signer struct {
	key      ed25519.PrivateKey
	kid      string
	observer Observer // nil: nobody looks
}

// newSigner derives the public half anew: a signature with another one would
// give the key away.
func newSigner(key ed25519.PrivateKey, o Observer) *signer {
	key = ed25519.NewKeyFromSeed(key.Seed())
	return &signer{key: key, kid: receipts.KeyID(publicOf(key)), observer: o}
}

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey {
	pub, _ := key.Public().(ed25519.PublicKey)
	return pub
}

// appendLine signs rec, whose core is given, and appends its stored form.
func (s *signer) appendLine(dst []byte, rec receipts.Record, core []byte) []byte {
	if s.observer == nil {
		rec.RecordHead().Signature = receipts.Sign(s.key, rec.RecordType(), core)
	} else {
		start := time.Now()
		rec.RecordHead().Signature = receipts.Sign(s.key, rec.RecordType(), core)
		s.observer.Signed(time.Since(start))
	}
	return receipts.Append(dst, rec)
}

// signAll gives every entry its line, on all cores.
func signAll(entries []entry) {
	workers := min(runtime.GOMAXPROCS(0), len(entries))
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < len(entries); i = int(next.Add(1)) - 1 {
			e := &entries[i]
			e.line = e.sign.appendLine(e.line[:0], e.record, e.core)
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}
