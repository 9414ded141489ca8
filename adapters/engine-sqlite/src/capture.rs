//! Capturing changed rows: temporary triggers, which only this connection has, copy each changed row into a temporary
//! table, in the order of the changes. They are made and dropped inside the transaction.
//!
//! With `recursive_triggers` on they also see the rows that a `REPLACE` takes. Nothing else follows from it meanwhile: the
//! tables have no other triggers.

use async_trait::async_trait;
use walkback_core::capture::{Capture, Captured};
use walkback_core::catalog::Table;
use walkback_core::engine::SessionExt as _;
use walkback_core::{Cx, Error, ErrorKind, Result, Session, TableName};

use crate::dialect::{quoted, quoted_table};
use crate::engine::SqliteEngine;

/// The names of what serves one table.
struct Names {
    number: usize,
    table: String,
    /// Its columns, as they are kept.
    columns: Vec<String>,
    key: Vec<String>,
    was: TableName,
    left: TableName,
}

impl Names {
    fn all(tables: &[Table]) -> Vec<Self> {
        let own =
            |kind: &str, number: usize| TableName::in_schema("temp", format!("_walkback_{kind}_{number}"));
        let names = |(number, table): (usize, &Table)| Self {
            number,
            table: quoted_table(&table.name),
            columns: table
                .columns
                .iter()
                .filter(|column| !column.generated)
                .map(|column| quoted(&column.name))
                .collect(),
            key: table.primary_key.iter().map(|column| quoted(column)).collect(),
            was: own("was", number),
            left: own("left", number),
        };
        tables.iter().enumerate().map(names).collect()
    }

    fn columns(&self, prefix: &str) -> String {
        let columns = self.columns.iter().map(|column| format!("{prefix}{column}"));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Returns the table of the images. A trigger can name it without its schema only.
    fn images(&self) -> String {
        format!("_walkback_images_{}", self.number)
    }

    fn trigger(&self, operation: &str) -> String {
        format!("_walkback_{}_{}", operation.to_ascii_lowercase(), self.number)
    }

    /// Returns what begins the capture. Columns without a type keep values as they are.
    fn begin(&self) -> Vec<String> {
        let (images, columns) = (self.images(), self.columns(""));
        let copy = |side: u8, row: &str| {
            format!(
                "INSERT INTO {images} ({columns}, _walkback_side) VALUES ({}, {side});",
                self.columns(row)
            )
        };
        let (old, new) = (copy(0, "old."), copy(1, "new."));
        let trigger = |operation: &str, body: &str| {
            format!(
                "CREATE TEMP TRIGGER {} AFTER {operation} ON main.{} BEGIN {body} END",
                self.trigger(operation),
                self.table
            )
        };
        vec![
            format!(
                "CREATE TEMP TABLE {images} (_walkback_number INTEGER PRIMARY KEY, _walkback_side INTEGER, {columns})"
            ),
            trigger("INSERT", &new),
            trigger("UPDATE", &format!("{old} {new}")),
            trigger("DELETE", &old),
        ]
    }

    /// Asks whether some row has no whole key: what became of it cannot be followed.
    fn has_nulls(&self) -> String {
        let nulls = self.key.iter().map(|column| format!("{column} IS NULL"));
        format!(
            "SELECT EXISTS (SELECT 1 FROM temp.{} WHERE {})",
            self.images(),
            nulls.collect::<Vec<_>>().join(" OR ")
        )
    }

    /// Returns what keeps the first image of each row if it was there before, or the last if it is there now.
    fn one_side(&self, to: &TableName, side: u8) -> String {
        let direction = if side == 0 { "ASC" } else { "DESC" };
        format!(
            "CREATE TEMP TABLE {} AS SELECT {columns} FROM (SELECT {columns}, _walkback_side, row_number() OVER \
             (PARTITION BY {} ORDER BY _walkback_number {direction}) AS _walkback_rank FROM temp.{}) \
             WHERE _walkback_rank = 1 AND _walkback_side = {side}",
            quoted(&to.name),
            self.key.join(", "),
            self.images(),
            columns = self.columns("")
        )
    }

    /// Returns what removes what an earlier migration of the session has left.
    fn clear(&self) -> Vec<String> {
        let mut all: Vec<_> = ["INSERT", "UPDATE", "DELETE"]
            .iter()
            .map(|operation| format!("DROP TRIGGER IF EXISTS temp.{}", self.trigger(operation)))
            .collect();
        all.push(format!("DROP TABLE IF EXISTS temp.{}", self.images()));
        all
    }

    fn clear_sides(&self) -> Vec<String> {
        let drop = |side: &TableName| format!("DROP TABLE IF EXISTS {}", quoted_table(side));
        [&self.was, &self.left].into_iter().map(drop).collect()
    }
}

async fn execute_all(
    cx: &Cx,
    session: &mut dyn Session,
    statements: impl IntoIterator<Item = String>,
) -> Result<()> {
    for statement in statements {
        session.execute(cx, &statement, &[]).await?;
    }
    Ok(())
}

#[async_trait]
impl Capture for SqliteEngine {
    async fn start(&self, cx: &Cx, session: &mut dyn Session, tables: &[Table]) -> Result<()> {
        session.execute(cx, "PRAGMA recursive_triggers = ON", &[]).await?;
        for names in Names::all(tables) {
            execute_all(cx, session, names.clear()).await?;
            execute_all(cx, session, names.clear_sides()).await?;
            execute_all(cx, session, names.begin()).await?;
        }
        Ok(())
    }

    async fn finish(&self, cx: &Cx, session: &mut dyn Session, tables: &[Table]) -> Result<Vec<Captured>> {
        let mut captured = Vec::new();
        for (names, table) in Names::all(tables).into_iter().zip(tables) {
            let nulls = session.fetch_optional(cx, &names.has_nulls(), &[]).await?;
            if nulls.is_some_and(|row| row[0].as_i64() == Some(1)) {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "what changes in table `{}` cannot be captured: a row of it has NULL in its primary key",
                        table.name
                    ),
                ));
            }
            for (side, to) in [(0, &names.was), (1, &names.left)] {
                session.execute(cx, &names.one_side(to, side), &[]).await?;
            }
            execute_all(cx, session, names.clear()).await?;
            captured.push(Captured::new(table.name.clone(), names.was, names.left));
        }
        self.abandon(cx, session).await?;
        Ok(captured)
    }

    async fn abandon(&self, cx: &Cx, session: &mut dyn Session) -> Result<()> {
        session
            .execute(cx, "PRAGMA recursive_triggers = OFF", &[])
            .await
            .map(drop)
    }
}
