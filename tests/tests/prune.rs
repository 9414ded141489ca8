//! Pruning, through the binary: what no rule keeps goes, what something needs stays, and space is given back.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use serde_json::Value;
use walkback_tests::{Backend, ONE_OF_EACH, Output, Sandbox, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "prune",
        &journeys! {
            ONE_OF_EACH => [
                what_a_migration_left_stays_as_long_as_the_point_before_it,
                what_no_rule_keeps_goes_and_what_something_needs_stays,
                points_of_another_database_in_the_same_vault_stay,
                pruning_beside_backups_takes_nothing_from_them,
            ],
            &[Backend::Sqlite] => [
                a_dry_run_shows_the_plan_and_changes_nothing,
                without_a_rule_pruning_is_refused_with_an_example,
                nothing_goes_before_somebody_has_confirmed,
                a_damaged_point_is_kept_and_named_and_no_space_is_given_back,
                space_is_given_back_a_day_later_and_unfinished_files_at_once,
                points_of_another_database_of_the_same_name_stay,
                a_rollback_that_can_be_walked_back_keeps_what_it_would_need,
                an_environment_may_prune_by_itself,
                the_only_backup_of_everything_stays_and_backups_of_tables_count_for_themselves,
                a_configuration_that_makes_no_sense_is_pointed_at,
            ],
        },
    )
}

/// Without a key: there is one point for each migration.
fn project(backend: Backend) -> Sandbox {
    project_of(backend, "id INTEGER, a VARCHAR(40)")
}

fn project_of(backend: Backend, columns: &str) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration("001_begin", &format!("CREATE TABLE t ({columns});"), "");
    sandbox.migration("002_change", "UPDATE t SET a = upper(a);", "");
    sandbox
}

/// A database to which both migrations were applied on the first of January, with a backup of each of the days
/// after it, at noon.
fn with_backups(backend: Backend, days: u32) -> Sandbox {
    let sandbox = project(backend);
    sandbox.ok_at("2026-01-01T10:00:00Z", &["up", "-n", "1", "-y"]);
    sandbox.sql("INSERT INTO t VALUES (1, 'x')");
    sandbox.ok_at("2026-01-01T11:00:00Z", &["up", "-y"]);
    for day in 2..2 + days {
        sandbox.sql(&format!("INSERT INTO t VALUES ({day}, 'day {day}')"));
        sandbox.ok_at(&noon(day), &["backup", "create"]);
    }
    sandbox
}

fn noon(day: u32) -> String {
    format!("2026-01-{day:02}T12:00:00Z")
}

/// Returns all points and backups, as `backup prune --dry-run` would have them.
fn ids(sandbox: &Sandbox) -> Vec<String> {
    let name = |path: &std::path::PathBuf| {
        let name = path.file_stem().expect("a file has a name");
        name.to_string_lossy().into_owned()
    };
    sandbox.vault_files("points").iter().map(name).collect()
}

/// Returns what goes and what stays, each with why.
fn verdicts(output: &Output) -> (Vec<String>, BTreeMap<String, String>) {
    let plan = &output.json()["plan"]["stores"][0];
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = |name: &str| plan[name].as_array().expect("a list").clone();
    let goes = list("remove").iter().map(|point| text(&point["id"])).collect();
    let why = |point: &Value| {
        let why: Vec<_> = point["why"]
            .as_array()
            .expect("a list")
            .iter()
            .map(text)
            .collect();
        (text(&point["id"]), why.join("; "))
    };
    (goes, list("keep").iter().map(why).collect())
}

fn what_a_migration_left_stays_as_long_as_the_point_before_it(backend: Backend) {
    let sandbox = project_of(backend, "id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(40)");
    sandbox.ok_at("2026-01-01T10:00:00Z", &["up", "-n", "1", "-y"]);
    sandbox.sql("INSERT INTO t VALUES (1, 'x')");
    sandbox.ok_at("2026-01-01T11:00:00Z", &["up", "-y"]);
    for day in [2, 3] {
        sandbox.ok_at(&noon(day), &["backup", "create"]);
    }
    let output = sandbox.ok_at(
        &noon(11),
        &["backup", "prune", "--keep", "daily=1", "-y", "--json"],
    );
    let (goes, stays) = verdicts(&output);
    assert_eq!(goes, ["bk_20260102_120000"]);
    for kept in ["rb_002_change_20260101_110000", "ch_002_change_20260101_110000"] {
        let why = stays.get(kept).map(String::as_str).unwrap_or_default();
        assert!(
            why.contains("`002_change` is applied, and walked back with it"),
            "{kept}: {why}"
        );
    }
    let done = sandbox.ok(&["rollback", "-n", "1", "-y", "--json"]).json();
    assert_eq!(done["plan"]["kind"], "surgical", "{done}");
    assert_eq!(sandbox.value("SELECT a FROM t"), "x");
}

fn what_no_rule_keeps_goes_and_what_something_needs_stays(backend: Backend) {
    let sandbox = with_backups(backend, 9);
    let before = sandbox.contents();
    let output = sandbox.ok_at(
        &noon(11),
        &["backup", "prune", "--keep", "last=2,weekly=2", "-y", "--json"],
    );
    let (goes, stays) = verdicts(&output);
    let backup = |day: u32| format!("bk_202601{day:02}_120000");
    assert_eq!(goes, [8, 7, 6, 5, 3, 2].map(backup));
    let why: Vec<_> = stays.iter().map(|(id, why)| format!("{id}: {why}")).collect();
    let point = "rb_002_change_20260101_110000: `002_change` is applied, and walked back with it; the last one; \
                 newest of the week 2026-W01";
    // MySQL and MariaDB make a point before each script that is no transaction.
    let why: Vec<_> = why.iter().filter(|why| !why.starts_with("rb_001")).collect();
    assert_eq!(
        why,
        [
            "bk_20260104_120000: newest of the week 2026-W01",
            "bk_20260109_120000: number 2 of the last 2",
            "bk_20260110_120000: the newest backup of everything; the last one; newest of the week 2026-W02",
            point,
        ]
    );
    assert_eq!(ids(&sandbox), stays.into_keys().collect::<Vec<_>>());
    assert_eq!(
        output.json()["report"]["stores"][0]["removed"]
            .as_array()
            .map(Vec::len),
        Some(6)
    );
    // What is left is whole, and still leads back.
    sandbox.ok(&["backup", "verify"]);
    sandbox.assert_contents(&before, "pruning leaves the database alone");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT a FROM t WHERE id = 1"), "x");
}

fn points_of_another_database_in_the_same_vault_stay(backend: Backend) {
    let ours = with_backups(backend, 3);
    let theirs = project(backend);
    if backend == Backend::Sqlite {
        let text = fs::read_to_string(theirs.path("walkback.toml")).expect("it is there");
        theirs.write("walkback.toml", &text.replace("app.db", "other.db"));
    }
    fs::remove_dir_all(theirs.path(".walkback")).ok();
    std::os::unix::fs::symlink(ours.path(".walkback"), theirs.path(".walkback")).expect("a link can be made");
    theirs.ok_at("2026-01-01T10:00:01Z", &["up", "-y"]);
    theirs.ok_at("2026-01-02T12:00:01Z", &["backup", "create"]);
    theirs.ok_at("2026-01-03T12:00:01Z", &["backup", "create"]);
    let (goes, stays) =
        verdicts(&ours.ok_at(&noon(9), &["backup", "prune", "--keep", "last=1", "-y", "--json"]));
    assert_eq!(goes, ["bk_20260103_120000", "bk_20260102_120000"]);
    let other = stays["bk_20260103_120001"].clone();
    assert!(other.starts_with("it is of another database, `"), "{other}");
    let (goes, stays) =
        verdicts(&theirs.ok_at(&noon(9), &["backup", "prune", "--keep", "last=1", "-y", "--json"]));
    assert_eq!(goes, ["bk_20260102_120001"]);
    assert!(stays["bk_20260104_120000"].starts_with("it is of another database"));
    ours.ok(&["rollback", "-y"]);
    theirs.ok(&["backup", "verify"]);
}

fn pruning_beside_backups_takes_nothing_from_them(backend: Backend) {
    let sandbox = project(backend);
    sandbox.ok(&["up", "-y"]);
    sandbox.sql(&format!(
        "INSERT INTO t SELECT i, CONCAT('row number ', i) FROM {}",
        backend.numbers(20_000)
    ));
    let mut made = 0;
    for round in 0..4 {
        sandbox.sql(&format!(
            "UPDATE t SET a = 'round {round}' WHERE id % 97 = {round}"
        ));
        let mut backup = sandbox.spawn(&["backup", "create"]);
        let mut pruned = 0;
        while backup.try_wait().expect("the child can be asked").is_none() {
            sandbox.ok(&["backup", "prune", "--keep", "last=1", "-y"]);
            pruned += 1;
        }
        assert!(pruned > 0);
        assert!(backup.wait().expect("the child ends").success());
        made += 1;
        sandbox.ok(&["backup", "verify"]);
    }
    let left = ids(&sandbox).iter().filter(|id| id.starts_with("bk_")).count();
    assert!((1..=2).contains(&left), "{left} of {made} are left");
}

fn a_dry_run_shows_the_plan_and_changes_nothing(backend: Backend) {
    let sandbox = with_backups(backend, 3);
    let before = sandbox.vault_files("");
    let output = sandbox.ok_at(&noon(5), &["backup", "prune", "--retention", "36h", "--dry-run"]);
    insta::assert_snapshot!(output.transcript(), @r"
    $ walkback backup prune --retention 36h --dry-run
    exit: 0
    --- stdout
    prune on app.db (environment `dev`)
      .walkback/vault: 2 go of 4 backups and points
             id                             made at                  kind             why
      stays  bk_<time>             <time>  backup           the newest backup of everything; younger than 36 hours
      goes   bk_<time>             <time>  backup           no rule keeps it
      goes   bk_<time>             <time>  backup           no rule keeps it
      stays  rb_002_change_<time>  <time>  point before up  `002_change` is applied, and walked back with it
      only what goes needs 58 B: they are given back a day later
    dry run: nothing was changed
    ");
    assert_eq!(sandbox.vault_files(""), before);
}

fn without_a_rule_pruning_is_refused_with_an_example(backend: Backend) {
    let sandbox = with_backups(backend, 1);
    insta::assert_snapshot!(sandbox.run(&["backup", "prune", "-y"]).transcript(), @r#"
    $ walkback backup prune -y
    exit: 2
    --- stderr
    error: nothing says which points and backups of `dev` are to be kept
    hint: give a rule: `walkback backup prune --retention 30d --keep daily=7,weekly=4,monthly=12`
    hint: or write one into the configuration: `retention = "30d"` or `keep = { daily = 7, weekly = 4 }` in `[env.dev]`
    "#);
    insta::assert_snapshot!(sandbox.run(&["backup", "prune", "--keep", "dayly=7", "-y"]).transcript(), @r"
    $ walkback backup prune --keep dayly=7 -y
    exit: 2
    --- stderr
    error: invalid value 'dayly=7' for '--keep <RULES>': `dayly` is none of `last`, `hourly`, `daily`, `weekly`, `monthly`, `yearly`

    For more information, try '--help'.
    ");
}

fn nothing_goes_before_somebody_has_confirmed(backend: Backend) {
    let sandbox = with_backups(backend, 3);
    let before = sandbox.vault_files("");
    let refused = sandbox.at(&noon(9), &["backup", "prune", "--keep", "last=1"]);
    assert_eq!(refused.code, Some(6), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("remove 2 backups and points"),
        "{}",
        refused.transcript()
    );
    assert_eq!(sandbox.vault_files(""), before);
}

fn a_damaged_point_is_kept_and_named_and_no_space_is_given_back(backend: Backend) {
    let sandbox = with_backups(backend, 4);
    let manifest = sandbox.path(".walkback/vault/points/bk_20260103_120000.json");
    let text = fs::read_to_string(&manifest).expect("it is there");
    fs::write(&manifest, text.replace("\"rows\": 3", "\"rows\": 9")).expect("it can be written");
    let objects = sandbox.vault_files("objects");
    let output = sandbox.at(&noon(20), &["backup", "prune", "--keep", "last=1", "-y"]);
    insta::assert_snapshot!(output.transcript(), @r"
    $ walkback backup prune --keep last=1 -y
    exit: 8
    --- stdout
    prune on app.db (environment `dev`)
      .walkback/vault: 2 go of 5 backups and points
             id                             made at                  kind             why
      stays  bk_<time>             <time>  damaged          it cannot be read
      stays  bk_<time>             <time>  backup           the newest backup of everything; the last one
      goes   bk_<time>             <time>  backup           no rule keeps it
      goes   bk_<time>             <time>  backup           no rule keeps it
      stays  rb_002_change_<time>  <time>  point before up  `002_change` is applied, and walked back with it; the last one
      only what goes needs 66 B: they are given back a day later
    --- stderr
    warning: `bk_<time>` is kept, and counts for no rule: the manifest of point `bk_<time>` is damaged: its content does not match its hash; `walkback backup verify bk_<time>` tells more
    error: no chunk was removed, because it is not known which are still needed
    caused by: the manifest of point `bk_<time>` is damaged: its content does not match its hash
    done before: removed `bk_<time>`
    done before: removed `bk_<time>`
    hint: run `walkback backup list` to see which points are whole
    hint: run `walkback backup show bk_<time>` after restoring the file from a copy of the store
    hint: or give the point up with `walkback point remove bk_<time> --force`
    ");
    assert!(manifest.exists());
    assert_eq!(sandbox.vault_files("objects"), objects);
    // The hint leads on.
    let refused = sandbox.at(&noon(20), &["point", "remove", "bk_20260103_120000", "-y"]);
    assert_eq!(refused.code, Some(8), "{}", refused.transcript());
    sandbox.ok_at(
        &noon(20),
        &["point", "remove", "bk_20260103_120000", "--force", "-y"],
    );
    let swept = sandbox.ok_at(&noon(22), &["backup", "sweep", "--json"]).json();
    assert!(swept["stores"][0]["objects"].as_u64() > Some(0), "{swept}");
    sandbox.ok(&["backup", "verify"]);
}

fn space_is_given_back_a_day_later_and_unfinished_files_at_once(backend: Backend) {
    let sandbox = with_backups(backend, 3);
    sandbox.write(".walkback/vault/tmp~/left-by-a-killed-writer", "half a chunk");
    let objects = sandbox.vault_files("objects").len();
    let first = sandbox.ok_at(&noon(9), &["backup", "prune", "--keep", "last=1", "-y"]);
    insta::assert_snapshot!(first.transcript(), @r"
    $ walkback backup prune --keep last=1 -y
    exit: 0
    --- stdout
    prune on app.db (environment `dev`)
      .walkback/vault: 2 go of 4 backups and points
             id                             made at                  kind             why
      stays  bk_<time>             <time>  backup           the newest backup of everything; the last one
      goes   bk_<time>             <time>  backup           no rule keeps it
      goes   bk_<time>             <time>  backup           no rule keeps it
      stays  rb_002_change_<time>  <time>  point before up  `002_change` is applied, and walked back with it; the last one
      only what goes needs 58 B: they are given back a day later
    removed 2 backups and points, 1 unfinished file (12 B), 0 chunks that nothing needs (0 B) from .walkback/vault
    ");
    assert!(sandbox.vault_files("tmp~").is_empty());
    assert_eq!(sandbox.vault_files("objects").len(), objects);
    let second = sandbox.ok_at("2026-01-10T12:00:01Z", &["backup", "prune", "--keep", "last=1"]);
    insta::assert_snapshot!(second.transcript(), @r"
    $ walkback backup prune --keep last=1
    exit: 0
    --- stdout
    prune on app.db (environment `dev`)
      .walkback/vault: nothing goes of 2 backups and points
             id                             made at                  kind             why
      stays  bk_<time>             <time>  backup           the newest backup of everything; the last one
      stays  rb_002_change_<time>  <time>  point before up  `002_change` is applied, and walked back with it; the last one
    removed no backup and no point, 2 chunks that nothing needs (58 B) from .walkback/vault
    ");
    assert!(sandbox.vault_files("removed").is_empty());
    assert!(sandbox.vault_files("objects").len() < objects);
    let swept = sandbox.ok_at("2026-01-11T12:00:00Z", &["backup", "sweep"]);
    insta::assert_snapshot!(swept.transcript(), @r"
    $ walkback backup sweep
    exit: 0
    --- stdout
    removed 0 chunks that nothing needs (0 B) from .walkback/vault
    ");
    sandbox.ok(&["backup", "verify"]);
}

fn points_of_another_database_of_the_same_name_stay(backend: Backend) {
    let ours = with_backups(backend, 3);
    let theirs = project(backend);
    std::os::unix::fs::symlink(ours.path(".walkback"), theirs.path(".walkback")).expect("a link can be made");
    theirs.ok_at("2026-01-01T10:00:01Z", &["up", "-y"]);
    theirs.ok_at("2026-01-02T12:00:01Z", &["backup", "create"]);
    for sandbox in [&ours, &theirs] {
        let (goes, stays) =
            verdicts(&sandbox.ok_at(&noon(9), &["backup", "prune", "--keep", "last=1", "-y", "--json"]));
        // Whose a backup is nobody can tell, so none goes.
        assert_eq!(goes, [""; 0]);
        assert!(
            stays["bk_20260102_120001"].starts_with("it may be of another database"),
            "{stays:?}"
        );
        assert!(
            stays
                .values()
                .any(|why| why == "it was made by a run that this database does not know")
        );
    }
}

fn a_rollback_that_can_be_walked_back_keeps_what_it_would_need(backend: Backend) {
    let sandbox = with_backups(backend, 1);
    sandbox.ok_at(&noon(5), &["rollback", "-y"]);
    let after_rollback = sandbox.contents();
    let prune = ["backup", "prune", "--keep", "last=1", "-y", "--json"];
    let (_, stays) = verdicts(&sandbox.ok_at(&noon(20), &prune));
    let needed: Vec<_> = stays.iter().map(|(id, why)| format!("{id}: {why}")).collect();
    insta::assert_snapshot!(needed.join("\n"), @r"
    bk_20260102_120000: the newest backup of everything; the last one
    rb_002_change_20260101_110000: the last one; `safety_rollback_20260105_120000` brings `002_change` back, which needs it then
    safety_rollback_20260105_120000: the last rollback or restore is walked back with it; the last one; the rollback after it can still be walked back
    ");
    sandbox.ok_at(&noon(20), &["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT a FROM t WHERE id = 1"), "X");
    sandbox.ok_at(&noon(21), &["rollback", "-y"]);
    sandbox.assert_contents(&after_rollback, "walked back once more");
}

fn an_environment_may_prune_by_itself(backend: Backend) {
    let sandbox = project(backend);
    let text = fs::read_to_string(sandbox.path("walkback.toml")).expect("it is there");
    sandbox.write(
        "walkback.toml",
        &format!("{text}keep = {{ last = 2 }}\nprune = \"auto\"\n"),
    );
    sandbox.ok_at(&noon(1), &["up", "-y"]);
    for day in 2..6 {
        sandbox.ok_at(&noon(day), &["backup", "create"]);
    }
    let backups: Vec<_> = ids(&sandbox)
        .into_iter()
        .filter(|id| id.starts_with("bk_"))
        .collect();
    assert_eq!(backups, ["bk_20260104_120000", "bk_20260105_120000"]);
    let output = sandbox.ok_at(&noon(6), &["backup", "create"]);
    assert!(
        output.stdout.ends_with("pruned 1 backup or point\n"),
        "{}",
        output.transcript()
    );
    // What follows the run does not make it fail.
    fs::write(sandbox.path(".walkback/vault/points/broken.json"), "{").expect("it can be written");
    let output = sandbox.ok_at(&noon(7), &["backup", "create"]);
    assert!(
        output.stderr.contains("could not be pruned"),
        "{}",
        output.transcript()
    );
}

fn the_only_backup_of_everything_stays_and_backups_of_tables_count_for_themselves(backend: Backend) {
    let sandbox = with_backups(backend, 1);
    sandbox.sql("CREATE TABLE other (id INTEGER PRIMARY KEY)");
    sandbox.ok_at(&noon(3), &["backup", "create"]);
    for day in 4..8 {
        sandbox.ok_at(&noon(day), &["backup", "create", "t"]);
    }
    let plan = ["backup", "prune", "--retention", "1h", "--dry-run", "--json"];
    let (goes, stays) = verdicts(&sandbox.ok_at(&noon(20), &plan));
    assert_eq!(goes.len(), 5, "{goes:?}");
    assert_eq!(stays["bk_20260103_120000"], "the newest backup of everything");
    let plan = ["backup", "prune", "--keep", "last=1", "--dry-run", "--json"];
    let (_, stays) = verdicts(&sandbox.ok_at(&noon(20), &plan));
    assert_eq!(stays["bk_t_20260107_120000"], "the last one");
    assert!(stays["bk_20260103_120000"].ends_with("the last one"), "{stays:?}");
}

fn a_configuration_that_makes_no_sense_is_pointed_at(backend: Backend) {
    let sandbox = project(backend);
    let text = fs::read_to_string(sandbox.path("walkback.toml")).expect("it is there");
    let mut said = String::new();
    for line in [
        "retention = \"soon\"",
        "retention = 90",
        "keep = { dayly = 7 }",
        "keep = { daily = -1 }",
        "keep = { daily = \"7\" }",
        "keep = { daily = 0 }",
        "keep = 7",
        "prune = \"auto\"",
        "prune = \"daily\"",
    ] {
        sandbox.write("walkback.toml", &format!("{text}{line}\n"));
        let output = sandbox.run(&["backup", "prune"]);
        assert_eq!(output.code, Some(2), "{}", output.transcript());
        said.push_str(&format!("{line}\n{}", output.stderr));
    }
    insta::assert_snapshot!(said, @r#"
    retention = "soon"
    error: `retention` in `[env.dev]` is not a duration (walkback.toml:12:13)
      12 | retention = "soon"
         |             ^^^^^^
    caused by: expected number at 0
    hint: write it as `retention = "90d"`
    retention = 90
    error: `retention` in `[env.dev]` is to be a string, not an integer (walkback.toml:12:13)
      12 | retention = 90
         |             ^^
    keep = { dayly = 7 }
    error: unknown key `dayly` in `[env.dev.keep]` (walkback.toml:12:10)
      12 | keep = { dayly = 7 }
         |          ^^^^^
    hint: did you mean `daily`?
    keep = { daily = -1 }
    error: `-1` is no number of points to keep (walkback.toml:12:18)
      12 | keep = { daily = -1 }
         |                  ^^
    keep = { daily = "7" }
    error: `daily` in `[env.dev.keep]` is to be a number, not a string (walkback.toml:12:18)
      12 | keep = { daily = "7" }
         |                  ^^^
    keep = { daily = 0 }
    error: `env.dev.keep` keeps nothing (walkback.toml:12:1)
      12 | keep = { daily = 0 }
         | ^^^^
    hint: write it as `keep = { daily = 7, weekly = 4 }`, or leave it out
    keep = 7
    error: `env.dev.keep` is to be a table (walkback.toml:12:1)
      12 | keep = 7
         | ^^^^
    hint: write `[env.dev.keep]` on a line of its own, and its keys below
    prune = "auto"
    error: `prune = "auto"` in `[env.dev]`, and nothing says what is kept (walkback.toml:12:1)
      12 | prune = "auto"
         | ^^^^^
    hint: add a rule: `retention = "90d"`, or `keep = { daily = 7, weekly = 4 }`
    prune = "daily"
    error: `daily` is not a value of `prune` in `[env.dev]` (walkback.toml:12:9)
      12 | prune = "daily"
         |         ^^^^^^^
    hint: it takes `auto`, `manual`
    "#);
}
