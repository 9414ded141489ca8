//! Tables without a key, of which one row cannot be told from another. Where a migration did no more than to add to such a
//! table, its rows need not be told apart: they are right as they are now.

use walkback_core::catalog::{COLUMN_ORDER, Schema, Table};
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::name::ObjectKind;
use walkback_core::statement::{Action, Severity};
use walkback_core::{Cx, Dialect, Effect, Result, Session, TableName};
use walkback_vault::{Manifest, TableEntry};

use crate::changes::{KeptWrites, TableChanges};
use crate::derive::changes_rows;
use crate::load::Shadow;
use crate::point;
use crate::reach::Reach;
use crate::restore::Exchange;

/// A table that comes back with the rows that it has now.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    then: Table,
    now: Table,
    before: TableEntry,
}

/// Returns whether rows of a table could not be told apart before a migration, or behind it.
pub(super) fn is_keyless(
    (then, left): (&TableName, &TableName),
    (before, after): (&Manifest, &Manifest),
) -> bool {
    let has_none = |schema: &Schema, table| {
        let table: Option<&Table> = schema.exact_table(table);
        table.is_some_and(|table| table.primary_key.is_empty())
    };
    has_none(&before.schema, then) || has_none(&after.schema, left)
}

impl Carried {
    /// Returns the tables of an exchange whose rows stay as they are. `effects` are the statements of the migration with what
    /// each does; `None` if nobody knows.
    pub(crate) fn all(
        dialect: &dyn Dialect,
        points: (&Manifest, &Manifest),
        effects: Option<&[(String, Effect)]>,
        (exchange, now): (&Exchange, &Schema),
    ) -> Vec<Self> {
        // What another tool ran has no statements here.
        let Some(effects) = effects.filter(|effects| !effects.is_empty()) else {
            return Vec::new();
        };
        let Some(written) = written_by(dialect, points, effects) else {
            return Vec::new();
        };
        let (before, _) = points;
        let entries = exchange.replace.iter().filter(|entry| {
            is_keyless((&entry.table, &entry.table), points)
                && !written.contains(&entry.table)
                && is_only_added_to(&entry.table, effects)
        });
        let carried = entries.filter_map(|entry| {
            let one = Self {
                then: before.schema.exact_table(&entry.table)?.clone(),
                now: now.exact_table(&entry.table)?.clone(),
                before: entry.clone(),
            };
            one.fits((&before.schema, now)).then_some(one)
        });
        carried.collect()
    }

    pub(crate) fn name(&self) -> &TableName {
        &self.then.name
    }

    /// Returns the columns that the table has now and will not have.
    pub(crate) fn going(&self) -> impl Iterator<Item = &str> {
        super::going(&self.then, &self.now)
    }

    /// Returns whether any row that can be in the table now could be in it as it was.
    fn fits(&self, (then, now): (&Schema, &Schema)) -> bool {
        let is_a_part = |table: &Table, schema: &Schema| {
            let mut others = schema.tables.iter();
            !table.parents.is_empty() || others.any(|other| other.parents.contains(&table.name))
        };
        let facts = self.then.facts.iter();
        let mut facts = facts.filter(|(fact, _)| *fact != COLUMN_ORDER);
        let mut indexes = then
            .objects_on(&self.then.name)
            .filter(|object| object.kind == ObjectKind::Index);
        !is_a_part(&self.then, then)
            && !is_a_part(&self.now, now)
            && facts.all(|(fact, value)| self.now.facts.get(fact) == Some(value))
            && indexes.all(|index| {
                now.counterpart(index)
                    .is_some_and(|live| live.facts == index.facts)
            })
    }

    /// Writes the rows of the table into its shadow. Returns what was written since, as far as the number of rows tells.
    pub(super) async fn write(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (dialect, shadow): (&dyn Dialect, &Shadow),
    ) -> Result<Option<TableChanges>> {
        let is = self.print(cx, session).await?;
        if Some(&is) == self.before.fingerprint.as_ref() {
            return Ok(None);
        }
        let quoted = dialect.quote_table(&shadow.name);
        session.execute(cx, &format!("DELETE FROM {quoted}"), &[]).await?;
        let columns = self.before.columns.iter();
        let columns: Vec<_> = columns.map(|column| dialect.quote_identifier(column)).collect();
        let columns = columns.join(", ");
        let live = dialect.quote_table(&self.now.name);
        let sql = format!("INSERT INTO {quoted} ({columns}) SELECT {columns} FROM {live}");
        session.execute(cx, &sql, &[]).await?;
        let kept = KeptWrites {
            inserted: is.rows.saturating_sub(self.before.rows),
            deleted: self.before.rows.saturating_sub(is.rows),
            ..KeptWrites::default()
        };
        Ok((kept != KeptWrites::default()).then(|| TableChanges {
            kept: Some(kept),
            ..TableChanges::none(&self.then.name)
        }))
    }

    /// Returns the fingerprint of the table as it is now, seen through the columns that it had.
    async fn print(&self, cx: &Cx, session: &mut dyn Session) -> Result<TableFingerprint> {
        let mut seen = point::kept(&self.then);
        seen.name = self.now.name.clone();
        session.fingerprint(cx, &seen).await
    }
}

/// Returns the tables of which the statements of a migration change rows. `None`: nobody knows.
fn written_by(
    dialect: &dyn Dialect,
    (before, after): (&Manifest, &Manifest),
    effects: &[(String, Effect)],
) -> Option<Vec<TableName>> {
    let writes =
        |effect: &Effect| effect.severity() == Severity::Unknown || effect.actions.iter().any(changes_rows);
    let writing: Vec<_> = effects
        .iter()
        .filter(|(_, effect)| writes(effect))
        .cloned()
        .collect();
    if writing.is_empty() {
        return Some(Vec::new());
    }
    let mut reach = Reach::new(dialect, &after.schema, true);
    // One that it drops may have fired before.
    reach.add_triggers(dialect, &before.schema.objects);
    reach.of_effects(dialect, &writing)
}

/// Returns whether statements do nothing to a table but to give it columns.
fn is_only_added_to(table: &TableName, effects: &[(String, Effect)]) -> bool {
    let mut actions = effects.iter().flat_map(|(_, effect)| &effect.actions);
    actions.all(|action| {
        let is_it = action
            .changed_table()
            .is_some_and(|named| named.name.eq_ignore_ascii_case(&table.name));
        !is_it || matches!(action, Action::AddColumn { .. })
    })
}
