//! What the checks have in common: statements all engines speak, and short ways to run them.

use std::collections::BTreeSet;

use walkback_core::catalog::{Schema, Table};
use walkback_core::dialect::ColumnType;
use walkback_core::engine::SessionExt as _;
use walkback_core::value::Row;
use walkback_core::{Access, Cx, DialectKind, Error, Result, Session, TableName, Value};

use super::EngineFixture;

/// How many rows the checks of large tables use.
pub(super) const MANY: i64 = 100_000;

/// Returns the context of checks that do not try its limits.
pub(super) fn cx() -> Cx {
    Cx::background()
}

impl EngineFixture {
    /// Opens a session that writes.
    pub(super) async fn writer(&self) -> Result<Box<dyn Session>> {
        self.engine.connect(&cx(), Access::Write).await
    }

    /// Opens a session that reads.
    pub(super) async fn reader(&self) -> Result<Box<dyn Session>> {
        self.engine.connect(&cx(), Access::Read).await
    }

    /// Opens a session that writes, and makes the table `t` of a number and a text, with these rows.
    pub(super) async fn with_table(&self, rows: i64) -> Result<Box<dyn Session>> {
        let mut session = self.writer().await?;
        run(&mut *session, &self.create_table("t")).await?;
        self.fill(&mut *session, "t", rows).await?;
        Ok(session)
    }

    /// Returns the statement that creates a table like `t`.
    pub(super) fn create_table(&self, name: &str) -> String {
        let (integer, text) = (self.integer(), self.indexable_text());
        format!("CREATE TABLE {name} (id {integer} NOT NULL, note {text}, PRIMARY KEY (id))")
    }

    /// Adds rows to a table like `t`, numbered from 1, in one transaction.
    pub(super) async fn fill(&self, session: &mut dyn Session, table: &str, rows: i64) -> Result<()> {
        use walkback_core::engine::Begin;
        if rows == 0 {
            return Ok(());
        }
        session.begin(&cx(), Begin::Write).await?;
        run(
            session,
            &format!("INSERT INTO {table} (id, note) VALUES (1, 'note 1')"),
        )
        .await?;
        let mut count = 1;
        while count < rows {
            let more = count.min(rows - count);
            let note = match self.kind() {
                DialectKind::Mysql => format!("CONCAT('note ', id + {count})"),
                _ => format!("'note ' || (id + {count})"),
            };
            let sql = format!(
                "INSERT INTO {table} (id, note) SELECT id + {count}, {note} FROM {table} WHERE id <= {more}"
            );
            run(session, &sql).await?;
            count += more;
        }
        session.commit(&cx()).await
    }

    /// Begins what exchanges tables: a rebuild, where definitions are transactional.
    pub(super) async fn begin_exchange(&self, session: &mut dyn Session) -> Result<()> {
        use walkback_core::engine::Begin;
        if session.capability().transactional_ddl {
            session.begin(&cx(), Begin::Rebuild).await?;
        }
        Ok(())
    }

    /// Ends it.
    pub(super) async fn end_exchange(&self, session: &mut dyn Session) -> Result<()> {
        if session.capability().transactional_ddl {
            session.commit(&cx()).await?;
        }
        Ok(())
    }

    /// Returns the family of SQL.
    pub(super) fn kind(&self) -> DialectKind {
        self.engine.dialect().kind()
    }

    /// Returns the type of numbers.
    pub(super) fn integer(&self) -> String {
        self.engine.dialect().column_type(ColumnType::Integer)
    }

    /// Returns the type of text.
    pub(super) fn text(&self) -> String {
        self.engine.dialect().column_type(ColumnType::Text)
    }

    /// Returns the type of text that an index can be made of.
    pub(super) fn indexable_text(&self) -> String {
        match self.kind() {
            DialectKind::Mysql => self.engine.dialect().column_type(ColumnType::Key(250)),
            _ => self.text(),
        }
    }

    /// Returns the type of bytes.
    pub(super) fn bytes(&self) -> &'static str {
        match self.kind() {
            DialectKind::Sqlite => "BLOB",
            DialectKind::Postgres => "BYTEA",
            DialectKind::Mysql => "LONGBLOB",
        }
    }

    /// Returns the type of doubles.
    pub(super) fn double(&self) -> &'static str {
        match self.kind() {
            DialectKind::Sqlite => "REAL",
            DialectKind::Postgres => "DOUBLE PRECISION",
            DialectKind::Mysql => "DOUBLE",
        }
    }

    /// Returns so many placeholders.
    pub(super) fn holes(&self, count: usize) -> String {
        let dialect = self.engine.dialect();
        let holes: Vec<_> = (1..=count).map(|n| dialect.placeholder(n)).collect();
        holes.join(", ")
    }

    /// Returns the bytes of the database's file, if it is one and is there.
    pub(super) fn file_bytes(&self) -> Option<Vec<u8>> {
        self.file.as_ref().and_then(|file| std::fs::read(file).ok())
    }

    /// Returns whether the database is a file.
    pub(super) fn is_file(&self) -> bool {
        self.file.is_some()
    }
}

/// Runs a statement without parameters.
pub(super) async fn run(session: &mut dyn Session, sql: &str) -> Result<u64> {
    session.execute(&cx(), sql, &[]).await
}

/// Returns the rows of a query without parameters.
pub(super) async fn rows(session: &mut dyn Session, sql: &str) -> Result<Vec<Row>> {
    session.fetch_all(&cx(), sql, &[]).await
}

/// Returns the number of rows of a table.
pub(super) async fn count(session: &mut dyn Session, table: &str) -> Result<i64> {
    number(session, &format!("SELECT COUNT(*) FROM {table}")).await
}

/// Returns the one number a query gives.
pub(super) async fn number(session: &mut dyn Session, sql: &str) -> Result<i64> {
    let rows = rows(session, sql).await?;
    Ok(rows[0][0].as_i64().expect("a count is a number"))
}

/// Returns a table of the schema.
pub(super) async fn table(session: &mut dyn Session, name: &str) -> Result<Table> {
    let schema = session.schema(&cx()).await?;
    Ok(find(&schema, name).clone())
}

/// Returns a table of a schema.
pub(super) fn find<'a>(schema: &'a Schema, name: &str) -> &'a Table {
    let found = schema.tables.iter().find(|table| table.name.name == name);
    found.unwrap_or_else(|| panic!("the schema holds no table `{name}`: {:?}", names(schema)))
}

/// Returns the names of the tables of a schema.
pub(super) fn names(schema: &Schema) -> BTreeSet<String> {
    schema
        .tables
        .iter()
        .map(|table| table.name.name.clone())
        .collect()
}

/// Returns the differences of two schemas in words.
pub(super) fn differences(before: &Schema, after: &Schema) -> Vec<String> {
    before
        .differences(after)
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Returns the name of a table.
pub(super) fn named(name: &str) -> TableName {
    TableName::new(name)
}

/// Returns the error of a result that must be one.
#[track_caller]
pub(super) fn refused<T>(result: Result<T>, what: &str) -> Error {
    match result {
        Ok(_) => panic!("{what} was accepted"),
        Err(error) => error,
    }
}

/// Returns a text value.
pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
