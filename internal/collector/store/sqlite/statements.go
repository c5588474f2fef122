package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"modernc.org/sqlite"
)

// statementsKept is how many prepared statements a connection keeps. Ingest has two
// dozen; pages are put together from what is asked for, in some hundred ways.
const statementsKept = 100

// connector opens connections that keep the statements that they have prepared: to
// prepare one takes longer than to run it.
type connector struct{ driver.Connector }

func newConnector(dsn string) (driver.Connector, error) {
	c, err := sqlite.NewConnector(dsn)
	return connector{c}, err
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	raw, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := raw.(sqliteConn)
	if !ok {
		return nil, fmt.Errorf("a connection of another driver: %T", raw)
	}
	return &connection{sqliteConn: conn}, nil
}

// sqliteConn is what the driver's connections are, of which database/sql makes use.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// connection is one of SQLite's, for one goroutine at a time.
type connection struct {
	sqliteConn
	idle []statement // by when they were used last
}

// statement is one that is prepared.
type statement struct {
	text string
	stmt sqliteStmt
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// take finds a statement among those that are idle, or prepares it. It is the
// caller's until it is put back.
func (c *connection) take(ctx context.Context, text string) (statement, error) {
	if i := slices.IndexFunc(c.idle, func(s statement) bool { return s.text == text }); i >= 0 {
		found := c.idle[i]
		c.idle = slices.Delete(c.idle, i, i+1)
		return found, nil
	}
	raw, err := c.PrepareContext(ctx, text)
	if err != nil {
		return statement{}, err
	}
	stmt, ok := raw.(sqliteStmt)
	if !ok {
		return statement{}, fmt.Errorf("a statement of another driver: %T", raw)
	}
	return statement{text, stmt}, nil
}

// put takes a statement back.
func (c *connection) put(s statement) error {
	c.idle = append(c.idle, s)
	if len(c.idle) <= statementsKept {
		return nil
	}
	oldest := c.idle[0]
	c.idle = slices.Delete(c.idle, 0, 1)
	return oldest.stmt.Close()
}

// ExecContext implements driver.ExecerContext.
func (c *connection) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	result, err := s.stmt.ExecContext(ctx, args)
	return result, errors.Join(err, c.put(s))
}

// QueryContext implements driver.QueryerContext. The statement is the rows' until
// they are closed.
func (c *connection) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	found, err := s.stmt.QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, c.put(s))
	}
	return &cursor{Rows: found, close: func() error { return errors.Join(found.Close(), c.put(s)) }}, nil
}

// Close implements driver.Conn.
func (c *connection) Close() error {
	var err error
	for _, s := range c.idle {
		err = errors.Join(err, s.stmt.Close())
	}
	return errors.Join(err, c.sqliteConn.Close())
}

// cursor is the rows of a statement that is put back when they are closed.
type cursor struct {
	driver.Rows
	close func() error
}

// Close implements driver.Rows.
func (c *cursor) Close() error { return c.close() }
