//! From a list of migrations to a graph, or to an error that names the files to edit.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use super::{Links, MigrationGraph, closest, list};
use crate::error::{Error, Result};
use crate::migration::{Migration, MigrationId};

/// What has a meaning of its own in a target.
const RESERVED: [&str; 3] = ["head", "heads", "base"];

impl MigrationGraph {
    /// Builds the graph. The order of the list decides wherever parents and dependencies do not.
    ///
    /// An entry of `depends_on` may be a label; it is replaced by the identity of the migration that
    /// declares it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the files, when an identity or a label is used
    /// twice or cannot be written in a target, when a parent or a dependency does not exist, and when
    /// migrations follow each other in a cycle.
    pub fn build(mut migrations: Vec<Migration>) -> Result<Self> {
        let index = index(&migrations)?;
        let declared = super::labels::declared(&migrations, &index)?;
        let links = link(&mut migrations, &index, &declared)?;
        let order = order(&migrations, &links)?;
        Ok(Self::assemble(migrations, links, declared, &order))
    }

    /// Puts everything into topological order and finds out which branch each migration is on.
    fn assemble(
        migrations: Vec<Migration>,
        links: Vec<Links>,
        declared: BTreeMap<String, usize>,
        order: &[usize],
    ) -> Self {
        let mut place = vec![0; order.len()];
        for (position, given) in order.iter().enumerate() {
            place[*given] = position;
        }
        let moved = |positions: Vec<usize>| positions.into_iter().map(|given| place[given]).collect();
        let sorted = |positions: Vec<usize>| {
            let mut positions: Vec<usize> = moved(positions);
            positions.sort_unstable();
            positions
        };
        let mut rows: Vec<_> = migrations
            .into_iter()
            .zip(links)
            .enumerate()
            .map(|(given, row)| (place[given], row))
            .collect();
        rows.sort_by_key(|(position, _)| *position);
        let (migrations, links): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .map(|(_, (migration, links))| {
                let links = Links {
                    parents: moved(links.parents),
                    children: sorted(links.children),
                    depends_on: moved(links.depends_on),
                    dependents: sorted(links.dependents),
                };
                (migration, links)
            })
            .unzip();
        let declared = declared
            .into_iter()
            .map(|(label, given)| (label, place[given]))
            .collect();
        let index = migrations
            .iter()
            .enumerate()
            .map(|(position, migration)| (migration.id.clone(), position))
            .collect();
        let branches = super::labels::spread(&links, &declared);
        Self {
            migrations,
            index,
            links,
            declared,
            branches,
        }
    }
}

/// What an identity is called in messages.
const IDENTITY: &str = "the identity";

fn index(migrations: &[Migration]) -> Result<HashMap<MigrationId, usize>> {
    let mut index = HashMap::with_capacity(migrations.len());
    for (given, migration) in migrations.iter().enumerate() {
        check_name(IDENTITY, migration.id.as_str(), migration)?;
        if let Some(earlier) = index.insert(migration.id.clone(), given) {
            let earlier: &Migration = &migrations[earlier];
            return Err(Error::config(format!(
                "two migrations have the identity `{}` ({} and {})",
                migration.id,
                earlier.file.display(),
                migration.file.display(),
            ))
            .hint("give one of them another identity; `walkback new` makes one from the time"));
        }
    }
    Ok(index)
}

/// Checks that an identity or a label can be written in a target and be told from everything else there.
pub(super) fn check_name(what: &str, name: &str, migration: &Migration) -> Result<()> {
    let file = migration.file.display();
    if name.is_empty() {
        return Err(Error::config(format!("{what} of a migration is empty ({file})")));
    }
    if RESERVED.contains(&name) {
        return Err(Error::config(format!(
            "{what} `{name}` has a meaning of its own in a target ({file})"
        ))
        .hint("use another name"));
    }
    // With a `:` in it, an identity stands for itself as a whole: see `Target`.
    let is_whole = what == IDENTITY && name.contains(':');
    let has_meaning = |c: &char| !is_whole && matches!(c, '@' | '-' | '+' | ':');
    let illegal = |c: &char| has_meaning(c) || c.is_whitespace() || c.is_control();
    match name.chars().find(illegal) {
        None => Ok(()),
        Some(c) => Err(
            Error::config(format!("{what} `{}` holds {c:?} ({file})", name.escape_debug())).hint(
                "`@`, `-`, `+`, `:` and blanks have a meaning of their own in a target; leave them out",
            ),
        ),
    }
}

fn link(
    migrations: &mut [Migration],
    index: &HashMap<MigrationId, usize>,
    declared: &BTreeMap<String, usize>,
) -> Result<Vec<Links>> {
    let mut links = vec![Links::default(); migrations.len()];
    for given in 0..migrations.len() {
        let migration = &migrations[given];
        for parent in &migration.parents {
            let parent = index
                .get(parent)
                .copied()
                .ok_or_else(|| missing("follows", migration, parent, index))?;
            if !links[given].parents.contains(&parent) {
                links[given].parents.push(parent);
                links[parent].children.push(given);
            }
        }
        for needed in &migration.depends_on {
            let needed = index
                .get(needed)
                .or_else(|| declared.get(needed.as_str()))
                .copied()
                .ok_or_else(|| missing("depends on", migration, needed, index))?;
            if !links[given].depends_on.contains(&needed) {
                links[given].depends_on.push(needed);
                links[needed].dependents.push(given);
            }
        }
        let ids = |positions: &[usize], of: &[Migration]| -> Vec<MigrationId> {
            positions
                .iter()
                .map(|position| of[*position].id.clone())
                .collect()
        };
        let (parents, depends_on) = (
            ids(&links[given].parents, migrations),
            ids(&links[given].depends_on, migrations),
        );
        migrations[given].parents = parents;
        migrations[given].depends_on = depends_on;
    }
    Ok(links)
}

fn missing(how: &str, migration: &Migration, id: &MigrationId, index: &HashMap<MigrationId, usize>) -> Error {
    let error = Error::config(format!(
        "migration `{}` {how} `{id}`, which does not exist ({})",
        migration.id,
        migration.file.display()
    ));
    // A full name where an identity belongs is the likeliest slip of all.
    let named = id
        .as_str()
        .split_once('_')
        .map(|(first, _)| MigrationId::new(first))
        .and_then(|first| index.get_key_value(&first));
    let meant = named.map(|(known, _)| known.as_str()).or_else(|| {
        let mut known: Vec<&str> = index.keys().map(MigrationId::as_str).collect();
        known.sort_unstable();
        closest(id.as_str(), known.into_iter())
    });
    match meant {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint("restore the missing file, or name another migration"),
    }
}

/// Sorts topologically (Kahn); of what is ready, the one given first goes first.
fn order(migrations: &[Migration], links: &[Links]) -> Result<Vec<usize>> {
    let mut waits: Vec<usize> = links.iter().map(|links| links.before().count()).collect();
    let mut ready: BinaryHeap<Reverse<usize>> = waits
        .iter()
        .enumerate()
        .filter_map(|(given, waits)| (*waits == 0).then_some(Reverse(given)))
        .collect();
    let mut order = Vec::with_capacity(links.len());
    while let Some(Reverse(given)) = ready.pop() {
        order.push(given);
        for next in links[given].after() {
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    if order.len() == links.len() {
        return Ok(order);
    }
    Err(cycle(migrations, links, &waits))
}

/// Names one cycle: whatever still waits, waits for something that waits.
fn cycle(migrations: &[Migration], links: &[Links], waits: &[usize]) -> Error {
    let mut at = waits.iter().position(|waits| *waits > 0).unwrap_or(0);
    let mut path: Vec<usize> = Vec::new();
    let mut seen = vec![None; links.len()];
    while seen[at].is_none() {
        seen[at] = Some(path.len());
        path.push(at);
        let Some(before) = links[at].before().find(|before| waits[*before] > 0) else {
            break;
        };
        at = before;
    }
    let mut round = path.split_off(seen[at].unwrap_or(0));
    // The walk went backwards in time; a person reads it forwards, from the one given first.
    round.reverse();
    let first = round
        .iter()
        .enumerate()
        .min_by_key(|(_, given)| **given)
        .map_or(0, |(place, _)| place);
    round.rotate_left(first);
    let ids: Vec<&str> = round
        .iter()
        .chain(round.first())
        .map(|given| migrations[*given].id.as_str())
        .collect();
    Error::config(format!(
        "migrations follow each other in a cycle: `{}` ({})",
        ids.join(" -> "),
        list_files(migrations, &round)
    ))
    .hint("remove one of these from the parents or dependencies of the next")
}

fn list_files(migrations: &[Migration], round: &[usize]) -> String {
    list(round.iter().map(|given| migrations[*given].file.display())).replace('`', "")
}
