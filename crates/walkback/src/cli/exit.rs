//! Exit codes: one for each kind of outcome a script may want to tell apart.

use walkback_core::ErrorKind;

/// Done.
pub(crate) const DONE: u8 = 0;
/// A check says no.
pub(crate) const CHECK_FAILED: u8 = 3;
/// A run is half-done.
pub(crate) const NEEDS_RECOVERY: u8 = 4;
/// Wrong usage or configuration.
pub(crate) const USAGE: u8 = 2;

/// Returns the exit code of a failure.
pub(crate) const fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage
        | ErrorKind::Config
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Unsupported => USAGE,
        ErrorKind::CheckFailed => CHECK_FAILED,
        ErrorKind::NeedsRecovery => NEEDS_RECOVERY,
        ErrorKind::Locked => 5,
        ErrorKind::Refused => 6,
        ErrorKind::Conflict => 7,
        ErrorKind::Damaged => 8,
        ErrorKind::Interrupted => 130,
        _ => 1,
    }
}

/// Returns what a code says.
pub(crate) const fn words(code: u8) -> &'static str {
    match code {
        DONE => "done",
        USAGE => "wrong usage or configuration",
        CHECK_FAILED => "a check says no",
        NEEDS_RECOVERY => "failed, and the database needs `walkback recover`",
        5 => "the lock is held by somebody else",
        6 => "refused by policy, or not confirmed",
        7 => "conflicts were left for a person to decide",
        8 => "a backup is missing or damaged",
        130 => "interrupted, and undone",
        _ => "failed; the database is as it was",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_code_that_the_reference_gives_it() {
        for (kind, expected) in [
            (ErrorKind::Usage, 2),
            (ErrorKind::Config, 2),
            (ErrorKind::NotFound, 2),
            (ErrorKind::AlreadyExists, 2),
            (ErrorKind::Unsupported, 2),
            (ErrorKind::PermissionDenied, 1),
            (ErrorKind::Database, 1),
            (ErrorKind::Unavailable, 1),
            (ErrorKind::Io, 1),
            (ErrorKind::Internal, 1),
            (ErrorKind::CheckFailed, 3),
            (ErrorKind::NeedsRecovery, 4),
            (ErrorKind::Locked, 5),
            (ErrorKind::Refused, 6),
            (ErrorKind::Conflict, 7),
            (ErrorKind::Damaged, 8),
            (ErrorKind::Interrupted, 130),
        ] {
            assert_eq!(code(kind), expected, "{kind:?}");
        }
    }
}
