//! A backup, its removal and garbage collection, killed at every durable step: there is a whole point or none.

#[path = "common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use common::{add, chunks, meta, point, vault};
use walkback_conformance::crash::{self, End, Scenario};
use walkback_conformance::memory_store::MemoryStore;
use walkback_conformance::runner;
use walkback_core::{Cx, Result};
use walkback_vault::{GRACE, Vault};

fn main() -> ExitCode {
    runner::run(crash::trials(vec![
        Scenario::new("a backup is whole or absent", write, check_written).prepared(prepare),
        Scenario::new("a removed point loses no chunk of another", remove, check_removed).prepared(prepare),
    ]))
}

fn open(folder: &Path) -> Vault {
    vault(&MemoryStore::persisted(folder))
}

/// The first point is old, so that its chunks are not protected by their age.
async fn prepare(folder: PathBuf, _: Cx) -> Result<()> {
    point(&open(&folder), &Cx::background(), "first", &[("items", 0..4)])
        .await
        .map(drop)
}

async fn write(folder: PathBuf, cx: Cx) -> Result<()> {
    let vault = open(&folder);
    let mut writer = vault.begin(&cx, "second", meta()).await?;
    add(&mut writer, &cx, "items", chunks(2..9)).await?;
    add(&mut writer, &cx, "users", chunks(20..23)).await?;
    writer.finish(&cx).await.map(drop)
}

async fn check_written(folder: PathBuf, end: End) -> Result<()> {
    let (vault, cx) = (open(&folder), Cx::background());
    let list = vault.list(&cx).await?;
    assert!(
        list.iter().all(|point| point.info.is_ok()),
        "a manifest is torn: {list:?}"
    );
    for point in &list {
        vault.verify(&cx, &point.id).await?.into_result()?;
    }
    let complete = list.iter().any(|point| point.id == "second");
    assert!(complete || end != End::Finished, "a finished backup is not there");
    if !complete {
        // The same command again, over what is left.
        write(folder.clone(), cx.clone()).await?;
        open(&folder).verify(&cx, "second").await?.into_result()?;
    }
    Ok(())
}

async fn remove(folder: PathBuf, cx: Cx) -> Result<()> {
    let vault = open(&folder);
    point(&vault, &Cx::background(), "second", &[("items", 2..9)]).await?;
    vault.remove(&cx, "first").await?;
    // As if the grace period was over.
    let later = vault.with_grace(-GRACE);
    later.collect_garbage(&cx).await.map(drop)
}

async fn check_removed(folder: PathBuf, end: End) -> Result<()> {
    let (vault, cx) = (open(&folder), Cx::background());
    for point in vault.list(&cx).await? {
        vault.verify(&cx, &point.id).await?.into_result()?;
    }
    vault.open(&cx, "second").await?;
    if end == End::Finished {
        assert_eq!(
            MemoryStore::persisted(&folder).keys().len(),
            7 + 1,
            "seven chunks and one point"
        );
    }
    let again = vault.with_grace(-GRACE).collect_garbage(&cx).await;
    again.map(drop)
}
