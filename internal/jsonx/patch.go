package jsonx

import (
	"cmp"
	"fmt"
	"slices"
)

// Patch collects changes to a document and applies them to its bytes at once.
// All bytes that no change is about stay as they came.
type Patch struct {
	input []byte
	root  *Value
	edits []edit
}

// edit replaces input[start:end]; with start == end it inserts.
type edit struct {
	start, end int32
	text       []byte
	at         Pointer
}

// NewPatch starts without changes. root is what Parse made of input.
func NewPatch(input []byte, root *Value) *Patch {
	return &Patch{input: input, root: root}
}

// Set gives the value at a pointer another one, written as JSON. A member that
// the object does not have is added after its last one, where the object itself
// is there. It is an error to set what is inside something that was set, or
// again.
func (p *Patch) Set(at Pointer, text []byte) error {
	change, err := p.change(at, text)
	if err != nil {
		return fmt.Errorf("set %q: %w", at, err)
	}
	for _, other := range p.edits {
		same := change.start == other.start && change.end == other.end
		overlaps := change.start < other.end && other.start < change.end
		if overlaps || same && slices.Equal(change.at, other.at) {
			return fmt.Errorf("set %q: it overlaps %q, which was set before", at, other.at)
		}
	}
	p.edits = append(p.edits, change)
	return nil
}

func (p *Patch) change(at Pointer, text []byte) (edit, error) {
	if old := p.root.At(at); old != nil {
		return edit{start: old.Start, end: old.End, text: text, at: at}, nil
	}
	last := len(at) - 1 // there is one: the root is always found
	object := p.root.At(at[:last])
	switch {
	case object == nil:
		return edit{}, fmt.Errorf("there is no %q to put it into", at[:last])
	case object.Kind != Object:
		return edit{}, fmt.Errorf("%q is of type %s, not an object", at[:last], object.Kind)
	}
	member := AppendString(nil, at[last])
	member = append(append(member, ':'), text...)
	if p.filled(object) {
		member = slices.Insert(member, 0, ',')
	}
	place := object.Start + 1
	if n := len(object.Items); n > 0 {
		place = object.Items[n-1].End
	}
	return edit{start: place, end: place, text: member, at: at}, nil
}

// filled tells whether the object has members, or was given one by a change.
func (p *Patch) filled(object *Value) bool {
	return len(object.Items) > 0 || slices.ContainsFunc(p.edits, func(e edit) bool {
		inserts := e.start == e.end
		return inserts && e.start == object.Start+1
	})
}

// Bytes is the input with all changes made.
func (p *Patch) Bytes() []byte {
	size := len(p.input)
	for _, e := range p.edits {
		size += len(e.text) - int(e.end-e.start)
	}
	edits := slices.Clone(p.edits)
	slices.SortStableFunc(edits, func(a, b edit) int {
		// What is inserted behind a value follows the change of the value.
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
	output, from := make([]byte, 0, size), int32(0)
	for _, e := range edits {
		output = append(append(output, p.input[from:e.start]...), e.text...)
		from = e.end
	}
	return append(output, p.input[from:]...)
}
