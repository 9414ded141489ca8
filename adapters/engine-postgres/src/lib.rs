//! PostgreSQL for walkback.
//!
//! # URLs
//! `postgres://user:password@host:5432/database?sslmode=verify-full`; `postgresql:` is the same. A character that
//! means something in a URL is written with `%`. What the URL leaves out is taken from libpq's variables (`PGHOST`,
//! `PGPORT`, `PGUSER`, `PGDATABASE`, `PGPASSWORD`, `PGPASSFILE`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT`,
//! `PGSSLKEY`, `PGOPTIONS`, `PGAPPNAME`, `PGCONNECT_TIMEOUT`), where whoever opens the engine gives them, and the
//! password from `~/.pgpass`. Parameters:
//!
//! | parameter | meaning | default |
//! |---|---|---|
//! | `sslmode` | `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`, as for libpq | `prefer` |
//! | `sslrootcert` | a file of authorities, or `system` | `~/.postgresql/root.crt` |
//! | `sslcert`, `sslkey` | the client's certificate and key | none |
//! | `search_path`, `schema` | the schemas names are looked for in; the first is where things are made | the server's |
//! | `options` | options for the server: `-cwork_mem=1GB` | none |
//! | `host`, `port`, `user`, `password`, `dbname`, `passfile` | instead of their place in the URL | |
//! | `application_name` | what the server shows | `walkback` |
//! | `connect_timeout` | seconds | 10 |
//! | `target_session_attrs` | `any` or `read-write`, of several hosts | `any` |
//! | `channel_binding` | `disable`, `prefer`, `require` | `prefer` |
//!
//! # Names
//! What is in the first schema of the search path has names without one. Everything else has its schema.
//!
//! # Rows in bulk
//! Rows travel as `pg-copy-binary-v1`: the rows of `COPY (FORMAT binary)`, without its head and its end. Where a
//! column's binary form holds numbers of types, which are other ones in another database (arrays and rows of
//! people's own types, `regclass`), all of the table travels as `pg-copy-text-v1`: lines of `COPY (FORMAT text)`,
//! with `DateStyle` `ISO, MDY`, `IntervalStyle` `postgres`, `TimeZone` `UTC`, `bytea_output` `hex`, `lc_monetary` `C`
//! and an empty `search_path`. Fingerprints hash the same bytes. A table gives its own rows only: those of its
//! partitions and children are theirs.
//!
//! # Locks
//! A lock is a session's advisory lock, under a key made of a hash of its name; see the module `lock`.

mod aside;
mod blocker;
mod bulk;
mod capture;
mod catalog;
mod config;
mod connect;
mod control;
mod dialect;
mod divide;
mod dumps;
mod engine;
mod error;
mod exchange;
mod index;
mod link;
mod lock;
mod part;
mod passfile;
mod pooler;
mod recovery;
mod retype;
mod rights;
mod rows;
mod run;
mod scratch;
mod session;
mod shadow;
mod swap;
mod tls;
mod transaction;
mod value;
mod witness;

use walkback_core::registry::EngineEntry;

/// The schemes of its URLs.
const SCHEMES: &[&str] = &["postgres", "postgresql"];

walkback_core::register_engine!(EngineEntry {
    schemes: SCHEMES,
    open: engine::open,
    example: "postgres://user@localhost:5432/app?sslmode=verify-full",
    doc: "PostgreSQL, over TLS where the server has it",
});
