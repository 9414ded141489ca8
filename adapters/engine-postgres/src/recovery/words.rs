//! What a server has said before it ended, and what that means to the person who wants the past.

use std::io;

use chrono::{DateTime, Utc};
use walkback_core::recovery::RecoveryFiles;
use walkback_core::{Error, ErrorKind};

use super::archive::{Archive, segment_of};
use super::base::shown;
use super::server::Failure;

/// How much of a log is shown, in lines.
const SHOWN: usize = 4;

/// What is left of a server that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What it has said.
    pub(super) log: String,
    /// What became of each file that it has asked for.
    pub(super) notes: String,
}

/// Says why.
pub(super) fn why(ended: &Ended, files: &RecoveryFiles, until: DateTime<Utc>) -> Failure {
    let says = |words: &str| ended.log.contains(words);
    let source = || io::Error::other(ended.last_words());
    let archive = files.wal_archive.display();
    if let Some(folder) = ended.noted("closed ") {
        return Failure::Final(
            Error::new(
                ErrorKind::PermissionDenied,
                format!("the account of the server cannot read the archive `{folder}`"),
            )
            .hint(format!(
                "let the owner of the base backup read it: `chmod -R g+rX {folder}`"
            )),
        );
    }
    if let Some(file) = ended.noted("broken ") {
        return Failure::Final(
            Error::new(
                ErrorKind::Damaged,
                format!("`{file}` of the archive cannot be read"),
            )
            .with_source(source())
            .hint("put a good copy of it in its place, or name an earlier moment"),
        );
    }
    if let Some(number) = ended.noted("tablespace ") {
        return Failure::Final(
            Error::unsupported(
                format!("going forward past the making of the tablespace {number}"),
                "a server that must not write there",
            )
            .hint("make a base backup after each new tablespace; moments after that can be gone back to"),
        );
    }
    if says("before consistent recovery point") && says("requested recovery stop point") {
        return Failure::TooEarly(
            Error::not_found(format!("no base backup was complete at {}", shown(until)))
                .hint("name a later moment: a server is only ever taken forward from a base backup"),
        );
    }
    if says("recovery target timeline") && says("does not exist") {
        return Failure::Final(
            Error::new(
                ErrorKind::Damaged,
                format!("the archive `{archive}` has no history of the timeline that the server is on"),
            )
            .with_source(source())
            .hint("copy the `.history` file of that timeline from `pg_wal` of the server into the archive"),
        );
    }
    if says("is not a child of this server's history") {
        return Failure::Final(
            Error::new(
                ErrorKind::Damaged,
                "the base backup is of a timeline that the server of today does not come from",
            )
            .with_source(source())
            .hint("use a base backup of this server, or of one that it was promoted from"),
        );
    }
    if let Some(setting) = ended.refused_setting() {
        return Failure::Final(
            Error::config(format!(
                "a server on this machine cannot have the setting {setting}"
            ))
            .with_source(source())
            .hint("install the locale, or whatever it names: on the machine of the server it is there"),
        );
    }
    let gap = ended.gap(files);
    if let Some(segment) = &gap {
        return Failure::Final(
            Error::new(
                ErrorKind::Damaged,
                format!("`{segment}` is missing in the archive `{archive}`, and later ones are there"),
            )
            .with_source(source())
            .hint(reached(ended)),
        );
    }
    if says("recovery ended before configured recovery target was reached") {
        return Failure::Final(
            Error::not_found(format!(
                "the archive `{archive}` ends before {}; {}",
                shown(until),
                reached(ended)
            ))
            .hint("let the server archive what it has: `SELECT pg_switch_wal()`, or name an earlier moment"),
        );
    }
    Failure::Final(
        Error::new(ErrorKind::Damaged, "the server cannot recover the base backup")
            .with_source(source())
            .hint("its base backup or its archive is not complete: try an earlier base backup"),
    )
}

/// Names the last moment that is there.
fn reached(ended: &Ended) -> String {
    ended.last_transaction().map_or_else(
        || "no transaction is in what there is".to_owned(),
        |last| format!("the last transaction before that is of {last}"),
    )
}

impl Ended {
    /// Returns what was noted last of a file.
    fn noted(&self, what: &str) -> Option<&str> {
        self.notes.lines().rev().find_map(|line| line.strip_prefix(what))
    }

    /// Returns the segment that was missing, if the archive goes on behind it.
    fn gap(&self, files: &RecoveryFiles) -> Option<String> {
        let missing = self
            .notes
            .lines()
            .rev()
            .filter_map(|line| segment_of(line.strip_prefix("missing ")?))
            .next()?;
        let archive = Archive::read(&files.wal_archive).ok()?;
        archive.goes_on_behind(missing).then(|| missing.to_owned())
    }

    /// Returns the setting that the server has not taken, with its value.
    fn refused_setting(&self) -> Option<&str> {
        let words = "invalid value for parameter ";
        self.log
            .lines()
            .find_map(|line| Some(line.split_once(words)?.1.trim()))
    }

    fn last_transaction(&self) -> Option<&str> {
        let words = "last completed transaction was at log time ";
        self.log
            .lines()
            .rev()
            .find_map(|line| Some(line.split_once(words)?.1.trim()))
    }

    /// Returns what it has said last that tells why.
    fn last_words(&self) -> String {
        let important = |line: &&str| {
            ["FATAL:", "PANIC:", "ERROR:"]
                .iter()
                .any(|word| line.contains(word))
        };
        let mut lines: Vec<&str> = self.log.lines().rev().filter(important).take(SHOWN).collect();
        if lines.is_empty() {
            lines = self.log.lines().rev().take(SHOWN).collect();
        }
        lines.reverse();
        lines.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(log: &str, notes: &str) -> Failure {
        let ended = Ended {
            log: log.to_owned(),
            notes: notes.to_owned(),
        };
        why(&ended, &RecoveryFiles::default(), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_end_of_the_archive_is_named_with_its_last_transaction() {
        let log = "2026-11-23 01:00:00 UTC LOG:  last completed transaction was at log time 2026-11-23 00:59:59.5+00\n\
                   2026-11-23 01:00:00 UTC FATAL:  recovery ended before configured recovery target was reached\n";
        let Failure::Final(error) = said(log, "missing 000000010000000000000007\n") else {
            panic!("no older base backup helps");
        };
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.message().contains("2026-11-23 00:59:59.5+00"), "{error}");
    }

    #[test]
    fn a_base_backup_that_was_not_complete_leaves_it_to_an_older_one() {
        let log = "FATAL:  requested recovery stop point is before consistent recovery point\n";
        assert!(matches!(said(log, ""), Failure::TooEarly(_)));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let Failure::Final(error) = said("", "took a\nbroken /wal/b.gz\n") else {
            panic!("no older base backup helps");
        };
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.message().contains("/wal/b.gz"), "{error}");
    }
}
