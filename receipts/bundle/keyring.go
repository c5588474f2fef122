package bundle

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/signet-egress/signet/receipts"
)

// keyring finds which of a chain's keys sign the records of an export.
type keyring struct {
	chain   []receipts.ChainKey
	used    []receipts.ChainKey // in the order of first use
	current []byte              // kid of the record before
}

// note takes in the key of a record.
func (k *keyring) note(line []byte) error {
	kid := memberString(line, `,"kid":"`)
	if bytes.Equal(kid, k.current) {
		return nil
	}
	k.current = bytes.Clone(kid)
	return k.use(string(kid))
}

func (k *keyring) use(kid string) error {
	is := func(key receipts.ChainKey) bool { return key.KID == kid }
	if slices.ContainsFunc(k.used, is) {
		return nil
	}
	i := slices.IndexFunc(k.chain, is)
	if i < 0 {
		return fmt.Errorf("the key %q is not one of the chain's", kid)
	}
	k.used = append(k.used, k.chain[i])
	return nil
}
