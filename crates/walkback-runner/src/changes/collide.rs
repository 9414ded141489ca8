//! What comes back and has to be unique, where another row has it now.
//!
//! That row may be on its way: it goes back to what it was itself, or the migration inserted it and it goes. Servers look at each
//! row as they write it, so it steps aside before anything comes back, to a value that nothing has. If it stays, what would
//! come back is left as it is.

use walkback_core::catalog::Column;
use walkback_core::engine::SessionExt as _;
use walkback_core::{Cx, Result, Session};

use super::aside::Aside;
use super::asking::Question;
use super::sql::{Sql, update};
use super::unique::Unique;
use super::{OnConflict, TableChanges};

/// What is said of what stays as it is for it.
pub(super) const TAKEN: &str = "what it was has to be unique, and another row has it now";

impl Sql<'_> {
    /// Leaves out what cannot come back, since another row that stays has what has to be unique, and lets those that do not
    /// stay step aside.
    pub(super) async fn make_room(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        policy: OnConflict,
        found: &mut TableChanges,
    ) -> Result<Vec<Aside>> {
        let mut aside = Vec::new();
        if !self.extent.has_deleted && !self.extent.has_changed_any() {
            return Ok(aside);
        }
        let mut all = Vec::new();
        for unique in Unique::all(cx, session, self.dialect, (self.table, &self.columns)).await? {
            let may = self.extent.has_deleted || unique.is_of(|column| self.extent.has_changed(column));
            if may && self.collides(cx, session, &unique, policy).await? {
                all.push(unique);
            }
        }
        let mut left_out = true;
        while left_out {
            left_out = false;
            for unique in &all {
                left_out |= self.leave_out(cx, session, (unique, policy), found).await?;
            }
        }
        for unique in &all {
            for column in self.movable(unique) {
                if !self.collides(cx, session, unique, policy).await? {
                    break;
                }
                aside.push(self.step_aside(cx, session, (unique, column, policy)).await?);
            }
        }
        Ok(aside)
    }

    /// Returns whether anything comes back that another row has now: most of the time nothing does, and no more is asked.
    async fn collides(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        unique: &Unique,
        policy: OnConflict,
    ) -> Result<bool> {
        let any = format!("SELECT 1 {} LIMIT 1", self.collisions(unique, policy));
        Ok(session.fetch_optional(cx, &any, &[]).await?.is_some())
    }

    /// Returns the rows as they would come back, the keys and all columns that were kept.
    fn coming(&self, policy: OnConflict) -> String {
        let key = |row: &str| self.key_columns(&format!("{row}."));
        let others = || {
            let columns = self.columns.iter().copied();
            columns.filter(|column| !self.table.primary_key.contains(&column.name))
        };
        let changing: Vec<_> = others()
            .filter(|column| self.extent.has_changed(&column.name))
            .collect();
        let goes = |column: &Column| self.goes_back(column, policy);
        let changed = (!changing.is_empty()).then(|| {
            let cells = others().map(|column| {
                let name = self.name(&column.name);
                if self.extent.has_changed(&column.name) {
                    format!(
                        "CASE WHEN {} THEN w.{name} ELSE t.{name} END AS {name}",
                        goes(column)
                    )
                } else {
                    format!("t.{name} AS {name}")
                }
            });
            let columns: Vec<_> = std::iter::once(key("t")).chain(cells).collect();
            let any: Vec<_> = changing.iter().map(|column| goes(column)).collect();
            let (columns, any) = (columns.join(", "), any.join(" OR "));
            format!("SELECT {columns} {} WHERE {any}", self.in_all_states())
        });
        let deleted = self.extent.has_deleted.then(|| {
            let cells = others().map(|column| format!("w.{}", self.name(&column.name)));
            let columns: Vec<_> = std::iter::once(key("w")).chain(cells).collect();
            let is_free = match policy {
                OnConflict::Revert => String::new(),
                OnConflict::Keep | OnConflict::Stop => format!(" AND {}", self.is_not_in(&self.live(), "w")),
            };
            format!(
                "SELECT {} FROM {} AS w WHERE {}{is_free}{}",
                columns.join(", "),
                self.was(),
                self.is_not_in(&self.left(), "w"),
                self.refers_well()
            )
        });
        let parts: Vec<_> = changed.into_iter().chain(deleted).collect();
        format!("({})", parts.join(" UNION ALL "))
    }

    /// Returns what comes back, `f`, with the rows that have the same now, `o`.
    pub(super) fn collisions(&self, unique: &Unique, policy: OnConflict) -> String {
        let key = self.key_columns("");
        let coming = unique.of_rows(&self.coming(policy), &key);
        let live = unique.of_rows(&self.live(), &key);
        let is_same = unique.is_same("o", "f");
        let is_itself = self.keys("o", "f");
        format!("FROM {coming} AS f JOIN {live} AS o ON {is_same} AND NOT ({is_itself})")
    }

    /// Says that the row `o` does not stay as it is: one of these cells goes back, or the row goes.
    pub(super) fn is_moving(&self, columns: &[&Column], policy: OnConflict) -> String {
        let unchanged = match policy {
            OnConflict::Revert => String::new(),
            OnConflict::Keep | OnConflict::Stop => format!(" AND {}", self.all_same("t", "l")),
        };
        let goes = format!(
            "EXISTS (SELECT 1 FROM {} AS l JOIN {} AS t ON {} WHERE {} AND {}{unchanged})",
            self.left(),
            self.live(),
            self.keys("t", "l"),
            self.keys("t", "o"),
            self.is_not_in(&self.was(), "l"),
        );
        let own = columns
            .iter()
            .filter(|column| self.extent.has_changed(&column.name));
        let own: Vec<_> = own.map(|column| self.goes_back(column, policy)).collect();
        if own.is_empty() {
            return format!("({goes})");
        }
        let goes_back = format!(
            "EXISTS (SELECT 1 {} WHERE {} AND ({}))",
            self.in_all_states(),
            self.keys("t", "o"),
            own.join(" OR "),
        );
        format!("({goes} OR {goes_back})")
    }

    /// Returns the changed columns that it may be made of.
    fn changed_of(&self, unique: &Unique) -> Vec<&Column> {
        let of_unique = self.columns.iter().copied().filter(|column| {
            let is_it = |name: &str| name == column.name;
            unique.is_of(is_it) && self.extent.has_changed(&column.name)
        });
        of_unique.collect()
    }

    /// Leaves things as they are that cannot come back. Returns whether there are any.
    async fn leave_out(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (unique, policy): (&Unique, OnConflict),
        found: &mut TableChanges,
    ) -> Result<bool> {
        let own = self.changed_of(unique);
        let movable = self.movable(unique);
        let moving = if movable.is_empty() { &own } else { &movable };
        let those = format!(
            "(SELECT DISTINCT {} {} WHERE NOT {}) AS c",
            self.key_columns("f."),
            self.collisions(unique, policy),
            self.is_moving(moving, policy)
        );
        let before = found.conflicts;
        let gone = format!(
            "FROM {} AS w JOIN {those} ON {} WHERE {}",
            self.was(),
            self.keys("c", "w"),
            self.is_not_in(&self.left(), "w")
        );
        let question = Question {
            selected: self.key_columns("w."),
            rest: gone.clone(),
        };
        self.ask(cx, session, (&question, TAKEN), None, found).await?;
        self.ask_for_held(cx, session, (&own, &those, TAKEN), policy, found)
            .await?;
        if found.conflicts == before {
            return Ok(false);
        }
        // A row that is in both was not deleted.
        let kept = self.insert(&self.left(), &gone);
        session.execute(cx, &kept, &[]).await?;
        self.hold(cx, session, (&own, &those), policy).await?;
        Ok(true)
    }

    /// Asks for the cells of those rows that would go back.
    pub(super) async fn ask_for_held(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (own, those, what): (&[&Column], &str, &str),
        policy: OnConflict,
        found: &mut TableChanges,
    ) -> Result<()> {
        for column in own {
            let condition = format!(
                "{} AND EXISTS (SELECT 1 FROM {those} WHERE {})",
                self.goes_back(column, policy),
                self.keys("c", "t")
            );
            let question = self.cells(column, &condition);
            let name = Some(column.name.as_str());
            self.ask(cx, session, (&question, what), name, found).await?;
        }
        Ok(())
    }

    /// Takes cells of those rows for unchanged that would go back.
    pub(super) async fn hold(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (own, those): (&[&Column], &str),
        policy: OnConflict,
    ) -> Result<()> {
        if own.is_empty() {
            return Ok(());
        }
        let sets = own.iter().map(|column| {
            let (name, goes) = (self.name(&column.name), self.goes_back(column, policy));
            let value = format!("CASE WHEN {goes} THEN l.{name} ELSE w.{name} END");
            (name, value)
        });
        let sets: Vec<_> = sets.collect();
        let from = format!("{} AS l, {} AS t, {those}", self.left(), self.live());
        let keys = [self.keys("w", "l"), self.keys("w", "t"), self.keys("w", "c")];
        let held = update(
            self.dialect,
            (&self.was(), "w"),
            &sets,
            &from,
            &keys.join(" AND "),
        );
        session.execute(cx, &held, &[]).await.map(drop)
    }
}
