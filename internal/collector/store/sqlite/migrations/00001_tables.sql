-- Times are milliseconds since 1970. docs/collector.md describes the tables.

-- +goose Up

CREATE TABLE tenants (
	tenant  TEXT PRIMARY KEY NOT NULL,
	created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
	token_id TEXT PRIMARY KEY NOT NULL,
	tenant   TEXT NOT NULL REFERENCES tenants,
	digest   BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
	scopes   TEXT NOT NULL,
	created  INTEGER NOT NULL,
	expires  INTEGER,
	revoked  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_of_tenant ON tokens (tenant, created, token_id);

CREATE TABLE sessions (
	digest   BLOB PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
	tenant   TEXT NOT NULL REFERENCES tenants,
	token_id TEXT NOT NULL REFERENCES tokens,
	begun    INTEGER NOT NULL,
	used     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_token ON sessions (token_id, begun, digest);
CREATE INDEX sessions_by_use ON sessions (used);

CREATE TABLE chains (
	tenant     TEXT NOT NULL REFERENCES tenants,
	chain_id   TEXT NOT NULL,
	agent      TEXT NOT NULL,
	build      TEXT NOT NULL DEFAULT '',
	kid        TEXT NOT NULL,
	public_key BLOB NOT NULL CHECK (length(public_key) = 32),
	registered INTEGER NOT NULL,
	head_seq   INTEGER NOT NULL DEFAULT 0 CHECK (head_seq >= 0),
	head_hash  BLOB CHECK ((head_seq = 0) = (head_hash IS NULL)),
	first_ts   INTEGER,
	head_ts    INTEGER,
	pruned_seq INTEGER NOT NULL DEFAULT 0 CHECK (pruned_seq BETWEEN 0 AND head_seq),
	pruned_ts  INTEGER CHECK ((pruned_seq = 0) = (pruned_ts IS NULL)),
	anchor_seq INTEGER NOT NULL DEFAULT 0 CHECK (anchor_seq BETWEEN 0 AND pruned_seq),
	anchor_hash BLOB CHECK ((anchor_seq = 0) = (anchor_hash IS NULL)),
	anchor_ts  INTEGER,
	received   INTEGER,
	clean_stop INTEGER NOT NULL DEFAULT 0,
	gap_since  INTEGER,
	beat_at    INTEGER,
	beat_seq   INTEGER NOT NULL DEFAULT 0,
	skew_ms    INTEGER NOT NULL DEFAULT 0,
	last_sign  INTEGER NOT NULL,
	PRIMARY KEY (tenant, chain_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX chains_of_agent ON chains (tenant, agent, chain_id);
CREATE INDEX chains_silent ON chains (tenant, last_sign, chain_id) WHERE NOT clean_stop;
CREATE INDEX chains_old ON chains (tenant, first_ts, chain_id) WHERE first_ts IS NOT NULL;
CREATE INDEX chains_gap ON chains (tenant, gap_since, chain_id) WHERE gap_since IS NOT NULL;

CREATE TABLE chain_keys (
	tenant     TEXT NOT NULL,
	chain_id   TEXT NOT NULL,
	kid        TEXT NOT NULL,
	public_key BLOB NOT NULL CHECK (length(public_key) = 32),
	from_seq   INTEGER NOT NULL,
	introduced BLOB, -- the line of the record that does, once that is removed
	PRIMARY KEY (tenant, chain_id, from_seq),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
) STRICT, WITHOUT ROWID;

CREATE TABLE certificates (
	tenant    TEXT NOT NULL,
	serial    TEXT NOT NULL,
	chain_id  TEXT NOT NULL,
	issued    INTEGER NOT NULL,
	not_after INTEGER NOT NULL,
	revoked   INTEGER,
	PRIMARY KEY (tenant, serial),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_of_chain ON certificates (tenant, chain_id, issued, serial);

CREATE TABLE verifiers (
	tenant   TEXT NOT NULL,
	chain_id TEXT NOT NULL,
	seq      INTEGER NOT NULL,
	state    BLOB NOT NULL,
	PRIMARY KEY (tenant, chain_id),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
) STRICT;

CREATE TABLE records (
	tenant       TEXT NOT NULL,
	chain_id     TEXT NOT NULL,
	seq          INTEGER NOT NULL CHECK (seq > 0),
	type         TEXT NOT NULL,
	ts           INTEGER NOT NULL,
	received     INTEGER NOT NULL,
	receipt_hash BLOB NOT NULL CHECK (length(receipt_hash) = 32),
	line         BLOB NOT NULL,
	clean_stop   INTEGER NOT NULL,
	receipt_id   TEXT,
	trace_id     TEXT NOT NULL,
	hop          INTEGER NOT NULL,
	agent        TEXT NOT NULL,
	host         TEXT NOT NULL,
	outcome      TEXT NOT NULL,
	reason       TEXT NOT NULL,
	exchanges    INTEGER NOT NULL,
	vex          INTEGER NOT NULL,
	fu           INTEGER NOT NULL,
	bytes_up     INTEGER NOT NULL,
	bytes_down   INTEGER NOT NULL,
	internal     TEXT NOT NULL,
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
) STRICT;
CREATE UNIQUE INDEX records_place ON records (tenant, chain_id, seq);
CREATE INDEX records_chain_time ON records (tenant, chain_id, ts, seq);
CREATE INDEX records_id      ON records (tenant, receipt_id) WHERE receipt_id IS NOT NULL;
CREATE INDEX records_time    ON records (tenant, ts, chain_id, seq) WHERE receipt_id IS NOT NULL;
CREATE INDEX records_trace   ON records (tenant, trace_id, ts, chain_id, seq) WHERE receipt_id IS NOT NULL;
CREATE INDEX records_host    ON records (tenant, host, ts, chain_id, seq) WHERE receipt_id IS NOT NULL;
CREATE INDEX records_agent   ON records (tenant, agent, ts, chain_id, seq) WHERE receipt_id IS NOT NULL;
CREATE INDEX records_reason  ON records (tenant, reason, ts, chain_id, seq) WHERE receipt_id IS NOT NULL AND reason <> 'ok';
CREATE INDEX records_outcome ON records (tenant, outcome, ts, chain_id, seq) WHERE receipt_id IS NOT NULL AND outcome <> 'forwarded';

CREATE TABLE given_up (
	tenant    TEXT NOT NULL,
	chain_id  TEXT NOT NULL,
	first_seq INTEGER NOT NULL,
	last_seq  INTEGER NOT NULL CHECK (last_seq >= first_seq),
	PRIMARY KEY (tenant, chain_id, first_seq, last_seq),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
) STRICT, WITHOUT ROWID;

-- The rows of agent '' are the sums of all.
CREATE TABLE rollups (
	tenant     TEXT NOT NULL,
	hour       INTEGER NOT NULL,
	agent      TEXT NOT NULL,
	outcome    TEXT NOT NULL,
	reason     TEXT NOT NULL,
	exchanges  INTEGER NOT NULL,
	bytes_up   INTEGER NOT NULL,
	bytes_down INTEGER NOT NULL,
	vex        INTEGER NOT NULL,
	fu         INTEGER NOT NULL,
	PRIMARY KEY (tenant, agent, hour, outcome, reason)
) STRICT, WITHOUT ROWID;

-- What the tenant keeps, in bytes of lines, and may keep (0: no limit).
CREATE TABLE storage (
	tenant TEXT PRIMARY KEY NOT NULL REFERENCES tenants,
	bytes  INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),
	quota  INTEGER NOT NULL DEFAULT 0 CHECK (quota >= 0)
) STRICT, WITHOUT ROWID;

-- For how many months a tenant has its records kept (0: for ever), and what was
-- removed by that.
CREATE TABLE retention (
	tenant TEXT PRIMARY KEY NOT NULL REFERENCES tenants,
	months INTEGER NOT NULL CHECK (months >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE removals (
	tenant   TEXT NOT NULL REFERENCES tenants,
	before   INTEGER NOT NULL,
	months   INTEGER NOT NULL,
	records  INTEGER NOT NULL CHECK (records > 0),
	bytes    INTEGER NOT NULL,
	first_ts INTEGER NOT NULL,
	last_ts  INTEGER NOT NULL,
	began    INTEGER NOT NULL,
	ended    INTEGER NOT NULL,
	PRIMARY KEY (tenant, before, months)
) STRICT, WITHOUT ROWID;

CREATE TABLE logs (
	tenant     TEXT PRIMARY KEY NOT NULL REFERENCES tenants,
	size       INTEGER NOT NULL,
	root       BLOB NOT NULL CHECK (length(root) = 32),
	checkpoint BLOB,
	at         INTEGER
) STRICT;

CREATE TABLE log_queue (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant    TEXT NOT NULL,
	chain_id  TEXT NOT NULL,
	first_seq INTEGER NOT NULL,
	records   INTEGER NOT NULL CHECK (records > 0)
) STRICT;
-- All columns, or SQLite would rather walk the queues of all tenants.
CREATE INDEX log_queue_of_tenant ON log_queue (tenant, id, chain_id, first_seq, records);

CREATE TABLE log_runs (
	tenant    TEXT NOT NULL,
	start     INTEGER NOT NULL,
	chain_id  TEXT NOT NULL,
	first_seq INTEGER NOT NULL,
	records   INTEGER NOT NULL CHECK (records > 0),
	PRIMARY KEY (tenant, start),
	UNIQUE (tenant, chain_id, first_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_tiles (
	tenant TEXT NOT NULL,
	level  INTEGER NOT NULL,
	n      INTEGER NOT NULL,
	data   BLOB NOT NULL,
	PRIMARY KEY (tenant, level, n)
) STRICT;

-- What witnesses have said of the log's checkpoints.
CREATE TABLE log_cosignatures (
	tenant     TEXT NOT NULL,
	size       INTEGER NOT NULL,
	witness    TEXT NOT NULL,
	checkpoint BLOB NOT NULL,
	line       TEXT NOT NULL,
	at         INTEGER NOT NULL,
	PRIMARY KEY (tenant, size, witness)
) STRICT, WITHOUT ROWID;

-- An alarm without a chain is about the log.
CREATE TABLE alarms (
	tenant   TEXT NOT NULL,
	alarm_id TEXT NOT NULL,
	kind     TEXT NOT NULL,
	chain_id TEXT,
	seq      INTEGER NOT NULL,
	message  TEXT NOT NULL,
	raised   INTEGER NOT NULL,
	last     INTEGER NOT NULL,
	cleared  INTEGER,
	PRIMARY KEY (tenant, alarm_id),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX alarms_open ON alarms (tenant, chain_id, kind) WHERE cleared IS NULL;
CREATE UNIQUE INDEX alarms_open_of_log ON alarms (tenant, kind) WHERE cleared IS NULL AND chain_id IS NULL;
CREATE INDEX alarms_of_chain ON alarms (tenant, chain_id, alarm_id);
CREATE INDEX alarms_open_by_id ON alarms (tenant, alarm_id) WHERE cleared IS NULL;
CREATE INDEX alarms_open_of_chain ON alarms (tenant, chain_id, alarm_id) WHERE cleared IS NULL;

CREATE TABLE forks (
	tenant       TEXT NOT NULL,
	chain_id     TEXT NOT NULL,
	seq          INTEGER NOT NULL,
	receipt_hash BLOB NOT NULL,
	known_hash   BLOB, -- NULL where no record is stored at its place
	line         BLOB NOT NULL,
	received     INTEGER NOT NULL,
	PRIMARY KEY (tenant, chain_id, seq, receipt_hash),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
) STRICT;
CREATE INDEX forks_by_time ON forks (tenant, received, chain_id, seq);
CREATE INDEX forks_of_chain ON forks (tenant, chain_id, received, seq);
