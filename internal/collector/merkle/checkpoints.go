package merkle

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Checkpoint is one of a log, and who has cosigned it.
type Checkpoint struct {
	tlog.Tree
	Signed []byte              // by the log alone
	By     []store.Cosignature // by witnesses
}

// Note is the signed note (C2SP tlog-checkpoint) with the witnesses' lines.
func (c *Checkpoint) Note() []byte {
	note := bytes.Clone(c.Signed)
	for i := range c.By {
		note = append(note, c.By[i].Line+"\n"...)
	}
	return note
}

// Checkpoints are a log's newest, and before it those that witnesses have cosigned
// and that are kept, the larger trees first. There is none of a log that has not
// begun.
func (p Prover) Checkpoints(ctx context.Context, tenant string) ([]Checkpoint, error) {
	// The cosigned before the newest: what is cosigned by then is no newer.
	kept, err := p.Store.Cosignatures(ctx, tenant)
	if err != nil {
		return nil, err
	}
	newest, err := p.Store.LogState(ctx, tenant)
	if err != nil || newest.Size == 0 {
		return nil, err
	}
	all := []Checkpoint{{Tree: tlog.Tree{N: newest.Size, Hash: newest.Root}, Signed: newest.Checkpoint}}
	for i := range kept {
		if last := &all[len(all)-1]; bytes.Equal(last.Signed, kept[i].Checkpoint) {
			last.By = append(last.By, kept[i])
			continue
		}
		root, err := rootOf(kept[i].Checkpoint)
		if err != nil {
			return nil, fmt.Errorf("the checkpoint of %s at %d: %w", tenant, kept[i].Size, err)
		}
		all = append(all, Checkpoint{tlog.Tree{N: kept[i].Size, Hash: root}, kept[i].Checkpoint, kept[i : i+1 : i+1]})
	}
	return all, nil
}

// Newest is the last that a witness, by its verifier key, has cosigned of these; nil
// for none.
func Newest(all []Checkpoint, witness string) *store.Cosignature {
	for i := range all {
		for j := range all[i].By {
			if c := &all[i].By[j]; c.Witness == witness {
				return c
			}
		}
	}
	return nil
}

// rootOf reads what this package has written.
func rootOf(checkpoint []byte) (tlog.Hash, error) {
	lines := strings.SplitN(string(checkpoint), "\n", 4)
	if len(lines) < 4 {
		return tlog.Hash{}, fmt.Errorf("%d lines", len(lines))
	}
	return tlog.ParseHash(lines[2])
}

// covering is the checkpoint whose tree has a leaf that the most witnesses have
// cosigned, and of these the newest.
func covering(all []Checkpoint, index int64) (best *Checkpoint) {
	for i := range all {
		if c := &all[i]; c.N > index && (best == nil || len(c.By) > len(best.By)) {
			best = c
		}
	}
	return best
}
