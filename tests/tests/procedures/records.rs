//! Data migrations with rollback points: what a rollback manager of a team's own does, command by command.

use walkback_tests::{Backend, Sandbox};

use crate::project::Project;

pub(crate) fn records_are_migrated_behind_rollback_points(backend: Backend) {
    let project = Project::new(backend, "[source]\nkind = \"sql\"\npath = \"migrations\"");
    project.configure("\n[env.production.policy]\nconfirm = \"type-name\"\n");
    let sandbox = &project.sandbox;
    sandbox.migration(
        "001_people",
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, age INTEGER CHECK (age >= 0));\n\
         INSERT INTO people VALUES (1, 'ann', 40), (2, 'bob', 50);",
        "DROP TABLE people;",
    );
    project.production(&["up", "-y", "--confirm-name", "production"]);

    let table = backed_up_and_tampered_with(&project);
    point_made_and_gone_back_to(&project);
    each_kind_of_rollback(&project);
    loaded_in_batches(&project);
    confirmed_in_production(&project, &table);
}

/// `backup <table> --description`, as JSON too; it is verified before it is used, and a damaged one is not.
fn backed_up_and_tampered_with(project: &Project) -> String {
    let sandbox = &project.sandbox;
    let made = sandbox
        .ok(&[
            "backup",
            "create",
            "people",
            "--description",
            "before the import",
            "-e",
            "dev",
            "--json",
        ])
        .json();
    let id = made["backup"]["id"].as_str().expect("an id").to_owned();
    let list = sandbox.ok(&["backup", "list", "-e", "dev"]);
    assert!(
        list.stdout.contains(&id) && list.stdout.contains("before the import"),
        "{}",
        list.transcript()
    );
    sandbox.ok(&["backup", "verify", &id, "-e", "dev"]);
    sandbox.ok(&[
        "backup", "export", &id, "--format", "jsonl", "--out", "exported", "-e", "dev",
    ]);
    let exported = std::fs::read_to_string(sandbox.path("exported/people.jsonl")).unwrap_or_else(|_| {
        let names: Vec<_> = std::fs::read_dir(sandbox.path("exported"))
            .expect("a folder was written")
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        panic!("no rows of `people` in {names:?}")
    });
    assert!(exported.contains("\"ann\""), "{exported}");
    // Only their owner reads the rows that are kept.
    use std::os::unix::fs::PermissionsExt as _;
    for file in sandbox.vault_files("") {
        let mode = std::fs::metadata(&file)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{} can be read by others", file.display());
    }
    // What is kept of the table as it is now would mend what is damaged.
    sandbox.sql("INSERT INTO people VALUES (3, 'cid', 60)");
    let before = sandbox.contents();
    let manifests = sandbox.vault_files("points");
    let files = sandbox.vault_files("").into_iter();
    let chunks: Vec<_> = files
        .filter(|file| !manifests.contains(file))
        .map(|file| {
            let whole = std::fs::read(&file).expect("it can be read");
            std::fs::write(&file, b"not what it was").expect("it can be written");
            (file, whole)
        })
        .collect();
    assert!(!chunks.is_empty(), "the vault keeps its rows elsewhere");
    let damaged = sandbox.run(&["restore", &id, "-e", "dev", "-y"]);
    assert_ne!(damaged.code, Some(0), "{}", damaged.transcript());
    sandbox.assert_contents(&before, "a damaged backup was not used");
    for (file, whole) in chunks {
        std::fs::write(file, whole).expect("it can be written");
    }
    sandbox.ok(&["backup", "verify", &id, "-e", "dev"]);
    sandbox.sql("DELETE FROM people WHERE id = 3");
    id
}

/// A point by hand, its details, and the table as it was then.
fn point_made_and_gone_back_to(project: &Project) {
    let sandbox = &project.sandbox;
    let then = sandbox.contents();
    sandbox.ok(&["point", "create", "--description", "by hand", "-e", "dev"]);
    let listed = sandbox.ok(&["point", "list", "-e", "dev", "--json"]).json();
    let point = &listed["points"][0];
    let id = point["id"].as_str().expect("an id");
    let shown = sandbox.ok(&["point", "show", id, "-e", "dev"]);
    for says in ["by hand", "people", id] {
        assert!(shown.stdout.contains(says), "`{says}`: {}", shown.transcript());
    }
    sandbox.sql("DELETE FROM people");
    sandbox.ok(&["rollback", id, "--type", "full", "-e", "dev", "-y"]);
    sandbox.assert_contents(&then, "as it was at the point");
}

/// The point before a migration is made by itself and called after it; each kind takes back what it says.
fn each_kind_of_rollback(project: &Project) {
    let sandbox = &project.sandbox;
    let then = sandbox.contents();
    sandbox.migration(
        "002_import",
        "INSERT INTO people VALUES (3, 'cid', 60);\nUPDATE people SET age = 41 WHERE id = 1;",
        "",
    );
    for kind in ["full", "partial"] {
        let up = sandbox.ok(&["up", "-e", "dev", "-y"]);
        let listed = sandbox.ok(&["point", "list", "-e", "dev", "--json"]).json();
        let points = listed["points"].as_array().expect("points");
        let point = points
            .iter()
            .filter_map(|point| point["id"].as_str())
            .find(|id| id.starts_with("rb_002_import_"))
            .unwrap_or_else(|| panic!("no point of the migration: {listed}: {}", up.transcript()));
        let stamp = point.trim_start_matches("rb_002_import_");
        assert!(
            stamp.len() >= 15 && stamp[..8].chars().all(|digit| digit.is_ascii_digit()),
            "{point}"
        );
        sandbox.sql("INSERT INTO people VALUES (9, 'zoe', 20)");
        let (point, kind_of) = (point.to_owned(), ["--type", kind]);
        let back = sandbox.ok(&[&["rollback", &point][..], &kind_of, &["-e", "dev", "-y"]].concat());
        let left = sandbox
            .session()
            .column("SELECT name FROM people ORDER BY id")
            .join(",");
        match kind {
            // What was written since goes with it, and is counted.
            "full" => {
                sandbox.assert_contents(&then, "the table as it was");
                assert!(back.stdout.contains("1 row"), "{}", back.transcript());
            }
            // Only the rows that it added.
            _ => {
                assert_eq!(left, "ann,bob,zoe");
                assert_eq!(sandbox.value("SELECT age FROM people WHERE id = 1"), "41");
                sandbox.sql("DELETE FROM people WHERE id = 9; UPDATE people SET age = 40 WHERE id = 1");
            }
        }
    }
    // The database's own, while the migration is active: killed in the middle, nothing is left of it.
    let mut killed = sandbox.command(&["up", "-e", "dev", "-y"]);
    killed.env("WALKBACK_TEST_KILL_AT", "migration.before_commit");
    let killed = killed.output().expect("the binary starts");
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&killed.status),
        Some(9)
    );
    sandbox.ok(&["rollback", "--type", "transaction", "-e", "dev", "-y"]);
    sandbox.assert_contents(&then, "nothing of it is left");
    // Straight from a backup, without a migration.
    let id = sandbox.ok(&["backup", "create", "-e", "dev", "--json"]).json();
    let id = id["backup"]["id"].as_str().expect("an id").to_owned();
    sandbox.sql("DELETE FROM people");
    sandbox.ok(&[
        "rollback",
        "--backup-file",
        &id,
        "--type",
        "backup",
        "-e",
        "dev",
        "-y",
    ]);
    sandbox.assert_contents(&then, "from the backup");
    sandbox.remove("migrations/002_import");
    let audit = sandbox.ok(&["audit", "-n", "3", "-e", "dev", "--json"]).json();
    let runs = audit["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 3, "{audit}");
    for field in ["started_at", "kind", "status", "actor"] {
        assert!(!runs[0][field].is_null(), "no `{field}`: {audit}");
    }
}

/// Batches of 100, a dry run, a threshold of a tenth, each bad record with its reason, and those alone again.
fn loaded_in_batches(project: &Project) {
    let sandbox = &project.sandbox;
    let then = sandbox.contents();
    let load = |file: &str, more: &[&str]| {
        let words = [&["load", "people", file, "-e", "dev"][..], more].concat();
        sandbox.run(&words)
    };
    write_people(sandbox, "people.csv", 450, |number| number % 20 == 0);
    let dry = load("people.csv", &["--dry-run"]);
    sandbox.assert_contents(&then, &format!("after a dry run: {}", dry.transcript()));
    let loaded = load("people.csv", &["--json"]);
    assert_eq!(loaded.code, Some(0), "{}", loaded.transcript());
    assert_eq!(
        sandbox.value("SELECT count(*) FROM people WHERE id >= 1000"),
        "428"
    );
    let rejects =
        std::fs::read_to_string(sandbox.path("people.csv.rejects.jsonl")).expect("a file of rejects");
    assert_eq!(rejects.lines().count(), 22, "{rejects}");
    assert!(
        rejects.contains("\"reason\"") && rejects.contains("age"),
        "{rejects}"
    );
    sandbox.write(
        "mended.jsonl",
        &rejects.replace("\"age\":\"unknown\"", "\"age\":\"30\""),
    );
    let mended = load("mended.jsonl", &["--json"]);
    assert_eq!(mended.code, Some(0), "{}", mended.transcript());
    assert_eq!(
        sandbox.value("SELECT count(*) FROM people WHERE id >= 1000"),
        "450"
    );
    for output in [mended, loaded] {
        let point = output.json()["report"]["point"].clone();
        let point = point.as_str().expect("a name");
        sandbox.ok(&["rollback", point, "-e", "dev", "-y"]);
    }
    sandbox.assert_contents(&then, "both loads were taken back");

    write_people(sandbox, "worse.csv", 450, |number| number % 5 == 0);
    let worse = load("worse.csv", &["-y"]);
    assert_eq!(worse.code, Some(1), "{}", worse.transcript());
    assert!(worse.stderr.contains("10"), "{}", worse.transcript());
    sandbox.assert_contents(&then, "it took itself back");
}

/// Production asks for its name.
fn confirmed_in_production(project: &Project, backup: &str) {
    let before = project.sandbox.contents();
    project.refused(&["restore", backup, "-e", "production"], 6, &["--confirm-name"]);
    project.refused(&["restore", backup, "-e", "production", "-y"], 6, &["production"]);
    project
        .sandbox
        .assert_contents(&before, "nobody has confirmed it");
    project.sandbox.sql("DELETE FROM people");
    project.production(&["restore", backup, "-y", "--confirm-name", "production"]);
    project.sandbox.assert_contents(&before, "it was confirmed");
}

fn write_people(sandbox: &Sandbox, name: &str, count: u32, is_bad: impl Fn(u32) -> bool) {
    let mut text = "id,name,age\n".to_owned();
    for number in 1..=count {
        let age = if is_bad(number) { "unknown" } else { "30" };
        text.push_str(&format!("{},p{number},{age}\n", 1000 + number));
    }
    sandbox.write(name, &text);
}
