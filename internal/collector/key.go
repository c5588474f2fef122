package collector

import (
	"crypto/ed25519"
	"errors"
	"io/fs"

	"github.com/signet-egress/signet/internal/keyfile"
)

// LoadKey reads the key that signs acks and checkpoints, Ed25519 in PKCS#8 PEM,
// and makes it (0600) where there is none. All replicas have the same one.
func LoadKey(path string) (ed25519.PrivateKey, error) {
	key, err := keyfile.Ed25519(path, keyfile.OwnerAndGroup)
	if errors.Is(err, fs.ErrNotExist) {
		return keyfile.MakeEd25519(path)
	}
	return key, err
}
