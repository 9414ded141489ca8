//! Random writes before, in and after migrations, against a model of what has to be there.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use walkback_tests::Backend;

use super::{bare, walk_back};

type Rows = BTreeMap<i64, (i64, i64)>;

/// Writes at random, into the database and into the model of it.
fn write(random: &mut StdRng, rows: &mut Rows, statements: &mut Vec<String>) {
    let id = random.random_range(1..40);
    let value = random.random_range(0..4);
    match random.random_range(0..4) {
        0 if !rows.contains_key(&id) => {
            rows.insert(id, (value, value + 1));
            statements.push(format!("INSERT INTO r VALUES ({id}, {value}, {})", value + 1));
        }
        1 => {
            rows.remove(&id);
            statements.push(format!("DELETE FROM r WHERE id = {id}"));
        }
        2 => {
            if let Some(row) = rows.get_mut(&id) {
                row.0 = value;
            }
            statements.push(format!("UPDATE r SET a = {value} WHERE id = {id}"));
        }
        _ => {
            if let Some(row) = rows.get_mut(&id) {
                row.1 = value;
            }
            statements.push(format!("UPDATE r SET b = {value} WHERE id = {id}"));
        }
    }
}

/// What is to be there: a cell goes back only if it still holds what the migration wrote.
fn expected(before: &Rows, left: &Rows, now: &Rows) -> Rows {
    let cell = |before: i64, left: i64, now: i64| if now == left { before } else { now };
    let mut rows = Rows::new();
    for id in 1..40 {
        let row = match (before.get(&id), left.get(&id), now.get(&id)) {
            (Some(before), Some(left), Some(now)) => {
                Some((cell(before.0, left.0, now.0), cell(before.1, left.1, now.1)))
            }
            (None, Some(left), Some(now)) => (now != left).then_some(*now),
            (Some(before), None, None) => Some(*before),
            (_, _, now) => now.copied(),
        };
        rows.extend(row.map(|row| (id, row)));
    }
    rows
}

pub(crate) fn random_writes_are_never_lost(backend: Backend) {
    let seed = walkback_tests::seed("surgical", backend);
    let mut random = StdRng::seed_from_u64(seed);
    let sandbox = bare(backend);
    sandbox.migration(
        "001_begin",
        "CREATE TABLE r (id INTEGER NOT NULL PRIMARY KEY, a INTEGER, b INTEGER);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let rounds = if backend == Backend::Sqlite { 12 } else { 4 };
    let mut rows = Rows::new();
    for round in 0..rounds {
        let mut batch = |rows: &mut Rows, count: u32| {
            let mut statements = Vec::new();
            for _ in 0..count {
                write(&mut random, rows, &mut statements);
            }
            statements
        };
        for sql in batch(&mut rows, 30) {
            sandbox.sql(&sql);
        }
        let before = rows.clone();
        let name = format!("{:03}_random", round + 2);
        let up = batch(&mut rows, 20).join(";\n");
        sandbox.migration(&name, &format!("{up};"), "");
        sandbox.ok(&["up", "-y"]);
        let left = rows.clone();
        for sql in batch(&mut rows, 20) {
            sandbox.sql(&sql);
        }
        let now = rows.clone();
        walk_back(&sandbox, &[]);
        rows = expected(&before, &left, &now);
        let is = |id: i64| {
            sandbox.value(&format!(
                "SELECT coalesce(max(concat(a, '/', b)), '-') FROM r WHERE id = {id}"
            ))
        };
        for id in 1..40 {
            let expected = rows
                .get(&id)
                .map_or("-".to_owned(), |row| format!("{}/{}", row.0, row.1));
            let of = |rows: &Rows| rows.get(&id).copied();
            assert_eq!(
                is(id),
                expected,
                "row {id} in round {round} of seed {seed}: {:?}, the migration left {:?}, then {:?}",
                of(&before),
                of(&left),
                of(&now)
            );
        }
        // It stays undone: the next one builds on what is there.
        sandbox.remove(&format!("migrations/{name}"));
    }
}
