//! How the tables that a restore replaces have changed since: what its plan explains.

use serde::Serialize;
use walkback_core::TableName;
use walkback_core::catalog::{COLUMN_ORDER, Schema};
use walkback_vault::Manifest;

/// One thing in which a table differs from what a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableChange {
    /// The table.
    pub table: TableName,
    /// What about it, in words: ``column `mail` ``, `primary key`.
    pub what: String,
    /// What has happened to it since the backup was made.
    pub change: SinceThen,
    /// What it was then.
    pub then: Option<String>,
    /// What it is now.
    pub now: Option<String>,
}

/// What has happened since a backup was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SinceThen {
    /// It is new, and goes.
    Added,
    /// It is gone, and comes back.
    Removed,
    /// It is another, and becomes what it was.
    Changed,
}

/// Compares the tables of a backup that are to be replaced with what they are now, table by table.
pub(crate) fn changes<'a>(
    manifest: &Manifest,
    now: &Schema,
    replaced: impl Iterator<Item = &'a TableName>,
) -> Vec<TableChange> {
    let mut changes = Vec::new();
    for name in replaced {
        let (Some(then), Some(now)) = (manifest.schema.table(name), now.table(name)) else {
            continue;
        };
        let facts = then.facts.keys().chain(now.facts.keys());
        let mut facts: Vec<&String> = facts.collect();
        facts.sort();
        facts.dedup();
        let of_table: Vec<_> = facts
            .into_iter()
            .filter_map(|fact| change(name, fact, then.facts.get(fact), now.facts.get(fact)))
            .collect();
        let columns: Vec<&str> = of_table.iter().filter_map(whole_column).collect();
        let is_told = |change: &TableChange| {
            let is_order = change.what == COLUMN_ORDER && !columns.is_empty();
            // A column that comes or goes takes with it what is said of it alone.
            is_order || columns.iter().any(|column| is_detail_of(&change.what, column))
        };
        changes.extend(of_table.iter().filter(|change| !is_told(change)).cloned());
    }
    changes
}

fn change(table: &TableName, fact: &str, then: Option<&String>, now: Option<&String>) -> Option<TableChange> {
    let change = match (then, now) {
        (Some(then), Some(now)) if then == now => return None,
        (Some(_), Some(_)) => SinceThen::Changed,
        (Some(_), None) => SinceThen::Removed,
        (None, _) => SinceThen::Added,
    };
    let what = match fact.strip_prefix("column ") {
        Some(column) if fact != COLUMN_ORDER => format!("column `{column}`"),
        _ => fact.to_owned(),
    };
    Some(TableChange {
        table: table.clone(),
        what,
        change,
        then: then.cloned(),
        now: now.cloned(),
    })
}

/// Returns the name of a column that has come or gone as a whole.
fn whole_column(change: &TableChange) -> Option<&str> {
    let name = change.what.strip_prefix("column `")?.strip_suffix('`')?;
    (change.change != SinceThen::Changed).then_some(name)
}

fn is_detail_of(what: &str, column: &str) -> bool {
    ["default", "generated", "identity", "not null"]
        .iter()
        .any(|detail| what.strip_prefix(detail).map(str::trim_start) == Some(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(what: &str, change: SinceThen) -> TableChange {
        TableChange {
            table: TableName::new("t"),
            what: what.to_owned(),
            change,
            then: None,
            now: None,
        }
    }

    #[test]
    fn only_a_column_that_comes_or_goes_speaks_for_its_details() {
        assert_eq!(
            whole_column(&changed("column `a b`", SinceThen::Added)),
            Some("a b")
        );
        assert_eq!(whole_column(&changed("column `a`", SinceThen::Changed)), None);
        assert_eq!(whole_column(&changed("primary key", SinceThen::Added)), None);
        assert!(is_detail_of("not null a b", "a b"));
        assert!(!is_detail_of("not null a", "b"));
        assert!(!is_detail_of("check a", "a"));
    }

    #[test]
    fn what_is_the_same_is_not_told() {
        let table = TableName::new("t");
        let (one, two) = ("INTEGER".to_owned(), "TEXT".to_owned());
        assert_eq!(change(&table, "column a", Some(&one), Some(&one)), None);
        let told = change(&table, "column a", Some(&one), Some(&two)).expect("it differs");
        assert_eq!((&*told.what, told.change), ("column `a`", SinceThen::Changed));
        let told = change(&table, COLUMN_ORDER, None, Some(&two)).expect("it differs");
        assert_eq!((&*told.what, told.change), (COLUMN_ORDER, SinceThen::Added));
    }
}
