package journal

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/internal/keyfile"
	"github.com/signet-egress/signet/receipts"
)

const keyName = "key.pem"

// KeyFile is where a chain's signing key is kept. While the key is rotated the
// next one stands in a file beside it.
//
// At every moment one of the two files holds the key that the chain goes on
// with: the next key is durable before the key change is, and takes the place of
// the old one only after. Which of them it is the chain alone says, so that a
// start after a crash between any two steps resolves in the same way: open the
// journal with both, then Settle.
type KeyFile struct {
	Key  ed25519.PrivateKey
	Next ed25519.PrivateKey // staged; nil for none
	path string
}

// OpenKey reads the signing key, PKCS#8 in PEM, from file, or where file is empty
// from key.pem in dir, and the next one if a rotation has staged it. It is an
// error when others than the owner may read a file.
func OpenKey(dir, file string) (*KeyFile, error) {
	f := &KeyFile{path: file}
	if file == "" {
		f.path = filepath.Join(dir, keyName)
	}
	var err error
	if f.Key, err = keyfile.Ed25519(f.path, keyfile.Owner); err != nil {
		return nil, err
	}
	f.Next, err = keyfile.Ed25519(f.nextPath(), keyfile.Owner)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return f, nil
}

// LoadKey is OpenKey for a start, which makes key.pem (0600) where dir has
// neither a key nor a journal yet. It is an error when a journal has lost its
// key.
func LoadKey(dir, file string) (f *KeyFile, created bool, err error) {
	f, err = OpenKey(dir, file)
	if !errors.Is(err, fs.ErrNotExist) || file != "" {
		return f, false, err
	}
	path := filepath.Join(dir, keyName)
	switch _, statErr := os.Stat(filepath.Join(dir, fileName)); {
	case statErr == nil:
		return nil, false, fmt.Errorf("signing key %s is missing beside an existing journal: restore it from a backup, "+
			"or move the data directory away to begin a new chain", path)
	case !errors.Is(statErr, fs.ErrNotExist):
		return nil, false, fmt.Errorf("signing key: %w", statErr)
	}
	key, err := keyfile.MakeEd25519(path)
	if err != nil {
		return nil, false, err
	}
	return &KeyFile{Key: key, path: path}, true, nil
}

// nextPath is where the next key is staged: key.next.pem for key.pem.
func (f *KeyFile) nextPath() string {
	ext := filepath.Ext(f.path)
	return strings.TrimSuffix(f.path, ext) + ".next" + ext
}

// Rotate has the chain of j go over to a new key, which takes the old one's place
// in the file. One call at a time. A key that a rotation before has staged is
// used, never replaced, since the chain may have gone over to it already.
//
// With file not empty the chain goes over to the key in it, and nothing is
// written: that is for whoever gets keys from a secret store, and has the next
// start read file.
func (f *KeyFile) Rotate(j *Journal, file string) (*receipts.Event, error) {
	if file != "" {
		next, err := keyfile.Ed25519(file, keyfile.Owner)
		if err != nil {
			return nil, err
		}
		return j.RotateKey(next)
	}
	if err := f.stage(); err != nil {
		return nil, err
	}
	change, err := j.RotateKey(f.Next)
	if err != nil {
		return nil, err
	}
	if err := f.Settle(change.Key.KID); err != nil {
		return change, fmt.Errorf("the chain goes on with the key %s, and the next start tries again to give it its place: %w", change.Key.KID, err)
	}
	return change, nil
}

func (f *KeyFile) stage() error {
	if f.Next != nil {
		return nil
	}
	if info, err := os.Lstat(f.path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("signing key %s is a link, as secret stores make them: put a new key there by another name, and name its file to the rotation", f.path)
	}
	var err error
	f.Next, err = keyfile.MakeEd25519(f.nextPath())
	return err
}

// Settle gives the key that the chain goes on with the place of the current one.
// A staged key that the chain has not gone over to stays for the next rotation.
func (f *KeyFile) Settle(kid string) error {
	if f.Next == nil || receipts.KeyID(publicOf(f.Next)) != kid {
		return nil
	}
	if err := os.Rename(f.nextPath(), f.path); err != nil {
		return fmt.Errorf("settle signing key: %w", err)
	}
	f.Key, f.Next = f.Next, nil
	return durable.SyncDir(filepath.Dir(f.path))
}
