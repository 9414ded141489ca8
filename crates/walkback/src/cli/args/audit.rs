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
}
