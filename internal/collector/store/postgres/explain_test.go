package postgres

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/signet-egress/signet/internal/collector/store/relation"
)

// explainer hears from PostgreSQL how it has executed each statement.
type explainer struct {
	plans   []string
	rows    int  // that were read from tables, by all statements
	scanned bool // some of them without an index
	sorted  bool // or put in order by a step of its own
	jit     bool // a statement was compiled
	fault   error
}

// openExplained opens a database whose server says with each statement how it was
// executed, by plans that are made for the statement's parameters or, as
// PostgreSQL may decide once a statement has been executed five times, for any.
// So what is looked at are the statements as they are prepared and executed, and
// not others that look alike.
func openExplained(t *testing.T, url, planCacheMode string) (*relation.Store, *explainer) {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	e := new(explainer)
	config.ConnConfig.OnNotice = e.hear
	for name, value := range map[string]string{
		"session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "0", "auto_explain.log_analyze": "on", "auto_explain.log_timing": "off",
		"auto_explain.log_format": "json", "auto_explain.log_level": "notice", "plan_cache_mode": planCacheMode,
	} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &relation.Store{DB: &database{pool: pool, clock: time.Now}}, e
}

func (e *explainer) forget() { *e = explainer{} }

func (e *explainer) hear(_ *pgconn.PgConn, n *pgconn.Notice) {
	_, plan, ok := strings.Cut(n.Message, "plan:\n")
	if !ok {
		return
	}
	var executed struct {
		Plan node
		JIT  any
	}
	if err := json.Unmarshal([]byte(plan), &executed); err != nil {
		e.fault = err
		return
	}
	rows, scanned := executed.Plan.read()
	e.jit = e.jit || executed.JIT != nil
	e.sorted = e.sorted || strings.Contains(plan, `"Node Type": "Sort"`)
	if rows > 0 || scanned {
		e.plans = append(e.plans, plan)
	}
	e.rows += rows
	e.scanned = e.scanned || scanned
}

// node is a step of a plan.
type node struct {
	Type      string  `json:"Node Type"`
	Relation  string  `json:"Relation Name"`
	Rows      float64 `json:"Actual Rows"` // a loop's, like the next two
	Removed   float64 `json:"Rows Removed by Filter"`
	Rechecked float64 `json:"Rows Removed by Index Recheck"`
	Loops     float64 `json:"Actual Loops"`
	Plans     []node
}

// read is how many rows a step and those below it take from tables, and whether
// one of them reads a table that is not empty without an index.
func (n *node) read() (sum int, scanned bool) {
	if n.Relation != "" {
		sum = int((n.Rows + n.Removed + n.Rechecked) * n.Loops)
		scanned = n.Type == "Seq Scan" && sum > 0
	}
	for i := range n.Plans {
		below, also := n.Plans[i].read()
		sum, scanned = sum+below, scanned || also
	}
	return sum, scanned
}
