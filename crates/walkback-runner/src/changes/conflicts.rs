//! Finding what was changed since, and saying it.

use walkback_core::engine::SessionExt as _;
use walkback_core::value::{Row, Value};
use walkback_core::{Cx, Result, Session};

use super::questions::Question;
use super::sql::Sql;
use super::{Conflict, TableChanges};

/// How many conflicts of a table are told one by one.
const LISTED: usize = 100;

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
        for (sql, what) in [
            (self.deleted_rows(), "changed by the migration, deleted since"),
            (self.changed_rows(), "inserted by the migration, changed since"),
            (
                self.replaced_rows(),
                "deleted by the migration, and its key was used again since",
            ),
        ] {
            self.ask(cx, session, (&sql, what), None, found).await?;
        }
        Ok(())
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
        let Question { selected, rest } = question;
        let count = format!("SELECT count(*) {rest}");
        let rows = session.fetch_optional(cx, &count, &[]).await?;
        let rows = rows.and_then(|row| row[0].as_i64()).unwrap_or_default();
        found.conflicts += u64::try_from(rows).unwrap_or_default();
        let space = LISTED.saturating_sub(found.listed.len());
        if rows == 0 || space == 0 {
            return Ok(());
        }
        let listed = session
            .fetch_all(cx, &format!("SELECT {selected} {rest} LIMIT {space}"), &[])
            .await?;
        let told = listed.iter().map(|row| self.told(row, column, what));
        found.listed.extend(told);
        Ok(())
    }

    fn told(&self, row: &Row, column: Option<&str>, what: &str) -> Conflict {
        let literal = |value: &Value| self.dialect.literal(value);
        let key = self.table.primary_key.iter().zip(row);
        let key: Vec<_> = key
            .map(|(column, value)| format!("{column} = {}", literal(value)))
            .collect();
        let cell = |index: usize| row.get(key.len() + index).map(literal);
        Conflict {
            column: column.map(str::to_owned),
            what: what.to_owned(),
            before: cell(0),
            written: cell(1),
            now: cell(2),
            key: key.join(", "),
        }
    }
}
