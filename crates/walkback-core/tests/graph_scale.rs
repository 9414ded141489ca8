//! Ten thousand migrations, and a line that is ten times as long. How the time grows is measured by
//! `cargo xtask bench graph`.

#![expect(clippy::print_stderr, reason = "the figures are what these tests are for")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use walkback_core::graph::{MigrationGraph, Target};
use walkback_core::{Migration, MigrationId};

fn line(count: usize) -> Vec<Migration> {
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
fn fans(count: usize) -> Vec<Migration> {
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
fn work(migrations: Vec<Migration>) -> Duration {
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

#[test]
fn ten_thousand_migrations_are_built_and_planned() {
    for (shape, make) in [("line", line as fn(usize) -> _), ("fans", fans)] {
        let took = work(make(10_000));
        eprintln!("10,000 migrations ({shape}): built, resolved and planned in {took:?}");
    }
}

/// A walk that recursed would overflow this stack; so would dropping a linked list.
#[test]
fn a_long_line_needs_no_stack() {
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(|| work(line(100_000)))
        .unwrap()
        .join()
        .unwrap();
}
