//! What applications write while a load runs, and afterwards, is theirs.

use walkback_tests::Backend;

use super::{csv, how_many, people, project};

pub(super) fn what_applications_write_while_it_loads_and_afterwards_stays(backend: Backend) {
    let sandbox = people(backend);
    sandbox.write("people.csv", &csv(20_000, |_| None));
    let mut child = sandbox.spawn(&["load", "people", "people.csv"]);
    let mut application = sandbox.session();
    let (mut written, mut meanwhile) = (0, 0);
    while written < 20 || child.try_wait().expect("it can be asked").is_none() {
        let is_running = child.try_wait().expect("it can be asked").is_none();
        let id = 100_000 + written;
        // A file may be in use at this moment; then it was not written.
        if application
            .try_sql(&format!("INSERT INTO people (id, name) VALUES ({id}, 'theirs')"))
            .is_ok()
        {
            written += 1;
            meanwhile += u32::from(is_running);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(child.wait().expect("it ends").success());
    assert!(meanwhile > 0, "nothing was written while it ran");
    assert_eq!(how_many(&sandbox, "people"), 20_001 + written);
    application.sql("UPDATE people SET age = 7 WHERE id = 0");
    application.sql("DELETE FROM people WHERE id = 11");
    drop(application);
    let output = sandbox.ok(&["rollback", "-y"]);
    assert!(output.stdout.contains("19999 removed"), "{}", output.transcript());
    assert_eq!(how_many(&sandbox, "people"), 1 + written);
    assert_eq!(sandbox.value("SELECT age FROM people WHERE id = 0"), "7");
}

pub(super) fn rows_that_were_changed_since_are_reported_and_decided_by_the_policy(backend: Backend) {
    let sandbox = people(backend);
    sandbox.sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people (id) ON DELETE CASCADE)");
    if backend.is_mysql() {
        sandbox.sql("ALTER TABLE orders ADD CONSTRAINT of_person FOREIGN KEY (person) REFERENCES people (id) ON DELETE CASCADE");
    }
    sandbox.write("people.csv", &csv(30, |_| None));
    sandbox.ok(&["load", "people", "people.csv"]);
    sandbox.sql("UPDATE people SET age = 55 WHERE id = 3");
    sandbox.sql("UPDATE people SET email = NULL WHERE id = 4");
    sandbox.sql("INSERT INTO orders VALUES (1, 5)");
    let stopped = sandbox.run(&["rollback", "--on-conflict", "stop", "-y"]);
    assert_eq!(stopped.code, Some(7), "{}", stopped.transcript());
    assert_eq!(how_many(&sandbox, "people"), 31);
    let output = sandbox.ok(&["rollback", "-y"]);
    for part in [
        "27 removed",
        "3 conflicts",
        "row id = 3: loaded, changed since",
        "row id = 5: loaded, and other rows refer to it",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.transcript());
    }
    assert_eq!(how_many(&sandbox, "people"), 4);
    assert_eq!(sandbox.value("SELECT age FROM people WHERE id = 3"), "55");
    assert_eq!(
        how_many(&sandbox, "orders"),
        1,
        "a row that an application wrote was cascaded away"
    );
    sandbox.ok(&["rollback", "-y"]);
    let output = sandbox.ok(&["rollback", "-y", "--on-conflict", "keep"]);
    assert_eq!(how_many(&sandbox, "people"), 4, "{}", output.transcript());
    sandbox.assert_sound();
    // Reverting takes those that were changed, and still none that something refers to.
    sandbox.sql("DELETE FROM orders");
    sandbox.sql("DELETE FROM people WHERE id > 0");
    sandbox.ok(&["load", "people", "people.csv"]);
    sandbox.sql("UPDATE people SET age = 55 WHERE id = 3");
    sandbox.sql("INSERT INTO orders VALUES (1, 5)");
    sandbox.ok(&["rollback", "-y", "--on-conflict", "revert"]);
    assert_eq!(how_many(&sandbox, "people"), 2);
    assert_eq!(how_many(&sandbox, "orders"), 1);
}

pub(super) fn rows_that_refer_to_each_other_go_together(backend: Backend) {
    let sandbox = project(backend);
    sandbox.migration(
        "001_tree",
        "CREATE TABLE tree (id INTEGER PRIMARY KEY, parent INTEGER, FOREIGN KEY (parent) REFERENCES tree (id));\n\
         INSERT INTO tree VALUES (0, NULL);",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    let mut lines = "id,parent\n".to_owned();
    for id in 1..=60 {
        lines.push_str(&format!("{id},{}\n", if id % 7 == 0 { id } else { id / 2 }));
    }
    lines.push_str("61,1000\n");
    sandbox.write("tree.csv", &lines);
    let output = sandbox.ok(&["load", "tree", "tree.csv", "--batch", "8"]);
    assert!(
        output
            .stdout
            .contains("loaded 60 records into `tree`, 1 rejected"),
        "{}",
        output.transcript()
    );
    sandbox.sql("INSERT INTO tree VALUES (100, 9)");
    let output = sandbox.ok(&["rollback", "-y"]);
    // What an application refers to stays, with all that it refers to itself: 9, 4, 2, 1.
    assert!(output.stdout.contains("56 removed"), "{}", output.transcript());
    assert_eq!(sandbox.value(&backend.joined("id", "tree")), "0,1,2,4,9,100");
    sandbox.assert_sound();
}
