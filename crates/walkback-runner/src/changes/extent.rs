//! What there is to be taken back of one table: what is not there need not be looked for among all rows.

use std::collections::BTreeSet;

use walkback_core::engine::SessionExt as _;
use walkback_core::{Cx, Result, Session, Value};

use super::TableChanges;
use super::sql::Sql;

/// Which sorts of changes there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    /// The columns of which cells were changed. `None`: any of them.
    columns: Option<BTreeSet<String>>,
    /// How many rows are among those.
    rows: u64,
    pub(super) has_deleted: bool,
    pub(super) has_inserted: bool,
}

impl Extent {
    /// Returns what there is where nobody has looked: everything may be.
    pub(super) fn unknown() -> Self {
        Self {
            columns: None,
            rows: 0,
            has_deleted: true,
            has_inserted: true,
        }
    }

    pub(super) fn has_changed(&self, column: &str) -> bool {
        self.columns
            .as_ref()
            .is_none_or(|columns| columns.contains(column))
    }

    /// Returns the columns of which cells were changed, if that is known.
    pub(super) fn changed(&self) -> Option<&BTreeSet<String>> {
        self.columns.as_ref()
    }

    pub(super) fn has_changed_any(&self) -> bool {
        self.columns.as_ref().is_none_or(|columns| !columns.is_empty())
    }
}

impl Sql<'_> {
    /// Takes rows back that are as the migration left them wherever it changed them. Where these are all, as they are most of
    /// the time, nothing else need be asked about changed cells, of which each question reads all of them again.
    pub(super) async fn take_whole_rows_back(
        &mut self,
        cx: &Cx,
        session: &mut dyn Session,
        found: &mut TableChanges,
    ) -> Result<()> {
        let Some(back) = self.change_whole_rows_back() else {
            return Ok(());
        };
        let rows = session.execute(cx, &back, &[]).await?;
        found.changed_back += rows;
        if rows == self.extent.rows {
            self.extent.columns = Some(BTreeSet::new());
        }
        Ok(())
    }

    /// Looks at the changed rows alone.
    pub(super) async fn look(&self, cx: &Cx, session: &mut dyn Session) -> Result<Extent> {
        let (was, left) = (self.was(), self.left());
        let cells = self.columns.iter().map(|column| {
            let changed = self.was_changed(column);
            format!("max(CASE WHEN {changed} THEN 1 ELSE 0 END)")
        });
        let cells = cells.collect::<Vec<_>>().join(", ");
        let unchanged = self.all_same("w", "l");
        let sql = format!(
            "SELECT {cells}, count(CASE WHEN NOT ({unchanged}) THEN 1 END) FROM {was} AS w JOIN {left} AS l ON {}",
            self.keys("w", "l")
        );
        let row = session.fetch_optional(cx, &sql, &[]).await?.unwrap_or_default();
        let columns = self.columns.iter().zip(&row);
        let columns = columns.filter(|(_, is)| is.as_i64() == Some(1));
        let columns = columns.map(|(column, _)| column.name.clone()).collect();
        let mut alone = [false; 2];
        for (found, (one, other)) in alone.iter_mut().zip([(&was, &left), (&left, &was)]) {
            let sql = format!(
                "SELECT 1 FROM {one} AS r WHERE {} LIMIT 1",
                self.is_not_in(other, "r")
            );
            *found = session.fetch_optional(cx, &sql, &[]).await?.is_some();
        }
        let [has_deleted, has_inserted] = alone;
        Ok(Extent {
            columns: Some(columns),
            rows: row.last().and_then(Value::as_i64).map_or(0, i64::unsigned_abs),
            has_deleted,
            has_inserted,
        })
    }
}
