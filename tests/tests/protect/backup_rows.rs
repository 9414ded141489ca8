//! Rows that a migration changes are kept in backup tables, and statements may say how each is protected.

use walkback_tests::Backend;

use super::assert_says;
use super::backup_table::{assert_back, copies, people, without_copies};

const CHANGE: &str = "UPDATE people SET note = 'migrated', age = age + 1 WHERE id < 3;\n\
                      DELETE FROM other WHERE id = 1;\n\
                      INSERT INTO people (id, name, age) VALUES (7, 'new', 0);";

pub(super) fn changed_rows_come_back_from_backup_tables(backend: Backend) {
    let sandbox = people(backend);
    let before = without_copies(&sandbox);
    sandbox.migration("002_change", CHANGE, "");
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert_says(&plan, "kept in a backup table for 30 days");
    let plan = sandbox.ok(&["up", "--dry-run", "--json"]).json();
    assert_eq!(plan["plan"]["point"]["scope"], "none", "{plan}");
    let points = sandbox.vault_files("points");
    let up = sandbox.ok(&["up", "-y"]);
    assert_says(&up, "copied from `people` into");
    assert_eq!(sandbox.vault_files("points"), points, "{}", up.transcript());
    let made = copies(&sandbox);
    assert_eq!(made.len(), 4, "as they were and as they are: {made:?}");
    let status = sandbox.run(&["status", "--check"]);
    assert_eq!(status.code, Some(0), "{}", status.transcript());
    let plan = sandbox.ok(&["rollback", "--dry-run"]);
    assert_says(&plan, "was kept in backup tables, and goes back cell by cell");
    let back = sandbox.ok(&["rollback", "-y"]);
    assert_back(&sandbox, &before, &back.transcript());
    sandbox.ok(&["up", "-y"]);
    let changed = without_copies(&sandbox);
    sandbox.ok(&["rollback", "-y"]);
    // What the rollback did is walked back, and that again.
    let again = sandbox.ok(&["rollback", "-y"]);
    assert_back(&sandbox, &changed, &again.transcript());
    let back = sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert_back(&sandbox, &before, &back.transcript());
}

pub(super) fn what_was_written_to_kept_rows_since_is_a_conflict_and_stays(backend: Backend) {
    let sandbox = people(backend);
    sandbox.migration("002_change", CHANGE, "");
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("UPDATE people SET note = 'since' WHERE id = 1");
    sandbox.sql("INSERT INTO other VALUES (1, 'mine')");
    sandbox.sql("INSERT INTO people (id, name, age) VALUES (9, 'later', 1)");
    let stopped = sandbox.run(&["rollback", "--on-conflict", "stop", "-y"]);
    assert_says(&stopped, "nothing was changed");
    let back = sandbox.ok(&["rollback", "-y"]);
    assert_says(
        &back,
        "row id = 1: deleted by the migration, and its key was used again since",
    );
    assert_says(&back, "row id = 1, column `note`: changed since");
    assert_eq!(sandbox.value("SELECT note FROM people WHERE id = 1"), "since");
    assert_eq!(sandbox.value("SELECT age FROM people WHERE id = 1"), "31");
    assert_eq!(sandbox.value("SELECT name FROM other WHERE id = 1"), "mine");
    assert_eq!(sandbox.value("SELECT count(*) FROM people WHERE id = 9"), "1");
    assert_eq!(sandbox.value("SELECT count(*) FROM people WHERE id = 7"), "0");
}

pub(super) fn without_a_vault_rows_are_kept_too(backend: Backend) {
    let sandbox = people(backend);
    let path = sandbox.path("walkback.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("stores = [\"local\"]", "stores = []")).unwrap();
    let before = without_copies(&sandbox);
    sandbox.migration("002_change", CHANGE, "");
    sandbox.ok(&["up", "-y"]);
    let back = sandbox.ok(&["rollback", "-y"]);
    assert_back(&sandbox, &before, &back.transcript());
}

pub(super) fn killed_while_rows_are_kept_nothing_is_lost(backend: Backend) {
    let sandbox = people(backend);
    let before = without_copies(&sandbox);
    sandbox.migration("002_change", CHANGE, "");
    let mut kills = 0;
    for step in 1..=60 {
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            break;
        }
        kills += 1;
        let recover = sandbox.run(&["recover", "-y"]);
        assert_eq!(recover.code, Some(0), "step {step}: {}", recover.transcript());
        if sandbox.ok(&["current"]).stdout.contains("002") {
            sandbox.ok(&["rollback", "-n", "1", "-y"]);
            sandbox.ok(&["purge", "--all", "-y"]);
        }
        assert_back(&sandbox, &before, &format!("killed at step {step}"));
        assert!(copies(&sandbox).is_empty(), "step {step}: {:?}", copies(&sandbox));
    }
    assert!(kills > 3, "{kills} kills");
}

pub(super) fn each_statement_may_say_how_it_is_protected(backend: Backend) {
    let sandbox = people(backend);
    sandbox.migration(
        "002_log",
        "CREATE TABLE log (line INTEGER);\nINSERT INTO log VALUES (1);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let before = without_copies(&sandbox);
    // Without a key nothing of `log` can be kept beside, and nobody needs its rows.
    let script = "ALTER TABLE people DROP COLUMN note;\n\n-- walkback: protect=off\n-- nobody reads it\nDELETE FROM log;\n\
                  -- walkback: protect=soft-delete\nDROP TABLE other;";
    sandbox.migration("003_mixed", script, "");
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert_says(&plan, "kept in a backup table for 30 days");
    assert_says(&plan, "not protected: its line says `protect=off`");
    assert_says(&plan, "moved aside for 30 days");
    assert_says(
        &plan,
        "says `protect=off` of the statement at migrations/003_mixed/up.sql:5",
    );
    let up = sandbox.ok(&["up", "-y"]);
    assert!(!up.stdout.contains("kept what was there"), "{}", up.transcript());
    let back = sandbox.ok(&["rollback", "-y"]);
    let mut expected = before.clone();
    expected.rows.insert("log".to_owned(), Vec::new());
    let now = without_copies(&sandbox);
    assert_eq!(now.rows["log"], expected.rows["log"], "{}", back.transcript());
    assert_eq!(now.rows["people"].len(), 3);
    assert_eq!(
        sandbox.value("SELECT note FROM people WHERE id = 1"),
        "it's \"x\""
    );
    assert_eq!(now.rows["other"], before.rows["other"]);
}

pub(super) fn what_single_statements_ask_for_and_cannot_have_is_in_the_point(backend: Backend) {
    let sandbox = people(backend);
    let before = without_copies(&sandbox);
    for (asked, why) in [
        (
            "vault",
            "kept in the point, its statements ask for what only a point gives all of them",
        ),
        (
            "capture",
            "its statements ask for what only a point gives all of them",
        ),
    ] {
        let script =
            format!("ALTER TABLE people DROP COLUMN age;\n-- walkback: protect={asked}\nDELETE FROM other;");
        sandbox.migration("002_mixed", &script, "");
        let plan = sandbox.ok(&["up", "--dry-run"]);
        assert_says(&plan, why);
        let up = sandbox.ok(&["up", "-y"]);
        assert_says(&up, "kept what was there in");
        let back = sandbox.ok(&["rollback", "-y"]);
        assert_back(&sandbox, &before, &back.transcript());
    }
    sandbox.migration(
        "002_mixed",
        "DELETE FROM other;\n-- walkback: protect=softly\nDELETE FROM people;",
        "",
    );
    let refused = sandbox.run(&["up", "-y"]);
    assert_eq!(refused.code, Some(2), "{}", refused.transcript());
    assert_says(&refused, "softly");
    assert_says(&refused, "up.sql:");
    assert_back(&sandbox, &before, "nothing was changed");
}

pub(super) fn an_emptied_table_is_filled_again(backend: Backend) {
    let sandbox = people(backend);
    let before = without_copies(&sandbox);
    sandbox.migration("002_empty", "TRUNCATE people;\nDROP TABLE other;", "");
    let plan = sandbox.ok(&["up", "--dry-run"]);
    if !backend.is_postgres() {
        assert_says(
            &plan,
            "not in a backup table: `TRUNCATE` of `people` is final at once here",
        );
        return;
    }
    assert_says(&plan, "kept in a backup table for 30 days");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM people"), "0");
    let back = sandbox.ok(&["rollback", "-y"]);
    assert_back(&sandbox, &before, &back.transcript());
    sandbox.ok(&["up", "-y"]);
    sandbox.sql("INSERT INTO people VALUES (2, 'mine', NULL, 1), (9, 'new', NULL, 1)");
    let plan = sandbox.ok(&["rollback", "--dry-run"]);
    assert_says(&plan, "but for 1 whose keys were used since");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM people"), "4");
    assert_eq!(sandbox.value("SELECT name FROM people WHERE id = 2"), "mine");
}
