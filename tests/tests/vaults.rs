//! Vaults that are encrypted, and several of them at once, through the binary.

use std::fs;
use std::path::{Path, PathBuf};

use walkback_tests::{Output, SECRETS, Sandbox, assert_tells_none_of};

/// Two keys that protect nothing.
const MINE: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
const MY_PUBLIC: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
const OTHER: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

const SHOP: &str = "CREATE TABLE customers (id INTEGER PRIMARY KEY, surname TEXT);\n\
    INSERT INTO customers VALUES (1, 'Lovelace'), (2, 'Hopper'), (3, 'Hamilton');";

/// A project whose stores have these settings; the first migration is applied.
fn project(stores: &[(&str, &str)], environment: &str) -> Sandbox {
    let sandbox = Sandbox::with_project(env!("CARGO_BIN_EXE_walkback-under-test"));
    configure(&sandbox, stores, environment);
    sandbox.migration("001_shop", SHOP, "");
    sandbox.ok(&["up", "-y"]);
    sandbox
}

fn configure(sandbox: &Sandbox, stores: &[(&str, &str)], environment: &str) {
    let mut text = "[source]\nkind = \"sql\"\npath = \"migrations\"\n".to_owned();
    for (name, settings) in stores {
        text += &format!("\n[store.{name}]\nkind = \"fs\"\npath = \"vault-{name}\"\n{settings}\n");
    }
    let names: Vec<_> = stores.iter().map(|(name, _)| *name).collect();
    text += &format!("\n[env.dev]\nurl = \"sqlite:app.db\"\nstores = {names:?}\n{environment}\n");
    sandbox.write("walkback.toml", &text);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Nothing that is said shows a secret.
fn assert_shows_no_secret(output: &Output) {
    for secret in [&MINE[16..], &OTHER[16..], "open sesame"] {
        assert!(!output.transcript().contains(secret), "{}", output.transcript());
    }
}

fn encrypted() -> String {
    format!("encrypt_to = [\"{MY_PUBLIC}\"]")
}

#[test]
fn an_encrypted_vault_opens_with_its_key_and_no_other() {
    let sandbox = project(&[("a", &encrypted())], "");
    let id = sandbox.backup();
    sandbox.sql("DELETE FROM customers WHERE id > 1");
    for (variables, says) in [
        (vec![], "no identity is set"),
        (
            vec![("WALKBACK_IDENTITY", OTHER)],
            "the identity that is set is that of",
        ),
    ] {
        for command in [
            &["restore", &id, "-y"][..],
            &["backup", "show", &id],
            &["backup", "verify", &id],
        ] {
            let output = sandbox.run_with(command, &variables);
            assert_eq!(output.code, Some(2), "{}", output.transcript());
            for text in [says, MY_PUBLIC, "WALKBACK_IDENTITY_FILE"] {
                assert!(output.stderr.contains(text), "{text}: {}", output.transcript());
            }
            assert_shows_no_secret(&output);
        }
        let output = sandbox.run_with(&["backup", "list"], &variables);
        assert_eq!(output.code, Some(0), "{}", output.transcript());
        assert!(
            output.stdout.contains(&id) && output.stdout.contains("encrypted"),
            "{}",
            output.transcript()
        );
        assert_eq!(sandbox.value("SELECT count(*) FROM customers"), "1");
    }
    let mine = [("WALKBACK_IDENTITY", MINE)];
    let output = sandbox.run_with(&["backup", "verify", &id], &mine);
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    let output = sandbox.run_with(&["restore", &id, "-y"], &mine);
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    assert_shows_no_secret(&output);
    assert_eq!(sandbox.value("SELECT count(*) FROM customers"), "3");
}

#[test]
fn nothing_in_an_encrypted_vault_tells_what_is_in_it() {
    for settings in [
        encrypted(),
        "passphrase = \"${PASS}\"\nhash = \"sha256\"".to_owned(),
    ] {
        let sandbox = Sandbox::with_project(env!("CARGO_BIN_EXE_walkback-under-test"));
        configure(&sandbox, &[("a", &settings)], "");
        let variables = [("PASS", "open sesame")];
        let ok = |arguments: &[&str]| {
            let output = sandbox.run_with(arguments, &variables);
            assert_eq!(output.code, Some(0), "{}", output.transcript());
            assert_shows_no_secret(&output);
        };
        sandbox.migration("001_shop", SHOP, "");
        sandbox.migration("002_forget_customers", "DELETE FROM customers;", "");
        ok(&["up", "-y", "-n", "1"]);
        ok(&["up", "-y"]);
        ok(&["backup", "create", "customers", "--description", "the ladies"]);
        let secrets = [&SECRETS[..], &["open sesame"]].concat();
        let files = files(&sandbox.path("vault-a"));
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            let mut bytes = fs::read(&file).unwrap();
            bytes.extend(
                file.strip_prefix(sandbox.path(""))
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .bytes(),
            );
            assert_tells_none_of(&secrets, &file.display().to_string(), &bytes);
        }
    }
}

#[test]
fn a_machine_without_the_key_migrates_and_one_with_it_rolls_back() {
    let sandbox = project(&[("a", &encrypted())], "");
    sandbox.migration("002_forget", "DELETE FROM customers;", "");
    let output = sandbox.ok(&["up", "-y"]);
    assert!(
        output.stderr.contains("can be written here but not read"),
        "{}",
        output.transcript()
    );
    let output = sandbox.run(&["rollback", "-y", "--type", "full"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert!(
        output.stderr.contains("WALKBACK_IDENTITY_FILE"),
        "{}",
        output.transcript()
    );
    assert_eq!(sandbox.value("SELECT count(*) FROM customers"), "0");
    let output = sandbox.run_with(
        &["rollback", "-y", "--type", "full"],
        &[("WALKBACK_IDENTITY", MINE)],
    );
    assert_eq!(output.code, Some(0), "{}", output.transcript());
    assert_eq!(sandbox.value("SELECT count(*) FROM customers"), "3");
}

const TWO: [(&str, &str); 2] = [("local", ""), ("offsite", "hash = \"sha256\"")];

#[test]
fn a_restore_takes_from_the_other_store_what_is_damaged_in_one() {
    let sandbox = project(&TWO, "");
    let id = sandbox.backup();
    let listed = sandbox.ok(&["backup", "list"]);
    assert!(listed.stdout.contains("all"), "{}", listed.transcript());
    for file in files(&sandbox.path("vault-local/objects")) {
        let mut bytes = fs::read(&file).unwrap();
        bytes[12] ^= 1;
        fs::write(&file, bytes).unwrap();
    }
    let output = sandbox.run(&["backup", "verify", &id]);
    assert_eq!(output.code, Some(8), "{}", output.transcript());
    for text in [
        &format!("damaged  {id} in `local`"),
        &format!("intact   {id} in `offsite`"),
    ] {
        assert!(output.stdout.contains(text), "{text}: {}", output.transcript());
    }
    sandbox.sql("DELETE FROM customers");
    let output = sandbox.ok(&["restore", &id, "-y"]);
    for text in ["table `customers`", "`local`", "is read from `offsite`"] {
        assert!(output.stderr.contains(text), "{text}: {}", output.transcript());
    }
    assert_eq!(sandbox.value("SELECT count(*) FROM customers"), "3");

    // The whole store may be gone.
    sandbox.remove("vault-local");
    sandbox.sql("DELETE FROM customers");
    sandbox.ok(&["restore", &id, "-y"]);
    assert_eq!(sandbox.value("SELECT count(*) FROM customers"), "3");
    let listed = sandbox.ok(&["backup", "list"]);
    assert!(listed.stdout.contains("only offsite"), "{}", listed.transcript());
}

/// Puts a file where the folder of a store would be.
fn block(sandbox: &Sandbox, store: &str) {
    sandbox.remove(&format!("vault-{store}"));
    sandbox.write(&format!("vault-{store}"), "no folder");
}

#[test]
fn a_backup_that_one_store_cannot_take_fails_and_shows_nothing() {
    let sandbox = project(&TWO, "");
    let first = sandbox.backup();
    block(&sandbox, "offsite");
    let before = files(&sandbox.path("vault-local/points"));
    let output = sandbox.run(&["backup", "create"]);
    assert_eq!(output.code, Some(2), "{}", output.transcript());
    assert!(output.stderr.contains("`offsite`"), "{}", output.transcript());
    assert!(
        output.stderr.contains("stores_required"),
        "{}",
        output.transcript()
    );
    assert_eq!(files(&sandbox.path("vault-local/points")), before);

    // No migration is begun over a point that could not be made.
    sandbox.migration("002_forget", "DELETE FROM customers;", "");
    let output = sandbox.run(&["up", "-y"]);
    assert_ne!(output.code, Some(0), "{}", output.transcript());
    assert_eq!(sandbox.value("SELECT count(*) FROM customers"), "3");

    configure(&sandbox, &TWO, "stores_required = 1");
    let output = sandbox.ok(&["up", "-y"]);
    assert!(
        output.stderr.contains("goes on without it"),
        "{}",
        output.transcript()
    );
    let output = sandbox.ok(&["rollback", "-y", "--type", "full"]);
    assert_eq!(
        sandbox.value("SELECT count(*) FROM customers"),
        "3",
        "{}",
        output.transcript()
    );
    assert!(files(&sandbox.path("vault-local/points")).len() > before.len());
    assert!(before.iter().any(|path| path.to_string_lossy().contains(&first)));
}

#[test]
fn the_journal_says_which_stores_a_point_went_to() {
    let sandbox = project(&TWO, "");
    sandbox.migration("002_forget", "DELETE FROM customers;", "");
    sandbox.ok(&["up", "-y"]);
    let stores = sandbox.value("SELECT store FROM _walkback_points ORDER BY created_at DESC LIMIT 1");
    assert!(
        stores.contains("vault-local") && stores.contains("vault-offsite"),
        "{stores}"
    );
}
