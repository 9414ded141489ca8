//! What an operator sees of the folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt as _;
use walkback_core::store::{StoreExt as _, Swept};
use walkback_core::{BackupStore as _, Cx, ErrorKind};
use walkback_store_fs::FsStore;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn keys(store: &FsStore) -> Vec<String> {
    let blobs = store.list(&Cx::background(), "").await.unwrap();
    blobs.map_ok(|blob| blob.key).try_collect().await.unwrap()
}

#[tokio::test]
async fn only_the_owner_may_look_inside() {
    let (temp, cx) = (tempfile::tempdir().unwrap(), Cx::background());
    let root = temp.path().join("above/vault");
    let store = FsStore::new(&root);
    let mut writer = store.create(&cx, "objects/ab/c").await.unwrap();
    writer.write(&cx, Bytes::from_static(b"secret")).await.unwrap();
    let unfinished = fs::read_dir(root.join("tmp~"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    assert_eq!(mode(&unfinished), 0o600);
    writer.commit(&cx).await.unwrap();
    assert_eq!(mode(&root.join("objects/ab/c")), 0o600);
    for folder in ["", "tmp~", "objects", "objects/ab", ".."] {
        assert_eq!(mode(&root.join(folder)), 0o700, "{folder}");
    }
}

#[tokio::test]
async fn reading_creates_nothing_and_says_that_there_is_no_folder_yet() {
    let (temp, cx) = (tempfile::tempdir().unwrap(), Cx::background());
    let root = temp.path().join("vault");
    let store = FsStore::new(&root);
    assert!(keys(&store).await.is_empty());
    assert_eq!(store.sweep(&cx).await.unwrap(), Swept::default());
    store.remove(&cx, "a/b").await.unwrap();
    for error in [
        store.stat(&cx, "a/b").await.unwrap_err(),
        store.get(&cx, "a/b").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.message().contains("`a/b`"), "{error:?}");
        assert!(error.hints()[0].contains("does not exist yet"), "{error:?}");
    }
    assert!(!root.exists());
    store.put(&cx, "a/b", Bytes::new()).await.unwrap();
    assert!(root.exists());
    let error = store.stat(&cx, "a/c").await.unwrap_err();
    assert!(error.hints().is_empty(), "{error:?}");
}

#[tokio::test]
async fn a_file_in_the_place_of_the_folder_is_named() {
    let (temp, cx) = (tempfile::tempdir().unwrap(), Cx::background());
    let root = temp.path().join("vault");
    fs::write(&root, "I am a file").unwrap();
    let store = FsStore::new(&root);
    let error = store.put(&cx, "a/b", Bytes::new()).await.unwrap_err();
    assert!(error.message().contains(&root.display().to_string()), "{error:?}");
    assert_eq!(
        store.stat(&cx, "a/b").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(fs::read(&root).unwrap(), b"I am a file");
}

#[tokio::test]
async fn what_a_killed_writer_left_is_swept_and_what_a_living_one_needs_is_not() {
    let (temp, cx) = (tempfile::tempdir().unwrap(), Cx::background());
    let store = FsStore::new(temp.path());
    let mut living = store.create(&cx, "a").await.unwrap();
    living.write(&cx, Bytes::from_static(b"living")).await.unwrap();
    // A killed process frees its lock and leaves its file.
    fs::write(temp.path().join("tmp~/12345-0-0"), [7; 1000]).unwrap();
    let swept = store.sweep(&cx).await.unwrap();
    assert_eq!((swept.blobs, swept.bytes), (1, 1000));
    living.commit(&cx).await.unwrap();
    assert_eq!(store.get(&cx, "a").await.unwrap(), "living");
    assert_eq!(fs::read_dir(temp.path().join("tmp~")).unwrap().count(), 0);
}

#[test]
fn a_writer_that_was_interrupted_in_a_write_cannot_be_committed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (temp, cx) = (tempfile::tempdir().unwrap(), Cx::background());
        let store = FsStore::new(temp.path());
        let mut writer = store.create(&cx, "a").await.unwrap();
        // The one thread that could write is busy for as long as the write is looked at.
        let (free, until) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || until.recv().ok());
        {
            let write = writer.write(&cx, Bytes::from(vec![1; 10_000_000]));
            futures::pin_mut!(write);
            // Polled once, and dropped before it is done.
            assert!(futures::poll!(write.as_mut()).is_pending());
        }
        drop(free);
        busy.await.unwrap();
        assert!(writer.commit(&cx).await.is_err());
        assert!(keys(&store).await.is_empty());
    });
}

#[tokio::test]
async fn files_of_other_programs_are_not_blobs() {
    let (temp, cx) = (tempfile::tempdir().unwrap(), Cx::background());
    let store = FsStore::new(temp.path());
    store.put(&cx, "a/b", Bytes::new()).await.unwrap();
    fs::write(temp.path().join("notes (1).txt"), "mine").unwrap();
    fs::create_dir(temp.path().join("a/lost+found")).unwrap();
    fs::write(temp.path().join("a/lost+found/x"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", temp.path().join("dangling")).unwrap();
    assert_eq!(keys(&store).await, ["a/b"]);
}

#[tokio::test]
async fn a_loop_of_links_is_an_error_and_not_an_endless_list() {
    let (temp, cx) = (tempfile::tempdir().unwrap(), Cx::background());
    let store = FsStore::new(temp.path());
    store.put(&cx, "a/b", Bytes::new()).await.unwrap();
    std::os::unix::fs::symlink(".", temp.path().join("a/loop")).unwrap();
    let blobs = store.list(&cx, "").await.unwrap();
    assert!(blobs.try_collect::<Vec<_>>().await.is_err());
}

#[tokio::test]
async fn a_folder_may_be_a_link_to_another_disk() {
    let (temp, cx) = (tempfile::tempdir().unwrap(), Cx::background());
    let (root, disk) = (temp.path().join("vault"), temp.path().join("disk"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&disk).unwrap();
    std::os::unix::fs::symlink(&disk, root.join("objects")).unwrap();
    let store = FsStore::new(&root);
    store
        .put(&cx, "objects/ab/c", Bytes::from_static(b"x"))
        .await
        .unwrap();
    assert_eq!(fs::read(disk.join("ab/c")).unwrap(), b"x");
    assert_eq!(keys(&store).await, ["objects/ab/c"]);
}
