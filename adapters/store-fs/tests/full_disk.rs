//! A disk that runs full: a clear error, nothing left behind, and the next attempt works once there is space.

use std::path::Path;
use std::process::{Command, ExitCode};

use bytes::Bytes;
use futures::TryStreamExt as _;
use tempfile::TempDir;
use walkback_conformance::checks;
use walkback_conformance::runner::{self, Check, Fixture};
use walkback_core::store::StoreExt as _;
use walkback_core::{BackupStore as _, Cx, ErrorKind, Result};
use walkback_store_fs::FsStore;

static CHECKS: &[Check<SmallDisk>] = checks![a_full_disk_is_an_error_that_leaves_nothing];

fn main() -> ExitCode {
    runner::run(runner::trials("small-disk", CHECKS, SmallDisk::mount))
}

/// A disk of 4 MiB in memory.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Fixture<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Fixture::Ready(Self(folder)),
            Ok(output) => Fixture::Absent(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Fixture::Absent(format!("`mount` cannot be started: {error}")),
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(self.path()).status().ok();
    }
}

async fn a_full_disk_is_an_error_that_leaves_nothing(disk: SmallDisk) -> Result<()> {
    let (store, cx) = (FsStore::new(disk.path().join("vault")), Cx::background());
    store.put(&cx, "a/small", Bytes::from_static(b"small")).await?;
    for _ in 0..3 {
        let error = store
            .put(&cx, "a/large", vec![7; 8 << 20].into())
            .await
            .expect_err("the disk is too small");
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(
            error.hints().iter().any(|hint| hint.contains("free some space")),
            "{error:?}"
        );
        let blobs: Vec<_> = store.list(&cx, "").await?.try_collect().await?;
        assert_eq!(blobs.len(), 1, "{blobs:?}");
        assert_eq!(
            store.sweep(&cx).await?.blobs,
            0,
            "a failed writer leaves its file"
        );
    }
    store.put(&cx, "a/large", vec![7; 2 << 20].into()).await?;
    assert_eq!(store.get(&cx, "a/large").await?.len(), 2 << 20);
    Ok(())
}
