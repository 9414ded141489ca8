//! What the system does not let an ordinary user read or write.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use walkback_tests::{Output, Sandbox};

use crate::{begun, goes_on, twice};

/// A path with other permissions, until this is dropped.
struct Permissions {
    path: std::path::PathBuf,
    before: fs::Permissions,
}

impl Permissions {
    fn set(sandbox: &Sandbox, name: &str, mode: u32) -> Self {
        let path = sandbox.path(name);
        let before = fs::metadata(&path).expect("it is there").permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions can be set");
        Self { path, before }
    }
}

impl Drop for Permissions {
    fn drop(&mut self) {
        fs::set_permissions(&self.path, self.before.clone()).ok();
    }
}

/// Runs a command that must leave the database as it is, as a user who may not do everything.
fn unchanged(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let before = sandbox.contents();
    let output = sandbox.run_as_user(arguments);
    assert_eq!(sandbox.contents(), before, "{}", output.transcript());
    output
}

/// Checks that what only looks needs no right to write.
fn can_be_looked_at(sandbox: &Sandbox) {
    for arguments in [
        &["status"][..],
        &["history"],
        &["current"],
        &["audit"],
        &["up", "--dry-run"],
        &["rollback", "--dry-run"],
        &["backup", "list"],
    ] {
        let output = unchanged(sandbox, arguments);
        assert_eq!(output.code, Some(0), "{}", output.transcript());
    }
}

#[test]
fn a_script_that_may_not_be_read_is_named() {
    let sandbox = begun();
    sandbox.migration("002_more", "CREATE TABLE b (a);\n", "");
    {
        let _unreadable = Permissions::set(&sandbox, "migrations/002_more/up.sql", 0o000);
        insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]).transcript(), @r"
        $ walkback up -y
        exit: 1
        --- stderr
        error: cannot read `migrations/002_more/up.sql`
        caused by: Permission denied (os error 13)
        ");
    }
    {
        let _unreadable = Permissions::set(&sandbox, "migrations/002_more", 0o000);
        insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]).transcript(), @r"
        $ walkback up -y
        exit: 1
        --- stderr
        error: cannot read the folder `migrations/002_more`
        caused by: Permission denied (os error 13)
        ");
    }
    goes_on(&sandbox, 2);
}

#[test]
fn a_configuration_that_may_not_be_read_is_named() {
    let sandbox = begun();
    {
        let _unreadable = Permissions::set(&sandbox, "walkback.toml", 0o000);
        insta::assert_snapshot!(unchanged(&sandbox, &["up"]).transcript(), @r"
        $ walkback up
        exit: 1
        --- stderr
        error: cannot read the configuration `walkback.toml`
        caused by: Permission denied (os error 13)
        ");
    }
    goes_on(&sandbox, 1);
}

#[test]
fn a_database_that_may_only_be_read_is_looked_at_and_not_changed() {
    let sandbox = begun();
    sandbox.migration("002_more", "CREATE TABLE b (a);\n", "");
    {
        let _read_only = Permissions::set(&sandbox, "app.db", 0o444);
        insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]).transcript(), @r"
        $ walkback up -y
        exit: 1
        --- stdout
        up on app.db (environment `dev`): 1 migration, from `001` to `002`
          up    002_more  unknown: it has no down script; one is derived while it runs
        --- stderr
        error: `app.db` can only be read
        caused by: attempt to write a readonly database
        hint: make `app.db` and its folder writable: SQLite keeps its journal beside the file
        ");
        insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "-y"]).transcript(), @r"
        $ walkback rollback -y
        exit: 1
        --- stdout
        rollback (down) on app.db (environment `dev`): from `001` to base
          down  001_begin: its way down is lossless
                drops table `t` (migrations/001_begin/down.sql:1)
          loses from `t`: 1 row more than then, and perhaps others changed (at least 1 row)
        --- stderr
        error: `app.db` can only be read
        caused by: attempt to write a readonly database
        hint: make `app.db` and its folder writable: SQLite keeps its journal beside the file
        ");
        can_be_looked_at(&sandbox);
    }
    goes_on(&sandbox, 2);
}

#[test]
fn a_folder_that_may_only_be_read_is_looked_at_and_not_changed() {
    let sandbox = begun();
    sandbox.remove("app.db-walkback-lock");
    sandbox.migration("002_more", "CREATE TABLE b (a);\n", "");
    {
        sandbox.run_as_user(&["status"]);
        let _read_only = Permissions::set(&sandbox, ".", 0o555);
        insta::assert_snapshot!(unchanged(&sandbox, &["up", "-y"]).transcript(), @r"
        $ walkback up -y
        exit: 1
        --- stdout
        up on app.db (environment `dev`): 1 migration, from `001` to `002`
          up    002_more  unknown: it has no down script; one is derived while it runs
        --- stderr
        error: cannot lock `<folder>/app.db-walkback-lock`
        caused by: Permission denied (os error 13)
        hint: walkback keeps its lock in a file beside the database: make that folder writable
        ");
        can_be_looked_at(&sandbox);
    }
    goes_on(&sandbox, 2);
}

#[test]
fn a_database_that_may_not_be_read_is_named() {
    let sandbox = begun();
    {
        let _unreadable = Permissions::set(&sandbox, "app.db", 0o000);
        insta::assert_snapshot!(sandbox.run_as_user(&["status"]).transcript(), @r"
        $ walkback status
        exit: 1
        --- stderr
        error: `app.db` cannot be opened
        caused by: unable to open database file: app.db
        hint: check the permissions of `app.db` and of its folder
        ");
        insta::assert_snapshot!(sandbox.run_as_user(&["up", "-y"]).transcript(), @r"
        $ walkback up -y
        exit: 1
        --- stderr
        error: `app.db` cannot be opened
        caused by: unable to open database file: app.db
        hint: check the permissions of `app.db` and of its folder
        ");
    }
    goes_on(&sandbox, 1);
}

#[test]
fn a_vault_that_may_not_be_written_stops_an_up_before_its_first_change() {
    let sandbox = twice();
    sandbox.migration("003_change", "UPDATE t SET a = lower(a);\n", "");
    {
        let _read_only = Permissions::set(&sandbox, ".walkback/vault", 0o555);
        let _objects = Permissions::set(&sandbox, ".walkback/vault/tmp~", 0o555);
        let output = unchanged(&sandbox, &["up", "-y"]);
        insta::assert_snapshot!(crate::disk::without_temporary_names(&output), @r"
        $ walkback up -y
        exit: 1
        --- stdout
        up on app.db (environment `dev`): 1 migration, from `002` to `003`
          up    003_change  irreversible: it has no down script
                updates `t` (migrations/003_change/up.sql:1), kept in the point
          point first: the schema, and the rows of `t`
        --- stderr
        warning: the copy of the audit in `local` could not be written, and the next run does it: cannot create `.walkback/vault/tmp~/<name>`
        error: no point can be made before `003_change`, and without one it is not begun
        caused by: cannot create `.walkback/vault/tmp~/<name>`
        caused by: Permission denied (os error 13)
        hint: check who owns `.walkback/vault/tmp~/<name>` and its folders: walkback keeps backups private to one user
        ");
    }
    {
        let _unreadable = Permissions::set(&sandbox, ".walkback/vault", 0o000);
        insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "-y"]).transcript(), @r"
        $ walkback rollback -y
        exit: 1
        --- stderr
        error: cannot read the folder `.walkback/vault`
        caused by: Permission denied (os error 13)
        hint: check who owns `.walkback/vault` and its folders: walkback keeps backups private to one user
        ");
        insta::assert_snapshot!(unchanged(&sandbox, &["backup", "list"]).transcript(), @r"
        $ walkback backup list
        exit: 1
        --- stderr
        error: cannot read the folder `.walkback/vault`
        caused by: Permission denied (os error 13)
        hint: check who owns `.walkback/vault` and its folders: walkback keeps backups private to one user
        ");
    }
    goes_on(&sandbox, 3);
}
