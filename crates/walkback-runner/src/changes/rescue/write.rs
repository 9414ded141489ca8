//! Writing what was lost into the tables, parents before those that refer to them.

use walkback_core::catalog::{Column, Schema};
use walkback_core::{Cx, DialectKind, MigrationId, Result, TableName, Value};

use super::lost::Lost;
use super::sql::{Cells, Known};
use super::unplaced::PlacedSql;
use crate::changes::asking::Asking;
use crate::changes::conflicts::OF_RESCUE;
use crate::changes::extent::Extent;
use crate::changes::sql::{Others, Sql};
use crate::changes::{OnConflict, TableChanges, in_circle_with};
use crate::execute::Execution;

impl Execution<'_> {
    pub(super) async fn write_lost(
        &mut self,
        cx: &Cx,
        id: &MigrationId,
        lost: &[Lost<'_>],
        inside: bool,
    ) -> Result<Vec<TableChanges>> {
        let dialect = self.runner.dialect();
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let others: Vec<Others<'_>> = lost
            .iter()
            .map(|one| Others {
                table: &one.table,
                was: &one.was.name,
                left: &one.left.name,
            })
            .collect();
        let sql = |index: usize| Sql {
            dialect: &*dialect,
            table: &lost[index].table,
            columns: lost[index].columns(),
            was: &lost[index].was.name,
            left: &lost[index].left.name,
            schema: &now,
            circle: in_circle_with(&others, index),
            words: &OF_RESCUE,
            extent: Extent::unknown(),
        };
        let mut tables: Vec<_> = lost
            .iter()
            .map(|one| TableChanges::none(&one.table.name))
            .collect();
        for (index, found) in tables.iter_mut().enumerate() {
            if lost[index].aside.columns.is_none() {
                self.bring_rows_back(cx, &sql(index), found).await?;
            } else {
                let known = if !lost[index].is_known {
                    Known::Nothing
                } else if inside || self.is_as_left(cx, id, &now, &lost[index].table.name).await? {
                    Known::All
                } else {
                    Known::FirstTime
                };
                let cells = Cells {
                    sql: sql(index),
                    known,
                };
                if !cells.sql.columns.is_empty() {
                    self.put_cells_back(cx, &cells, found).await?;
                }
                if let Some((_, kept)) = &lost[index].without {
                    let sql = Sql {
                        columns: lost[index].shared(),
                        ..sql(index)
                    };
                    self.place(cx, &PlacedSql::new(sql, kept), found).await?;
                }
            }
        }
        for (index, found) in tables.iter_mut().enumerate().rev() {
            if lost[index].aside.columns.is_none() {
                let sql = sql(index);
                sql.referred_to(cx, &mut *self.session, found).await?;
                let remove = sql.remove(OnConflict::Keep);
                found.removed += self.session.execute(cx, &remove, &[]).await?;
                self.advance_sequences(cx, &lost[index]).await?;
            }
        }
        Ok(tables)
    }

    /// Returns whether nobody has written to a table since the migration left it this time.
    async fn is_as_left(
        &mut self,
        cx: &Cx,
        id: &MigrationId,
        now: &Schema,
        table: &TableName,
    ) -> Result<bool> {
        let left = self.journal().after(cx, id).await?;
        let Some(then) = left.get(&table.to_string()) else {
            return Ok(false);
        };
        let print = self.print(cx, now, table, &then.columns).await?;
        Ok(print.as_ref() == Some(&then.print))
    }

    async fn bring_rows_back(&mut self, cx: &Cx, sql: &Sql<'_>, found: &mut TableChanges) -> Result<()> {
        let session = &mut *self.session;
        sql.changed_since(cx, session, found).await?;
        sql.without_parents(cx, session, found).await?;
        found.brought_back += session.execute(cx, &sql.bring_back(), &[]).await?;
        sql.referring_to_nothing(cx, session, found).await?;
        if let Some(back) = sql.change_back(OnConflict::Keep) {
            found.changed_back += session.execute(cx, &back, &[]).await?;
        }
        Ok(())
    }

    async fn put_cells_back(&mut self, cx: &Cx, cells: &Cells<'_>, found: &mut TableChanges) -> Result<()> {
        let session = &mut *self.session;
        let asking = Asking {
            dialect: cells.sql.dialect,
            key: &cells.sql.table.primary_key,
        };
        let what = "the migration has written something else this time, or it refers to a row that is gone";
        for column in &cells.sql.columns {
            let question = cells.left_out(column);
            asking
                .ask(cx, session, (&question, what), Some(&column.name), found)
                .await?;
        }
        found.changed_back += session.execute(cx, &cells.put_back(), &[]).await?;
        Ok(())
    }

    /// Lets what numbers rows go on behind those that came back. Elsewhere that is done by itself.
    async fn advance_sequences(&mut self, cx: &Cx, lost: &Lost<'_>) -> Result<()> {
        if self.dialect.kind() != DialectKind::Postgres {
            return Ok(());
        }
        let table = self.dialect.quote_table(&lost.table.name);
        for column in lost.columns() {
            let quoted = self.dialect.quote_identifier(&column.name);
            let literal = |text: &str| self.dialect.literal(&Value::Text(text.to_owned()));
            let sql = format!(
                "SELECT setval(q.sequence, q.highest) FROM (SELECT pg_get_serial_sequence({}, {})::regclass AS sequence, \
                 (SELECT max({quoted})::bigint FROM {table}) AS highest) AS q \
                 WHERE q.sequence IS NOT NULL AND q.highest > COALESCE(pg_sequence_last_value(q.sequence), 0)",
                literal(&table),
                literal(&column.name),
            );
            if is_number(column) {
                self.session.execute(cx, &sql, &[]).await?;
            }
        }
        Ok(())
    }
}

/// Returns whether a sequence can number the cells of a column.
fn is_number(column: &Column) -> bool {
    ["smallint", "integer", "bigint"].contains(&column.data_type.as_str())
}
