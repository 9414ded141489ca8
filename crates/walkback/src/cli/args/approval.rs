//! The arguments of `plan` and `approve`.

use std::path::PathBuf;

use clap::Args;

use super::commands::TargetArgs;

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// One part of changes in two parts, as for `up`.
    #[arg(long, value_name = "PHASE", value_parser = super::up::phase, conflicts_with_all = ["target", "to", "count"])]
    pub(crate) phase: Option<walkback_core::Phase>,
    /// Write the plan to this file. One that is there is left as it is: it may have been approved.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The file that `plan --out` has written.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The private key of OpenSSH to sign with; without it the plan is only shown. Its passphrase is asked for, or is
    /// in `WALKBACK_KEY_PASSPHRASE`.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Print the bytes that are signed, for `ssh-keygen -Y sign -n walkback-plan`.
    #[arg(long, conflicts_with_all = ["key", "signature", "json"])]
    pub(crate) bytes: bool,
    /// Add this signature, which `ssh-keygen -Y sign` has made of those bytes: with a key in an agent, say.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub(crate) signature: Option<PathBuf>,
}
