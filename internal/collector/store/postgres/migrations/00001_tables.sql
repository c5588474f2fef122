-- docs/collector.md describes the tables. Everything but tenants, tokens and sessions,
-- by which a tenant is found, is under row-level security: the role signet_app, in
-- which the collector works, sees the rows of the tenant that the transaction
-- names in signet.tenant, and without that none. FORCE holds the owner to it too.

-- +goose Up

-- +goose StatementBegin
DO $$
BEGIN
	-- Roles belong to the cluster: another database of it may have made this one, or
	-- somebody who may where the owner may not.
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'signet_app') THEN
		CREATE ROLE signet_app NOLOGIN;
	END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
	NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
BEGIN
	-- Who has made a role may not act in it by that alone, from PostgreSQL 16 on.
	IF NOT pg_has_role(current_user, 'signet_app', CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
		EXECUTE format('GRANT signet_app TO %I', current_user);
	END IF;
	EXECUTE format('GRANT USAGE ON SCHEMA %I TO signet_app', current_schema());
END
$$;
-- +goose StatementEnd

CREATE TABLE tenants (
	tenant  text COLLATE "C" PRIMARY KEY CHECK (tenant ~ '^[A-Za-z0-9._-]{1,64}$'),
	created timestamptz NOT NULL
);

CREATE TABLE tokens (
	token_id text PRIMARY KEY,
	tenant   text COLLATE "C" NOT NULL REFERENCES tenants,
	digest   bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
	scopes   text NOT NULL,
	created  timestamptz NOT NULL,
	expires  timestamptz,
	revoked  timestamptz
);
CREATE INDEX tokens_of_tenant ON tokens (tenant, created, token_id);

CREATE TABLE sessions (
	digest   bytea PRIMARY KEY CHECK (length(digest) = 32),
	tenant   text COLLATE "C" NOT NULL REFERENCES tenants,
	token_id text NOT NULL REFERENCES tokens,
	begun    timestamptz NOT NULL,
	used     timestamptz NOT NULL
);
CREATE INDEX sessions_of_token ON sessions (token_id, begun, digest);
CREATE INDEX sessions_by_use ON sessions (used);

CREATE TABLE chains (
	tenant     text COLLATE "C" NOT NULL REFERENCES tenants,
	chain_id   uuid NOT NULL,
	agent      text NOT NULL,
	build      text NOT NULL DEFAULT '',
	kid        text NOT NULL,
	public_key bytea NOT NULL CHECK (length(public_key) = 32),
	registered timestamptz NOT NULL,
	head_seq   bigint NOT NULL DEFAULT 0 CHECK (head_seq >= 0),
	head_hash  bytea CHECK ((head_seq = 0) = (head_hash IS NULL)),
	first_ts   timestamptz,
	head_ts    timestamptz,
	pruned_seq bigint NOT NULL DEFAULT 0 CHECK (pruned_seq BETWEEN 0 AND head_seq),
	pruned_ts  timestamptz CHECK ((pruned_seq = 0) = (pruned_ts IS NULL)),
	anchor_seq bigint NOT NULL DEFAULT 0 CHECK (anchor_seq BETWEEN 0 AND pruned_seq),
	anchor_hash bytea CHECK ((anchor_seq = 0) = (anchor_hash IS NULL)),
	anchor_ts  timestamptz,
	received   timestamptz,
	clean_stop boolean NOT NULL DEFAULT false,
	gap_since  timestamptz,
	beat_at    timestamptz,
	beat_seq   bigint NOT NULL DEFAULT 0,
	skew_ms    bigint NOT NULL DEFAULT 0,
	last_sign  timestamptz NOT NULL,
	PRIMARY KEY (tenant, chain_id)
) WITH (fillfactor = 50); -- its rows are updated with each batch
CREATE INDEX chains_of_agent ON chains (tenant, agent, chain_id);
CREATE INDEX chains_silent ON chains (tenant, last_sign, chain_id) WHERE NOT clean_stop;
CREATE INDEX chains_old ON chains (tenant, first_ts, chain_id) WHERE first_ts IS NOT NULL;
CREATE INDEX chains_gap ON chains (tenant, gap_since, chain_id) WHERE gap_since IS NOT NULL;

CREATE TABLE chain_keys (
	tenant     text COLLATE "C" NOT NULL,
	chain_id   uuid NOT NULL,
	kid        text NOT NULL,
	public_key bytea NOT NULL CHECK (length(public_key) = 32),
	from_seq   bigint NOT NULL,
	introduced text, -- the line of the record that does, once that is removed
	PRIMARY KEY (tenant, chain_id, from_seq),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
);

CREATE TABLE certificates (
	tenant    text COLLATE "C" NOT NULL,
	serial    text NOT NULL,
	chain_id  uuid NOT NULL,
	issued    timestamptz NOT NULL,
	not_after timestamptz NOT NULL,
	revoked   timestamptz,
	PRIMARY KEY (tenant, serial),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
);
CREATE INDEX certificates_of_chain ON certificates (tenant, chain_id, issued, serial);

CREATE TABLE verifiers (
	tenant   text COLLATE "C" NOT NULL,
	chain_id uuid NOT NULL,
	seq      bigint NOT NULL,
	state    bytea NOT NULL,
	PRIMARY KEY (tenant, chain_id),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
);
ALTER TABLE verifiers ALTER COLUMN state SET STORAGE EXTERNAL; -- it is compressed

-- No foreign key to chains: records are inserted under the lock of the chain's
-- row, which is also what keeps a seq from being taken twice. The unique index
-- cannot, since it must hold the column that the partitions are made by.
CREATE TABLE records (
	tenant       text COLLATE "C" NOT NULL,
	chain_id     uuid NOT NULL,
	seq          bigint NOT NULL CHECK (seq > 0),
	type         text NOT NULL,
	ts           timestamptz NOT NULL,
	received     timestamptz NOT NULL,
	receipt_hash bytea NOT NULL CHECK (length(receipt_hash) = 32),
	line         text NOT NULL,
	clean_stop   boolean NOT NULL,
	receipt_id   uuid,
	trace_id     text COLLATE "C" NOT NULL,
	hop          bigint NOT NULL,
	agent        text COLLATE "C" NOT NULL,
	host         text COLLATE "C" NOT NULL,
	outcome      text COLLATE "C" NOT NULL,
	reason       text COLLATE "C" NOT NULL,
	exchanges    bigint NOT NULL,
	vex          bigint NOT NULL,
	fu           bigint NOT NULL,
	bytes_up     bigint NOT NULL,
	bytes_down   bigint NOT NULL,
	internal     text NOT NULL
) PARTITION BY RANGE (ts);
CREATE UNIQUE INDEX records_place ON records (tenant, chain_id, seq, ts);
CREATE INDEX records_chain_time ON records (tenant, chain_id, ts, seq);
CREATE INDEX records_id      ON records (tenant, receipt_id) WHERE receipt_id IS NOT NULL;
CREATE INDEX records_time    ON records (tenant, ts, chain_id, seq) WHERE receipt_id IS NOT NULL;
CREATE INDEX records_trace   ON records (tenant, trace_id, ts, chain_id, seq) WHERE receipt_id IS NOT NULL;
CREATE INDEX records_host    ON records (tenant, host, ts, chain_id, seq) WHERE receipt_id IS NOT NULL;
CREATE INDEX records_agent   ON records (tenant, agent, ts, chain_id, seq) WHERE receipt_id IS NOT NULL;
CREATE INDEX records_reason  ON records (tenant, reason, ts, chain_id, seq) WHERE receipt_id IS NOT NULL AND reason <> 'ok';
CREATE INDEX records_outcome ON records (tenant, outcome, ts, chain_id, seq) WHERE receipt_id IS NOT NULL AND outcome <> 'forwarded';

-- What no month's partition takes: records of a sidecar whose clock is far off,
-- and of months that are not made yet.
CREATE TABLE records_default PARTITION OF records DEFAULT;

-- The function works as its owner: what a caller has made for itself (pg_temp), with
-- triggers, must not stand for a table that it names, nor a function that somebody may
-- add to the schema for one of PostgreSQL's own, whose parameters fit better.
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- +goose StatementBegin
CREATE FUNCTION signet_make_partitions(first date, months integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
	month date := pg_catalog.date_trunc('month', first);
	since timestamptz;
	until timestamptz;
	name  text;
BEGIN
	PERFORM pg_catalog.pg_advisory_xact_lock(7331190042);
	FOR i IN 1..months LOOP
		since := month::timestamp AT TIME ZONE 'UTC';
		until := (month + interval '1 month') AT TIME ZONE 'UTC';
		name := 'records_' || pg_catalog.to_char(month, 'YYYY_MM');
		IF pg_catalog.to_regclass(name) IS NULL THEN
			EXECUTE pg_catalog.format('CREATE TABLE %I (LIKE records INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
			LOCK TABLE records_default IN ACCESS EXCLUSIVE MODE;
			EXECUTE pg_catalog.format('WITH moved AS (DELETE FROM records_default WHERE ts >= %L AND ts < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
				since, until, name);
			EXECUTE pg_catalog.format('ALTER TABLE records ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, since, until);
		END IF;
		month := month + interval '1 month';
	END LOOP;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION signet_make_partitions(date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION signet_make_partitions(date, integer) TO signet_app;

CREATE TABLE given_up (
	tenant    text COLLATE "C" NOT NULL,
	chain_id  uuid NOT NULL,
	first_seq bigint NOT NULL,
	last_seq  bigint NOT NULL CHECK (last_seq >= first_seq),
	PRIMARY KEY (tenant, chain_id, first_seq, last_seq),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
);

-- The rows of agent '' are the sums of all.
CREATE TABLE rollups (
	tenant     text COLLATE "C" NOT NULL,
	hour       timestamptz NOT NULL,
	agent      text COLLATE "C" NOT NULL,
	outcome    text COLLATE "C" NOT NULL,
	reason     text COLLATE "C" NOT NULL,
	exchanges  bigint NOT NULL,
	bytes_up   bigint NOT NULL,
	bytes_down bigint NOT NULL,
	vex        bigint NOT NULL,
	fu         bigint NOT NULL,
	PRIMARY KEY (tenant, agent, hour, outcome, reason)
) WITH (fillfactor = 50);

-- What the tenant keeps, in bytes of lines, and may keep (0: no limit).
CREATE TABLE storage (
	tenant text COLLATE "C" PRIMARY KEY REFERENCES tenants,
	bytes  bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0),
	quota  bigint NOT NULL DEFAULT 0 CHECK (quota >= 0)
) WITH (fillfactor = 50);

-- For how many months a tenant has its records kept (0: for ever), and what was
-- removed by that.
CREATE TABLE retention (
	tenant text COLLATE "C" PRIMARY KEY REFERENCES tenants,
	months integer NOT NULL CHECK (months >= 0)
);

CREATE TABLE removals (
	tenant   text COLLATE "C" NOT NULL REFERENCES tenants,
	before   timestamptz NOT NULL,
	months   integer NOT NULL,
	records  bigint NOT NULL CHECK (records > 0),
	bytes    bigint NOT NULL,
	first_ts timestamptz NOT NULL,
	last_ts  timestamptz NOT NULL,
	began    timestamptz NOT NULL,
	ended    timestamptz NOT NULL,
	PRIMARY KEY (tenant, before, months)
);

CREATE TABLE logs (
	tenant     text COLLATE "C" PRIMARY KEY REFERENCES tenants,
	size       bigint NOT NULL,
	root       bytea NOT NULL CHECK (length(root) = 32),
	checkpoint bytea,
	at         timestamptz
);

CREATE TABLE log_queue (
	id        bigint GENERATED ALWAYS AS IDENTITY,
	tenant    text COLLATE "C" NOT NULL,
	chain_id  uuid NOT NULL,
	first_seq bigint NOT NULL,
	records   bigint NOT NULL CHECK (records > 0),
	PRIMARY KEY (tenant, id)
);

CREATE TABLE log_runs (
	tenant    text COLLATE "C" NOT NULL,
	start     bigint NOT NULL,
	chain_id  uuid NOT NULL,
	first_seq bigint NOT NULL,
	records   bigint NOT NULL CHECK (records > 0),
	PRIMARY KEY (tenant, start),
	UNIQUE (tenant, chain_id, first_seq)
);

CREATE TABLE log_tiles (
	tenant text COLLATE "C" NOT NULL,
	level  smallint NOT NULL,
	n      bigint NOT NULL,
	data   bytea NOT NULL,
	PRIMARY KEY (tenant, level, n)
);
ALTER TABLE log_tiles ALTER COLUMN data SET STORAGE EXTERNAL; -- hashes do not compress

-- What witnesses have said of the log's checkpoints.
CREATE TABLE log_cosignatures (
	tenant     text COLLATE "C" NOT NULL,
	size       bigint NOT NULL,
	witness    text COLLATE "C" NOT NULL,
	checkpoint bytea NOT NULL,
	line       text NOT NULL,
	at         timestamptz NOT NULL,
	PRIMARY KEY (tenant, size, witness)
);

-- An alarm without a chain is about the log.
CREATE TABLE alarms (
	tenant   text COLLATE "C" NOT NULL,
	alarm_id uuid NOT NULL,
	kind     text NOT NULL,
	chain_id uuid,
	seq      bigint NOT NULL,
	message  text NOT NULL,
	raised   timestamptz NOT NULL,
	last     timestamptz NOT NULL,
	cleared  timestamptz,
	PRIMARY KEY (tenant, alarm_id),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
);
CREATE UNIQUE INDEX alarms_open ON alarms (tenant, chain_id, kind) WHERE cleared IS NULL;
CREATE UNIQUE INDEX alarms_open_of_log ON alarms (tenant, kind) WHERE cleared IS NULL AND chain_id IS NULL;
CREATE INDEX alarms_of_chain ON alarms (tenant, chain_id, alarm_id);
CREATE INDEX alarms_open_by_id ON alarms (tenant, alarm_id) WHERE cleared IS NULL;
CREATE INDEX alarms_open_of_chain ON alarms (tenant, chain_id, alarm_id) WHERE cleared IS NULL;

CREATE TABLE forks (
	tenant       text COLLATE "C" NOT NULL,
	chain_id     uuid NOT NULL,
	seq          bigint NOT NULL,
	receipt_hash bytea NOT NULL,
	known_hash   bytea, -- NULL where no record is stored at its place
	line         text NOT NULL,
	received     timestamptz NOT NULL,
	PRIMARY KEY (tenant, chain_id, seq, receipt_hash),
	FOREIGN KEY (tenant, chain_id) REFERENCES chains
);
CREATE INDEX forks_by_time ON forks (tenant, received, chain_id, seq);
CREATE INDEX forks_of_chain ON forks (tenant, chain_id, received, seq);

-- +goose StatementBegin
DO $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['chains', 'chain_keys', 'certificates', 'verifiers', 'records', 'given_up', 'rollups', 'storage', 'retention', 'removals',
		'logs', 'log_queue', 'log_runs', 'log_tiles', 'log_cosignatures', 'alarms', 'forks'] LOOP
		EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
		EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
		EXECUTE format('CREATE POLICY tenant ON %I USING (tenant = current_setting(''signet.tenant'', true))', name);
	END LOOP;
END
$$;
-- +goose StatementEnd

-- serve looks whether the tables are those of its program.
GRANT SELECT ON goose_db_version TO signet_app;

-- Evidence is added, never changed: no UPDATE of records, and no DELETE but of
-- the log's queue, of what witnesses said who have said more since, and of sessions.
-- Records that were kept for long enough are removed by the owner alone, who also says
-- how long that is, and accounts for it.
GRANT SELECT, INSERT ON tenants, records, given_up, log_runs, forks TO signet_app;
GRANT SELECT ON retention, removals TO signet_app;
GRANT SELECT, INSERT (tenant, chain_id, kid, public_key, from_seq) ON chain_keys TO signet_app;
GRANT SELECT, INSERT (tenant, chain_id, agent, kid, public_key, registered, last_sign),
	UPDATE (build, kid, public_key, head_seq, head_hash, first_ts, head_ts, received, clean_stop, gap_since, beat_at, beat_seq, skew_ms, last_sign)
	ON chains TO signet_app;
GRANT SELECT, INSERT, UPDATE ON tokens, certificates, verifiers, rollups, storage, logs, log_tiles, alarms TO signet_app;
GRANT SELECT, INSERT, DELETE ON log_queue TO signet_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON log_cosignatures, sessions TO signet_app;
