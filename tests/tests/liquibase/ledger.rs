//! What is read from Liquibase's table, and written into it.

use walkback_tests::Backend;

use crate::project::{CHANGELOG, lock_holder, project, rows, table, write};

pub(crate) fn changesets_go_up_and_back_and_their_rows_are_as_liquibase_writes_them(backend: Backend) {
    let sandbox = project(backend, CHANGELOG);
    let before = sandbox.contents();
    sandbox.ok(&["up", "-y"]);
    // The sums are what Liquibase 4.28.0 wrote for this changelog.
    let file = "db/changelog.sql";
    assert_eq!(
        rows(&sandbox),
        [
            format!(
                "1 | alice | {file} | 1 | EXECUTED | 9:f64bbfec6d3cce00fe39cf9d9957a813 | sql | the people | NULL | (test or dev) | b,a"
            ),
            format!(
                "add-index | bob | {file} | 2 | EXECUTED | 9:19df94738dc1093175800b588c028300 | sql |  | NULL | NULL | NULL"
            ),
            format!(
                "3 | Carla C. | {file} | 3 | EXECUTED | 9:7db9423bf2af0f16180ab61589111326 | sql |  | NULL | NULL | NULL"
            ),
            format!(
                "4 | bob | {file} | 4 | EXECUTED | 9:2641d61ca9e294b899ebabde39b1c11e | sql |  | NULL | NULL | NULL"
            ),
            format!(
                "5 | bob | {file} | 5 | EXECUTED | 9:b9cc6949c4347e5db4c58b7ff9b0a7ea | sql |  | NULL | NULL | NULL"
            ),
        ]
    );
    let ledger = table(&sandbox, "DATABASECHANGELOG");
    let writer = sandbox.value(&format!("SELECT MIN(LIQUIBASE) FROM {ledger}"));
    assert!(writer.starts_with("walkback "), "{writer}");
    assert_eq!(
        sandbox.value(&format!("SELECT COUNT(DISTINCT DEPLOYMENT_ID) FROM {ledger}")),
        "1",
        "one run is one deployment"
    );
    assert_eq!(lock_holder(&sandbox), "");
    sandbox.ok(&["down", "-y", "--to", "bob:add-index", "--allow-lossy"]);
    assert_eq!(rows(&sandbox).len(), 2);
    assert_eq!(sandbox.value("SELECT COUNT(*) FROM people"), "1");
    sandbox.ok(&["down", "-y", "--to", "base", "--allow-lossy"]);
    assert!(rows(&sandbox).is_empty());
    sandbox.assert_contents(&before, "after all was walked back");
}

pub(crate) fn what_was_edited_or_is_ahead_is_said(backend: Backend) {
    let sandbox = project(backend, CHANGELOG);
    sandbox.ok(&["up", "-y"]);
    // Liquibase's sum is of the text without blanks.
    write(
        &sandbox,
        &CHANGELOG.replace("CREATE TABLE more (id INT", "CREATE  TABLE\n more (id  INT"),
    );
    assert_eq!(sandbox.status()["edited"].as_array().map(Vec::len), Some(0));
    write(
        &sandbox,
        &CHANGELOG.replace("CREATE TABLE more (id INT", "CREATE TABLE more (id BIGINT"),
    );
    let edited = sandbox.status()["edited"].to_string();
    assert!(
        edited.contains("db/changelog.sql::5::bob") && !edited.contains("::4::bob"),
        "{edited}"
    );
    // An older release that never knew the last changeset walks it back.
    let (older, _) = CHANGELOG.split_once("--changeset bob:5").expect("it is there");
    write(&sandbox, older);
    let ahead = sandbox.status()["ahead"].to_string();
    assert!(ahead.contains("db/changelog.sql::5::bob"), "{ahead}");
    let output = sandbox.ok(&["rollback", "-n", "1", "-y"]);
    assert!(
        output.stdout.contains("db/changelog.sql::5::bob"),
        "{}",
        output.transcript()
    );
    assert_eq!(rows(&sandbox).len(), 4);
    // Another file may have a changeset of the same author and id.
    let ledger = table(&sandbox, "DATABASECHANGELOG");
    let id = match backend {
        Backend::Mysql | Backend::Mariadb => "CURRENT_TIMESTAMP",
        _ => "'2020-01-01 00:00:00'",
    };
    sandbox.sql(&format!(
        "INSERT INTO {ledger} (ID, AUTHOR, FILENAME, DATEEXECUTED, ORDEREXECUTED, EXECTYPE) VALUES ('4', 'bob', 'old.xml', {id}, 0, 'EXECUTED')"
    ));
    let ahead = sandbox.status()["ahead"].to_string();
    assert!(ahead.contains("old.xml::4::bob"), "{ahead}");
}

/// The journal keeps the way back of a changeset under its identity. That was short while no other file had its author and id:
/// another file then took the name over, and the stored way back of the first was run for the second.
pub(crate) fn the_same_author_and_id_in_two_files_are_two_changesets(backend: Backend) {
    let sandbox = project(backend, "");
    sandbox.configure("[source]\nkind = \"liquibase\"\npath = \"db/master.xml\"");
    let of = |table: &str| {
        format!(
            "--liquibase formatted sql\n--changeset bob:1\nCREATE TABLE {table} (id INT);\n--rollback DROP TABLE {table};\n"
        )
    };
    let master = |files: &[&str]| {
        let all: String = files
            .iter()
            .map(|file| format!("<include file=\"db/{file}.sql\"/>"))
            .collect();
        sandbox.write(
            "db/master.xml",
            &format!("<databaseChangeLog>{all}</databaseChangeLog>"),
        );
    };
    sandbox.write("db/second.sql", &of("second"));
    sandbox.write("db/first.sql", &of("first"));
    master(&["second"]);
    sandbox.ok(&["up", "-y"]);
    sandbox.ok(&["show", "bob:1"]);
    // A file that stands before it has a changeset of the same author and id.
    master(&["first", "second"]);
    let status = sandbox.status();
    assert!(
        status["pending"].to_string().contains("db/first.sql::1::bob"),
        "{status}"
    );
    assert_eq!(status["edited"].as_array().map(Vec::len), Some(0), "{status}");
    let output = sandbox.run(&["show", "bob:1"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    for said in ["db/first.sql::1::bob", "db/second.sql::1::bob"] {
        assert!(output.stderr.contains(said), "{}", output.transcript());
    }
    sandbox.ok(&["show", "db/second.sql::1::bob"]);
    // Liquibase knows a file by its path, however that was spelled when the row was written.
    let ledger = table(&sandbox, "DATABASECHANGELOG");
    sandbox.sql(&format!(
        "UPDATE {ledger} SET FILENAME = 'classpath:/db/x/../second.sql'"
    ));
    let status = sandbox.status();
    assert_eq!(status["ahead"].as_array().map(Vec::len), Some(0), "{status}");
    assert_eq!(status["pending"].as_array().map(Vec::len), Some(1), "{status}");
    // An older release without any of them walks it back by what was stored for it.
    sandbox.sql("CREATE TABLE first (id INT)");
    master(&[]);
    sandbox.ok(&["down", "-y", "-n", "1", "--allow-lossy"]);
    assert!(rows(&sandbox).is_empty());
    assert_eq!(
        sandbox.value("SELECT COUNT(*) FROM first"),
        "0",
        "it is not what was taken back"
    );
    assert!(sandbox.session().try_sql("SELECT 1 FROM second").is_err());
}

pub(crate) fn a_condition_decides_whether_a_changeset_runs(backend: Backend) {
    let sandbox = project(
        backend,
        "--liquibase formatted sql\n--changeset a:1\nCREATE TABLE t (id INT);\n\n\
         --changeset a:2\n--preconditions onFail:MARK_RAN onError:HALT\n\
         --precondition-sql-check expectedResult:1 SELECT COUNT(*) FROM t\nINSERT INTO t VALUES (2);\n\n\
         --changeset a:3\n--preconditions onFail:CONTINUE\n\
         --precondition-sql-check expectedResult:\"1\" SELECT COUNT(*) FROM t\nINSERT INTO t VALUES (3);\n\n\
         --changeset a:4\n--preconditions onFail:WARN\n\
         --precondition-sql-check expectedResult:1 SELECT COUNT(*) FROM t\nINSERT INTO t VALUES (4);\n\n\
         --changeset a:5\n--preconditions\n\
         --precondition-sql-check expectedResult:0 SELECT COUNT(*) FROM t\nINSERT INTO t VALUES (5);\n",
    );
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(3), "{}", output.transcript());
    assert!(
        output.stderr.contains("db/changelog.sql:22"),
        "{}",
        output.transcript()
    );
    let ids: Vec<String> = rows(&sandbox)
        .iter()
        .map(|row| row.split(" | ").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(ids, ["1", "2", "4"]);
    let marked = rows(&sandbox)[1].clone();
    assert!(marked.contains("MARK_RAN"), "{marked}");
    assert_eq!(sandbox.value("SELECT COUNT(*) FROM t"), "1");
    assert_eq!(sandbox.value("SELECT id FROM t"), "4");
    assert_eq!(lock_holder(&sandbox), "");
}

/// What a whole changelog asks for is asked once in a run: its first changeset may change the answer.
pub(crate) fn what_a_whole_changelog_asks_for_is_asked_before_its_first_changeset(backend: Backend) {
    let sandbox = project(backend, CHANGELOG);
    sandbox.configure("[source]\nkind = \"liquibase\"\npath = \"db/master.xml\"");
    sandbox.sql("CREATE TABLE gate (id INT)");
    let master = |expected: u8, on_fail: &str| {
        let text = format!(
            "<databaseChangeLog>\n<preConditions{on_fail}><sqlCheck expectedResult=\"0\">SELECT COUNT(*) FROM gate WHERE id > 9</sqlCheck><sqlCheck expectedResult=\"{expected}\">SELECT COUNT(*) FROM gate</sqlCheck></preConditions>\n\
             <changeSet id=\"1\" author=\"a\"><sql>INSERT INTO gate VALUES (1)</sql><rollback>DELETE FROM gate WHERE id = 1</rollback></changeSet>\n\
             <changeSet id=\"2\" author=\"a\"><sql>INSERT INTO gate VALUES (2)</sql><rollback>DELETE FROM gate WHERE id = 2</rollback></changeSet>\n</databaseChangeLog>"
        );
        sandbox.write("db/master.xml", &text);
    };
    master(1, "");
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(3), "{}", output.transcript());
    assert!(
        output.stderr.contains("db/master.xml:2"),
        "{}",
        output.transcript()
    );
    assert_eq!(sandbox.value("SELECT COUNT(*) FROM gate"), "0");
    master(0, "");
    sandbox.ok(&["up", "-y", "-n", "1"]);
    // The next run asks again.
    assert_eq!(sandbox.run(&["up", "-y"]).code, Some(3));
    master(0, " onFail=\"WARN\"");
    let output = sandbox.ok(&["up", "-y"]);
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(
        said.contains("SELECT COUNT(*) FROM gate"),
        "{}",
        output.transcript()
    );
    sandbox.ok(&["down", "-y", "--to", "base", "--allow-lossy"]);
    master(0, "");
    sandbox.ok(&["up", "-y"]);
    assert_eq!(sandbox.value("SELECT COUNT(*) FROM gate"), "2");
    // `dbms` is decided without the server.
    sandbox.ok(&["down", "-y", "--to", "base", "--allow-lossy"]);
    sandbox.write(
        "db/master.xml",
        "<databaseChangeLog>\n<preConditions><dbms type=\"oracle\"/></preConditions>\n\
         <changeSet id=\"1\" author=\"a\"><sql>INSERT INTO gate VALUES (1)</sql><rollback>DELETE FROM gate WHERE id = 1</rollback></changeSet>\n</databaseChangeLog>",
    );
    let output = sandbox.run(&["up", "-y"]);
    assert_eq!(output.code, Some(3), "{}", output.transcript());
    assert!(output.stderr.contains("`oracle`"), "{}", output.transcript());
}

/// Liquibase takes the newest row by its moment. Where it had written in a time zone ahead of ours, ours were none of the newest,
/// and `rollback-count` undid others.
pub(crate) fn no_row_is_older_than_one_before_it(backend: Backend) {
    let sandbox = project(backend, CHANGELOG);
    sandbox.ok(&["up", "-y", "-n", "2"]);
    let ledger = table(&sandbox, "DATABASECHANGELOG");
    sandbox.sql(&format!(
        "UPDATE {ledger} SET DATEEXECUTED = '2037-01-02 03:04:05' WHERE ORDEREXECUTED = 2"
    ));
    sandbox.ok(&["up", "-y"]);
    let late = sandbox.value(&format!(
        "SELECT COUNT(*) FROM {ledger} WHERE DATEEXECUTED = '2037-01-02 03:04:05'"
    ));
    assert_eq!(late, "4", "the row that was late, and the three behind it");
    assert_eq!(
        sandbox.value(&format!(
            "SELECT COUNT(*) FROM {ledger} WHERE DATEEXECUTED < '2037-01-01 00:00:00'"
        )),
        "1"
    );
    sandbox.ok(&["down", "-y", "-n", "3", "--allow-lossy"]);
    assert_eq!(rows(&sandbox).len(), 2);
}

pub(crate) fn a_changeset_that_changes_the_tables_of_liquibase_is_refused(backend: Backend) {
    for name in ["DATABASECHANGELOG", "DATABASECHANGELOGLOCK"] {
        let sandbox = project(backend, "");
        let name = table(&sandbox, name);
        let text = format!("--liquibase formatted sql\n--changeset a:1\nDELETE FROM {name};\n");
        sandbox.write("db/changelog.sql", &text);
        let output = sandbox.run(&["up", "-y"]);
        assert_ne!(output.code, Some(0));
        assert!(
            output.stderr.contains("db/changelog.sql:3"),
            "{}",
            output.transcript()
        );
        assert!(output.stderr.contains(&name), "{}", output.transcript());
    }
}
