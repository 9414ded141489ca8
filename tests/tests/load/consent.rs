//! What a plan says of rows that applications have changed, and what a person has to allow.

use walkback_tests::{Backend, Sandbox};

use super::{how_many, project};

/// A project that refuses losses, with a load of which an application has changed a row.
fn changed_since(backend: Backend) -> Sandbox {
    let sandbox = project(backend);
    sandbox.migration(
        "001_acc",
        "CREATE TABLE acc (id INTEGER PRIMARY KEY, name VARCHAR(20), bal INTEGER);",
        "DROP TABLE acc;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.policy("lossy = \"refuse\"");
    sandbox.write("acc.csv", "id,name,bal\n201,a,1\n202,b,2\n");
    sandbox.ok(&["load", "acc", "acc.csv", "-y"]);
    sandbox.sql("UPDATE acc SET bal = 777 WHERE id = 201");
    sandbox
}

pub(super) fn to_revert_what_was_changed_since_a_load_is_a_loss(backend: Backend) {
    let sandbox = changed_since(backend);
    let revert = ["rollback", "--on-conflict", "revert"];
    let plan = sandbox.ok(&[&revert[..], &["--dry-run"]].concat());
    for part in [
        "1 row that was loaded and changed since",
        "row id = 201: loaded, changed since",
    ] {
        assert!(plan.stdout.contains(part), "{part}: {}", plan.transcript());
    }
    assert!(!plan.stdout.contains("loses nothing"), "{}", plan.transcript());
    for how in ["-y", "--unattended"] {
        let refused = sandbox.run(&[&revert[..], &[how]].concat());
        assert_eq!(refused.code, Some(6), "{}", refused.transcript());
        assert!(
            refused.stderr.contains("--allow-lossy"),
            "{}",
            refused.transcript()
        );
    }
    assert_eq!(how_many(&sandbox, "acc"), 2, "it was refused");
    sandbox.ok(&[&revert[..], &["-y", "--allow-lossy"]].concat());
    assert_eq!(how_many(&sandbox, "acc"), 0);
}

pub(super) fn a_plan_names_the_rows_of_a_load_that_stay(backend: Backend) {
    let sandbox = changed_since(backend);
    let plan = sandbox.ok(&["rollback", "--dry-run"]);
    for part in [
        "1 row stays",
        "row id = 201: loaded, changed since",
        "loses nothing",
    ] {
        assert!(plan.stdout.contains(part), "{part}: {}", plan.transcript());
    }
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT bal FROM acc"), "777");
}

pub(super) fn the_command_for_what_was_rejected_can_be_pasted(backend: Backend) {
    let sandbox = project(backend);
    let table = backend.quoted("it's");
    sandbox.migration(
        "001_t",
        &format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY);"),
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.write("m.csv", "nr,junk\n1,x\ntwo,y\n");
    let output = sandbox.ok(&[
        "load",
        "it's",
        "m.csv",
        "--map",
        "nr=id",
        "--skip",
        "junk",
        "--max-failures",
        "50%",
        "-e",
        "dev",
    ]);
    let line = output
        .stdout
        .lines()
        .find(|line| line.trim_start().starts_with("walkback load "));
    let line = line.unwrap_or_else(|| panic!("{}", output.transcript()));
    for part in [
        "\"it's\"",
        "m.csv.rejects.jsonl",
        "--map 'nr=id'",
        "--skip junk",
        "-e dev",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

pub(super) fn a_pipe_is_refused_and_not_waited_for(backend: Backend) {
    let sandbox = changed_since(backend);
    let made = std::process::Command::new("mkfifo")
        .arg(sandbox.path("ff.csv"))
        .status();
    assert!(made.expect("there is mkfifo").success());
    sandbox.create_folder("folder.csv");
    for (file, word) in [
        ("ff.csv", "is no file"),
        ("folder.csv", "is a folder"),
        ("/dev/null", "is no file"),
    ] {
        let refused = sandbox.run(&["load", "acc", file, "--format", "csv", "-y"]);
        assert_eq!(refused.code, Some(2), "{}", refused.transcript());
        assert!(refused.stderr.contains(word), "{}", refused.transcript());
    }
}

pub(super) fn words_zones_and_digits_are_taken_as_the_columns_have_them(backend: Backend) {
    let sandbox = project(backend);
    let instant = match backend.is_postgres() {
        true => "TIMESTAMP WITH TIME ZONE",
        false => "TIMESTAMP",
    };
    sandbox.migration(
        "001_v",
        &format!("CREATE TABLE v (id INTEGER PRIMARY KEY, x DECIMAL(5,2), flag BOOLEAN, at {instant} NULL);"),
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.write(
        "v.csv",
        "id,x,flag,at\n1,123.45,no,2026-02-03 10:11:12Z\n2,12345.678,yes,2026-02-03 10:11:12Z\n",
    );
    sandbox.ok(&["load", "v", "v.csv", "--max-failures", "50%"]);
    assert_eq!(sandbox.value(&backend.joined("id", "v")), "1");
    assert_eq!(sandbox.value("SELECT count(*) FROM v WHERE NOT flag"), "1");
}
