package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
)

// Digest is the SHA-256 of a secret, written as 64 hexadecimal digits.
type Digest [sha256.Size]byte

var digest = reflect.TypeFor[Digest]()

// parseDigest never repeats what it was given: it may be the secret itself.
func parseDigest(text string) (Digest, error) {
	var d Digest
	if n, err := hex.Decode(d[:], []byte(text[:min(len(text), 2*len(d))])); err != nil || n != len(d) || len(text) != 2*len(d) {
		return Digest{}, fmt.Errorf("is not a SHA-256, which is 64 hexadecimal digits, but %d characters; write the digest of the key, and never the key", len(text))
	}
	return d, nil
}

// String withholds the digest, from which a weak key can be guessed.
func (Digest) String() string { return "(withheld)" }

// checkAgents holds ids and keys against each other: a receipt names a key by
// its id alone, and a key must lead to one agent.
func (l *loader) checkAgents(agents []Agent) {
	names, ids, digests := make(map[string]bool), make(map[string]bool), make(map[Digest]bool)
	for i, a := range agents {
		at := fmt.Sprintf("agents[%d]", i)
		l.want(at+".name", fresh(a.Name, names, "agent", "put all its keys into one entry"))
		if len(a.Keys) == 0 {
			l.want(at+".keys", errors.New("is missing; an agent without a key could never call"))
		}
		for j, k := range a.Keys {
			at := fmt.Sprintf("%s.keys[%d]", at, j)
			l.want(at+".id", fresh(k.ID, ids, "key", "give each key an id of its own"))
			switch {
			case k.SHA256 == Digest{}:
				l.want(at+".sha256", errors.New("is missing; make it with printf %s \"$KEY\" | sha256sum"))
			case k.SHA256 == sha256.Sum256(nil):
				l.want(at+".sha256", errors.New("is the digest of nothing; the variable that held the key was empty"))
			case digests[k.SHA256]:
				l.want(at+".sha256", errors.New("stands in the list twice; one key is one agent's"))
			}
			digests[k.SHA256] = true
		}
	}
}

// fresh says what is wrong with a name that must be a name, and the only one.
func fresh(text string, seen map[string]bool, what, remedy string) error {
	if err := name(text); err != nil {
		return err
	}
	if seen[text] {
		return fmt.Errorf("the %s %s stands in the list twice; %s", what, text, remedy)
	}
	seen[text] = true
	return nil
}
