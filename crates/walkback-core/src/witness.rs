//! Keeping what somebody else's transaction changes: that of another tool, which runs a migration itself.
//!
//! Nobody but that transaction sees what it has done until it commits, and once it has, applications write on. So the
//! tool runs statements of ours in it: first those that keep others from writing, and last those that copy the tables
//! which it has changed. The copies are read after the commit, and dropped.

use std::time::Duration;

use crate::name::TableName;

/// The table that lists the copies, beside the journal: a number, the schema and the name of the table, and why it
/// cannot be told what happened to it, if so.
pub const WITNESSED: &str = "_walkback_witness";

/// What the name of each copy begins with; its number follows.
pub const COPY: &str = "_walkback_witness_";

/// The number of the row that says the list is whole.
pub const WHOLE: i64 = 0;

/// Statements for a transaction that is not ours.
///
/// - Between `first` and the end of the transaction nobody else writes to the tables, and everybody may read them.
/// - `last` leaves the table [`WITNESSED`] in the schema of `home`, with a row for each table whose rows or definition the
///   transaction has changed, or that it has made; and a copy of its rows under the name [`COPY`] and its number.
/// - Where the transaction is another one than that of `first`, `last` leaves nothing.
/// - Rows and copies are gone if the transaction is rolled back. A list without the row [`WHOLE`] says nothing.
pub trait Witness: Send + Sync {
    /// Returns what is to be run first, in a transaction. Locks are waited for so long and no longer.
    fn first(&self, tables: &[TableName], patience: Duration) -> Vec<String>;

    /// Returns what is to be run last, in the same transaction. `home` names the journal's schema.
    fn last(&self, home: Option<&str>) -> Vec<String>;

    /// Returns what drops the list and such copies, if they are there.
    fn forget(&self, home: Option<&str>, copies: &[i64]) -> Vec<String>;
}
