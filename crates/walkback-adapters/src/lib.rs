//! The one crate that names adapters.
//!
//! An adapter registers itself, but only if it is linked, and it is linked only if some crate names it. This
//! crate does, once for each of its features, and [`registry`] checks that what was asked for is really
//! there. To add an adapter: a feature and an optional dependency in `Cargo.toml`, a `use` and a line of
//! [`EXPECTED`] here, and the same feature forwarded in the crate `walkback`.

#![deny(missing_docs)]

use walkback_core::{Error, Registry, Result};

#[cfg(feature = "mysql")]
use walkback_engine_mysql as _;
#[cfg(feature = "postgres")]
use walkback_engine_postgres as _;
#[cfg(feature = "sqlite")]
use walkback_engine_sqlite as _;
#[cfg(feature = "alembic")]
use walkback_source_alembic as _;
#[cfg(feature = "diesel")]
use walkback_source_diesel as _;
#[cfg(feature = "liquibase")]
use walkback_source_liquibase as _;
#[cfg(feature = "sql")]
use walkback_source_sql as _;
#[cfg(feature = "fs")]
use walkback_store_fs as _;
#[cfg(feature = "s3")]
use walkback_store_s3 as _;

/// What an adapter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// Talks to a database.
    Engine,
    /// Keeps backups.
    Store,
    /// Reads migrations.
    Source,
}

impl Role {
    /// Returns the word used in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Store => "store",
            Self::Source => "source",
        }
    }
}

/// What this build was asked to hold: the role and the name (first scheme of an engine, `kind` of the
/// others) of the adapter behind each enabled feature.
pub const EXPECTED: &[(Role, &str)] = &[
    #[cfg(feature = "postgres")]
    (Role::Engine, "postgres"),
    #[cfg(feature = "sqlite")]
    (Role::Engine, "sqlite"),
    #[cfg(feature = "mysql")]
    (Role::Engine, "mysql"),
    #[cfg(feature = "fs")]
    (Role::Store, "fs"),
    #[cfg(feature = "s3")]
    (Role::Store, "s3"),
    #[cfg(feature = "sql")]
    (Role::Source, "sql"),
    #[cfg(feature = "diesel")]
    (Role::Source, "diesel"),
    #[cfg(feature = "alembic")]
    (Role::Source, "alembic"),
    #[cfg(feature = "liquibase")]
    (Role::Source, "liquibase"),
];

/// Returns the adapters linked into this program, and makes sure that none of [`EXPECTED`] was lost.
///
/// # Errors
/// [`ErrorKind::Internal`](walkback_core::ErrorKind::Internal) if an adapter that was asked for is not there
/// (the linker dropped it, or it registered with another version of `walkback-core`), or if two claim one name.
pub fn registry() -> Result<Registry> {
    let registry = Registry::linked()?;
    check(&registry, EXPECTED)?;
    Ok(registry)
}

fn check(registry: &Registry, expected: &[(Role, &str)]) -> Result<()> {
    match expected.iter().find(|(role, name)| !holds(registry, *role, name)) {
        None => Ok(()),
        Some((role, name)) => Err(Error::internal(format!(
            "the {} `{name}` was built in but is not linked",
            role.word()
        ))),
    }
}

fn holds(registry: &Registry, role: Role, name: &str) -> bool {
    match role {
        Role::Engine => registry
            .engines()
            .iter()
            .any(|entry| entry.schemes.contains(&name)),
        Role::Store => registry.stores().iter().any(|entry| entry.kind == name),
        Role::Source => registry.sources().iter().any(|entry| entry.kind == name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_adapter_that_was_asked_for_is_linked() {
        let registry = registry().unwrap();
        let linked = registry.engines().len() + registry.stores().len() + registry.sources().len();
        assert_eq!(linked, EXPECTED.len(), "{EXPECTED:?}");
    }

    #[test]
    fn an_adapter_that_was_lost_is_named() {
        let error = check(&Registry::empty(), &[(Role::Store, "s3")]).unwrap_err();
        assert_eq!(error.kind(), walkback_core::ErrorKind::Internal);
        assert_eq!(error.message(), "the store `s3` was built in but is not linked");
    }
}
