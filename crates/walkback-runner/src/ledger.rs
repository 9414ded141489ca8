//! Reading and writing the ledger, whatever its format.

mod key;

use std::collections::BTreeSet;

use walkback_core::ledger::{LedgerColumn, LedgerFormat, LedgerValue};
use walkback_core::value::Value;
use walkback_core::{Cx, Dialect, Error, ErrorKind, MigrationGraph, MigrationId, Result, Session};

use crate::journal::bind;
use key::Written;

/// A row of the ledger, as far as its format has the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) id: MigrationId,
    pub(crate) slug: Option<String>,
    pub(crate) up_hash: Option<String>,
    pub(crate) applied_at: Option<String>,
    pub(crate) run_id: Option<String>,
}

/// The rows of a ledger of heads.
pub(crate) type Heads = BTreeSet<MigrationId>;

impl Applied {
    /// Returns what is applied if these rows are the heads of it, in the order of the graph.
    pub(crate) fn from_heads(rows: Vec<Self>, graph: &MigrationGraph) -> Vec<Self> {
        let heads: Heads = rows.iter().map(|row| row.id.clone()).collect();
        let applied = graph.ancestors(&heads);
        let known = graph.iter().filter(|migration| applied.contains(&migration.id));
        let mut all: Vec<Self> = known.map(|migration| Self::only(&migration.id)).collect();
        all.extend(rows.into_iter().filter(|row| graph.get(&row.id).is_none()));
        all
    }

    /// Returns a row of which nothing but the identity is known.
    pub(crate) fn only(id: &MigrationId) -> Self {
        Self {
            id: id.clone(),
            slug: None,
            up_hash: None,
            applied_at: None,
            run_id: None,
        }
    }
}

/// What is written into the ledger for one migration.
#[derive(Debug, Clone)]
pub(crate) struct NewRow<'a> {
    pub(crate) id: &'a MigrationId,
    pub(crate) slug: &'a str,
    pub(crate) up_hash: &'a str,
    pub(crate) applied_at: &'a str,
    pub(crate) run_id: &'a str,
    /// The moment the run began.
    pub(crate) run_began: &'a str,
    /// Whether its script was run, or said to be as good as run.
    pub(crate) was_run: bool,
}

/// The ledger of one database, over one session.
pub(crate) struct Ledger<'a> {
    session: &'a mut dyn Session,
    dialect: &'a dyn Dialect,
    format: &'a LedgerFormat,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(
        session: &'a mut dyn Session,
        dialect: &'a dyn Dialect,
        format: &'a LedgerFormat,
    ) -> Self {
        Self {
            session,
            dialect,
            format,
        }
    }

    /// Creates the table if it is missing.
    pub(crate) async fn create(&mut self, cx: &Cx) -> Result<()> {
        match self.creation(cx).await? {
            Some(sql) => self.session.execute(cx, &sql, &[]).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Returns the statement that creates it, if it is not there.
    pub(crate) async fn creation(&mut self, cx: &Cx) -> Result<Option<String>> {
        if self.session.has_table(cx, &self.format.table).await? {
            return Ok(None);
        }
        Ok(Some(match self.format.create.get(&self.dialect.kind()) {
            Some(sql) => sql.clone(),
            None => self.create_statement(),
        }))
    }

    /// Reads all rows, in the order in which they were applied as far as the format can tell. Where its rows are the
    /// heads of what is applied, [`Applied::from_heads`] makes of them what is applied.
    pub(crate) async fn read(&mut self, cx: &Cx) -> Result<Vec<Applied>> {
        if !self.session.has_table(cx, &self.format.table).await? {
            return Ok(Vec::new());
        }
        let rows = self.rows(cx).await?;
        Ok(self.all_applied(&rows))
    }

    pub(crate) async fn insert(&mut self, cx: &Cx, row: &NewRow<'_>) -> Result<()> {
        let (mut names, mut places, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let written = |column: &&LedgerColumn| column.value != LedgerValue::ServerDefault;
        for column in self.format.columns.iter().filter(written) {
            names.push(self.quoted(column));
            match self.written(column, row)? {
                Written::Value(value) => {
                    places.push("?".to_owned());
                    values.push(value);
                }
                Written::Expression(sql) => places.push(sql),
            }
        }
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            self.dialect.quote_table(&self.format.table),
            names.join(", "),
            places.join(", ")
        );
        self.session
            .execute(cx, &bind(self.dialect, &sql), &values)
            .await
            .map(|_| ())
    }

    /// Removes a row, and says whether there was one.
    pub(crate) async fn remove(&mut self, cx: &Cx, id: &MigrationId) -> Result<bool> {
        let columns = self.format.key_columns();
        let is_it: Vec<_> = columns
            .map(|column| format!("{} = ?", self.quoted(column)))
            .collect();
        let sql = format!(
            "DELETE FROM {} WHERE {}",
            self.dialect.quote_table(&self.format.table),
            is_it.join(" AND ")
        );
        let sql = bind(self.dialect, &sql);
        let mut count = 0;
        for key in self.keys_of(cx, id).await? {
            let key: Vec<Value> = key.iter().map(|part| part.as_str().into()).collect();
            count += self.session.execute(cx, &sql, &key).await?;
        }
        Ok(count > 0)
    }

    /// Takes every row out.
    pub(crate) async fn empty(&mut self, cx: &Cx) -> Result<()> {
        let sql = format!("DELETE FROM {}", self.dialect.quote_table(&self.format.table));
        self.session.execute(cx, &sql, &[]).await.map(|_| ())
    }

    /// Makes rows of heads say what is applied now. Each of them must still be what it was.
    ///
    /// # Errors
    /// `CheckFailed` if somebody else has changed them meanwhile.
    pub(crate) async fn move_heads(&mut self, cx: &Cx, (before, after): (&Heads, &Heads)) -> Result<()> {
        for (sql, values) in self.moves((before, after)) {
            let parameters: Vec<Value> = values.iter().map(|id| id.as_str().into()).collect();
            let count = self
                .session
                .execute(cx, &bind(self.dialect, &sql), &parameters)
                .await?;
            if count != 1 {
                let head = values.last().map_or("", |id| id.as_str());
                return Err(Error::new(
                    ErrorKind::CheckFailed,
                    format!(
                        "the ledger `{}` does not say `{head}` any more: another tool has changed it meanwhile",
                        self.format.table
                    ),
                )
                .hint("`walkback status` shows what is there now; run the command again to plan anew"));
            }
        }
        Ok(())
    }

    /// Returns the statements that move the heads, with the values of each.
    fn moves<'h>(&self, (before, after): (&'h Heads, &'h Heads)) -> Vec<(String, Vec<&'h MigrationId>)> {
        let table = self.dialect.quote_table(&self.format.table);
        let column = self.dialect.quote_identifier(self.format.id_column());
        let mut gone = before.difference(after);
        let mut new = after.difference(before);
        let mut moves = Vec::new();
        loop {
            moves.push(match (gone.next(), new.next()) {
                (Some(old), Some(new)) => (
                    format!("UPDATE {table} SET {column} = ? WHERE {column} = ?"),
                    vec![new, old],
                ),
                (Some(old), None) => (format!("DELETE FROM {table} WHERE {column} = ?"), vec![old]),
                (None, Some(new)) => (format!("INSERT INTO {table} ({column}) VALUES (?)"), vec![new]),
                (None, None) => return moves,
            });
        }
    }

    /// Returns the statements that move the heads, as a script has them.
    pub(crate) fn written_moves(&self, heads: (&Heads, &Heads)) -> Vec<String> {
        let moves = self.moves(heads).into_iter();
        let written = moves.map(|(sql, values)| {
            let mut parts = sql.split('?');
            let mut text = parts.next().unwrap_or_default().to_owned();
            for (value, part) in values.into_iter().zip(parts) {
                text.push_str(&self.dialect.literal(&value.as_str().into()));
                text.push_str(part);
            }
            text
        });
        written.collect()
    }

    fn quoted(&self, column: &LedgerColumn) -> String {
        self.dialect.quote_identifier(column.name)
    }

    fn create_statement(&self) -> String {
        let columns = self.format.columns.iter().map(|column| {
            let key = if column.value == LedgerValue::Id {
                " NOT NULL PRIMARY KEY"
            } else {
                ""
            };
            let column_type = self.dialect.column_type(column.column_type);
            format!("{} {column_type}{key}", self.quoted(column))
        });
        format!(
            "CREATE TABLE {} ({})",
            self.dialect.quote_table(&self.format.table),
            columns.collect::<Vec<_>>().join(", ")
        )
    }
}
