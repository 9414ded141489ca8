//! Plans: which migrations to run, in which order, to get to a target.

use std::collections::BTreeSet;

use super::MigrationGraph;
use super::resolve::{Branch, Place};
use super::target::{Anchor, Range, Steps, Target, usage};
use super::walk::positions_in;
use crate::error::{Error, Result};
use crate::migration::{Migration, MigrationId};

/// What leads to a target: first down, then up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moves {
    /// What to walk back, newest first.
    pub down: Vec<MigrationId>,
    /// What to apply then, oldest first.
    pub up: Vec<MigrationId>,
}

impl MigrationGraph {
    /// Returns what to apply so that the target is applied: all it needs that is not applied yet, oldest
    /// first. A target that is applied, or whose descendants are, needs nothing or what was left out.
    ///
    /// On a line, `+N` is the first N that are pending, whichever they are. Elsewhere it is N steps on from
    /// the one head of what is applied, with everything those need.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for an unknown name,
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) for a target that is ambiguous, goes back, or goes past
    /// the last migration.
    pub fn plan_up(&self, applied: &BTreeSet<MigrationId>, target: &Target) -> Result<Vec<MigrationId>> {
        let applied = self.marks(applied);
        let goal = self.goal_up(&applied, target)?;
        let mut wanted = self.needed_by(goal);
        for (wanted, applied) in wanted.iter_mut().zip(&applied) {
            *wanted &= !applied;
        }
        Ok(self.in_order(&wanted))
    }

    /// Returns what to walk back so that nothing after the target is applied: its children with everything
    /// that builds on them, newest first. Branches that do not build on the target stay as they are.
    ///
    /// `-N` is N steps back from the one head of what is applied, counting applied migrations only.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for an unknown name,
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) for a target that is ambiguous (several heads, a merge),
    /// goes forward, is not applied, or goes past the base.
    pub fn plan_down(&self, applied: &BTreeSet<MigrationId>, target: &Target) -> Result<Vec<MigrationId>> {
        let applied = self.marks(applied);
        let (goal, roots) = self.goal_down(&applied, target)?;
        let down = self.above(&roots, &applied);
        let ahead: Vec<usize> = goal.into_iter().filter(|position| !applied[*position]).collect();
        if down.is_empty() && !ahead.is_empty() {
            let are = if ahead.len() == 1 { "is" } else { "are" };
            return Err(usage(format!(
                "{} {are} not applied, so there is nothing to walk back to",
                self.name_list(&ahead)
            ))
            .hint(format!("`walkback up --to {target}` goes there")));
        }
        Ok(down)
    }

    /// Returns what to walk back and then to apply so that the target is applied and nothing after it is.
    /// Only the line of the target moves; branches that do not build on it stay as they are.
    ///
    /// # Errors
    /// As [`MigrationGraph::plan_up`] and [`MigrationGraph::plan_down`].
    pub fn plan_goto(&self, applied: &BTreeSet<MigrationId>, target: &Target) -> Result<Moves> {
        match self.current_steps(target) {
            Some(Steps::Forward(_)) => Ok(Moves {
                down: Vec::new(),
                up: self.plan_up(applied, target)?,
            }),
            Some(Steps::Back(_)) => Ok(Moves {
                down: self.plan_down(applied, target)?,
                up: Vec::new(),
            }),
            None => {
                let marks = self.marks(applied);
                let (_, roots) = self.goal_down(&marks, target)?;
                let down = self.above(&roots, &marks);
                let gone: BTreeSet<&MigrationId> = down.iter().collect();
                let left = applied.iter().filter(|id| !gone.contains(id)).cloned().collect();
                let up = self.plan_up(&left, target)?;
                Ok(Moves { down, up })
            }
        }
    }

    /// Returns everything that is applied when the target is, and nothing after it: what `stamp` writes, and
    /// what a range of SQL starts from. `+N` and `-N` count from what is applied.
    ///
    /// # Errors
    /// As [`MigrationGraph::plan_up`].
    pub fn state_at(
        &self,
        applied: &BTreeSet<MigrationId>,
        target: &Target,
    ) -> Result<BTreeSet<MigrationId>> {
        let place = self.place(&self.marks(applied), target)?;
        let state = self.needed_by(place);
        Ok(positions_in(&state)
            .map(|position| self.id_at(position).clone())
            .collect())
    }

    /// Returns the migrations of a range, both ends included, oldest first.
    ///
    /// # Errors
    /// As [`MigrationGraph::plan_up`], and [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the range begins
    /// with something its end does not build on.
    pub fn range(&self, applied: &BTreeSet<MigrationId>, range: &Range) -> Result<Vec<&Migration>> {
        let applied = self.marks(applied);
        let end = self.place(&applied, range.to.as_ref().unwrap_or(&Target::heads()))?;
        let mut shown = self.needed_by(end);
        if let Some(from) = &range.from {
            let start = self.place(&applied, from)?;
            if let Some(apart) = start.iter().find(|position| !shown[**position]) {
                return Err(usage(format!(
                    "the range `{range}` is empty: its end does not build on {}",
                    self.place_name(Some(*apart))
                ))
                .hint("write the older one first: `older:newer`"));
            }
            let before = self.needed_by(start.iter().flat_map(|position| self.links[*position].before()));
            for (shown, before) in shown.iter_mut().zip(before) {
                *shown &= !before;
            }
        }
        Ok(positions_in(&shown)
            .map(|position| &self.migrations[position])
            .collect())
    }

    /// Returns the steps of a target that counts from what is applied.
    fn current_steps(&self, target: &Target) -> Option<Steps> {
        (target.is_relative() && self.exact(&target.text).is_none())
            .then_some(target.steps)
            .flatten()
    }

    fn goal_up(&self, applied: &[bool], target: &Target) -> Result<Vec<usize>> {
        let branch = self.branch(target)?;
        match self.current_steps(target) {
            None => self.fixed(target, branch.as_ref()),
            Some(Steps::Back(count)) => Err(usage(format!("`{target}` goes back, not up"))
                .hint(format!("`walkback down -n {count}` walks back {count}"))),
            Some(Steps::Forward(count)) if self.is_linear() => {
                self.nth_pending(applied, target, count).map(|nth| vec![nth])
            }
            Some(steps) => {
                let start = one(self.start_of(applied, branch.as_ref()))
                    .map_err(|several| self.several_current(target, &several))?;
                let goal = self.stride(target, start, steps, branch.as_ref())?;
                Ok(goal.into_iter().collect())
            }
        }
    }

    fn nth_pending(&self, applied: &[bool], target: &Target, count: usize) -> Result<usize> {
        let pending: Vec<usize> = (0..self.len()).filter(|position| !applied[*position]).collect();
        pending.get(count - 1).copied().ok_or_else(|| {
            let error = usage(match pending.len() {
                0 => format!("`{target}` goes too far: nothing is pending"),
                1 => format!("`{target}` goes too far: only 1 migration is pending"),
                n => format!("`{target}` goes too far: only {n} migrations are pending"),
            });
            if pending.is_empty() {
                error
            } else {
                error.hint("write `head` to apply all of them")
            }
        })
    }

    /// Returns the goal, and the first migrations that have to go.
    fn goal_down(&self, applied: &[bool], target: &Target) -> Result<(Vec<usize>, Vec<usize>)> {
        let branch = self.branch(target)?;
        match self.current_steps(target) {
            Some(Steps::Forward(count)) => Err(usage(format!("`{target}` goes forward, not down"))
                .hint(format!("`walkback up -n {count}` applies {count}"))),
            Some(Steps::Back(count)) => self.steps_down(applied, target, count, branch.as_ref()),
            None => {
                let goal = self.fixed(target, branch.as_ref())?;
                let mut roots: Vec<usize> = match goal[..] {
                    [] if target.anchor == Anchor::Base || target.steps.is_some() => self.after(None),
                    _ => goal
                        .iter()
                        .flat_map(|position| self.after(Some(*position)))
                        .collect(),
                };
                if let Some(branch) = &branch
                    && roots.len() > 1
                {
                    roots.retain(|root| branch.lineage[*root]);
                }
                Ok((goal, roots))
            }
        }
    }

    fn steps_down(
        &self,
        applied: &[bool],
        target: &Target,
        count: usize,
        branch: Option<&Branch>,
    ) -> Result<(Vec<usize>, Vec<usize>)> {
        let Some(start) = self.one_current(applied, target, branch)? else {
            return Err(nothing_applied(branch));
        };
        let goal = self
            .back(target, Some(start), count, |position| applied[position])
            .map_err(|error| self.fewer_applied(error, applied, target, start))?;
        let line = self.forebears(start);
        let roots = self.after(goal).into_iter().filter(|root| line[*root]).collect();
        Ok((goal.into_iter().collect(), roots))
    }

    /// Says how many steps there would have been, where that is what stopped the walk.
    fn fewer_applied(&self, error: Error, applied: &[bool], target: &Target, start: usize) -> Error {
        let line = self.forebears(start);
        if positions_in(&line).any(|position| self.links[position].parents.len() > 1) {
            return error;
        }
        let on_line = positions_in(&line).filter(|position| applied[*position]).count();
        usage(match on_line {
            1 => format!("`{target}` goes too far: only 1 migration is applied"),
            n => format!("`{target}` goes too far: only {n} migrations are applied"),
        })
        .hint("write `base` to walk back all of them")
    }

    fn one_current(&self, applied: &[bool], target: &Target, branch: Option<&Branch>) -> Result<Place> {
        one(self.current(applied, branch)).map_err(|several| self.several_current(target, &several))
    }

    /// Returns where a target stands, steps counted from what is applied.
    fn place(&self, applied: &[bool], target: &Target) -> Result<Vec<usize>> {
        let branch = self.branch(target)?;
        let Some(steps) = self.current_steps(target) else {
            return self.fixed(target, branch.as_ref());
        };
        let ends = match steps {
            Steps::Forward(_) => self.start_of(applied, branch.as_ref()),
            Steps::Back(_) => self.current(applied, branch.as_ref()),
        };
        let start = one(ends).map_err(|several| self.several_current(target, &several))?;
        let place = self.stride(target, start, steps, branch.as_ref())?;
        Ok(place.into_iter().collect())
    }

    /// Returns what of the applied builds on these or is one of them, newest first.
    fn above(&self, roots: &[usize], applied: &[bool]) -> Vec<MigrationId> {
        let mut down = self.built_on(roots.iter().copied());
        for (down, applied) in down.iter_mut().zip(applied) {
            *down &= applied;
        }
        let mut down = self.in_order(&down);
        down.reverse();
        down
    }

    fn in_order(&self, marks: &[bool]) -> Vec<MigrationId> {
        positions_in(marks)
            .map(|position| self.id_at(position).clone())
            .collect()
    }
}

/// Returns the only one, or none; several are handed back.
fn one(places: Vec<usize>) -> Result<Place, Vec<usize>> {
    match places[..] {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => Err(places),
    }
}

fn nothing_applied(branch: Option<&Branch>) -> Error {
    match branch {
        None => usage("nothing is applied, so there is nothing to walk back".to_owned()),
        Some(branch) => usage(format!(
            "nothing that is applied ends on the branch `{}`, so there is nothing to walk back on it",
            branch.label
        ))
        .hint("name the migration to go back to"),
    }
}
