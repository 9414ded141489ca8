//! What is done before a statement that destroys something, so that it can be undone.
//!
//! A point in the vault holds the rows of what a migration changes. With `soft-delete`, a table that is dropped is not
//! dropped: it is moved aside with its rows, which nobody has to read for that, and the way back moves it back. Both the
//! way there and the way back are plain statements ([`moves`]), worked out from the schema just before.

mod aside;
mod asked;
mod backup;
mod backup_copy;
mod backup_rows;
mod backup_sql;
mod capture;
mod decide;
mod gone;
mod moves;
mod mysql;
mod postgres;
mod sqlite;
mod strip;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use walkback_core::Error;

pub(crate) use aside::names_aside;
pub(crate) use backup_copy::{count_since, count_taken};
pub(crate) use backup_sql::{NOT_NULL_LATER, PUT_BACK};
pub(crate) use capture::may_be_captured;
pub(crate) use gone::{Hidden, mark_gone};
pub(crate) use moves::{Move, is_backup};

/// How what a migration destroys is protected: of an environment (`protect = ".."`), or of one script (`protect=..`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protect {
    /// A point of what its statements change, if they destroy something.
    #[default]
    Auto,
    /// Tables that are dropped are moved aside until their deadline; a point where that cannot be.
    SoftDelete,
    /// The rows that statements change are captured while they change them, and nothing else is read; a point where that
    /// cannot be.
    Capture,
    /// A point of what its statements change, in any case.
    Vault,
    /// What is destroyed is copied into a backup table before; a table that is dropped is moved aside and is its own. A
    /// point where that cannot be.
    BackupTable,
    /// Nothing.
    Off,
}

impl FromStr for Protect {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let hint = "use `auto`, `soft-delete`, `backup-table`, `capture`, `vault` or `off`";
        match text {
            "auto" => Ok(Self::Auto),
            "soft-delete" => Ok(Self::SoftDelete),
            "capture" => Ok(Self::Capture),
            "vault" => Ok(Self::Vault),
            "off" => Ok(Self::Off),
            "backup-table" => Ok(Self::BackupTable),
            other => Err(Error::config(format!("`{other}` is no protection")).hint(hint)),
        }
    }
}

/// How one statement is protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
#[non_exhaustive]
pub enum StatementProtection {
    /// The tables it drops are moved aside, and dropped for good after this time.
    SoftDelete {
        /// How long they stay, as a person writes it.
        keep: String,
    },
    /// What it destroys is copied into a backup table, which is dropped after this time.
    BackupTable {
        /// How long it stays, as a person writes it.
        keep: String,
    },
    /// The rows that it changes are captured: as they were, and as it left them.
    Capture,
    /// The point before the run holds what it destroys.
    Vault {
        /// Why it is not moved aside or captured, where that was asked for, in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// What it drops is brought back from its definition, which is in the way back that is derived.
    Definition,
    /// Nothing brings back what it destroys.
    Nothing {
        /// Why.
        why: String,
    },
}

impl fmt::Display for StatementProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SoftDelete { keep } => write!(f, "moved aside for {keep}"),
            Self::BackupTable { keep } => write!(f, "kept in a backup table for {keep}"),
            Self::Capture => f.write_str("what it changes is captured"),
            Self::Vault { why: None } => f.write_str("kept in the point"),
            Self::Vault { why: Some(why) } => write!(f, "kept in the point, {why}"),
            Self::Definition => f.write_str("its definition is kept"),
            Self::Nothing { why } => write!(f, "not protected: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use walkback_core::ErrorKind;

    use super::*;

    #[test]
    fn a_protection_is_read_and_one_that_nobody_knows_says_so() {
        for (text, protect) in [
            ("auto", Protect::Auto),
            ("soft-delete", Protect::SoftDelete),
            ("backup-table", Protect::BackupTable),
            ("capture", Protect::Capture),
            ("vault", Protect::Vault),
            ("off", Protect::Off),
        ] {
            assert_eq!(text.parse::<Protect>().unwrap(), protect);
        }
        assert_eq!(
            "softdelete".parse::<Protect>().unwrap_err().kind(),
            ErrorKind::Config
        );
    }
}
