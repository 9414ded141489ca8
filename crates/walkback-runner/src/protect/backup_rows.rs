//! Backup tables of changed rows: as they were, and as the migration left them.
//!
//! The rows are captured while they change, which costs what was changed, and copied from there. Where nothing captures
//! them, all rows of the tables are copied before, and those that have not changed are deleted from the copy. Both are
//! needed: what was written since is told by what the migration left.

use walkback_core::capture::Captured;
use walkback_core::catalog::{Schema, Table};
use walkback_core::{Cx, Dialect, Error, ErrorKind, Result, TableName};

use super::aside::with_causes;
use super::backup::{AS_BEFORE, LOOSELY};
use super::backup_copy;
use crate::changes::{kept_columns, same};
use crate::execute::{Execution, Outcome};
use crate::plan::PlannedStep;

impl Execution<'_> {
    /// Makes the backup tables before the transaction in which rows are captured, where a definition would end it.
    pub(crate) async fn make_beside(&mut self, cx: &Cx, step: &PlannedStep) -> Result<()> {
        if self.session.capability().transactional_ddl {
            return Ok(());
        }
        let schema = self.runner.schema(cx, &mut *self.session).await?;
        for table in step.captured_tables(&schema) {
            for _ in 0..2 {
                self.make_one_beside(cx, step, &table, &schema).await?;
            }
        }
        Ok(())
    }

    async fn make_one_beside(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        table: &Table,
        schema: &Schema,
    ) -> Result<TableName> {
        let row = self.backup_row(cx, step, &table.name, schema).await?;
        self.note_rows(cx, step, std::slice::from_ref(&row)).await?;
        cx.step("protect.noted");
        let dialect = self.dialect.clone();
        for sql in backup_copy::make(&*dialect, table, &kept_columns(table), &row.table) {
            self.or_point(cx, &sql).await?;
        }
        cx.step("protect.made");
        let name = row.table.clone();
        self.aside.push(row);
        Ok(name)
    }

    /// Runs statements between a copy of all rows and its comparison with what they have left. What is copied is locked
    /// against others by that.
    pub(crate) async fn statements_copied(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        tables: &[Table],
    ) -> Result<Outcome> {
        let dialect = self.dialect.clone();
        let before = self.runner.schema(cx, &mut *self.session).await?;
        let mut pairs = Vec::new();
        for table in tables {
            pairs.push(self.pair_beside(cx, step, table, &before).await?);
        }
        let copies = tables.iter().zip(&pairs);
        let copies = copies
            .map(|(table, pair)| backup_copy::copy(&*dialect, &kept_columns(table), &table.name, &pair[0]));
        self.run_loosely(cx, copies.collect()).await?;
        cx.step("protect.copied");
        let outcome = self.statements_inside(cx, step).await?;
        let sifts = tables.iter().zip(&pairs);
        let sifts = sifts.flat_map(|(table, pair)| sifts_of(&*dialect, table, (&pair[0], &pair[1])));
        self.run_loosely(cx, sifts.collect()).await?;
        Ok(outcome)
    }

    /// Runs what makes or fills a backup table. If the server refuses it, the reason is in [`Execution::needs_point`].
    async fn or_point(&mut self, cx: &Cx, sql: &str) -> Result<()> {
        let sent = self.session.execute(cx, sql, &[]).await;
        if let Err(error) = &sent
            && matches!(error.kind(), ErrorKind::Database | ErrorKind::PermissionDenied)
        {
            self.needs_point = Some(with_causes(error));
        }
        sent.map(|_| ())
    }

    async fn run_loosely(&mut self, cx: &Cx, statements: Vec<String>) -> Result<()> {
        self.session.execute(cx, LOOSELY, &[]).await?;
        let mut outcome = Ok(0);
        for sql in statements {
            outcome = self.session.execute(cx, &sql, &[]).await;
            if outcome.is_err() {
                break;
            }
        }
        self.session.execute(&cx.shielded(), AS_BEFORE, &[]).await?;
        outcome.map(|_| ())
    }

    /// Copies what was captured into backup tables, inside the current transaction.
    pub(crate) async fn keep_beside(&mut self, cx: &Cx, step: &PlannedStep, schema: &Schema) -> Result<()> {
        let dialect = self.dialect.clone();
        for one in std::mem::take(&mut self.captured) {
            let Captured {
                table: name,
                was,
                left,
                ..
            } = &one;
            let table = schema
                .table(name)
                .ok_or_else(|| Error::internal(format!("`{name}` was captured and is not there")))?;
            let pair = self.pair_beside(cx, step, table, schema).await?;
            for (from, to) in [was, left].into_iter().zip(&pair) {
                let sql = backup_copy::copy(&*dialect, &kept_columns(table), from, to);
                self.or_point(cx, &sql).await?;
            }
        }
        cx.step("protect.copied");
        Ok(())
    }

    /// Returns the two backup tables of a table: they were made before, or are made now.
    async fn pair_beside(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        table: &Table,
        schema: &Schema,
    ) -> Result<Vec<TableName>> {
        let made = self.aside.iter().filter(|row| row.original == table.name);
        let mut pair: Vec<_> = made.map(|row| row.table.clone()).collect();
        while pair.len() < 2 {
            pair.push(self.make_one_beside(cx, step, table, schema).await?);
        }
        Ok(pair)
    }
}

/// Returns what keeps the changed rows of a table as they are now, and forgets those that have not changed.
fn sifts_of(dialect: &dyn Dialect, table: &Table, (was, left): (&TableName, &TableName)) -> [String; 2] {
    let columns = kept_columns(table);
    let name = |column: &str| dialect.quote_identifier(column);
    let (from, was, left) = (
        dialect.quote_table(&table.name),
        dialect.quote_table(was),
        dialect.quote_table(left),
    );
    let is_unchanged = |one: &str| {
        let key = table.primary_key.iter();
        let key = key.map(|column| format!("{one}.{} = walkback_live.{}", name(column), name(column)));
        let cells = columns.iter().map(|column| {
            let (one, live) = (
                format!("{one}.{}", name(&column.name)),
                format!("walkback_live.{}", name(&column.name)),
            );
            same(dialect.kind(), &column.data_type, &one, &live)
        });
        key.chain(cells).collect::<Vec<_>>().join(" AND ")
    };
    let listed: Vec<_> = columns.iter().map(|column| name(&column.name)).collect();
    let listed = listed.join(", ");
    [
        format!(
            "INSERT INTO {left} ({listed}) SELECT {listed} FROM {from} AS walkback_live WHERE NOT EXISTS \
             (SELECT 1 FROM {was} AS walkback_kept WHERE {})",
            is_unchanged("walkback_kept")
        ),
        format!(
            "DELETE FROM {was} WHERE EXISTS (SELECT 1 FROM {from} AS walkback_live WHERE {})",
            is_unchanged(&was)
        ),
    ]
}
