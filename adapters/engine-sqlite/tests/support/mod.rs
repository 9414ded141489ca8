//! Short ways to run SQL on a fresh database.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses some of it")]

use std::path::Path;
use std::sync::Arc;

use walkback_core::adapter::AdapterConfig;
use walkback_core::catalog::Schema;
use walkback_core::engine::SessionExt as _;
use walkback_core::registry::Registry;
use walkback_core::{Access, Cx, Engine, Session, Value};
use walkback_engine_sqlite as _;

pub fn engine(folder: &Path, url: &str) -> Arc<dyn Engine> {
    let config = AdapterConfig::new("--url", folder);
    Registry::linked().unwrap().open_engine(url, &config).unwrap()
}

pub async fn run(session: &mut Box<dyn Session>, script: &str) {
    for sql in script.split(";;").filter(|sql| !sql.trim().is_empty()) {
        session
            .execute(&Cx::background(), sql, &[])
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

pub async fn read(session: &mut Box<dyn Session>, sql: &str) -> Vec<Vec<Value>> {
    session.fetch_all(&Cx::background(), sql, &[]).await.unwrap()
}

pub async fn writer(folder: &Path) -> (Arc<dyn Engine>, Box<dyn Session>) {
    let engine = engine(folder, "sqlite:a.db?busy_timeout=200ms");
    let session = engine.connect(&Cx::background(), Access::Write).await.unwrap();
    (engine, session)
}

/// Returns what differs between the schemas of two scripts.
pub async fn difference(one: &str, other: &str) -> Vec<String> {
    let (one, other) = (schema_of(one).await, schema_of(other).await);
    let differences = one.differences(&other);
    assert_eq!(differences.is_empty(), one.hash() == other.hash());
    differences.iter().map(ToString::to_string).collect()
}

pub async fn schema_of(script: &str) -> Schema {
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut session) = writer(folder.path()).await;
    run(&mut session, script).await;
    session.schema(&Cx::background()).await.unwrap()
}
