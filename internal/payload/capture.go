package payload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/invariants/facts"
)

// Answer is an upstream's answer, as it came.
type Answer struct {
	Body     []byte
	Encoding string // Content-Encoding

	Tenant, Agent, Trace string
	ReceiptID            string // of its exchange, whose receipt is durable
}

// Remember takes out of an answer what its contract captures. Every fact that can
// be taken is durable when it returns; the error joins why others could not be.
// It quotes no value.
func (i *Inspector) Remember(ctx context.Context, c *Contract, a *Answer) error {
	err := i.remember(ctx, c, a)
	if i.Observer != nil {
		i.Observer.Remembered(c, err)
	}
	return err
}

func (i *Inspector) remember(ctx context.Context, c *Contract, a *Answer) error {
	if i.Facts == nil {
		return errors.New("no facts are kept")
	}
	room := &held{budget: i.Budget}
	defer room.release()
	body, err := decode(a.Encoding, a.Body, i.Limit, room)
	if err != nil {
		return err
	}
	root, err := jsonx.Parse(body, jsonx.Options{})
	if err != nil {
		return fmt.Errorf("the answer is not strict JSON: %w", err)
	}
	var errs []error
	for _, k := range c.captures {
		key, err := keyAt(root, jsonx.Pattern(k.key))
		if err != nil {
			errs = append(errs, fmt.Errorf("fact %s: %w", k.fact, err))
			continue
		}
		fact := facts.Fact{JSON: k.take(root), ReceiptID: a.ReceiptID, Expires: time.Now().Add(k.ttl)}
		errs = append(errs, i.Facts.Remember(ctx, party{a.Tenant, a.Agent, a.Trace}.key(k.scope, k.fact, key), fact))
	}
	return errors.Join(errs...)
}

// take is the fact as an object. A member that the answer does not have is left
// out, and a rule that looks at it does not hold.
func (k *capture) take(root *jsonx.Value) []byte {
	fact := &jsonx.Value{Kind: jsonx.Object}
	for _, m := range k.keep {
		if v := root.At(m.at); v != nil {
			member := *v
			member.Name = m.name
			fact.Items = append(fact.Items, member)
		}
	}
	return jsonx.Append(nil, fact)
}
