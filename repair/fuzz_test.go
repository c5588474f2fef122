package repair

import (
	"bytes"
	"errors"
	"testing"

	"github.com/signet-egress/signet/internal/jsonx"
)

// FuzzLocal holds every repair to what is promised: the result is JSON, repairing
// it changes nothing, and all its names and scalars stand in the text in order.
func FuzzLocal(f *testing.F) {
	for seed := range uint64(8) {
		a := newAuthor(seed)
		d := a.document()
		f.Add([]byte(d.text()))
		for _, c := range mustBeRepaired {
			if text, ok := c.spoil(a, d); ok {
				f.Add([]byte(text))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		valid, validErr := jsonx.Parse(text, jsonx.Options{})
		result, err := Local(text, Limits{})
		var r *Refusal
		switch {
		case err != nil && (!errors.As(err, &r) || r.Cause == "" || r.Offset > int64(len(text))):
			t.Fatalf("error: %v", err)
		case err != nil && validErr == nil:
			t.Fatalf("valid, and refused: %v", err)
		case err != nil:
			return
		case validErr == nil && (!bytes.Equal(result.Text, text) || !jsonx.Equal(result.Value, valid)):
			t.Fatalf("valid, and changed to %s", result.Text)
		case validErr != nil && len(result.Edits) == 0:
			t.Fatalf("not valid, and repaired to %s without an edit", result.Text)
		}
		again, err := Local(result.Text, Limits{})
		if err != nil || !bytes.Equal(again.Text, result.Text) || len(again.Edits) > 0 {
			t.Fatalf("repaired again: %v, %v", again, err)
		}
		checkFaithful(t, text, result.Value)
		checkEdits(t, text, result)
	})
}

// FuzzJudge has a model answer anything to a question about anything.
func FuzzJudge(f *testing.F) {
	f.Add([]byte(`{"a" 1; b = [2, {c: x}]}`), []byte(`{"s1":1000002,"s4":[1000007,{"s10":"s12"}]}`))
	f.Add([]byte(`{"a":{"x" 1,"y":"2"}`), []byte(`{"s1":{"s4":1000005},"s7":"s9"}`))
	f.Add([]byte(`[{"a" true, "b"]`), []byte(`[{"s2":1000003},"s5"]`))
	f.Fuzz(func(t *testing.T, text, answer []byte) {
		q, err := Ask(text, Limits{})
		if err != nil {
			return
		}
		result, err := q.Judge(answer)
		if err != nil {
			return
		}
		again, err := Local(result.Text, Limits{})
		if err != nil || len(again.Edits) > 0 {
			t.Fatalf("%s is not valid: %v", result.Text, err)
		}
		checkFaithful(t, text, result.Value)
		checkEdits(t, text, result)
	})
}

// checkFaithful looks for the names and scalars of a result in the text, each
// behind the one before, in any way of writing that is known to it.
func checkFaithful(t *testing.T, text []byte, v *jsonx.Value) {
	t.Helper()
	seek := func(forms ...string) {
		at, length := -1, 0
		for _, form := range forms {
			if i := bytes.Index(text, []byte(form)); i >= 0 && (at < 0 || i < at) {
				at, length = i, len(form)
			}
		}
		if at < 0 {
			t.Fatalf("%q is not in the rest of the text, %q", forms, text)
		}
		text = text[at+length:]
	}
	escapes := bytes.ContainsRune(text, '\\') // then a string can be written in many ways
	var walk func(v *jsonx.Value)
	walk = func(v *jsonx.Value) {
		switch v.Kind {
		case jsonx.Null:
			seek("null", "None", "undefined")
		case jsonx.True:
			seek("true", "True")
		case jsonx.False:
			seek("false", "False")
		case jsonx.Number:
			seek(v.Text)
		case jsonx.String:
			if isPlain(v.Text) && !escapes {
				seek(v.Text)
			}
		}
		for i := range v.Items {
			if isPlain(v.Items[i].Name) && !escapes {
				seek(v.Items[i].Name)
			}
			walk(&v.Items[i])
		}
	}
	walk(v)
}

// isPlain tells whether a string is written one way only.
func isPlain(s string) bool {
	for _, r := range s {
		if r < ' ' || r == '"' || r == '\'' || r == '\\' || r == '/' || r > '~' {
			return false
		}
	}
	return s != ""
}

// checkEdits makes the edits from what a receipt tells of them, and the result.
func checkEdits(t *testing.T, text []byte, result *Result) {
	t.Helper()
	last := int64(0)
	for _, e := range result.Edits {
		if e.Offset < last || e.Offset > int64(len(text)) || e.Op == "" {
			t.Fatalf("edit %+v after one at %d", e, last)
		}
		last = e.Offset
	}
	if got := apply(text, result.Edits); !bytes.Equal(got, result.Text) || Digest(got) != result.After || Digest(text) != result.Before {
		t.Fatalf("the edits lead to %s, not to %s", got, result.Text)
	}
}
