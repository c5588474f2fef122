package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/relation"
	"github.com/signet-egress/signet/internal/collector/store/storetest"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
)

// tenantTables are those whose rows belong to a tenant.
var tenantTables = []string{
	"alarms", "certificates", "chain_keys", "chains", "forks", "given_up", "log_queue", "log_runs", "log_tiles", "logs", "records", "removals", "retention", "rollups", "storage", "verifiers",
}

// loginRole is a user who may do what the application's role may, in a database
// that belongs to another who is no superuser, as an installation should be.
func loginRole(t *testing.T) (app, owner *pgx.Conn) {
	t.Helper()
	if cluster == nil {
		t.Skip("PostgreSQL is not installed")
	}
	name := "d" + strings.ReplaceAll(chains.UUID(), "-", "")
	sql := func(database, statements string) {
		t.Helper()
		if err := cluster.SQL(t.Context(), database, statements); err != nil {
			t.Fatal(err)
		}
	}
	sql("postgres", "CREATE ROLE "+name+"_owner LOGIN CREATEROLE")
	sql("postgres", "CREATE DATABASE "+name+" OWNER "+name+"_owner")
	if err := Migrate(t.Context(), cluster.URL(name+"_owner", name), time.Now()); err != nil {
		t.Fatal(err)
	}
	sql("postgres", "CREATE ROLE "+name+"_app LOGIN IN ROLE signet_app")
	connect := func(user string) *pgx.Conn {
		t.Helper()
		c, err := pgx.Connect(t.Context(), cluster.URL(user, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
		return c
	}
	fill(t, cluster.URL(name+"_app", name))
	retain(t, open(t, cluster.URL(name+"_owner", name)))
	return connect(name + "_app"), connect(name + "_owner")
}

// fill puts a row of tenant acme into every table, through the store, as a user
// with the application's role alone.
func fill(t *testing.T, url string) {
	t.Helper()
	ctx := t.Context()
	s := open(t, url)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	for _, tenant := range []string{"acme", "beta"} {
		must(s.CreateTenant(ctx, store.Tenant{Name: tenant, Created: now}))
	}
	c := chains.New("acme", "a", now)
	must(s.RegisterChain(ctx, "acme", store.Registration{ID: c.ID, Agent: "a", PublicKey: c.Public(), At: now}))
	must(s.AddCertificate(ctx, store.Certificate{Serial: "1", Tenant: "acme", Chain: c.ID, Issued: now, NotAfter: now}))
	stored := func(line []byte) {
		r, err := receipts.Decode(line)
		must(err)
		row := store.NewRecord(r, line, now)
		place := r.RecordHead().Chain
		_, err = s.Append(ctx, "acme", &store.Batch{Chain: c.ID, After: store.Head{Seq: place.Seq - 1, Hash: place.Prev}, Records: []store.Record{row}, Received: now, GivenUp: store.Span{First: row.Seq, Last: row.Seq}})
		must(err)
	}
	c.Exchanges(1)
	stored(c.Lines[0])
	_, err := s.Sequence(ctx, "acme", 10, func(_ context.Context, _ store.LogState, leaves [][32]byte, _ func(int, int64) ([]byte, error)) (store.Growth, error) {
		return store.Growth{State: store.LogState{Size: 1, Checkpoint: []byte("c"), At: now}, Tiles: []store.Tile{{Data: leaves[0][:]}}}, nil
	})
	must(err)
	stored(c.Lines[1])
	hash := c.Head().ReceiptHash
	must(s.AddFork(ctx, "acme", store.Fork{Chain: c.ID, Seq: 1, Hash: hash, Known: hash, Line: c.Lines[0], Received: now}))
	_, err = s.Raise(ctx, "acme", store.Alarm{ID: chains.UUID(), Kind: store.AlarmFork, Chain: c.ID, Raised: now})
	must(err)
	must(s.SaveVerifier(ctx, "acme", c.ID, 2, []byte("v")))
	must(s.Maintain(ctx, now.AddDate(0, 6, 0)))
}

// The store's own role, by queries that name no tenant: what it sees is decided
// by the tenant of the transaction alone. So it is for the tables' owner.
func TestRowLevelSecurity(t *testing.T) {
	app, owner := loginRole(t)
	for who, connection := range map[string]*pgx.Conn{"the application's role": app, "the owner": owner} {
		for _, table := range tenantTables {
			for tenant, visible := range map[string]bool{"": false, "beta": false, "acme": true} {
				var n int
				err := within(t, connection, tenant, func(tx pgx.Tx) error {
					return tx.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n)
				})
				if err != nil || n > 0 != visible {
					t.Errorf("%s as tenant %q sees %d rows of %s, %v", who, tenant, n, table, err)
				}
			}
		}
	}
	var n int
	if err := app.QueryRow(t.Context(), "SELECT count(*) FROM records").Scan(&n); err != nil || n != 0 {
		t.Errorf("without any tenant %d records are seen, %v", n, err)
	}
}

// retain has the owner say how long acme's records are kept, and remove the first.
func retain(t *testing.T, owner store.Store) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	known, err := owner.ListChains(ctx, "acme", store.ChainQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.SetRetention(ctx, "acme", 1); err != nil {
		t.Fatal(err)
	}
	p := store.Prune{Chain: known[0].ID, Before: now.Add(time.Hour), Months: 1, At: now}
	if gone, err := owner.Prune(ctx, "acme", p); err != nil || gone.Records != 1 { // the second waits for the log
		t.Fatalf("%+v, %v", gone, err)
	}
}

// Only the owner removes records, and says when they go.
func TestOnlyTheOwnerPrunes(t *testing.T) {
	app, owner := loginRole(t)
	url := func(c *pgx.Conn) string { return cluster.URL(c.Config().User, c.Config().Database) }
	ctx, now := t.Context(), time.Now()
	as := open(t, url(app))
	known, err := as.ListChains(ctx, "acme", store.ChainQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := as.Sequence(ctx, "acme", 10, storetest.Counted); err != nil {
		t.Fatal(err)
	}
	p := store.Prune{Chain: known[0].ID, Before: now.Add(time.Hour), Months: 1, At: now}
	if _, err := as.Prune(ctx, "acme", p); !errors.Is(err, store.ErrNotOwner) {
		t.Errorf("the application's role prunes: %v", err)
	}
	if err := as.SetRetention(ctx, "acme", 1); !errors.Is(err, store.ErrNotOwner) {
		t.Errorf("the application's role sets a retention: %v", err)
	}
	p.Rehearse = true
	if would, err := as.Prune(ctx, "acme", p); err != nil || would.Records != 1 {
		t.Errorf("a rehearsal: %+v, %v", would, err)
	}
	p.Rehearse = false
	if gone, err := open(t, url(owner)).Prune(ctx, "acme", p); err != nil || gone.Records != 1 {
		t.Errorf("the owner: %+v, %v", gone, err)
	}
	if err := open(t, url(owner)).Reclaim(ctx, now.AddDate(0, 7, 0)); err != nil {
		t.Errorf("reclaim: %v", err)
	}
	var left int
	if err := owner.QueryRow(ctx, `SELECT count(*) FROM pg_inherits WHERE inhparent = 'records'::regclass`).Scan(&left); err != nil || left != 4 {
		t.Errorf("%d partitions are left, %v; want those of the three months to come and the default", left, err)
	}
}

// Nothing is removed by a clock that is far from the database's.
func TestClocksAgree(t *testing.T) {
	_, owner := loginRole(t)
	d, ctx := &database{clock: func() time.Time { return time.Now().AddDate(10, 0, 0) }}, t.Context()
	var err error
	if d.pool, err = connect(ctx, cluster.URL(owner.Config().User, owner.Config().Database)); err != nil {
		t.Fatal(err)
	}
	s := &relation.Store{DB: d}
	t.Cleanup(func() { _ = s.Close() })
	known, err := s.ListChains(ctx, "acme", store.ChainQuery{})
	if err != nil {
		t.Fatal(err)
	}
	p := store.Prune{Chain: known[0].ID, Before: d.clock(), Months: 1, At: d.clock()}
	if gone, err := s.Prune(ctx, "acme", p); err == nil || !strings.Contains(err.Error(), "set the clock that is wrong") || gone.Records != 0 {
		t.Errorf("%+v, %v", gone, err)
	}
}

// What has rows, of whomever, or is used is not dropped.
func TestReclaimLeavesWhatIsUsed(t *testing.T) {
	app, owner := loginRole(t)
	ctx, now := t.Context(), time.Now()
	s := open(t, cluster.URL(owner.Config().User, owner.Config().Database))
	far := now.AddDate(1, 0, 0)
	partitions := func() (n int) {
		t.Helper()
		if err := owner.QueryRow(ctx, `SELECT count(*) FROM pg_inherits WHERE inhparent = 'records'::regclass`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := partitions()
	reader, err := app.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Exec(ctx, "SELECT FROM records LIMIT 1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Reclaim(ctx, far); err != nil || partitions() != before {
		t.Errorf("while somebody reads: %d partitions of %d, %v", partitions(), before, err)
	}
	if err := reader.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Reclaim(ctx, far); err != nil || partitions() != 2 {
		t.Errorf("%d partitions are left, %v; want the one that has a record and the default", partitions(), err)
	}
	if err := s.Maintain(ctx, now); err != nil {
		t.Error(err)
	}
}

func within(t *testing.T, c *pgx.Conn, tenant string, f func(pgx.Tx) error) error {
	t.Helper()
	return pgx.BeginFunc(t.Context(), c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "SELECT set_config('signet.tenant', $1, true)", tenant); err != nil {
			return err
		}
		return f(tx)
	})
}

// What the store's role must not be able to do, whatever is sent through it.
func TestApplicationRole(t *testing.T) {
	app, _ := loginRole(t)
	const insert = `INSERT INTO chain_keys (tenant, chain_id, kid, public_key, from_seq)
		SELECT 'acme', chain_id, 'k', public_key, 99 FROM chains`
	refused := map[string]struct{ tenant, sql, code string }{
		"write for another tenant": {"beta", `INSERT INTO rollups VALUES ('acme', now(), 'a', 'denied', 'r', 1, 1, 1, 1, 1)`, "42501"},
		"write without a tenant":   {"", `INSERT INTO rollups VALUES ('acme', now(), 'a', 'denied', 'r', 1, 1, 1, 1, 1)`, "42501"},
		"raise another's quota":    {"beta", `INSERT INTO storage VALUES ('acme', 0, 0) ON CONFLICT (tenant) DO UPDATE SET quota = 0`, "42501"},
		"count backwards":          {"acme", `DELETE FROM storage`, "42501"},
		"give rows away":           {"acme", `UPDATE chains SET tenant = 'beta'`, "42501"},
		"change a record":          {"acme", `UPDATE records SET host = 'other.example'`, "42501"},
		"delete a record":          {"acme", `DELETE FROM records`, "42501"},
		"say that records went":    {"acme", `UPDATE chains SET pruned_seq = 1`, "42501"},
		"begin without records":    {"acme", `INSERT INTO chains (tenant, chain_id, agent, kid, public_key, registered, last_sign, pruned_seq) SELECT tenant, gen_random_uuid(), '', '', public_key, now(), now(), 1 FROM chains`, "42501"},
		"make an introduction up":  {"acme", `INSERT INTO chain_keys (tenant, chain_id, kid, public_key, from_seq, introduced) SELECT tenant, chain_id, 'k', public_key, 99, '' FROM chains`, "42501"},
		"have records go":          {"acme", `UPDATE retention SET months = 1`, "42501"},
		"add a retention":          {"acme", `INSERT INTO retention VALUES ('acme', 1)`, "42501"},
		"forge an account":         {"acme", `UPDATE removals SET records = 1`, "42501"},
		"lose an account":          {"acme", `DELETE FROM removals`, "42501"},
		"change an introduction":   {"acme", `UPDATE chain_keys SET introduced = ''`, "42501"},
		"empty records":            {"acme", `TRUNCATE records`, "42501"},
		"change the log":           {"acme", `DELETE FROM log_runs`, "42501"},
		"change a fork":            {"acme", `UPDATE forks SET line = ''`, "42501"},
		"read a partition":         {"acme", `SELECT count(*) FROM records_default`, "42501"},
		"switch security off":      {"acme", `ALTER TABLE records DISABLE ROW LEVEL SECURITY`, "42501"},
		"set row_security off":     {"acme", `SET LOCAL row_security = off; SELECT count(*) FROM records`, "42501"},
		"drop a table":             {"acme", `DROP TABLE records`, "42501"},
		"make a table":             {"acme", `CREATE TABLE mine (a int)`, "42501"},
		"drop a policy":            {"acme", `DROP POLICY tenant ON records`, "42501"},
		"become the owner":         {"acme", `SET ROLE signet`, "42501"},
	}
	for what, r := range refused {
		err := within(t, app, r.tenant, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), r.sql, pgx.QueryExecModeSimpleProtocol)
			return err
		})
		var refusal interface{ SQLState() string }
		if !errors.As(err, &refusal) || refusal.SQLState() != r.code {
			t.Errorf("%s: got %v, want a refusal (%s)", what, err, r.code)
		}
	}
	if err := within(t, app, "acme", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), insert)
		return err
	}); err != nil {
		t.Errorf("write for the own tenant: %v", err)
	}
	var owned int
	if err := app.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relowner IN ('signet_app'::regrole, current_user::regrole)`).Scan(&owned); err != nil || owned != 0 {
		t.Errorf("the application's role owns %d relations, %v", owned, err)
	}
}

// The function that makes partitions works as the owner. What its caller has put in
// place of a table does not.
func TestPartitionsAreTheOwners(t *testing.T) {
	app, _ := loginRole(t)
	var kept int
	err := within(t, app, "acme", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `
			SET LOCAL ROLE signet_app;
			CREATE TEMPORARY TABLE records_default (LIKE records);
			CREATE FUNCTION pg_temp.strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM records; RETURN OLD; END $$;
			CREATE TRIGGER strike BEFORE DELETE ON records_default FOR EACH ROW EXECUTE FUNCTION pg_temp.strike();
			INSERT INTO records_default SELECT * FROM records LIMIT 1;
			UPDATE records_default SET ts = '2100-01-15';
			SELECT signet_make_partitions('2100-01-01', 1);
		`, pgx.QueryExecModeSimpleProtocol)
		return errors.Join(err, tx.QueryRow(t.Context(), "SELECT count(*) FROM records").Scan(&kept))
	})
	if err != nil || kept != 1 {
		t.Errorf("%d records are left of 1: %v", kept, err)
	}
}

// Nor does what somebody has added to a schema where all may, as in a database that was
// made before PostgreSQL 15, in place of a function of PostgreSQL's own.
func TestPartitionsCallNobodyElse(t *testing.T) {
	app, _ := loginRole(t)
	if err := cluster.SQL(t.Context(), app.Config().Database, "GRANT CREATE ON SCHEMA public TO PUBLIC"); err != nil {
		t.Fatal(err)
	}
	var strikes int
	err := within(t, app, "acme", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `
			SET LOCAL ROLE signet_app;
			CREATE SEQUENCE strikes;
			GRANT ALL ON strikes TO PUBLIC;
			CREATE FUNCTION date_trunc(text, date) RETURNS timestamptz LANGUAGE sql AS $$ SELECT nextval('strikes'); SELECT pg_catalog.date_trunc($1, $2) $$;
			CREATE FUNCTION to_char(date, text) RETURNS text LANGUAGE sql AS $$ SELECT nextval('strikes'); SELECT pg_catalog.to_char($1, $2) $$;
			CREATE FUNCTION to_regclass(text) RETURNS regclass LANGUAGE sql AS $$ SELECT nextval('strikes'); SELECT pg_catalog.to_regclass($1) $$;
			CREATE FUNCTION format(text, text) RETURNS text LANGUAGE sql AS $$ SELECT nextval('strikes'); SELECT pg_catalog.format($1, $2) $$;
			CREATE FUNCTION format(text, timestamptz, timestamptz, text) RETURNS text LANGUAGE sql AS $$ SELECT nextval('strikes'); SELECT pg_catalog.format($1, $2, $3, $4) $$;
			CREATE FUNCTION format(text, text, timestamptz, timestamptz) RETURNS text LANGUAGE sql AS $$ SELECT nextval('strikes'); SELECT pg_catalog.format($1, $2, $3, $4) $$;
			SELECT signet_make_partitions('2100-01-01', 1);
		`, pgx.QueryExecModeSimpleProtocol)
		return errors.Join(err, tx.QueryRow(t.Context(), "SELECT count(*) FROM strikes WHERE is_called").Scan(&strikes))
	})
	if err != nil || strikes != 0 {
		t.Errorf("a function of the caller's was called (%d): %v", strikes, err)
	}
}

// A database that would not hold records as they were signed is not taken.
func TestEncoding(t *testing.T) {
	if cluster == nil {
		t.Skip("PostgreSQL is not installed")
	}
	name := "d" + strings.ReplaceAll(chains.UUID(), "-", "")
	if err := cluster.SQL(t.Context(), "postgres", "CREATE DATABASE "+name+" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(t.Context(), cluster.URL("", name), time.Now()); err == nil || !strings.Contains(err.Error(), "encoding LATIN1") {
		t.Errorf("got %v", err)
	}
}

// An owner that may make no roles migrates once somebody else has made the one.
func TestOwnerWithoutRoles(t *testing.T) {
	loginRole(t) // has made signet_app
	name := "d" + strings.ReplaceAll(chains.UUID(), "-", "")
	for _, sql := range []string{"CREATE ROLE " + name + " LOGIN IN ROLE signet_app", "CREATE DATABASE " + name + " OWNER " + name} {
		if err := cluster.SQL(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := Migrate(t.Context(), cluster.URL(name, name), time.Now()); err != nil {
		t.Error(err)
	}
}
