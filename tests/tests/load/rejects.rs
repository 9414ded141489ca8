//! Bad records: rejected one by one with their reasons, mended and loaded alone, or too many.

use std::fs;

use walkback_tests::{Backend, Sandbox};

use super::{csv, good, how_many, people};

/// One record in twenty is bad, each for another reason.
fn bad(number: u32) -> Option<String> {
    match number % 100 {
        7 => Some(format!("{number},name,twelve,p{number}@example.org")),
        27 => Some(format!("{number},name,-1,p{number}@example.org")),
        47 => Some(format!(
            "{number},a name that is far too long for it,1,p{number}@example.org"
        )),
        67 => Some(format!("{number},name,1,first@example.org")),
        87 => Some(format!("{number},\\N,1,p{number}@example.org")),
        _ => None,
    }
}

fn rejects(sandbox: &Sandbox, name: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(sandbox.path(name)).expect("there are rejected records");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("it is JSON"))
        .collect()
}

pub(super) fn of_few_bad_records_the_good_ones_are_there_and_the_mended_ones_complete_it(backend: Backend) {
    let sandbox = people(backend);
    sandbox.write("people.csv", &csv(400, bad));
    let output = sandbox.ok(&["load", "people", "people.csv"]);
    assert!(
        output
            .stdout
            .contains("loaded 380 records into `people`, 20 rejected"),
        "{}",
        output.transcript()
    );
    assert!(
        output.stdout.contains("4 records: column `age`"),
        "{}",
        output.transcript()
    );
    assert_eq!(how_many(&sandbox, "people"), 381);
    let found = rejects(&sandbox, "people.csv.rejects.jsonl");
    let ids: Vec<_> = found
        .iter()
        .map(|record| record["id"].as_str().expect("as it was").to_owned())
        .collect();
    let expected: Vec<_> = (1..=400)
        .filter(|number| bad(*number).is_some())
        .map(|number| number.to_string())
        .collect();
    assert_eq!(ids, expected);
    for record in &found {
        let number: u64 = record["id"]
            .as_str()
            .expect("as it was")
            .parse()
            .expect("a number");
        let about = &record["_walkback_reject"];
        assert_eq!(
            (about["record"].as_u64(), about["line"].as_u64()),
            (Some(number), Some(number + 1))
        );
        let reason = about["reason"].as_str().expect("a reason").to_lowercase();
        let word = match number % 100 {
            7 => "`twelve` is no whole number",
            27 if backend == Backend::Mariadb => "constraint `people.age` failed",
            27 => "check",
            47 => "characters, and 20 fit",
            67 => {
                if backend == Backend::Postgres || backend == Backend::Sqlite {
                    "unique"
                } else {
                    "duplicate"
                }
            }
            _ => "must not be null",
        };
        assert!(reason.contains(word), "{number}: {reason}");
    }
    let mended: String = found
        .iter()
        .map(|record| {
            let number: u32 = record["id"]
                .as_str()
                .expect("as it was")
                .parse()
                .expect("a number");
            let mut record = record.clone();
            let cells = good(number);
            for (name, cell) in ["id", "name", "age", "email"].iter().zip(cells.split(',')) {
                record[*name] = cell.into();
            }
            format!("{record}\n")
        })
        .collect();
    sandbox.write("people.csv.rejects.jsonl", &mended);
    let output = sandbox.ok(&["load", "people", "people.csv.rejects.jsonl"]);
    assert!(
        output
            .stdout
            .contains("loaded 20 records into `people`, 0 rejected"),
        "{}",
        output.transcript()
    );
    assert_eq!(how_many(&sandbox, "people"), 401);
    // Each of the two has a way back of its own.
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(how_many(&sandbox, "people"), 381);
}

pub(super) fn past_the_threshold_the_load_takes_itself_back(backend: Backend) {
    let sandbox = people(backend);
    let before = sandbox.contents();
    let fifth =
        |number: u32| (number.is_multiple_of(5)).then(|| format!("{number},name,-1,p{number}@example.org"));
    let text = format!(
        "{}{}",
        csv(150, |_| None),
        csv(450, fifth)
            .lines()
            .skip(151)
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    );
    sandbox.write("people.csv", &text);
    let output = sandbox.run(&["load", "people", "people.csv"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    assert!(
        output
            .stderr
            .contains("50 of 400 records were rejected, and at most 10 % may be"),
        "{}",
        output.transcript()
    );
    assert!(
        output.stderr.contains("took back 350 loaded rows"),
        "{}",
        output.transcript()
    );
    assert!(
        output.stderr.to_lowercase().contains("50 records: "),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, "it took itself back");
    assert_eq!(rejects(&sandbox, "people.csv.rejects.jsonl").len(), 50);
    assert_eq!(sandbox.status()["needs_recovery"], false);
    let audit = sandbox.ok(&["audit", "-n", "1", "--json"]).json();
    assert!(audit.to_string().contains("failed"), "{audit}");
    // With more allowed all good ones are there; the reasons of the first try stay where they are.
    sandbox.ok(&["load", "people", "people.csv", "--max-failures", "20%"]);
    assert_eq!(how_many(&sandbox, "people"), 1 + 450 - 60);
    assert_eq!(rejects(&sandbox, "people.csv.rejects.2.jsonl").len(), 60);
}

pub(super) fn the_threshold_may_be_a_number_and_is_not_judged_before_a_batch_was_tried(backend: Backend) {
    let sandbox = people(backend);
    let before = sandbox.contents();
    // The first ten of a hundred: past the threshold at once, but not when the batch is over.
    let first = |number: u32| (number <= 10).then(|| format!("{number},name,x,p{number}@example.org"));
    sandbox.write("people.csv", &csv(100, first));
    let output = sandbox.run(&["load", "people", "people.csv", "--max-failures", "9"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    assert!(
        output.stderr.contains("at most 9 may be"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, "it took itself back");
    sandbox.ok(&["load", "people", "people.csv"]);
    assert_eq!(how_many(&sandbox, "people"), 91);
}

pub(super) fn a_dry_run_asks_the_database_and_writes_nothing(backend: Backend) {
    let sandbox = people(backend);
    let before = sandbox.contents();
    sandbox.write("people.csv", &csv(400, bad));
    let output = sandbox.ok(&["load", "people", "people.csv", "--dry-run"]);
    for part in [
        "400 records",
        "fit: 380, rejected: 20 (asked about each)",
        "line 8: ",
        "dry run: nothing was changed",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.transcript());
    }
    let json = sandbox
        .ok(&["load", "people", "people.csv", "--dry-run", "--json"])
        .json();
    assert_eq!(json["plan"]["rejected"], 20);
    assert_eq!(json["plan"]["past_threshold"], false);
    assert!(json["report"].is_null());
    sandbox.assert_contents(&before, "a dry run");
    assert!(!sandbox.path("people.csv.rejects.jsonl").exists());
    let runs = sandbox.ok(&["audit", "--json"]).json();
    assert!(!runs.to_string().contains("\"load\""), "{runs}");
}

pub(super) fn records_that_cannot_be_read_are_kept_as_they_are(backend: Backend) {
    let sandbox = people(backend);
    let mut file = csv(60, |number| (number == 20).then(|| "20,only two".to_owned())).into_bytes();
    file.extend_from_slice(b"61,\xff\xfe,1,p61@example.org\n");
    fs::write(sandbox.path("people.csv"), &file).expect("a file can be written");
    sandbox.ok(&["load", "people", "people.csv"]);
    assert_eq!(how_many(&sandbox, "people"), 60);
    let found = rejects(&sandbox, "people.csv.rejects.jsonl");
    assert_eq!(found[0]["_walkback_reject"]["raw"], "20,only two");
    assert_eq!(found[1]["name"]["text_hex"], "fffe");
    // Loaded again unmended, both are rejected again, as they are.
    let again = sandbox.run(&[
        "load",
        "people",
        "people.csv.rejects.jsonl",
        "--max-failures",
        "100%",
    ]);
    assert_eq!(again.code, Some(0), "{}", again.transcript());
    assert_eq!(how_many(&sandbox, "people"), 60);
    let twice = rejects(&sandbox, "people.csv.rejects.jsonl.rejects.jsonl");
    assert_eq!(twice.len(), 2);
    assert_eq!(twice[1]["name"]["text_hex"], "fffe");
    let lines = "{\"id\":62,\"name\":\"a\"}\n{\"id\":63,\n{\"id\":64,\"name\":\"b\"}\n";
    sandbox.write("people.jsonl", lines);
    sandbox.ok(&["load", "people", "people.jsonl", "--max-failures", "50%"]);
    assert_eq!(how_many(&sandbox, "people"), 62);
    let found = rejects(&sandbox, "people.jsonl.rejects.jsonl");
    assert_eq!(found[0]["_walkback_reject"]["raw"], "{\"id\":63,");
}
