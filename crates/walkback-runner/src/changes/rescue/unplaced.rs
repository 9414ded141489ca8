//! Rows and cells for which the tables had no place as they were before a migration: kept apart by a rollback that
//! merges, and put back once there is a place again.
//!
//! `t` is the table now, `w` holds rows as they were before the rollback, `l` as the migration had left them, `r` the
//! table as the rollback left it.

use walkback_core::catalog::{Column, Schema};
use walkback_core::{Cx, Result};
use walkback_vault::PointKind;

use super::Unplaced;
use crate::changes::OnConflict;
use crate::changes::TableChanges;
use crate::changes::asking::{Asking, Question};
use crate::changes::keep::Kept;
use crate::changes::merge::cells::Cell;
use crate::changes::sql::{Sql, update};
use crate::execute::Execution;
use crate::load::Shadow;
use crate::point;

/// What each joined row is marked with.
const HERE: &str = "_walkback_here";

/// Writes the statements for one table.
pub(super) struct PlacedSql<'a> {
    sql: Sql<'a>,
    kept: &'a Shadow,
    cells: Vec<Cell<'a>>,
}

impl<'a> PlacedSql<'a> {
    pub(super) fn new(sql: Sql<'a>, kept: &'a Shadow) -> Self {
        let find = |name: &str| {
            let mut columns = kept.table.columns.iter();
            columns.find(|column| column.name == name && !column.generated)
        };
        let key = &sql.table.primary_key;
        let shared = sql.columns.iter().filter(|column| !key.contains(&column.name));
        let cell = |now: &&'a Column| {
            Some(Cell {
                then: find(&now.name)?,
                now,
                is_key: false,
                converted: None,
            })
        };
        let cells = shared.filter_map(cell).collect();
        Self { sql, kept, cells }
    }

    fn kept(&self) -> String {
        self.sql.dialect.quote_table(&self.kept.name)
    }

    fn left_join(&self) -> String {
        format!(
            "LEFT JOIN (SELECT 1 AS {HERE}, m.* FROM {} AS m) AS l ON {}",
            self.sql.left(),
            self.sql.keys("w", "l")
        )
    }

    /// Says that a row was written to after the migration and is not in the table as the rollback left it.
    fn has_no_place(&self) -> String {
        format!(
            "(l.{HERE} IS NULL OR NOT ({})) AND {}",
            self.sql.all_same("w", "l"),
            self.sql.is_not_in(&self.kept(), "w")
        )
    }

    /// Inserts rows whose keys are free.
    fn insert(&self) -> String {
        let names: Vec<_> = self
            .sql
            .columns
            .iter()
            .map(|column| self.sql.name(&column.name))
            .collect();
        let cells: Vec<_> = names.iter().map(|name| format!("w.{name}")).collect();
        let own_identity = match self.sql.dialect.kind() {
            walkback_core::DialectKind::Postgres => " OVERRIDING SYSTEM VALUE",
            _ => "",
        };
        format!(
            "INSERT INTO {} ({}){own_identity} SELECT {} FROM {} AS w {} WHERE {} AND {}{}",
            self.sql.live(),
            names.join(", "),
            cells.join(", "),
            self.sql.was(),
            self.left_join(),
            self.has_no_place(),
            self.sql.is_not_in(&self.sql.live(), "w"),
            self.sql.refers_well()
        )
    }

    /// Writes to rows that the migration has inserted again as it had the first time.
    fn change(&self) -> Option<String> {
        let change = self.sql.change_back(OnConflict::Keep)?;
        Some(format!("{change} AND {}", self.sql.is_not_in(&self.kept(), "w")))
    }

    /// Asks for rows that cannot come back: what they refer to is gone.
    fn without_parents(&self) -> Option<Question> {
        let refers = self.sql.refers_well();
        let refers = refers.strip_prefix(" AND ")?;
        let key = self.sql.table.primary_key.iter();
        let key: Vec<_> = key.map(|column| format!("w.{}", self.sql.name(column))).collect();
        Some(Question {
            selected: key.join(", "),
            rest: format!(
                "FROM {} AS w {} WHERE {} AND {} AND NOT ({refers})",
                self.sql.was(),
                self.left_join(),
                self.has_no_place(),
                self.sql.is_not_in(&self.sql.live(), "w"),
            ),
        })
    }

    /// Says that a cell was written to after the migration, and that the rollback left another value in it.
    fn had_no_place(&self, cell: &Cell<'_>) -> String {
        let dialect = self.sql.dialect;
        format!(
            "(l.{HERE} IS NULL OR NOT ({})) AND NOT ({})",
            cell.same(dialect, "w", "l"),
            cell.alike(dialect, "r", "w")
        )
    }

    /// Writes cells that still hold what the rollback left in them.
    fn set(&self) -> Option<String> {
        let dialect = self.sql.dialect;
        let (mut sets, mut any) = (Vec::new(), Vec::new());
        for cell in &self.cells {
            let name = cell.name(dialect);
            let parent = self.sql.has_parent(cell.now);
            let takes = format!(
                "({} AND {}{parent})",
                self.had_no_place(cell),
                cell.alike(dialect, "r", "t")
            );
            let value = format!("CASE WHEN {takes} THEN w.{name} ELSE t.{name} END");
            sets.push((name, value));
            any.push(takes);
        }
        (!sets.is_empty()).then(|| {
            let from = format!(
                "{} AS w JOIN {} AS r ON {} {}",
                self.sql.was(),
                self.kept(),
                self.sql.keys("w", "r"),
                self.left_join()
            );
            let condition = format!("{} AND ({})", self.sql.keys("t", "w"), any.join(" OR "));
            update(dialect, (&self.sql.live(), "t"), &sets, &from, &condition)
        })
    }

    /// Asks for cells that were written to again since the rollback.
    fn written_again(&self, cell: &Cell<'_>) -> Question {
        let dialect = self.sql.dialect;
        let name = cell.name(dialect);
        let key = self.sql.table.primary_key.iter();
        let key: Vec<_> = key.map(|column| format!("t.{}", self.sql.name(column))).collect();
        Question {
            selected: format!("{}, w.{name}, l.{name}, t.{name}", key.join(", ")),
            rest: format!(
                "FROM {} AS w JOIN {} AS r ON {} {} JOIN {} AS t ON {} WHERE {} AND NOT ({}) AND NOT ({})",
                self.sql.was(),
                self.kept(),
                self.sql.keys("w", "r"),
                self.left_join(),
                self.sql.live(),
                self.sql.keys("t", "w"),
                self.had_no_place(cell),
                cell.alike(dialect, "r", "t"),
                cell.same(dialect, "t", "w"),
            ),
        }
    }
}

impl Execution<'_> {
    /// Keeps tables as a rollback leaves them that have no place for all that was written to them: by what they lack
    /// the next up of the migration tells what to put back.
    pub(crate) async fn keep_unplaced(
        &mut self,
        cx: &Cx,
        (found, shadows): (&[TableChanges], &[Shadow]),
        now: &Schema,
    ) -> Result<()> {
        let lacks = |shadow: &&Shadow| {
            let mut found = found.iter();
            found.any(|table| table.table == shadow.table.name && table.conflicts > 0)
        };
        let lacking: Vec<&Shadow> = shadows.iter().filter(lacks).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let schema = Schema {
            tables: lacking.iter().map(|shadow| shadow.table.clone()).collect(),
            objects: Vec::new(),
            home: now.home.clone(),
        };
        let slices = lacking.iter().map(|shadow| {
            let slice = point::slice_of(&shadow.table);
            let mut read = slice.clone();
            read.table = shadow.name.clone();
            (read, slice)
        });
        let kept = Kept {
            kind: PointKind::AfterRollback,
            before: None,
            prefix: "re",
            about: "rollback",
            description: format!("as run {} leaves them", self.run.id),
            schema: &schema,
            slices: slices.collect(),
        };
        let tables = lacking.iter().map(|shadow| shadow.table.name.clone()).collect();
        let manifest = self.keep(cx, kept).await?;
        cx.step("rescue.kept");
        self.unplaced = Some(Unplaced {
            point: manifest.id,
            tables,
        });
        Ok(())
    }

    /// Puts rows and cells back for which there was no place.
    pub(super) async fn place(
        &mut self,
        cx: &Cx,
        placed: &PlacedSql<'_>,
        found: &mut TableChanges,
    ) -> Result<()> {
        let dialect = placed.sql.dialect;
        let session = &mut *self.session;
        for making in placed.cells.iter().flat_map(|cell| cell.making(dialect)) {
            session.execute(cx, &making, &[]).await?;
        }
        let asking = Asking {
            dialect,
            key: &placed.sql.table.primary_key,
        };
        if let Some(question) = placed.without_parents() {
            let what = placed.sql.words.row_without_parent;
            asking.ask(cx, session, (&question, what), None, found).await?;
        }
        for cell in &placed.cells {
            let what = "changed before the rollback, and again since";
            let question = placed.written_again(cell);
            asking
                .ask(cx, session, (&question, what), Some(&cell.now.name), found)
                .await?;
        }
        if let Some(set) = placed.set() {
            found.changed_back += session.execute(cx, &set, &[]).await?;
        }
        if let Some(change) = placed.change() {
            found.changed_back += session.execute(cx, &change, &[]).await?;
        }
        found.brought_back += session.execute(cx, &placed.insert(), &[]).await?;
        for unmaking in placed.cells.iter().flat_map(|cell| cell.unmaking(dialect)) {
            session.execute(cx, &unmaking, &[]).await?;
        }
        Ok(())
    }
}
