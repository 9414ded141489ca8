//! `cargo xtask docs`: the documentation of the crates, the book, and the reference of the command line.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::layers::{Violation, report};
use crate::links;
use crate::process::{Build, build_walkback, cargo, is_installed, output, run as run_command};

const REFERENCE: &str = "docs/src/reference/cli.md";

/// Builds everything; with `check`, writes nothing and fails where the reference is stale.
pub(crate) fn run(root: &Path, check: bool, build: Build<'_>) -> Result<()> {
    check_book(root)?;
    reference(root, check, build)?;
    run_command(
        cargo(root)
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    if is_installed("mdbook") {
        let target = tempfile::tempdir().context("cannot make a temporary folder")?;
        let mut command = Command::new("mdbook");
        command
            .current_dir(root)
            .arg("build")
            .arg("docs")
            .arg("--dest-dir")
            .arg(target.path());
        run_command(&mut command)
    } else {
        println!("docs: `mdbook` is not on PATH, so the book was checked and not built");
        Ok(())
    }
}

/// Every page is in the summary, every line of the summary is a page, and no link is dead.
fn check_book(root: &Path) -> Result<()> {
    let book = root.join("docs/src");
    let summary = fs::read_to_string(book.join("SUMMARY.md")).context("cannot read `docs/src/SUMMARY.md`")?;
    let mut pages = BTreeSet::new();
    collect(&book, "", &mut pages)?;
    let violations = book_violations(&summary, &pages);
    report("docs", &format!("{} pages of the book", pages.len()), &violations)
}

fn collect(book: &Path, inside: &str, pages: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(book.join(inside)).context("cannot read `docs/src`")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if inside.is_empty() {
            name
        } else {
            format!("{inside}/{name}")
        };
        if entry.file_type()?.is_dir() {
            collect(book, &path, pages)?;
        } else if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "md")
            && path != "SUMMARY.md"
        {
            pages.insert(path);
        }
    }
    Ok(())
}

fn book_violations(summary: &str, pages: &BTreeSet<String>) -> Vec<Violation> {
    let file = "docs/src/SUMMARY.md";
    let mut listed = BTreeSet::new();
    let mut out = Vec::new();
    for (line, target) in links::links(summary) {
        let target = target.trim_start_matches("./").to_owned();
        if !pages.contains(&target) {
            let what = format!("`{target}` is listed and does not exist");
            out.push(Violation::new(
                &format!("{file}:{line}"),
                what,
                "write the page, or remove the line",
            ));
        } else if !listed.insert(target.clone()) {
            let what = format!("`{target}` is listed twice");
            out.push(Violation::new(
                &format!("{file}:{line}"),
                what,
                "remove one of the lines",
            ));
        }
    }
    for page in pages.difference(&listed) {
        let what = "the page is not in the summary, so nobody finds it".to_owned();
        out.push(Violation::new(
            &format!("docs/src/{page}"),
            what,
            "add it to `docs/src/SUMMARY.md`",
        ));
    }
    out
}

/// Writes the reference of the command line from what the binary says of itself.
fn reference(root: &Path, check: bool, build: Build<'_>) -> Result<()> {
    let binary = build_walkback(root, build)?;
    let mut text = String::from(
        "# The command line\n\n\
         Written by `cargo xtask docs` from what the program says of itself; changes belong into\n\
         `crates/walkback`. The global options go with every command.\n",
    );
    describe(&binary, &[], &mut text)?;
    let file = root.join(REFERENCE);
    let before = fs::read_to_string(&file).unwrap_or_default();
    if before == text {
        println!("docs: `{REFERENCE}` is what the program says");
        return Ok(());
    }
    if check {
        let line = first_difference(&before, &text);
        bail!(
            "`{REFERENCE}` is not what the program says (line {line}); run `cargo xtask docs` and commit it"
        );
    }
    let folder = file.parent().context("the reference has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    fs::write(&file, text).with_context(|| format!("cannot write `{}`", file.display()))?;
    println!("docs: wrote `{REFERENCE}`");
    Ok(())
}

fn first_difference(before: &str, after: &str) -> usize {
    let same = before
        .lines()
        .zip(after.lines())
        .take_while(|(a, b)| a == b)
        .count();
    same + 1
}

fn describe(binary: &Path, path: &[String], text: &mut String) -> Result<()> {
    let flag = if path.is_empty() { "--help" } else { "-h" };
    let help = output(
        Command::new(binary)
            .args(path)
            .arg(flag)
            .env("COLUMNS", "100")
            .env("NO_COLOR", "1"),
    )?;
    let mut name = vec!["walkback"];
    name.extend(path.iter().map(String::as_str));
    let shown = if path.is_empty() {
        help.clone()
    } else {
        without_global_options(&help)
    };
    let lines: Vec<&str> = shown.trim_end().lines().map(str::trim_end).collect();
    text.push_str(&format!(
        "\n## {}\n\n```text\n{}\n```\n",
        name.join(" "),
        lines.join("\n")
    ));
    for command in subcommands(&help) {
        let mut deeper = path.to_vec();
        deeper.push(command);
        describe(binary, &deeper, text)?;
    }
    Ok(())
}

/// Leaves out the section that is the same for every command.
fn without_global_options(help: &str) -> String {
    let mut inside = false;
    let kept = help.lines().filter(|line| {
        if !line.is_empty() && !line.starts_with(' ') {
            inside = *line == "Global options:";
        }
        !inside
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// Reads the names of the subcommands from a help text.
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_book_in_order_passes() {
        let summary = "# Summary\n- [A](a.md)\n  - [B](guide/b.md)\n";
        assert_eq!(book_violations(summary, &pages(&["a.md", "guide/b.md"])), []);
    }

    #[test]
    fn a_page_without_a_line_and_a_line_without_a_page_are_caught() {
        let found = book_violations(
            "- [A](a.md)\n- [B](b.md)\n- [A](a.md)\n",
            &pages(&["a.md", "c.md"]),
        );
        let places: Vec<_> = found.iter().map(|violation| violation.at.as_str()).collect();
        assert_eq!(
            places,
            ["docs/src/SUMMARY.md:2", "docs/src/SUMMARY.md:3", "docs/src/c.md"]
        );
    }

    #[test]
    fn subcommands_are_read_from_the_help() {
        let help = "Text\n\nCommands:\n  up      Apply\n            and more\n  down    Back [aliases: undo]\n  help    Print\n\nOptions:\n  -v\n";
        assert_eq!(subcommands(help), ["up", "down"]);
    }

    #[test]
    fn options_of_every_command_are_described_once() {
        let help = "Text\n\nOptions:\n  -n\n\nGlobal options:\n  -v\n\n  -q\n\nRules:\n  -t\n";
        assert_eq!(
            without_global_options(help),
            "Text\n\nOptions:\n  -n\n\nRules:\n  -t"
        );
    }
}
