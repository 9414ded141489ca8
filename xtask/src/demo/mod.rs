//! `cargo xtask demo`: walkback on a real example, each command shown as it runs.

mod shell;
mod snapshot;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rusqlite::Connection;
use shell::Shell;
use snapshot::Snapshot;

use crate::process::{Build, build_walkback};

const CONFIGURATION: &str = r#"[source]
kind = "sql"
path = "migrations"

[store.local]
kind = "fs"
path = "vault"

[env.dev]
url = "sqlite:shop.db"
stores = ["local"]
"#;

/// The migration that drops a column and a table with data, and that nobody wrote a down for.
const DESTRUCTIVE: &str = "20240902";

/// The migration before it.
const LAST_BUT_ONE: &str = "20240805";

const DATABASE: &str = "shop.db";

/// Runs the demo in a temporary folder, which stays if `keep` is set.
pub(crate) fn run(root: &Path, keep: bool, build: Build<'_>) -> Result<()> {
    let binary = build_walkback(root, build)?;
    let folder = tempfile::Builder::new()
        .prefix("walkback-demo-")
        .tempdir()
        .context("cannot make a temporary folder")?;
    let place = folder.path().to_path_buf();
    let shell = Shell::new(binary, place.clone());
    let outcome = prepare(root, &place).and_then(|()| tour(&shell));
    if keep {
        let kept = folder.keep();
        println!("\nThe example stays in {}", kept.display());
    }
    outcome
}

fn prepare(root: &Path, place: &Path) -> Result<()> {
    let example = root.join("migrations/shop/sqlite");
    copy(&example, &place.join("migrations"))?;
    fs::write(place.join("walkback.toml"), CONFIGURATION).context("cannot write `walkback.toml`")?;
    println!("\nA shop: its migrations are in `migrations/`, and this is its `walkback.toml`:\n");
    for line in CONFIGURATION.lines() {
        println!("    {line}");
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read `{}`", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot write `{}`", target.display()))?;
        }
    }
    Ok(())
}

fn tour(shell: &Shell) -> Result<()> {
    look_before(shell)?;
    let before = go_up(shell)?;
    let (expected, sold) = destroy(shell, &before)?;
    walk_back(shell, &expected)?;
    down_and_to(shell, &sold)?;
    backup_and_restore(shell)?;
    proof(shell)?;
    println!(
        "\nThat was all of it. Where to look next:\n\
         \x20 README.md                      what is guaranteed, and what is not\n\
         \x20 docs/src/getting-started.md    the same on a project of yours\n\
         \x20 migrations/README.md           what each migration of the shop is good for\n\
         \x20 cargo xtask demo --keep        keeps the folder, to go on playing"
    );
    Ok(())
}

fn title(text: &str) {
    println!("\n--- {text}");
}

/// Says something that no command of walkback says.
fn aside(text: &str) {
    println!("\n    (demo) {}", text.replace('\n', "\n           "));
}

fn look(shell: &Shell) -> Result<Snapshot> {
    Snapshot::of(&shell.folder().join(DATABASE))
}

fn expect_same(wanted: &Snapshot, found: &Snapshot, trouble: &str) -> Result<()> {
    let differences = wanted.differences(found);
    if differences.is_empty() {
        return Ok(());
    }
    bail!("{trouble}:\n  {}", differences.join("\n  "))
}

fn look_before(shell: &Shell) -> Result<()> {
    title("Nothing is applied yet. What is there to do? Looking changes nothing.");
    shell.run("status")?;
    shell.run("graph")?;
    shell.run("up --dry-run")?;
    if shell.folder().join(DATABASE).exists() {
        bail!("`status`, `graph` or `up --dry-run` created the database");
    }
    Ok(())
}

fn go_up(shell: &Shell) -> Result<Snapshot> {
    title("Up to the last migration but one. `-y` answers what you would be asked.");
    shell.run(&format!("up --to {LAST_BUT_ONE} -y"))?;
    let before = look(shell)?;
    let (tables, rows) = (before.tables.len(), before.rows());
    aside(&format!("the shop has {tables} tables with {rows} rows"));
    if rows < 100_000 {
        bail!("the example should have more than 100,000 rows");
    }
    Ok(before)
}

/// Applies the destructive migration, and lets the shop go on. Returns what a rollback must lead to, and what
/// is there now.
fn destroy(shell: &Shell, before: &Snapshot) -> Result<(Snapshot, Snapshot)> {
    title("The last one drops a column and a table, and nobody wrote a down for it.");
    shell.run(&format!("show {DESTRUCTIVE}"))?;
    shell.run("up -y")?;
    let lost = before.differences(&look(shell)?);
    aside(&format!("what is gone:\n{}", lost.join("\n")));
    if !lost.iter().any(|line| line.contains("`legacy_carts` is gone")) {
        bail!("the destructive migration did not drop `legacy_carts`");
    }
    write(
        shell,
        "INSERT INTO orders (customer_id, ordered_at, note) VALUES (42, '2024-09-03 10:15:00', 'sold afterwards')",
    )?;
    let sold = look(shell)?;
    aside("meanwhile the shop goes on: an order comes in");
    shell.run("history")?;
    shell.run("point list")?;
    let mut expected = before.clone();
    for table in ["orders", "order_events"] {
        expected
            .tables
            .insert(table.to_owned(), sold.tables[table].clone());
    }
    if before.tables["orders"] == expected.tables["orders"] {
        bail!("the order did not come in");
    }
    Ok((expected, sold))
}

/// Writes as an application would, which knows nothing of walkback.
fn write(shell: &Shell, sql: &str) -> Result<()> {
    let connection = Connection::open(shell.folder().join(DATABASE)).context("cannot open the database")?;
    connection
        .execute_batch(sql)
        .with_context(|| format!("the application failed: {sql}"))
}

fn walk_back(shell: &Shell, expected: &Snapshot) -> Result<()> {
    title("That was a mistake. Walk it back.");
    shell.run("rollback -n 1 --dry-run")?;
    shell.run("rollback -n 1 -y")?;
    let now = look(shell)?;
    expect_same(expected, &now, "the rollback did not bring everything back")?;
    let carts = &now.tables["legacy_carts"];
    aside(&format!(
        "all is there again: {} tables, {} rows, every table with the hash it had;\n\
         `legacy_carts` has its {} rows ({}...), `customers` its column `legacy_phone`,\n\
         and the order that came in after the migration is still there",
        now.tables.len(),
        now.rows(),
        carts.rows,
        &carts.hash[..12],
    ));
    shell.run("status")?;
    Ok(())
}

fn down_and_to(shell: &Shell, sold: &Snapshot) -> Result<()> {
    title("One step down; anywhere in the graph; and up to the head again.");
    shell.run("down -y")?;
    shell.run("goto 20240603 -y")?;
    shell.run("graph")?;
    shell.run("goto head -y")?;
    shell.run("status --check")?;
    expect_same(
        sold,
        &look(shell)?,
        "the way down and up again gave another database",
    )?;
    aside("the database is the one from before the rollback, row for row");
    Ok(())
}

fn backup_and_restore(shell: &Shell) -> Result<()> {
    title("A backup, and somebody who forgets the WHERE.");
    let before = look(shell)?;
    let made = shell.run("backup create --description before-lunch")?;
    let backup = made
        .split('`')
        .nth(1)
        .context("`backup create` names no backup")?;
    write(shell, "UPDATE reviews SET stars = 5")?;
    aside("UPDATE reviews SET stars = 5");
    shell.run("backup list")?;
    shell.run(&format!("backup verify {backup}"))?;
    shell.run(&format!("restore {backup} --table reviews -y"))?;
    expect_same(
        &before,
        &look(shell)?,
        "the restore did not bring everything back",
    )?;
    aside("the reviews are as they were");
    Ok(())
}

fn proof(shell: &Shell) -> Result<()> {
    title("What is each way back worth? Up, down and up again in a scratch copy, compared.");
    let text = shell.run("verify")?;
    if !text.contains("lossy") {
        bail!("`verify` did not notice that the last migration loses data");
    }
    title("Who did what, and how did it end?");
    shell.run("audit")?;
    Ok(())
}
