//! Changes in two parts: what is expanded stays usable, whatever becomes of the contraction.

use std::process::ExitCode;

use walkback_tests::{Backend, MYSQL, ONE_OF_EACH, Sandbox, journeys};

fn main() -> ExitCode {
    walkback_tests::main(
        "phases",
        &journeys! {
            ONE_OF_EACH => [
                each_phase_goes_as_far_as_it_reaches,
                nothing_is_contracted_before_it_is_expanded,
                a_contraction_that_fails_leaves_what_is_expanded,
                a_contraction_that_is_killed_leaves_what_is_expanded,
                a_phase_is_expand_or_contract,
                a_deployment_expands_and_leaves_the_contraction,
                what_has_no_phase_has_no_part,
                a_part_ends_where_any_branch_begins_the_other,
            ],
            MYSQL => [a_contraction_that_fails_half_way_is_taken_back_without_its_transaction],
        },
    )
}

/// A column is renamed in two parts; a third change follows.
fn project(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE people (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40));\n\
         INSERT INTO people VALUES (1, 'ann'), (2, 'bob');",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.migration(
        "002_add",
        "-- walkback: phase=expand\nALTER TABLE people ADD COLUMN full_name VARCHAR(40);\nUPDATE people SET full_name = name;",
        "",
    );
    sandbox.migration(
        "003_drop",
        "-- walkback: phase=contract\nALTER TABLE people DROP COLUMN name;",
        "",
    );
    sandbox.migration(
        "004_more",
        "-- walkback: phase=expand\nCREATE TABLE more (id INTEGER NOT NULL PRIMARY KEY);",
        "",
    );
    sandbox
}

fn names(list: &serde_json::Value) -> Vec<String> {
    let entries = list.as_array().expect("a list").iter();
    entries
        .map(|one| {
            let phase = one["phase"].as_str().unwrap_or("-");
            format!("{} {phase}", one["name"].as_str().expect("a name"))
        })
        .collect()
}

fn each_phase_goes_as_far_as_it_reaches(backend: Backend) {
    let sandbox = project(backend);
    let pending = ["002_add expand", "003_drop contract", "004_more expand"];
    assert_eq!(names(&sandbox.status()["pending"]), pending);
    assert!(sandbox.ok(&["status"]).stdout.contains("003_drop (contract)"));
    assert!(sandbox.ok(&["show", "003"]).stdout.contains("contract"));
    let planned = sandbox
        .ok(&["up", "--phase", "expand", "--dry-run", "--json"])
        .json();
    assert_eq!(names(&planned["plan"]["steps"]), ["002_add expand"], "{planned}");
    assert_eq!(
        names(&planned["plan"]["left"]),
        ["003_drop contract", "004_more expand"]
    );
    let output = sandbox.ok(&["up", "--phase", "expand", "-y"]);
    let said = output.transcript();
    assert!(
        said.contains("`walkback up --phase contract`") && said.contains("`003_drop`"),
        "{said}"
    );
    assert_eq!(sandbox.status()["applied"], 2);
    // There is nothing more to expand before the contraction.
    let said = sandbox.ok(&["up", "--phase", "expand", "-y"]).transcript();
    assert!(said.contains("`walkback up --phase contract`"), "{said}");
    let said = sandbox.ok(&["up", "--phase", "contract", "-y"]).transcript();
    assert!(
        said.contains("`walkback up --phase expand`") && said.contains("`004_more`"),
        "{said}"
    );
    assert_eq!(sandbox.value("SELECT full_name FROM people WHERE id = 1"), "ann");
    assert_eq!(names(&sandbox.status()["pending"]), ["004_more expand"]);
    sandbox.ok(&["up", "--phase", "expand", "-y"]);
    assert_eq!(sandbox.status()["applied"], 4);
    sandbox.ok(&["rollback", "--to", "001", "-y"]);
    assert_eq!(sandbox.value("SELECT name FROM people WHERE id = 1"), "ann");
    // Without a phase both parts go.
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.status()["applied"], 4);
}

fn nothing_is_contracted_before_it_is_expanded(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let output = sandbox.run(&["up", "--phase", "contract", "-y"]);
    assert_ne!(output.code, Some(0), "{}", output.transcript());
    assert!(output.stderr.contains("002_add"), "{}", output.transcript());
    assert!(
        output.stderr.contains("--phase expand"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, "after the refusal");
    assert_eq!(sandbox.status()["applied"], 1);
}

/// The new code works: it writes the new column, and the old code the old one.
fn assert_expanded(sandbox: &Sandbox) {
    sandbox.sql("INSERT INTO people (id, full_name) VALUES (8, 'new')");
    sandbox.sql("INSERT INTO people (id, name) VALUES (9, 'old')");
    assert_eq!(sandbox.value("SELECT full_name FROM people WHERE id = 2"), "bob");
    assert_eq!(sandbox.value("SELECT name FROM people WHERE id = 2"), "bob");
    assert_eq!(names(&sandbox.status()["pending"])[0], "003_drop contract");
    assert!(sandbox.status()["unfinished"].is_null());
}

fn a_contraction_that_fails_leaves_what_is_expanded(backend: Backend) {
    let sandbox = project(backend);
    let fails = "-- walkback: phase=contract\nALTER TABLE people DROP COLUMN name;\nINSERT INTO people (id) VALUES (1);";
    sandbox.migration("003_drop", fails, "");
    // In one run: what came before it stays applied.
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    for said in [
        "002_add",
        "nothing needs to be walked back",
        "walkback up --phase contract",
    ] {
        assert!(output.stderr.contains(said), "{said}: {}", output.transcript());
    }
    assert_expanded(&sandbox);
    let again = sandbox.run(&["up", "--phase", "contract", "-y"]);
    assert_eq!(again.code, Some(1), "{}", again.transcript());
    assert!(
        again.stderr.contains("nothing needs to be walked back"),
        "{}",
        again.transcript()
    );
    // When the reason is gone.
    sandbox.migration(
        "003_drop",
        "-- walkback: phase=contract\nALTER TABLE people DROP COLUMN name;",
        "",
    );
    sandbox.ok(&["up", "--phase", "contract", "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM people"), "4");
    assert_eq!(sandbox.status()["applied"], 3);
}

fn a_contraction_that_is_killed_leaves_what_is_expanded(backend: Backend) {
    let two = "-- walkback: phase=contract\nALTER TABLE people DROP COLUMN name;\nALTER TABLE people ADD COLUMN size INTEGER;";
    let prepared = || {
        let sandbox = project(backend);
        sandbox.migration("003_drop", two, "");
        sandbox.ok(&["up", "--phase", "expand", "-y"]);
        sandbox
    };
    let done = prepared();
    done.ok(&["up", "--phase", "contract", "-y"]);
    let done = done.contents();
    let (mut half_done, mut stride) = (0, 1);
    let mut step = 1;
    loop {
        let sandbox = prepared();
        if sandbox
            .killed_at(step, &["up", "--phase", "contract", "-y"])
            .is_none()
        {
            break;
        }
        if sandbox.status()["needs_recovery"] == true {
            half_done += 1;
            let said = sandbox.ok(&["recover", "--back", "-y"]).transcript();
            assert!(said.contains("walkback up --phase contract"), "{said}");
        }
        if sandbox.status()["applied"] == 2 {
            sandbox.ok(&["recover", "-y"]);
            assert_expanded(&sandbox);
            sandbox.ok(&["up", "--phase", "contract", "-y"]);
        } else {
            sandbox.ok(&["recover", "-y"]);
            sandbox.assert_contents(&done, &format!("step {step}"));
        }
        step += stride;
        // Most of the steps are those of the point, which every other migration has as well.
        stride = if sandbox.backend() == Backend::Sqlite {
            1
        } else {
            2
        };
    }
    assert!(step > 5, "it has hardly any durable step");
    assert_eq!(half_done > 0, backend.is_mysql());
}

fn a_contraction_that_fails_half_way_is_taken_back_without_its_transaction(backend: Backend) {
    let sandbox = project(backend);
    sandbox.ok(&["up", "--phase", "expand", "-y"]);
    let before = sandbox.contents();
    let fails =
        "-- walkback: phase=contract\nALTER TABLE people DROP COLUMN name;\nDROP TABLE no_such_table;";
    sandbox.migration("003_drop", fails, "");
    let output = sandbox.run(&["up", "--phase", "contract", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    assert!(
        output.stderr.contains("nothing needs to be walked back"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, "after the contraction failed");
    assert_expanded(&sandbox);
}

fn a_deployment_expands_and_leaves_the_contraction(backend: Backend) {
    let sandbox = project(backend);
    let before = sandbox.contents();
    let output = sandbox.ok(&["deploy", "dev", "--phase", "expand", "-y"]);
    assert!(
        output.transcript().contains("walkback up --phase contract"),
        "{}",
        output.transcript()
    );
    assert_expanded(&sandbox);
    sandbox.sql("DELETE FROM people WHERE id > 2");
    sandbox.ok(&["deploy", "dev", "--phase", "contract", "-y"]);
    assert_eq!(sandbox.status()["applied"], 3);
    sandbox.ok(&["rollback", "--to", "001", "-y"]);
    sandbox.assert_contents(&before, "after the rollback");
    // One that fails goes back as a whole, and does not say otherwise.
    let fails = "-- walkback: phase=contract\nALTER TABLE people DROP COLUMN name;\nINSERT INTO people (id) VALUES (1);";
    sandbox.migration("003_drop", fails, "");
    let output = sandbox.run(&["deploy", "dev", "-y"]);
    assert_ne!(output.code, Some(0), "{}", output.transcript());
    assert!(
        !output.stderr.contains("nothing needs to be walked back"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, &output.transcript());
}

fn a_phase_is_expand_or_contract(backend: Backend) {
    let sandbox = project(backend);
    let output = sandbox.run(&["up", "--phase", "both", "-y"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    let output = sandbox.run(&["up", "--phase", "expand", "head", "-y"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    // What a migration that expands must not do, and one that contracts alone.
    let narrow = "-- walkback: phase=expand\nALTER TABLE people ADD COLUMN a INTEGER NOT NULL;\n\
                  ALTER TABLE people RENAME COLUMN name TO b;\nALTER TABLE people ADD COLUMN c INTEGER NOT NULL DEFAULT 1;";
    sandbox.migration("002_add", narrow, "");
    let lint = sandbox.run(&["lint", "002"]);
    assert_eq!(
        lint.stdout.matches("expand-narrows").count(),
        2,
        "{}",
        lint.transcript()
    );
    sandbox.migration(
        "002_add",
        "-- walkback: phase=contract\nALTER TABLE people DROP COLUMN name;",
        "",
    );
    let lint = sandbox.run(&["lint", "002"]);
    assert!(lint.stdout.contains("contract-alone"), "{}", lint.transcript());
    sandbox.migration("002_add", "-- walkback: phase=expnd\nSELECT 1;", "");
    let output = sandbox.run(&["status"]);
    assert!(
        output.stderr.contains("did you mean `phase=expand`"),
        "{}",
        output.transcript()
    );
}

/// The story: where nothing says which part it is, `--phase expand` applied all of it, with what it drops.
fn what_has_no_phase_has_no_part(backend: Backend) {
    let sandbox = project(backend);
    for name in ["002_add", "003_drop", "004_more"] {
        sandbox.remove(&format!("migrations/{name}"));
    }
    // Nothing is pending: that is as it should be.
    sandbox.ok(&["up", "--phase", "expand", "-y"]);
    sandbox.migration("002_plain", "ALTER TABLE people ADD COLUMN size INTEGER;", "");
    sandbox.migration("003_plain", "DROP TABLE people;", "");
    let before = sandbox.contents();
    for phase in ["expand", "contract"] {
        let output = sandbox.run(&["up", "--phase", phase, "-y"]);
        assert_eq!(output.code, Some(2), "{}", output.transcript());
        assert!(output.stderr.contains("phase=expand"), "{}", output.transcript());
        sandbox.assert_contents(&before, "after the refusal");
    }
    // One of them says it: those without go with what expands.
    sandbox.migration("003_plain", "-- walkback: phase=contract\nDROP TABLE people;", "");
    sandbox.ok(&["up", "--phase", "expand", "-y"]);
    assert_eq!(sandbox.status()["applied"], 2);
}

fn a_part_ends_where_any_branch_begins_the_other(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "004_more",
        "-- walkback: parents=002\n-- walkback: phase=expand\nCREATE TABLE more (id INTEGER NOT NULL PRIMARY KEY);",
        "",
    );
    sandbox.ok(&["up", "--phase", "expand", "-y"]);
    assert_eq!(
        names(&sandbox.status()["pending"]),
        ["003_drop contract", "004_more expand"]
    );
    sandbox.ok(&["up", "--phase", "contract", "-y"]);
    sandbox.ok(&["up", "--phase", "expand", "-y"]);
    assert_eq!(sandbox.status()["applied"], 4);
}
