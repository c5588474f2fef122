// Package payload holds bodies to contracts: what a body must be, strictly
// parsed, mended where a contract lets it, transformed, and held against what it
// was made from. What was checked is what is sent, byte for byte.
//
// A contract is written in the policy directory; docs/contracts.md describes it.
package payload

import (
	"time"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/invariants"
)

// Contract is one compiled contract: immutable, for any number of goroutines.
type Contract struct {
	Name        string
	PayloadType string // what the body is when it comes; "" where the contract does not say
	TargetType  string // what it is when it leaves
	Report      bool   // violations are recorded, and the body goes as it came

	checks       bool // of requests; false where the contract only captures
	limit        int  // bytes; 0: that of the process
	options      jsonx.Options
	embedded     []jsonx.Pattern
	schema       *schema // of the body as it came, repaired; nil: none
	targetSchema *schema // of the body as it leaves
	repair       Repairs
	original     *origin // nil: the body as it came
	transform    []assignment
	rules        *invariants.Program // nil: none
	captures     []capture
}

// Repairs are the ways in which a contract lets a malformed body be mended.
type Repairs struct{ Local, Model bool }

// origin is where the document is that a body was made from.
type origin struct {
	fact    string
	scope   string
	key     jsonx.Pattern // in the body
	lenient bool          // a body whose original is not known goes, unheld
}

// assignment is one entry of transform.
type assignment struct {
	at    jsonx.Pattern
	value *invariants.Expression
}

// capture is what is remembered of an answer.
type capture struct {
	fact  string
	key   jsonx.Pointer // in the answer
	keep  []kept
	scope string
	ttl   time.Duration
}

// kept is one member of a fact, and where in the answer it is.
type kept struct {
	name string
	at   jsonx.Pointer
}

// Checks tells whether requests are held to the contract, and not only answers
// remembered.
func (c *Contract) Checks() bool { return c.checks }

// NeedsFact tells whether bodies are held against a fact, and not against
// themselves.
func (c *Contract) NeedsFact() bool { return c.original != nil }

// Captures tells whether answers are remembered.
func (c *Contract) Captures() bool { return len(c.captures) > 0 }

// Set is the contracts of a policy. The zero value has none.
type Set struct {
	selectors policy.Selectors
	contracts []*Contract
	facts     map[string]string // of captures
}

// For is the one contract that a request falls under, or nil. It takes no memory.
func (s *Set) For(r *policy.Request) *Contract {
	if i := s.selectors.Pick(r); i >= 0 {
		return s.contracts[i]
	}
	return nil
}

// Named is the contract of that name, or nil.
func (s *Set) Named(name string) *Contract {
	for _, c := range s.contracts {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Names lists the contracts in the order of files and lines.
func (s *Set) Names() []string {
	names := make([]string, len(s.contracts))
	for i, c := range s.contracts {
		names[i] = c.Name
	}
	return names
}
