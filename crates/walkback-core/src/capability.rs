//! What an engine can really do, known once a session is connected.

use serde::{Deserialize, Serialize};

/// What the server at the other end of a session can do. Claimed means exercised by the conformance suite;
/// not claimed means the call answers `Unsupported` and has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Capability {
    /// Product, as its makers spell it: `SQLite`, `PostgreSQL`, `MySQL`, `MariaDB`.
    pub product: String,
    /// Version, as the server gives it.
    pub version: String,
    /// Longest identifier, in bytes. Names that walkback makes up are cut to it.
    pub longest_identifier: usize,
    /// Definitions change inside transactions, and a rollback takes them back.
    pub transactional_ddl: bool,
    /// Tables are altered by building them anew and swapping names, so that a migration which drops or
    /// renames a table runs as [`Begin::Rebuild`](crate::engine::Begin::Rebuild).
    pub alters_by_rebuild: bool,
    /// Another session can join the snapshot of this one ([`Begin::Snapshot`](crate::engine::Begin)).
    pub shared_snapshot: bool,
    /// [`Session::try_lock`](crate::Session::try_lock) can say who holds the lock.
    pub names_lock_holder: bool,
    /// [`Session::hold_tables`](crate::Session::hold_tables) keeps others from writing.
    pub holds_tables: bool,
    /// [`Session::hold_until_swap`](crate::Session::hold_until_swap) keeps others from writing, outside of a transaction.
    #[serde(default)]
    pub holds_until_swap: bool,
    /// A statement goes on at the server when the process that sent it is killed. Who comes next waits for it
    /// by a lock that the working session itself holds.
    pub statements_outlive_client: bool,
    /// What a person should know of this connection, a line each: a pooler between us and the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

impl Capability {
    /// Creates the capability of a server that claims nothing optional.
    #[must_use]
    pub fn new(product: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            product: product.into(),
            version: version.into(),
            longest_identifier: 63,
            transactional_ddl: false,
            alters_by_rebuild: false,
            shared_snapshot: false,
            names_lock_holder: false,
            holds_tables: false,
            holds_until_swap: false,
            statements_outlive_client: false,
            notices: Vec::new(),
        }
    }
}
