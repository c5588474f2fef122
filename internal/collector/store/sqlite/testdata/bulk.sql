-- storetest.Bulk, with as many records as the table bulk says, and less of what
-- nobody counts.
CREATE TEMP TABLE series (n INTEGER PRIMARY KEY);
INSERT INTO series WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 2999) SELECT n FROM s;

INSERT INTO tenants SELECT 'tenant-' || n, 0 FROM series WHERE n BETWEEN 1 AND 1500;
INSERT INTO tenants VALUES ('acme', 0);
INSERT INTO logs SELECT tenant, CASE tenant WHEN 'acme' THEN records / 2 ELSE 0 END, zeroblob(32), CAST('checkpoint' AS BLOB), 0 FROM tenants, bulk;
INSERT INTO storage SELECT tenant, 1 << 30, 0 FROM tenants;
INSERT INTO retention SELECT tenant, 13 FROM tenants;
INSERT INTO removals SELECT tenant, n, 13, 1, 1, n, n, n, n FROM tenants, series WHERE n BETWEEN 1 AND 12;
INSERT INTO tokens SELECT 'token-' || n, CASE WHEN n <= 1500 THEN 'acme' ELSE 'tenant-' || (n % 1500 + 1) END, CAST(printf('%32s', 'token-' || n) AS BLOB), 'receipts.read', n, NULL, NULL
	FROM series WHERE n BETWEEN 1 AND 3000;

INSERT INTO sessions SELECT CAST(printf('%32s', 'session-' || n) AS BLOB), 'acme', 'token-' || (n / 20 + 1), start + n * 60000, start + n * 60000
	FROM series, bulk WHERE n < 1500;

INSERT INTO chains (tenant, chain_id, agent, kid, public_key, registered, head_seq, head_hash, first_ts, head_ts, received, clean_stop, gap_since, last_sign)
	SELECT 'acme', printf('%08x-000c-7000-8000-000000000000', n), 'agent-' || (n % 10), 'k', CAST(printf('%32s', 'key') AS BLOB), start,
		records / 100, CAST(printf('%32s', 'head') AS BLOB),
		CASE WHEN n < 900 THEN start - 101 * 86400000 ELSE start END, CASE WHEN n < 900 THEN start - 100 * 86400000 + n * 60000 ELSE start + 80 * 86400000 END,
		start, n % 5 <> 0, CASE WHEN n % 50 = 0 THEN start + n * 60000 END, start + n * 60000
	FROM series, bulk WHERE n < 1000;
INSERT INTO chain_keys (tenant, chain_id, kid, public_key, from_seq) SELECT tenant, chain_id, kid, public_key, 1 FROM chains;
INSERT INTO certificates SELECT tenant, 'serial-' || chain_id || '-' || n, chain_id, n, n, NULL FROM chains, series WHERE chain_id < '000000c8' AND n BETWEEN 1 AND 3;
INSERT INTO verifiers SELECT tenant, chain_id, 1, CAST('state' AS BLOB) FROM chains;
INSERT INTO given_up SELECT 'acme', chain_id, n * 10, n * 10 + 3 FROM chains, series WHERE chain_id < '000000c8' AND n BETWEEN 1 AND 5;

INSERT INTO records
	SELECT 'acme', printf('%08x-000c-7000-8000-000000000000', 900 + n % 100), n / 100 + 1, 'signet.receipt/1', start + n * (80 * 86400000 / records), start,
		randomblob(32), CAST('x' AS BLOB), 0, printf('%08x-000e-7000-8000-000000000000', n), 'trace-' || (n / 10), 1, 'agent-' || (n % 10), 'host-' || (n % 50) || '.example',
		CASE WHEN n % 20 = 0 THEN 'denied' ELSE 'forwarded' END, CASE WHEN n % 20 = 0 THEN 'HEL_HOST_NOT_ALLOWED' ELSE 'ok' END, 1, 1, 0, 812, 5120, ''
	FROM series, bulk WHERE n < records;

INSERT INTO rollups SELECT 'acme', start + h.n * 3600000, 'agent-' || (r.n % 10), 'denied', 'REASON_' || (r.n / 10), 1, 2, 3, 4, 5
	FROM series h, series r, bulk WHERE h.n < 5 * 24 AND r.n < 30;
INSERT INTO rollups SELECT tenant, hour, '', outcome, reason, sum(exchanges), sum(bytes_up), sum(bytes_down), sum(vex), sum(fu) FROM rollups GROUP BY tenant, hour, outcome, reason;

INSERT INTO log_runs SELECT 'acme', n * 10, printf('%08x-000c-7000-8000-000000000000', 900 + n % 100), n / 100 * 10 + 1, 10 FROM series, bulk WHERE n < records / 20;
INSERT INTO log_tiles SELECT 'acme', l.n, t.n, zeroblob(32) FROM series l, series t WHERE l.n = 0 AND t.n < 1000;
INSERT INTO log_cosignatures SELECT t.tenant, n, 'witness-' || (20 - n), CAST('checkpoint' AS BLOB), 'line', n
	FROM tenants t, series WHERE n BETWEEN 1 AND 20 AND (tenant = 'acme' OR tenant LIKE 'tenant-1%');
INSERT INTO log_queue (tenant, chain_id, first_seq, records)
	SELECT tenant, printf('%08x-000c-7000-8000-000000000000', 900 + n % 100), records / 200 + n / 100 + 1, 1
	FROM tenants, series, bulk WHERE tenant IN ('tenant-1', 'acme') AND n < 200;

INSERT INTO alarms SELECT 'acme', printf('%08x-000a-7000-8000-000000000000', n), 'gap',
	printf('%08x-000c-7000-8000-000000000000', CASE WHEN n % 100 = 0 THEN n / 100 ELSE n % 100 END), 1, 'message', n, n, CASE WHEN n % 100 = 0 AND n < 2500 THEN NULL ELSE n END
	FROM series;
INSERT INTO forks SELECT 'acme', printf('%08x-000c-7000-8000-000000000000', c.n), f.n, randomblob(32), randomblob(32), CAST('x' AS BLOB), f.n
	FROM series c, series f WHERE c.n < 100 AND f.n BETWEEN 1 AND 20;
