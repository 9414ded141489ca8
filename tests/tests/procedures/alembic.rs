//! A team with Alembic on PostgreSQL, by Alembic's own commands and walkback's in turn.

use std::process::Command;

use walkback_tests::{Backend, Sandbox, alembic_python};

use crate::project::{Project, tool};

pub(crate) fn a_team_with_alembic_takes_turns_and_walks_three_back(backend: Backend) {
    let python = alembic_python().expect("the journey is ignored without Alembic");
    let project = Project::new(
        backend,
        &format!(
            "[source]\nkind = \"alembic\"\npath = \"alembic.ini\"\npython = \"{}\"",
            python.display()
        ),
    );
    project.configure("\n[env.production.policy]\nconfirm = \"type-name\"\nlossy = \"ask\"\n");
    let sandbox = &project.sandbox;
    begin(sandbox);
    in_turn(sandbox);
    the_last_three(&project);
    restored_and_stamped(&project);
    what_goes_wrong(&project);
}

/// A project as Alembic itself makes it, with four revisions.
fn begin(sandbox: &Sandbox) {
    alembic(sandbox, &["init", "db"]);
    let ini = std::fs::read_to_string(sandbox.path("alembic.ini")).expect("Alembic has written it");
    let url = sandbox
        .url()
        .replacen("postgres://", "postgresql+psycopg2://", 1)
        .replacen("postgresql://", "postgresql+psycopg2://", 1)
        .replace('%', "%%");
    let lines = ini.lines().map(|line| match line.starts_with("sqlalchemy.url") {
        true => format!("sqlalchemy.url = {url}"),
        false => line.to_owned(),
    });
    sandbox.write("alembic.ini", &lines.collect::<Vec<_>>().join("\n"));
    let revisions = [
        (
            "a1",
            "None",
            "op.create_table('users', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.Text))",
            "op.drop_table('users')",
        ),
        (
            "b2",
            "'a1'",
            "op.add_column('users', sa.Column('email', sa.Text))",
            "op.drop_column('users', 'email')",
        ),
        (
            "c3",
            "'b2'",
            "op.create_index('by_name', 'users', ['name'])",
            "op.drop_index('by_name')",
        ),
        (
            "d4",
            "'c3'",
            "op.execute(\"UPDATE users SET name = upper(name)\")",
            "op.execute(\"UPDATE users SET name = lower(name)\")",
        ),
    ];
    for (id, down, up, back) in revisions {
        revision(sandbox, id, down, up, back);
    }
}

fn revision(sandbox: &Sandbox, id: &str, down: &str, up: &str, back: &str) {
    sandbox.write(
        &format!("db/versions/{id}_step.py"),
        &format!(
            "\"\"\"step {id}\"\"\"\nimport sqlalchemy as sa\nfrom alembic import op\n\nrevision = '{id}'\n\
             down_revision = {down}\nbranch_labels = None\ndepends_on = None\n\n\n\
             def upgrade():\n    {up}\n\n\ndef downgrade():\n    {back}\n"
        ),
    );
}

fn alembic(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let python = alembic_python().expect("the journey is ignored without Alembic");
    tool(
        Command::new(python)
            .args(["-m", "alembic"])
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(sandbox.path(".")),
    )
}

/// Each reads what the other has written, in either order.
fn in_turn(sandbox: &Sandbox) {
    let dry = sandbox.ok(&["up", "--dry-run", "-e", "dev"]);
    assert!(dry.stdout.contains("d4"), "{}", dry.transcript());
    alembic(sandbox, &["upgrade", "a1"]);
    sandbox.sql("INSERT INTO users VALUES (1, 'ann'), (2, 'bob')");
    sandbox.ok(&["up", "-e", "dev", "-y", "c3"]);
    assert!(alembic(sandbox, &["current"]).contains("c3"));
    alembic(sandbox, &["downgrade", "-1"]);
    let current = sandbox.ok(&["current", "-e", "dev"]);
    assert!(current.stdout.contains("b2"), "{}", current.transcript());
    let status = sandbox.ok(&["status", "-e", "dev"]);
    assert!(status.stdout.contains("another tool"), "{}", status.transcript());
    alembic(sandbox, &["upgrade", "head"]);
    assert!(sandbox.run(&["status", "--check", "-e", "dev"]).code == Some(0));
    sandbox.ok(&["down", "-e", "dev", "-y", "a1", "--allow-lossy"]);
    assert!(alembic(sandbox, &["current"]).contains("a1"));
    alembic(sandbox, &["upgrade", "head"]);
    assert!(alembic(sandbox, &["history"]).contains("c3 -> d4"));
    let history = sandbox.ok(&["history", "-e", "dev"]);
    assert!(history.stdout.contains("d4"), "{}", history.transcript());
}

/// Backup, history, question, downs, verification: one command.
fn the_last_three(project: &Project) {
    let sandbox = &project.sandbox;
    sandbox.sql("UPDATE users SET email = 'ann@example.org' WHERE id = 1");
    let full = sandbox.contents();
    let command = ["down", "-n", "3", "-e", "production"];
    let dry = sandbox.ok(&[&command[..], &["--dry-run"]].concat());
    for id in ["d4", "c3", "b2"] {
        assert!(dry.stdout.contains(id), "{}", dry.transcript());
    }
    assert!(dry.stdout.contains("users"), "{}", dry.transcript());
    // Nobody typed its name.
    project.refused(&command, 6, &["production"]);
    sandbox.assert_contents(&full, "after a question that nobody answered");
    let yes = [
        &command[..],
        &["-y", "--confirm-name", "production", "--allow-lossy"],
    ]
    .concat();
    let done = sandbox.ok(&yes);
    assert!(done.stdout.contains("safety_"), "{}", done.transcript());
    assert!(project.in_bucket().iter().any(|id| id.starts_with("safety_")));
    assert!(alembic(sandbox, &["current"]).contains("a1"));
    assert_eq!(
        sandbox.value("SELECT string_agg(name, ',' ORDER BY id) FROM users"),
        "ann,bob"
    );
    // It was the wrong thing to do.
    sandbox.ok(&[
        "rollback",
        "-e",
        "production",
        "-y",
        "--confirm-name",
        "production",
    ]);
    sandbox.assert_contents(&full, "after the downs were walked back");
    assert!(alembic(sandbox, &["current"]).contains("d4 (head)"));
}

/// A `pg_dump` of an older state comes back, and the version is set to match it.
fn restored_and_stamped(project: &Project) {
    let sandbox = &project.sandbox;
    let then = sandbox.contents();
    tool(
        Command::new("pg_dump")
            .arg(sandbox.url())
            .arg("-f")
            .arg(sandbox.path("then.sql")),
    );
    revision(sandbox, "e5", "'d4'", "op.execute(\"DELETE FROM users\")", "pass");
    sandbox.ok(&["up", "-e", "dev", "-y"]);
    let restore = ["restore", "then.sql", "-e", "dev", "-y", "--allow-lossy"];
    sandbox.ok(&[&restore[..], &["--set-version", "d4"]].concat());
    sandbox.assert_contents(&then, "after the dump was restored");
    let current = alembic(sandbox, &["current"]);
    assert!(current.contains("d4") && !current.contains("head"), "{current}");
    std::fs::remove_file(sandbox.path("db/versions/e5_step.py")).expect("it can be removed");
}

/// The four cases, each with what to do.
fn what_goes_wrong(project: &Project) {
    let sandbox = &project.sandbox;
    // Data would be lost: said before, with counts, and what keeps it.
    sandbox.sql("INSERT INTO users VALUES (3, 'cid', 'cid@example.org')");
    let dry = sandbox.ok(&["down", "base", "-e", "dev", "--dry-run"]);
    assert!(dry.stdout.contains("3 rows"), "{}", dry.transcript());
    // A broken down: nothing has changed, and the point is the way back.
    revision(
        sandbox,
        "e5",
        "'d4'",
        "op.add_column('users', sa.Column('age', sa.Integer))",
        "op.drop_column('users', 'agee')",
    );
    let before = sandbox.contents();
    sandbox.ok(&["up", "-e", "dev", "-y"]);
    project.refused(
        &["down", "-e", "dev", "-y"],
        1,
        &["agee", "hint: `walkback rollback -n 1`"],
    );
    sandbox.ok(&["rollback", "-n", "1", "-e", "dev", "-y"]);
    sandbox.assert_contents(&before, "walked back without its down");
    // The version table is missing.
    sandbox.sql("DROP TABLE alembic_version");
    project.refused(&["down", "-e", "dev", "-y"], 2, &["walkback stamp d4"]);
    sandbox.ok(&["stamp", "d4", "-e", "dev", "-y"]);
    assert!(alembic(sandbox, &["current"]).contains("d4"));
    // Nothing to walk back.
    sandbox.ok(&["down", "base", "-e", "dev", "-y", "--allow-lossy"]);
    project.refused(
        &["down", "-e", "dev", "-y"],
        2,
        &["there is nothing to walk back"],
    );
}
