//! What every adapter must have: the files of its role, its conformance test, its name in the bundle.

use toml::Value;

use super::Violation;
use super::edges::Role;
use super::workspace::Member;

/// Checks every adapter, and that the bundle and the facade know it.
pub(crate) fn check(members: &[Member]) -> Vec<Violation> {
    let mut out = Vec::new();
    let adapters: Vec<(&Member, Role)> = members
        .iter()
        .filter_map(|member| Some((member, Role::of(member.name())?)))
        .filter(|(_, role)| role.is_adapter())
        .collect();
    for (member, role) in &adapters {
        check_files(member, *role, &mut out);
        check_conformance(member, *role, &mut out);
        check_registration(member, *role, &mut out);
    }
    let bundle = find(members, "walkback-adapters");
    let facade = find(members, "walkback");
    for (member, _) in &adapters {
        check_bundle(member, bundle, facade, &mut out);
    }
    out
}

fn find<'m>(members: &'m [Member], name: &str) -> Option<&'m Member> {
    members.iter().find(|member| member.name() == name)
}

fn check_files(member: &Member, role: Role, out: &mut Vec<Violation>) {
    let mut wanted = vec!["README.md", "src/lib.rs", "src/config.rs", "src/error.rs"];
    match role {
        Role::Engine => wanted.extend(["src/engine.rs", "src/dialect.rs", "src/catalog.rs", "src/bulk.rs"]),
        Role::Store => wanted.push("src/store.rs"),
        _ => wanted.push("src/source.rs"),
    }
    for file in wanted {
        // A module that outgrew its file may be a folder of the same name.
        let folder = file.replace(".rs", "/mod.rs");
        if !member.files.contains_key(file) && !member.files.contains_key(&folder) {
            out.push(Violation::new(
                &member.path(file),
                format!(
                    "`{}` lacks this file, which every adapter of its role has",
                    member.name()
                ),
                "add it; the adapter beside it shows what belongs there",
            ));
        }
    }
}

fn check_conformance(member: &Member, role: Role, out: &mut Vec<Violation>) {
    let file = "tests/conformance.rs";
    let suite = match role {
        Role::Engine => "walkback_conformance::engine",
        Role::Store => "walkback_conformance::store",
        _ => "walkback_conformance::source",
    };
    let hint = format!("hand a fresh adapter to `{suite}`, as the adapter beside it does");
    let Some(text) = member.files.get(file) else {
        out.push(Violation::new(
            &member.path(file),
            format!("`{}` has no conformance test", member.name()),
            &hint,
        ));
        return;
    };
    if !crate::code::without_comments_and_texts(text).contains("walkback_conformance") {
        out.push(Violation::new(
            &member.path(file),
            format!(
                "the conformance test of `{}` does not run the suite",
                member.name()
            ),
            &hint,
        ));
    }
}

fn check_registration(member: &Member, role: Role, out: &mut Vec<Violation>) {
    let name = match role {
        Role::Engine => "register_engine!",
        Role::Store => "register_store!",
        _ => "register_source!",
    };
    let text = member.files.get("src/lib.rs").map_or("", String::as_str);
    if !crate::code::without_comments_and_texts(text).contains(name) {
        out.push(Violation::new(
            &member.path("src/lib.rs"),
            format!("`{}` registers nothing", member.name()),
            &format!("call `walkback_core::{name}`"),
        ));
    }
}

fn check_bundle(
    adapter: &Member,
    bundle: Option<&Member>,
    facade: Option<&Member>,
    out: &mut Vec<Violation>,
) {
    let name = adapter.name();
    let Some(bundle) = bundle else {
        return;
    };
    let text = bundle.files.get("src/lib.rs").map_or("", String::as_str);
    let line = format!("use {} as _;", name.replace('-', "_"));
    if !crate::code::without_comments_and_texts(text).contains(&line) {
        out.push(Violation::new(
            &bundle.path("src/lib.rs"),
            format!("`{name}` is not named here, so no binary links it"),
            &format!("add `{line}` behind its feature, and its name to `EXPECTED`"),
        ));
    }
    let Some(feature) = feature_of(bundle, &format!("dep:{name}")) else {
        out.push(Violation::new(
            &bundle.path("Cargo.toml"),
            format!("no feature adds `{name}`"),
            &format!("make the dependency optional, and add a feature with `dep:{name}`"),
        ));
        return;
    };
    let Some(facade) = facade else {
        return;
    };
    let forwards = features(facade, &feature).any(|entry| entry == format!("walkback-adapters/{feature}"));
    if !forwards {
        out.push(Violation::new(
            &facade.path("Cargo.toml"),
            format!("feature `{feature}` of `walkback` does not add `{name}`"),
            &format!("add `{feature} = [\"walkback-adapters/{feature}\"]`"),
        ));
    }
    if !features(facade, "default").any(|entry| entry == feature) {
        out.push(Violation::new(
            &facade.path("Cargo.toml"),
            format!("feature `{feature}` is not in the default set, which is all of them"),
            &format!("add `{feature}` to `default`"),
        ));
    }
}

fn features<'m>(member: &'m Member, feature: &str) -> impl Iterator<Item = &'m str> {
    member
        .manifest
        .get("features")
        .and_then(|features| features.get(feature))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Returns the feature whose list holds this entry.
fn feature_of(member: &Member, entry: &str) -> Option<String> {
    let all = member.manifest.get("features")?.as_table()?;
    all.keys()
        .find(|name| name.as_str() != "default" && features(member, name).any(|other| other == entry))
        .cloned()
}
