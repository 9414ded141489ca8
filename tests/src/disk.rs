//! A disk that is full: a small file system in memory, which needs the right to mount.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::report;

/// What the file that takes the room is called.
const BALLAST: &str = "ballast";

/// A small file system, gone at the end also of a test that fails.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one on a folder, of a size as `mount` understands it. `None`, said on stderr, where that is not permitted.
    ///
    /// # Panics
    /// If it is not permitted and `WALKBACK_REQUIRE` names `small-disk`.
    #[must_use]
    pub fn mount(folder: PathBuf, size: &str) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&folder)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if mounted {
            return Some(Self(folder));
        }
        let required = std::env::var("WALKBACK_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|name| name.trim() == "small-disk"),
            "WALKBACK_REQUIRE asks for a small disk, and none can be mounted"
        );
        report(
            "SKIPPED: a test of a full disk: a tmpfs cannot be mounted here; WALKBACK_REQUIRE=small-disk makes this a failure",
        );
        None
    }

    /// Returns the folder it is mounted on.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Takes all room but so many kilobytes.
    ///
    /// # Panics
    /// If there is less than that.
    pub fn leave(&self, kilobytes: u64) {
        let ballast = self.0.join(BALLAST);
        let mut file = fs::File::create(&ballast).expect("a file can be made");
        let block = [0_u8; 4096];
        let mut written: u64 = 0;
        while file.write_all(&block).is_ok() {
            written += 4096;
        }
        let left = written
            .checked_sub(kilobytes * 1024)
            .expect("there is more room than that");
        file.set_len(left).expect("a file can be cut");
    }

    /// Gives the room back.
    pub fn free(&self) {
        fs::remove_file(self.0.join(BALLAST)).ok();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().ok();
    }
}
