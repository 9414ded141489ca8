//! Random writes before, in and after migrations with definitions, against a model of what has to be there.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use walkback_tests::{Backend, Sandbox};

use super::walk_back_with_loss;

/// A row as the model has it: two columns that are there throughout, and one that some migrations drop.
type Row = (Option<i64>, Option<i64>, Option<i64>);
type Rows = BTreeMap<i64, Row>;

fn write(random: &mut StdRng, rows: &mut Rows, has_c: bool) -> String {
    let id = random.random_range(1..40);
    let value = Some(random.random_range(0..4)).filter(|value| *value > 0);
    let shown = value.map_or("NULL".to_owned(), |value| value.to_string());
    match random.random_range(0..5) {
        0 | 1 if !rows.contains_key(&id) => {
            let c = value.filter(|_| has_c);
            rows.insert(id, (value, Some(id), c));
            if has_c {
                format!("INSERT INTO r (id, a, b, c) VALUES ({id}, {shown}, {id}, {shown})")
            } else {
                format!("INSERT INTO r (id, a, b) VALUES ({id}, {shown}, {id})")
            }
        }
        2 => {
            rows.remove(&id);
            format!("DELETE FROM r WHERE id = {id}")
        }
        3 if has_c => {
            if let Some(row) = rows.get_mut(&id) {
                row.2 = value;
            }
            format!("UPDATE r SET c = {shown} WHERE id = {id}")
        }
        3 | 0 => {
            if let Some(row) = rows.get_mut(&id) {
                row.1 = value;
            }
            format!("UPDATE r SET b = {shown} WHERE id = {id}")
        }
        _ => {
            if let Some(row) = rows.get_mut(&id) {
                row.0 = value;
            }
            format!("UPDATE r SET a = {shown} WHERE id = {id}")
        }
    }
}

/// What is to be there: what was written since, and else what was before.
fn expected(before: &Rows, left: &Rows, now: &Rows, drops: bool) -> Rows {
    let cell = |before, left, now| if now == left { before } else { now };
    let mut rows = Rows::new();
    for id in 1..40 {
        let row = match (before.get(&id), left.get(&id), now.get(&id)) {
            (Some(before), Some(left), Some(now)) => Some((
                cell(before.0, left.0, now.0),
                cell(before.1, left.1, now.1),
                if drops {
                    before.2
                } else {
                    cell(before.2, left.2, now.2)
                },
            )),
            (None, Some(left), Some(now)) => (now != left).then_some(*now),
            (Some(before), None, None) => Some(*before),
            (_, _, now) => now.copied(),
        };
        rows.extend(row.map(|row| (id, row)));
    }
    rows
}

pub(crate) fn random_writes_outlive_definitions(backend: Backend) {
    let seed = walkback_tests::seed("surgical definitions", backend);
    let mut random = StdRng::seed_from_u64(seed);
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE r (id INTEGER NOT NULL PRIMARY KEY, a INTEGER, b INTEGER, c INTEGER);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let rounds = if backend == Backend::Sqlite { 12 } else { 4 };
    let mut rows = Rows::new();
    for round in 0..rounds {
        let drops = random.random_bool(0.5);
        let mut batch = |rows: &mut Rows, count: u32, has_c: bool| -> Vec<String> {
            (0..count).map(|_| write(&mut random, rows, has_c)).collect()
        };
        for sql in batch(&mut rows, 30, true) {
            sandbox.sql(&sql);
        }
        let before = rows.clone();
        let name = format!("{:03}_random", round + 2);
        let mut up = batch(&mut rows, 20, true);
        up.push("ALTER TABLE r ADD COLUMN d INTEGER DEFAULT 5".to_owned());
        if drops {
            up.push("ALTER TABLE r DROP COLUMN c".to_owned());
            rows.values_mut().for_each(|row| row.2 = None);
        }
        up.extend(batch(&mut rows, 10, !drops));
        // Of a destructive statement there is always a point.
        up.push("DELETE FROM r WHERE id = 41".to_owned());
        sandbox.migration(&name, &format!("{};", up.join(";\n")), "");
        sandbox.ok(&["up", "-y"]);
        let left = rows.clone();
        for sql in batch(&mut rows, 25, !drops) {
            sandbox.sql(&sql);
        }
        let now = rows.clone();
        walk_back_with_loss(&sandbox, &[]);
        rows = expected(&before, &left, &now, drops);
        for id in 1..40 {
            let is = sandbox.value(&format!(
                "SELECT coalesce(max(concat(coalesce(a, 0), '/', coalesce(b, 0), '/', coalesce(c, 0))), '-') FROM r WHERE id = {id}"
            ));
            let cell = Option::unwrap_or_default;
            let expected = rows.get(&id).map_or("-".to_owned(), |row| {
                format!("{}/{}/{}", cell(row.0), cell(row.1), cell(row.2))
            });
            let of = |rows: &Rows| rows.get(&id).copied();
            assert_eq!(
                is,
                expected,
                "row {id} in round {round} of seed {seed}: {:?}, the migration left {:?}, then {:?}; c dropped: {drops}",
                of(&before),
                of(&left),
                of(&now)
            );
        }
        // It stays undone: the next one builds on what is there.
        sandbox.remove(&format!("migrations/{name}"));
    }
}
