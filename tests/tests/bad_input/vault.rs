//! A vault that is missing, in the way, damaged, or not there at all.

use std::fs;
use std::path::{Path, PathBuf};

use walkback_tests::Sandbox;

use crate::{begun, goes_on, project, reconfigure, twice, unchanged, write_first};

/// Returns every file below a folder of the vault.
fn files(sandbox: &Sandbox, below: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the vault can be read") {
            let path = entry.expect("the vault can be read").path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&sandbox.path(".walkback/vault").join(below), &mut found);
    found
}

/// Walks back what only the vault can, and checks that it did.
fn walks_back(sandbox: &Sandbox) {
    assert_eq!(sandbox.value("SELECT group_concat(a) FROM t"), "X,WRITTEN SINCE");
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT group_concat(a) FROM t"), "x,written since");
}

#[test]
fn a_vault_that_has_been_deleted_is_missed_by_name() {
    let sandbox = twice();
    fs::rename(sandbox.path(".walkback"), sandbox.path("taken-away")).unwrap();
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "-y"]), @r"
    $ walkback rollback -y
    exit: 8
    --- stderr
    error: the point `rb_002_change_<time>`, made before migration `002_change`, is no longer in the vault at `.walkback/vault`
    hint: bring the vault back from a copy, or correct `path` of the store, and run the same command again
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "--type", "full", "-n", "1", "-y"]), @r"
    $ walkback rollback --type full -n 1 -y
    exit: 8
    --- stderr
    error: the point `rb_002_change_<time>`, made before migration `002_change`, is no longer in the vault at `.walkback/vault`
    hint: bring the vault back from a copy, or correct `path` of the store, and run the same command again
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["backup", "verify"]), @r"
    $ walkback backup verify
    exit: 8
    --- stdout
    missing  rb_001_begin_<time>
    missing  rb_002_change_<time>
    --- stderr
    error: the point `rb_001_begin_<time>`, made before `001_begin`, which is applied, is not in the vault
    hint: bring the vault back from a copy, or correct `path` of the store
    error: the point `rb_002_change_<time>`, made before `002_change`, which is applied, is not in the vault
    hint: bring the vault back from a copy, or correct `path` of the store
    ");
    assert!(!sandbox.path(".walkback").exists());
    fs::rename(sandbox.path("taken-away"), sandbox.path(".walkback")).unwrap();
    walks_back(&sandbox);
}

#[test]
fn without_the_point_a_lossy_down_is_offered_and_not_taken() {
    let sandbox = begun();
    sandbox.migration(
        "002_drop",
        "UPDATE t SET a = upper(a);\n",
        "UPDATE t SET a = lower(a);\n",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox.remove(".walkback");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "-y"]), @r"
    $ walkback rollback -y
    exit: 8
    --- stderr
    error: the point `rb_002_drop_<time>`, made before migration `002_drop`, is no longer in the vault at `.walkback/vault`
    hint: bring the vault back from a copy, or correct `path` of the store, and run the same command again
    hint: or run `walkback rollback --type down`, without the point: its way down is lossy: the old values of the rows updated in `t`
    ");
    sandbox.ok(&["rollback", "--type", "down", "-y"]);
    assert_eq!(sandbox.value("SELECT group_concat(a) FROM t"), "x,written since");
}

#[test]
fn a_safety_point_that_has_been_deleted_is_missed_by_name() {
    let sandbox = twice();
    sandbox.ok(&["rollback", "-y"]);
    fs::rename(sandbox.path(".walkback"), sandbox.path("taken-away")).unwrap();
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "-y"]), @r"
    $ walkback rollback -y
    exit: 8
    --- stderr
    error: the point `safety_rollback_<time>`, made before the last run, `run_<id>` (rollback), is no longer in the vault at `.walkback/vault`
    hint: bring the vault back from a copy, or correct `path` of the store, and run the same command again
    ");
    fs::rename(sandbox.path("taken-away"), sandbox.path(".walkback")).unwrap();
    sandbox.ok(&["rollback", "-y"]);
    assert_eq!(sandbox.value("SELECT group_concat(a) FROM t"), "X,WRITTEN SINCE");
}

#[test]
fn a_vault_whose_folder_is_a_file_is_not_an_empty_one() {
    let sandbox = project();
    write_first(&sandbox);
    sandbox.write(".walkback/vault", "not a folder");
    insta::assert_snapshot!(unchanged(&sandbox, &["up"]), @r"
    $ walkback up
    exit: 2
    --- stdout
    up on app.db (environment `dev`): 1 migration, from base to `001`
      up    001_begin  lossless
      point first: the schema, and the rows of `t`
    --- stderr
    warning: the copy of the audit in `local` could not be written, and the next run does it: `.walkback/vault` is a file, and the vault needs a folder there
    error: no point can be made before `001_begin`, and without one it is not begun
    caused by: `.walkback/vault` is a file, and the vault needs a folder there
    hint: move the file away, or correct `path` of the store
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["backup", "list"]), @r"
    $ walkback backup list
    exit: 2
    --- stderr
    error: `.walkback/vault` is a file, and the vault needs a folder there
    hint: move the file away, or correct `path` of the store
    ");
    assert_eq!(
        fs::read_to_string(sandbox.path(".walkback/vault")).unwrap(),
        "not a folder"
    );
    sandbox.remove(".walkback/vault");
    sandbox.ok(&["up"]);
}

#[test]
fn without_a_vault_up_warns_and_rollback_refuses() {
    let sandbox = begun();
    reconfigure(&sandbox, "[\"local\"]", "[]");
    sandbox.migration("002_change", "UPDATE t SET a = upper(a);\n", "");
    insta::assert_snapshot!(sandbox.ok(&["up", "-y"]).transcript(), @r"
    $ walkback up -y
    exit: 0
    --- stdout
    up on app.db (environment `dev`): 1 migration, from `001` to `002`
      up    002_change  irreversible: it has no down script
            updates `t` (migrations/002_change/up.sql:1), not protected: there is no vault
      point first: the schema, and the rows of `t`
    applied 1 migration in <duration>; the database is at `002`
      002_change
    take it back with `walkback rollback`
    --- stderr
    warning: there is no vault: what these migrations destroy cannot be brought back
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "-y"]), @r"
    $ walkback rollback -y
    exit: 6
    --- stderr
    error: no sound way back from `002_change` is known: its way down is irreversible: it has no down script, and no point was made before it
    hint: `walkback rollback --type down` runs its down script all the same, if it has one
    hint: `walkback rollback --backup-file <BACKUP>` goes back to a whole backup, or to a dump; `walkback backup list` shows them
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["backup", "create"]), @r#"
    $ walkback backup create
    exit: 2
    --- stderr
    error: the environment `dev` has no store
    hint: add a `[store.local]` with `kind = "fs"` and a `path`, and name it in `stores` of the environment
    "#);
    goes_on(&sandbox, 2);
}

#[test]
fn a_truncated_chunk_is_named_with_its_table_and_nothing_is_restored_from_it() {
    let sandbox = twice();
    let chunks = files(&sandbox, "objects");
    let contents: Vec<_> = chunks.iter().map(|chunk| fs::read(chunk).unwrap()).collect();
    for (chunk, bytes) in chunks.iter().zip(&contents) {
        fs::write(chunk, &bytes[..bytes.len() - 5]).unwrap();
    }
    insta::assert_snapshot!(unchanged(&sandbox, &["backup", "verify"]), @r"
    $ walkback backup verify
    exit: 8
    --- stdout
    damaged  rb_002_change_<time>
    intact   rb_001_begin_<time>: 0 rows in 0 chunks read and checked
    --- stderr
    error: chunk `<hash>` of table `t` in point `rb_002_change_<time>` is damaged: its compressed form is broken (incomplete frame)
    hint: run `walkback backup verify rb_002_change_<time>` to see all damage, and which other point still has the table
    hint: 1 of 1 chunks of table `t` cannot be used; no other point has all of it
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "-y"]), @r"
    $ walkback rollback -y
    exit: 8
    --- stdout
    rollback (full) on app.db (environment `dev`): from `002` to `001`
      full  002_change: a point was made before it, and its way down is irreversible: it has no down script
            table `t` comes back as it was, with 2 rows
      loses nothing that was written since
    --- stderr
    error: chunk `<hash>` of table `t` in point `rb_002_change_<time>` is damaged: its compressed form is broken (incomplete frame)
    hint: run `walkback backup verify rb_002_change_<time>` to see all damage, and which other point still has the table
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "-y", "--json"]), @r#"
    $ walkback rollback -y --json
    exit: 8
    --- stdout
    {
      "error": {
        "kind": "damaged",
        "message": "chunk `<hash>` of table `t` in point `rb_002_change_<time>` is damaged: its compressed form is broken (incomplete frame)",
        "causes": [],
        "hints": [
          "run `walkback backup verify rb_002_change_<time>` to see all damage, and which other point still has the table"
        ],
        "context": {
          "point": "rb_002_change_<time>",
          "table": "t",
          "chunk": "<hash>"
        },
        "succeeded": [],
        "exit_code": 8
      }
    }
    "#);
    for (chunk, bytes) in chunks.iter().zip(&contents) {
        fs::write(chunk, bytes).unwrap();
    }
    sandbox.ok(&["backup", "verify"]);
    walks_back(&sandbox);
}

#[test]
fn a_chunk_that_is_missing_is_named_with_its_table() {
    let sandbox = twice();
    fs::rename(sandbox.path(".walkback/vault/objects"), sandbox.path("objects")).unwrap();
    insta::assert_snapshot!(unchanged(&sandbox, &["backup", "verify"]), @r"
    $ walkback backup verify
    exit: 8
    --- stdout
    damaged  rb_002_change_<time>
    intact   rb_001_begin_<time>: 0 rows in 0 chunks read and checked
    --- stderr
    error: chunk `<hash>` of table `t` in point `rb_002_change_<time>` is missing
    hint: run `walkback backup verify rb_002_change_<time>` to see all damage, and which other point still has the table
    hint: 1 of 1 chunks of table `t` cannot be used; no other point has all of it
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "-y"]), @r"
    $ walkback rollback -y
    exit: 8
    --- stdout
    rollback (full) on app.db (environment `dev`): from `002` to `001`
      full  002_change: a point was made before it, and its way down is irreversible: it has no down script
            table `t` comes back as it was, with 2 rows
      loses nothing that was written since
    --- stderr
    error: chunk `<hash>` of table `t` in point `rb_002_change_<time>` is missing
    hint: run `walkback backup verify rb_002_change_<time>` to see all damage, and which other point still has the table
    ");
    fs::remove_dir_all(sandbox.path(".walkback/vault/objects")).ok();
    fs::rename(sandbox.path("objects"), sandbox.path(".walkback/vault/objects")).unwrap();
    walks_back(&sandbox);
}

#[test]
fn a_manifest_with_one_bit_flipped_is_not_believed() {
    let sandbox = twice();
    let manifest = files(&sandbox, "points")
        .into_iter()
        .find(|file| file.to_string_lossy().contains("002_change"))
        .unwrap();
    let bytes = fs::read(&manifest).unwrap();
    let mut flipped = bytes.clone();
    let digit = flipped.iter().rposition(u8::is_ascii_digit).unwrap();
    flipped[digit] ^= 1;
    fs::write(&manifest, flipped).unwrap();
    insta::assert_snapshot!(unchanged(&sandbox, &["backup", "verify"]), @r"
    $ walkback backup verify
    exit: 8
    --- stdout
    damaged  rb_002_change_<time>
    intact   rb_001_begin_<time>: 0 rows in 0 chunks read and checked
    --- stderr
    error: the manifest of point `rb_002_change_<time>` is damaged: its content does not match its hash
    hint: run `walkback backup list` to see which points are whole
    hint: run `walkback backup show rb_002_change_<time>` after restoring the file from a copy of the store
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "-y"]), @r"
    $ walkback rollback -y
    exit: 8
    --- stderr
    error: the manifest of point `rb_002_change_<time>` is damaged: its content does not match its hash
    hint: run `walkback backup list` to see which points are whole
    hint: run `walkback backup show rb_002_change_<time>` after restoring the file from a copy of the store
    ");
    fs::write(&manifest, bytes).unwrap();
    walks_back(&sandbox);
}

#[test]
fn a_backup_that_does_not_exist_is_named() {
    let sandbox = twice();
    insta::assert_snapshot!(unchanged(&sandbox, &["restore", "no_such_backup", "-y"]), @r"
    $ walkback restore no_such_backup -y
    exit: 2
    --- stderr
    error: there is no file `no_such_backup` here, and no backup of that name in the vault
    caused by: there is no point `no_such_backup` in the vault at `.walkback/vault`
    hint: the newest point is `rb_002_change_<time>`
    hint: run `walkback point list` to see all points
    hint: `walkback backup list` shows the backups, and with `--dumps <FOLDER>` the dumps of a folder
    ");
    insta::assert_snapshot!(unchanged(&sandbox, &["rollback", "--backup-file", "no_such_backup", "-y"]), @r"
    $ walkback rollback --backup-file no_such_backup -y
    exit: 2
    --- stderr
    error: there is no file `no_such_backup` here, and no backup of that name in the vault
    caused by: there is no point `no_such_backup` in the vault at `.walkback/vault`
    hint: the newest point is `rb_002_change_<time>`
    hint: run `walkback point list` to see all points
    hint: `walkback backup list` shows the backups, and with `--dumps <FOLDER>` the dumps of a folder
    ");
    walks_back(&sandbox);
}
