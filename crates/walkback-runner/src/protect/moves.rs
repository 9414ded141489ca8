//! What moves a table aside, and back: statements, worked out from the schema before any of them runs.

use walkback_core::TableName;
use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::name::ObjectKind;

/// How the name of a table begins that was moved aside beside the others.
const PREFIX: &str = "_deprecated_";

/// How the name of a backup table begins beside the others.
const BACKUP: &str = "_backup_";

/// How the name of a schema begins in which a backup table is.
const BACKUP_SCHEMA: &str = "_walkback_backup_";

/// How the name of a schema begins into which a table was moved aside.
const SCHEMA: &str = "_walkback_dropped_";

/// What such a name may be long, in bytes: every server takes it, and what it puts behind it for the names of its own.
const LONGEST: usize = 56;

/// Some statements that belong together, and those that take them back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) forward: Vec<String>,
    pub(crate) back: Vec<String>,
}

impl Move {
    pub(super) fn new(forward: impl Into<String>, back: impl Into<String>) -> Self {
        Self {
            forward: vec![forward.into()],
            back: vec![back.into()],
        }
    }

    /// What is done on the way back only, after everything that stands behind it here.
    pub(super) fn afterwards(back: Vec<String>) -> Self {
        Self {
            forward: Vec::new(),
            back,
        }
    }
}

/// A table that is moved aside, and where to.
#[derive(Debug, Clone)]
pub(crate) struct Leaving<'a> {
    pub(crate) table: &'a Table,
    pub(crate) aside: TableName,
}

/// Returns the part of the id of a run that tells it from others.
fn short(run: &str) -> &str {
    run.rsplit('_').next().unwrap_or(run)
}

/// Why a table is beside those of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// It is one of them, and was moved aside.
    MovedAside,
    /// It holds a copy.
    Backup,
}

impl Sort {
    /// Returns a schema of its own for the n-th such table of a run.
    pub(super) fn schema_for(self, run: &str, number: i64) -> String {
        let prefix = match self {
            Self::MovedAside => SCHEMA,
            Self::Backup => BACKUP_SCHEMA,
        };
        format!("{prefix}{}_{number}", run.trim_start_matches("run_"))
    }

    /// Returns the name beside the others for the n-th such table of a run: the plain one, or with a short id where that is
    /// taken or too long.
    pub(super) fn name_beside(
        self,
        table: &str,
        (run, number): (&str, i64),
        is_taken: impl Fn(&str) -> bool,
    ) -> String {
        let prefix = match self {
            Self::MovedAside => PREFIX,
            Self::Backup => BACKUP,
        };
        let plain = format!("{prefix}{table}");
        if plain.len() <= LONGEST && !is_taken(&plain) {
            return plain;
        }
        let id = format!("_{}_{number}", short(run));
        let room = LONGEST.saturating_sub(prefix.len() + id.len());
        let mut end = table.len().min(room);
        while !table.is_char_boundary(end) {
            end -= 1;
        }
        format!("{prefix}{}{id}", &table[..end])
    }
}

/// Returns whether a message names such a schema.
pub(super) fn is_aside_in(message: &str) -> bool {
    message.contains(SCHEMA) || message.contains(BACKUP_SCHEMA)
}

/// Returns whether a table that was kept is a copy, and not the table itself.
pub(crate) fn is_backup(table: &TableName) -> bool {
    match &table.schema {
        Some(schema) if schema.starts_with(BACKUP_SCHEMA) => true,
        Some(schema) if schema.starts_with(SCHEMA) => false,
        _ => begins_with(&table.name, BACKUP),
    }
}

fn begins_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Returns whether a name beside others is one that a table may have been given.
pub(super) fn may_be_aside(name: &str) -> bool {
    begins_with(name, PREFIX) || begins_with(name, BACKUP)
}

/// Returns the schema as it is to be once tables have been moved aside: without them and what belongs to them.
pub(super) fn without(schema: &Schema, leaving: &[Leaving<'_>]) -> Schema {
    let mut left = schema.clone();
    let goes = |name: &TableName| leaving.iter().any(|one| one.table.name == *name);
    left.tables.retain(|table| !goes(&table.name));
    left.objects
        .retain(|object| object.on.as_ref().is_none_or(|on| !goes(on)));
    left
}

/// Returns the objects of one kind on a table, last first: on the way back they come in their order.
pub(super) fn last_first<'s>(schema: &'s Schema, table: &'s TableName, kind: ObjectKind) -> Vec<&'s Object> {
    let mut objects: Vec<_> = schema
        .objects_on(table)
        .filter(|object| object.kind == kind)
        .collect();
    objects.reverse();
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gets_a_short_id_where_it_is_taken_or_too_long() {
        let run = "run_20261122_030405_0a1b2c3d";
        let free = |_: &str| false;
        let aside = |table: &str, number: i64, is_taken: &dyn Fn(&str) -> bool| {
            Sort::MovedAside.name_beside(table, (run, number), is_taken)
        };
        assert_eq!(aside("orders", 1, &free), "_deprecated_orders");
        assert_eq!(
            aside("orders", 2, &|name| name == "_deprecated_orders"),
            "_deprecated_orders_0a1b2c3d_2"
        );
        let long = aside(&"ü".repeat(31), 12, &free);
        assert!(long.len() <= LONGEST && long.ends_with("ü_0a1b2c3d_12"), "{long}");
        assert!(may_be_aside(&long) && may_be_aside("_DEPRECATED_x") && !may_be_aside("_deprecate"));
        let backup = Sort::Backup.name_beside("orders", (run, 1), free);
        assert_eq!(backup, "_backup_orders");
        assert!(may_be_aside(&backup) && is_backup(&TableName::new(backup)));
        assert!(!is_backup(&TableName::new(long)));
        assert!(is_backup(&TableName::in_schema(
            Sort::Backup.schema_for(run, 4),
            "_deprecated_x"
        )));
        assert!(!is_backup(&TableName::in_schema(
            Sort::MovedAside.schema_for(run, 4),
            "_backup_x"
        )));
        assert_eq!(
            Sort::MovedAside.schema_for(run, 3),
            "_walkback_dropped_20261122_030405_0a1b2c3d_3"
        );
    }
}
