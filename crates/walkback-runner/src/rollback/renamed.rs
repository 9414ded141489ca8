//! What earlier names are called now: downs are planned against the database before any of them has run.

use std::collections::BTreeMap;

use walkback_core::TableName;
use walkback_core::statement::Action;

/// Names that downs give back, and what they stand for in the database as it is.
#[derive(Debug, Default)]
pub(super) struct Renamed {
    tables: BTreeMap<TableName, TableName>,
    /// By the table as it is called now, and the earlier name of the column.
    columns: BTreeMap<(TableName, String), String>,
}

impl Renamed {
    /// Notes what a down renames.
    pub(super) fn note(&mut self, action: &Action) {
        match action {
            Action::RenameTable { from, to } => {
                let now = self.table(from);
                self.tables.insert(to.clone(), now);
            }
            Action::RenameColumn { table, from, to } => {
                let now = self.column(table, from);
                self.columns.insert((self.table(table), to.clone()), now);
            }
            _ => {}
        }
    }

    /// Returns what a table is called now.
    pub(super) fn table(&self, then: &TableName) -> TableName {
        self.tables.get(then).unwrap_or(then).clone()
    }

    /// Returns whether a table or a column of it is called otherwise now.
    pub(super) fn knows(&self, then: &TableName) -> bool {
        let now = self.table(then);
        now != *then || self.columns.keys().any(|(table, _)| *table == now)
    }

    /// Returns what a column of a table is called now.
    pub(super) fn column(&self, table: &TableName, then: &str) -> String {
        let key = (self.table(table), then.to_owned());
        self.columns.get(&key).cloned().unwrap_or(key.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_followed_through_several_downs() {
        let mut renamed = Renamed::default();
        let [now, middle, first] = ["now", "middle", "first"].map(TableName::new);
        renamed.note(&Action::RenameColumn {
            table: now.clone(),
            from: "c".to_owned(),
            to: "b".to_owned(),
        });
        renamed.note(&Action::RenameTable {
            from: now.clone(),
            to: middle.clone(),
        });
        renamed.note(&Action::RenameTable {
            from: middle.clone(),
            to: first.clone(),
        });
        renamed.note(&Action::RenameColumn {
            table: first.clone(),
            from: "b".to_owned(),
            to: "a".to_owned(),
        });
        assert_eq!(renamed.table(&first), now);
        assert_eq!(renamed.column(&first, "a"), "c");
        assert_eq!(renamed.column(&middle, "b"), "c");
        assert_eq!(renamed.column(&first, "other"), "other");
    }
}
