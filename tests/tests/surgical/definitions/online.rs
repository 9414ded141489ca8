//! Applications that read and write while a migration goes back.

use std::sync::atomic::{AtomicBool, Ordering};

use walkback_tests::{Backend, Sandbox};

use super::{conflicts, rows, walk_back_with_loss};
use crate::project;

/// Several tables that refer to each other go back while applications write to all of them, all the time.
pub(crate) fn no_write_is_lost_while_it_goes_back(backend: Backend) {
    let begin = "CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, n INTEGER NOT NULL, old INTEGER);\n\
        CREATE TABLE b (id INTEGER NOT NULL PRIMARY KEY, a INTEGER NOT NULL REFERENCES a (id), n INTEGER NOT NULL, old INTEGER);\n\
        CREATE TABLE z (id INTEGER NOT NULL PRIMARY KEY, n INTEGER NOT NULL, old INTEGER);\n\
        INSERT INTO a VALUES (1, 0, 5);\nINSERT INTO b VALUES (1, 1, 0, 6);\nINSERT INTO z VALUES (1, 0, 7);";
    let change =
        "ALTER TABLE a DROP COLUMN old;\nALTER TABLE b DROP COLUMN old;\nALTER TABLE z DROP COLUMN old;";
    let renamed = format!("{change}\nALTER TABLE z RENAME TO z2;\nCREATE INDEX by_n ON other (n);");
    let other = format!("{begin}\nCREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY, n INTEGER);");
    no_write_is_lost(&project(backend, begin, change), ["a", "b", "z"]);
    no_write_is_lost(&project(backend, &other, &renamed), ["a", "b", "z2"]);
}

/// Walks back while each of the tables is written to, without a pause.
fn no_write_is_lost(sandbox: &Sandbox, names: [&str; 3]) {
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|threads| {
        let writers = names.map(|table| {
            let is_over = &is_over;
            threads.spawn(move || {
                let mut session = sandbox.session();
                let mut written = 0;
                while !is_over.load(Ordering::SeqCst) {
                    // The server may choose the writer where two wait for each other: it has not written then.
                    written += i64::from(session.try_sql(&format!("UPDATE {table} SET n = n + 1")).is_ok());
                }
                written
            })
        });
        let changes = walk_back_with_loss(sandbox, &["--type", "surgical"]);
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(conflicts(&changes), [""; 0]);
        writers.map(|writer| writer.join().expect("it ends"))
    });
    for ((table, old), written) in [("a", 5), ("b", 6), ("z", 7)].iter().zip(written) {
        assert!(written > 0, "nobody wrote to `{table}`");
        let is = sandbox.value(&format!("SELECT concat(n, '/', old) FROM {table}"));
        assert_eq!(is, format!("{written}/{old}"), "a write to `{table}` was lost");
    }
    sandbox.assert_sound();
}

/// A transaction that has read a table keeps it from being exchanged for as long as it lasts.
pub(crate) fn who_cannot_exchange_a_table_leaves_all_as_it_is(backend: Backend) {
    let begin = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(10), b VARCHAR(10));\n\
        CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY, n INTEGER);\nINSERT INTO t VALUES (1, 'a', 'b');";
    let change = "ALTER TABLE t DROP COLUMN b;\nCREATE VIEW shown AS SELECT id, a FROM t;\nCREATE INDEX by_n ON other (n);";
    let sandbox = project(backend, begin, change);
    sandbox.sql("UPDATE t SET a = 'since' WHERE id = 1");
    let now = sandbox.contents();
    let mut reader = sandbox.session();
    reader.sql("BEGIN");
    assert_eq!(reader.value("SELECT count(*) FROM t"), "1");
    let impatient = [
        "rollback",
        "-n",
        "1",
        "-y",
        "--type",
        "surgical",
        "--lock-timeout",
        "1s",
    ];
    let refused = sandbox.run(&impatient);
    assert_ne!(refused.code, Some(0), "{}", refused.transcript());
    reader.sql("COMMIT");
    sandbox.assert_contents(&now, "after a rollback that waited in vain");
    assert_eq!(sandbox.status()["applied"], 2, "{}", refused.transcript());
    let nothing = sandbox.ok(&["recover"]);
    assert!(
        nothing.stdout.contains("nothing to recover"),
        "{}",
        nothing.transcript()
    );
    walk_back_with_loss(&sandbox, &["--type", "surgical"]);
    assert_eq!(rows(&sandbox, "t", "id, a, b"), "1|since|b");
}

/// Whoever changes a definition of a table asks for those that refer to it as well, which nobody gets while they are held.
pub(crate) fn what_goes_from_a_table_beside_those_that_are_held_goes(backend: Backend) {
    let begin = "CREATE TABLE p (id INTEGER NOT NULL PRIMARY KEY, b VARCHAR(40));\n\
        CREATE TABLE q (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(40), p INTEGER, INDEX of_p (p), FOREIGN KEY (p) REFERENCES p (id));\n\
        CREATE TABLE s (id INTEGER NOT NULL PRIMARY KEY, q INTEGER, INDEX of_q (q));\n\
        INSERT INTO p VALUES (1, 'b');\nINSERT INTO q VALUES (1, 'a', 1), (2, 'c', NULL);\nINSERT INTO s VALUES (1, 2);";
    for change in [
        // Of the table that is referred to.
        "CREATE INDEX by_b ON p (b);",
        "CREATE INDEX by_b ON p (b);\nCREATE UNIQUE INDEX once ON s (q);\nALTER TABLE s DROP INDEX of_q;",
        // Of a table that refers to it.
        "ALTER TABLE s ADD CONSTRAINT s_q FOREIGN KEY (q) REFERENCES q (id);",
    ] {
        let sandbox = project(backend, begin, &format!("UPDATE q SET a = 'w';\n{change}"));
        sandbox.sql("INSERT INTO q VALUES (3, 'since', 1); UPDATE q SET p = 1 WHERE id = 2");
        let now = sandbox.contents();
        walk_back_with_loss(&sandbox, &["--lock-timeout", "2s"]);
        assert_eq!(
            rows(&sandbox, "q", "id, a, p"),
            "1|a|1 2|c|1 3|since|1",
            "{change}"
        );
        sandbox.assert_sound();
        sandbox.ok(&["rollback", "-y"]);
        sandbox.assert_contents(&now, &format!("after a rollback of the rollback: {change}"));
    }
}
