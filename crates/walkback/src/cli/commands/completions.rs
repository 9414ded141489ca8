//! `completions`: a script for a shell.

use clap::CommandFactory as _;
use walkback_core::Result;

use crate::cli::args::{Cli, Completions};
use crate::cli::context::Context;
use crate::cli::exit;

pub(super) fn run(context: &Context, args: &Completions) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "walkback", &mut script);
    let text = String::from_utf8_lossy(&script);
    context.out.text(text.trim_end());
    context.object([
        ("shell", Ok(args.shell.to_string().into())),
        ("script", Ok(text.as_ref().into())),
    ])?;
    Ok(exit::DONE)
}
