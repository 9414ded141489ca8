//! `cargo xtask tidy`: what no compiler checks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::layers::{Violation, report};
use crate::process::output;
use crate::{code, links};

const LONG: usize = 400;
const TOO_LONG: usize = 600;
const TOO_BIG: usize = 512 << 10;

/// `xtask/tidy.toml`: exceptions, each with its reason.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    /// Source files that may be longer, and why.
    #[serde(default)]
    long: BTreeMap<String, String>,
    /// Files whose blanks at the ends of lines mean something, and why.
    #[serde(default)]
    blanks: BTreeMap<String, String>,
}

/// A text file of the repository.
struct File<'t> {
    path: &'t str,
    text: &'t str,
}

/// Checks every file that git knows or would add.
pub(crate) fn run(root: &Path) -> Result<()> {
    let exceptions =
        fs::read_to_string(root.join("xtask/tidy.toml")).context("cannot read `xtask/tidy.toml`")?;
    let exceptions: Exceptions = toml::from_str(&exceptions).context("`xtask/tidy.toml` is wrong")?;
    let mut list = Command::new("git");
    list.current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let list = output(&mut list)?;
    let mut violations = Vec::new();
    let mut lengths = BTreeMap::new();
    let mut seen = 0;
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        // A file that was removed and not yet committed is still listed.
        let Ok(bytes) = fs::read(root.join(path)) else {
            continue;
        };
        seen += 1;
        if bytes.len() > TOO_BIG {
            let what = format!("the file has {} KiB", bytes.len() >> 10);
            violations.push(Violation::new(
                path,
                what,
                "generate it, or fetch it, instead of keeping it here",
            ));
        }
        let Ok(text) = std::str::from_utf8(&bytes) else {
            continue;
        };
        let file = File { path, text };
        check_file(root, &file, &exceptions, &mut violations);
        if path.ends_with(".rs") {
            lengths.insert(path.to_owned(), text.lines().count());
        }
    }
    check_lengths(&lengths, &exceptions, &mut violations);
    report("tidy", &format!("{seen} files"), &violations)
}

fn check_file(root: &Path, file: &File<'_>, exceptions: &Exceptions, out: &mut Vec<Violation>) {
    if file.path == "Cargo.lock" {
        check_lock(file, out);
        return;
    }
    if !file.path.starts_with("LICENSE") {
        check_blanks(file, exceptions, out);
    }
    check_machine(file, out);
    check_notes(file, out);
    if file.path.ends_with(".rs") {
        check_source(file, out);
    }
    if file.path.ends_with(".md") {
        for dead in links::dead(&root.join(file.path), file.text) {
            let what = format!("the link to `{}` is dead: {}", dead.target, dead.why);
            out.push(at(file, dead.line, what, "put the link right, or remove it"));
        }
    }
}

fn at(file: &File<'_>, line: usize, what: String, hint: &str) -> Violation {
    Violation::new(&format!("{}:{line}", file.path), what, hint)
}

fn check_lengths(lengths: &BTreeMap<String, usize>, exceptions: &Exceptions, out: &mut Vec<Violation>) {
    for (path, lines) in lengths {
        if *lines > TOO_LONG && !exceptions.long.contains_key(path) {
            let what = format!("the file has {lines} lines, more than {TOO_LONG}");
            out.push(Violation::new(
                path,
                what,
                "split it along its roles, or list it in `xtask/tidy.toml` with the reason",
            ));
        } else if *lines > LONG {
            println!("note: {path} has {lines} lines");
        }
    }
    for (path, reason) in &exceptions.long {
        if lengths.get(path).is_none_or(|lines| *lines <= TOO_LONG) {
            let what = format!("`{path}` is listed as long ({reason}), and is not");
            out.push(Violation::new("xtask/tidy.toml", what, "remove the line"));
        }
    }
}

fn check_blanks(file: &File<'_>, exceptions: &Exceptions, out: &mut Vec<Violation>) {
    if exceptions.blanks.contains_key(file.path) || file.path.ends_with(".snap") {
        return;
    }
    let hint = "remove it, or list the file in `xtask/tidy.toml` under `blanks` with the reason";
    for (index, line) in file.text.split('\n').enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            out.push(at(file, index + 1, "the line ends in a blank".to_owned(), hint));
        }
        if line.starts_with(concat!("<<<<", "<<< ")) || line.starts_with(concat!(">>>>", ">>> ")) {
            out.push(at(file, index + 1, "an unfinished merge".to_owned(), "finish it"));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        let last = file.text.lines().count();
        out.push(at(
            file,
            last,
            "the last line does not end".to_owned(),
            "add a line break",
        ));
    }
}

/// Beginnings of paths that exist on somebody's machine only.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/tmp/", "target"),
    concat!("C:\\", "Users"),
];

/// Hosts of registries and their mirrors: which one is used is a matter of each machine's own settings.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("files.", "pythonhosted.org"),
    concat!("proxy.", "golang.org"),
    concat!("artifac", "tory"),
    concat!("jfr", "og.io"),
    concat!("deb.", "debian.org"),
];

fn check_machine(file: &File<'_>, out: &mut Vec<Violation>) {
    for (index, line) in file.text.lines().enumerate() {
        let path = MACHINE_PATHS.iter().find(|path| begins_a_path(line, path));
        if let Some(path) = path {
            let what = format!("`{path}` is a path of one machine");
            out.push(at(
                file,
                index + 1,
                what,
                "use a relative path, or one that a setting gives",
            ));
        }
        let host = REGISTRY_HOSTS.iter().find(|host| line.contains(*host));
        if let Some(host) = host {
            let what = format!("`{host}` is the host of a registry");
            out.push(at(
                file,
                index + 1,
                what,
                "leave registries to each machine's own settings",
            ));
        }
    }
}

/// Whether the path stands here and is not the rest of a longer one: `docs/home/` is fine.
fn begins_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '}' | '>'))
    })
}

const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

fn check_notes(file: &File<'_>, out: &mut Vec<Violation>) {
    for (index, line) in file.text.lines().enumerate() {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(note) = words.into_iter().find(|word| NOTES.contains(word)) {
            let what = format!("a `{note}` that nobody will find again");
            out.push(at(file, index + 1, what, "do it, or open an issue"));
        }
    }
}

fn check_source(file: &File<'_>, out: &mut Vec<Violation>) {
    let source = code::without_comments_and_texts(file.text);
    for word in ["todo!", "unimplemented!"] {
        for line in code::lines_with(&source, word) {
            out.push(at(
                file,
                line,
                format!("`{word}` in code that is handed over"),
                "build it",
            ));
        }
    }
    for (index, line) in source.lines().enumerate() {
        if line.contains("#[ignore]") {
            let what = "a test is ignored, and nobody is told why".to_owned();
            out.push(at(file, index + 1, what, "write `#[ignore = \"why\"]`"));
        }
    }
    for (start, _) in source.match_indices("[allow(") {
        let attribute = source[start..].split(']').next().unwrap_or_default();
        if source[..start].ends_with(['#', '!']) && !attribute.contains("reason =") {
            let line = source[..start].matches('\n').count() + 1;
            let what = "a lint is allowed for ever".to_owned();
            let hint = "use `#[expect(..)]`, which says when it is no longer needed; or give the `reason`";
            out.push(at(file, line, what, hint));
        }
    }
}

/// Every package comes from the public registry: one from elsewhere would not build on another machine.
fn check_lock(file: &File<'_>, out: &mut Vec<Violation>) {
    for (index, line) in file.text.lines().enumerate() {
        if line.starts_with("source = ")
            && line != "source = \"registry+https://github.com/rust-lang/crates.io-index\""
        {
            let what = format!("a package comes from elsewhere: {line}");
            out.push(at(file, index + 1, what, "depend on a published version"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeded(path: &str, text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut out = Vec::new();
        let file = File { path, text };
        check_file(folder.path(), &file, &Exceptions::default(), &mut out);
        out.into_iter()
            .map(|violation| format!("{}: {}", violation.at, violation.what))
            .collect()
    }

    #[test]
    fn a_file_in_order_passes() {
        let allowed = "#![allow(\n    dead_code,\n    reason = \"each test uses some\"\n)]\n";
        assert_eq!(seeded("a.rs", allowed), Vec::<String>::new());
        assert_eq!(
            seeded("a.rs", "//! Fine.\nfn a() { b(\"todo!\"); }\n"),
            Vec::<String>::new()
        );
        assert_eq!(
            seeded(
                "a.md",
                "A framework/work/ of docs/home/ things. [x](https://example.org)\n"
            ),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_seeded_fault_is_caught_alone() {
        let faults = [
            ("a.rs", "fn a() {} \n", "a.rs:1: the line ends in a blank"),
            ("a.sql", "SELECT 1;", "a.sql:1: the last line does not end"),
            (
                "a.rs",
                "fn a() {\n    todo!()\n}\n",
                "a.rs:2: `todo!` in code that is handed over",
            ),
            (
                "a.rs",
                "#[test]\n#[ignore]\nfn a() {}\n",
                "a.rs:2: a test is ignored, and nobody is told why",
            ),
            (
                "a.rs",
                "#[allow(dead_code)]\nfn a() {}\n",
                "a.rs:1: a lint is allowed for ever",
            ),
            (
                "a.md",
                "[x](gone.md)\n",
                "a.md:1: the link to `gone.md` is dead: there is no such file",
            ),
        ];
        for (path, text, expected) in faults {
            assert_eq!(seeded(path, text), [expected]);
        }
        for path in MACHINE_PATHS {
            assert_eq!(seeded("a.md", &format!("see `{path}x`\n")).len(), 1, "{path}");
        }
        for host in REGISTRY_HOSTS {
            assert_eq!(
                seeded("a.toml", &format!("url = \"https://{host}/\"\n")).len(),
                1,
                "{host}"
            );
        }
        for note in NOTES {
            assert_eq!(seeded("a.sql", &format!("-- {note}: later\n")).len(), 1, "{note}");
        }
    }

    #[test]
    fn a_package_from_elsewhere_is_caught() {
        let lock = "[[package]]\nname = \"a\"\nsource = \"git+https://example.org/a\"\n";
        assert_eq!(seeded("Cargo.lock", lock).len(), 1);
    }

    #[test]
    fn a_long_file_needs_a_reason_and_a_reason_needs_a_long_file() {
        let lengths = BTreeMap::from([("a.rs".to_owned(), 601), ("b.rs".to_owned(), 600)]);
        let mut exceptions = Exceptions::default();
        let mut out = Vec::new();
        check_lengths(&lengths, &exceptions, &mut out);
        assert_eq!(
            out.iter()
                .map(|violation| violation.at.as_str())
                .collect::<Vec<_>>(),
            ["a.rs"]
        );
        exceptions.long.insert("a.rs".to_owned(), "a table".to_owned());
        exceptions.long.insert("b.rs".to_owned(), "a table".to_owned());
        out.clear();
        check_lengths(&lengths, &exceptions, &mut out);
        assert_eq!(out.len(), 1);
        assert!(out[0].what.contains("`b.rs` is listed as long"), "{}", out[0]);
    }
}
