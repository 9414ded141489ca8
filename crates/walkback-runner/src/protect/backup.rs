//! Backup tables: what a statement destroys is copied inside the database before, and goes back from there.
//!
//! The copy and the statement are one: nobody writes to the table between them. What is copied are the columns that go,
//! with the key of each row; on the way back they are made again, and filled by that key.

use walkback_core::catalog::Schema;
use walkback_core::dialect::DialectKind;
use walkback_core::engine::SessionExt as _;
use walkback_core::{Cx, Error, Result, TableName};

use super::aside::with_causes;
use super::backup_sql::Cut;
use super::moves;
use crate::execute::{Derivation, Execution};
use crate::identity;
use crate::journal::{DeprecatedRow, StatementState, UndoRow};
use crate::plan::PlannedStep;

impl Execution<'_> {
    /// Copies what a statement drops into a backup table, and runs it, inside the current transaction. Returns the schema
    /// after it.
    ///
    /// # Errors
    /// What the server answers to the statement. If it is only that it cannot be kept so, the reason is in
    /// [`Execution::needs_point`], and the transaction has to be rolled back.
    pub(crate) async fn back_up(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        index: usize,
        before: &Schema,
        derivation: &mut Derivation,
    ) -> Result<Schema> {
        let dialect = self.dialect.clone();
        let cut = match Cut::of(&*dialect, &step.statements[index], before) {
            Ok(cut) => cut,
            Err(why) => return self.not_kept_beside(step, index, why),
        };
        let table = cut.table.name.clone();
        self.session.hold_tables(cx, std::slice::from_ref(&table)).await?;
        if let Some(why) = self.without_key(cx, &cut).await? {
            return self.not_kept_beside(step, index, why);
        }
        let row = self.backup_row(cx, step, &table, before).await?;
        self.note_rows(cx, step, std::slice::from_ref(&row)).await?;
        let mut copies = cut.make(&*dialect, &row.table);
        copies.push(cut.copy(&*dialect, &row.table));
        for sql in copies {
            if let Err(error) = self.session.execute(cx, &sql, &[]).await {
                cx.check()?;
                return self.not_kept_beside(step, index, with_causes(&error));
            }
        }
        cx.step("protect.copied");
        self.send(cx, step, index).await?;
        let after = self.runner.schema(cx, &mut *self.session).await?;
        if let Some(why) = cut.goes_along(before, &after) {
            return self.not_kept_beside(step, index, why);
        }
        derivation.add_way(cut.way(&*dialect, &row.table), &step.statements[index]);
        self.aside.push(row);
        Ok(after)
    }

    fn not_kept_beside<T>(&mut self, step: &PlannedStep, index: usize, why: String) -> Result<T> {
        let message = format!(
            "what `{}` destroys ({}) cannot be kept in a backup table: {why}",
            step.name, step.statements[index].at
        );
        self.needs_point = Some(why);
        Err(Error::unsupported(message, "this statement"))
    }

    /// A key may be `NULL` on SQLite, and then nothing tells the rows apart.
    async fn without_key(&mut self, cx: &Cx, cut: &Cut<'_>) -> Result<Option<String>> {
        if self.dialect.kind() != DialectKind::Sqlite {
            return Ok(None);
        }
        let found = self
            .session
            .fetch_optional(cx, &cut.without_key(&*self.dialect), &[])
            .await?;
        Ok(found.map(|_| format!("a row of `{}` has no key", cut.table.name)))
    }

    /// Copies and runs where each statement is final at once: the table is made, the way back is noted, and then, while
    /// nobody else writes to it, its columns are copied and dropped.
    pub(crate) async fn back_up_alone(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        index: usize,
        before: &Schema,
        derivation: &mut Derivation,
    ) -> Result<Schema> {
        let dialect = self.dialect.clone();
        let statement = &step.statements[index];
        let cut = Cut::of(&*dialect, statement, before)
            .map_err(|why| Error::unsupported(why, "a backup table").hint(hint()))?;
        let table = cut.table.name.clone();
        let row = self.backup_row(cx, step, &table, before).await?;
        self.note_rows(cx, step, std::slice::from_ref(&row)).await?;
        cx.step("protect.noted");
        let way = cut.way(&*dialect, &row.table);
        let undo = UndoRow {
            way: Ok(way.clone()),
            schema_before: before.hash(),
            with_outcome: false,
        };
        let noted = self.statement_row(cx, step, index, StatementState::Intent)?;
        self.journal()
            .note_undo(cx, &noted.run_id, noted.seq, &undo)
            .await?;
        self.journal().note_statement(cx, &noted).await?;
        cx.step("statement.intent");
        let sent = self.copy_and_send(cx, (step, index), &cut, &row.table).await;
        // Whatever stopped it: the journal is among the tables that could not be written to meanwhile.
        let freed = self.free_tables(&cx.shielded()).await;
        sent.and(freed)?;
        cx.step("statement.sent");
        let at = identity::moment(cx.now());
        self.journal()
            .statement_done(cx, &noted.run_id, noted.seq, &at)
            .await?;
        cx.step("statement.done");
        derivation.add_way(way, statement);
        self.aside.push(row);
        self.runner.schema(cx, &mut *self.session).await
    }

    async fn copy_and_send(
        &mut self,
        cx: &Cx,
        (step, index): (&PlannedStep, usize),
        cut: &Cut<'_>,
        backup: &TableName,
    ) -> Result<()> {
        let dialect = self.dialect.clone();
        let quoted = |table: &TableName| dialect.quote_table(table);
        self.session.execute(cx, LOOSELY, &[]).await?;
        for sql in cut.make(&*dialect, backup) {
            self.explained(cx, &sql).await?;
        }
        cx.step("protect.made");
        let lock = format!(
            "LOCK TABLES {} WRITE, {} WRITE",
            quoted(&cut.table.name),
            quoted(backup)
        );
        self.explained(cx, &lock).await?;
        self.explained(cx, &cut.copy(&*dialect, backup)).await?;
        cx.step("protect.copied");
        self.session.execute(cx, AS_BEFORE, &[]).await?;
        self.send(cx, step, index).await
    }

    async fn explained(&mut self, cx: &Cx, sql: &str) -> Result<()> {
        let sent = self.session.execute(cx, sql, &[]).await;
        sent.map(|_| ())
            .map_err(|error| error.wrap("the backup table cannot be made").hint(hint()))
    }

    async fn free_tables(&mut self, cx: &Cx) -> Result<()> {
        self.session.execute(cx, "UNLOCK TABLES", &[]).await?;
        self.session.execute(cx, AS_BEFORE, &[]).await.map(|_| ())
    }

    /// Chooses where the copy goes.
    pub(super) async fn backup_row(
        &mut self,
        cx: &Cx,
        step: &PlannedStep,
        original: &TableName,
        schema: &Schema,
    ) -> Result<DeprecatedRow> {
        let taken = self.still_aside(cx).await?;
        self.row_beside(cx, step, (original, moves::Sort::Backup), schema, &taken)
    }

    /// Drops the backup tables that a run made for a migration, or for any, that was not applied with them: a killed run
    /// leaves them where definitions are final at once.
    pub(crate) async fn drop_unneeded_backups(&mut self, cx: &Cx, run: &str) -> Result<()> {
        for row in self.journal().deprecated(cx).await? {
            let stored = self.state.stored.get(&row.migration);
            let is_needed = stored.is_some_and(|stored| stored.run_id == row.run_id);
            if row.run_id != run || row.gone.is_some() || is_needed || !moves::is_backup(&row.table) {
                continue;
            }
            let sql = format!("DROP TABLE IF EXISTS {}", self.dialect.quote_table(&row.table));
            self.session.execute(cx, &sql, &[]).await?;
            cx.step("protect.dropped");
            self.journal()
                .deprecated_is_gone(cx, &row, "the run that made it was taken back")
                .await?;
        }
        Ok(())
    }
}

/// A date that no strict mode takes is copied like any other value.
pub(super) const LOOSELY: &str =
    "SET @walkback_sql_mode = @@SESSION.sql_mode, SESSION sql_mode = 'ALLOW_INVALID_DATES'";
pub(super) const AS_BEFORE: &str = "SET SESSION sql_mode = COALESCE(@walkback_sql_mode, @@SESSION.sql_mode)";

/// What to do where there can be no backup table.
fn hint() -> &'static str {
    "`-- walkback: protect=vault` at the head of the script keeps what it destroys in a point instead"
}
