//! Finding what was changed since, and saying it.

use walkback_core::{Cx, Result, Session};

use super::TableChanges;
use super::asking::{Asking, Question};
use super::sql::Sql;

impl Sql<'_> {
    /// Asks what was changed since, before anything goes back.
    pub(super) async fn changed_since(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        found: &mut TableChanges,
    ) -> Result<()> {
        for column in &self.columns {
            let sql = self.changed_cells(column);
            self.ask(cx, session, (&sql, "changed since"), Some(&column.name), found)
                .await?;
        }
        let what = "changed by the migration, deleted since";
        self.ask(cx, session, (&self.deleted_rows(), what), None, found)
            .await?;
        self.added_and_changed(cx, session, found).await?;
        let what = "deleted by the migration, and its key was used again since";
        self.ask(cx, session, (&self.replaced_rows(), what), None, found)
            .await
    }

    /// Asks which of the rows that it added were changed since, before anything goes back.
    pub(super) async fn added_and_changed(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        found: &mut TableChanges,
    ) -> Result<()> {
        let what = "inserted by the migration, changed since";
        self.ask(cx, session, (&self.changed_rows(), what), None, found)
            .await
    }

    /// Asks for rows that are not brought back, once what they may refer to is.
    pub(super) async fn without_parents(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        found: &mut TableChanges,
    ) -> Result<()> {
        let Some(sql) = self.orphaned_rows() else {
            return Ok(());
        };
        let what = "deleted by the migration, and it refers to a row that is gone";
        self.ask(cx, session, (&sql, what), None, found).await
    }

    /// Asks for cells that do not go back, once all rows are there.
    pub(super) async fn referring_to_nothing(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        found: &mut TableChanges,
    ) -> Result<()> {
        for column in &self.columns {
            if let Some(sql) = self.orphaned_cells(column) {
                let what = "what it was refers to a row that is gone";
                self.ask(cx, session, (&sql, what), Some(&column.name), found)
                    .await?;
            }
        }
        Ok(())
    }

    /// Asks for rows that are not removed, once those that refer to them have gone back.
    pub(super) async fn referred_to(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        found: &mut TableChanges,
    ) -> Result<()> {
        let Some(sql) = self.referred_rows() else {
            return Ok(());
        };
        let what = "inserted by the migration, and other rows refer to it";
        self.ask(cx, session, (&sql, what), None, found).await
    }

    async fn ask(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (question, what): (&Question, &str),
        column: Option<&str>,
        found: &mut TableChanges,
    ) -> Result<()> {
        let asking = Asking {
            dialect: self.dialect,
            key: &self.table.primary_key,
        };
        asking.ask(cx, session, (question, what), column, found).await
    }
}
