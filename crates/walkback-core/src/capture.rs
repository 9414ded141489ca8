//! Capturing what a session's own statements change in rows, while they run.
//!
//! What it costs follows from how many rows are changed, not from how many there are: nothing else is read.

use async_trait::async_trait;

use crate::catalog::Table;
use crate::cx::Cx;
use crate::engine::Session;
use crate::error::Result;
use crate::name::TableName;

/// The rows of one table that statements of a transaction have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Captured {
    /// The table.
    pub table: TableName,
    /// A table with those rows that were there before, as they were.
    pub was: TableName,
    /// A table with those rows that are there now, as the statements left them.
    pub left: TableName,
}

impl Captured {
    /// Creates the description of what was captured of a table.
    #[must_use]
    pub fn new(table: TableName, was: TableName, left: TableName) -> Self {
        Self { table, was, left }
    }
}

/// The capture of changed rows.
///
/// All three are called inside one transaction, and what they make ends with it, whichever way. Between `start` and
/// `finish` only rows may be changed, and no definitions. The tables have primary keys, and no triggers of their own.
#[async_trait]
pub trait Capture: Send + Sync {
    /// Begins to capture the rows of these tables that this session changes, also by actions of foreign keys. What other
    /// sessions change is not captured, and where they could change the same rows they are kept out.
    ///
    /// # Errors
    /// `Database` if the server refuses it, for want of rights.
    async fn start(&self, cx: &Cx, session: &mut dyn Session, tables: &[Table]) -> Result<()>;

    /// Ends it, and returns for each of the tables, in their order, the rows that were changed. The tables it names hold
    /// the columns that the server does not compute, can be read with [`Session::export`], and are gone with the
    /// transaction. A row that was changed and changed back may be among both.
    ///
    /// # Errors
    /// `Unsupported`, with the reason, if not everything may have been captured, or if rows cannot be told apart: the
    /// transaction is to be rolled back then.
    async fn finish(&self, cx: &Cx, session: &mut dyn Session, tables: &[Table]) -> Result<Vec<Captured>>;

    /// Gives back what `start` had set for the session, once the transaction was rolled back.
    async fn abandon(&self, cx: &Cx, session: &mut dyn Session) -> Result<()>;
}
