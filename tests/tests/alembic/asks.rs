//! Revisions that ask the database: no SQL tells what they do, and Alembic runs them, under walkback's point and journal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use walkback_tests::{Backend, Sandbox};

use crate::project::{Alembic, Project, Revision};

/// A table with rows, and a revision that looks at them before it changes them.
fn asking(backend: Backend) -> Project {
    let project = Project::new(backend);
    project.add(&Revision::new(
        "aaa1",
        "None",
        "op.create_table(\"people\", sa.Column(\"id\", sa.Integer, primary_key=True), sa.Column(\"name\", sa.String(40)))\n\
         op.execute(\"INSERT INTO people VALUES (1, 'Ada Lovelace'), (2, 'Grace Hopper')\")",
        "op.drop_table(\"people\")",
    ));
    project.add(&Revision::new(
        "bbb2",
        "\"aaa1\"",
        "op.add_column(\"people\", sa.Column(\"surname\", sa.String(40)))\n\
         for id, name in op.get_bind().execute(sa.text(\"SELECT id, name FROM people\")).fetchall():\n\
         \x20   first, last = name.split(\" \")\n\
         \x20   op.get_bind().execute(\n\
         \x20       sa.text(\"UPDATE people SET name = :first, surname = :last WHERE id = :id\"), dict(first=first, last=last, id=id)\n\
         \x20   )",
        "for id, name, last in op.get_bind().execute(sa.text(\"SELECT id, name, surname FROM people\")).fetchall():\n\
         \x20   op.get_bind().execute(sa.text(\"UPDATE people SET name = :name WHERE id = :id\"), dict(name=name + \" \" + last, id=id))\n\
         op.drop_column(\"people\", \"surname\")",
    ));
    project
}

fn people(sandbox: &Sandbox, columns: &str) -> String {
    sandbox
        .session()
        .column(&format!("SELECT {columns} FROM people ORDER BY id"))
        .join(", ")
}

pub(crate) fn what_asks_the_database_is_run_by_alembic_and_walked_back(backend: Backend) {
    let project = asking(backend);
    let sandbox = &project.sandbox;
    sandbox.ok(&["up", "-y", "aaa1"]);
    let before = sandbox.contents();
    let plan = sandbox.ok(&["up", "--dry-run"]);
    assert!(
        plan.stdout.contains("it reads from the database") && plan.stdout.contains("bbb2_step.py:"),
        "{}",
        plan.transcript()
    );
    sandbox.ok(&["up", "-y"]);
    assert_eq!(people(sandbox, "surname"), "Lovelace, Hopper");
    assert_eq!(project.versions(), ["bbb2".to_owned()].into());
    let after = sandbox.contents();
    sandbox.ok(&["rollback", "-y", "--allow-lossy"]);
    sandbox.assert_contents(&before, "after the rollback");
    assert_eq!(project.versions(), ["aaa1".to_owned()].into());
    // A rollback is walked back like any other, and the way down is Alembic's as well.
    sandbox.ok(&["rollback", "-y", "--allow-lossy"]);
    sandbox.assert_contents(&after, "after the rollback of the rollback");
    sandbox.ok(&["down", "-y", "--allow-lossy"]);
    assert_eq!(people(sandbox, "name"), "Ada Lovelace, Grace Hopper");
    assert_eq!(project.versions(), ["aaa1".to_owned()].into());
}

/// Its session is one of its own, and opens while the database is read-only for everybody else.
pub(crate) fn alembic_writes_while_applications_may_not(backend: Backend) {
    let project = asking(backend);
    let sandbox = &project.sandbox;
    sandbox.policy("read_only_during_run = true");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(people(sandbox, "surname"), "Lovelace, Hopper");
    // So it does where the URL has options of its own, which stand before those of the surroundings.
    sandbox.ok(&["rollback", "-y", "--allow-lossy", "-n", "1"]);
    let sign = if sandbox.url().contains('?') { '&' } else { '?' };
    let with_options = format!("{}{sign}options=-cwork_mem%3D8MB", sandbox.url());
    let text = std::fs::read_to_string(sandbox.path("walkback.toml")).expect("a file");
    sandbox.write("walkback.toml", &text.replace(&sandbox.url(), &with_options));
    sandbox.ok(&["up", "-y"]);
    assert_eq!(people(sandbox, "surname"), "Lovelace, Hopper");
}

/// Alembic's transaction is its own; nobody can look into it, and nobody else may write to its tables until it ends.
pub(crate) fn what_alembic_runs_itself_goes_back_cell_by_cell(backend: Backend) {
    let project = asking(backend);
    let sandbox = &project.sandbox;
    sandbox.ok(&["up", "-y", "aaa1"]);
    sandbox.sql("CREATE TABLE bystander (id INTEGER PRIMARY KEY)");
    let is_over = AtomicBool::new(false);
    let mut session = sandbox.session();
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !is_over.load(Ordering::SeqCst) {
                written += 1;
                session.sql(&format!(
                    "INSERT INTO people (id, name) VALUES ({}, 'App {written}')",
                    100 + written
                ));
                session.sql(&format!("INSERT INTO bystander VALUES ({written})"));
                std::thread::sleep(Duration::from_millis(3));
            }
            written
        });
        let output = sandbox.run(&["up", "-y"]);
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(output.code, Some(0), "{}", output.transcript());
        writer.join().expect("it writes to the end")
    });
    assert!(written > 20, "hardly anything was written meanwhile");
    sandbox.sql("UPDATE people SET name = 'Amazing Grace' WHERE id = 2");
    sandbox.sql("INSERT INTO people (id, name) VALUES (3, 'Barbara Liskov')");
    let plan = sandbox.ok(&["rollback", "--dry-run"]);
    assert!(
        plan.stdout.contains("rollback (surgical)"),
        "{}",
        plan.transcript()
    );
    assert!(
        !plan.stdout.contains("bystander"),
        "it was not touched: {}",
        plan.transcript()
    );
    let output = sandbox.ok(&["rollback", "-y"]);
    let conflict = "the migration wrote 'Grace', now 'Amazing Grace'";
    assert!(output.stdout.contains(conflict), "{}", output.transcript());
    let expected = ["Ada Lovelace", "Amazing Grace", "Barbara Liskov"].map(str::to_owned);
    let expected: Vec<_> = expected
        .into_iter()
        .chain((1..=written).map(|number| format!("App {number}")))
        .collect();
    assert_eq!(people(sandbox, "name"), expected.join(", "));
    assert_eq!(
        sandbox.value("SELECT count(*) FROM bystander"),
        written.to_string()
    );
    assert_eq!(project.versions(), ["aaa1".to_owned()].into());
    let left = "SELECT count(*) FROM pg_class WHERE relname LIKE '\\_walkback\\_witness%'";
    assert_eq!(sandbox.value(left), "0", "copies are left");
}

pub(crate) fn what_fails_inside_alembic_leaves_everything_as_it_was(backend: Backend) {
    let project = asking(backend);
    let sandbox = &project.sandbox;
    project.add(&Revision::new(
        "ccc3",
        "\"bbb2\"",
        "op.get_bind().execute(sa.text(\"SELECT 1\")).scalar()\n\
         op.execute(\"DELETE FROM people WHERE id = 1\")\n\
         op.add_column(\"people\", sa.Column(\"age\", sa.Integer))\n\
         op.execute(\"INSERT INTO nowhere VALUES (1)\")",
        "op.drop_column(\"people\", \"age\")",
    ));
    sandbox.ok(&["up", "-y", "bbb2"]);
    let before = sandbox.contents();
    let output = project.walkback(&["up", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    let said = &output.stderr;
    assert!(
        said.contains("ccc3_step.py:") && said.contains("nowhere"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&before, "after a revision failed");
    assert_eq!(project.versions(), ["bbb2".to_owned()].into());
    sandbox.assert_sound();
    // Nothing is in the way of the next command.
    sandbox.ok(&["down", "-y", "--allow-lossy"]);
}

pub(crate) fn a_project_that_connects_elsewhere_is_noticed_and_changes_nothing(backend: Backend) {
    let project = asking(backend);
    let sandbox = &project.sandbox;
    sandbox.ok(&["up", "-y", "aaa1"]);
    let before = sandbox.contents();
    let other = Project::new(backend);
    let mut alembic = Alembic::of(&other);
    other.add(&Revision::new("aaa1", "None", "pass", "pass"));
    other.sandbox.ok(&["up", "-y"]);
    let there = other.sandbox.contents();
    let env = std::fs::read_to_string(sandbox.path("db/env.py")).expect("it was written");
    let url = alembic.url_of(&other.url());
    let elsewhere = env.replace(
        "    engine = engine_from_config(",
        &format!(
            "    config.set_main_option(\"sqlalchemy.url\", \"{url}\")\n    engine = engine_from_config("
        ),
    );
    assert_ne!(env, elsewhere);
    sandbox.write("db/env.py", &elsewhere);
    let output = project.walkback(&["up", "-y"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    sandbox.assert_contents(&before, "after a run on another database");
    other.sandbox.assert_contents(&there, "where it connects to");
    assert_eq!(project.versions(), ["aaa1".to_owned()].into());
}

pub(crate) fn killed_while_alembic_runs_the_next_command_knows_what_happened(backend: Backend) {
    let mut ended = (0, 0);
    // On a server each costs seconds; the usual run takes one in four.
    let all =
        backend == Backend::Sqlite || std::env::var("WALKBACK_JOURNEYS").is_ok_and(|which| which == "all");
    for step in (1..).step_by(if all { 1 } else { 4 }) {
        let project = asking(backend);
        let sandbox = &project.sandbox;
        sandbox.ok(&["up", "-y", "aaa1"]);
        let before = sandbox.contents();
        if sandbox.killed_at(step, &["up", "-y"]).is_none() {
            break;
        }
        let status = sandbox.status();
        if status["needs_recovery"] == serde_json::json!(true) {
            sandbox.ok(&["recover", "-y"]);
        }
        if project.versions().contains("aaa1") {
            sandbox.assert_contents(&before, &format!("killed at step {step}, recovered"));
            sandbox.ok(&["up", "-y"]);
            ended.0 += 1;
        } else {
            ended.1 += 1;
        }
        assert_eq!(people(sandbox, "surname"), "Lovelace, Hopper", "step {step}");
        assert_eq!(project.versions(), ["bbb2".to_owned()].into(), "step {step}");
        sandbox.assert_sound();
    }
    assert!(ended.0 > 1, "killed at {ended:?} steps before and after");
}
