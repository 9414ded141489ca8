//! Changelogs of Liquibase, recorded in Liquibase's own tables.
//!
//! Formatted SQL is read as Liquibase reads it: changesets with their attributes, rollbacks, properties and preconditions. The
//! rows of `DATABASECHANGELOG` are written as Liquibase writes them, checksums included, and its lock row is held while
//! walkback works. `liquibase` and walkback can be used on the same database, in turn.

#![deny(missing_docs)]

mod attributes;
mod changelog;
mod changeset;
mod conditions;
mod config;
mod create;
mod error;
mod expression;
mod formatted;
mod identity;
mod include;
mod ledger;
mod modelled;
mod parameters;
mod plain;
mod scripts;
mod source;
mod structured;
mod tree;
mod yaml;

pub use source::LiquibaseSource;

use std::sync::Arc;

use walkback_core::registry::SourceEntry;

walkback_core::register_source!(SourceEntry {
    kind: "liquibase",
    open: |config| Ok(Arc::new(LiquibaseSource::open(config)?)),
    example: "[source]\nkind = \"liquibase\"\npath = \"changelog.sql\"",
    doc: "Changelogs of Liquibase, recorded in `DATABASECHANGELOG`",
});
