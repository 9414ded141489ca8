//! The statements that write into a table as it was what was written to it since, for all of its rows at once.
//!
//! `s` is the shadow, loaded with the table as it was before the migration, `a` holds it as the migration left it, `n`
//! is the table as it is now.

use walkback_core::catalog::Column;
use walkback_core::{Dialect, DialectKind, TableName};

use super::Merged;
use super::cells::{Cell, missing};
use super::convert::Converted;
use super::mixed::COULD_NOT_HOLD;
use crate::changes::OnConflict;
use crate::changes::asking::Question;
use crate::changes::checks::Checks;
use crate::changes::sql::{deleted, update};

/// What each joined row is marked with, so that one that is not there can be told from one of `NULL`s.
const HERE: &str = "_walkback_here";

/// Writes the statements for one table.
pub(super) struct MergeSql<'a> {
    pub(super) dialect: &'a dyn Dialect,
    pub(super) merged: &'a Merged,
    pub(super) shadow: &'a TableName,
    /// `None`: nothing was written to it since.
    pub(super) left: Option<&'a TableName>,
    pub(super) cells: Vec<Cell<'a>>,
    missing: Vec<&'a Column>,
    pub(super) checks: Checks,
}

impl<'a> MergeSql<'a> {
    pub(super) fn new(
        dialect: &'a dyn Dialect,
        merged: &'a Merged,
        shadow: &'a TableName,
        left: Option<&'a TableName>,
        converted: Option<&'a Converted>,
    ) -> Self {
        let mut cells = Cell::all(merged);
        cells.iter_mut().for_each(|cell| cell.converted = converted);
        let missing = missing(merged, &cells);
        Self {
            dialect,
            merged,
            shadow,
            left,
            cells,
            missing,
            checks: Checks::of(dialect, &merged.then),
        }
    }

    pub(super) fn quoted(&self, table: &TableName) -> String {
        self.dialect.quote_table(table)
    }

    pub(super) fn shadow(&self) -> String {
        self.quoted(self.shadow)
    }

    /// Returns the table as it is now, to be read.
    pub(super) fn live(&self) -> String {
        self.merged.live(self.dialect)
    }

    /// Returns the table as it is now, to be joined with one that is updated. Otherwise MySQL asks for all that are joined as
    /// if it would write to them, and this one is kept from being written to.
    pub(super) fn read(&self) -> String {
        let live = self.live();
        if self.dialect.kind() == DialectKind::Mysql && !live.starts_with('(') {
            format!("(SELECT * FROM {live})")
        } else {
            live
        }
    }

    pub(super) fn left(&self) -> String {
        let Some(left) = self.left else {
            return self.live();
        };
        let Merged {
            names,
            then,
            left: table,
            ..
        } = self.merged;
        names.source(self.dialect, &then.name, (left, table))
    }

    /// Says that two rows have the same key, byte by byte as far as its type tells.
    pub(super) fn keys(&self, one: &str, other: &str) -> String {
        let key = self.merged.then.primary_key.iter();
        let each = key.map(|name| {
            let quoted = self.dialect.quote_identifier(name);
            let (one, other) = (format!("{one}.{quoted}"), format!("{other}.{quoted}"));
            let of = |columns: &[Column]| {
                let mut columns = columns.iter();
                columns
                    .find(|column| column.name == *name)
                    .map(|column| column.data_type.clone())
            };
            let is_same = of(&self.merged.then.columns) == of(&self.merged.now.columns);
            match self.dialect.kind() {
                DialectKind::Sqlite => format!("{one} IS {other}"),
                DialectKind::Postgres if !is_same => format!("{one}::text = {other}::text"),
                _ => format!("{one} = {other}"),
            }
        });
        each.collect::<Vec<_>>().join(" AND ")
    }

    pub(super) fn key_of(&self, row: &str) -> String {
        let key = self.merged.then.primary_key.iter();
        key.map(|column| format!("{row}.{}", self.dialect.quote_identifier(column)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Returns a table whose rows are marked, for an outer join.
    fn marked(&self, table: &str, row: &str) -> String {
        format!("(SELECT 1 AS {HERE}, m.* FROM {table} AS m) AS {row}")
    }

    /// Says that the migration has not changed a row.
    fn all_alike(&self, then: &str, now: &str) -> String {
        let each = self.cells.iter().map(|cell| cell.alike(self.dialect, then, now));
        each.collect::<Vec<_>>().join(" AND ")
    }

    /// Says that nobody has changed a row since the migration, in any column that it had then.
    fn all_same(&self, one: &str, other: &str) -> String {
        let had = |column: &&Column| {
            let mut columns = self.merged.left.columns.iter();
            !column.generated && columns.any(|left| left.name == column.name && !left.generated)
        };
        let columns = self.merged.now.columns.iter().filter(had);
        let each = columns.map(|column| {
            let name = self.dialect.quote_identifier(&column.name);
            let (one, other) = (format!("{one}.{name}"), format!("{other}.{name}"));
            super::super::sql::same(self.dialect.kind(), &column.data_type, &one, &other)
        });
        each.collect::<Vec<_>>().join(" AND ")
    }

    /// Says that the table as it was can hold a row.
    fn fits(&self, row: &str) -> String {
        let needs = self
            .missing
            .iter()
            .any(|column| !column.nullable && usable_default(column).is_none());
        // An `INTEGER PRIMARY KEY` is never missing: it is the key.
        let each = self.cells.iter().filter_map(|cell| cell.fits(self.dialect, row));
        let each = each.chain(needs.then(|| "1 = 0".to_owned()));
        let checked = (!self.checks.is_empty()).then(|| self.checks.pass(|name| self.as_new(name, row)));
        let each: Vec<_> = each.chain(checked).collect();
        if each.is_empty() {
            "1 = 1".to_owned()
        } else {
            each.join(" AND ")
        }
    }

    /// Returns what a column of the table as it was holds in a row that is written to it anew.
    fn as_new(&self, name: &str, row: &str) -> String {
        let mut cells = self.cells.iter();
        if let Some(cell) = cells.find(|cell| cell.then.name == name) {
            return self.guarded(cell, row);
        }
        let mut missing = self.missing.iter().filter(|column| column.name == name);
        let default = missing.next().and_then(|column| usable_default(column));
        format!("({})", default.unwrap_or("NULL"))
    }

    /// Returns the value of a cell, which is none where the column could not hold it: conversions fail otherwise.
    pub(super) fn guarded(&self, cell: &Cell<'_>, row: &str) -> String {
        let value = cell.value(self.dialect, row);
        match cell.fits(self.dialect, row) {
            Some(fits) if cell.has_another_type() => format!("CASE WHEN {fits} THEN {value} END"),
            _ => value,
        }
    }

    /// Returns the rows that were written since and are not in the shadow: `n`, with `a` where the migration had
    /// inserted them.
    fn new_rows(&self) -> String {
        format!(
            "FROM {} AS n LEFT JOIN {} ON {} LEFT JOIN {} ON {} \
             WHERE s.{HERE} IS NULL AND (a.{HERE} IS NULL OR NOT ({}))",
            self.live(),
            self.marked(&self.left(), "a"),
            self.keys("a", "n"),
            self.marked(&self.shadow(), "s"),
            self.keys("s", "n"),
            self.all_same("n", "a"),
        )
    }

    /// Returns the rows that the migration had deleted and whose key was used again since.
    fn reused_rows(&self) -> String {
        format!(
            "FROM {} AS s JOIN {} AS n ON {} LEFT JOIN {} ON {} WHERE a.{HERE} IS NULL",
            self.shadow(),
            self.live(),
            self.keys("s", "n"),
            self.marked(&self.left(), "a"),
            self.keys("a", "n"),
        )
    }

    /// Returns the rows that are there in all three states.
    pub(super) fn common_rows(&self) -> String {
        format!(
            "FROM {} AS a JOIN {} AS n ON {} JOIN {} AS s ON {}",
            self.left(),
            self.live(),
            self.keys("a", "n"),
            self.shadow(),
            self.keys("s", "n"),
        )
    }

    /// Returns what is to be asked before anything is written, each with what a conflict is called and its column.
    pub(super) fn questions(&self) -> Vec<(Question, &'static str, Option<&str>)> {
        let row = |selected: &str, rest: String| Question {
            selected: self.key_of(selected),
            rest,
        };
        let mut questions = Vec::new();
        for cell in self.cells.iter().filter(|cell| !cell.is_key) {
            let name = cell.name(self.dialect);
            let changed = format!("NOT ({})", cell.same(self.dialect, "n", "a"));
            let cells = |condition: &str| Question {
                selected: format!("{}, s.{name}, a.{name}, n.{name}", self.key_of("n")),
                rest: format!("{} WHERE {changed} AND {condition}", self.common_rows()),
            };
            let (alike_left, alike_now) = (
                cell.alike(self.dialect, "s", "a"),
                cell.alike(self.dialect, "s", "n"),
            );
            let fits = cell.fits(self.dialect, "n");
            let and_fits = fits
                .as_ref()
                .map(|fits| format!(" AND {fits}"))
                .unwrap_or_default();
            questions.push((
                cells(&format!("NOT ({alike_left}) AND NOT ({alike_now}){and_fits}")),
                "changed since",
                Some(cell.then.name.as_str()),
            ));
            if let Some(fits) = fits {
                questions.push((
                    cells(&format!("NOT {fits}")),
                    COULD_NOT_HOLD,
                    Some(cell.then.name.as_str()),
                ));
            }
        }
        questions.push((
            row(
                "s",
                format!(
                    "FROM {} AS s JOIN {} AS a ON {} LEFT JOIN {} ON {} WHERE n.{HERE} IS NULL AND NOT ({})",
                    self.shadow(),
                    self.left(),
                    self.keys("s", "a"),
                    self.marked(&self.live(), "n"),
                    self.keys("n", "a"),
                    self.all_alike("s", "a"),
                ),
            ),
            "changed by the migration, deleted since",
            None,
        ));
        questions.push((
            row(
                "n",
                format!(
                    "{} AND a.{HERE} IS NOT NULL AND {}",
                    self.new_rows(),
                    self.fits("n")
                ),
            ),
            "inserted by the migration, changed since",
            None,
        ));
        questions.push((
            row("n", format!("{} AND NOT ({})", self.new_rows(), self.fits("n"))),
            "written since, and the table could not hold it before",
            None,
        ));
        questions.push((
            row(
                "n",
                format!("{} AND NOT ({})", self.reused_rows(), self.all_alike("s", "n")),
            ),
            "deleted by the migration, and its key was used again since",
            None,
        ));
        questions
    }

    /// Takes away rows that were deleted since.
    pub(super) fn delete(&self, policy: OnConflict) -> String {
        let unchanged = match policy {
            OnConflict::Revert => format!(" AND {}", self.all_alike("s", "a")),
            OnConflict::Keep | OnConflict::Stop => String::new(),
        };
        format!(
            "DELETE{} FROM {} AS s WHERE EXISTS (SELECT 1 FROM {} AS a WHERE {}{unchanged}) \
             AND NOT EXISTS (SELECT 1 FROM {} AS n WHERE {})",
            deleted(self.dialect, "s"),
            self.shadow(),
            self.left(),
            self.keys("a", "s"),
            self.live(),
            self.keys("n", "s"),
        )
    }

    /// Writes cells that were changed since.
    pub(super) fn change(&self, policy: OnConflict) -> Option<String> {
        let (mut sets, mut any) = (Vec::new(), Vec::new());
        let checked = (!self.checks.is_empty()).then(|| (self.passes_mixed(policy), self.passes_whole()));
        for cell in self.cells.iter().filter(|cell| !cell.is_key) {
            let name = cell.name(self.dialect);
            let takes = self.takes(cell, policy);
            let value = cell.value(self.dialect, "n");
            let taken = match checked.as_ref().filter(|_| self.checks.name(cell.then)) {
                Some((mixed, whole)) => format!(
                    "CASE WHEN {mixed} AND NOT {takes} THEN s.{name} WHEN {mixed} OR {whole} THEN {value} ELSE s.{name} END"
                ),
                None => format!("CASE WHEN {takes} THEN {value} ELSE s.{name} END"),
            };
            sets.push((name.clone(), taken));
            any.push(takes);
        }
        (!sets.is_empty()).then(|| {
            let from = format!(
                "{} AS a JOIN {} AS n ON {}",
                self.left(),
                self.read(),
                self.keys("a", "n")
            );
            let condition = format!("{} AND ({})", self.keys("s", "n"), any.join(" OR "));
            update(self.dialect, (&self.shadow(), "s"), &sets, &from, &condition)
        })
    }

    /// Writes rows whose key the migration had freed and that was used again.
    pub(super) fn replace(&self) -> Option<String> {
        let cells = self.cells.iter().filter(|cell| !cell.is_key);
        let kept = cells.map(|cell| (cell.name(self.dialect), cell.value(self.dialect, "n")));
        // It is another row: what the one before had in columns that are gone is not its own.
        let fresh = self.missing.iter().map(|column| {
            let default = usable_default(column).unwrap_or("NULL");
            (
                self.dialect.quote_identifier(&column.name),
                format!("({default})"),
            )
        });
        let sets: Vec<_> = kept.chain(fresh).collect();
        (!sets.is_empty()).then(|| {
            let from = format!(
                "{} AS n LEFT JOIN {} ON {}",
                self.read(),
                self.marked(&self.left(), "a"),
                self.keys("a", "n")
            );
            let condition = format!(
                "{} AND a.{HERE} IS NULL AND {}",
                self.keys("s", "n"),
                self.fits("n")
            );
            update(self.dialect, (&self.shadow(), "s"), &sets, &from, &condition)
        })
    }

    /// Writes rows that are not there: those inserted since, and with [`OnConflict::Keep`] those that the migration had
    /// inserted and that were changed since.
    pub(super) fn insert(&self, policy: OnConflict) -> String {
        let only_new = match policy {
            OnConflict::Revert => format!(" AND a.{HERE} IS NULL"),
            OnConflict::Keep | OnConflict::Stop => String::new(),
        };
        let (columns, values) = self.row();
        format!(
            "INSERT INTO {} ({columns}) SELECT {values} {} AND {}{only_new}",
            self.shadow(),
            self.new_rows(),
            self.fits("n"),
        )
    }

    /// Writes rows that are needed: others refer to them.
    pub(super) fn insert_where(&self, condition: &str) -> String {
        let (columns, values) = self.row();
        format!(
            "INSERT INTO {} ({columns}) SELECT {values} {}",
            self.shadow(),
            self.needed(condition)
        )
    }

    /// Asks for rows that [`insert_where`](Self::insert_where) writes.
    pub(super) fn asking_for(&self, condition: &str) -> Question {
        Question {
            selected: self.key_of("n"),
            rest: self.needed(condition),
        }
    }

    fn needed(&self, condition: &str) -> String {
        format!(
            "FROM {} AS n LEFT JOIN {} ON {} WHERE s.{HERE} IS NULL AND {} AND {condition}",
            self.live(),
            self.marked(&self.shadow(), "s"),
            self.keys("s", "n"),
            self.fits("n"),
        )
    }

    /// Returns the columns of a row of the shadow, and where their values come from.
    fn row(&self) -> (String, String) {
        let kept = self
            .cells
            .iter()
            .map(|cell| (cell.name(self.dialect), cell.value(self.dialect, "n")));
        // A shadow may have no defaults yet.
        let is_mysql = self.dialect.kind() == DialectKind::Mysql;
        let defaults = self.missing.iter().filter_map(|column| {
            // Where a column needs a value no row fits; MariaDB wants one all the same.
            let default = usable_default(column).or((is_mysql && !column.nullable).then_some("NULL"))?;
            Some((
                self.dialect.quote_identifier(&column.name),
                format!("({default})"),
            ))
        });
        let (columns, values): (Vec<_>, Vec<_>) = kept.chain(defaults).unzip();
        (columns.join(", "), values.join(", "))
    }
}

/// Returns the default of a column that comes back. What draws from a sequence cannot yet: that went with the column.
fn usable_default(column: &Column) -> Option<&str> {
    let default = column.default.as_deref();
    default.filter(|default| !default.to_ascii_lowercase().contains("nextval("))
}
