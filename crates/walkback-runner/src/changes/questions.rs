//! The questions that find conflicts: what was changed since a migration, among what it changed.

use walkback_core::catalog::Column;

use super::asking::Question;
use super::sql::Sql;

impl Sql<'_> {
    /// Asks for a cell in its three states, of rows that the migration changed and that are there.
    pub(super) fn cells(&self, column: &Column, condition: &str) -> Question {
        let name = self.name(&column.name);
        Question {
            selected: format!("{}, w.{name}, l.{name}, t.{name}", self.key_columns("t.")),
            rest: format!(
                "{} WHERE {} AND {condition}",
                self.in_all_states(),
                self.was_changed(column),
            ),
        }
    }

    /// Asks for rows that the migration inserted and that are there.
    fn inserted(&self, condition: &str) -> Question {
        Question {
            selected: self.key_columns("t."),
            rest: format!(
                "FROM {} AS l JOIN {} AS t ON {} WHERE {} AND {condition}",
                self.left(),
                self.live(),
                self.keys("t", "l"),
                self.is_not_in(&self.was(), "l"),
            ),
        }
    }

    /// Asks for cells that the migration changed and that hold neither what it wrote nor what was before.
    pub(super) fn changed_cells(&self, column: &Column) -> Question {
        let (left, was) = (self.same(column, "t", "l"), self.same(column, "t", "w"));
        self.cells(column, &format!("NOT ({left}) AND NOT ({was})"))
    }

    /// Asks for cells that refer to what is gone, if they were to go back.
    pub(super) fn orphaned_cells(&self, column: &Column) -> Option<Question> {
        let refers = self.has_parent(column);
        let refers = refers.strip_prefix(" AND ")?;
        let left = self.same(column, "t", "l");
        Some(self.cells(column, &format!("{left} AND NOT ({refers})")))
    }

    /// Asks for rows that the migration changed and that were deleted since.
    pub(super) fn deleted_rows(&self) -> Question {
        Question {
            selected: self.key_columns("w."),
            rest: format!(
                "FROM {} AS w JOIN {} AS l ON {} WHERE NOT ({}) AND {}",
                self.was(),
                self.left(),
                self.keys("w", "l"),
                self.all_same("w", "l"),
                self.is_not_in(&self.live(), "w"),
            ),
        }
    }

    /// Asks for rows that the migration inserted and that were changed since.
    pub(super) fn changed_rows(&self) -> Question {
        self.inserted(&format!("NOT ({})", self.all_same("t", "l")))
    }

    /// Asks for rows that the migration inserted and that rows of other tables refer to. `None`: none can.
    pub(super) fn referred_rows(&self) -> Option<Question> {
        let free = self.is_free();
        let free = free.strip_prefix(" AND ")?;
        Some(self.inserted(&format!("{} AND NOT ({free})", self.all_same("t", "l"))))
    }

    /// Asks for rows that the migration deleted and whose key was used again.
    pub(super) fn replaced_rows(&self) -> Question {
        Question {
            selected: self.key_columns("t."),
            rest: format!(
                "FROM {} AS w JOIN {} AS t ON {} WHERE {} AND NOT ({})",
                self.was(),
                self.live(),
                self.keys("t", "w"),
                self.is_not_in(&self.left(), "w"),
                self.all_same("t", "w"),
            ),
        }
    }

    /// Asks for rows that the migration deleted and that refer to what is gone. `None`: they refer to nothing.
    pub(super) fn orphaned_rows(&self) -> Option<Question> {
        let parents = self.refers_well();
        let parents = parents.strip_prefix(" AND ")?;
        Some(Question {
            selected: self.key_columns("w."),
            rest: format!(
                "FROM {} AS w WHERE {} AND {} AND NOT ({parents})",
                self.was(),
                self.is_not_in(&self.left(), "w"),
                self.is_not_in(&self.live(), "w"),
            ),
        })
    }
}
