package invariants

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// prices are what calls cost: one, and what they go through. CEL knows the
// functions of its own library only, and would take the doubling of a megabyte
// for one step.
type prices struct{}

// bytesAStep is how much of a text or a document one step goes through.
const bytesAStep = 64

// CallCost is the price of a call that was made.
func (prices) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	cost := 1 + weight(result)
	for _, arg := range args {
		w := weight(arg)
		if function == fnMatches {
			w *= 16 // a state machine goes through it
		}
		cost += w
	}
	return &cost
}

func weight(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v) / bytesAStep)
	case *object:
		return uint64(max(len(v.Items), int(v.End-v.Start)/bytesAStep))
	case *array:
		return uint64(max(len(v.Items), int(v.End-v.Start)/bytesAStep))
	case traits.Sizer:
		if n, ok := v.Size().(types.Int); ok {
			return uint64(n)
		}
	}
	return 0
}
