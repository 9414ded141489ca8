//! Finding what was changed since, and saying it.

use walkback_core::catalog::Column;
use walkback_core::{Cx, Result, Session};

use super::TableChanges;
use super::asking::{Asking, Question};
use super::sql::Sql;

/// What is said of conflicts.
pub(super) struct Words {
    cell_changed: &'static str,
    changed_row_deleted: &'static str,
    new_row_changed: &'static str,
    key_used: &'static str,
    pub(super) row_without_parent: &'static str,
    cell_without_parent: &'static str,
    new_row_referred_to: &'static str,
}

/// Where a migration is taken back.
pub(super) static OF_MIGRATION: Words = Words {
    cell_changed: "changed since",
    changed_row_deleted: "changed by the migration, deleted since",
    new_row_changed: "inserted by the migration, changed since",
    key_used: "deleted by the migration, and its key was used again since",
    row_without_parent: "deleted by the migration, and it refers to a row that is gone",
    cell_without_parent: "what it was refers to a row that is gone",
    new_row_referred_to: "inserted by the migration, and other rows refer to it",
};

/// Where a rollback is taken back.
pub(super) static OF_ROLLBACK: Words = Words {
    cell_changed: "changed since",
    changed_row_deleted: "changed by the rollback, deleted since",
    new_row_changed: "brought back by the rollback, changed since",
    key_used: "removed by the rollback, and its key was used again since",
    row_without_parent: "removed by the rollback, and it refers to a row that is gone",
    cell_without_parent: "what it was refers to a row that is gone",
    new_row_referred_to: "brought back by the rollback, and other rows refer to it",
};

/// Where what a rollback took away is put back.
pub(super) static OF_RESCUE: Words = Words {
    cell_changed: "changed before the rollback, and the migration wrote something else this time",
    changed_row_deleted: "changed before the rollback, and not there any more",
    new_row_changed: "deleted before the rollback, and the migration wrote something else this time",
    key_used: "written before the rollback, and its key is in use",
    row_without_parent: "inserted before the rollback, and it refers to a row that is gone",
    cell_without_parent: "what was written before the rollback refers to a row that is gone",
    new_row_referred_to: "deleted before the rollback, and other rows refer to it",
};

impl Sql<'_> {
    /// Asks what was changed since, before anything goes back.
    pub(super) async fn changed_since(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        found: &mut TableChanges,
    ) -> Result<()> {
        for column in self.changed_columns() {
            let sql = self.changed_cells(column);
            self.ask(
                cx,
                session,
                (&sql, self.words.cell_changed),
                Some(&column.name),
                found,
            )
            .await?;
        }
        if self.extent.has_changed_any() {
            let what = self.words.changed_row_deleted;
            self.ask(cx, session, (&self.deleted_rows(), what), None, found)
                .await?;
        }
        self.added_and_changed(cx, session, found).await?;
        if !self.extent.has_deleted {
            return Ok(());
        }
        let what = self.words.key_used;
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
        if !self.extent.has_inserted {
            return Ok(());
        }
        let what = self.words.new_row_changed;
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
        let Some(sql) = self.orphaned_rows().filter(|_| self.extent.has_deleted) else {
            return Ok(());
        };
        let what = self.words.row_without_parent;
        self.ask(cx, session, (&sql, what), None, found).await
    }

    /// Asks for cells that do not go back, once all rows are there.
    pub(super) async fn referring_to_nothing(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        found: &mut TableChanges,
    ) -> Result<()> {
        for column in self.changed_columns() {
            if let Some(sql) = self.orphaned_cells(column) {
                let what = self.words.cell_without_parent;
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
        let Some(sql) = self.referred_rows().filter(|_| self.extent.has_inserted) else {
            return Ok(());
        };
        let what = self.words.new_row_referred_to;
        self.ask(cx, session, (&sql, what), None, found).await
    }

    fn changed_columns(&self) -> impl Iterator<Item = &Column> {
        let columns = self.columns.iter().copied();
        columns.filter(|column| self.extent.has_changed(&column.name))
    }

    pub(super) async fn ask(
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
