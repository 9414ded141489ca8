//! The configuration: `walkback.toml`, variables and flags, made into one [`Project`].
//!
//! A flag wins over a variable (`WALKBACK_ENV`, `WALKBACK_URL`, `DATABASE_URL`, `WALKBACK_LOCK_TIMEOUT`), and
//! a variable over the file, but for one thing: of an environment that a flag or `WALKBACK_ENV` names, its own `url` wins over
//! `DATABASE_URL`. Variables come from the process, then from a `.env` file beside the
//! configuration. Strings of the file may hold `${NAME}` and `${NAME:-default}`; they are filled in when the
//! part of the file they stand in is used, so that a laptop needs no variables of production.

mod adapters;
mod environment;
mod expand;
mod file;
pub(crate) mod place;
mod project;
mod stores;
mod url;

pub use environment::{Overrides, VariableOrigin, Variables};
pub use file::{EnvironmentSection, FileConfig, Located, Section, VaultSection};
pub use place::Place;
pub use project::Project;
pub use url::DatabaseUrl;

/// The name of the configuration file.
pub const FILE_NAME: &str = "walkback.toml";

#[cfg(test)]
mod tests;
