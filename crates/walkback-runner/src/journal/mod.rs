//! The journal: walkback's own tables in the target database.
//!
//! | table | a row is |
//! |---|---|
//! | `_walkback_meta` | a fact about the journal itself, and the schema after the last run |
//! | `_walkback_runs` | one run: who, why, from, to, outcome |
//! | `_walkback_statements` | one statement of a run, with intent and outcome |
//! | `_walkback_migrations` | one applied migration: its down, hashed, and what it changed in the schema |
//! | `_walkback_points` | one rollback point in the vault, and the hash of its manifest |
//! | `_walkback_after` | one table as a run left it, to tell what was written since |
//! | `_walkback_kept` | one table that holds what a restore replaced, and how long it stays |
//! | `_walkback_rescues` | what the rollback of one migration took away, and the next up puts back |
//! | `_walkback_returned` | what had waited for the next up when walking that rollback back brought the migration back |
//! | `_walkback_deprecated` | one table that a migration dropped and that was moved aside instead |
//! | `_walkback_hooks` | one command that ran round a run, how it ended and what it wrote |
//! | `_walkback_undo` | the way back of one statement outside a transaction, noted before it was sent |
//! | `_walkback_loads` | one load of a file: how far it is, and what it was told |
//! | `_walkback_audit` | one thing that was done or refused, chained to the one before by its hash |
//! | `_walkback_verdicts` | what `verify` has last seen of the way back of one migration |
//! | `_walkback_load_rows` | one row that a load inserted: its key, and a hash of it as it was then |

mod after;
mod audit;
mod changes;
mod deprecated;
mod hooks;
mod kept;
mod load_rows;
mod loads;
mod migrations;
mod points;
mod rescues;
mod runs;
mod statements;
mod tables;
mod undo;
mod verdicts;

use walkback_core::engine::SessionExt as _;
use walkback_core::value::{Row, Value};
use walkback_core::{Cx, Dialect, Result, Session, TableName};

pub(crate) use after::TableThen;
pub use audit::AuditEntry;
pub(crate) use audit::{AuditHead, AuditNote, Author, Event, FIRST};
pub(crate) use deprecated::DeprecatedRow;
pub use hooks::HookRecord;
pub(crate) use kept::KeptRow;
pub(crate) use load_rows::LoadedRow;
pub(crate) use loads::{LoadRow, LoadState};
pub(crate) use migrations::StoredMigration;
pub(crate) use points::PointRow;
pub(crate) use rescues::RescueRow;
pub(crate) use runs::RunEnd;
pub use runs::{RunRecord, RunStatus};
pub(crate) use statements::{StatementRow, StatementState};
pub(crate) use undo::UndoRow;
pub(crate) use verdicts::VerdictRow;

/// Returns the names of its tables.
pub(crate) fn table_names() -> impl Iterator<Item = &'static str> {
    tables::ALL.iter().map(|table| table.name)
}

/// How the names of its tables begin. Nothing else in its statements does.
const OWN: &str = "_walkback_";

/// The journal of one database, over one session. Reading a journal that does not exist gives nothing;
/// writing needs [`Journal::create`] first.
pub(crate) struct Journal<'a> {
    session: &'a mut dyn Session,
    dialect: &'a dyn Dialect,
    home: Option<&'a str>,
}

impl<'a> Journal<'a> {
    pub(crate) fn new(session: &'a mut dyn Session, dialect: &'a dyn Dialect) -> Self {
        Self {
            session,
            dialect,
            home: None,
        }
    }

    /// Names its tables with the schema they are in: a script may have changed what names without one mean.
    pub(crate) fn at(mut self, home: Option<&'a str>) -> Self {
        self.home = home;
        self
    }

    fn bind(&self, sql: &str) -> String {
        let sql = match self.home {
            Some(home) => sql.replace(OWN, &format!("{}.{OWN}", self.dialect.quote_identifier(home))),
            None => sql.to_owned(),
        };
        bind(self.dialect, &sql)
    }

    /// Returns whether the database has a journal.
    pub(crate) async fn exists(&mut self, cx: &Cx) -> Result<bool> {
        let table = TableName {
            schema: self.home.map(str::to_owned),
            name: tables::META.to_owned(),
        };
        self.session.has_table(cx, &table).await
    }

    /// Creates the tables that are missing.
    pub(crate) async fn create(&mut self, cx: &Cx) -> Result<()> {
        for table in tables::ALL {
            if !self.session.has_table(cx, &TableName::new(table.name)).await? {
                let sql = table.create(self.dialect);
                self.session.execute(cx, &sql, &[]).await?;
                if !self.session.capability().transactional_ddl {
                    cx.step("journal.table");
                }
            }
        }
        if self.meta(cx, "journal").await?.is_none() {
            self.set_meta(cx, "journal", "1").await?;
        }
        self.begin_audit(cx).await
    }

    /// Ends a transaction with what became of the work in it.
    async fn end(&mut self, cx: &Cx, outcome: Result<()>) -> Result<()> {
        match outcome {
            Ok(()) => self.session.commit(cx).await,
            Err(error) => {
                self.session.rollback(&cx.shielded()).await.ok();
                Err(error)
            }
        }
    }

    pub(crate) async fn meta(&mut self, cx: &Cx, name: &str) -> Result<Option<String>> {
        let sql = format!("SELECT value FROM {} WHERE name = ?", tables::META);
        let row = self.first(cx, &sql, &[name.into()]).await?;
        Ok(row.and_then(|row| text(&row, 0)))
    }

    pub(crate) async fn set_meta(&mut self, cx: &Cx, name: &str, value: &str) -> Result<()> {
        let delete = format!("DELETE FROM {} WHERE name = ?", tables::META);
        self.write(cx, &delete, &[name.into()]).await?;
        let insert = format!("INSERT INTO {} (name, value) VALUES (?, ?)", tables::META);
        self.write(cx, &insert, &[name.into(), value.into()]).await
    }

    pub(crate) async fn forget_meta(&mut self, cx: &Cx, name: &str) -> Result<()> {
        let delete = format!("DELETE FROM {} WHERE name = ?", tables::META);
        self.write(cx, &delete, &[name.into()]).await
    }

    async fn write(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<()> {
        self.changed(cx, sql, params).await.map(|_| ())
    }

    /// Writes, and says how many rows it changed.
    async fn changed(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<u64> {
        let sql = self.bind(sql);
        self.session.execute(cx, &sql, params).await
    }

    async fn all(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        let sql = self.bind(sql);
        self.session.fetch_all(cx, &sql, params).await
    }

    async fn first(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        Ok(self.all(cx, sql, params).await?.into_iter().next())
    }
}

/// Writes the placeholders of the dialect in the place of `?`. The journal's own statements hold no literal
/// in which a question mark could stand.
pub(crate) fn bind(dialect: &dyn Dialect, sql: &str) -> String {
    let mut bound = String::with_capacity(sql.len());
    let mut count = 0;
    for letter in sql.chars() {
        if letter == '?' {
            count += 1;
            bound.push_str(&dialect.placeholder(count));
        } else {
            bound.push(letter);
        }
    }
    bound
}

/// Returns the text in a column of a row of the journal.
fn text(row: &Row, column: usize) -> Option<String> {
    row.get(column).and_then(Value::as_str).map(str::to_owned)
}

/// Returns the text in a column that is never empty in a journal nobody has edited.
fn required(row: &Row, column: usize) -> Result<String> {
    text(row, column).ok_or_else(|| {
        walkback_core::Error::new(
            walkback_core::ErrorKind::Damaged,
            "the journal in the database holds a row that walkback did not write",
        )
        .hint("`walkback doctor` names the row's table; restore the journal's tables from a backup of the database")
    })
}
