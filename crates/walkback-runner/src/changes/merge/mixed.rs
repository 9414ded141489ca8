//! The checks of a table as it was, asked of rows of which some cells are as they were and some as they were written since.

use super::cells::Cell;
use super::sql::MergeSql;
use crate::changes::OnConflict;
use crate::changes::asking::Question;
use crate::changes::checks::DOES_NOT_GO;

/// What is said of cells that the table as it was has no place for.
pub(super) const COULD_NOT_HOLD: &str = "changed since to what the column could not hold before";

impl MergeSql<'_> {
    /// Says that a row passes the checks with what it takes of `n`.
    pub(super) fn passes_mixed(&self, policy: OnConflict) -> String {
        self.checks.pass(|name| {
            let mut cells = self.cells.iter();
            let quoted = self.dialect.quote_identifier(name);
            match cells.find(|cell| cell.then.name == name && !cell.is_key) {
                Some(cell) => {
                    let takes = self.takes(cell, policy);
                    format!(
                        "CASE WHEN {takes} THEN {} ELSE s.{quoted} END",
                        cell.value(self.dialect, "n")
                    )
                }
                None => format!("s.{quoted}"),
            }
        })
    }

    /// Says that a row passes the checks with all that is checked as it is in `n`.
    pub(super) fn passes_whole(&self) -> String {
        let checked = self.cells.iter().filter(|cell| self.checks.name(cell.then));
        let fits = checked.filter_map(|cell| cell.fits(self.dialect, "n"));
        let passes = self.checks.pass(|name| {
            let mut cells = self.cells.iter();
            match cells.find(|cell| cell.then.name == name && !cell.is_key) {
                Some(cell) => self.guarded(cell, "n"),
                None => format!("s.{}", self.dialect.quote_identifier(name)),
            }
        });
        let each: Vec<_> = fits.chain(std::iter::once(passes)).collect();
        format!("({})", each.join(" AND "))
    }

    /// Says that a cell is written as it is now.
    pub(super) fn takes(&self, cell: &Cell<'_>, policy: OnConflict) -> String {
        let mut takes = vec![format!("NOT ({})", cell.same(self.dialect, "n", "a"))];
        if policy == OnConflict::Revert {
            takes.push(cell.alike(self.dialect, "s", "a"));
        }
        takes.extend(cell.fits(self.dialect, "n"));
        format!("({})", takes.join(" AND "))
    }

    /// Asks for one row that does not pass the checks with what it takes. `None`: there are no checks.
    pub(super) fn any_unchecked(&self, policy: OnConflict) -> Option<String> {
        let is_checked = !self.checks.is_empty();
        is_checked.then(|| {
            let mixed = self.passes_mixed(policy);
            format!("SELECT 1 {} WHERE NOT {mixed} LIMIT 1", self.common_rows())
        })
    }

    /// Returns what to ask where there is one: which cells do not pass the checks beside what is taken of the others. If all pass
    /// as they are now, so they stay.
    pub(super) fn unchecked(&self) -> Vec<(Question, &'static str, Option<&str>)> {
        let policy = OnConflict::Keep;
        let (mixed, whole) = (self.passes_mixed(policy), self.passes_whole());
        let cells = self.cells.iter().filter(|cell| !cell.is_key);
        let checked = cells.filter(|cell| self.checks.name(cell.then));
        let asked = checked.flat_map(|cell| {
            let name = cell.name(self.dialect);
            let stays = format!(
                "{whole} AND {} AND NOT ({})",
                cell.same(self.dialect, "n", "a"),
                cell.alike(self.dialect, "s", "n")
            );
            let goes = format!("NOT {whole} AND {}", self.takes(cell, policy));
            [(stays, DOES_NOT_GO), (goes, COULD_NOT_HOLD)].map(|(condition, what)| {
                let question = Question {
                    selected: format!("{}, s.{name}, a.{name}, n.{name}", self.key_of("n")),
                    rest: format!("{} WHERE NOT {mixed} AND {condition}", self.common_rows()),
                };
                (question, what, Some(cell.then.name.as_str()))
            })
        });
        asked.collect()
    }
}
