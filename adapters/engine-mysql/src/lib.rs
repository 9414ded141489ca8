//! MySQL and MariaDB for walkback, in one adapter: what differs is found when a session connects.
//!
//! # URLs
//! `mysql://user:password@host:3306/database`; `mariadb:` is the same. A character that means something in a
//! URL is written with `%`. Parameters:
//!
//! | parameter | meaning | default |
//! |---|---|---|
//! | `ssl-mode` | `disabled`, `preferred`, `required`, `verify-ca`, `verify-identity`, as the server's own clients | `preferred` |
//! | `ssl-ca` | file of the certificates that are trusted, PEM; a relative path is meant from the configuration | those of the web |
//! | `socket` | path of a Unix socket, in the place of host and port | |
//! | `charset` | only `utf8mb4`: every session speaks it, whatever the tables hold | `utf8mb4` |
//! | `local-infile` | `enabled`: rows are loaded by `LOAD DATA LOCAL` where the server takes it; `disabled`: never | `enabled` |
//! | `connect-timeout` | how long to wait for the server, in seconds | `10` |
//!
//! # Statements
//! A statement reaches the server as it is written, one at a time. It is prepared first, which no text of two
//! statements survives; what the server cannot prepare (`CREATE TRIGGER`, `LOCK TABLES`) is sent as text after
//! the splitter has seen that it is one. The count of an `UPDATE` is that of the rows it found, as on the other
//! engines, and not of those whose values differ from before.
//!
//! # Rows in bulk
//! Rows travel in the encoding `mysql-rows-v1`, which keeps every cell as the server stores it: numbers in
//! binary, text in the bytes of its column's own character set, `ENUM` and `SET` by number, `TIMESTAMP` in
//! UTC. See the module `rows`. Fingerprints hash the same bytes. JSON is kept as its text: a document that
//! holds a type JSON does not have (a date, a decimal number) comes back with what its text says.
//!
//! # Definitions
//! No definition is transactional here: each commits what came before it, also when it fails. Foreign keys are
//! objects of kind [`Constraint`](walkback_core::name::ObjectKind::Constraint) and all keys but the primary one
//! objects of kind [`Index`](walkback_core::name::ObjectKind::Index) on their table, so that tables that refer to
//! each other can be created one after the other. The position of an `AUTO_INCREMENT` is an object of kind
//! [`Sequence`](walkback_core::name::ObjectKind::Sequence) on its table, without facts, since it moves with
//! every row.
//!
//! A trigger, routine, event or view remembers the `sql_mode`, character set and time zone under which it was
//! made. Its definition begins with a comment that says them (`/*walkback sql_mode=.. */`); a session of this
//! engine puts them in force for that statement.

mod aside;
mod binlog;
mod blocker;
mod bulk;
mod call;
mod catalog;
mod config;
mod context;
mod control;
mod dialect;
mod divide;
mod dumps;
mod engine;
mod error;
mod execute;
mod foreign_keys;
mod grants;
mod hold;
mod import;
mod index;
mod link;
mod load;
mod lock;
mod rights;
mod rows;
mod scheduled;
mod scratch;
mod session;
mod settings;
mod shadow;
mod snapshot;
mod swap;
mod transaction;
mod triggers;
mod value;

use walkback_core::registry::EngineEntry;

/// The schemes of its URLs.
const SCHEMES: &[&str] = &["mysql", "mariadb"];

walkback_core::register_engine!(EngineEntry {
    schemes: SCHEMES,
    open: engine::open,
    example: "mysql://user:${PASSWORD}@db.example.com/shop?ssl-mode=verify-identity",
    doc: "MySQL 8.0 and later, MariaDB 10.6 and later; TLS, Unix sockets",
});
