package payload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/invariants"
)

// Inspector holds bodies to contracts. What it is made of is the process's; it
// is safe for concurrent use.
type Inspector struct {
	Limit    int      // bytes of one body; the same holds after decompression
	Budget   *Budget  // of all bodies at one time
	Facts    Facts    // nil: no fact is known
	Model    Model    // nil: none is asked
	Observer Observer // nil: none
}

// Observer hears of inspections. Calls are concurrent.
type Observer interface {
	Inspected(c *Contract, r *Result)
	LookedUp(fact string, err error) // errors.Is ErrNoOriginal: there is none
	Repaired(method string, err error)
	Remembered(c *Contract, err error)
}

// Request is a request whose body is to be inspected.
type Request struct {
	Body     io.Reader
	Length   int64  // as declared; negative: not
	Encoding string // Content-Encoding
	Type     string // Content-Type
	Signed   bool   // a field of the request vouches for the bytes: they cannot be changed

	Tenant, Agent, Trace       string
	Method, Scheme, Host, Path string
}

// Result is what became of a body.
type Result struct {
	// Refusal says why the body may not go; nil: it may.
	Refusal *Refusal
	// Body is what to send: the bytes that were checked, decoded, with all that
	// repair and transform have changed. Raw is what came, as far as it was read;
	// all of it unless the refusal is that it is too large.
	Body, Raw []byte
	Cut       bool // there is more than Raw

	CID      string // SHA-256 of the body's JCS form; "" where a number does not round-trip
	Facts    []Used
	Original *jsonx.Value // what the body was held against; nil: none
	Repair   *Repair      // nil: nothing was mended
	Tokens   int64        // that a model took, for a repair that came to nothing too
	Stages   []Stage

	release func()
}

// Release ends the use of Body and Raw.
func (r *Result) Release() { r.release() }

// Stage is one step of an inspection.
type Stage struct {
	Name string
	Took time.Duration
}

// Used is a fact that a body was held against.
type Used struct{ Name, ReceiptID string }

// Repair is how a body was mended.
type Repair struct {
	Method        string // local | model
	Before, After string // digests: sha256: and hex
	Edits         []Edit
	Model         string
}

// Edit is one change of a repair.
type Edit struct {
	Op     string
	Path   string
	Offset int64 // bytes into the text that came
}

// Refusal is why a body may not go.
type Refusal struct {
	Reason     policy.Reason
	Detail     string                 // for the agent; may quote its own body
	Violations []invariants.Violation // of rules
	Err        error                  // for logs: no values
	Busy       bool                   // it may go later
}

func refuse(reason policy.Reason, detail string, err error) *Refusal {
	return &Refusal{Reason: reason, Detail: detail, Err: err}
}

// inspection is one body on its way through a contract.
type inspection struct {
	*Inspector
	contract *Contract
	request  *Request
	held     *held
	result   *Result

	body     []byte       // decoded, repaired, transformed: what the next stage sees
	document *document    // of body
	original *jsonx.Value // nil: not known, and the contract is lenient
}

// stage is one step of an inspection.
type stage struct {
	name    string
	applies func(*inspection) bool // nil: always
	run     func(*inspection, context.Context) *Refusal
}

// stages are in their order.
var stages = [...]stage{
	{"decode", (*inspection).isEncoded, (*inspection).decode},
	{"parse", nil, (*inspection).parse},
	{"schema", func(x *inspection) bool { return x.contract.schema != nil }, (*inspection).checkSchema},
	{"original", nil, (*inspection).findOriginal},
	{"transform", func(x *inspection) bool { return x.contract.transform != nil && x.original != nil }, (*inspection).transform},
	{"target", func(x *inspection) bool { return x.contract.targetSchema != nil }, (*inspection).checkTarget},
	{"rules", func(x *inspection) bool { return x.contract.rules != nil && x.original != nil }, (*inspection).checkRules},
	{"cid", nil, (*inspection).identify},
}

// Inspect reads a body and takes it through its contract. The error is that of
// reading it; whatever is wrong with the body is the result's refusal. The
// caller releases the result in either case.
func (i *Inspector) Inspect(ctx context.Context, c *Contract, r *Request) (*Result, error) {
	x := &inspection{Inspector: i, contract: c, request: r, held: &held{budget: i.Budget}}
	x.result = &Result{release: x.held.release}
	if err := x.read(); err != nil {
		return x.result, err
	}
	for n := range stages {
		if x.result.Refusal != nil {
			break
		}
		if s := &stages[n]; s.applies == nil || s.applies(x) {
			start := time.Now()
			x.result.Refusal = s.run(x, ctx)
			x.passed(s.name, start)
		}
	}
	if x.result.Refusal == nil {
		x.result.Body = x.body
	}
	if r := x.result.Repair; r != nil {
		r.After = digest(x.body)
	}
	if i.Observer != nil {
		i.Observer.Inspected(c, x.result)
	}
	return x.result, nil
}

// read holds the body in memory.
func (x *inspection) read() error {
	limit := x.Limit
	if x.contract.limit > 0 {
		limit = min(limit, x.contract.limit)
	}
	start := time.Now()
	err := x.held.read(x.request.Body, x.request.Length, limit)
	x.body, x.result.Raw = x.held.data, x.held.data
	x.passed("read", start)
	switch {
	case errors.Is(err, errTooLarge):
		x.result.Cut = true
		x.result.Refusal = refuse(policy.PayloadTooLarge, "the body is larger than "+byteCount(limit)+", which is the most that is inspected", err)
		return nil
	case errors.Is(err, errNoBudget):
		x.result.Cut = true
		x.result.Refusal = busy()
		return nil
	}
	return err
}

func busy() *Refusal {
	r := refuse(policy.LimitExceeded, "too many bodies are inspected at this moment", errNoBudget)
	r.Busy = true
	return r
}

func (x *inspection) passed(stage string, start time.Time) {
	x.result.Stages = append(x.result.Stages, Stage{stage, time.Since(start)})
}

func (x *inspection) isEncoded() bool { return len(codings(x.request.Encoding)) > 0 }

// decode undoes the content coding. What leaves is not compressed again: it is
// the bytes that were checked.
func (x *inspection) decode(context.Context) *Refusal {
	body, err := decode(x.request.Encoding, x.body, x.Limit, x.held)
	if errors.Is(err, errNoBudget) {
		return busy()
	}
	if err != nil {
		return refuse(policy.PayloadNotInspectable, err.Error(), err)
	}
	if x.request.Signed {
		return refuse(policy.PayloadNotInspectable, "the body is compressed and signed; what is inspected leaves without compression", nil)
	}
	x.body = body
	return nil
}

// checkSchema holds the body as it came, repaired, against its schema.
func (x *inspection) checkSchema(context.Context) *Refusal {
	return x.validate(x.contract.schema)
}

// checkTarget holds the body as it leaves against its schema.
func (x *inspection) checkTarget(context.Context) *Refusal {
	return x.validate(x.contract.targetSchema)
}

// input is what expressions see.
func (x *inspection) input() invariants.Input {
	r := x.request
	return invariants.Input{
		Original: x.original, Transformed: x.document.seen,
		Request: invariants.Request{Method: r.Method, Scheme: r.Scheme, Host: r.Host, Path: r.Path, Agent: r.Agent, Trace: r.Trace},
		Facts:   x.facts(),
	}
}

// facts are the documents of facts by their names: the original, where it is one.
func (x *inspection) facts() map[string]*jsonx.Value {
	if x.contract.original == nil || x.original == nil {
		return nil
	}
	return map[string]*jsonx.Value{x.contract.original.fact: x.original}
}

// checkRules holds the body as it leaves against every rule.
func (x *inspection) checkRules(ctx context.Context) *Refusal {
	violations := x.contract.rules.Check(ctx, x.input())
	if len(violations) == 0 {
		return nil
	}
	detail, ids := "", ""
	for n, v := range violations {
		if n > 0 {
			detail, ids = detail+"; ", ids+" "
		}
		detail, ids = detail+v.RuleID+": "+v.Message, ids+v.RuleID
	}
	r := refuse(policy.InvariantViolated, detail, errors.New("violated: "+ids))
	r.Violations = violations
	return r
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
