package payload

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/invariants"
)

// transform writes what the contract's expressions say into the body. Each sees
// the body as it was before, and every byte that none of them writes stays. The
// result is read again, as if it had come so.
func (x *inspection) transform(ctx context.Context) *Refusal {
	in := x.input()
	changes := make([]change, 0, len(x.contract.transform))
	for _, a := range x.contract.transform {
		at, err := onlyPlace(x.document.seen, a.at)
		if err != nil {
			return untransformed(a, err)
		}
		value, err := a.value.Eval(ctx, in)
		if err != nil {
			return untransformed(a, err)
		}
		changes = append(changes, change{at, jsonx.Append(nil, value)})
	}
	if x.request.Signed {
		return refuse(policy.InvariantViolated, "the body is signed, and its contract would change it", errSigned)
	}
	body, err := x.document.apply(changes)
	if err != nil {
		return refuse(policy.InvariantViolated, "the body could not be transformed: "+err.Error(), err)
	}
	x.body = body
	if x.document, err = parse(body, x.contract.options, x.contract.embedded); err != nil {
		return refuse(policy.PayloadMalformed, "the body is malformed after its transform, "+where(err), err)
	}
	return nil
}

var errSigned = errors.New("a signed body would have to be changed")

// untransformed is a violation: what the contract promises of the body cannot be
// made so.
func untransformed(a assignment, err error) *Refusal {
	detail := fmt.Sprintf("transform of %s: %v", a.at, err)
	r := refuse(policy.InvariantViolated, detail, fmt.Errorf("transform of %s failed", a.at))
	r.Violations = []invariants.Violation{{RuleID: "transform", Message: detail}}
	return r
}
