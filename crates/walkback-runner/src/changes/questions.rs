//! The questions that find conflicts: what was changed since a migration, among what it changed.

use walkback_core::catalog::Column;

use super::sql::Sql;

impl Sql<'_> {
    /// Returns the key columns of a row, to be selected.
    fn key_of(&self, row: &str) -> String {
        let key = self.table.primary_key.iter();
        key.map(|column| format!("{row}.{}", self.name(column)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Asks for cells that the migration changed and that hold neither what it wrote nor what was before.
    pub(super) fn changed_cells(&self, column: &Column) -> String {
        let name = self.name(&column.name);
        format!(
            "SELECT {}, w.{name}, l.{name}, t.{name} FROM {} AS w JOIN {} AS l ON {} JOIN {} AS t ON {} \
             WHERE {} AND NOT ({}) AND NOT ({})",
            self.key_of("t"),
            self.was(),
            self.left(),
            self.keys("w", "l"),
            self.live(),
            self.keys("t", "w"),
            self.was_changed(column),
            self.same(column, "t", "l"),
            self.same(column, "t", "w"),
        )
    }

    /// Asks for cells that refer to what is gone, if they were to go back.
    pub(super) fn orphaned_cells(&self, column: &Column) -> Option<String> {
        let keys = self.table.foreign_keys.iter();
        let refers: Vec<_> = keys
            .filter(|key| key.columns == [column.name.as_str()])
            .filter_map(|key| self.refers(key, "w"))
            .collect();
        if refers.is_empty() {
            return None;
        }
        let name = self.name(&column.name);
        Some(format!(
            "SELECT {}, w.{name}, l.{name}, t.{name} FROM {} AS w JOIN {} AS l ON {} JOIN {} AS t ON {} \
             WHERE {} AND {} AND NOT ({})",
            self.key_of("t"),
            self.was(),
            self.left(),
            self.keys("w", "l"),
            self.live(),
            self.keys("t", "w"),
            self.was_changed(column),
            self.same(column, "t", "l"),
            refers.join(" AND "),
        ))
    }

    /// Asks for rows that the migration changed and that were deleted since.
    pub(super) fn deleted_rows(&self) -> String {
        format!(
            "SELECT {} FROM {} AS w JOIN {} AS l ON {} WHERE NOT ({}) AND {}",
            self.key_of("w"),
            self.was(),
            self.left(),
            self.keys("w", "l"),
            self.all_same("w", "l"),
            self.is_not_in(&self.live(), "w"),
        )
    }

    /// Asks for rows that the migration inserted and that were changed since.
    pub(super) fn changed_rows(&self) -> String {
        format!(
            "SELECT {} FROM {} AS l JOIN {} AS t ON {} WHERE {} AND NOT ({})",
            self.key_of("t"),
            self.left(),
            self.live(),
            self.keys("t", "l"),
            self.is_not_in(&self.was(), "l"),
            self.all_same("t", "l"),
        )
    }

    /// Asks for rows that the migration inserted and that rows of other tables refer to. `None`: none can.
    pub(super) fn referred_rows(&self) -> Option<String> {
        let free = self.is_free();
        let free = free.strip_prefix(" AND ")?;
        Some(format!(
            "SELECT {} FROM {} AS l JOIN {} AS t ON {} WHERE {} AND {} AND NOT ({free})",
            self.key_of("t"),
            self.left(),
            self.live(),
            self.keys("t", "l"),
            self.is_not_in(&self.was(), "l"),
            self.all_same("t", "l"),
        ))
    }

    /// Asks for rows that the migration deleted and whose key was used again.
    pub(super) fn replaced_rows(&self) -> String {
        format!(
            "SELECT {} FROM {} AS w JOIN {} AS t ON {} WHERE {} AND NOT ({})",
            self.key_of("t"),
            self.was(),
            self.live(),
            self.keys("t", "w"),
            self.is_not_in(&self.left(), "w"),
            self.all_same("t", "w"),
        )
    }

    /// Asks for rows that the migration deleted and that refer to what is gone. `None`: they refer to nothing.
    pub(super) fn orphaned_rows(&self) -> Option<String> {
        let parents = self.refers_well();
        let parents = parents.strip_prefix(" AND ")?;
        Some(format!(
            "SELECT {} FROM {} AS w WHERE {} AND {} AND NOT ({parents})",
            self.key_of("w"),
            self.was(),
            self.is_not_in(&self.left(), "w"),
            self.is_not_in(&self.live(), "w"),
        ))
    }
}
