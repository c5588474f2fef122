package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Agents tells agents apart by the API keys that they send in
// Proxy-Authorization. Keys are known by their SHA-256 only. It is immutable; the
// zero value has no keys, and every request is the sidecar's one agent's.
type Agents struct{ keys []APIKey }

// APIKey is one key of one agent.
type APIKey struct {
	ID     string // what receipts name it by; never the key
	Agent  string
	SHA256 [sha256.Size]byte // of the key
}

// id is what receipts name the key by; "" for none.
func (k *APIKey) id() string {
	if k == nil {
		return ""
	}
	return k.ID
}

// NewAgents returns the agents that have keys.
func NewAgents(keys []APIKey) Agents { return Agents{keys: keys} }

var (
	errNoKey    = errors.New("no API key in Proxy-Authorization")
	errWrongKey = errors.New("no agent has the API key in Proxy-Authorization")
)

// find returns the key that the request carries, nil where none is needed. It
// takes as long for a wrong key as for a right one.
func (a *Agents) find(h http.Header) (*APIKey, error) {
	if len(a.keys) == 0 {
		return nil, nil
	}
	secret, err := credential(h)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(secret))
	found := -1
	for i := range a.keys {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], a.keys[i].SHA256[:]), i, found)
	}
	if found < 0 {
		return nil, errWrongKey
	}
	return &a.keys[found], nil
}

// know reports whether what was begun with key may go on. Without a key that is
// so while none is needed.
func (a *Agents) know(key *APIKey) bool {
	if key == nil {
		return len(a.keys) == 0
	}
	return slices.Contains(a.keys, *key)
}

// credential takes the key out of Proxy-Authorization (RFC 9110, section 11.7.2):
// a Bearer token (RFC 6750), or the password of Basic (RFC 7617), or its user name
// where the password is empty, as in http://KEY@proxy.
func credential(h http.Header) (string, error) {
	fields := h["Proxy-Authorization"]
	if len(fields) != 1 {
		return "", errNoKey
	}
	scheme, value, _ := strings.Cut(fields[0], " ")
	value = strings.TrimSpace(value)
	switch {
	case strings.EqualFold(scheme, "Bearer") && value != "":
		return value, nil
	case strings.EqualFold(scheme, "Basic"):
		return basicKey(value)
	}
	return "", errNoKey
}

func basicKey(value string) (string, error) {
	pair, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return "", fmt.Errorf("%w: Basic credentials are not base64", errNoKey)
	}
	user, password, _ := strings.Cut(string(pair), ":")
	if password != "" {
		return password, nil
	}
	if user == "" {
		return "", errNoKey
	}
	return user, nil
}
