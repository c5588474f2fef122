package payload

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/invariants/facts"
)

// Facts remembers values of answers for later bodies; see facts.Store.
type Facts interface {
	// Lookup is the fact of that key that has not expired; nil where there is none.
	Lookup(ctx context.Context, k facts.Key) (*facts.Fact, error)
	// Remember is durable when it returns. A fact of the same key is replaced.
	Remember(ctx context.Context, k facts.Key, f facts.Fact) error
}

// The scopes of facts.
const (
	scopeTrace  = "trace"
	scopeAgent  = "agent"
	scopeTenant = "tenant"
)

// party is whose exchange it is.
type party struct{ tenant, agent, trace string }

// key is that of a fact in its scope. Agents choose their traces' ids, so that a
// trace is always one agent's.
func (p party) key(scope, name, of string) facts.Key {
	k := facts.Key{Tenant: p.tenant, Scope: scope, Name: name, Key: of}
	switch scope {
	case scopeAgent:
		k.Owner = p.agent
	case scopeTrace:
		k.Owner = p.agent + " " + p.trace // no agent has a blank in its name
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
	case !errors.Is(err, ErrNoOriginal):
		return refuse(policy.OriginalMissing, "the original could not be looked up", err)
	case o.lenient:
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
func (x *inspection) lookup(ctx context.Context, o *origin) (*facts.Fact, error) {
	of, err := keyAt(x.document.seen, o.key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoOriginal, err)
	}
	if x.Facts == nil {
		return nil, fmt.Errorf("%w: no facts are kept", ErrNoOriginal)
	}
	r := x.request
	fact, err := x.Facts.Lookup(ctx, party{r.Tenant, r.Agent, r.Trace}.key(o.scope, o.fact, of))
	if err == nil && fact == nil {
		return nil, fmt.Errorf("%w: there is no %s with the key that stands at %s, or not any more", ErrNoOriginal, o.fact, o.key)
	}
	return fact, err
}

// keyAt is the key that a pattern leads to. Where it leads to several places they
// must have one key.
func keyAt(v *jsonx.Value, p jsonx.Pattern) (string, error) {
	key := ""
	for _, m := range v.Match(p) {
		of := m.Value.Text
		switch {
		case m.Value.Kind != jsonx.String && m.Value.Kind != jsonx.Number || of == "":
			return "", fmt.Errorf("at %s is neither a string nor a number", p)
		case key != "" && key != of:
			return "", fmt.Errorf("there are several keys at %s", p)
		}
		key = of
	}
	if key == "" {
		return "", fmt.Errorf("there is nothing at %s", p)
	}
	return key, nil
}
