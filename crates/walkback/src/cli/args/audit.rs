//! The arguments of `audit`.

use clap::Args;

use super::commands::at_least_one;

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// How many runs.
    #[arg(short = 'n', long = "limit", value_name = "N", default_value = "20", value_parser = at_least_one)]
    pub(crate) limit: usize,

    /// Check the chain of entries in the database, and its copies in the stores.
    #[arg(long, conflicts_with = "limit")]
    pub(crate) verify: bool,

    /// Say that the end of another chain of this database is known, for one that was made anew: from then on `--verify` finds
    /// nothing wrong with that. It is noted in the audit.
    #[arg(long, value_name = "CHAIN", conflicts_with_all = ["limit", "verify"])]
    pub(crate) acknowledge: Option<String>,

    /// Why, for the audit.
    #[arg(long, value_name = "TEXT", requires = "acknowledge")]
    pub(crate) reason: Option<String>,

    /// The ticket, for the audit.
    #[arg(long, value_name = "ID", requires = "acknowledge")]
    pub(crate) ticket: Option<String>,
}
