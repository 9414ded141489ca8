//! How the time to build, resolve and plan a graph grows with the number of its migrations: with the number, and not
//! with its square. `cargo xtask bench graph` runs it.

use std::collections::BTreeSet;
use std::io::Write as _;
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

fn main() -> std::io::Result<()> {
    for (shape, make) in [("line", line as fn(usize) -> _), ("fans", fans)] {
        let best = |count| (0..3).map(|_| work(make(count))).min().unwrap();
        let (small, large) = (best(20_000), best(200_000));
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        writeln!(
            std::io::stdout(),
            "{shape}: 20,000 in {small:?}, 200,000 in {large:?}, ratio {ratio:.1}"
        )?;
        // Linear is a factor of 10, which growing out of the caches makes up to 35; quadratic would be 100.
        assert!(
            ratio < 60.0,
            "{shape}: ten times the migrations took {ratio:.1} times as long"
        );
    }
    Ok(())
}
