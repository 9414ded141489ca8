//! walkback's own layouts of migrations: folders, pairs and single files of SQL.
//!
//! ```text
//! migrations/
//!   20240108_customers/up.sql              a folder for each migration
//!   20240108_customers/down.sql
//!   20240115_products.up.sql               or a pair of files
//!   20240115_products.down.sql
//!   20240122_orders.sql                    or one file with `-- walkback: up` and `-- walkback: down`
//!   20240205_inventory/up.sql              a script for every engine,
//!   20240205_inventory/up.postgres.sql     and one for PostgreSQL in its place
//! ```
//! The layouts can be mixed. The identity is what stands before the first `_`; identities are in natural
//! order (`2` before `10`), and a migration follows the one before it unless a directive in the comments at
//! the head of its up script says otherwise. The README of this crate lists the directives.

#![deny(missing_docs)]

mod config;
mod create;
mod directives;
mod down;
mod error;
mod layout;
mod source;

pub use source::SqlSource;

use std::sync::Arc;

use walkback_core::registry::SourceEntry;

walkback_core::register_source!(SourceEntry {
    kind: "sql",
    open: |config| Ok(Arc::new(SqlSource::open(config)?)),
    example: "[source]\nkind = \"sql\"\npath = \"migrations\"",
    doc: "Folders, pairs or single files of SQL, with directives in their headers",
});
