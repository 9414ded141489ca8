//! The archive of the log: which of its files are there.

use std::collections::BTreeSet;
use std::path::Path;

use walkback_core::{Error, Result};

/// In what forms `archive_command` leaves a file; those that `fetch.sh` knows.
const FORMS: [&str; 7] = ["", ".gz", ".zst", ".lz4", ".bz2", ".xz", ".partial"];

/// The segments in an archive, without what their form adds to their names.
#[derive(Debug)]
pub(super) struct Archive(BTreeSet<String>);

impl Archive {
    /// Reads what is in it.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let failed = |error| {
            Error::io("read the archive", folder, error).hint(
                "`wal_archive` in `[env.<name>.recovery]` is the folder that `archive_command` copies to",
            )
        };
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            names.extend(segment_of(&name).map(str::to_owned));
        }
        Ok(Self(names))
    }

    pub(super) fn has(&self, segment: &str) -> bool {
        self.0.contains(segment)
    }

    /// Returns whether there is something behind a segment, on its timeline.
    pub(super) fn goes_on_behind(&self, segment: &str) -> bool {
        self.0
            .range::<str, _>((std::ops::Bound::Excluded(segment), std::ops::Bound::Unbounded))
            .any(|later| later.get(..8) == segment.get(..8))
    }
}

/// Returns the segment that a file holds, if it holds one.
pub(super) fn segment_of(name: &str) -> Option<&str> {
    let segment = name.get(..24)?;
    let is_segment = segment.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_segment && FORMS.contains(&&name[24..])).then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_told_from_what_else_is_in_an_archive() {
        let first = "000000010000000000000001";
        assert_eq!(segment_of(first), Some(first));
        assert_eq!(segment_of("000000010000000000000001.zst"), Some(first));
        for other in [
            "00000002.history",
            "000000010000000000000001.00000028.backup",
            "000000010000000000000001.tmp",
            "00000001000000000000000g",
            "é00000010000000000000001",
        ] {
            assert_eq!(segment_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_gap_is_told_from_the_end() {
        let names = [
            "000000010000000000000001",
            "000000010000000000000003",
            "000000020000000000000009",
        ];
        let archive = Archive(names.iter().map(|name| (*name).to_owned()).collect());
        assert!(archive.goes_on_behind("000000010000000000000002"));
        assert!(!archive.goes_on_behind("000000010000000000000004"));
    }
}
