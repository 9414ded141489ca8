//! A store whose process is killed at every durable step.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use walkback_core::store::StoreExt as _;
use walkback_core::{BackupStore, Cx, Result};

use super::support::{get, keys, noise, put};
use crate::crash::{End, Scenario};

/// Returns a scenario of writes, replacements and removals. `open` opens the store below a folder.
///
/// After each kill: what was committed is there, what was removed is gone, everything is whole, the store
/// works, and a sweep leaves nothing for a second one.
pub fn crash_scenario(
    name: impl Into<String>,
    open: impl Fn(&Path) -> Arc<dyn BackupStore> + Clone + Send + Sync + 'static,
) -> Scenario {
    let (for_run, for_prepare) = (open.clone(), open.clone());
    Scenario::new(
        name,
        move |folder, cx| run(for_run(&folder.join("store")), cx, folder.join("done")),
        move |folder, end| check(open(&folder.join("store")), folder.join("done"), end),
    )
    .prepared(move |folder, _| {
        std::fs::create_dir_all(folder.join("store")).expect("a temporary folder can be filled");
        let store = for_prepare(&folder.join("store"));
        async move {
            put(&*store, "old/kept", &old()).await?;
            put(&*store, "old/replaced", &old()).await?;
            put(&*store, "old/removed", &old()).await
        }
    })
}

fn old() -> Bytes {
    noise(1, 10_000)
}

fn new() -> Bytes {
    noise(2, 400_000)
}

/// What the child has done, noted outside of the store after the store said that it is done.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    Nothing,
    Created,
    Replaced,
    Removed,
}

async fn run(store: Arc<dyn BackupStore>, cx: Cx, done: PathBuf) -> Result<()> {
    let note = |what: &str| std::fs::write(&done, what).expect("a note can be written");
    let mut writer = store.create(&cx, "new/folder/created").await?;
    writer.write(&cx, new().slice(..200_000)).await?;
    writer.write(&cx, new().slice(200_000..)).await?;
    writer.commit(&cx).await?;
    note("created");
    store.put(&cx, "old/replaced", new()).await?;
    note("replaced");
    store.remove(&cx, "old/removed").await?;
    note("removed");
    let mut aborted = store.create(&cx, "new/aborted").await?;
    aborted.write(&cx, new()).await?;
    aborted.abort(&cx).await?;
    cx.step("store.conformance.end");
    Ok(())
}

async fn check(store: Arc<dyn BackupStore>, done: PathBuf, end: End) -> Result<()> {
    let done = match std::fs::read_to_string(&done).as_deref() {
        Ok("created") => Done::Created,
        Ok("replaced") => Done::Replaced,
        Ok("removed") => Done::Removed,
        _ => Done::Nothing,
    };
    if end == End::Finished {
        assert_eq!(done, Done::Removed);
    }
    assert_state(&*store, &done).await?;
    let cx = Cx::background();
    store.sweep(&cx).await?;
    assert_eq!(
        store.sweep(&cx).await?.blobs,
        0,
        "a sweep leaves something for the next one"
    );
    assert_state(&*store, &done).await?;
    put(&*store, "new/folder/created", &old()).await?;
    assert!(
        get(&*store, "new/folder/created").await? == old(),
        "the store no longer works"
    );
    Ok(())
}

async fn assert_state(store: &dyn BackupStore, done: &Done) -> Result<()> {
    let listed = keys(store, "").await?;
    let mut expected = vec!["old/kept", "old/replaced"];
    let created = listed.iter().any(|key| key == "new/folder/created");
    assert!(created || *done < Done::Created, "a committed blob is lost");
    if created {
        expected.insert(0, "new/folder/created");
        assert!(get(store, "new/folder/created").await? == new(), "a blob is torn");
    }
    let removed = !listed.iter().any(|key| key == "old/removed");
    assert!(removed || *done < Done::Removed, "a removed blob is back");
    if !removed {
        expected.insert(expected.len() - 1, "old/removed");
        assert!(get(store, "old/removed").await? == old(), "a blob is torn");
    }
    assert_eq!(listed, expected);
    assert!(
        get(store, "old/kept").await? == old(),
        "a blob that nobody touched has changed"
    );
    let replaced = get(store, "old/replaced").await?;
    assert!(
        replaced == new() || (replaced == old() && *done < Done::Replaced),
        "a replaced blob is torn or old"
    );
    Ok(())
}
