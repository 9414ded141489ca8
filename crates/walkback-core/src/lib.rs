//! The contracts of walkback: what an engine, a store and a source promise, and the words they share.
//!
//! This crate knows no database, no file format and no command line. It holds
//!
//! - the four contracts an adapter may implement: [`Engine`] with its [`Session`]s, [`Dialect`],
//!   [`BackupStore`] and [`MigrationSource`];
//! - the plain data they exchange: statements and their effects, catalogs, values, scripts;
//! - the migration [`graph`], a pure module: what follows what, and what a target means;
//! - [`Cx`], the first argument of every call that may do I/O, and [`Error`], the one error of every call;
//! - the [`Registry`] through which a binary finds the adapters it was built with.
//!
//! How an adapter is written is told on the traits themselves.

#![deny(missing_docs)]

pub mod adapter;
pub mod bulk;
pub mod capability;
pub mod capture;
pub mod catalog;
pub mod cx;
pub mod dialect;
pub mod dump;
pub mod engine;
pub mod error;
pub mod fingerprint;
pub mod grants;
pub mod graph;
pub mod ledger;
pub mod migration;
pub mod name;
pub mod recovery;
pub mod registry;
pub mod replay;
pub mod source;
pub mod statement;
pub mod store;
pub mod value;
pub mod witness;

pub use adapter::{AdapterConfig, Environment};
pub use capability::Capability;
pub use cx::Cx;
pub use dialect::{Dialect, DialectKind};
pub use engine::{Access, Engine, Session};
pub use error::{Error, ErrorKind, Result, ResultExt};
pub use graph::MigrationGraph;
pub use migration::{Direction, Migration, MigrationId, Phase, Script};
pub use name::TableName;
pub use registry::Registry;
pub use source::MigrationSource;
pub use statement::{Effect, Statement};
pub use store::BackupStore;
pub use value::Value;

/// Re-exported for the `register_*!` macros; not part of the interface.
#[doc(hidden)]
pub use inventory;
