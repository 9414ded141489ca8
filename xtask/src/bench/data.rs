//! The data: the same rows for the same scale, of the kinds that applications have. Four tables: many short rows,
//! rows with JSON, rows with much text and few of them, rows of bytes that hardly compress.

use anyhow::{Result, bail};

/// How many rows the large tables have at full scale, which makes about a gigabyte.
const FULL: f64 = 2_500_000.0;

/// Returns how many rows each of the two large tables has.
pub(crate) fn rows(scale: f64) -> Result<u64> {
    if !(0.0001..=100.0).contains(&scale) {
        bail!("`--scale {scale}` is not from 0.0001 to 100");
    }
    let rows = format!("{:.0}", (FULL * scale).max(1000.0));
    Ok(rows.parse()?)
}

/// Returns the statements for PostgreSQL.
pub(crate) fn postgres(rows: u64) -> String {
    const TEXT: &str = "
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL, country char(2),
  credit numeric(12,2), born date, created_at timestamptz NOT NULL, notes text);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL, total numeric(12,2) NOT NULL,
  paid boolean NOT NULL, quantity int NOT NULL, ordered_at timestamptz NOT NULL, remark text);
CREATE TABLE events (id bigint PRIMARY KEY, order_id bigint NOT NULL, kind text NOT NULL, payload jsonb NOT NULL,
  weight double precision, happened_at timestamptz NOT NULL);
CREATE TABLE documents (id bigint PRIMARY KEY, title text NOT NULL, body bytea NOT NULL, digest bytea);
INSERT INTO customers SELECT n, 'customer ' || substr(md5(n::text), 1, 10), substr(md5(n::text), 1, 9) || '@example.com',
  chr(65 + (n * 7 % 26)::int) || chr(65 + (n * 11 % 26)::int), (n * 7919 % 1000000) / 100.0,
  date '1950-01-01' + (n * 31 % 25000)::int, timestamptz '2020-01-01 00:00+00' + n * interval '37 seconds',
  CASE WHEN n % 4 > 0 THEN repeat(substr(md5((n % 500)::text), 1, 7) || ' ', (n % 12)::int) END
  FROM generate_series(1::bigint, {fifth}) n;
INSERT INTO orders SELECT n, 1 + n * 2654435761 % {fifth}, (n * 104729 % 10000000) / 100.0, n % 3 <> 0, 1 + n % 17,
  timestamptz '2021-01-01 00:00+00' + n * interval '11 seconds',
  CASE WHEN n % 5 > 2 THEN 'delivery ' || substr(md5(n::text), 1, 12) || ' at the back door' END
  FROM generate_series(1::bigint, {rows}) n;
INSERT INTO events SELECT n, 1 + n * 48271 % {rows}, (ARRAY['created','paid','packed','sent','returned'])[1 + n % 5],
  jsonb_build_object('user', n % 10007, 'ip', '10.' || n % 256 || '.' || n * 7 % 256 || '.' || n * 13 % 256,
    'agent', 'client/' || n % 40, 'token', md5(n::text), 'ok', n % 9 <> 0),
  sqrt(n::float8), timestamptz '2021-01-01 00:00+00' + n * interval '5 seconds'
  FROM generate_series(1::bigint, {rows}) n;
INSERT INTO documents SELECT n, 'document ' || n,
  decode(repeat(md5(n::text) || md5((n * 3)::text), 30), 'hex') || decode(md5((n + 1)::text), 'hex'),
  CASE WHEN n % 2 > 0 THEN decode(md5(n::text), 'hex') END FROM generate_series(1::bigint, {twentieth}) n;
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX events_order ON events (order_id);
CREATE INDEX customers_email ON customers (email);
ANALYZE;";
    filled(TEXT, rows)
}

/// Returns the statements for MySQL and MariaDB.
pub(crate) fn mysql(rows: u64) -> String {
    const TEXT: &str = "
CREATE TABLE numbers (n BIGINT NOT NULL PRIMARY KEY, h CHAR(32) CHARACTER SET ascii);
INSERT INTO numbers (n) VALUES (1);
{doubled}
UPDATE numbers SET h = LEFT(SHA2(n, 256), 32);
CREATE TABLE customers (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(100) NOT NULL, email VARCHAR(100) NOT NULL,
  country CHAR(2), credit DECIMAL(12,2), born DATE, created_at DATETIME(6) NOT NULL, notes TEXT);
CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, customer_id BIGINT NOT NULL, total DECIMAL(12,2) NOT NULL,
  paid TINYINT NOT NULL, quantity INT NOT NULL, ordered_at DATETIME NOT NULL, remark VARCHAR(200));
CREATE TABLE events (id BIGINT NOT NULL PRIMARY KEY, order_id BIGINT NOT NULL, kind VARCHAR(20) NOT NULL,
  payload JSON NOT NULL, weight DOUBLE, happened_at DATETIME NOT NULL);
CREATE TABLE documents (id BIGINT NOT NULL PRIMARY KEY, title VARCHAR(100) NOT NULL, body BLOB NOT NULL, digest BINARY(16));
INSERT INTO customers SELECT n, CONCAT('customer ', SUBSTR(h, 1, 10)), CONCAT(SUBSTR(h, 1, 9), '@example.com'),
  CONCAT(CHAR(65 + n * 7 % 26 USING ascii), CHAR(65 + n * 11 % 26 USING ascii)), (n * 7919 % 1000000) / 100.0,
  DATE_ADD('1950-01-01', INTERVAL n * 31 % 25000 DAY), DATE_ADD('2020-01-01', INTERVAL n * 37 SECOND),
  CASE WHEN n % 4 > 0 THEN REPEAT(CONCAT(SUBSTR(SHA2(n % 500, 256), 1, 7), ' '), n % 12) END
  FROM numbers WHERE n <= {fifth} ORDER BY n;
INSERT INTO orders SELECT n, 1 + n * 2654435761 % {fifth}, (n * 104729 % 10000000) / 100.0, n % 3 <> 0, 1 + n % 17,
  DATE_ADD('2021-01-01', INTERVAL n * 11 SECOND),
  CASE WHEN n % 5 > 2 THEN CONCAT('delivery ', SUBSTR(h, 1, 12), ' at the back door') END
  FROM numbers ORDER BY n;
INSERT INTO events SELECT n, 1 + n * 48271 % {rows}, ELT(1 + n % 5, 'created', 'paid', 'packed', 'sent', 'returned'),
  JSON_OBJECT('user', n % 10007, 'ip', CONCAT('10.', n % 256, '.', n * 7 % 256, '.', n * 13 % 256),
    'agent', CONCAT('client/', n % 40), 'token', h, 'ok', n % 9 <> 0),
  SQRT(n), DATE_ADD('2021-01-01', INTERVAL n * 5 SECOND) FROM numbers ORDER BY n;
INSERT INTO documents SELECT n, CONCAT('document ', n),
  CONCAT(UNHEX(REPEAT(SHA2(n, 256), 30)), UNHEX(h)),
  CASE WHEN n % 2 > 0 THEN UNHEX(h) END FROM numbers WHERE n <= {twentieth} ORDER BY n;
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX events_order ON events (order_id);
CREATE INDEX customers_email ON customers (email);
DROP TABLE numbers;
ANALYZE TABLE customers, orders, events, documents;";
    // Servers differ in how they count; each doubles.
    let doubled: String = (0..)
        .map(|power| 1_u64 << power)
        .take_while(|count| *count < rows)
        .map(|count| {
            format!("INSERT INTO numbers (n) SELECT n + {count} FROM numbers WHERE n + {count} <= {rows};\n")
        })
        .collect();
    filled(&TEXT.replace("{doubled}", &doubled), rows)
}

/// Returns the statements for SQLite, which has no digests: numbers are mixed instead.
pub(crate) fn sqlite(rows: u64) -> String {
    const TEXT: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
BEGIN;
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, country TEXT, credit NUMERIC,
  born TEXT, created_at TEXT NOT NULL, notes TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, total NUMERIC NOT NULL, paid INTEGER NOT NULL,
  quantity INTEGER NOT NULL, ordered_at TEXT NOT NULL, remark TEXT);
CREATE TABLE events (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL,
  weight REAL, happened_at TEXT NOT NULL);
CREATE TABLE documents (id INTEGER PRIMARY KEY, title TEXT NOT NULL, body BLOB NOT NULL, digest BLOB);
CREATE TEMP TABLE numbers AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {rows})
  SELECT n, printf('%08x%08x', n * 2654435761 & 4294967295, n * 40503 * 65537 & 4294967295) h FROM c;
INSERT INTO customers SELECT n, 'customer ' || substr(h, 1, 10), substr(h, 1, 9) || '@example.com',
  char(65 + n * 7 % 26, 65 + n * 11 % 26), (n * 7919 % 1000000) / 100.0, date('1950-01-01', (n * 31 % 25000) || ' days'),
  datetime('2020-01-01', (n * 37) || ' seconds'), CASE WHEN n % 4 > 0 THEN replace(hex(zeroblob(n % 12)), '0', h) END
  FROM numbers WHERE n <= {fifth};
INSERT INTO orders SELECT n, 1 + n * 7919 % {fifth}, (n * 104729 % 10000000) / 100.0, n % 3 <> 0, 1 + n % 17,
  datetime('2021-01-01', (n * 11) || ' seconds'), CASE WHEN n % 5 > 2 THEN 'delivery ' || h || ' at the back door' END
  FROM numbers;
INSERT INTO events SELECT n, 1 + n * 48271 % {rows}, CASE n % 5 WHEN 0 THEN 'created' WHEN 1 THEN 'paid' ELSE 'sent' END,
  json_object('user', n % 10007, 'ip', '10.' || n % 256 || '.' || n * 7 % 256, 'agent', 'client/' || n % 40,
    'token', h || h, 'ok', n % 9 <> 0), n * 1.5, datetime('2021-01-01', (n * 5) || ' seconds') FROM numbers;
INSERT INTO documents SELECT n, 'document ' || n, CAST(replace(hex(zeroblob(30)), '0', h) AS BLOB),
  CASE WHEN n % 2 > 0 THEN CAST(h AS BLOB) END FROM numbers WHERE n <= {twentieth};
DROP TABLE temp.numbers;
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX events_order ON events (order_id);
CREATE INDEX customers_email ON customers (email);
COMMIT;
PRAGMA wal_checkpoint(TRUNCATE);";
    filled(TEXT, rows)
}

fn filled(text: &str, rows: u64) -> String {
    let places = [
        ("{rows}", rows),
        ("{fifth}", rows / 5),
        ("{twentieth}", rows / 20),
    ];
    places.iter().fold(text.to_owned(), |text, (place, number)| {
        text.replace(place, &number.to_string())
    })
}
