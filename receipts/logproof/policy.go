package logproof

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Policy says whose cosignatures a checkpoint must have to be believed.
type Policy struct {
	// Logs are the verifier keys of the logs whose checkpoints are believed; empty: of
	// any.
	Logs []string
	// Witnesses are all that the policy knows.
	Witnesses []*Witness

	quorum *quorum // nil: no cosignature is needed
}

// quorum is met by a witness's cosignature, or where so many of its members are.
type quorum struct {
	name    string
	witness *Witness
	needed  int
	members []*quorum
}

// The bounds of a policy, which C2SP tlog-policy has be 32 at least.
const (
	maxPolicy  = 64 << 10 // bytes
	maxPolicyN = 64       // of logs, of witnesses, of groups
)

// Needed is the policy that as many of the witnesses as needed have cosigned; 0
// needs all.
func Needed(needed int, witnesses ...*Witness) (*Policy, error) {
	if needed < 0 || needed > len(witnesses) {
		return nil, fmt.Errorf("%d cosignatures of %d witnesses", needed, len(witnesses))
	}
	if needed == 0 {
		needed = len(witnesses)
	}
	p, all := new(Policy), &quorum{needed: needed}
	for _, w := range witnesses {
		if err := p.add(w); err != nil {
			return nil, err
		}
		all.members = append(all.members, &quorum{name: w.name, witness: w})
	}
	p.quorum = all
	return p, nil
}

// add takes a witness, whose key may stand there once: two names for one are no two
// witnesses.
func (p *Policy) add(w *Witness) error {
	for _, other := range p.Witnesses {
		if bytes.Equal(other.key, w.key) {
			return fmt.Errorf("the witnesses %s and %s have one key, which counts once", other.name, w.name)
		}
	}
	p.Witnesses = append(p.Witnesses, w)
	return nil
}

// Check holds a checkpoint, which the log of a verifier key has signed, against the
// policy: none, where that is nil. It returns the cosignatures of the policy's
// witnesses, and how many signatures beside these and the log's it did not check.
func (p *Policy) Check(signed []byte, verifierKey string) (found []Cosignature, unchecked int, err error) {
	if p == nil {
		p = new(Policy)
	}
	if len(p.Logs) > 0 && !slices.Contains(p.Logs, verifierKey) {
		return nil, 0, fmt.Errorf("the policy has no log with the key %s", verifierKey)
	}
	found, others, err := Cosignatures(signed, p.Witnesses)
	if err != nil {
		return nil, 0, err
	}
	cosigned := make(map[*Witness]bool, len(found))
	for _, c := range found {
		cosigned[c.Witness] = true
	}
	if p.quorum != nil && !p.quorum.met(cosigned) {
		return nil, 0, p.lacking(cosigned)
	}
	return found, others - 1, nil
}

func (q *quorum) met(cosigned map[*Witness]bool) bool {
	if q.witness != nil {
		return cosigned[q.witness]
	}
	n := 0
	for _, m := range q.members {
		if m.met(cosigned) {
			n++
		}
	}
	return n >= q.needed
}

// lacking says what a checkpoint lacks that does not meet the quorum.
func (p *Policy) lacking(cosigned map[*Witness]bool) error {
	have, lack := []string{}, []string{}
	for _, w := range p.Witnesses {
		if cosigned[w] {
			have = append(have, w.name)
		} else {
			lack = append(lack, w.name)
		}
	}
	by := cmp.Or(strings.Join(have, " and "), "nobody")
	return fmt.Errorf("the checkpoint is cosigned by %s, and not by %s: it needs %s", by, strings.Join(lack, " and "), p.quorum)
}

// String says whose cosignatures meet it.
func (q *quorum) String() string {
	if q.witness != nil {
		return q.name
	}
	names := make([]string, len(q.members))
	for i, m := range q.members {
		names[i] = m.name
	}
	if q.needed == len(names) {
		return strings.Join(names, " and ")
	}
	return fmt.Sprintf("%d of %s", q.needed, strings.Join(names, ", "))
}

// ParsePolicy reads a policy file (C2SP tlog-policy). The error names the line.
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) > maxPolicy {
		return nil, fmt.Errorf("%d bytes; a policy has at most %d", len(text), maxPolicy)
	}
	r := policyReader{policy: new(Policy), named: make(map[string]*quorum), member: make(map[string]bool)}
	for i, line := range strings.Split(string(text), "\n") {
		if err := r.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if !r.done {
		return nil, errors.New("it has no line quorum NAME")
	}
	return r.policy, nil
}

// policyReader reads a policy line by line.
type policyReader struct {
	policy *Policy
	named  map[string]*quorum // witnesses and groups
	member map[string]bool    // of a group already
	groups int
	done   bool // the quorum is known
}

func (r *policyReader) line(line string) error {
	if i := strings.IndexFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }); i >= 0 {
		return fmt.Errorf("the control character %q", line[i])
	}
	fields := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
		return nil
	}
	switch n := len(fields); {
	case fields[0] == "log" && (n == 2 || n == 3):
		return r.log(fields[1])
	case fields[0] == "witness" && (n == 3 || n == 4):
		return r.witness(fields[1], fields[2])
	case fields[0] == "group" && n >= 4:
		return r.group(fields[1], fields[2], fields[3:])
	case fields[0] == "quorum" && n == 2:
		return r.quorum(fields[1])
	}
	return fmt.Errorf("%.80q is none of: log VKEY [URL], witness NAME VKEY [URL], group NAME all|any|K NAME..., quorum NAME", strings.Join(fields, " "))
}

func (r *policyReader) log(key string) error {
	if _, err := note.NewVerifier(key); err != nil {
		return fmt.Errorf("the log's key %.200q: %w", key, err)
	}
	if len(r.policy.Logs) == maxPolicyN {
		return fmt.Errorf("more than %d logs", maxPolicyN)
	}
	_, material, _ := strings.Cut(strings.SplitN(key, "+", 2)[1], "+")
	for _, other := range r.policy.Logs {
		if strings.HasSuffix(other, "+"+material) {
			return fmt.Errorf("the log's key %.200q is there already", key)
		}
	}
	r.policy.Logs = append(r.policy.Logs, key)
	return nil
}

func (r *policyReader) witness(name, key string) error {
	w, err := NewWitness(key)
	if err != nil {
		return fmt.Errorf("the witness %s: %.200q: %w", name, key, err)
	}
	if len(r.policy.Witnesses) == maxPolicyN {
		return fmt.Errorf("more than %d witnesses", maxPolicyN)
	}
	if err := r.policy.add(w); err != nil {
		return err
	}
	return r.name(&quorum{name: name, witness: w})
}

func (r *policyReader) name(q *quorum) error {
	if r.named[q.name] != nil || q.name == "none" {
		return fmt.Errorf("the name %.80q is taken", q.name)
	}
	r.named[q.name] = q
	return nil
}

func (r *policyReader) group(name, needed string, members []string) error {
	if r.groups++; r.groups > maxPolicyN {
		return fmt.Errorf("more than %d groups", maxPolicyN)
	}
	q := &quorum{name: name}
	for _, m := range members {
		if r.named[m] == nil {
			return fmt.Errorf("group %s: no witness or group %.80q is defined before it", name, m)
		}
		if r.member[m] {
			return fmt.Errorf("group %s: %s is a member of a group already", name, m)
		}
		r.member[m] = true
		q.members = append(q.members, r.named[m])
	}
	switch needed {
	case "any":
		q.needed = 1
	case "all":
		q.needed = len(members)
	default:
		k, err := strconv.Atoi(needed)
		if err != nil || k < 1 || k > len(members) || strconv.Itoa(k) != needed {
			return fmt.Errorf("group %s: %.20q is none of all, any, and 1 to %d", name, needed, len(members))
		}
		q.needed = k
	}
	return r.name(q)
}

func (r *policyReader) quorum(name string) error {
	if r.done {
		return errors.New("a second quorum")
	}
	r.done = true
	if name == "none" {
		return nil
	}
	if r.policy.quorum = r.named[name]; r.policy.quorum == nil {
		return fmt.Errorf("quorum %.80q: no witness or group of that name is defined before it", name)
	}
	return nil
}
