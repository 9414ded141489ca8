//! The line of `restore`.

use chrono::{DateTime, Utc};
use clap::Args;

use super::ConsentArgs;

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup or point to restore: its id, or the file of a dump of `pg_dump`, `mysqldump` or SQLite. With
    /// `--to-time` the one to begin with; the newest that will do if none is named.
    #[arg(required_unless_present = "to_time")]
    pub(crate) backup: Option<String>,
    /// Go forward from a backup to the database as it was at this moment: RFC 3339, or `2026-11-20 14:03:00`, in UTC if
    /// it says no offset.
    #[arg(long, value_name = "MOMENT", value_parser = super::moment::parse)]
    pub(crate) to_time: Option<DateTime<Utc>>,
    /// Where no log leads to that moment: take the newest backup from before it, without what was written between.
    #[arg(long, requires = "to_time")]
    pub(crate) nearest: bool,
    /// Only this table; may be repeated.
    #[arg(long = "table", value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// Write this version into the ledger, instead of the one the backup was made at.
    #[arg(long, value_name = "TARGET")]
    pub(crate) set_version: Option<String>,
    /// Give back the rights of users and roles that the backup holds. Those that were given since stay.
    #[arg(long)]
    pub(crate) grants: bool,
    /// Show what would be replaced and lost, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How many sessions work side by side; as many as there are processors if nothing is said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) jobs: Option<u8>,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}
