package invariants

import (
	"maps"
	"slices"

	"cel.dev/cel-go/interpreter"

	"github.com/signet-egress/signet/internal/jsonx"
)

// Input is what rules look at. Documents are not changed.
type Input struct {
	// Original is what the payload was made from; nil if there is none, and then
	// every rule that looks at it is violated.
	Original *jsonx.Value
	// Transformed is the payload.
	Transformed *jsonx.Value
	Request     Request
	// Facts are documents by the name of their fact.
	Facts map[string]*jsonx.Value
}

// Request is the exchange that the payload belongs to, as policy decided it.
type Request struct {
	Method, Scheme, Host, Path string
	Agent, Trace               string
}

// requestFields are the names that rules have for Request's fields.
var requestFields = [...]string{"method", "scheme", "host", "path", "agent", "trace"}

func isRequestField(name string) bool {
	for _, field := range requestFields {
		if field == name {
			return true
		}
	}
	return false
}

func (r *Request) document() *jsonx.Value {
	values := [...]string{r.Method, r.Scheme, r.Host, r.Path, r.Agent, r.Trace}
	items := make([]jsonx.Value, len(values))
	for i, text := range values {
		items[i] = jsonx.Value{Kind: jsonx.String, Text: text, Name: requestFields[i]}
	}
	return &jsonx.Value{Kind: jsonx.Object, Items: items}
}

// variables resolves the four variables of a rule. It belongs to one check.
type variables struct {
	in             Input
	request, facts *jsonx.Value // made when a rule asks
}

var _ interpreter.Activation = (*variables)(nil)

// ResolveName is the document of that name.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "original":
		return document(v.in.Original)
	case "transformed":
		return document(v.in.Transformed)
	case "request":
		if v.request == nil {
			v.request = v.in.Request.document()
		}
		return document(v.request)
	case "facts":
		if v.facts == nil {
			v.facts = factsDocument(v.in.Facts)
		}
		return document(v.facts)
	}
	return nil, false
}

// Parent is none.
func (v *variables) Parent() interpreter.Activation { return nil }

func document(v *jsonx.Value) (any, bool) {
	if v == nil {
		return nil, false
	}
	return celValue(v), true
}

func factsDocument(facts map[string]*jsonx.Value) *jsonx.Value {
	out := &jsonx.Value{Kind: jsonx.Object}
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		if facts[name] == nil {
			continue
		}
		member := *facts[name]
		member.Name = name
		out.Items = append(out.Items, member)
	}
	return out
}
