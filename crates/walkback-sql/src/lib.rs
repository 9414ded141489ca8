//! Reads SQL for walkback, for SQLite, PostgreSQL and MySQL: splits scripts into statements, says what each
//! statement does, and derives the statements that take it back.
//!
//! Everything here is a pure function of text; no server is asked. What an engine adds of its own knowledge
//! (a savepoint probe, an authorizer) comes on top.
//!
//! - [`split`]: a script into [`Statement`](walkback_core::Statement)s, before anything is parsed;
//! - [`effect`], [`refuses_transaction`], [`is_implicit_commit`]: what a statement does;
//! - [`inverse`]: what takes it back;
//! - [`table_locks`]: whom it keeps waiting;
//! - [`quote_identifier`], [`quote_table`], [`literal`]: names and values as SQL;
//! - [`normalise`]: one spelling for all spellings of a definition;
//! - [`Sql`]: all of it as the [`Dialect`](walkback_core::Dialect) of an engine;
//! - [`lexer`]: the tokens below all of it.

#![deny(missing_docs)]

mod cursor;
mod dialect;
mod effect;
mod inverse;
mod keywords;
pub mod lexer;
mod lock;
mod names;
mod normalise;
mod quote;
mod split;
mod transaction;

pub use dialect::Sql;
pub use effect::{effect, parses};
pub use inverse::inverse;
pub use lock::{TableLock, table_locks};
pub use normalise::normalise;
pub use quote::{literal, quote_identifier, quote_table};
pub use split::split;
pub use transaction::{is_implicit_commit, refuses_transaction};
