//! The checks of a table as it was, asked of rows of which some cells are as they were and some as they were written since.

use super::cells::Cell;
use super::sql::MergeSql;
use crate::changes::OnConflict;
use crate::changes::checks::DOES_NOT_GO;

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

    /// Returns of which rows, that are there in all three states, cells do not pass the checks beside what is taken of the
    /// others, and what is to be said of them: if they all pass as they are now, so they stay.
    pub(super) fn unchecked_cells(&self) -> Vec<(&Cell<'_>, String, &'static str)> {
        let mut all = Vec::new();
        if self.checks.is_empty() {
            return all;
        }
        let cells = self.cells.iter().filter(|cell| !cell.is_key);
        for cell in cells.filter(|cell| self.checks.name(cell.then)) {
            let mixed = self.passes_mixed(OnConflict::Keep);
            let (whole, takes) = (self.passes_whole(), self.takes(cell, OnConflict::Keep));
            let stays = cell.same(self.dialect, "n", "a");
            let differs = cell.alike(self.dialect, "s", "n");
            all.push((
                cell,
                format!("NOT {mixed} AND {whole} AND {stays} AND NOT ({differs})"),
                DOES_NOT_GO,
            ));
            all.push((
                cell,
                format!("NOT {mixed} AND NOT {whole} AND {takes}"),
                "changed since to what the column could not hold before",
            ));
        }
        all
    }
}
