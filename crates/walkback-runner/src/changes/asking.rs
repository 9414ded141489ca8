//! Asking a question about the rows of a table, and telling what was found.

use walkback_core::engine::SessionExt as _;
use walkback_core::value::{Row, Value};
use walkback_core::{Cx, Dialect, Result, Session};

use super::{Conflict, TableChanges};

/// How many conflicts of a table are told one by one.
const LISTED: usize = 100;

/// A question, with what it selects apart from the rest: it is asked for its rows, and for how many they are.
pub(super) struct Question {
    /// The key, and for a cell what it was before, what the migration wrote, and what it is now.
    pub(super) selected: String,
    pub(super) rest: String,
}

/// Asks about one table.
pub(super) struct Asking<'a> {
    pub(super) dialect: &'a dyn Dialect,
    pub(super) key: &'a [String],
}

impl Asking<'_> {
    /// Adds what there is to what was found so far.
    pub(super) async fn ask(
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
        let key = self.key.iter().zip(row);
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
