//! Random sequences of migrations, application writes, rollbacks, restores and kills, against what was seen
//! before each of them.
//!
//! `WALKBACK_MODEL_SEED` repeats a sequence that failed; `WALKBACK_MODEL_ROUNDS` asks for more of them,
//! `WALKBACK_MODEL_MINUTES` for as many as that time takes.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use walkback_tests::{Backend, Contents, ONE_OF_EACH, Output, Sandbox, journeys, report};

fn main() -> ExitCode {
    walkback_tests::main(
        "model",
        &journeys! { ONE_OF_EACH => [random_sequences_never_leave_what_was_not_there] },
    )
}

/// Returns the type of a key that need not be given.
fn key(backend: Backend) -> &'static str {
    if backend == Backend::Sqlite {
        "INTEGER PRIMARY KEY"
    } else {
        backend.counted_key()
    }
}

fn begin(backend: Backend) -> String {
    let key = key(backend);
    let reference = |action: &str| format!("p INTEGER, FOREIGN KEY (p) REFERENCES p (id) ON DELETE {action}");
    let rowid = if backend == Backend::Sqlite {
        " WITHOUT ROWID"
    } else {
        ""
    };
    let plain = if backend == Backend::Sqlite {
        "INTEGER PRIMARY KEY"
    } else {
        key
    };
    format!(
        "CREATE TABLE p (id {key}, a VARCHAR(200));\n\
         CREATE TABLE c (id {key}, a VARCHAR(200), {});\n\
         CREATE TABLE s (id {}, a VARCHAR(200), {});\n\
         CREATE TABLE w (id {plain}, a VARCHAR(200)){rowid};\n\
         CREATE TABLE log (id {key}, a VARCHAR(200));\n\
         CREATE INDEX w_a ON w (a);\nCREATE VIEW v AS SELECT id, a FROM w;\n{}\n\
         INSERT INTO p VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four');\n\
         INSERT INTO c SELECT id, CONCAT('c', a), id FROM p; INSERT INTO s (a, p) SELECT a, id FROM p; INSERT INTO w SELECT id, a FROM p;{}",
        reference("CASCADE"),
        backend.counted_key(),
        reference("SET NULL"),
        backend.trigger("p_log", "AFTER UPDATE", "p", "INSERT INTO log (a) VALUES (old.a)"),
        if backend.is_postgres() {
            // Rows that bring their key do not move its counter there.
            "\nSELECT setval(pg_get_serial_sequence(t, 'id'), 10) FROM (VALUES ('p'), ('c'), ('w')) AS of_table (t);"
        } else {
            ""
        }
    )
}

/// An applied migration.
#[derive(Debug, Clone)]
struct Applied {
    id: String,
    before: Contents,
    /// Whether the application has written since.
    dirty: bool,
    /// Tables that it changed.
    changed: BTreeSet<String>,
}

struct Model {
    sandbox: Sandbox,
    random: StdRng,
    number: usize,
    applied: Vec<Applied>,
    pending: Vec<String>,
    /// What happened, for the message of a failure.
    story: Vec<String>,
}

fn random_sequences_never_leave_what_was_not_there(backend: Backend) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("WALKBACK_MODEL_SEED").unwrap_or_else(|| rand::rng().random());
    let rounds = number("WALKBACK_MODEL_ROUNDS").unwrap_or(if backend == Backend::Sqlite { 12 } else { 3 });
    // Or for so long, however many that are.
    let minutes = number("WALKBACK_MODEL_MINUTES").map(|minutes| Duration::from_secs(60 * minutes));
    let (mut operations, began) = (0, Instant::now());
    for round in 0.. {
        let is_over = match minutes {
            Some(minutes) => began.elapsed() >= minutes,
            None => round >= rounds,
        };
        if is_over {
            break;
        }
        let seed = seed.wrapping_add(round);
        report(&format!("model on {backend}: WALKBACK_MODEL_SEED={seed}"));
        let mut model = Model::new(backend, seed);
        for _ in 0..14 {
            model.step();
            operations += 1;
        }
    }
    report(&format!(
        "model on {backend}: {operations} operations from seed {seed} on, in {} s",
        began.elapsed().as_secs()
    ));
}

impl Model {
    fn new(backend: Backend, seed: u64) -> Self {
        let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
        sandbox.migration("001_begin", &begin(backend), "");
        sandbox.ok(&["up", "-y"]);
        Self {
            sandbox,
            random: StdRng::seed_from_u64(seed),
            number: 1,
            applied: Vec::new(),
            pending: Vec::new(),
            story: vec![format!("WALKBACK_MODEL_SEED={seed} WALKBACK_MODEL_ROUNDS=1")],
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..13) {
            0..=4 => self.up(),
            5..=7 => self.write(),
            8..=10 if !self.applied.is_empty() => self.roll_back(),
            11 => self.back_up_and_restore(),
            12 => self.purge(),
            _ => self.up(),
        }
    }

    #[track_caller]
    fn check(&self, holds: bool, what: &str) {
        assert!(holds, "{what}\n{}", self.story.join("\n"));
    }

    #[track_caller]
    fn same(&self, expected: &Contents, what: &str) {
        let found = self.sandbox.contents();
        assert!(
            found == *expected,
            "{what}\n{}\n{}",
            found.difference(expected),
            self.story.join("\n")
        );
    }

    fn pick(&mut self, from: &[&str]) -> String {
        from[self.random.random_range(0..from.len())].to_owned()
    }

    fn table(&mut self) -> String {
        let tables: Vec<String> = self.sandbox.contents().rows.into_keys().collect();
        tables[self.random.random_range(0..tables.len())].clone()
    }

    /// Makes up a statement over what is there; it need not succeed.
    fn statement(&mut self) -> String {
        let (k, t) = (self.number, self.table());
        let backend = self.sandbox.backend();
        let key = key(backend);
        let n = self.random.random_range(0..100);
        match self.random.random_range(0..16) {
            0 => format!(
                "CREATE TABLE t{k}_{n} (id {key}, a VARCHAR(200), p INTEGER, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE);\n\
                 INSERT INTO t{k}_{n} (a) VALUES ('new'), (NULL);"
            ),
            1 => format!("ALTER TABLE {t} ADD COLUMN n{k}_{n} VARCHAR(20) DEFAULT 'd';"),
            2 => format!(
                "ALTER TABLE {t} RENAME TO r{k}_{n};\nUPDATE r{k}_{n} SET a = 'renamed' WHERE id = 1;"
            ),
            3 => format!("ALTER TABLE {t} RENAME COLUMN a TO b{n};"),
            4 => format!("DROP TABLE {t};"),
            5 => format!("UPDATE {t} SET a = CONCAT(coalesce(a, ''), '{n}');"),
            6 => format!("DELETE FROM {t} WHERE id % 2 = {};", n % 2),
            7 => format!("INSERT INTO {t} (a) VALUES ('row {n}');"),
            8 => format!("CREATE INDEX i{k}_{n} ON {t} (a);"),
            9 => format!("CREATE VIEW v{k}_{n} AS SELECT * FROM {t};"),
            10 => backend.trigger(
                &format!("tr{k}_{n}"),
                "AFTER UPDATE",
                &t,
                "DELETE FROM w WHERE id = new.id",
            ),
            11 => {
                let index = format!("{};", backend.drop_index("w_a", "w"));
                let trigger = format!("{};", backend.drop_trigger("p_log", "p"));
                self.pick(&["DROP VIEW v;", &index, &trigger])
            }
            12 if backend.is_postgres() => {
                format!(
                    "INSERT INTO {t} (id, a) VALUES ({}, 'replaced') ON CONFLICT (id) DO UPDATE SET a = 'replaced';",
                    n % 5
                )
            }
            12 => format!("REPLACE INTO {t} (id, a) VALUES ({}, 'replaced');", 1 + n % 5),
            13 => format!("ALTER TABLE {t} DROP COLUMN a;"),
            14 => format!(
                "CREATE TABLE new_{k} (id {key}, a VARCHAR(200) NOT NULL DEFAULT '');\n\
                 INSERT INTO new_{k} SELECT id, coalesce(a, '') FROM {t};\nDROP TABLE {t};\nALTER TABLE new_{k} RENAME TO {t};"
            ),
            _ => format!("DELETE FROM p WHERE id = {};", n % 5),
        }
    }

    fn new_migration(&mut self) {
        self.number += 1;
        let mut up = String::new();
        if self.random.random_ratio(1, 6) {
            up.push_str("-- walkback: transaction=off\n");
        }
        for _ in 0..self.random.random_range(1..4) {
            up.push_str(&self.statement());
            up.push('\n');
        }
        let down = self.pick(&[
            "",
            "",
            "",
            "SELECT 1;",
            "DROP TABLE no_such_table;",
            "CREATE TABLE left_over (x INTEGER);",
        ]);
        let name = format!("{:03}_m", self.number);
        self.sandbox.migration(&name, &up, &down);
        self.story
            .push(format!("migration {name}: up {up:?} down {down:?}"));
        self.pending.push(name);
    }

    /// Runs a command, killed at some step in one of a few cases; then recovers.
    fn run(&mut self, arguments: &[&str]) -> Option<Output> {
        if self.random.random_ratio(1, 5) {
            let step = self.random.random_range(1..16);
            self.story.push(format!("{arguments:?} killed at step {step}"));
            if self.sandbox.killed_at(step, arguments).is_some() {
                self.recover();
                return None;
            }
            self.story.push("it ended before".to_owned());
            // It did what it was to do: the caller looks at what is there.
            return None;
        }
        let output = self.sandbox.run(arguments);
        self.story.push(output.transcript());
        let settled = matches!(output.code, Some(0 | 1 | 2 | 6));
        self.check(settled, "an exit code that nobody expects");
        Some(output)
    }

    /// Goes back or forward, as it comes; what cannot go forward goes back.
    fn recover(&mut self) {
        if self.random.random_ratio(1, 2) {
            let output = self.sandbox.run(&["recover", "--forward", "-y"]);
            self.story.push(output.transcript());
            if output.code == Some(0) {
                return;
            }
            self.check(output.code == Some(4), "a recover that cannot go forward");
        }
        let output = self.sandbox.run(&["recover", "-y"]);
        self.story.push(output.transcript());
        self.check(output.code == Some(0), "a killed run is not recovered");
    }

    /// Drops what restores have replaced: nobody sees that.
    fn purge(&mut self) {
        let before = self.sandbox.contents();
        let output = self.sandbox.run(&["purge", "--all", "-y"]);
        self.story.push(output.transcript());
        self.check(output.code == Some(0), "a purge");
        self.same(&before, "a purge has changed what the application sees");
    }

    /// Returns how many migrations of the model count as applied.
    fn count(&self) -> usize {
        let applied = self.sandbox.status()["applied"].as_u64().expect("a count");
        usize::try_from(applied).expect("a small count") - 1
    }

    fn up(&mut self) {
        if self.pending.is_empty() {
            self.new_migration();
        }
        let name = self.pending[0].clone();
        let before = self.sandbox.contents();
        let output = self.run(&["up", "-n", "1", "-y"]);
        if self.count() == self.applied.len() {
            self.same(&before, "an up that was not applied has changed something");
            if output.is_some() {
                for name in std::mem::take(&mut self.pending) {
                    self.sandbox.remove(&format!("migrations/{name}"));
                }
            }
            return;
        }
        self.pending.remove(0);
        let after = self.sandbox.contents();
        let names = before.rows.keys().chain(after.rows.keys());
        let changed = names
            .filter(|name| {
                before.rows.get(*name) != after.rows.get(*name)
                    || definitions_of(&before, name) != definitions_of(&after, name)
            })
            .cloned()
            .collect();
        self.applied.push(Applied {
            id: name[..3].to_owned(),
            before,
            dirty: false,
            changed,
        });
    }

    fn write(&mut self) {
        let table = self.table();
        let n = self.random.random_range(0..100);
        let sql = match self.random.random_range(0..3) {
            0 => format!("INSERT INTO {table} (a) VALUES ('app {n}')"),
            1 => format!("UPDATE {table} SET a = 'app {n}' WHERE id = {}", n % 5),
            _ => format!("DELETE FROM {table} WHERE id = {}", n % 5),
        };
        let before = self.sandbox.contents();
        let done = self.sandbox.session().try_sql(&sql).is_ok();
        self.story.push(format!("application: {sql} ({done})"));
        if self.sandbox.contents() != before {
            self.applied.iter_mut().for_each(|one| one.dirty = true);
        }
    }

    fn roll_back(&mut self) {
        let count = self.random.random_range(1..=self.applied.len().min(3));
        let keep = self.applied.len() - count;
        let to = keep
            .checked_sub(1)
            .map_or("001".to_owned(), |last| self.applied[last].id.clone());
        let arguments = match self.random.random_range(0..3) {
            0 => vec!["rollback".to_owned(), "--to".to_owned(), to],
            1 => vec![
                "rollback".to_owned(),
                "-n".to_owned(),
                count.to_string(),
                "--type".to_owned(),
                "full".to_owned(),
            ],
            _ => vec!["rollback".to_owned(), "-n".to_owned(), count.to_string()],
        };
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let before = self.sandbox.contents();
        let stack = self.applied.clone();
        arguments.push("--dry-run");
        let planned = self.sandbox.run(&arguments);
        arguments.pop();
        arguments.push("-y");
        let output = self.run(&arguments);
        let left = self.count();
        self.check(
            (keep..=stack.len()).contains(&left),
            "more was walked back than was asked for",
        );
        self.judge(&stack, left, &before, &planned);
        let undone = self.applied.split_off(left);
        let names = undone.iter().map(|one| format!("{}_m", one.id));
        self.pending = names.chain(std::mem::take(&mut self.pending)).collect();
        let succeeded = output.is_some_and(|output| output.code == Some(0));
        if succeeded && left == keep && self.random.random_ratio(1, 2) {
            let output = self.sandbox.run(&["rollback", "-y"]);
            self.story.push(output.transcript());
            self.check(output.code == Some(0), "a rollback could not be walked back");
            self.same(&before, "the rollback of a rollback");
            self.pending.drain(..stack.len() - left);
            self.applied = stack;
        }
    }

    fn judge(&self, stack: &[Applied], left: usize, before: &Contents, planned: &Output) {
        let Some(oldest) = stack.get(left) else {
            return self.same(
                before,
                "a rollback that walked nothing back has changed something",
            );
        };
        if !oldest.dirty {
            return self.same(&oldest.before, "walked back, and not as it was before");
        }
        let after = self.sandbox.contents();
        for (table, rows) in &before.rows {
            let changed = stack[left..].iter().any(|one| one.changed.contains(table));
            let named = planned.stdout.contains(&format!("`{table}`"));
            if !changed && !named {
                self.check(
                    after.rows.get(table) == Some(rows),
                    &format!("`{table}` was not to change"),
                );
            }
        }
    }

    fn back_up_and_restore(&mut self) {
        let before = self.sandbox.contents();
        let id = self.sandbox.backup();
        let stack = self.applied.clone();
        self.story.push(format!("backup {id}"));
        for _ in 0..2 {
            self.up();
            self.write();
        }
        let output = self.sandbox.run(&["restore", &id, "-y"]);
        self.story.push(output.transcript());
        self.check(output.code == Some(0), "a backup could not be restored");
        self.same(&before, "a restored backup");
        let undone = self.applied.split_off(stack.len());
        let names = undone.iter().map(|one| format!("{}_m", one.id));
        self.pending = names.chain(std::mem::take(&mut self.pending)).collect();
        self.applied = stack;
    }
}

/// Returns the definitions that have to do with a table: those whose name holds its name.
fn definitions_of<'c>(contents: &'c Contents, table: &str) -> Vec<(&'c String, &'c String)> {
    let definitions = contents.definitions.iter();
    definitions
        .filter(|(name, _)| name.split([' ', '.']).any(|word| word == table))
        .collect()
}
