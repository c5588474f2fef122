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

	return writeDatabase(path, func(tx *bbolt.Tx) error {
		seq := seqKey(1)
		return errors.Join(
			tx.Bucket(metaBucket).Put(formatKey, []byte(format)),
			tx.Bucket(metaBucket).Put(chainKey, []byte(g.Chain.ID)),
			tx.Bucket(metaBucket).Put(tenantKey, []byte(g.Tenant)),
			tx.Bucket(recordsBucket).Put(seq[:], line),
			tx.Bucket(keysBucket).Put(seq[:], line),
		)
	})
}

// writeDatabase makes a database whose buckets fill has filled.
func writeDatabase(path string, fill func(*bbolt.Tx) error) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 1, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{metaBucket, intentsBucket, recordsBucket, keysBucket, tracesBucket, sealedBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return fill(tx)
	})
	return errors.Join(err, db.Close())
}
