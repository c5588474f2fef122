package payload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/repair"
)

// Model repairs what the local repair refuses.
type Model interface {
	// Repair returns a text that is faithful to the one that came. The error is a
	// *repair.Refusal, or ErrQuota, or of the context. The tokens are used in
	// either case.
	Repair(ctx context.Context, text []byte) (r *repair.Result, tokens int64, err error)
	// Name is the model's, for receipts.
	Name() string
}

// ErrQuota is of a model that may not be asked: its quota is spent.
var ErrQuota = errors.New("the quota of the model is spent")

// mostMended is how many texts of one body are mended: itself, or those that it
// holds in strings.
const mostMended = 16

// mend repairs a body that is malformed, or the texts in its strings, as far as
// the contract lets it, and reads it again.
func (x *inspection) mend(ctx context.Context, malformed error) *Refusal {
	start := time.Now()
	defer func() { x.passed("repair", start) }()
	if x.request.Signed {
		return refuse(policy.RepairRefused, "the body is malformed "+where(malformed)+", and signed: a repair would break the signature", malformed)
	}
	x.result.Repair = &Repair{Before: digest(x.body)}
	for range mostMended {
		if refusal := x.mendOne(ctx, malformed); refusal != nil {
			x.result.Repair = nil
			return refusal
		}
		var err error
		if x.document, err = parse(x.body, x.contract.options, x.contract.embedded); err == nil {
			return nil
		}
		malformed = err
	}
	x.result.Repair = nil
	return refuse(policy.PayloadMalformed, "the body is malformed "+where(malformed), malformed)
}

// mendOne repairs the text that is malformed: the body, or the one within it.
func (x *inspection) mendOne(ctx context.Context, malformed error) *Refusal {
	var inner *embeddedError
	text := x.body
	if errors.As(malformed, &inner) {
		text = []byte(inner.text)
	}
	mended, refusal := x.repaired(ctx, text, malformed)
	if refusal != nil {
		return refusal
	}
	r := x.result.Repair
	if inner == nil {
		for _, e := range mended.Edits {
			r.Edits = append(r.Edits, Edit{string(e.Op), e.Path, e.Offset})
		}
		x.body = mended.Text
		return nil
	}
	root, err := jsonx.Parse(x.body, x.contract.options)
	if err != nil { // it was read before
		return refuse(policy.Internal, "", fmt.Errorf("reading a body again: %w", err))
	}
	patch := jsonx.NewPatch(x.body, root)
	if err := patch.Set(inner.at, jsonx.AppendString(nil, string(mended.Text))); err != nil {
		return refuse(policy.Internal, "", fmt.Errorf("writing a repaired text: %w", err))
	}
	for _, e := range mended.Edits { // all within one literal, whose place it is
		r.Edits = append(r.Edits, Edit{string(e.Op), inner.at.String() + e.Path, int64(root.At(inner.at).Start)})
	}
	x.body = patch.Bytes()
	return nil
}

// repaired repairs a text locally, and where that is refused for want of a rule by
// a model. What neither can mend without guessing is refused.
func (x *inspection) repaired(ctx context.Context, text []byte, malformed error) (*repair.Result, *Refusal) {
	r := x.result.Repair
	mended, err := repair.Local(text, repair.Limits{})
	if x.Observer != nil {
		x.Observer.Repaired("local", err)
	}
	if err == nil && len(mended.Edits) == 0 { // it is JSON, and refused for something else
		return nil, refuse(policy.PayloadMalformed, "the body is malformed "+where(malformed), malformed)
	}
	if err == nil {
		if r.Method == "" {
			r.Method = "local"
		}
		return mended, nil
	}
	var refusal *repair.Refusal
	if errors.As(err, &refusal) && refusal.Cause == repair.Unreadable {
		return nil, refuse(policy.PayloadMalformed, "the body is malformed "+where(malformed), malformed)
	}
	if !x.contract.repair.Model || x.Model == nil || refusal == nil || refusal.Final() {
		return nil, refuse(policy.RepairRefused, unmended(malformed, err), err)
	}
	return x.asked(ctx, text, malformed)
}

// asked has a model repair the text.
func (x *inspection) asked(ctx context.Context, text []byte, malformed error) (*repair.Result, *Refusal) {
	r := x.result.Repair
	r.Method, r.Model = "model", x.Model.Name()
	mended, tokens, err := x.Model.Repair(ctx, text)
	x.result.Tokens += tokens
	if x.Observer != nil {
		x.Observer.Repaired("model", err)
	}
	switch {
	case err == nil:
		return mended, nil
	case errors.Is(err, ErrQuota):
		return nil, refuse(policy.FUQuotaExceeded, "the body is malformed "+where(malformed)+", and the quota of the model that could repair it is spent", err)
	}
	return nil, refuse(policy.RepairRefused, unmended(malformed, err), err)
}

// unmended says why a text could not be repaired, and where.
func unmended(malformed, err error) string {
	var inner *embeddedError
	detail := "the body could not be repaired"
	if errors.As(malformed, &inner) {
		detail = "the JSON in the string \"" + inner.at.String() + "\" could not be repaired"
	}
	var refusal *repair.Refusal
	if errors.As(err, &refusal) {
		detail += ": " + refusal.Error()
	}
	return detail
}
