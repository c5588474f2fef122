package relation

import (
	"strconv"
	"strings"

	"github.com/signet-egress/signet/internal/collector/store"
)

// where builds a condition whose values are parameters. The texts are constants
// of this package.
type where struct {
	b    strings.Builder
	args []any
}

// and adds condition and a parameter with the value behind it.
func (w *where) and(condition string, value any) {
	if w.b.Len() > 0 {
		w.b.WriteString(" AND ")
	}
	w.b.WriteString(condition)
	w.b.WriteString(w.bind(value))
}

// text adds text as it is.
func (w *where) text(text string) { w.b.WriteString(text) }

// in adds that a column has one of some values.
func in[S ~string](w *where, column string, values []S) {
	names := make([]string, len(values))
	for i, value := range values {
		names[i] = w.bind(string(value))
	}
	w.text(` AND ` + column + ` IN (` + strings.Join(names, `, `) + `)`)
}

// bind makes a value a parameter and returns its name. A text is what records are
// found by, so that whatever is asked for can be asked of a database.
func (w *where) bind(value any) string {
	if text, ok := value.(string); ok {
		value = store.Findable(text)
	}
	w.args = append(w.args, value)
	return "$" + strconv.Itoa(len(w.args))
}

// bindText is bind for a text that is written and not found by.
func (w *where) bindText(text string) string {
	w.args = append(w.args, text)
	return "$" + strconv.Itoa(len(w.args))
}

func (w *where) sql() string { return w.b.String() }
