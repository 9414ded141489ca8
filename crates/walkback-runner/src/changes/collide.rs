//! What comes back and has to be unique, where another row has it now.
//!
//! That row may be on its way: it goes back to what it was itself, or the migration inserted it and it goes. Servers look at each
//! row as they write it, so it steps aside before anything comes back, to a value that nothing has. If it stays, what would
//! come back is left as it is.

use walkback_core::catalog::Column;
use walkback_core::engine::SessionExt as _;
use walkback_core::{Cx, Result, Session};

use super::aside::Aside;
use super::asking::{Asking, Question};
use super::sql::{Sql, update};
use super::unique::Unique;
use super::{OnConflict, TableChanges};

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
            format!(
                "SELECT {} FROM {} AS w JOIN {} AS l ON {} JOIN {} AS t ON {} WHERE {}",
                columns.join(", "),
                self.was(),
                self.left(),
                self.keys("w", "l"),
                self.live(),
                self.keys("t", "w"),
                any.join(" OR ")
            )
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

    /// Says that what comes back as `f` has what another row, `o`, has now.
    fn colliding(&self, unique: &Unique, policy: OnConflict) -> (String, String) {
        let key = self.key_columns("");
        let coming = unique.of_rows(&self.coming(policy), &key);
        let live = unique.of_rows(&self.live(), &key);
        let condition = format!("{} AND NOT ({})", unique.is_same("o", "f"), self.keys("o", "f"));
        (format!("{coming} AS f JOIN {live} AS o ON {condition}"), live)
    }

    pub(super) fn collisions(&self, unique: &Unique, policy: OnConflict) -> String {
        format!("FROM {}", self.colliding(unique, policy).0)
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
            "EXISTS (SELECT 1 FROM {} AS w JOIN {} AS l ON {} JOIN {} AS t ON {} WHERE {} AND ({}))",
            self.was(),
            self.left(),
            self.keys("w", "l"),
            self.live(),
            self.keys("t", "w"),
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
        let (colliding, _) = self.colliding(unique, policy);
        let mut moving = self.movable(unique);
        if moving.is_empty() {
            moving = self.changed_of(unique);
        }
        let stays = format!("NOT {}", self.is_moving(&moving, policy));
        let before = found.conflicts;
        let asking = Asking {
            dialect: self.dialect,
            key: &self.table.primary_key,
        };
        let what = "what it was has to be unique, and another row has it now";
        let own = self.changed_of(unique);
        let key = self.key_columns("f.");
        let those = format!("(SELECT DISTINCT {key} FROM {colliding} WHERE {stays}) AS c");
        for column in &own {
            let name = self.name(&column.name);
            let question = Question {
                selected: format!("{}, w.{name}, l.{name}, t.{name}", self.key_columns("t.")),
                rest: format!(
                    "FROM {} AS w JOIN {} AS l ON {} JOIN {} AS t ON {} JOIN {those} ON {} WHERE {}",
                    self.was(),
                    self.left(),
                    self.keys("w", "l"),
                    self.live(),
                    self.keys("t", "w"),
                    self.keys("c", "t"),
                    self.goes_back(column, policy),
                ),
            };
            let name = Some(column.name.as_str());
            asking.ask(cx, session, (&question, what), name, found).await?;
        }
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
        asking.ask(cx, session, (&question, what), None, found).await?;
        if found.conflicts == before {
            return Ok(false);
        }
        self.forget(cx, session, (&own, &those, &gone), policy).await?;
        Ok(true)
    }

    /// Takes cells for unchanged, and rows for not deleted, that are not to come back.
    async fn forget(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        (own, those, gone): (&[&Column], &str, &str),
        policy: OnConflict,
    ) -> Result<()> {
        let names: Vec<_> = self
            .columns
            .iter()
            .map(|column| self.name(&column.name))
            .collect();
        let cells: Vec<_> = names.iter().map(|name| format!("w.{name}")).collect();
        let own_identity = self.own_identity();
        let sets = self.unchanged(own, policy);
        let kept = format!(
            "INSERT INTO {} ({}){own_identity} SELECT {} {gone}",
            self.left(),
            names.join(", "),
            cells.join(", ")
        );
        session.execute(cx, &kept, &[]).await?;
        if sets.is_empty() {
            return Ok(());
        }
        let from = format!("{} AS l, {} AS t, {those}", self.left(), self.live());
        let keys = [self.keys("w", "l"), self.keys("w", "t"), self.keys("w", "c")];
        let condition = keys.join(" AND ");
        let unchanged = update(self.dialect, (&self.was(), "w"), &sets, &from, &condition);
        session.execute(cx, &unchanged, &[]).await.map(drop)
    }

    /// Returns what makes cells of `w` unchanged that would go back.
    pub(super) fn unchanged(&self, columns: &[&Column], policy: OnConflict) -> Vec<(String, String)> {
        let sets = columns.iter().map(|column| {
            let (name, goes) = (self.name(&column.name), self.goes_back(column, policy));
            (
                name.clone(),
                format!("CASE WHEN {goes} THEN l.{name} ELSE w.{name} END"),
            )
        });
        sets.collect()
    }
}
