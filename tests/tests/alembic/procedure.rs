//! "Roll back the last N", as teams with Alembic do it by hand: backup, history, question, downs, verification; and what
//! goes wrong with it.

use std::process::Command;

use walkback_tests::Backend;

use crate::project::{Alembic, Project, Revision};

fn shop(backend: Backend) -> Project {
    let project = Project::new(backend);
    project.add_table(Revision::new("aaa1", "None", "", ""));
    project.add_table(Revision::new("bbb2", "\"aaa1\"", "", ""));
    project.add(&Revision::new(
        "ccc3",
        "\"bbb2\"",
        "op.add_column(\"t_bbb2\", sa.Column(\"note\", sa.String(20)))",
        "op.drop_column(\"t_bbb2\", \"note\")",
    ));
    project.add(&Revision::new(
        "ddd4",
        "\"ccc3\"",
        "op.execute(\"UPDATE t_bbb2 SET note = 'x'\")",
        "op.execute(\"UPDATE t_bbb2 SET note = NULL\")",
    ));
    project
}

pub(crate) fn the_last_three_of_alembic_are_walked_back_by_one_command(backend: Backend) {
    let project = shop(backend);
    let sandbox = &project.sandbox;
    let mut alembic = Alembic::of(&project);
    alembic.run(&project, "upgrade", &["head"]);
    sandbox.sql("INSERT INTO t_aaa1 VALUES (1); INSERT INTO t_bbb2 VALUES (1, 'kept')");
    let full = sandbox.contents();
    let dry = sandbox.ok(&["down", "-n", "3", "--dry-run"]);
    for name in ["ddd4_step_ddd4", "ccc3_step_ccc3", "bbb2_step_bbb2"] {
        assert!(dry.stdout.contains(name), "{}", dry.transcript());
    }
    // What will be lost is said before, with counts.
    assert!(
        dry.stdout.contains("t_bbb2") && dry.stdout.contains("1 row"),
        "{}",
        dry.transcript()
    );
    sandbox.assert_contents(&full, "after a dry run");
    let output = sandbox.ok(&["down", "-n", "3", "-y", "--allow-lossy"]);
    assert!(output.stdout.contains("safety_"), "{}", output.transcript());
    assert_eq!(project.versions(), ["aaa1".to_owned()].into());
    assert!(alembic.run(&project, "current", &[]).contains("aaa1"));
    sandbox.ok(&["rollback", "-y"]);
    sandbox.assert_contents(&full, "after the downs were walked back");
    assert!(alembic.run(&project, "current", &[]).contains("ddd4 (head)"));
}

pub(crate) fn a_dump_comes_back_and_the_version_with_it(backend: Backend) {
    let project = shop(backend);
    let sandbox = &project.sandbox;
    let mut alembic = Alembic::of(&project);
    alembic.run(&project, "upgrade", &["bbb2"]);
    sandbox.sql("INSERT INTO t_bbb2 VALUES (7)");
    let then = sandbox.contents();
    let dump = Command::new("pg_dump")
        .arg(sandbox.url())
        .arg("-f")
        .arg(sandbox.path("then.sql"))
        .output()
        .expect("pg_dump runs");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    alembic.run(&project, "upgrade", &["head"]);
    sandbox.sql("DELETE FROM t_bbb2");
    // The dump holds its version table; a person may know better.
    for set in [None, Some("aaa1")] {
        let mut arguments = vec![
            "restore",
            "then.sql",
            "-y",
            "--allow-lossy",
            "--allow-destructive",
        ];
        arguments.extend(set.iter().flat_map(|target| ["--set-version", target]));
        sandbox.ok(&arguments);
        sandbox.assert_contents(&then, "after the restore");
        let expected = set.unwrap_or("bbb2");
        assert_eq!(project.versions(), [expected.to_owned()].into());
        assert!(alembic.run(&project, "current", &[]).contains(expected));
    }
}

pub(crate) fn what_goes_wrong_is_said_with_the_next_command(backend: Backend) {
    let project = shop(backend);
    let sandbox = &project.sandbox;
    let mut alembic = Alembic::of(&project);
    // Nothing to walk back.
    let output = project.walkback(&["down", "-y"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert!(
        output.stderr.contains("there is nothing to walk back"),
        "{}",
        output.transcript()
    );
    // A broken down: all is as it was, and the way back is by the point.
    sandbox.ok(&["up", "-y", "bbb2"]);
    let before = sandbox.contents();
    project.add(&Revision::new(
        "ccc3",
        "\"bbb2\"",
        "op.add_column(\"t_bbb2\", sa.Column(\"note\", sa.String(20)))\nop.execute(\"UPDATE t_bbb2 SET note = 'x'\")",
        "op.drop_column(\"t_bbb2\", \"nota\")",
    ));
    sandbox.ok(&["up", "-y", "ccc3"]);
    let after = sandbox.contents();
    let output = project.walkback(&["down", "-y", "--allow-lossy"]);
    assert_eq!(output.code, Some(1), "{}", output.transcript());
    assert!(
        output.stderr.contains("hint: `walkback rollback -n 1`"),
        "{}",
        output.transcript()
    );
    sandbox.assert_contents(&after, "after a broken down");
    sandbox.ok(&["rollback", "-n", "1", "-y", "--allow-lossy"]);
    sandbox.assert_contents(&before, "after the rollback");
    // The version table is gone.
    sandbox.sql("DROP TABLE alembic_version");
    for command in [&["down", "-y"][..], &["up", "--dry-run"], &["status"]] {
        let output = project.walkback(command);
        assert!(
            output.transcript().contains("walkback stamp bbb2"),
            "{}",
            output.transcript()
        );
    }
    sandbox.ok(&["stamp", "-y", "bbb2"]);
    assert!(alembic.run(&project, "current", &[]).contains("bbb2"));
}

pub(crate) fn an_alembic_that_moves_the_version_meanwhile_is_noticed(backend: Backend) {
    let project = shop(backend);
    let sandbox = &project.sandbox;
    sandbox.ok(&["up", "-y", "bbb2"]);
    let sleep = if backend.is_postgres() {
        "pg_sleep(6)"
    } else {
        "sleep(6)"
    };
    project.add(&Revision::new(
        "ccc3",
        "\"bbb2\"",
        &format!("op.execute(\"CREATE TABLE half (i INTEGER)\")\nop.execute(\"SELECT {sleep}\")"),
        "op.execute(\"DROP TABLE half\")",
    ));
    let before = sandbox.contents();
    // It is there before: Python takes its time to start.
    let mut alembic = Alembic::of(&project);
    alembic.run(&project, "current", &[]);
    let mut running = sandbox.spawn(&["up", "-y", "ccc3"]);
    while sandbox.server().sessions_that_run("sleep(6)") == 0 {
        let ended = running.try_wait().expect("it can be asked");
        assert!(
            ended.is_none(),
            "it ended before: {:?}",
            running.wait_with_output()
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    alembic.run(&project, "stamp", &["aaa1"]);
    let output = running.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("another tool has changed it meanwhile"),
        "{output:?}"
    );
    sandbox.assert_contents(&before, "after the version was moved");
    assert_eq!(project.versions(), ["aaa1".to_owned()].into());
    // Two walkbacks exclude each other as always, and the next command sees who has moved it.
    let status = sandbox.ok(&["status"]);
    assert!(
        status.stdout.contains("by another tool since"),
        "{}",
        status.transcript()
    );
}

/// Alembic's own `--sql` moves the version as well: without that, what a person has run by hand would be applied again.
pub(crate) fn the_sql_that_is_printed_says_to_alembic_what_it_has_done(backend: Backend) {
    let project = shop(backend);
    let sandbox = &project.sandbox;
    let mut alembic = Alembic::of(&project);
    let up = sandbox.ok(&["up", "--sql"]).stdout;
    assert!(
        up.contains("alembic_version") && !up.contains("-- ledger: insert"),
        "{up}"
    );
    sandbox.sql(&up);
    assert_eq!(project.versions(), ["ddd4".to_owned()].into());
    assert!(alembic.run(&project, "current", &[]).contains("ddd4 (head)"));
    assert!(sandbox.ok(&["up", "-y"]).stdout.contains("nothing to apply"));
    let down = sandbox.ok(&["down", "-n", "2", "--sql"]).stdout;
    sandbox.sql(&down);
    assert_eq!(project.versions(), ["bbb2".to_owned()].into(), "{down}");
    assert!(alembic.run(&project, "current", &[]).contains("bbb2"));
    let next = sandbox.ok(&["up", "-n", "1", "--sql"]).stdout;
    assert!(
        !next.contains("CREATE TABLE"),
        "the table of Alembic is there: {next}"
    );
    sandbox.sql(&next);
    assert_eq!(project.versions(), ["ccc3".to_owned()].into());
    alembic.run(&project, "upgrade", &["head"]);
    let all = sandbox.ok(&["goto", "base", "--sql"]).stdout;
    sandbox.sql(&all);
    assert!(project.versions().is_empty(), "{all}");
}
