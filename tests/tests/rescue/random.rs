//! Random writes after a migration, its rollback, random writes of the release before, and the migration again.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use walkback_tests::{Backend, Sandbox};

/// Values by key: a column that is there throughout and one that the migration adds and fills; and a table that it
/// makes and fills.
#[derive(Debug, Clone, Default)]
struct Model {
    rows: BTreeMap<i64, (i64, Option<i64>)>,
    made: BTreeMap<i64, i64>,
}

const KEYS: std::ops::Range<i64> = 1..25;

/// What the migration does.
const CHANGE: &str = "ALTER TABLE r ADD COLUMN d INTEGER;\nUPDATE r SET d = id * 10;\n\
    CREATE TABLE s (id INTEGER NOT NULL PRIMARY KEY, v INTEGER NOT NULL);\n\
    INSERT INTO s SELECT id, id FROM r WHERE id < 12;\nDELETE FROM r WHERE id = 99;";

impl Model {
    fn migrate(&mut self) {
        for (id, row) in &mut self.rows {
            row.1 = Some(id * 10);
        }
        self.made = self
            .rows
            .keys()
            .filter(|id| **id < 12)
            .map(|id| (*id, *id))
            .collect();
    }

    /// A write of the release before, or of the one after.
    fn write(&mut self, random: &mut StdRng, is_after: bool) -> String {
        let (id, value) = (random.random_range(KEYS), random.random_range(0..4));
        match random.random_range(0..if is_after { 8 } else { 3 }) {
            0 if !self.rows.contains_key(&id) => {
                self.rows.insert(id, (value, None));
                format!("INSERT INTO r (id, a) VALUES ({id}, {value})")
            }
            0 | 1 => {
                if let Some(row) = self.rows.get_mut(&id) {
                    row.0 = value;
                }
                format!("UPDATE r SET a = {value} WHERE id = {id}")
            }
            2 => {
                self.rows.remove(&id);
                format!("DELETE FROM r WHERE id = {id}")
            }
            3 | 4 => {
                let value = Some(value).filter(|value| *value > 0);
                if let Some(row) = self.rows.get_mut(&id) {
                    row.1 = value;
                }
                let shown = value.map_or("NULL".to_owned(), |value| value.to_string());
                format!("UPDATE r SET d = {shown} WHERE id = {id}")
            }
            5 if !self.made.contains_key(&id) => {
                self.made.insert(id, value);
                format!("INSERT INTO s VALUES ({id}, {value})")
            }
            5 | 6 => {
                if let Some(made) = self.made.get_mut(&id) {
                    *made = value;
                }
                format!("UPDATE s SET v = {value} WHERE id = {id}")
            }
            _ => {
                self.made.remove(&id);
                format!("DELETE FROM s WHERE id = {id}")
            }
        }
    }

    /// Writes what was written to a state between two moments, where it still fits.
    fn put_back(&mut self, left: &Self, then: &Self) {
        for (id, row) in &mut self.rows {
            let Some(was) = then.rows.get(id) else { continue };
            if left.rows.get(id).is_none_or(|left| left.1 != was.1) {
                row.1 = was.1;
            }
        }
        for id in KEYS {
            match (left.made.get(&id), then.made.get(&id), self.made.get(&id)) {
                (None, Some(was), None) => drop(self.made.insert(id, *was)),
                (Some(left), Some(was), Some(now)) if now == left => drop(self.made.insert(id, *was)),
                (Some(left), None, Some(now)) if now == left => drop(self.made.remove(&id)),
                _ => {}
            }
        }
    }

    fn assert_is_in(&self, sandbox: &Sandbox, when: &str) {
        for id in KEYS {
            let row = "SELECT coalesce(max(concat(a, '/', coalesce(d, 0))), '-') FROM r WHERE id = ";
            let made = "SELECT coalesce(max(concat(v, '')), '-') FROM s WHERE id = ";
            let expected = self.rows.get(&id);
            let expected = expected.map_or("-".to_owned(), |(a, d)| format!("{a}/{}", d.unwrap_or_default()));
            assert_eq!(
                sandbox.value(&format!("{row}{id}")),
                expected,
                "row {id} of r {when}"
            );
            let expected = self.made.get(&id).map_or("-".to_owned(), ToString::to_string);
            assert_eq!(
                sandbox.value(&format!("{made}{id}")),
                expected,
                "row {id} of s {when}"
            );
        }
    }
}

pub(crate) fn random_writes_come_back(backend: Backend) {
    let seed = walkback_tests::seed("rescue", backend);
    let mut random = StdRng::seed_from_u64(seed);
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    let begin = "CREATE TABLE r (id INTEGER NOT NULL PRIMARY KEY, a INTEGER NOT NULL);";
    sandbox.migration("001_begin", begin, "");
    sandbox.ok(&["up", "-y"]);
    let mut model = Model::default();
    let mut write = |model: &mut Model, count: u32, is_after: bool| {
        for _ in 0..count {
            sandbox.sql(&model.write(&mut random, is_after));
        }
    };
    write(&mut model, 25, false);
    sandbox.migration("002_change", CHANGE, "");
    sandbox.ok(&["up", "-y"]);
    model.migrate();
    // What came back counts as written since: what the migration itself leaves is what the next rollback compares with.
    let mut left = model.clone();
    let rounds = if backend == Backend::Sqlite { 12 } else { 4 };
    for round in 0..rounds {
        let when = format!("in round {round} of seed {seed}");
        write(&mut model, 30, true);
        let mut again = |model: &mut Model, left: &mut Model, count: u32| {
            let then = model.clone();
            sandbox.ok(&["rollback", "-n", "1", "-y"]);
            write(model, count, false);
            sandbox.ok(&["up", "-y"]);
            model.migrate();
            let made = model.clone();
            model.put_back(left, &then);
            *left = made;
        };
        again(&mut model, &mut left, 10);
        model.assert_is_in(&sandbox, &when);
        assert_eq!(super::waiting(&sandbox), 0, "{when}");
        // Each round begins anew.
        for id in KEYS {
            sandbox.sql(&format!("DELETE FROM r WHERE id = {id}"));
            sandbox.sql(&format!("DELETE FROM s WHERE id = {id}"));
        }
        model = Model::default();
        again(&mut model, &mut left, 25);
        model.assert_is_in(&sandbox, &format!("after it was emptied {when}"));
    }
}
