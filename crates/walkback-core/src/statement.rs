//! Statements of a script, and what each of them does.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::name::{ObjectKind, TableName};

/// Where a statement stands: the file it was read from and the line it begins on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// File, as the user would name it (relative to the working directory where possible).
    pub file: PathBuf,
    /// Line of the first token, from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// One statement of a script, exactly as it will be sent: without its terminator, with its comments inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The text to send.
    pub sql: String,
    /// Line of the first token in the script, from 1.
    pub line: usize,
    /// Tables the author says an otherwise unreadable statement touches (`-- walkback: touches a, b`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touches: Vec<TableName>,
}

/// What one part of a statement does to the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "does", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Reads only (`SELECT`, `EXPLAIN`, `SHOW`).
    Read,
    /// Sets something of the session (`SET`, `PRAGMA`, `USE`).
    Session,
    /// Begins, ends or nests a transaction.
    Transaction,
    /// Maintains storage without a change of content (`VACUUM`, `ANALYZE`, `REINDEX`).
    Maintain,
    /// Creates an object. `or_replace` means one of that name may be lost.
    Create {
        /// Sort of object.
        kind: ObjectKind,
        /// Its name.
        name: TableName,
        /// The table it belongs to (index, trigger, policy).
        on: Option<TableName>,
        /// `OR REPLACE`: an older definition may be overwritten.
        or_replace: bool,
        /// `IF NOT EXISTS`: there may have been one before, which the inverse must not drop.
        if_not_exists: bool,
    },
    /// Drops an object other than a table.
    Drop {
        /// Sort of object.
        kind: ObjectKind,
        /// Its name.
        name: TableName,
        /// The table it belongs to, where the statement says so.
        on: Option<TableName>,
    },
    /// Drops a table with its rows.
    DropTable {
        /// The table.
        table: TableName,
    },
    /// Renames a table.
    RenameTable {
        /// Name before.
        from: TableName,
        /// Name after.
        to: TableName,
    },
    /// Adds a column.
    AddColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// Drops a column with its values.
    DropColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// Renames a column.
    RenameColumn {
        /// The table.
        table: TableName,
        /// Name before.
        from: String,
        /// Name after.
        to: String,
    },
    /// Changes a column's type, default or nullability, so that values or rules may be lost.
    AlterColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// Changes something else of an object (owner, storage, comment, constraint validation).
    Alter {
        /// Sort of object.
        kind: ObjectKind,
        /// Its name.
        name: TableName,
    },
    /// Inserts rows.
    Insert {
        /// The table.
        table: TableName,
        /// `REPLACE`, `ON CONFLICT .. UPDATE`, `ON DUPLICATE KEY`: rows may be overwritten.
        may_overwrite: bool,
    },
    /// Updates rows.
    Update {
        /// The table.
        table: TableName,
    },
    /// Deletes rows.
    Delete {
        /// The table.
        table: TableName,
    },
    /// Empties a table.
    Truncate {
        /// The table.
        table: TableName,
    },
    /// Something the reader cannot see through (dynamic SQL, procedure calls, unread syntax).
    Unknown {
        /// Why it is not known, for the plan.
        why: String,
    },
}

/// How much a statement can cost, from nothing to not known. The order is the severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Changes nothing that lasts.
    None,
    /// Only adds objects, or renames them: undone without keeping anything.
    Additive,
    /// Adds rows: undone if it is known which.
    AddsRows,
    /// Loses data or definitions unless they are kept first.
    Destructive,
    /// Nobody can read it; treated as destructive.
    Unknown,
}

/// What a statement does: its actions, in order, and the severity that follows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The actions, in the order of the statement. Empty means an empty statement.
    pub actions: Vec<Action>,
}

impl Effect {
    /// Creates the effect of a single action.
    #[must_use]
    pub fn of(action: Action) -> Self {
        Self {
            actions: vec![action],
        }
    }

    /// Creates the honest fallback: nobody can read it, for this reason.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::of(Action::Unknown { why: why.into() })
    }

    /// Returns the most severe of its actions.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.actions
            .iter()
            .map(Action::severity)
            .max()
            .unwrap_or(Severity::None)
    }

    /// Returns whether it loses something unless that is kept first, or whether nobody can tell.
    #[must_use]
    pub fn is_destructive(&self) -> bool {
        self.severity() >= Severity::Destructive
    }

    /// Returns the tables whose rows or columns it changes or drops, without repeats, in order.
    /// `None` means that it cannot be known.
    #[must_use]
    pub fn changed_tables(&self) -> Option<Vec<TableName>> {
        let mut tables = Vec::new();
        for action in &self.actions {
            if matches!(action, Action::Unknown { .. }) {
                return None;
            }
            if let Some(table) = action.changed_table()
                && !tables.contains(table)
            {
                tables.push(table.clone());
            }
        }
        Some(tables)
    }
}

impl Action {
    /// Returns how much this action can cost.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Read | Self::Session | Self::Transaction | Self::Maintain => Severity::None,
            Self::Create { or_replace: true, .. } => Severity::Destructive,
            Self::Create { .. }
            | Self::RenameTable { .. }
            | Self::AddColumn { .. }
            | Self::RenameColumn { .. } => Severity::Additive,
            Self::Insert {
                may_overwrite: false, ..
            } => Severity::AddsRows,
            Self::Insert { .. }
            | Self::Drop { .. }
            | Self::DropTable { .. }
            | Self::DropColumn { .. }
            | Self::AlterColumn { .. }
            | Self::Alter { .. }
            | Self::Update { .. }
            | Self::Delete { .. }
            | Self::Truncate { .. } => Severity::Destructive,
            Self::Unknown { .. } => Severity::Unknown,
        }
    }

    /// Returns the table whose rows, columns or existence this action changes, if it is one that has to be
    /// kept to undo it. A table that is created has nothing to keep.
    #[must_use]
    pub fn changed_table(&self) -> Option<&TableName> {
        match self {
            Self::DropTable { table }
            | Self::RenameTable { from: table, .. }
            | Self::AddColumn { table, .. }
            | Self::DropColumn { table, .. }
            | Self::RenameColumn { table, .. }
            | Self::AlterColumn { table, .. }
            | Self::Insert { table, .. }
            | Self::Update { table }
            | Self::Delete { table }
            | Self::Truncate { table } => Some(table),
            Self::Alter {
                kind: ObjectKind::Table,
                name,
            } => Some(name),
            _ => None,
        }
    }
}

/// Says in a few words what the action does: `drops table orders`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("reads"),
            Self::Session => f.write_str("sets the session"),
            Self::Transaction => f.write_str("controls the transaction"),
            Self::Maintain => f.write_str("maintains storage"),
            Self::Create {
                kind,
                name,
                or_replace: true,
                ..
            } => {
                write!(f, "replaces {} `{name}`", kind.word())
            }
            Self::Create { kind, name, .. } => write!(f, "creates {} `{name}`", kind.word()),
            Self::Drop { kind, name, .. } => write!(f, "drops {} `{name}`", kind.word()),
            Self::DropTable { table } => write!(f, "drops table `{table}`"),
            Self::RenameTable { from, to } => write!(f, "renames table `{from}` to `{to}`"),
            Self::AddColumn { table, column } => write!(f, "adds column `{table}.{column}`"),
            Self::DropColumn { table, column } => write!(f, "drops column `{table}.{column}`"),
            Self::RenameColumn { table, from, to } => {
                write!(f, "renames column `{table}.{from}` to `{to}`")
            }
            Self::AlterColumn { table, column } => write!(f, "changes column `{table}.{column}`"),
            Self::Alter { kind, name } => write!(f, "changes {} `{name}`", kind.word()),
            Self::Insert {
                table,
                may_overwrite: true,
            } => {
                write!(f, "inserts into or overwrites `{table}`")
            }
            Self::Insert { table, .. } => write!(f, "inserts into `{table}`"),
            Self::Update { table } => write!(f, "updates `{table}`"),
            Self::Delete { table } => write!(f, "deletes from `{table}`"),
            Self::Truncate { table } => write!(f, "empties `{table}`"),
            Self::Unknown { why } => write!(f, "does something that cannot be read ({why})"),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, action) in self.actions.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            action.fmt(f)?;
        }
        Ok(())
    }
}
