//! The arguments of `up`.

use std::path::PathBuf;

use clap::Args;
use walkback_core::Phase;

use super::commands::{RunArgs, TargetArgs};

/// Arguments of `up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// One part of changes in two parts: `expand` goes as far as the first migration that is marked as `contract`,
    /// `contract` applies those that are, if nothing before them is pending.
    #[arg(long, value_name = "PHASE", value_parser = phase, conflicts_with_all = ["target", "to", "count"])]
    pub(crate) phase: Option<Phase>,
    /// Run the plan of a file, as it was approved.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "to", "count", "phase"])]
    pub(crate) plan: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Reads the name of a phase.
pub(super) fn phase(text: &str) -> Result<Phase, String> {
    Phase::from_word(text).ok_or_else(|| "it is `expand` or `contract`".to_owned())
}
