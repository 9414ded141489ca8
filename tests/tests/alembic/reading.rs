//! What is read of a project without Python, and what is not.

use walkback_tests::Backend;

use crate::project::{Alembic, Project, Revision};

pub(crate) fn without_python_all_that_needs_no_sql_works(backend: Backend) {
    let project = Project::new(backend);
    let sandbox = &project.sandbox;
    project.add_table(Revision::new("aaa1", "None", "", ""));
    project.add_table(Revision::new("bbb2", "\"aaa1\"", "", "").labelled("(\"late\",)"));
    sandbox.ok(&["up", "-y", "aaa1"]);
    let config = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("it was written");
    let python = config
        .lines()
        .find(|line| line.starts_with("python"))
        .expect("it names a Python");
    sandbox.write(
        "walkback.toml",
        &config.replace(python, "python = \"/nowhere/python\""),
    );
    for command in ["status", "history", "heads", "current", "graph"] {
        sandbox.ok(&[command]);
    }
    let status = sandbox.status();
    assert_eq!(status["pending"][0]["name"], "bbb2_step_bbb2");
    sandbox.ok(&["stamp", "-y", "late@head"]);
    sandbox.ok(&["stamp", "-y", "aaa1"]);
    let before = sandbox.contents();
    let output = project.walkback(&["up", "-y"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert!(
        output.stderr.contains("there is no Python at `/nowhere/python`")
            && output
                .stderr
                .contains("hint: set `python` in the section `[source]`"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, "after an up without Python");
    // A Python without Alembic says so too.
    sandbox.write(
        "bare",
        "#!/bin/sh\nexec python3 -S -c 'import sys; sys.argv = [\"\"]; exec(sys.stdin.read() and \"\")'\n",
    );
    let bare = "#!/bin/sh\nPYTHONPATH= exec python3 -S -I \"$@\"\n";
    sandbox.write("bare", bare);
    std::process::Command::new("chmod")
        .arg("+x")
        .arg(sandbox.path("bare"))
        .status()
        .expect("chmod runs");
    sandbox.write("walkback.toml", &config.replace(python, "python = \"./bare\""));
    let output = project.walkback(&["up", "-y"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert!(
        output.stderr.contains("has no Alembic"),
        "{}",
        output.transcript()
    );
}

pub(crate) fn identities_that_are_computed_are_known(backend: Backend) {
    let project = Project::new(backend);
    let sandbox = &project.sandbox;
    project.add(&Revision::new(
        "aaa1",
        "None",
        "op.execute(\"CREATE TABLE a (i INTEGER)\")",
        "op.execute(\"DROP TABLE a\")",
    ));
    let text = |id: &str, down: &str| {
        format!(
            "\"\"\"Adds {down}\n\nmore\n\"\"\"\nfrom alembic import op\n\nPREFIX = \"bb\"\nrevision: str = {id}\ndown_revision, branch_labels = {down}, None\n\n\n\
             def upgrade() -> None:\n    # why\n    op.execute(\"INSERT INTO a VALUES (1)\")\n\n\ndef downgrade() -> None:\n    op.execute(\"DELETE FROM a\")\n"
        )
    };
    // Without running it, and by running it.
    sandbox.write("db/versions/one.py", &text("PREFIX + \"b2\"", "\"aaa1\""));
    sandbox.write("db/versions/two.py", &text("f\"{PREFIX}b3\"", "\"bb\" 'b2'"));
    sandbox.write("db/versions/readme.txt", "no revision");
    sandbox.write("db/versions/__init__.py", "");
    let status = sandbox.status();
    let pending: Vec<_> = (0..3)
        .map(|index| status["pending"][index]["id"].clone())
        .collect();
    assert_eq!(pending, ["aaa1", "bbb2", "bbb3"]);
    assert_eq!(status["unmatched"].as_array().map(Vec::len), Some(1));
    sandbox.ok(&["up", "-y"]);
    assert_eq!(project.versions(), ["bbb3".to_owned()].into());
    // Comments and layout are no change of what was applied, another statement is.
    let reformatted = text("PREFIX + \"b2\"", "\"aaa1\"").replace(
        "    # why\n    op.execute(\"INSERT INTO a VALUES (1)\")",
        "    op.execute(\n        'INSERT INTO a VALUES (1)',\n    )  # because",
    );
    sandbox.write("db/versions/one.py", &reformatted);
    sandbox.ok(&["status", "--check"]);
    sandbox.write("db/versions/one.py", &reformatted.replace("(1)", "(2)"));
    let output = project.walkback(&["status", "--check"]);
    assert_eq!(output.code, Some(3), "{}", output.transcript());
    assert!(output.stdout.contains("edited"), "{}", output.transcript());
}

pub(crate) fn new_revisions_are_written_by_alembic_from_its_template(backend: Backend) {
    let project = Project::new(backend);
    let sandbox = &project.sandbox;
    sandbox.ok(&["new", "first_step"]);
    sandbox.ok(&["new", "second_step"]);
    let status = sandbox.status();
    assert_eq!(status["heads"].as_array().map(Vec::len), Some(1));
    let id = status["pending"][1]["id"].as_str().unwrap_or_default().to_owned();
    let first = status["pending"][0]["id"].as_str().unwrap_or_default().to_owned();
    sandbox.ok(&["new", "beside", "--parent", &first]);
    assert_eq!(sandbox.status()["heads"].as_array().map(Vec::len), Some(2));
    let heads = sandbox.status()["heads"].clone();
    let heads: Vec<_> = heads
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|id| id.as_str())
        .collect();
    sandbox.ok(&[&["merge"], &heads[..]].concat());
    let merged = sandbox.status()["heads"].clone();
    assert_eq!(merged.as_array().map(Vec::len), Some(1));
    sandbox.ok(&["up", "-y"]);
    let mut alembic = Alembic::of(&project);
    let current = alembic.run(&project, "current", &[]);
    assert!(
        current.contains("(head) (mergepoint)") || current.contains("(head)"),
        "{current}"
    );
    assert!(alembic.run(&project, "history", &[]).contains(&id));
}

pub(crate) fn the_version_table_may_be_called_otherwise(backend: Backend) {
    let project = Project::new(backend);
    let sandbox = &project.sandbox;
    project.add_table(Revision::new("aaa1", "None", "", ""));
    let env = std::fs::read_to_string(sandbox.path("db/env.py")).expect("it was written");
    let schema = if backend.is_postgres() {
        ", version_table_schema=\"own\""
    } else {
        ""
    };
    if backend.is_postgres() {
        sandbox.sql("CREATE SCHEMA own");
    }
    let configured = env
        .replace(
            "context.configure(connection=connection",
            &format!("context.configure(connection=connection, version_table=TABLE{schema}"),
        )
        .replace(
            "context.configure(\n",
            &format!("context.configure(version_table=TABLE{schema},\n"),
        );
    sandbox.write(
        "db/env.py",
        &format!("TABLE = \"Versions of \" \"it\"\n{configured}"),
    );
    sandbox.ok(&["up", "-y"]);
    let mut alembic = Alembic::of(&project);
    assert!(alembic.run(&project, "current", &[]).contains("aaa1 (head)"));
    alembic.run(&project, "downgrade", &["base"]);
    assert_eq!(sandbox.status()["applied"], 0);
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["down", "-y", "--allow-lossy"]);
    assert_eq!(alembic.run(&project, "current", &[]).trim(), "");
}

pub(crate) fn sql_files_may_be_recorded_in_alembics_table(backend: Backend) {
    let project = Project::new(backend);
    let sandbox = &project.sandbox;
    // A project of Alembic that knows the same identities.
    project.add(&Revision::new("0001", "None", "", ""));
    project.add(&Revision::new("0002", "\"0001\"", "", ""));
    let mut alembic = Alembic::of(&project);
    sandbox.configure(match backend {
        // There it goes without saying.
        Backend::Postgres => "[source]\nkind = \"sql\"",
        _ => "[source]\nkind = \"sql\"\nledger = \"alembic\"",
    });
    sandbox.migration(
        "0001_one",
        "CREATE TABLE one (id INTEGER PRIMARY KEY);",
        "DROP TABLE one;",
    );
    sandbox.migration(
        "0002_two",
        "CREATE TABLE two (id INTEGER PRIMARY KEY);",
        "DROP TABLE two;",
    );
    sandbox.ok(&["up", "-y"]);
    assert!(alembic.run(&project, "current", &[]).contains("0002 (head)"));
    sandbox.ok(&["down", "-y", "--allow-lossy"]);
    assert!(alembic.run(&project, "current", &[]).contains("0001"));
    alembic.run(&project, "stamp", &["head"]);
    assert_eq!(sandbox.status()["applied"], 2);
    sandbox.ok(&["stamp", "-y", "0001"]);
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["rollback", "-n", "2", "-y", "--allow-lossy"]);
    assert_eq!(project.versions(), std::collections::BTreeSet::new());
    sandbox.ok(&["up", "-y"]);
    // Heads cannot say that what comes late never ran; the ledger can.
    sandbox.migration(
        "0001a_late",
        "CREATE TABLE late (id INTEGER PRIMARY KEY);",
        "DROP TABLE late;",
    );
    assert_eq!(sandbox.status()["pending"][0]["id"], "0001a");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(project.versions(), ["0002".to_owned()].into());
    assert_eq!(sandbox.status()["applied"], 3);
    sandbox.ok(&["down", "-n", "2", "-y", "--allow-lossy"]);
    assert_eq!(project.versions(), ["0001".to_owned()].into());
    sandbox.ok(&["up", "-y"]);
    // The journal tells the rest, whatever the heads are.
    let history = sandbox.ok(&["history", "--json"]).json();
    let of_late = history["history"].as_array().into_iter().flatten();
    let of_late = of_late.filter(|entry| entry["id"] == "0001a");
    assert!(
        of_late.clone().count() == 1 && of_late.clone().all(|entry| entry["applied_at"].is_string()),
        "{history}"
    );
    sandbox.ok(&["rollback", "-n", "1", "-y", "--allow-lossy"]);
    sandbox.ok(&["down", "--to", "0001", "-y", "--allow-lossy"]);
    sandbox.remove("migrations/0001a_late");
    sandbox.ok(&["up", "-y"]);
    // A table that is gone comes back with the next run.
    sandbox.sql("DROP TABLE alembic_version");
    assert_eq!(sandbox.status()["applied"], 2);
    sandbox.ok(&["down", "-y", "--allow-lossy"]);
    assert_eq!(project.versions(), ["0001".to_owned()].into());
    // What nobody knows is not built upon.
    sandbox.sql("UPDATE alembic_version SET version_num = 'feed'");
    let refused = project.walkback(&["up", "-y"]);
    assert_eq!(refused.code, Some(3), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("walkback stamp 0001"),
        "{}",
        refused.transcript()
    );
    sandbox.ok(&["stamp", "0001", "-y"]);
    assert_eq!(project.versions(), ["0001".to_owned()].into());
    sandbox.ok(&["up", "-y"]);
    assert_eq!(project.versions(), ["0002".to_owned()].into());
    // A checkout that has never seen what was stamped takes nothing for walked back.
    sandbox.migration(
        "0003_three",
        "CREATE TABLE three (id INTEGER PRIMARY KEY);",
        "DROP TABLE three;",
    );
    sandbox.ok(&["stamp", "0003", "-y"]);
    sandbox.remove("migrations/0003_three");
    assert_eq!(sandbox.status()["applied"], 3);
    let before = sandbox.contents();
    sandbox.run(&["up", "-y"]);
    assert_eq!(sandbox.status()["applied"], 3);
    sandbox.assert_contents(&before, "an older checkout");
    sandbox.migration(
        "0003_three",
        "CREATE TABLE three (id INTEGER PRIMARY KEY);",
        "DROP TABLE three;",
    );
    sandbox.ok(&["stamp", "0002", "-y"]);
    // What was applied while the table was not kept is not taken for walked back by Alembic.
    let config = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("it was written");
    let kept = if backend == Backend::Postgres {
        "kind = \"sql\""
    } else {
        "ledger = \"alembic\""
    };
    let not_kept = if backend == Backend::Postgres {
        "kind = \"sql\"\nledger = \"walkback\""
    } else {
        "ledger = \"walkback\""
    };
    sandbox.write("walkback.toml", &config.replace(kept, not_kept));
    sandbox.ok(&["up", "-y"]);
    assert_eq!(project.versions(), ["0002".to_owned()].into());
    sandbox.write("walkback.toml", &config);
    assert_eq!(sandbox.status()["applied"], 3);
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["down", "-y", "--allow-lossy"]);
    assert_eq!(project.versions(), ["0002".to_owned()].into());
    sandbox.remove("migrations/0003_three");
    sandbox.migration(&format!("{}_x", "0003".repeat(9)), "SELECT 1;", "");
    let output = project.walkback(&["up", "-y"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert!(output.stderr.contains("32 characters"), "{}", output.transcript());
}

pub(crate) fn the_table_of_another_project_is_left_alone(backend: Backend) {
    let project = Project::new(backend);
    let sandbox = &project.sandbox;
    project.add_table(Revision::new("feed", "None", "", ""));
    let mut alembic = Alembic::of(&project);
    alembic.run(&project, "upgrade", &["head"]);
    sandbox.configure("[source]\nkind = \"sql\"\nledger = \"alembic\"");
    sandbox.migration(
        "0001_one",
        "CREATE TABLE one (id INTEGER PRIMARY KEY);",
        "DROP TABLE one;",
    );
    for command in [["up", "-y"], ["down", "-y"], ["up", "-y"]] {
        sandbox.ok(&command);
        assert_eq!(project.versions(), ["feed".to_owned()].into());
    }
    let status = sandbox.ok(&["status"]);
    assert!(
        status.stdout.contains("belongs to another project"),
        "{}",
        status.transcript()
    );
    assert_eq!(sandbox.status()["applied"], 1);
}

pub(crate) fn a_project_file_and_several_folders_are_read_as_alembic_reads_them(backend: Backend) {
    let project = Project::new(backend);
    let sandbox = &project.sandbox;
    project.add_table(Revision::new("aaa1", "None", "", ""));
    project.add_table(Revision::new("bbb2", "(\"aaa1\",)", "", ""));
    sandbox.create_folder("more");
    std::fs::rename(
        sandbox.path("db/versions/bbb2_step.py"),
        sandbox.path("more/bbb2_step.py"),
    )
    .expect("a file can be moved");
    // It is found without being named: there is no other.
    sandbox.remove("alembic.ini");
    sandbox.write(
        "pyproject.toml",
        "[tool.alembic]\nscript_location = \"%(here)s/db\"\nversion_locations = [\"%(here)s/db/versions\", \"more\"]\n",
    );
    let config = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("it was written");
    sandbox.write(
        "walkback.toml",
        &config
            .replace("path = \"alembic.ini\"\n", "")
            .replace("[env.dev]", "[env.production]"),
    );
    sandbox.ok(&["-e", "production", "up", "-y"]);
    assert_eq!(project.versions(), ["bbb2".to_owned()].into());
    let dry = sandbox.ok(&["-e", "production", "down", "-n", "2", "--dry-run"]);
    assert!(dry.stdout.contains("more/bbb2_step.py:"), "{}", dry.transcript());
    sandbox.ok(&["-e", "production", "down", "-n", "2", "-y", "--allow-lossy"]);
    assert_eq!(project.versions(), std::collections::BTreeSet::new());
}
