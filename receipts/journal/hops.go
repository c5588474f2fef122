package journal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/receipts"
)

// hopIndex is the memory of traces and its mirror in the traces bucket. There
// an entry's key is the seq of the trace's newest hop, so that reading the
// bucket in order gives the order of use, new entries go to its end, and old
// ones go from its beginning. One goroutine owns it.
type hopIndex struct {
	traces *receipts.Traces
	seqs   map[string]int64 // key of each trace's entry
}

const (
	hopSize  = 8
	hashSize = len("sha256:") + 64
)

// put notes a receipt and returns the seq of the entry that falls away for it:
// the trace's hop before, or the trace that was pushed out; 0 for none.
func (x *hopIndex) put(r *receipts.Receipt) (dropped int64) {
	dropped = x.seqs[r.TraceID]
	if forgotten := x.traces.Put(r.TraceID, r.Hop, r.ReceiptHash, r.Chain.Seq); forgotten != "" {
		dropped = x.seqs[forgotten]
		delete(x.seqs, forgotten)
	}
	x.seqs[r.TraceID] = r.Chain.Seq
	return dropped
}

func appendHop(dst []byte, r *receipts.Receipt) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Hop))
	dst = append(dst, r.ReceiptHash...)
	return append(dst, r.TraceID...)
}

// loadHopIndex reads the bucket of a journal whose newest record is head.
func loadHopIndex(b *bbolt.Bucket, head int64) (*hopIndex, error) {
	x := &hopIndex{traces: receipts.NewTraces(), seqs: make(map[string]int64)}
	err := b.ForEach(func(k, v []byte) error {
		if len(k) != 8 || len(v) <= hopSize+hashSize || seqOf(k) > head {
			return fmt.Errorf("trace entry %x does not fit the records", k)
		}
		id, hash := string(v[hopSize+hashSize:]), string(v[hopSize:hopSize+hashSize])
		if _, twice := x.seqs[id]; twice {
			return fmt.Errorf("trace %q is indexed twice", id)
		}
		if x.traces.Put(id, seqOf(v), hash, seqOf(k)) != "" {
			return errors.New("more traces are indexed than a chain remembers")
		}
		x.seqs[id] = seqOf(k)
		return nil
	})
	return x, err
}
