//! What a graph is built from, and what it refuses, with the files to edit.

use walkback_core::graph::MigrationGraph;
use walkback_core::{Error, ErrorKind, Migration, MigrationId};

fn migration(id: &str, parents: &[&str]) -> Migration {
    let mut migration = Migration::new(id, "", format!("m/{id}.sql"));
    migration.parents = parents.iter().map(|parent| MigrationId::new(*parent)).collect();
    migration
}

fn labelled(id: &str, parents: &[&str], label: &str) -> Migration {
    let mut migration = migration(id, parents);
    migration.labels.push(label.to_owned());
    migration
}

fn depending(id: &str, parents: &[&str], on: &str) -> Migration {
    let mut migration = migration(id, parents);
    migration.depends_on.push(MigrationId::new(on));
    migration
}

fn build(migrations: Vec<Migration>) -> MigrationGraph {
    MigrationGraph::build(migrations).unwrap()
}

#[track_caller]
fn refuse(migrations: Vec<Migration>) -> Error {
    let error = MigrationGraph::build(migrations).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    error
}

fn ids<'a>(migrations: impl IntoIterator<Item = &'a Migration>) -> String {
    migrations
        .into_iter()
        .map(|migration| migration.id.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_duplicate_names_both_files() {
    let mut twin = migration("1", &[]);
    twin.file = "m/1_other.sql".into();
    assert_eq!(
        refuse(vec![migration("1", &[]), twin]).to_string(),
        "two migrations have the identity `1` (m/1.sql and m/1_other.sql)"
    );
}

#[test]
fn a_missing_parent_or_dependency_is_named_with_the_closest_one() {
    let error = refuse(vec![
        migration("20260411", &[]),
        migration("20260412", &["20260410"]),
    ]);
    assert_eq!(
        error.to_string(),
        "migration `20260412` follows `20260410`, which does not exist (m/20260412.sql)"
    );
    assert_eq!(error.hints(), ["did you mean `20260411`?"]);

    let error = refuse(vec![migration("1", &[]), depending("2", &["1"], "1_add_users")]);
    assert_eq!(
        error.to_string(),
        "migration `2` depends on `1_add_users`, which does not exist (m/2.sql)"
    );
    assert_eq!(error.hints(), ["did you mean `1`?"]);

    let error = refuse(vec![migration("1", &["zzzzzzzzz"])]);
    assert_eq!(
        error.hints(),
        ["restore the missing file, or name another migration"]
    );
}

#[test]
fn a_cycle_is_told_from_its_first_migration_with_all_its_files() {
    let error = refuse(vec![
        migration("base", &[]).renamed("z"),
        migration("a", &["z", "c"]),
        migration("b", &["a"]),
        migration("c", &["b"]),
        migration("after", &["c"]),
    ]);
    assert_eq!(
        error.to_string(),
        "migrations follow each other in a cycle: `a -> b -> c -> a` (m/a.sql, m/b.sql, m/c.sql)"
    );
}

trait Renamed {
    fn renamed(self, id: &str) -> Self;
}

impl Renamed for Migration {
    fn renamed(mut self, id: &str) -> Self {
        self.id = MigrationId::new(id);
        self
    }
}

#[test]
fn a_migration_that_follows_itself_is_a_cycle() {
    assert_eq!(
        refuse(vec![migration("a", &["a"])]).to_string(),
        "migrations follow each other in a cycle: `a -> a` (m/a.sql)"
    );
    assert!(
        refuse(vec![migration("a", &[]), depending("b", &["a"], "b")])
            .to_string()
            .contains("`b -> b`")
    );
}

#[test]
fn a_cycle_through_a_dependency_is_a_cycle() {
    let error = refuse(vec![depending("a", &[], "b"), migration("b", &["a"])]);
    assert!(error.to_string().contains("`a -> b -> a`"), "{error}");
}

#[test]
fn what_cannot_be_written_in_a_target_is_no_identity() {
    for id in ["a@b", "a-b", "a+b", "a b", "a\tb", "a\nb", "a\0b", "a\u{a0}b"] {
        let error = refuse(vec![migration(id, &[]).filed("m/x.sql")]);
        assert!(error.to_string().starts_with("the identity `a"), "{error}");
        assert!(error.to_string().ends_with("(m/x.sql)"), "{error}");
    }
    for id in ["head", "heads", "base"] {
        let error = refuse(vec![migration(id, &[])]);
        assert!(error.to_string().contains("has a meaning of its own"), "{error}");
    }
    assert_eq!(
        refuse(vec![migration("", &[])]).to_string(),
        "the identity of a migration is empty (m/.sql)"
    );
    // With a `:` in it, it stands for itself as a whole.
    build(vec![
        migration("ünï𝄞", &[]),
        migration("1.2", &[]),
        migration("a:b-1", &[]),
    ]);
}

trait Filed {
    fn filed(self, file: &str) -> Self;
}

impl Filed for Migration {
    fn filed(mut self, file: &str) -> Self {
        self.file = file.into();
        self
    }
}

#[test]
fn the_order_is_topological_and_else_as_given() {
    let graph = build(vec![
        migration("9", &["1"]),
        migration("x", &[]),
        migration("1", &[]),
        depending("0", &["1"], "9"),
    ]);
    assert_eq!(ids(&graph), "x 1 9 0");
    assert_eq!(graph.position(&MigrationId::new("9")), Some(2));
    assert_eq!(graph.position(&MigrationId::new("nope")), None);
}

#[test]
fn heads_bases_and_children_are_by_parents() {
    let graph = build(vec![
        migration("a", &[]),
        migration("b", &["a"]),
        migration("c", &["a", "a"]),
        depending("d", &[], "b"),
    ]);
    assert_eq!(ids(graph.heads()), "b c d");
    assert_eq!(ids(graph.bases()), "a d");
    assert_eq!(ids(graph.children(&MigrationId::new("a"))), "b c");
    assert_eq!(ids(graph.children(&MigrationId::new("nope"))), "");
    assert!(!graph.is_linear());
    assert_eq!(graph.len(), 4);
}

#[test]
fn the_heads_of_what_is_applied_are_the_rows_alembic_keeps() {
    let graph = build(vec![
        migration("a", &[]),
        migration("b", &["a"]),
        migration("c", &["a"]),
        depending("d", &["c"], "b"),
    ]);
    let heads =
        |applied: &[&str]| ids(graph.heads_of(&applied.iter().map(|id| MigrationId::new(*id)).collect()));
    assert_eq!(heads(&["a", "b", "c"]), "b c");
    // A dependency is implied by what depends on it.
    assert_eq!(heads(&["a", "b", "c", "d"]), "d");
    // Even where something between is missing.
    assert_eq!(heads(&["a", "d"]), "d");
    assert_eq!(heads(&[]), "");
}

#[test]
fn a_line_is_a_line() {
    assert!(
        build(vec![
            migration("a", &[]),
            migration("b", &["a"]),
            migration("c", &["b"])
        ])
        .is_linear()
    );
    assert!(
        !build(vec![
            migration("a", &[]),
            migration("b", &["a"]),
            migration("c", &["a"])
        ])
        .is_linear()
    );
    assert!(!build(vec![migration("a", &[]), migration("b", &[])]).is_linear());
    assert!(
        !build(vec![
            migration("a", &[]),
            migration("b", &["a"]),
            migration("c", &["a", "b"])
        ])
        .is_linear()
    );
}

#[test]
fn a_label_reaches_down_to_all_descendants_and_up_to_the_next_branch_or_merge() {
    let graph = build(vec![
        migration("root", &[]),
        migration("fork", &["root"]),
        migration("a1", &["fork"]),
        labelled("a2", &["a1"], "alpha"),
        migration("a3", &["a2"]),
        labelled("b1", &["fork"], "beta"),
        migration("merge", &["a3", "b1"]),
    ]);
    let on = |id: &str| {
        let labels = graph.labels_of(&MigrationId::new(id)).unwrap();
        labels.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(on("root"), "");
    assert_eq!(on("fork"), "");
    assert_eq!(on("a1"), "alpha");
    assert_eq!(on("a2"), "alpha");
    assert_eq!(on("a3"), "alpha");
    assert_eq!(on("b1"), "beta");
    assert_eq!(on("merge"), "alpha beta");
    assert_eq!(
        graph
            .labels()
            .map(|(label, at)| format!("{label}={}", at.id))
            .collect::<Vec<_>>(),
        ["alpha=a2", "beta=b1"]
    );
}

#[test]
fn a_label_is_declared_once_and_is_no_identity() {
    let error = refuse(vec![labelled("a", &[], "x"), labelled("b", &[], "x")]);
    assert_eq!(
        error.to_string(),
        "the label `x` of migration `b` is also declared by migration `a` (m/b.sql and m/a.sql)"
    );
    let error = refuse(vec![labelled("a", &[], "b"), migration("b", &["a"])]);
    assert_eq!(
        error.to_string(),
        "the label `b` of migration `a` is the identity of migration `b` (m/a.sql and m/b.sql)"
    );
    for label in ["", "a@b", "head", "x y", "x-1"] {
        refuse(vec![labelled("a", &[], label)]);
    }
    let mut twice = labelled("a", &[], "x");
    twice.labels.push("x".into());
    build(vec![twice]);
}

#[test]
fn a_dependency_on_a_label_is_one_on_its_migration() {
    let graph = build(vec![
        labelled("a", &[], "x"),
        migration("b", &["a"]),
        depending("c", &[], "x"),
    ]);
    assert_eq!(
        graph.get(&MigrationId::new("c")).unwrap().depends_on,
        [MigrationId::new("a")]
    );
}
