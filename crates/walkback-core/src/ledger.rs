//! The format of a ledger: which table says what is applied, as data. The runner reads and writes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::dialect::{ColumnType, DialectKind};
use crate::migration::MigrationId;
use crate::name::TableName;

/// The table of a tool that says which migrations are applied.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LedgerFormat {
    /// The tool it belongs to, for messages: `walkback`, `diesel`.
    pub tool: &'static str,
    /// The table.
    pub table: TableName,
    /// Its columns, in order. Exactly one has the role [`LedgerValue::Id`].
    pub columns: Vec<LedgerColumn>,
    /// What its rows mean.
    pub rows: LedgerRows,
    /// How it is created where it does not exist, if it must be spelled as its tool spells it; otherwise
    /// it follows from the columns.
    pub create: BTreeMap<DialectKind, String>,
    /// The ledger of another tool, of heads, that is kept saying the same, for those who look there.
    pub shown_in: Option<Box<LedgerFormat>>,
    /// What its rows say that only the source knows, for each migration of the source.
    pub told: Arc<BTreeMap<MigrationId, ToldRow>>,
    /// Makes an identity of the columns of the key, where they are several.
    pub naming: Option<Naming>,
    /// What a hash begins with that its tool compares. Rows with another one, or none, say nothing of an edit.
    pub hash_prefix: Option<&'static str>,
    /// The row by which its tool locks the database: it is held as well while a run changes something.
    pub lock: Option<LedgerLock>,
    /// The command by which its tool walks back the newest migration.
    pub walks_back: Option<&'static str>,
}

/// Makes an identity of the columns of a key, and of nothing else: the journal knows a migration by it, whatever other files and
/// rows there are. Keys that the tool takes for the same are one identity.
pub type Naming = fn(key: &[String]) -> String;

/// What a source knows of the row of one migration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToldRow {
    /// The values of the columns of the key, in the order of the columns.
    pub key: Vec<String>,
    /// The values of the columns of [`LedgerValue::Told`]; a column that is not here is NULL.
    pub values: BTreeMap<&'static str, String>,
    /// Hashes of earlier texts that its author says are as good.
    pub accepts: Vec<String>,
    /// Whether the hash of a row tells whether the migration was edited.
    pub is_checked: bool,
}

/// The row by which a tool locks a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerLock {
    /// The table, of one row.
    pub table: TableName,
    /// How it is created where it does not exist.
    pub create: BTreeMap<DialectKind, String>,
    /// The column of the key, which is 1.
    pub id: &'static str,
    /// The column that says whether it is held.
    pub locked: &'static str,
    /// The column of the moment since when.
    pub granted: &'static str,
    /// The column that says by whom.
    pub by: &'static str,
}

/// What the rows of a ledger mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerRows {
    /// One row for each applied migration.
    Applied,
    /// One row for each applied migration that no other applied one builds on, by parents and dependencies: what
    /// it builds on is applied too. Nothing but the identity is written.
    Heads,
}

/// A column of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type, where the runner creates the table.
    pub column_type: ColumnType,
    /// What is written into it.
    pub value: LedgerValue,
}

/// What is written into a column of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerValue {
    /// The identity of the migration; the key.
    Id,
    /// Its slug.
    Slug,
    /// The hash of its up script.
    UpHash,
    /// The moment it was applied, as the tool's own default for the column.
    ServerDefault,
    /// The moment it was applied, in RFC 3339 with microseconds, in UTC.
    AppliedAt,
    /// The run that applied it.
    RunId,
    /// A part of the key beside the identity: [`ToldRow::key`] has it.
    KeyPart,
    /// What the source tells of the migration: [`ToldRow::values`] has it.
    Told,
    /// Whether its script was run, or only counts as run.
    WasRun {
        /// What is written if it was.
        yes: &'static str,
        /// What is written if it was not.
        no: &'static str,
    },
    /// The moment it was applied, by the clock of the server.
    ServerClock,
    /// One more than the greatest number in the column.
    Next,
    /// The last ten digits of the milliseconds at which the run began.
    Deployment,
    /// Who wrote the row: `walkback` and its version.
    Writer,
}

impl LedgerFormat {
    /// Creates a format of one row for each applied migration.
    #[must_use]
    pub fn new(tool: &'static str, table: TableName, columns: Vec<LedgerColumn>) -> Self {
        Self {
            tool,
            table,
            columns,
            rows: LedgerRows::Applied,
            create: BTreeMap::new(),
            shown_in: None,
            told: Arc::default(),
            naming: None,
            hash_prefix: None,
            lock: None,
            walks_back: None,
        }
    }

    /// Returns walkback's own format.
    #[must_use]
    pub fn own() -> Self {
        let column = |name, column_type, value| LedgerColumn {
            name,
            column_type,
            value,
        };
        Self::new(
            "walkback",
            TableName::new("_walkback_ledger"),
            vec![
                column("id", ColumnType::Key(255), LedgerValue::Id),
                column("slug", ColumnType::Text, LedgerValue::Slug),
                column("up_hash", ColumnType::Key(64), LedgerValue::UpHash),
                column("applied_at", ColumnType::Key(40), LedgerValue::AppliedAt),
                column("run_id", ColumnType::Key(64), LedgerValue::RunId),
            ],
        )
    }

    /// Returns Alembic's: one row for each head. `has_key` is its `version_table_pk`.
    #[must_use]
    pub fn alembic(table: TableName, has_key: bool) -> Self {
        let column = LedgerColumn {
            name: "version_num",
            column_type: ColumnType::Key(Self::LONGEST_OF_ALEMBIC),
            value: LedgerValue::Id,
        };
        let create = |dialect| create_alembic(&table, has_key, dialect);
        Self::new("alembic", table.clone(), vec![column])
            .of_heads()
            .created_by(create)
    }

    /// How many characters of an identity Alembic's table holds.
    pub const LONGEST_OF_ALEMBIC: u16 = 32;

    /// Returns the same format with the statement its own tool would create it with.
    #[must_use]
    pub fn created_by(mut self, create: impl Fn(DialectKind) -> String) -> Self {
        self.create = DialectKind::ALL.map(|kind| (kind, create(kind))).into();
        self
    }

    /// Returns the same format with one row for each head of what is applied.
    #[must_use]
    pub fn of_heads(mut self) -> Self {
        self.rows = LedgerRows::Heads;
        self
    }

    /// Returns the same format with the ledger of another tool beside it that is kept saying the same.
    #[must_use]
    pub fn shown_in(mut self, other: Self) -> Self {
        self.shown_in = Some(Box::new(other.of_heads()));
        self
    }

    /// Returns the same format, of rows whose key is several columns and that hold what the source tells.
    #[must_use]
    pub fn told_by(mut self, naming: Naming, told: Arc<BTreeMap<MigrationId, ToldRow>>) -> Self {
        self.naming = Some(naming);
        self.told = told;
        self
    }

    /// Returns the tables of its tool: the ledger, and the one it is locked by.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        std::iter::once(&self.table).chain(self.lock.as_ref().map(|lock| &lock.table))
    }

    /// Returns the columns of the key, in order.
    pub fn key_columns(&self) -> impl Iterator<Item = &LedgerColumn> {
        let is_key = |column: &&LedgerColumn| matches!(column.value, LedgerValue::Id | LedgerValue::KeyPart);
        self.columns.iter().filter(is_key)
    }

    /// Returns the column that holds the identity.
    ///
    /// # Panics
    /// If the format has none, which no adapter that passes the conformance suite has.
    #[must_use]
    pub fn id_column(&self) -> &'static str {
        self.columns
            .iter()
            .find(|column| column.value == LedgerValue::Id)
            .expect("a ledger format has a column for the identity")
            .name
    }
}

/// Returns what SQLAlchemy runs to make the version table, blank for blank: SQLite keeps the text of a definition.
fn create_alembic(table: &TableName, has_key: bool, dialect: DialectKind) -> String {
    let name = quoted_where_needed(&table.name, dialect);
    let place = match &table.schema {
        Some(schema) => format!("{}.{name}", quoted_where_needed(schema, dialect)),
        None => name,
    };
    let key = if has_key {
        let key = quoted_where_needed(&format!("{}_pkc", table.name), dialect);
        format!(", \n\tCONSTRAINT {key} PRIMARY KEY (version_num)")
    } else {
        String::new()
    };
    format!("CREATE TABLE {place} (\n\tversion_num VARCHAR(32) NOT NULL{key}\n)")
}

/// Quotes a name where it needs it, as SQLAlchemy does.
fn quoted_where_needed(name: &str, dialect: DialectKind) -> String {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    if name.chars().all(is_plain) && !name.starts_with(|letter: char| letter.is_ascii_digit()) {
        return name.to_owned();
    }
    match dialect {
        DialectKind::Mysql => format!("`{}`", name.replace('`', "``")),
        DialectKind::Postgres | DialectKind::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}
