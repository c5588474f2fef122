-- storetest.Bulk, with bulk.records records. References are not looked up, and no
-- trigger runs: that would take longer than the rest.
SET session_replication_role = replica;
SET synchronous_commit = off;

CREATE FUNCTION bulk_id(kind text, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
	RETURN (lpad(to_hex(n), 8, '0') || '-000' || kind || '-7000-8000-000000000000')::uuid;
CREATE FUNCTION bulk_start() RETURNS timestamptz IMMUTABLE LANGUAGE sql RETURN timestamptz '2028-01-05 00:00:00Z';

INSERT INTO tenants SELECT 'tenant-' || n, now() FROM generate_series(1, 1500) n UNION ALL SELECT 'acme', now();
INSERT INTO logs SELECT tenant, CASE tenant WHEN 'acme' THEN current_setting('bulk.records')::bigint / 2 ELSE 0 END, sha256('root'), 'checkpoint', now() FROM tenants;
INSERT INTO storage SELECT tenant, 1 << 30, 0 FROM tenants;
INSERT INTO retention SELECT tenant, 13 FROM tenants;
INSERT INTO removals SELECT tenant, bulk_start() - n * interval '1 month', 13, 1, 1, bulk_start(), bulk_start(), bulk_start(), bulk_start() FROM tenants, generate_series(1, 12) n;
INSERT INTO tokens SELECT 'token-' || n, CASE WHEN n <= 1500 THEN 'acme' ELSE 'tenant-' || n % 1500 + 1 END, lpad('token-' || n, 32)::bytea, 'receipts.read', bulk_start() + n * interval '1 minute'
	FROM generate_series(1, 3000) n;

INSERT INTO sessions SELECT lpad('session-' || n, 32)::bytea, CASE WHEN n / 20 < 1500 THEN 'acme' ELSE 'tenant-' || (n / 20 + 1) % 1500 + 1 END, 'token-' || n / 20 + 1, bulk_start() + n * interval '1 minute', bulk_start() + n * interval '1 minute'
	FROM generate_series(0, 3000 * 20 - 1) n;

-- Most chains are of pods that are gone, for longer than records are kept.
INSERT INTO chains (tenant, chain_id, agent, kid, public_key, registered, head_seq, head_hash, first_ts, head_ts, received, clean_stop, gap_since, last_sign)
	SELECT 'acme', bulk_id('c', n), 'agent-' || n % 10, 'k', lpad('key', 32)::bytea, bulk_start(), current_setting('bulk.records')::bigint / 100, lpad('head', 32)::bytea,
		CASE WHEN n < 900 THEN bulk_start() - interval '101 days' ELSE bulk_start() END,
		CASE WHEN n < 900 THEN bulk_start() - interval '100 days' + n * interval '1 minute' ELSE bulk_start() + interval '80 days' END,
		bulk_start(), n % 5 <> 0, CASE WHEN n % 50 = 0 THEN bulk_start() + n * interval '1 minute' END, bulk_start() + n * interval '1 minute'
	FROM generate_series(0, 999) n;
INSERT INTO chain_keys (tenant, chain_id, kid, public_key, from_seq) SELECT tenant, chain_id, kid, public_key, 1 FROM chains;
INSERT INTO certificates SELECT tenant, 'serial-' || chain_id || '-' || n, chain_id, bulk_start() + n * interval '16 hours', bulk_start() + interval '1 year'
	FROM chains, generate_series(1, 3) n WHERE chain_id < bulk_id('c', 200);
INSERT INTO verifiers SELECT tenant, chain_id, 1, 'state' FROM chains;
INSERT INTO given_up SELECT 'acme', bulk_id('c', c), n * 10, n * 10 + 3 FROM generate_series(0, 199) c, generate_series(1, 5) n;

INSERT INTO records
	SELECT 'acme', bulk_id('c', 900 + g % 100), g / 100 + 1, 'signet.receipt/1', bulk_start() + g * (interval '80 days' / current_setting('bulk.records')::int), now(),
		sha256(g::text::bytea), repeat('x', 1400), false, bulk_id('e', g), 'trace-' || g / 10, 1, 'agent-' || g % 10, 'host-' || g % 50 || '.example',
		CASE WHEN g % 20 = 0 THEN 'denied' ELSE 'forwarded' END, CASE WHEN g % 20 = 0 THEN 'HEL_HOST_NOT_ALLOWED' ELSE 'ok' END, 1, 1, 0, 812, 5120, ''
	FROM generate_series(0, current_setting('bulk.records')::int - 1) g;

INSERT INTO rollups SELECT 'acme', bulk_start() + h * interval '1 hour', 'agent-' || a, 'denied', 'REASON_' || r, 1, 2, 3, 4, 5
	FROM generate_series(0, 40 * 24 - 1) h, generate_series(0, 9) a, generate_series(0, 2) r;
INSERT INTO rollups SELECT tenant, hour, '', outcome, reason, sum(exchanges), sum(bytes_up), sum(bytes_down), sum(vex), sum(fu) FROM rollups GROUP BY tenant, hour, outcome, reason;

-- Half of the records are in the log, in runs of ten; some of the others wait.
INSERT INTO log_runs SELECT 'acme', n * 10, bulk_id('c', 900 + n % 100), n / 100 * 10 + 1, 10 FROM generate_series(0, current_setting('bulk.records')::int / 20 - 1) n;
INSERT INTO log_tiles SELECT 'acme', level, n, sha256('tile') FROM generate_series(0, 2) level, generate_series(0, 999) n;
INSERT INTO log_cosignatures SELECT tenant, n, 'witness-' || 20 - n, 'checkpoint', 'line', now() FROM tenants, generate_series(1, 20) n;
INSERT INTO log_queue (tenant, chain_id, first_seq, records)
	SELECT tenant, bulk_id('c', 900 + n % 100), current_setting('bulk.records')::int / 200 + n / 100 + 1, 1
	FROM generate_series(0, 999) n, (VALUES ('tenant-1'), ('acme')) t (tenant);

-- One of a hundred is open, and none of those is among the newest.
INSERT INTO alarms SELECT 'acme', bulk_id('a', n), 'gap', bulk_id('c', CASE WHEN n % 100 = 0 THEN n / 100 ELSE n % 100 END), 1, 'message',
	bulk_start() + n * interval '1 minute', bulk_start() + n * interval '1 minute', CASE WHEN n % 100 = 0 AND n < 4500 THEN NULL ELSE bulk_start() + interval '1 year' END
	FROM generate_series(0, 4999) n;
INSERT INTO forks SELECT 'acme', bulk_id('c', c), n, sha256(n::text::bytea), sha256('known'), repeat('x', 1400), bulk_start() + n * interval '1 minute'
	FROM generate_series(0, 99) c, generate_series(1, 20) n;
ANALYZE;
