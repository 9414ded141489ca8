//! The checker itself: a workspace in order passes, and each seeded violation is caught, alone.

use super::homes::Exception;
use super::workspace::Member;
use super::{Violation, check as check_with};

const PACKAGE: &str = r#"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
repository.workspace = true
description = "A crate that is in order in every way"
"#;

fn member(folder: &str, name: &str, rest: &str, files: &[(&str, &str)]) -> Member {
    let manifest = format!("[package]\nname = \"{name}\"{PACKAGE}\n[lints]\nworkspace = true\n{rest}");
    Member {
        folder: folder.to_owned(),
        manifest: manifest.parse().expect("a manifest of a test is TOML"),
        files: files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect(),
    }
}

fn store(rest: &str) -> Member {
    member(
        "adapters/store-fs",
        "walkback-store-fs",
        &format!("[dependencies]\nwalkback-core.workspace = true\n{rest}"),
        &[
            ("README.md", ""),
            ("src/lib.rs", "walkback_core::register_store!(StoreEntry {});"),
            ("src/config.rs", ""),
            ("src/error.rs", ""),
            ("src/store.rs", "fn now(cx: &Cx) { cx.now(); }"),
            (
                "tests/conformance.rs",
                "fn main() { walkback_conformance::store::run(); }",
            ),
        ],
    )
}

/// A small workspace in which nothing is wrong.
fn in_order() -> Vec<Member> {
    vec![
        member(
            "crates/walkback-core",
            "walkback-core",
            "",
            &[("src/cx.rs", "fn now() { Utc::now(); }")],
        ),
        member(
            "crates/walkback-adapters",
            "walkback-adapters",
            "[features]\nfs = [\"dep:walkback-store-fs\"]\n[dependencies]\nwalkback-store-fs = { workspace = true, optional = true }",
            &[(
                "src/lib.rs",
                "#[cfg(feature = \"fs\")]\nuse walkback_store_fs as _;",
            )],
        ),
        member(
            "crates/walkback",
            "walkback",
            "[features]\ndefault = [\"fs\"]\nfs = [\"walkback-adapters/fs\"]\n[dependencies]\nwalkback-adapters.workspace = true",
            &[(
                "src/main.rs",
                "fn main() { println!(\"{:?}\", std::env::args()); }",
            )],
        ),
        store("[dev-dependencies]\nwalkback-conformance.workspace = true"),
    ]
}

fn check(members: &[Member]) -> Vec<Violation> {
    check_with(members, &[])
}

/// Checks the workspace after a change, and expects exactly one violation.
fn seeded(change: impl FnOnce(&mut Vec<Member>)) -> Violation {
    let mut members = in_order();
    change(&mut members);
    let violations = check(&members);
    assert_eq!(violations.len(), 1, "{violations:#?}");
    violations.into_iter().next().expect("there is one")
}

fn set_file(members: &mut [Member], folder: &str, file: &str, text: &str) {
    let member = members.iter_mut().find(|member| member.folder == folder);
    let member = member.expect("the folder is in the workspace");
    member.files.insert(file.to_owned(), text.to_owned());
}

#[test]
fn a_workspace_in_order_passes() {
    assert_eq!(check(&in_order()), []);
}

#[test]
fn an_edge_that_is_not_listed_is_caught() {
    let found = seeded(|members| {
        members[0] = member(
            "crates/walkback-core",
            "walkback-core",
            "[dependencies]\nwalkback-vault.workspace = true",
            &[],
        );
    });
    assert_eq!(found.at, "crates/walkback-core/Cargo.toml");
    assert_eq!(found.what, "`walkback-core` depends on `walkback-vault`");
}

#[test]
fn an_edge_hidden_behind_a_target_or_a_rename_is_caught() {
    let renamed =
        "[target.'cfg(unix)'.dependencies]\nbase = { workspace = true, package = \"walkback-runner\" }";
    let found = seeded(|members| members[3] = store(renamed));
    assert_eq!(found.what, "`walkback-store-fs` depends on `walkback-runner`");
}

#[test]
fn an_adapter_never_uses_another_even_in_its_tests() {
    let found = seeded(|members| {
        members[3] = store("[dev-dependencies]\nwalkback-engine-sqlite.workspace = true");
    });
    assert_eq!(
        found.what,
        "`walkback-store-fs` depends (for its tests) on `walkback-engine-sqlite`"
    );
}

#[test]
fn the_conformance_crate_is_for_tests_only() {
    let found = seeded(|members| members[3] = store("walkback-conformance.workspace = true"));
    assert_eq!(
        found.what,
        "`walkback-store-fs` depends on `walkback-conformance`"
    );
}

#[test]
fn the_services_are_for_tests_only() {
    let found = seeded(|members| members[3] = store("walkback-services.workspace = true"));
    assert_eq!(found.what, "`walkback-store-fs` depends on `walkback-services`");
}

#[test]
fn a_version_outside_the_root_manifest_is_caught() {
    let found = seeded(|members| members[3] = store("serde = \"1\""));
    assert!(
        found.what.starts_with("`serde` does not take its version"),
        "{found}"
    );
    let found = seeded(|members| members[3] = store("serde = { version = \"1\", features = [\"derive\"] }"));
    assert!(
        found.what.starts_with("`serde` does not take its version"),
        "{found}"
    );
}

#[test]
fn a_crate_without_a_place_in_the_layout_is_caught() {
    let found = seeded(|members| members.push(member("crates/utils", "walkback-utils", "", &[])));
    assert_eq!(found.what, "`walkback-utils` has no place in the layout");
}

#[test]
fn a_placeholder_for_a_description_is_caught() {
    let found = seeded(|members| {
        let package = members[0].manifest["package"].as_table_mut().expect("a table");
        package.insert("description".to_owned(), "placeholder".into());
    });
    assert_eq!(found.what, "the crate has no real `description`");
}

#[test]
fn an_adapter_lacking_a_file_of_its_role_is_caught() {
    for file in ["README.md", "src/config.rs", "src/error.rs", "src/store.rs"] {
        let found = seeded(|members| drop(members[3].files.remove(file)));
        assert_eq!(found.at, format!("adapters/store-fs/{file}"));
    }
}

#[test]
fn a_module_may_be_a_folder() {
    let mut members = in_order();
    members[3].files.remove("src/store.rs");
    set_file(&mut members, "adapters/store-fs", "src/store/mod.rs", "");
    assert_eq!(check(&members), []);
}

#[test]
fn an_adapter_without_its_conformance_test_is_caught() {
    let found = seeded(|members| drop(members[3].files.remove("tests/conformance.rs")));
    assert_eq!(found.what, "`walkback-store-fs` has no conformance test");
}

#[test]
fn a_conformance_test_that_only_mentions_the_suite_is_caught() {
    let found = seeded(|members| {
        set_file(
            members,
            "adapters/store-fs",
            "tests/conformance.rs",
            "// walkback_conformance\nfn main() {}",
        );
    });
    assert!(found.what.contains("does not run the suite"), "{found}");
}

#[test]
fn an_adapter_that_registers_nothing_is_caught() {
    let found = seeded(|members| set_file(members, "adapters/store-fs", "src/lib.rs", "mod store;"));
    assert_eq!(found.what, "`walkback-store-fs` registers nothing");
}

#[test]
fn an_adapter_that_the_bundle_does_not_name_is_caught() {
    let found = seeded(|members| {
        set_file(
            members,
            "crates/walkback-adapters",
            "src/lib.rs",
            "// use walkback_store_fs as _;",
        );
    });
    assert_eq!(
        found.what,
        "`walkback-store-fs` is not named here, so no binary links it"
    );
}

#[test]
fn a_feature_that_the_facade_does_not_pass_on_is_caught() {
    let found = seeded(|members| {
        members[2].manifest["features"]
            .as_table_mut()
            .expect("a table")
            .insert("fs".to_owned(), toml::Value::Array(Vec::new()));
    });
    assert_eq!(
        found.what,
        "feature `fs` of `walkback` does not add `walkback-store-fs`"
    );
}

#[test]
fn a_call_outside_its_home_is_caught_with_its_line() {
    let calls = [
        ("std::env::var(\"A\");", "std::env"),
        ("println!();", "println!"),
        ("SystemTime::now();", "SystemTime::now"),
        ("chrono::Utc::now();", "Utc::now"),
        ("std::process::exit(1);", "process::exit"),
    ];
    for (call, word) in calls {
        let text = format!("fn a() {{\n    {call}\n}}");
        let found = seeded(|members| set_file(members, "adapters/store-fs", "src/store.rs", &text));
        assert_eq!(found.at, "adapters/store-fs/src/store.rs:2", "{call}");
        assert_eq!(found.what, format!("`{word}` has its home elsewhere"));
    }
}

#[test]
fn a_call_in_a_test_a_comment_or_a_text_is_no_call() {
    let text =
        "// println!\nconst A: &str = \"std::env\";\n#[cfg(test)]\nmod tests { fn a() { println!(); } }";
    let mut members = in_order();
    set_file(&mut members, "adapters/store-fs", "src/store.rs", text);
    assert_eq!(check(&members), []);
}

#[test]
fn an_exception_covers_its_call_only_and_must_be_needed() {
    let exception = [Exception {
        path: "adapters/store-fs/src/store.rs",
        word: "SystemTime::now",
        reason: "a test",
    }];
    let mut members = in_order();
    let stale = check_with(&members, &exception);
    assert_eq!(stale.len(), 1, "{stale:#?}");
    assert!(stale[0].what.ends_with("and is not there"), "{}", stale[0]);
    set_file(
        &mut members,
        "adapters/store-fs",
        "src/store.rs",
        "fn a() {\n    SystemTime::now();\n    Utc::now();\n}",
    );
    let left = check_with(&members, &exception);
    assert_eq!(left.len(), 1, "{left:#?}");
    assert_eq!(left[0].at, "adapters/store-fs/src/store.rs:3");
}
