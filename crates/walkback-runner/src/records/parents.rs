//! Foreign keys that SQLite would look at when a transaction ends: then nobody could tell which record it was.

use walkback_core::catalog::{Schema, Table};
use walkback_core::dialect::DialectKind;
use walkback_core::engine::SessionExt as _;
use walkback_core::value::Row;
use walkback_core::{Cx, Dialect, Result, Session};

use super::columns::Fault;
use super::image::Images;

/// What rows of one table refer to, where that is looked for late.
pub(super) struct Parents {
    /// Tables, quoted, with the pairs of columns: of the row, and of the table it refers to.
    late: Vec<(String, Vec<(String, String)>)>,
}

impl Parents {
    pub(super) fn of(dialect: &dyn Dialect, schema: &Schema, table: &Table) -> Self {
        let is_late = dialect.kind() == DialectKind::Sqlite
            && table.definition.to_ascii_uppercase().contains("DEFERRED");
        let keys = table.foreign_keys.iter().filter(|_| is_late);
        let quoted = |name: &String| dialect.quote_identifier(name);
        let late = keys.filter_map(|key| {
            // A table that is not there is an error of its own.
            let parent = schema.table(&key.references)?;
            let to = match key.referenced_columns.is_empty() {
                false => &key.referenced_columns,
                true => &parent.primary_key,
            };
            let pairs = key.columns.iter().zip(to);
            let pairs = pairs.map(|(from, to)| (quoted(from), quoted(to))).collect();
            Some((dialect.quote_table(&parent.name), pairs))
        });
        Self { late: late.collect() }
    }

    /// Returns why rows that were inserted cannot stay, if what they refer to is not there.
    pub(super) async fn missing(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        images: &Images<'_>,
        keys: &[Row],
    ) -> Result<Option<Fault>> {
        if self.late.is_empty() {
            return Ok(None);
        }
        let is_kept = session.fetch_all(cx, "PRAGMA foreign_keys", &[]).await?;
        if !is_kept.iter().flatten().any(|value| value.as_i64() == Some(1)) {
            return Ok(None);
        }
        for (parent, pairs) in &self.late {
            if images.lacks_parent(cx, session, keys, (parent, pairs)).await? {
                let why =
                    format!("FOREIGN KEY constraint failed: the row refers to one that is not in {parent}");
                return Ok(Some(Fault::plain(&why)));
            }
        }
        Ok(None)
    }
}
