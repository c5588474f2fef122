package payload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/internal/policy"
)

// Facts remembers values of answers for later bodies.
type Facts interface {
	// Lookup is the fact of that key that has not expired; nil where there is none.
	Lookup(ctx context.Context, k FactKey) (*Fact, error)
	// Remember is durable when it returns. A fact of the same key is replaced.
	Remember(ctx context.Context, k FactKey, f Fact) error
}

// FactKey names a fact.
type FactKey struct {
	Tenant string
	Scope  Scope
	Owner  string // the trace or the agent; "" for the tenant's
	Name   string // as the contract has it
	Key    string // which of them, such as an invoice's id
}

// Fact is what is remembered.
type Fact struct {
	JSON      []byte // one object
	ReceiptID string // of the exchange that it came from
	Expires   time.Time
}

// owned is the key of a fact in its scope.
func owned(scope Scope, tenant, agent, trace, name, key string) FactKey {
	k := FactKey{Tenant: tenant, Scope: scope, Name: name, Key: key}
	switch scope {
	case ScopeTrace:
		k.Owner = trace
	case ScopeAgent:
		k.Owner = agent
	}
	return k
}

// findOriginal finds what the body is held against: by default itself, as it
// came.
func (x *inspection) findOriginal(ctx context.Context) *Refusal {
	o := x.contract.original
	if o == nil {
		x.original = x.document.seen
		x.result.Original = x.original
		return nil
	}
	fact, err := x.lookup(ctx, o)
	if x.Observer != nil {
		x.Observer.LookedUp(o.fact, err)
	}
	switch {
	case err == nil:
	case o.lenient && errors.Is(err, ErrNoOriginal):
		return nil
	default:
		return refuse(policy.OriginalMissing, err.Error(), err)
	}
	root, err := jsonx.Parse(fact.JSON, jsonx.Options{})
	if err != nil {
		return refuse(policy.OriginalMissing, "the original could not be read", fmt.Errorf("reading fact %s: %w", o.fact, err))
	}
	x.original, x.result.Original = root, root
	x.result.Facts = append(x.result.Facts, Used{Name: o.fact, ReceiptID: fact.ReceiptID})
	return nil
}

// ErrNoOriginal is of a body that there is nothing to hold against.
var ErrNoOriginal = errors.New("no original is known")

// lookup finds the fact that the body names by its key. Its errors quote nothing
// of the body.
func (x *inspection) lookup(ctx context.Context, o *origin) (*Fact, error) {
	key, err := keyAt(x.document.seen, o.key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoOriginal, err)
	}
	if x.Facts == nil {
		return nil, fmt.Errorf("%w: no facts are kept", ErrNoOriginal)
	}
	r := x.request
	fact, err := x.Facts.Lookup(ctx, owned(o.scope, r.Tenant, r.Agent, r.Trace, o.fact, key))
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking up fact %s: %w", o.fact, err)
	case fact == nil:
		return nil, fmt.Errorf("%w: there is no %s that has the key at %s, or not any more", ErrNoOriginal, o.fact, o.key)
	}
	return fact, nil
}

// longestKey bounds what is a key, in bytes.
const longestKey = 512

// keyAt is the text of the string or number that a pattern leads to. Where it
// leads to several they must be one key.
func keyAt(v *jsonx.Value, p jsonx.Pattern) (string, error) {
	key := ""
	for _, m := range v.Match(p) {
		if m.Value.Kind != jsonx.String && m.Value.Kind != jsonx.Number || m.Value.Text == "" || len(m.Value.Text) > longestKey {
			return "", fmt.Errorf("what is at %s is not a string or number of 1 to %d bytes", p, longestKey)
		}
		if key != "" && key != m.Value.Text {
			return "", fmt.Errorf("there are several keys at %s", p)
		}
		key = m.Value.Text
	}
	if key == "" {
		return "", fmt.Errorf("there is nothing at %s", p)
	}
	return key, nil
}
