//! Killed at each durable step: the next command finds it, and it goes on or back.

use walkback_tests::{Backend, Sandbox, report};

use super::{csv, how_many, people};

/// More steps than any of these runs has.
const STEPS: u64 = 60;

const LOAD: &[&str] = &["load", "people", "people.csv", "--batch", "10"];

fn bad(number: u32) -> Option<String> {
    match number {
        7 => Some("7,name,x,p7@example.org".to_owned()),
        25 => Some("25,name,-1,p25@example.org".to_owned()),
        _ => None,
    }
}

fn prepared(backend: Backend) -> Sandbox {
    let sandbox = people(backend);
    sandbox.write("people.csv", &csv(35, bad));
    sandbox
}

/// What is there of the file: 33 good records, each once, and the two bad ones, each once.
fn assert_loaded(sandbox: &Sandbox, step: u64) {
    assert_eq!(how_many(sandbox, "people"), 34, "step {step}");
    let rejects =
        std::fs::read_to_string(sandbox.path("people.csv.rejects.jsonl")).expect("two were rejected");
    let lines: Vec<_> = rejects.lines().collect();
    assert_eq!(lines.len(), 2, "step {step}: {rejects}");
    assert!(
        lines[0].contains("\"id\":\"7\"") && lines[1].contains("\"id\":\"25\""),
        "{rejects}"
    );
}

/// Says whether a kill has left a load half-done, which every other run refuses.
fn is_half_done(sandbox: &Sandbox, step: u64) -> bool {
    let needs = sandbox.status()["needs_recovery"] == true;
    if needs {
        for other in [&["up", "-y"][..], &["rollback", "-y"], LOAD] {
            let refused = sandbox.run(other);
            assert_eq!(refused.code, Some(4), "step {step}: {}", refused.transcript());
            assert!(
                refused.stderr.contains("walkback recover --forward"),
                "{}",
                refused.transcript()
            );
        }
    }
    needs
}

fn kill_each(backend: Backend, what: &str, check: impl Fn(&Sandbox, u64)) {
    let (mut kills, mut half_done) = (0, 0);
    for step in 1..=STEPS {
        let sandbox = prepared(backend);
        if sandbox.killed_at(step, LOAD).is_none() {
            break;
        }
        kills += 1;
        half_done += u32::from(is_half_done(&sandbox, step));
        check(&sandbox, step);
        sandbox.assert_sound();
    }
    assert!(
        half_done > 6 && kills < STEPS,
        "{kills} kills, {half_done} half-done"
    );
    report(&format!(
        "load on {backend}: {kills} kills, {half_done} half-done, {what}"
    ));
}

pub(super) fn killed_at_any_step_it_goes_on_and_no_row_is_there_twice(backend: Backend) {
    kill_each(backend, "gone on", |sandbox, step| {
        let half_done = sandbox.status()["needs_recovery"] == true;
        let recovered = sandbox.run(&["recover", "--forward", "-y"]);
        assert_eq!(recovered.code, Some(0), "step {step}: {}", recovered.transcript());
        if half_done {
            assert!(
                recovered.stdout.contains("33 records loaded, 2 rejected"),
                "{}",
                recovered.transcript()
            );
        } else if how_many(sandbox, "people") == 1 {
            // Nothing had begun.
            sandbox.ok(LOAD);
        }
        assert_loaded(sandbox, step);
        sandbox.ok(&["rollback", "-y"]);
        assert_eq!(how_many(sandbox, "people"), 1, "step {step}");
    });
}

pub(super) fn killed_at_any_step_it_goes_back(backend: Backend) {
    let before = people(backend).contents();
    kill_each(backend, "gone back", |sandbox, step| {
        let half_done = sandbox.status()["needs_recovery"] == true;
        let recovered = sandbox.run(&["recover", "--back", "-y"]);
        assert_eq!(recovered.code, Some(0), "step {step}: {}", recovered.transcript());
        if !half_done && how_many(sandbox, "people") > 1 {
            assert_loaded(sandbox, step);
            sandbox.ok(&["rollback", "-y"]);
        }
        sandbox.assert_contents(&before, &format!("step {step}"));
        std::fs::remove_file(sandbox.path("people.csv.rejects.jsonl")).ok();
        sandbox.ok(LOAD);
        assert_loaded(sandbox, step);
    });
}

/// Returns the first step at which a kill leaves two batches loaded. It is the same each time.
fn step_inside(backend: Backend) -> u64 {
    let is_inside = |step: &u64| {
        let sandbox = prepared(backend);
        sandbox.killed_at(*step, LOAD).expect("there is such a step");
        how_many(&sandbox, "people") > 11
    };
    (1..STEPS).find(is_inside).expect("a load has two batches")
}

fn half_loaded(backend: Backend, step: u64) -> Sandbox {
    let sandbox = prepared(backend);
    sandbox.killed_at(step, LOAD).expect("there is such a step");
    assert_eq!(sandbox.status()["needs_recovery"], true);
    sandbox
}

pub(super) fn a_killed_recover_is_done_by_the_next(backend: Backend) {
    let inside = step_inside(backend);
    for way in ["--forward", "--back"] {
        let mut kills = 0;
        for step in 1..=STEPS {
            let sandbox = half_loaded(backend, inside);
            if sandbox.killed_at(step, &["recover", way, "-y"]).is_none() {
                break;
            }
            kills += 1;
            let next = sandbox.run(&["recover", way, "-y"]);
            assert_eq!(next.code, Some(0), "{way}, step {step}: {}", next.transcript());
            match way {
                "--forward" => assert_loaded(&sandbox, step),
                _ => assert_eq!(how_many(&sandbox, "people"), 1, "step {step}"),
            }
            assert!(sandbox.status()["unfinished"].is_null(), "{way}, step {step}");
        }
        assert!(kills > 3 && kills < STEPS, "{way}: {kills} kills");
        report(&format!("recover {way} of a load on {backend}: {kills} kills"));
    }
}

pub(super) fn a_file_that_has_changed_is_not_gone_on_with(backend: Backend) {
    let sandbox = half_loaded(backend, step_inside(backend));
    let file = csv(35, bad);
    sandbox.write("people.csv", &file.replace("name 30", "other 30"));
    let refused = sandbox.run(&["recover", "--forward", "-y"]);
    assert_eq!(refused.code, Some(4), "{}", refused.transcript());
    assert!(
        refused
            .stderr
            .contains("is no longer the file that the load began with"),
        "{}",
        refused.transcript()
    );
    sandbox.write("people.csv", &file);
    let dry = sandbox.ok(&["recover", "--forward", "--dry-run"]);
    assert!(
        dry.stdout.contains("the load goes on behind record 20"),
        "{}",
        dry.transcript()
    );
    sandbox.ok(&["recover", "--forward", "-y"]);
    assert_loaded(&sandbox, 0);
}

pub(super) fn a_killed_load_whose_table_has_gone_is_settled(backend: Backend) {
    let sandbox = half_loaded(backend, step_inside(backend));
    sandbox.sql("DROP TABLE people");
    let recovered = sandbox.run(&["recover", "--back", "-y"]);
    assert_eq!(recovered.code, Some(0), "{}", recovered.transcript());
    assert_eq!(sandbox.status()["needs_recovery"], false);
    sandbox.migration("002_next", "CREATE TABLE next (id INTEGER PRIMARY KEY);", "");
    let next = sandbox.run(&["up", "-y"]);
    assert_ne!(next.code, Some(4), "{}", next.transcript());
}

pub(super) fn a_killed_load_whose_table_was_changed_keeps_its_rows_and_lists_them(backend: Backend) {
    let inside = step_inside(backend);
    for way in ["--back", "--forward"] {
        let sandbox = half_loaded(backend, inside);
        let before = how_many(&sandbox, "people");
        sandbox.sql("ALTER TABLE people ADD COLUMN more INTEGER");
        let recovered = sandbox.run(&["recover", way, "-y"]);
        let (code, told) = match way {
            "--back" => (0, &recovered.stdout),
            _ => (7, &recovered.stderr),
        };
        assert_eq!(recovered.code, Some(code), "{way}: {}", recovered.transcript());
        assert!(
            told.contains("row id = 1: loaded, and cannot be compared"),
            "{way}: {}",
            recovered.transcript()
        );
        assert_eq!(how_many(&sandbox, "people"), before, "{way}");
        assert_eq!(sandbox.status()["needs_recovery"], false, "{way}");
        // Once the table is what it was, they can be taken back.
        sandbox.sql("ALTER TABLE people DROP COLUMN more");
        let text = format!("{}{}", recovered.stdout, recovered.stderr);
        let from = text.find("rb_load_people_").expect("it names the way back");
        let point: String = text[from..]
            .chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
            .collect();
        sandbox.ok(&["rollback", &point, "-y"]);
        assert_eq!(how_many(&sandbox, "people"), 1, "{way}");
    }
}

pub(super) fn a_file_of_rejected_records_that_is_somebody_elses_is_left_alone(backend: Backend) {
    let sandbox = half_loaded(backend, step_inside(backend));
    sandbox.write("people.csv.rejects.jsonl", "notes");
    let refused = sandbox.run(&["recover", "--forward", "-y"]);
    assert_eq!(refused.code, Some(4), "{}", refused.transcript());
    assert!(
        refused
            .stderr
            .contains("is not the file of rejected records any more"),
        "{}",
        refused.transcript()
    );
    let back = sandbox.run(&["recover", "--back", "-y"]);
    assert_eq!(back.code, Some(0), "{}", back.transcript());
    assert_eq!(how_many(&sandbox, "people"), 1);
    let notes = std::fs::read_to_string(sandbox.path("people.csv.rejects.jsonl")).expect("it is there");
    assert_eq!(notes, "notes");
}

/// It was said that there is nothing to recover, while every command refused.
pub(super) fn a_load_is_found_also_where_its_run_has_ended(backend: Backend) {
    let sandbox = half_loaded(backend, step_inside(backend));
    sandbox.sql("UPDATE _walkback_runs SET status = 'failed' WHERE status = 'running'");
    let refused = sandbox.run(&["up", "-y"]);
    assert_eq!(refused.code, Some(4), "{}", refused.transcript());
    sandbox.ok(&["recover", "--back", "-y"]);
    assert_eq!(how_many(&sandbox, "people"), 1);
    sandbox.ok(&["up", "-y"]);
}
