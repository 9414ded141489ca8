//! What a target means in a graph: names, branches and steps become positions.

use super::target::{Anchor, Steps, Target, usage};
use super::walk::positions_in;
use super::{MigrationGraph, closest, list};
use crate::error::{Error, Result};
use crate::migration::{Migration, MigrationId};

/// A branch, as a label of a target names it.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) label: String,
    /// Marks what is on its line.
    pub(super) lineage: Vec<bool>,
}

/// Where a walk stands: at a migration, or at the base.
pub(super) type Place = Option<usize>;

impl MigrationGraph {
    /// Returns the migration that a person means by a full identity, a full name, a label, or the beginning
    /// of one identity or name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) with a suggestion, or
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) with the candidates if several begin so.
    pub fn find(&self, name: &str) -> Result<&Migration> {
        self.named(name, None).map(|position| &self.migrations[position])
    }

    /// Returns the branch a target names, if it names one.
    pub(super) fn branch(&self, target: &Target) -> Result<Option<Branch>> {
        let Some(label) = &target.label else {
            return Ok(None);
        };
        let position = self
            .declared
            .get(label)
            .copied()
            .or_else(|| self.exact(label))
            .ok_or_else(|| self.no_branch(label))?;
        Ok(Some(Branch {
            label: label.clone(),
            lineage: self.lineage(position),
        }))
    }

    /// Returns the migration a text names in full, by identity or by name.
    pub(super) fn exact(&self, text: &str) -> Option<usize> {
        let by_id = self.position(&MigrationId::new(text));
        by_id.or_else(|| {
            // A slug may hold any character, the identity before it none that ends it too early.
            text.match_indices('_').find_map(|(end, _)| {
                self.position(&MigrationId::new(&text[..end]))
                    .filter(|position| self.migrations[*position].slug == text[end + 1..])
            })
        })
    }

    /// Returns where a target stands that does not depend on what is applied. `base` is no position.
    pub(super) fn fixed(&self, target: &Target, branch: Option<&Branch>) -> Result<Vec<usize>> {
        if let Some(position) = self.exact(&target.text) {
            return Ok(vec![position]);
        }
        let anchor = self.anchor(target, branch)?;
        let Some(steps) = target.steps else {
            return Ok(anchor);
        };
        let start = match anchor[..] {
            [] => None,
            [one] => Some(one),
            _ => return Err(self.several_heads(&anchor, branch)),
        };
        Ok(self.stride(target, start, steps, branch)?.into_iter().collect())
    }

    /// Walks from a place.
    pub(super) fn stride(
        &self,
        target: &Target,
        start: Place,
        steps: Steps,
        branch: Option<&Branch>,
    ) -> Result<Place> {
        match steps {
            Steps::Forward(count) => self.forward(target, start, count, branch).map(Some),
            Steps::Back(count) => self.back(target, start, count, |_| true),
        }
    }

    fn anchor(&self, target: &Target, branch: Option<&Branch>) -> Result<Vec<usize>> {
        let heads = || -> Vec<usize> {
            (0..self.len())
                .filter(|position| self.links[*position].children.is_empty())
                .filter(|position| branch.is_none_or(|branch| branch.lineage[*position]))
                .collect()
        };
        match &target.anchor {
            Anchor::Base | Anchor::Current => Ok(Vec::new()),
            Anchor::Heads => Ok(heads()),
            Anchor::Head => match heads() {
                heads if heads.len() > 1 => Err(self.several_heads(&heads, branch)),
                heads => Ok(heads),
            },
            Anchor::Named(name) => self.named(name, branch).map(|position| vec![position]),
        }
    }

    fn named(&self, name: &str, branch: Option<&Branch>) -> Result<usize> {
        let full = self.exact(name).or_else(|| self.declared.get(name).copied());
        let full = match full {
            None => self.alias(name)?,
            full => full,
        };
        if let Some(position) = full {
            return match branch {
                Some(branch) if !branch.lineage[position] => Err(Error::not_found(format!(
                    "migration `{}` is not on the branch `{}`",
                    self.migrations[position].name(),
                    branch.label
                ))
                .hint(format!(
                    "write `{name}` alone to mean it without regard to branches"
                ))),
                _ => Ok(position),
            };
        }
        let begins_so: Vec<usize> = (0..self.len())
            .filter(|position| begins(&self.migrations[*position], name))
            .filter(|position| branch.is_none_or(|branch| branch.lineage[*position]))
            .collect();
        match begins_so[..] {
            [one] => Ok(one),
            [] => Err(self.no_migration(name, branch)),
            _ => Err(usage(format!(
                "`{name}` is the beginning of {} migrations: {}",
                begins_so.len(),
                self.name_list(&begins_so)
            ))
            .hint("write as much of the identity as makes it the only one")),
        }
    }

    /// Returns the one migration that has this alias.
    fn alias(&self, name: &str) -> Result<Option<usize>> {
        let is_it = |position: &usize| self.migrations[*position].alias.as_deref() == Some(name);
        let all: Vec<usize> = (0..self.len()).filter(is_it).collect();
        match all[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(usage(format!(
                "`{name}` may be {} migrations: {}",
                all.len(),
                self.name_list(&all)
            ))
            .hint("write the whole identity of the one that is meant")),
        }
    }

    /// Walks forward, child by child.
    fn forward(&self, target: &Target, start: Place, count: usize, branch: Option<&Branch>) -> Result<usize> {
        let mut at = start;
        for done in 0..count {
            let next: Vec<usize> = self
                .after(at)
                .into_iter()
                .filter(|position| branch.is_none_or(|branch| branch.lineage[*position]))
                .collect();
            at = match next[..] {
                [one] => Some(one),
                [] => return Err(self.too_far_forward(target, start, done)),
                _ => return Err(self.fork(target, at, &next)),
            };
        }
        at.ok_or_else(|| Error::internal("a walk of no steps"))
    }

    /// Walks back, parent by parent. Steps end on migrations that `counts`; others are passed over.
    pub(super) fn back(
        &self,
        target: &Target,
        start: Place,
        count: usize,
        counts: impl Fn(usize) -> bool,
    ) -> Result<Place> {
        let mut at = start;
        for done in 0..count {
            loop {
                let Some(position) = at else {
                    return Err(self.too_far_back(target, start, done));
                };
                at = self.parent(target, position)?;
                if at.is_none_or(&counts) {
                    break;
                }
            }
        }
        Ok(at)
    }

    /// Returns the one parent. Past a merge nobody knows which side is meant: as Alembic does, this asks for a name, also
    /// where a branch is named.
    fn parent(&self, target: &Target, position: usize) -> Result<Place> {
        let parents = &self.links[position].parents;
        if parents.len() <= 1 {
            return Ok(parents.first().copied());
        }
        Err(usage(format!(
            "`{target}` is ambiguous: `{}` merges {}",
            self.migrations[position].name(),
            self.name_list(parents)
        ))
        .hint(format!(
            "name the migration to go back to, such as `{}`",
            self.id_at(parents[0])
        )))
    }

    pub(super) fn after(&self, place: Place) -> Vec<usize> {
        match place {
            Some(position) => self.links[position].children.clone(),
            None => (0..self.len())
                .filter(|position| self.links[*position].parents.is_empty())
                .collect(),
        }
    }

    pub(super) fn name_list(&self, positions: &[usize]) -> String {
        list(positions.iter().map(|position| self.migrations[*position].name()))
    }

    pub(super) fn place_name(&self, place: Place) -> String {
        place.map_or_else(
            || "`base`".to_owned(),
            |position| format!("`{}`", self.migrations[position].name()),
        )
    }

    fn several_heads(&self, heads: &[usize], branch: Option<&Branch>) -> Error {
        let on = branch.map_or_else(String::new, |branch| format!(" on the branch `{}`", branch.label));
        let ids: Vec<&str> = heads.iter().map(|head| self.id_at(*head).as_str()).collect();
        usage(format!(
            "there are {} heads{on}: {}",
            heads.len(),
            self.name_list(heads)
        ))
        .hint("write `heads` for all of them, or name one")
        .hint(format!("`walkback merge {}` makes them one", ids.join(" ")))
    }

    fn fork(&self, target: &Target, at: Place, next: &[usize]) -> Error {
        let error = usage(format!(
            "`{target}` is ambiguous: after {} come {}",
            self.place_name(at),
            self.name_list(next)
        ));
        let label = next
            .iter()
            .find_map(|position| self.migrations[*position].labels.first());
        match (label, &target.label) {
            (Some(label), None) => error.hint(format!("name the branch, such as `{label}@{target}`")),
            _ => error.hint(format!(
                "name the migration to go to, such as `{}`",
                self.id_at(next[0])
            )),
        }
    }

    fn too_far_forward(&self, target: &Target, start: Place, done: usize) -> Error {
        let follow = match done {
            0 => "no migration follows".to_owned(),
            1 => "only 1 migration follows".to_owned(),
            _ => format!("only {done} migrations follow"),
        };
        usage(format!(
            "`{target}` goes too far: {follow} {}",
            self.place_name(start)
        ))
        .hint("write `head` to go as far as there are migrations")
    }

    fn too_far_back(&self, target: &Target, start: Place, done: usize) -> Error {
        let error = usage(match done {
            0 => format!("`{target}` goes too far: nothing comes before `base`"),
            _ => format!(
                "`{target}` goes too far: {} is only {done} from the base",
                self.place_name(start)
            ),
        });
        error.hint("write `base` to go back all the way")
    }

    fn no_migration(&self, name: &str, branch: Option<&Branch>) -> Error {
        let on = branch.map_or_else(String::new, |branch| format!(" on the branch `{}`", branch.label));
        let error = Error::not_found(format!("no migration{on} is called `{name}`"));
        if let Some(same) = self.iter().find(|migration| migration.slug == name) {
            return error.hint(format!("did you mean `{}`?", same.name()));
        }
        let lower = name.to_lowercase();
        let words = ["head", "heads", "base"].into_iter();
        let ids = self.iter().map(|migration| migration.id.as_str());
        let labels = self.declared.keys().map(String::as_str);
        let slugs = self.iter().map(|migration| migration.slug.as_str());
        let aliases = self.iter().filter_map(|migration| migration.alias.as_deref());
        let meant = closest(&lower, words)
            .or_else(|| closest(name, labels.chain(ids).chain(aliases)))
            .map(str::to_owned)
            .or_else(|| {
                let names: Vec<String> = self.iter().map(Migration::name).collect();
                closest(name, names.iter().map(String::as_str)).map(str::to_owned)
            })
            .or_else(|| closest(name, slugs).map(str::to_owned));
        match meant {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint("`walkback history` lists all migrations"),
        }
    }

    fn no_branch(&self, label: &str) -> Error {
        let error = Error::not_found(format!("no branch has the label `{label}`"));
        if let Some(close) = closest(label, self.declared.keys().map(String::as_str)) {
            return error.hint(format!("did you mean `{close}`?"));
        }
        if self.declared.is_empty() {
            return error.hint("no migration declares a label; add `-- walkback: label=<name>` to the first one of the branch");
        }
        error.hint(format!("the labels are {}", list(self.declared.keys())))
    }

    /// Returns the ends of what is applied. On a branch these are the heads that are on it; else the
    /// migrations there that have no child, and only dependents hide that they are heads.
    pub(super) fn current(&self, applied: &[bool], branch: Option<&Branch>) -> Vec<usize> {
        let heads = self.tips(applied);
        let Some(branch) = branch else {
            return heads;
        };
        let on_branch: Vec<usize> = heads.into_iter().filter(|head| branch.lineage[*head]).collect();
        if !on_branch.is_empty() {
            return on_branch;
        }
        let line = self.only_on(applied, branch);
        positions_in(&line)
            .filter(|position| !self.links[*position].children.iter().any(|child| applied[*child]))
            .collect()
    }

    /// Returns where a branch was left: its ends, or else where it would begin.
    pub(super) fn start_of(&self, applied: &[bool], branch: Option<&Branch>) -> Vec<usize> {
        match (self.current(applied, branch), branch) {
            (ends, Some(branch)) if ends.is_empty() => self.tips(&self.only_on(applied, branch)),
            (ends, _) => ends,
        }
    }

    fn only_on(&self, applied: &[bool], branch: &Branch) -> Vec<bool> {
        applied
            .iter()
            .zip(&branch.lineage)
            .map(|(applied, on)| *applied && *on)
            .collect()
    }

    pub(super) fn several_current(&self, target: &Target, heads: &[usize]) -> Error {
        let error = usage(format!(
            "`{target}` is ambiguous: {} branches are applied, up to {}",
            heads.len(),
            self.name_list(heads)
        ));
        let labelled = heads
            .iter()
            .find_map(|head| self.branches[*head].first())
            .filter(|_| target.label.is_none());
        match labelled {
            Some(label) => error.hint(format!("name the branch, such as `{label}@{target}`")),
            None => error.hint(format!(
                "name the branch by its head, such as `{}@{}`",
                self.id_at(heads[0]),
                target.text.rsplit('@').next().unwrap_or_default()
            )),
        }
    }
}

fn begins(migration: &Migration, prefix: &str) -> bool {
    let id = migration.id.as_str();
    id.starts_with(prefix)
        || prefix
            .strip_prefix(id)
            .and_then(|rest| rest.strip_prefix('_'))
            .is_some_and(|rest| migration.slug.starts_with(rest))
}
