//! Migrations of Alembic, recorded in Alembic's own version table.
//!
//! `alembic.ini` or `pyproject.toml` says where the revision files are. Their identities, parents, labels and
//! dependencies are read without Python, from the syntax of the files. What a revision does is asked of the project's
//! own Alembic, which writes it as SQL; a revision for which that cannot be done, because it asks the database, is
//! run by Alembic itself. `alembic` and walkback can be used on the same database, in turn.

#![deny(missing_docs)]

mod computed;
mod config;
mod create;
mod error;
mod ledger;
mod python;
mod revision;
mod scripts;
mod settings;
mod source;
mod syntax;

pub use source::AlembicSource;

use std::sync::Arc;

use walkback_core::registry::SourceEntry;

walkback_core::register_source!(SourceEntry {
    kind: "alembic",
    open: |config| Ok(Arc::new(AlembicSource::open(config)?)),
    example: "[source]\nkind = \"alembic\"\npath = \"alembic.ini\"",
    doc: "Migrations of Alembic (Python), recorded in `alembic_version`",
});
