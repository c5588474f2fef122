package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts"
)

// create makes a journal whose only record is its genesis. The file gets its
// name when it is whole, so that an empty or half-made journal.db is always
// damage, and never a reason to begin a chain anew.
func create(path string, g *receipts.Genesis, sign *signer) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".journal-*.new")
	if err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	err = tmp.Close()
	if err == nil {
		err = writeGenesis(tmp.Name(), g, sign)
	}
	if err == nil {
		err = durable.Publish(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("create journal %s: %w", path, errors.Join(err, ignoreMissing(os.Remove(tmp.Name()))))
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func writeGenesis(path string, g *receipts.Genesis, sign *signer) error {
	core := receipts.AppendCore(nil, g)
	g.ReceiptHash = receipts.Hash(core)
	line := sign.appendLine(nil, g, core)

	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 1, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		for _, name := range [][]byte{intentsBucket, recordsBucket, keysBucket, tracesBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		seq := seqKey(1)
		return errors.Join(
			meta.Put(formatKey, []byte(format)),
			meta.Put(chainKey, []byte(g.Chain.ID)),
			meta.Put(tenantKey, []byte(g.Tenant)),
			tx.Bucket(recordsBucket).Put(seq[:], line),
			tx.Bucket(keysBucket).Put(seq[:], line),
		)
	})
	return errors.Join(err, db.Close())
}
