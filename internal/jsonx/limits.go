package jsonx

import "cmp"

// Limits bound what a document may cost. A zero field has its default; a field
// above its maximum has the maximum.
type Limits struct {
	Bytes    int // of the input: 10,000,000, at most 64 MiB, as offsets are kept in 32 bits
	Depth    int // arrays and objects inside each other: 64, at most 256, as readers recurse
	Members  int // of one object: 10,000, at most 100,000, as each name is compared with the others
	Values   int // of the document: 250,000, at most 4,000,000, at 80 bytes of memory each
	String   int // bytes of one string or name, decoded: 1 MiB, at most 16 MiB
	Digits   int // of one number, its exponent's included: 100, at most 1,000, as decimal arithmetic grows with them
	Exponent int // of one number, up or down: 400, at most 10,000; a double ends at 308
}

// DefaultLimits are those of a zero Limits.
func DefaultLimits() Limits {
	return Limits{
		Bytes: 10_000_000, Depth: 64, Members: 10_000, Values: 250_000,
		String: 1 << 20, Digits: 100, Exponent: 400,
	}
}

// MaxLimits are those that no configuration raises.
func MaxLimits() Limits {
	return Limits{
		Bytes: 64 << 20, Depth: 256, Members: 100_000, Values: 4_000_000,
		String: 16 << 20, Digits: 1_000, Exponent: 10_000,
	}
}

func (l Limits) effective() Limits {
	d, m := DefaultLimits(), MaxLimits()
	return Limits{
		Bytes:    min(cmp.Or(l.Bytes, d.Bytes), m.Bytes),
		Depth:    min(cmp.Or(l.Depth, d.Depth), m.Depth),
		Members:  min(cmp.Or(l.Members, d.Members), m.Members),
		Values:   min(cmp.Or(l.Values, d.Values), m.Values),
		String:   min(cmp.Or(l.String, d.String), m.String),
		Digits:   min(cmp.Or(l.Digits, d.Digits), m.Digits),
		Exponent: min(cmp.Or(l.Exponent, d.Exponent), m.Exponent),
	}
}
