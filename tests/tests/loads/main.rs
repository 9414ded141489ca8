//! A restore that loads its shadows with several sessions, killed at its steps and at random: the database is as it
//! was, and the next restore brings everything back and leaves nothing behind.

mod tables;

use std::fs;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::seq::SliceRandom as _;
use walkback_tests::{Backend, Contents, Output, Sandbox, journeys, report};

fn main() -> ExitCode {
    walkback_tests::main(
        "loads",
        &journeys! {
            SIDE_BY_SIDE => [
                killed_while_it_loads_the_database_is_old_and_the_next_restore_leaves_no_shadow,
                an_index_that_was_made_since_is_kept_and_one_that_cannot_be_made_ahead_comes_back,
            ],
            &[Backend::Postgres] => [what_a_killed_restore_has_left_stands_in_the_way_of_no_migration],
        },
    )
}

/// Those whose restores can be loaded by several sessions. What the newest PostgreSQL does it does as the oldest.
const SIDE_BY_SIDE: &[Backend] = &[Backend::Postgres, Backend::Mysql, Backend::Mariadb];

/// How often to kill.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kills {
    /// In the usual run: at some of the steps.
    Few,
    /// With `WALKBACK_JOURNEYS=all`: once at each step that has a name of its own.
    Named,
    /// With `WALKBACK_KILLS=all`, which takes ten minutes on a server: at each step.
    All,
}

fn wanted() -> Kills {
    let is_all = |name: &str| std::env::var(name).is_ok_and(|which| which == "all");
    if is_all("WALKBACK_KILLS") {
        Kills::All
    } else if is_all("WALKBACK_JOURNEYS") {
        Kills::Named
    } else {
        Kills::Few
    }
}

/// A database from which so much is restored that several sessions load it, and a backup of it. Something was
/// written since.
struct Loaded {
    sandbox: Sandbox,
    backup: String,
    /// What the backup holds.
    then: Contents,
    /// What is there now.
    now: Contents,
}

impl Loaded {
    fn new(backend: Backend) -> Self {
        let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
        let configured = fs::read_to_string(sandbox.path("walkback.toml")).expect("it can be read");
        sandbox.write(
            "walkback.toml",
            &configured.replace("[env.dev]\n", "[env.dev]\njobs = 3\n"),
        );
        sandbox.migration("001_begin", &tables::definitions(backend), "");
        sandbox.ok(&["up", "-y"]);
        sandbox.sql(&tables::rows(backend));
        let (backup, then) = (sandbox.backup(), sandbox.contents());
        sandbox.sql(tables::written_since(backend));
        let now = sandbox.contents();
        assert_ne!(now, then);
        Self {
            sandbox,
            backup,
            then,
            now,
        }
    }

    fn restore(&self) -> [&str; 3] {
        ["restore", &self.backup, "-y"]
    }

    fn command(&self) -> Command {
        let mut command = self.sandbox.command(&self.restore());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Returns the steps of a restore from the one on that says that what it replaces is safe, in their order, and
    /// how long they take together.
    fn steps(&self) -> (Vec<String>, Duration) {
        let log = self.sandbox.path("steps");
        let begun = Instant::now();
        let ended = self.command().env("WALKBACK_TEST_STEPS", &log).status();
        let took = begun.elapsed();
        assert!(ended.expect("the binary starts").success());
        let text = fs::read_to_string(log).expect("steps were noted");
        let steps: Vec<String> = text.lines().map(str::to_owned).collect();
        let safe = steps.iter().position(|step| step == "point.noted");
        (steps[safe.expect("there is a safety point")..].to_vec(), took)
    }

    /// After a restore: everything is as it was, and only what was replaced is kept beside it.
    fn assert_restored(&self, when: &str) {
        let backend = self.sandbox.backend();
        self.sandbox.assert_contents(&self.then, when);
        self.sandbox.assert_sound();
        assert_eq!(left_over(&self.sandbox), [""; 0], "{when}");
        let mut session = self.sandbox.session();
        for (statement, why) in tables::REFUSED {
            let statement = tables::in_words_of(backend, statement);
            assert!(session.try_sql(&statement).is_err(), "{when}: {why}");
        }
    }

    /// Writes again what was written after the backup, so that the next restore has the same to do.
    fn write_again(&self, when: &str) {
        self.sandbox.ok(&["purge", "--all", "-y"]);
        self.sandbox.sql(tables::written_since(self.sandbox.backend()));
        self.sandbox.assert_contents(
            &self.now,
            &format!("{when}: keys and counters go on from where they were"),
        );
    }
}

/// Returns the names of tables, indexes and the like that only a restore that was killed leaves behind.
fn left_over(sandbox: &Sandbox) -> Vec<String> {
    let sql = if sandbox.backend().is_postgres() {
        "SELECT string_agg(relname, ' ') FROM pg_class WHERE relkind IN ('r', 'p', 'i', 'I', 'S') \
         AND relname ~ '^_walkback_(shadow|old|swap|[0-9a-f]{16}$)'"
    } else {
        "SELECT GROUP_CONCAT(table_name SEPARATOR ' ') FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name REGEXP '^_walkback_(shadow|old|swap)'"
    };
    let found = sandbox.value(sql);
    let words = found
        .split(' ')
        .filter(|word| *word != "NULL" && !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Returns where to be killed: in the usual run at one or two of those steps at which shadows are there that no
/// transaction will take back, and at as many others.
fn chosen(backend: Backend, steps: &[String]) -> Vec<(String, usize)> {
    let mut random = rand::rng();
    let count = |name: &String| steps.iter().filter(|step| *step == name).count();
    let mut names = steps.to_vec();
    names.sort();
    names.dedup();
    if wanted() == Kills::All {
        let each = names.iter().map(|name| (name, count(name)));
        return each
            .flat_map(|(name, count)| (1..=count).map(|number| (name.clone(), number)))
            .collect();
    }
    names.shuffle(&mut random);
    let (loading, others): (Vec<_>, Vec<_>) = names
        .into_iter()
        .partition(|name| LOADING.contains(&name.as_str()));
    let most = match wanted() {
        Kills::Few if backend.is_mysql() => 1,
        Kills::Few => 2,
        Kills::Named | Kills::All => usize::MAX,
    };
    let few = |names: Vec<String>| names.into_iter().take(most);
    few(loading)
        .chain(few(others))
        .map(|name| {
            let number = random.random_range(1..=count(&name));
            (name, number)
        })
        .collect()
}

/// The steps while shadows are made and loaded.
const LOADING: [&str; 3] = ["restore.shadow-made", "restore.part-loaded", "restore.indexed"];

fn killed_while_it_loads_the_database_is_old_and_the_next_restore_leaves_no_shadow(backend: Backend) {
    let loaded = Loaded::new(backend);
    let sandbox = &loaded.sandbox;
    let (steps, longest) = loaded.steps();
    loaded.assert_restored("a restore that nobody killed");
    for step in LOADING {
        assert!(steps.iter().any(|found| found == step), "no {step}: {steps:?}");
    }
    let mut random = rand::rng();
    let (mut kills, mut left) = (0, 0);
    for (name, number) in chosen(backend, &steps) {
        loaded.write_again(&name);
        let when = format!("killed at {name} {number}");
        let mut command = loaded.command();
        let status = command
            .env("WALKBACK_TEST_KILL_AT", format!("{name} {number}"))
            .status();
        assert!(!status.expect("the binary starts").success(), "{when}: it ended");
        kills += 1;
        left += usize::from(!left_over(sandbox).is_empty());
        settle(&loaded, &steps, &name, &when);
    }
    let at_random = match wanted() {
        Kills::Few => 1,
        Kills::Named => 4,
        Kills::All => 20,
    };
    for _ in 0..at_random {
        loaded.write_again("at random");
        let after = longest.mul_f64(random.random_range(0.2..1.0));
        let mut child = loaded.command().spawn().expect("the binary starts");
        std::thread::sleep(after);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        kills += 1;
        left += usize::from(!left_over(sandbox).is_empty());
        settle(&loaded, &steps, "", &format!("killed after {after:?}"));
    }
    report(&format!(
        "restores that load side by side on {backend}: {kills} kills, {left} of them left shadows, none are left"
    ));
    assert!(left >= 1, "no kill came while shadows were there");
}

/// After a kill the database is old, unless the exchange had come to its end; and it is restored by the next attempt.
fn settle(loaded: &Loaded, steps: &[String], name: &str, when: &str) {
    let sandbox = &loaded.sandbox;
    let place = |step: &str| steps.iter().rposition(|found| found == step);
    let is_before = |end: &str| place(name).is_some_and(|here| place(end).is_none_or(|end| here < end));
    // Where tables are exchanged one after another, a kill in between is put right first.
    let is_old = is_before("restore.committed") && is_before("restore.swapped");
    if is_old {
        sandbox.assert_contents(&loaded.now, &format!("{when}, before anything else was run"));
    }
    if !is_old || rand::rng().random() {
        sandbox.ok(&["recover", "-y"]);
        assert_eq!(left_over(sandbox), [""; 0], "{when}: after recovering");
        let found = sandbox.contents();
        if is_old || found != loaded.then {
            sandbox.assert_contents(&loaded.now, &format!("{when}: neither old nor new"));
        }
        sandbox.assert_sound();
    }
    let output = sandbox.ok(&loaded.restore());
    assert!(!output.stderr.contains("panicked"), "{}", output.transcript());
    loaded.assert_restored(when);
}

fn an_index_that_was_made_since_is_kept_and_one_that_cannot_be_made_ahead_comes_back(backend: Backend) {
    let loaded = Loaded::new(backend);
    let sandbox = &loaded.sandbox;
    let output: Output = sandbox.ok(&["restore", &loaded.backup, "--table", "wide", "-y"]);
    let said = "index `made since` was created since, and is kept";
    assert!(
        output.stdout.contains(said) || output.stderr.contains(said),
        "{}",
        output.transcript()
    );
    let found = sandbox.contents();
    assert_eq!(found.rows["wide"], loaded.then.rows["wide"]);
    let of_wide = |contents: &Contents| {
        let facts = contents.definitions.iter();
        facts
            .filter(|(name, fact)| name.contains("wide") || fact.contains("wide"))
            .map(|(name, fact)| (name.clone(), fact.clone()))
            .collect::<Vec<_>>()
    };
    let (mut was, is) = (of_wide(&loaded.then), of_wide(&found));
    let kept = of_wide(&loaded.now)
        .into_iter()
        .filter(|(name, _)| name.contains("made since"));
    was.extend(kept);
    was.sort();
    assert_eq!(is, was);
    assert_eq!(left_over(sandbox), [""; 0]);

    // The whole backup knows nothing of it, but of a function without which an index cannot be made.
    if backend.is_postgres() {
        sandbox.sql("DROP INDEX shouted; DROP FUNCTION shout");
    }
    let output = sandbox.ok(&loaded.restore());
    assert!(!output.stderr.contains(said), "{}", output.transcript());
    loaded.assert_restored("all of it");
}

fn what_a_killed_restore_has_left_stands_in_the_way_of_no_migration(backend: Backend) {
    let loaded = Loaded::new(backend);
    let sandbox = &loaded.sandbox;
    let mut command = loaded.command();
    command.env("WALKBACK_TEST_KILL_AT", "restore.loaded-ahead");
    assert!(!command.status().expect("the binary starts").success());
    assert!(!left_over(sandbox).is_empty());
    let backup = sandbox.backup();
    let shown = sandbox.ok(&["backup", "show", &backup]);
    assert!(
        !shown.stdout.contains("_walkback_shadow"),
        "{}",
        shown.transcript()
    );
    sandbox.migration(
        "002_other_moods",
        "ALTER TABLE \"user\" DROP COLUMN mood; DROP TYPE mood;",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&loaded.now, "the migration is walked back");
    assert_eq!(left_over(sandbox), [""; 0]);
}
