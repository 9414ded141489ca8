//! Short names of migrations: what a target may say in the place of an identity.

use walkback_core::graph::MigrationGraph;
use walkback_core::{ErrorKind, Migration, MigrationId};

#[test]
fn an_alias_names_the_one_migration_that_has_it() {
    let called = |id: &str, alias: &str, parents: &[&str]| {
        let mut migration = Migration::new(id, "", "m.sql");
        migration.parents = parents.iter().map(|parent| MigrationId::new(*parent)).collect();
        migration.alias = Some(alias.to_owned());
        migration
    };
    let graph = MigrationGraph::build(vec![
        called("a.sql::1::bob", "bob:1", &[]),
        called("a.sql::2::bob", "bob:2", &["a.sql::1::bob"]),
        called("b.sql::2::bob", "bob:2", &["a.sql::2::bob"]),
    ])
    .unwrap();
    assert_eq!(graph.find("bob:1").unwrap().id.as_str(), "a.sql::1::bob");
    assert_eq!(graph.find("b.sql::2::bob").unwrap().id.as_str(), "b.sql::2::bob");
    let error = graph.find("bob:2").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    for said in ["a.sql::2::bob", "b.sql::2::bob"] {
        assert!(error.message().contains(said), "{error}");
    }
}
