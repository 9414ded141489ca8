//! Large graphs, and everything that is done with one: for the tests, and for the measurement.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use walkback_core::graph::{MigrationGraph, Target};
use walkback_core::{Migration, MigrationId};

/// One migration after the other.
pub(crate) fn line(count: usize) -> Vec<Migration> {
    (0..count)
        .map(|n| {
            let mut migration =
                Migration::new(format!("{n:08}"), "about_something", format!("m/{n:08}/up.sql"));
            if n > 0 {
                migration.parents.push(MigrationId::new(format!("{:08}", n - 1)));
            }
            migration
        })
        .collect()
}

/// Fans of ten out of one migration and into the next, each with a dependency on the fan before.
pub(crate) fn fans(count: usize) -> Vec<Migration> {
    let mut migrations = line(count);
    for (n, migration) in migrations.iter_mut().enumerate() {
        let hub = n / 10 * 10;
        let id = |n: usize| MigrationId::new(format!("{n:08}"));
        migration.parents = if n != hub {
            vec![id(hub)]
        } else {
            (n.saturating_sub(9)..n).map(id).collect()
        };
        if n > 15 {
            migration.depends_on = vec![id(hub - 5)];
        }
    }
    migrations
}

/// Builds, resolves and plans; returns how long it took.
pub(crate) fn work(migrations: Vec<Migration>) -> Duration {
    let count = migrations.len();
    let middle = Target::id(&migrations[count / 2].id);
    let begun = Instant::now();
    let graph = MigrationGraph::build(migrations).unwrap();
    let nothing = BTreeSet::new();
    let up = graph.plan_up(&nothing, &Target::heads()).unwrap();
    assert_eq!(up.len(), count);
    let applied: BTreeSet<_> = up.into_iter().collect();
    assert_eq!(graph.plan_down(&applied, &Target::base()).unwrap().len(), count);
    assert!(!graph.plan_goto(&applied, &middle).unwrap().down.is_empty());
    assert!(graph.plan_up(&applied, &middle).unwrap().is_empty());
    assert_eq!(graph.out_of_order(&applied).len(), 0);
    assert!(!graph.heads_of(&applied).is_empty());
    graph.find("0000001").unwrap_err();
    begun.elapsed()
}
