//! Tables that were moved aside: which of them are to be left out of the schema, and which are there no more.

use std::collections::BTreeMap;

use walkback_core::catalog::Schema;
use walkback_core::{Cx, Dialect, DialectKind, ErrorKind, MigrationId, Result, Session, TableName};

use super::moves::{is_backup, may_be_aside};
use crate::journal::{DeprecatedRow, Journal, StoredMigration};
use crate::plan::Verdict;

/// Leaves what was moved aside out of a schema: it is not the application's.
#[derive(Debug)]
pub(crate) struct Hidden;

impl Hidden {
    /// On PostgreSQL it is in a schema of walkback's own, which is not read. Elsewhere the journal tells it from a table
    /// of people that is called alike.
    pub(crate) async fn leave_out(
        cx: &Cx,
        session: &mut dyn Session,
        dialect: &dyn Dialect,
        schema: &mut Schema,
    ) -> Result<()> {
        let is_usual = !schema.tables.iter().any(|table| may_be_aside(&table.name.name));
        if dialect.kind() == DialectKind::Postgres || is_usual {
            return Ok(());
        }
        let home = schema.home.clone();
        let rows = Journal::new(session, dialect)
            .at(home.as_deref())
            .deprecated(cx)
            .await?;
        let is_aside = |name: &TableName| {
            let mut there = rows.iter().filter(|row| row.gone.is_none());
            there.any(|row| row.table.name.eq_ignore_ascii_case(&name.name))
        };
        schema.tables.retain(|table| !is_aside(&table.name));
        schema
            .objects
            .retain(|object| object.on.as_ref().is_none_or(|on| !is_aside(on)));
        Ok(())
    }
}

/// Says of each migration that moved tables aside whether they are still there: without them the way back that was derived
/// is none. Returns the rows, each with what became of it.
pub(crate) async fn mark_gone(
    cx: &Cx,
    session: &mut dyn Session,
    mut rows: Vec<DeprecatedRow>,
    stored: &mut BTreeMap<MigrationId, StoredMigration>,
) -> Result<Vec<DeprecatedRow>> {
    for row in &mut rows {
        if row.gone.is_none() && !is_there(cx, session, row).await? {
            row.gone = Some(format!("`{}` was dropped without walkback", row.table));
        }
        let Some(gone) = &row.gone else { continue };
        if let Some(stored) = stored.get_mut(&row.migration)
            && stored.run_id == row.run_id
        {
            let how = match is_backup(&row.table) {
                true => "was kept in a backup table",
                false => "was moved aside",
            };
            forget_way(stored, &format!("`{}` {how}, and {gone}", row.original));
        }
    }
    Ok(rows)
}

/// A user who may not look into the schema of a table does not know that it has gone.
async fn is_there(cx: &Cx, session: &mut dyn Session, row: &DeprecatedRow) -> Result<bool> {
    match session.has_table(cx, &row.table).await {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(true),
        other => other,
    }
}

fn forget_way(stored: &mut StoredMigration, why: &str) {
    stored.derived_sql = None;
    stored.derived_loses = Vec::new();
    if let (Verdict::Lossy { loses }, Some(_)) = (&mut stored.verdict, &stored.down_sql) {
        loses.push(format!("what it held ({why})"));
        return;
    }
    stored.verdict = Verdict::Irreversible { why: why.to_owned() };
}
