//! The page of procedures names journeys: each of them is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

#[test]
fn every_journey_that_the_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/src/procedures.md")).expect("there is a page");
    let named = Regex::new("`([a-z_]+)::([a-z_]+)`").expect("a pattern");
    let named: BTreeSet<(String, String)> = named
        .captures_iter(&page)
        .map(|found| (found[1].to_owned(), found[2].to_owned()))
        .collect();
    assert!(named.len() > 40, "hardly anything is named: {named:?}");
    let missing: Vec<String> = named
        .iter()
        .filter(|(module, journey)| !is_there(&root.join("tests/tests"), module, journey))
        .map(|(module, journey)| format!("{module}::{journey}"))
        .collect();
    assert!(missing.is_empty(), "no such journeys: {missing:#?}");
}

#[test]
fn a_step_that_is_built_names_its_journey() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/src/procedures.md")).expect("there is a page");
    let rows = page.lines().filter(|line| {
        line.starts_with("| ") && !line.starts_with("| step") && !line.starts_with("| procedure")
    });
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" |").map(str::trim).collect();
        let is_shown = cells.last().is_some_and(|last| last.starts_with('`'));
        assert!(is_shown || row.contains("not built"), "nothing shows it: {row}");
    }
}

/// Looks for a journey in the file or the folder of its test binary.
fn is_there(tests: &Path, module: &str, journey: &str) -> bool {
    let file = tests.join(format!("{module}.rs"));
    let folder = fs::read_dir(tests.join(module)).into_iter().flatten().flatten();
    let files = folder.map(|entry| entry.path()).chain([file]);
    let heads = ["backend", "_"].map(|name| format!("fn {journey}({name}: Backend)"));
    files
        .into_iter()
        .any(|file| fs::read_to_string(file).is_ok_and(|text| heads.iter().any(|head| text.contains(head))))
}
