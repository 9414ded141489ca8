//! The database, looked at from outside and without any code of walkback.

mod mysql;
mod postgres;
mod sqlite;

use std::collections::BTreeMap;
use std::path::Path;

use crate::backend::Backend;

pub use sqlite::contents;

/// Everything an application can see: definitions and rows, without walkback's own tables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// Definitions by kind and name, white space folded.
    pub definitions: BTreeMap<String, String>,
    /// Rows of each table, sorted, each as text in which 1, 1.0 and '1' differ.
    pub rows: BTreeMap<String, Vec<String>>,
}

impl Contents {
    /// Says where two databases differ, in few words.
    #[must_use]
    pub fn difference(&self, other: &Self) -> String {
        let mut lines = Vec::new();
        compare(
            &self.definitions,
            &other.definitions,
            &mut lines,
            |this, other| format!("\n  is   {this}\n  was  {other}"),
        );
        compare(&self.rows, &other.rows, &mut lines, |this, other| {
            let new = this.iter().filter(|row| !other.contains(row)).take(3);
            let gone = other.iter().filter(|row| !this.contains(row)).take(3);
            let new: Vec<_> = new.map(|row| format!("\n  is   {row}")).collect();
            let gone: Vec<_> = gone.map(|row| format!("\n  was  {row}")).collect();
            format!(
                "{} rows, were {}{}{}",
                this.len(),
                other.len(),
                new.concat(),
                gone.concat()
            )
        });
        lines.join("\n")
    }
}

fn compare<T: PartialEq>(
    this: &BTreeMap<String, T>,
    other: &BTreeMap<String, T>,
    lines: &mut Vec<String>,
    say: impl Fn(&T, &T) -> String,
) {
    for (name, value) in this {
        match other.get(name) {
            None => lines.push(format!("{name}: is new")),
            Some(was) if was != value => lines.push(format!("{name}: {}", say(value, was))),
            Some(_) => {}
        }
    }
    for name in other.keys().filter(|name| !this.contains_key(*name)) {
        lines.push(format!("{name}: is gone"));
    }
}

/// From how many bytes on a cell is told by its hash: a large table is compared many times over.
const WIDE: usize = 4096;

/// Returns what stands for the bytes of a wide cell.
fn digest(bytes: &[u8]) -> Option<String> {
    (bytes.len() > WIDE).then(|| format!("{} bytes {}", bytes.len(), blake3::hash(bytes).to_hex()))
}

/// Returns whether a table is walkback's own, or the ledger of another tool, which comes and goes with it.
fn is_bookkeeping(table: &str) -> bool {
    let is_of_liquibase = matches!(
        table.to_ascii_lowercase().as_str(),
        "databasechangelog" | "databasechangeloglock"
    );
    is_of_liquibase
        || table.starts_with("_walkback_")
        || matches!(table, "__diesel_schema_migrations" | "alembic_version")
}

/// A connection, as an application has one.
#[derive(Debug)]
pub enum Session {
    /// To a file.
    Sqlite(rusqlite::Connection),
    /// To a PostgreSQL.
    Postgres(postgres::Connection),
    /// To a MySQL or MariaDB.
    Mysql(mysql::Connection),
}

impl Session {
    /// Connects to a server.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn open(backend: Backend, url: &str) -> Self {
        Self::try_open(backend, url).unwrap_or_else(|error| panic!("{backend} does not answer: {error}"))
    }

    pub(crate) fn try_open(backend: Backend, url: &str) -> Result<Self, String> {
        if backend.is_postgres() {
            postgres::Connection::open(url).map(Self::Postgres)
        } else {
            mysql::Connection::open(url).map(Self::Mysql)
        }
    }

    /// Opens a file.
    ///
    /// # Panics
    /// If it cannot be opened.
    #[must_use]
    pub fn open_file(file: &Path) -> Self {
        Self::Sqlite(rusqlite::Connection::open(file).expect("the database opens"))
    }

    /// Runs statements, as an application would.
    ///
    /// # Panics
    /// If one of them fails.
    pub fn sql(&mut self, sql: &str) {
        self.try_sql(sql)
            .unwrap_or_else(|error| panic!("the statements run: {error}\n{sql}"));
    }

    /// Runs statements, and returns what the database says if one of them fails.
    ///
    /// # Errors
    /// If one of them fails.
    pub fn try_sql(&mut self, sql: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sql).map_err(|error| error.to_string()),
            Self::Postgres(connection) => connection.sql(sql),
            Self::Mysql(connection) => connection.sql(sql),
        }
    }

    /// Returns the first value of a query, as text.
    ///
    /// # Panics
    /// If the query fails or gives no row.
    #[must_use]
    pub fn value(&mut self, sql: &str) -> String {
        self.try_value(sql)
            .unwrap_or_else(|error| panic!("the query gives a row: {error}\n{sql}"))
    }

    pub(crate) fn try_value(&mut self, sql: &str) -> Result<String, String> {
        match self {
            Self::Sqlite(connection) => sqlite::value(connection, sql),
            Self::Postgres(connection) => connection.value(sql),
            Self::Mysql(connection) => connection.value(sql),
        }
    }

    /// Returns the first column of a query, as text; of a file it must be text.
    ///
    /// # Panics
    /// If the query fails.
    #[must_use]
    pub fn column(&mut self, sql: &str) -> Vec<String> {
        let rows = match self {
            Self::Sqlite(connection) => {
                let mut query = connection.prepare(sql).expect("the query is understood");
                let texts = query.query_map([], |row| row.get(0)).expect("the query runs");
                return texts.map(|text| text.expect("it is text")).collect();
            }
            Self::Postgres(connection) => connection.texts(sql),
            Self::Mysql(connection) => connection.texts(sql),
        };
        rows.into_iter()
            .filter_map(|row| row.into_iter().next())
            .collect()
    }

    /// Reads everything an application can see.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn contents(&mut self) -> Contents {
        match self {
            Self::Sqlite(connection) => sqlite::read(connection),
            Self::Postgres(connection) => connection.contents(),
            Self::Mysql(connection) => connection.contents(),
        }
    }

    /// Returns what is broken: references that lead nowhere, damaged pages, indexes that are not valid.
    ///
    /// # Panics
    /// If the database cannot be asked.
    #[must_use]
    pub fn violations(&mut self) -> Vec<String> {
        let checks: Vec<String> = match self {
            Self::Sqlite(connection) => return sqlite::violations(connection),
            Self::Postgres(connection) => connection.texts(postgres::CHECKS),
            Self::Mysql(connection) => connection.texts(mysql::CHECKS),
        }
        .into_iter()
        .flatten()
        .collect();
        checks
            .into_iter()
            .filter(|check| self.value(check) != "0")
            .collect()
    }

    /// Returns walkback's own tables on a server, each with a checksum of its rows.
    ///
    /// # Panics
    /// If the database cannot be asked, or is a file.
    #[must_use]
    pub fn own_tables(&mut self) -> BTreeMap<String, String> {
        let list = match self {
            Self::Sqlite(_) => panic!("a file is compared byte for byte"),
            Self::Postgres(connection) => {
                connection.texts("SELECT tablename FROM pg_tables WHERE tablename ~ '^_walkback_'")
            }
            Self::Mysql(connection) => connection.texts(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE '!_walkback!_%' ESCAPE '!'",
            ),
        };
        let mut tables = BTreeMap::new();
        for table in list.into_iter().flatten() {
            let sum = if matches!(self, Self::Postgres(_)) {
                format!("SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} t")
            } else {
                format!("CHECKSUM TABLE {table}")
            };
            let rows = self.value(&format!("SELECT count(*) FROM {table}"));
            let sum = self.last_value(&sum);
            tables.insert(table, format!("{rows} rows, {sum}"));
        }
        tables
    }

    /// Returns the last value of the first row of a query, as text.
    fn last_value(&mut self, sql: &str) -> String {
        let rows = match self {
            Self::Sqlite(connection) => return sqlite::value(connection, sql).unwrap_or_default(),
            Self::Postgres(connection) => connection.texts(sql),
            Self::Mysql(connection) => connection.texts(sql),
        };
        let first = rows.into_iter().next().unwrap_or_default();
        first.into_iter().last().unwrap_or_default()
    }

    /// Returns the statement of each session in a database of this server; empty where none runs.
    pub(crate) fn statements_in(&mut self, database: &str) -> Vec<String> {
        match self {
            Self::Sqlite(_) => Vec::new(),
            Self::Postgres(connection) => {
                let sql = format!(
                    "SELECT CASE WHEN state <> 'idle' THEN query END FROM pg_stat_activity WHERE datname = '{database}'"
                );
                connection.texts(&sql).into_iter().flatten().collect()
            }
            // The table of the same name cannot show a statement with characters of four bytes.
            Self::Mysql(connection) => connection
                .texts("SHOW FULL PROCESSLIST")
                .into_iter()
                .filter(|row| row[3] == database)
                .map(|row| row[7].clone())
                .collect(),
        }
    }
}
