//! The process killed at random while it backs up, restores and prunes: nothing is lost, and no debris stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use serde_json::Value;
use walkback_tests::{Backend, Contents, ONE_OF_EACH, Sandbox, journeys, report};

fn main() -> ExitCode {
    walkback_tests::main(
        "vault_kills",
        &journeys! {
            ONE_OF_EACH => [
                kills_at_random_during_backups_restores_and_prunes_lose_nothing_and_leave_no_debris,
            ],
            &[Backend::Sqlite] => [
                a_prune_killed_at_any_step_has_removed_what_it_may_and_goes_on,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}

/// A database, and what is known of its vault.
struct Watched {
    sandbox: Sandbox,
    now: DateTime<Utc>,
    /// What the database held when each backup was made.
    backups: BTreeMap<String, Contents>,
    round: u32,
}

impl Watched {
    fn new(backend: Backend, rows: u32) -> Self {
        let sandbox = project(backend);
        sandbox.migration(
            "001_begin",
            "CREATE TABLE a (id INTEGER PRIMARY KEY, x VARCHAR(60)); CREATE TABLE b (id INTEGER PRIMARY KEY, y VARCHAR(60)); CREATE INDEX a_x ON a (x);",
            "",
        );
        let now = "2026-01-01T00:00:00Z".parse().expect("a moment");
        let mut watched = Self {
            sandbox,
            now,
            backups: BTreeMap::new(),
            round: 0,
        };
        watched.sandbox.ok_at(&watched.moment(), &["up", "-y"]);
        watched.sandbox.sql(&format!(
            "INSERT INTO a SELECT i, CONCAT('row number ', i) FROM {}",
            backend.numbers(rows)
        ));
        watched
            .sandbox
            .sql("INSERT INTO b SELECT id, x FROM a WHERE id % 3 = 0");
        watched.write();
        watched.to_the_end(&["backup", "create"]);
        watched.learn();
        watched
    }

    fn moment(&self) -> String {
        self.now.to_rfc3339()
    }

    /// An application writes.
    fn write(&mut self) {
        self.round += 1;
        let (round, residue) = (self.round, self.round % 7);
        self.sandbox.sql(&format!(
            "UPDATE a SET x = 'round {round}' WHERE id % 1000 = {residue}; INSERT INTO b VALUES ({}, 'round {round}')",
            100_000 + round
        ));
    }

    fn to_the_end(&self, arguments: &[&str]) -> Duration {
        let begun = Instant::now();
        self.sandbox.ok_at(&self.moment(), arguments);
        begun.elapsed()
    }

    /// Runs a command and kills it after a while. Returns whether it was still running.
    fn killed_after(&self, arguments: &[&str], after: Duration) -> bool {
        let mut command = self.sandbox.command(arguments);
        command.env("WALKBACK_TEST_NOW", self.moment());
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().expect("the binary starts");
        std::thread::sleep(after);
        let ended = child.try_wait().expect("the child can be asked").is_some();
        child.kill().expect("the child can be killed");
        child.wait().expect("the child ends");
        !ended
    }

    /// Returns the ids of all points and backups.
    fn ids(&self) -> BTreeSet<String> {
        let files = self.sandbox.vault_files("points");
        let names = files.iter().filter_map(|file| file.file_stem());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    /// Notes the contents of backups that were made since, before anything else was written.
    fn learn(&mut self) {
        for id in self.ids() {
            if id.starts_with("bk_") && !self.backups.contains_key(&id) {
                self.backups.insert(id, self.sandbox.contents());
            }
        }
    }

    fn planned_to_go(&self, prune: &[&str]) -> BTreeSet<String> {
        let plan = [prune, &["--dry-run", "--json"]].concat();
        let output = self.sandbox.ok_at(&self.moment(), &plan).json();
        let remove = output["plan"]["stores"][0]["remove"]
            .as_array()
            .expect("a list")
            .clone();
        let id = |point: &Value| point["id"].as_str().expect("an id").to_owned();
        remove.iter().map(id).collect()
    }

    /// Checks that no debris is left once everything is old: no unfinished file, no chunk that nothing names.
    fn assert_no_debris(&mut self) {
        self.now += TimeDelta::days(3);
        self.to_the_end(&["backup", "sweep"]);
        assert_eq!(
            self.sandbox.vault_files("tmp~"),
            [""; 0].map(std::path::PathBuf::from)
        );
        assert_eq!(
            self.sandbox.vault_files("removed"),
            [""; 0].map(std::path::PathBuf::from)
        );
        let mut named = BTreeSet::new();
        for file in self.sandbox.vault_files("points") {
            let text = fs::read_to_string(file).expect("it can be read");
            let manifest: Value = serde_json::from_str(&text).expect("it is JSON");
            for table in manifest["tables"].as_array().expect("a list") {
                let chunks = table["chunks"].as_array().expect("a list").iter();
                named.extend(chunks.map(|chunk| chunk["hash"].as_str().expect("a hash").to_owned()));
            }
        }
        let files = self.sandbox.vault_files("objects");
        let there: BTreeSet<_> = files
            .iter()
            .filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned()))
            .collect();
        assert_eq!(there, named, "chunks that nothing names, or that are gone");
    }
}

const PRUNE: [&str; 7] = [
    "backup",
    "prune",
    "--retention",
    "12h",
    "--keep",
    "last=3,daily=2",
    "-y",
];

/// Fifty kills, or two hundred with `WALKBACK_KILLS=all`, which take two minutes.
fn kills_at_random_during_backups_restores_and_prunes_lose_nothing_and_leave_no_debris(backend: Backend) {
    let all = std::env::var("WALKBACK_KILLS").is_ok_and(|kills| kills == "all");
    let wanted = if all { 200 } else { 50 };
    let mut random = rand::rng();
    let mut watched = Watched::new(backend, 3000);
    let mut kills: BTreeMap<&str, u32> = BTreeMap::new();
    let mut longest: BTreeMap<&str, Duration> = BTreeMap::new();
    let (mut restored, mut removed) = (0, 0);
    // More of them if no prune has come far enough to show anything.
    let go_on = |kills: u32, removed: usize| kills < wanted || removed == 0 && kills < 4 * wanted;
    while go_on(kills.values().sum(), removed) {
        watched.now += TimeDelta::hours(7);
        watched.write();
        let before = watched.sandbox.contents();
        let backups: Vec<String> = watched.backups.keys().cloned().collect();
        let chosen = backups.choose(&mut random).expect("a backup").clone();
        let restore = ["restore", &chosen, "-y"];
        let (kind, arguments): (&str, &[&str]) = match random.random_range(0..6) {
            0..=2 => ("backup", &["backup", "create"]),
            3 => ("restore", &restore),
            _ => ("prune", &PRUNE),
        };
        let points = watched.ids();
        let may_go = if kind == "prune" {
            watched.planned_to_go(&PRUNE)
        } else {
            BTreeSet::new()
        };
        let Some(&duration) = longest.get(kind) else {
            longest.insert(kind, watched.to_the_end(arguments));
            watched.backups.retain(|id, _| {
                watched
                    .sandbox
                    .path(&format!(".walkback/vault/points/{id}.json"))
                    .exists()
            });
            if kind == "backup" {
                watched.learn();
            }
            continue;
        };
        let after = duration.mul_f64(random.random_range(0.05..1.3));
        // How long a command takes depends on what else the machine does, and on how much is in the vault.
        if watched.killed_after(arguments, after) {
            *kills.entry(kind).or_default() += 1;
            if after > duration {
                longest.insert(kind, duration.mul_f64(1.3));
            }
        } else {
            longest.insert(kind, (duration + after) / 2);
        }
        watched.to_the_end(&["recover", "-y"]);
        let when = format!("{kind} killed after {after:?}");
        // The database is the old one or the new one.
        let now = watched.sandbox.contents();
        if now != before {
            assert_eq!(kind, "restore", "{when}: {}", now.difference(&before));
            watched.sandbox.assert_contents(&watched.backups[&chosen], &when);
            restored += 1;
        }
        watched.sandbox.assert_sound();
        // Every point that was complete is complete, unless it was to go.
        let left = watched.ids();
        let gone: BTreeSet<_> = points.difference(&left).cloned().collect();
        assert!(
            gone.is_subset(&may_go),
            "{when}: {gone:?} are gone, and only {may_go:?} might"
        );
        removed += gone.len();
        watched.backups.retain(|id, _| left.contains(id));
        if kind == "backup" {
            watched.learn();
        }
        watched.sandbox.ok(&["backup", "verify"]);
    }
    assert!(
        removed > 0,
        "no prune was killed while, or after, it removed something"
    );
    watched.to_the_end(&PRUNE);
    watched.backups.retain(|id, _| {
        watched
            .sandbox
            .path(&format!(".walkback/vault/points/{id}.json"))
            .exists()
    });
    watched.assert_no_debris();
    watched.sandbox.ok(&["backup", "verify"]);
    for (id, contents) in &watched.backups {
        watched.to_the_end(&["restore", id, "-y"]);
        watched.sandbox.assert_contents(contents, id);
    }
    let (total, brought) = (kills.values().sum::<u32>(), watched.backups.len());
    report(&format!(
        "vault on {backend}: {total} kills ({kills:?}), {restored} restores had happened all the same, {removed} points pruned, \
         {brought} backups restored at the end, no debris"
    ));
}

fn a_prune_killed_at_any_step_has_removed_what_it_may_and_goes_on(backend: Backend) {
    let setup = || {
        let mut watched = Watched::new(backend, 100);
        for _ in 0..3 {
            watched.now += TimeDelta::hours(1);
            watched.write();
            watched.to_the_end(&["backup", "create"]);
            watched.learn();
        }
        watched.now += TimeDelta::days(3);
        watched.to_the_end(&["backup", "prune", "--keep", "last=2", "-y"]);
        watched.now += TimeDelta::days(3);
        watched
    };
    let prune = ["backup", "prune", "--keep", "last=1", "-y"];
    let mut kills = 0;
    for step in 1.. {
        let mut watched = setup();
        let before = watched.sandbox.contents();
        let mut command = watched.sandbox.command(&prune);
        command
            .env("WALKBACK_TEST_NOW", watched.moment())
            .env("WALKBACK_TEST_KILL_AT", step.to_string());
        let output = command.output().expect("the binary starts");
        if output.status.success() {
            assert!(step > 5, "a prune has hardly any durable step");
            break;
        }
        kills += 1;
        watched.sandbox.assert_contents(&before, &format!("step {step}"));
        watched.sandbox.ok(&["backup", "verify"]);
        watched.to_the_end(&prune);
        assert_eq!(watched.ids().iter().filter(|id| id.starts_with("bk_")).count(), 1);
        watched.assert_no_debris();
        watched.sandbox.ok(&["backup", "verify"]);
    }
    report(&format!("prune on {backend}: {kills} kills, {kills} went on"));
}
