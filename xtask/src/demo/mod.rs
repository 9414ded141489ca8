//! `cargo xtask demo`: walkback on a real example, each command shown as it runs.

mod shell;
mod snapshot;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use shell::Shell;
use snapshot::Snapshot;

use crate::process::build_walkback;

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

/// Runs the demo in a temporary folder, which stays if `keep` is set.
pub(crate) fn run(root: &Path, keep: bool) -> Result<()> {
    let binary = build_walkback(root, &[])?;
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
    let (before, after) = go_up(shell)?;
    walk_back(shell, &before)?;
    go_up_again(shell, &after)?;
    backups(shell, &after)?;
    down_and_to(shell)?;
    proof(shell)?;
    println!(
        "\nThat was all of it. Where to look next:\n\
         \x20 README.md                         what is guaranteed, and what is not\n\
         \x20 docs/src/getting-started.md       the same on a project of yours\n\
         \x20 cargo xtask demo --keep           keeps the folder, to go on playing\n\
         \x20 migrations/README.md              what each migration of the shop is good for"
    );
    Ok(())
}

fn title(text: &str) {
    println!("\n--- {text}");
}

fn database(shell: &Shell) -> std::path::PathBuf {
    shell.folder().join("shop.db")
}

fn look_before(shell: &Shell) -> Result<()> {
    title("Nothing is applied yet. What is there to do? Looking changes nothing.");
    shell.run("status")?;
    shell.run("graph")?;
    shell.run_short("up --dry-run", 24)?;
    if database(shell).exists() {
        bail!("`status`, `graph` or `up --dry-run` created the database");
    }
    Ok(())
}

/// Goes to the migration before the destructive one, then over it.
fn go_up(shell: &Shell) -> Result<(Snapshot, Snapshot)> {
    title("Up to the last migration but one.");
    shell.run("up --to 20240805 -y")?;
    let before = Snapshot::of(&database(shell))?;
    println!(
        "\n(demo) the shop has {} tables with {} rows",
        before.tables.len(),
        before.rows()
    );
    if before.rows() < 50_000 {
        bail!("the example should have tens of thousands of rows");
    }
    title("The last one drops a column and a table, has no down, and is applied all the same.");
    shell.run(&format!("show {DESTRUCTIVE}"))?;
    shell.run("up -y")?;
    let after = Snapshot::of(&database(shell))?;
    let lost = before.differences(&after);
    println!("\n(demo) what is gone now:");
    for line in &lost {
        println!("    {line}");
    }
    if !lost.iter().any(|line| line.contains("`legacy_carts` is gone")) {
        bail!("the destructive migration did not drop `legacy_carts`");
    }
    shell.run("history")?;
    shell.run("point list")?;
    Ok((before, after))
}

fn walk_back(shell: &Shell, before: &Snapshot) -> Result<()> {
    title("Two days later: that was a mistake. Walk it back.");
    shell.run("rollback -n 1 -y")?;
    let now = Snapshot::of(&database(shell))?;
    let differences = before.differences(&now);
    if !differences.is_empty() {
        bail!(
            "the rollback did not bring everything back:\n  {}",
            differences.join("\n  ")
        );
    }
    let carts = &now.tables["legacy_carts"];
    println!(
        "\n(demo) all is there again: {} tables, {} rows, every table with the hash it had before;\n\
         (demo) `legacy_carts` has its {} rows ({}...), `customers` its {} columns",
        now.tables.len(),
        now.rows(),
        carts.rows,
        &carts.hash[..12],
        now.tables["customers"].columns.len(),
    );
    shell.run("status")?;
    Ok(())
}

fn go_up_again(shell: &Shell, after: &Snapshot) -> Result<()> {
    title("And up again: a rollback does not spoil the migration.");
    shell.run("up -y")?;
    let now = Snapshot::of(&database(shell))?;
    let differences = after.differences(&now);
    if !differences.is_empty() {
        bail!(
            "the second up gave another database:\n  {}",
            differences.join("\n  ")
        );
    }
    Ok(())
}

fn backups(shell: &Shell, after: &Snapshot) -> Result<()> {
    title("A backup, and the proof that it can be read.");
    shell.run("backup create --description demo")?;
    shell.run("backup list")?;
    shell.run("backup verify")?;
    let now = Snapshot::of(&database(shell))?;
    if !after.differences(&now).is_empty() {
        bail!("making a backup changed the database");
    }
    Ok(())
}

fn down_and_to(shell: &Shell) -> Result<()> {
    title("One step down, and anywhere in the graph.");
    shell.run("goto 20240805 -y")?;
    shell.run("down -y")?;
    shell.run("goto head -y")?;
    shell.run("status --check")?;
    Ok(())
}

fn proof(shell: &Shell) -> Result<()> {
    title("What is each way back worth? Up, down and up again in a scratch database, compared.");
    shell.run("verify")?;
    title("Who did what, and how did it end?");
    shell.run("audit")?;
    Ok(())
}
