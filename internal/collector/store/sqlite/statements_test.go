package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
)

// A connection keeps a bounded number of statements, those that were used last, and
// each is right however it was used before: through to the end or not, twice at a
// time, with an error.
func TestStatementsAreKept(t *testing.T) {
	c, err := newConnector(filepath.Join(t.TempDir(), "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	query := func(text string, args ...any) *sql.Rows {
		t.Helper()
		rows, err := conn.QueryContext(t.Context(), text, args...)
		if err != nil || !rows.Next() {
			t.Fatalf("%s: no row, %v", text, err)
		}
		return rows
	}
	wantN := func(rows *sql.Rows, want int) {
		t.Helper()
		var n int
		if err := rows.Scan(&n); err != nil || n != want {
			t.Errorf("got %d, %v; want %d", n, err, want)
		}
	}
	end := func(rows *sql.Rows) {
		t.Helper()
		if err := rows.Close(); err != nil || rows.Err() != nil {
			t.Error(err, rows.Err())
		}
	}

	if _, err := conn.ExecContext(t.Context(), "CREATE TABLE t (n INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)"); err != nil {
		t.Fatal(err)
	}
	for n, there := range []bool{false, true, true, false, false} {
		_, err := conn.ExecContext(t.Context(), "INSERT INTO t VALUES ($1)", n)
		if there != (err != nil) {
			t.Errorf("insert %d: %v", n, err)
		}
	}
	const after = "SELECT n FROM t WHERE n > $1 ORDER BY n"
	outer := query(after, 0)
	inner := query(after, 2)
	wantN(outer, 1)
	wantN(inner, 3)
	end(inner)
	outer.Next()
	wantN(outer, 2)
	end(outer)
	again := query(after, 3)
	wantN(again, 4)
	end(again)

	for i := range 3 * statementsKept {
		rows := query(fmt.Sprintf("SELECT %d", i))
		wantN(rows, i)
		end(rows)
	}
	err = conn.Raw(func(raw any) error {
		kept, _ := raw.(*connection)
		if n := len(kept.idle); n != statementsKept {
			t.Errorf("%d statements are kept", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
