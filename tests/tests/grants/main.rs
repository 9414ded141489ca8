//! The rights of users and roles: kept by a backup and given back by a restore, when they are asked for.

mod accounts;

use std::process::ExitCode;

use walkback_tests::{Backend, MYSQL, ONE_OF_EACH, Output, Sandbox, journeys};

use accounts::{Accounts, as_other, backup, both, give, rights};

fn main() -> ExitCode {
    walkback_tests::main(
        "grants",
        &journeys! {
            MYSQL => [
                rights_that_were_taken_away_come_back,
                rights_go_to_a_database_of_another_name_and_to_no_other,
                an_account_that_is_not_there_is_named_and_not_created,
                the_rights_on_one_table_come_back_with_that_table,
                who_may_not_read_the_rights_is_told_what_lets_them,
                who_may_not_give_the_rights_is_told_before_anything_changes,
                an_export_gives_the_rights_it_was_asked_for,
                a_backup_without_them_says_so,
            ],
            &[Backend::Postgres] => [rights_are_part_of_every_backup],
            &[Backend::Sqlite] => [there_are_no_rights_in_a_file],
            ONE_OF_EACH => [a_backup_holds_no_rights_that_nobody_asked_for],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(20), `b c` VARCHAR(20)); INSERT INTO t VALUES (1, 'x', 'y');\n\
         CREATE TABLE other (id INTEGER PRIMARY KEY); CREATE VIEW v AS SELECT id FROM t;\n\
         CREATE FUNCTION f() RETURNS INTEGER DETERMINISTIC RETURN 1;",
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox
}

fn assert_says(output: &Output, text: &str) {
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains(text), "`{text}` is not in\n{}", output.transcript());
}

fn rights_that_were_taken_away_come_back(backend: Backend) {
    let sandbox = project(backend);
    let accounts = Accounts::create(&sandbox);
    give(&sandbox, &accounts);
    let before = both(&sandbox, &accounts);
    assert_eq!((before.0.len(), before.1.len()), (3, 2), "{before:?}");
    let made = sandbox.ok(&["backup", "create", "--grants"]);
    assert_says(&made, ", 5 grants of 2 users and roles");
    let id = backup(&sandbox);
    assert_says(
        &sandbox.ok(&["backup", "show", &id]),
        "grants      5 grants of 2 users and roles",
    );
    assert_says(&sandbox.ok(&["backup", "list"]), "5 grants");
    assert_eq!(
        sandbox.ok(&["backup", "list", "--json"]).json()["backups"][0]["grants"],
        5
    );
    accounts.revoke();
    // The rights on a function go with it.
    sandbox.sql("DROP FUNCTION f");
    sandbox.sql(&format!("GRANT DROP ON other TO {}", accounts.role));
    let plan = sandbox.ok(&["restore", &id, "--grants", "--dry-run"]);
    assert_says(
        &plan,
        &format!("`{}@%` gets back EXECUTE on function `f`", accounts.name()),
    );
    assert_eq!(
        both(&sandbox, &accounts).0,
        Vec::<String>::new(),
        "a dry run gives nothing"
    );
    let restored = sandbox.ok(&["restore", &id, "--grants", "-y"]);
    assert_says(&restored, "gave back 5 grants");
    let after = both(&sandbox, &accounts);
    assert_eq!(after.0, before.0);
    let since: Vec<_> = after.1.iter().filter(|line| !before.1.contains(line)).collect();
    assert_eq!(
        (since.len(), after.1.len()),
        (1, 3),
        "what was given since stays: {after:?}"
    );
    let again = sandbox.ok(&["restore", &id, "--grants", "-y"]);
    assert_says(&again, "gave back 5 grants");
    assert_eq!(both(&sandbox, &accounts), after);
    let manifest = sandbox.ok(&["backup", "show", &id, "--json"]).stdout;
    assert!(
        !manifest.contains("Secret-1") && !manifest.contains("PASSWORD"),
        "{manifest}"
    );
}

fn rights_go_to_a_database_of_another_name_and_to_no_other(backend: Backend) {
    let sandbox = project(backend);
    let accounts = Accounts::create(&sandbox);
    give(&sandbox, &accounts);
    let database = sandbox.server().name();
    // One on several databases, one on all, and one in a role: none of them is a right on this one.
    sandbox.sql(&format!(
        "GRANT TRIGGER ON `{}%`.* TO {}",
        database, accounts.user
    ));
    sandbox.sql(&format!("GRANT PROCESS ON *.* TO {}", accounts.user));
    sandbox.sql(&format!("GRANT {} TO {}", accounts.role, accounts.user));
    let (before, id) = (both(&sandbox, &accounts), backup(&sandbox));
    let elsewhere = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    std::fs::remove_dir_all(elsewhere.path("migrations")).expect("it can be removed");
    for name in ["migrations", ".walkback"] {
        std::os::unix::fs::symlink(sandbox.path(name), elsewhere.path(name)).expect("a link can be made");
    }
    accounts.revoke();
    if backend == Backend::Mysql {
        // On MariaDB, "all" is also what somebody is in.
        sandbox.sql(&format!("REVOKE {} FROM {}", accounts.role, accounts.user));
    }
    elsewhere.ok(&["restore", &id, "--grants", "-y"]);
    let after = both(&elsewhere, &accounts);
    assert_eq!(after, before);
    assert_eq!(
        both(&sandbox, &accounts),
        (Vec::new(), Vec::new()),
        "the database it was made of"
    );
    let all = sandbox
        .session()
        .column(&format!("SHOW GRANTS FOR {}", accounts.user))
        .join("\n");
    assert!(
        !all.contains("PROCESS") && !all.contains(&accounts.role) && !all.contains("TRIGGER"),
        "{all}"
    );
}

fn an_account_that_is_not_there_is_named_and_not_created(backend: Backend) {
    let sandbox = project(backend);
    let accounts = Accounts::create(&sandbox);
    give(&sandbox, &accounts);
    let (role, id) = (rights(&sandbox, &accounts.role), backup(&sandbox));
    sandbox.sql(&format!("DROP USER {}", accounts.user));
    sandbox.sql(&format!(
        "REVOKE ALL PRIVILEGES, GRANT OPTION FROM {}",
        accounts.role
    ));
    let output = sandbox.ok(&["restore", &id, "--grants", "-y"]);
    assert_says(
        &output,
        &format!(
            "warning: `{}@%` is no user or role of this server",
            accounts.name()
        ),
    );
    assert_says(&output, "gave back 2 grants");
    assert_eq!(rights(&sandbox, &accounts.role), role);
    let there = format!(
        "SELECT count(*) FROM mysql.user WHERE User = '{}'",
        accounts.name().replace('\'', "''")
    );
    assert_eq!(sandbox.value(&there), "0", "no account is created");
    sandbox.sql(&format!("DROP ROLE {}", accounts.role));
    let output = sandbox.ok(&["restore", &id, "--grants", "-y"]);
    assert_says(&output, "is no user or role of this server");
    assert!(!output.stdout.contains("gave back"), "{}", output.transcript());
}

fn the_rights_on_one_table_come_back_with_that_table(backend: Backend) {
    let sandbox = project(backend);
    let accounts = Accounts::create(&sandbox);
    give(&sandbox, &accounts);
    let (before, id) = (rights(&sandbox, &accounts.user), backup(&sandbox));
    sandbox.sql(&format!(
        "REVOKE ALL PRIVILEGES, GRANT OPTION FROM {}",
        accounts.user
    ));
    sandbox.ok(&["restore", &id, "--table", "t", "--grants", "-y"]);
    let of_table: Vec<_> = before
        .into_iter()
        .filter(|line| line.contains("`db`.`t`"))
        .collect();
    assert_eq!(rights(&sandbox, &accounts.user), of_table);
    let made = sandbox.ok(&["backup", "create", "t", "--grants"]);
    assert_says(&made, ", 1 grant of 1 user or role");
}

fn who_may_not_read_the_rights_is_told_what_lets_them(backend: Backend) {
    let sandbox = project(backend);
    let accounts = Accounts::create(&sandbox);
    give(&sandbox, &accounts);
    let files = sandbox.vault_files("");
    let refused = as_other(&sandbox, &[], &["backup", "create", "--grants"]);
    assert_eq!(refused.code, Some(1), "{}", refused.transcript());
    assert_says(&refused, "may not read who has which rights on");
    assert_eq!(sandbox.vault_files(""), files, "{}", refused.transcript());
    // What it says is enough.
    let granted: Vec<String> = refused
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("hint: "))
        .filter_map(|line| Some(line.split_once(" TO ")?.0.to_owned()))
        .collect();
    assert_eq!(granted.len(), 4, "{}", refused.transcript());
    let made = as_other(&sandbox, &granted, &["backup", "create", "--grants"]);
    assert_eq!(made.code, Some(0), "{}", made.transcript());
    // That user has rights on the database as well.
    assert_says(&made, ", 6 grants of 3 users and roles");
}

fn who_may_not_give_the_rights_is_told_before_anything_changes(backend: Backend) {
    let sandbox = project(backend);
    let accounts = Accounts::create(&sandbox);
    give(&sandbox, &accounts);
    let id = backup(&sandbox);
    sandbox.sql("INSERT INTO t VALUES (2, 'since', NULL)");
    let before = (sandbox.contents(), both(&sandbox, &accounts));
    let refused = as_other(&sandbox, &[], &["restore", &id, "--grants", "-y"]);
    assert_eq!(refused.code, Some(1), "{}", refused.transcript());
    assert_says(&refused, "may not read which users and roles there are");
    let read = "GRANT SELECT (`User`, `Host`) ON `mysql`.`user`".to_owned();
    assert_says(&refused, &read);
    let refused = as_other(
        &sandbox,
        std::slice::from_ref(&read),
        &["restore", &id, "--grants", "-y"],
    );
    assert_eq!(refused.code, Some(1), "{}", refused.transcript());
    assert_says(&refused, "may not give rights on");
    assert_says(&refused, "WITH GRANT OPTION");
    assert_eq!((sandbox.contents(), both(&sandbox, &accounts)), before);
}

fn an_export_gives_the_rights_it_was_asked_for(backend: Backend) {
    let sandbox = project(backend);
    let accounts = Accounts::create(&sandbox);
    give(&sandbox, &accounts);
    let (before, id) = (both(&sandbox, &accounts), backup(&sandbox));
    sandbox.ok(&["backup", "export", &id, "--out", "out"]);
    let text = std::fs::read_to_string(sandbox.path("out/export.sql")).expect("it was written");
    let (_, grants) = text
        .split_once("-- rights of users and roles")
        .expect("they are in it");
    accounts.revoke();
    let statements = grants.split_once('\n').expect("statements").1;
    let mut session = sandbox.session();
    for statement in statements.lines() {
        session.sql(statement.trim_end_matches(';'));
    }
    drop(session);
    assert_eq!(both(&sandbox, &accounts), before);
    // Whoever is gone is not made by a file that is loaded.
    sandbox.sql(&format!("DROP USER {}", accounts.user));
    let mut session = sandbox.session();
    let refused = statements
        .lines()
        .any(|line| session.try_sql(line.trim_end_matches(';')).is_err());
    assert!(refused, "{statements}");
    let there = format!(
        "SELECT count(*) FROM mysql.user WHERE User = '{}'",
        accounts.name().replace('\'', "''")
    );
    assert_eq!(session.value(&there), "0");
}

fn a_backup_without_them_says_so(backend: Backend) {
    let sandbox = project(backend);
    let id = sandbox.backup();
    let before = sandbox.contents();
    sandbox.sql("DELETE FROM t");
    let output = sandbox.run(&["restore", &id, "--grants", "-y"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert_says(&output, "holds no grants");
    assert_says(&output, "walkback backup create --grants");
    sandbox.ok(&["restore", &id, "-y"]);
    sandbox.assert_contents(&before, "without them it is restored");
}

fn rights_are_part_of_every_backup(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    let role = format!("role_{}", sandbox.server().name());
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);",
        "DROP TABLE t;",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.sql(&format!(
        "CREATE ROLE {role}; GRANT SELECT, UPDATE (a) ON t TO {role}"
    ));
    let made = sandbox.ok(&["backup", "create", "--grants"]);
    assert_says(
        &made,
        "rights are part of the schema, and every backup holds them",
    );
    let id = sandbox.ok(&["backup", "list", "--json"]).json()["backups"][0]["id"].clone();
    let id = id.as_str().expect("an id");
    sandbox.sql(&format!("REVOKE ALL ON t FROM {role}"));
    let restored = sandbox.ok(&["restore", id, "--grants", "-y"]);
    assert_says(&restored, "every restore brings them back");
    let may = format!(
        "SELECT has_table_privilege('{role}', 't', 'SELECT') AND has_column_privilege('{role}', 't', 'a', 'UPDATE')"
    );
    assert_eq!(sandbox.value(&may), "t");
    sandbox.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

fn there_are_no_rights_in_a_file(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.migration(
        "001_begin",
        "CREATE TABLE t (id INTEGER PRIMARY KEY);",
        "DROP TABLE t;",
    );
    sandbox.ok(&["up", "-y"]);
    let id = sandbox.backup();
    for line in [
        &["backup", "create", "--grants"][..],
        &["restore", &id, "--grants", "-y"],
    ] {
        let output = sandbox.run(line);
        assert_eq!(output.code, Some(2), "{}", output.transcript());
        assert_says(&output, "keeping grants is not supported by");
        assert_says(&output, "run the same command without `--grants`");
    }
}

fn a_backup_holds_no_rights_that_nobody_asked_for(backend: Backend) {
    let sandbox = Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    sandbox.sql("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    let id = sandbox.backup();
    let shown = sandbox.ok(&["backup", "show", &id]);
    assert!(!shown.stdout.contains("grants"), "{}", shown.transcript());
    let point = sandbox.ok(&["backup", "show", &id, "--json"]).json()["point"].clone();
    assert!(point.get("grants").is_none(), "{point}");
}
