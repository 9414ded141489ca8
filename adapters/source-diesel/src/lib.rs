//! Migrations in diesel's layout, recorded in diesel's own ledger.
//!
//! ```text
//! migrations/
//!   2024-02-01-090000_create_users/up.sql
//!   2024-02-01-090000_create_users/down.sql
//!   2024-02-01-090000_create_users/metadata.toml      run_in_transaction = false
//! ```
//! The version of a migration is the name of its folder up to the first `_`, without dashes; versions are in
//! text order, and each migration follows the one before it. `diesel migration` and walkback can be used on
//! the same database, in turn.

#![deny(missing_docs)]

mod config;
mod create;
mod error;
mod layout;
mod ledger;
mod source;

pub use source::DieselSource;

use std::sync::Arc;

use walkback_core::registry::SourceEntry;

walkback_core::register_source!(SourceEntry {
    kind: "diesel",
    open: |config| Ok(Arc::new(DieselSource::open(config)?)),
    example: "[source]\nkind = \"diesel\"\npath = \"migrations\"",
    doc: "Migrations of diesel (Rust), recorded in `__diesel_schema_migrations`",
});
