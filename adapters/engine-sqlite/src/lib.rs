//! SQLite for walkback, bundled: nothing is to be installed.
//!
//! # URLs
//! `sqlite:app.db`, `sqlite:/var/lib/app.db`, `sqlite://data/app.db`; `sqlite3:` is the same. A character that
//! means something in a URL (`?`, `%`) is written with `%`. Parameters:
//!
//! | parameter | meaning | default |
//! |---|---|---|
//! | `foreign_keys=on` or `off` | whether foreign keys are enforced, and checked after a rebuild | `on` |
//! | `busy_timeout=5s` | how long to wait for another writer (`ms`, `s`, `m`) | `5s` |
//!
//! A database in memory is refused: no two sessions would see the same one.
//!
//! # Rows in bulk
//! Rows travel in the encoding `rows-v1`: MessagePack, one array per row, one element per column by SQLite's
//! storage class: nil, integer, float 64, str, bin, and ext of type 1 for `TEXT` that is not UTF-8. Fingerprints
//! hash the same bytes. The rowid of a table without an `INTEGER PRIMARY KEY` is not kept: SQLite itself
//! changes it in a `VACUUM`. The position of an `AUTOINCREMENT` is an object of kind
//! [`Sequence`](walkback_core::name::ObjectKind::Sequence) on its table, whose definition sets it; it has no
//! facts, since it moves with every row.
//!
//! # Virtual tables
//! A virtual table is an object of kind [`Other`](walkback_core::name::ObjectKind::Other), not a table: its
//! definition is kept and compared, its rows belong to its module. The tables in which the module keeps them
//! are left out of the schema. A copy of the whole file holds them.
//!
//! # Locks
//! The lock `walkback` on `app.db` is the file `app.db-walkback-lock`, locked by the operating system, which
//! frees it however the process ends. The file itself stays and means nothing.

mod aside;
mod bulk;
mod capture;
mod catalog;
mod config;
mod cursor;
mod definition;
mod dialect;
mod dumps;
mod engine;
mod error;
mod facts;
mod foreign_keys;
mod link;
mod lock;
mod private;
mod rows;
mod run;
mod session;
mod shadow;
mod stream;
mod transaction;
mod value;

use walkback_core::registry::EngineEntry;

/// The schemes of its URLs.
const SCHEMES: &[&str] = &["sqlite", "sqlite3"];

walkback_core::register_engine!(EngineEntry {
    schemes: SCHEMES,
    open: engine::open,
    example: "sqlite:app.db?busy_timeout=10s",
    doc: "SQLite 3, bundled; a path, relative to the configuration",
});
