//! Says which statements keep others from a table for as long as it takes to read or to write all of it.
//!
//! Locks that are held for a moment only are not named: every definition takes one. SQLite has one lock for the
//! whole database, which every statement that writes takes, and so none is named there.

mod mysql;
mod postgres;

use walkback_core::{DialectKind, Statement, TableName};

use crate::cursor::Cursor;
use crate::lexer::significant_tokens;

/// A lock on a table, held for the longer the larger the table is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableLock {
    /// The table.
    pub table: TableName,
    /// What is done under the lock, and what it keeps others from, in words.
    pub why: &'static str,
    /// What does the same without it.
    pub instead: &'static str,
}

/// Returns the locks of a statement that are held for as long as it takes to read or to write a whole table.
///
/// The words of the statement decide; no server is asked. Where the server may find that it needs no such lock
/// after all (a `varchar` that only gets longer), it is named, and says so.
#[must_use]
pub fn table_locks(kind: DialectKind, statement: &Statement) -> Vec<TableLock> {
    let tokens = significant_tokens(kind, &statement.sql);
    let cursor = Cursor::new(kind, &tokens);
    let mut locks = match kind {
        DialectKind::Sqlite => return Vec::new(),
        DialectKind::Postgres => postgres::read(&cursor),
        DialectKind::Mysql => mysql::read(&cursor),
    };
    locks.extend(every_row(&cursor));
    locks
}

/// What is known of a lock before its table is.
#[derive(Debug, Clone, Copy)]
struct Held {
    why: &'static str,
    instead: &'static str,
}

impl Held {
    fn on(self, table: &TableName) -> TableLock {
        TableLock {
            table: table.clone(),
            why: self.why,
            instead: self.instead,
        }
    }
}

const EVERY_ROW: Held = Held {
    why: "it has no `WHERE`: every row stays locked until the transaction ends",
    instead: "write the rows in batches, by ranges of the key, each in a migration or a transaction of its own",
};

/// An `UPDATE` or `DELETE` of one whole table.
fn every_row(statement: &Cursor<'_, '_>) -> Option<TableLock> {
    let mut cursor = statement.clone();
    if cursor.word("DELETE") {
        while cursor.any(&["LOW_PRIORITY", "QUICK", "IGNORE"]) {}
        if !cursor.word("FROM") {
            return None;
        }
    } else if cursor.word("UPDATE") {
        while cursor.any(&["LOW_PRIORITY", "IGNORE"]) {}
    } else {
        return None;
    }
    cursor.word("ONLY");
    let table = cursor.table()?;
    let is_narrowed = ["WHERE", "LIMIT", "JOIN", "USING", "FROM"]
        .iter()
        .any(|word| cursor.has(word));
    (!is_narrowed && !cursor.at_symbol(",")).then(|| EVERY_ROW.on(&table))
}

/// Reads the name behind `ALTER TABLE`, and returns the operations that follow it.
fn altered<'t, 'a>(cursor: &mut Cursor<'t, 'a>) -> Option<(TableName, Vec<Cursor<'t, 'a>>)> {
    cursor.any(&["ONLINE"]);
    cursor.any(&["IGNORE"]);
    if !cursor.word("TABLE") {
        return None;
    }
    cursor.if_exists();
    cursor.word("ONLY");
    let table = cursor.table()?;
    cursor.symbol("*");
    // MariaDB.
    if cursor.word("WAIT") {
        cursor.next();
    }
    cursor.word("NOWAIT");
    Some((table, cursor.split_commas()))
}

/// Reads `CONSTRAINT name`, where it stands.
fn skip_constraint_name(cursor: &mut Cursor<'_, '_>) {
    if cursor.word("CONSTRAINT") {
        cursor.if_not_exists();
        if !cursor.at_any(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "EXCLUDE"]) {
            cursor.name();
        }
    }
}
