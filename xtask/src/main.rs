//! The project's own commands. `cargo xtask ci` is what the CI runs; `cargo xtask demo` is where to begin.

#![expect(clippy::print_stdout, reason = "a tool for the terminal")]

mod alembic;
mod bench;
mod ci;
mod code;
mod demo;
mod docs;
mod layers;
mod links;
mod liquibase;
mod process;
mod python;
mod services;
mod small;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use process::Build;

/// The commands of the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Walk through walkback on a real example, from a fresh clone
    Demo {
        /// Keep the folder of the example, to go on playing with it
        #[arg(long)]
        keep: bool,
    },
    /// Run every test there is
    Test {
        /// Folder with clones of public migration histories, to run them too
        #[arg(long, value_name = "DIR")]
        corpora: Option<PathBuf>,
    },
    /// Bring the servers that the tests want up and down, show them, and build images for them
    #[command(disable_help_flag = true)]
    Services {
        /// `up`, `down`, `status` or `images`, with their options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        arguments: Vec<String>,
    },
    /// Measure walkback beside the tools that do the same
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
    /// Check who depends on whom, what every adapter has, and what only some places may do
    Layers,
    /// Check what no compiler does: lengths, paths of machines, dead links, forgotten notes
    Tidy,
    /// Build the documentation, and write the reference of the command line
    Docs {
        /// Write nothing; fail if the reference is not what the binary says
        #[arg(long)]
        check: bool,
    },
    /// Show that a small build holds no driver it was not asked for
    Small,
    /// Run all of it, as the CI does
    Ci,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nerror: {error}");
            for cause in error.chain().skip(1) {
                println!("caused by: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let root = root()?;
    match &arguments.command {
        Command::Demo { keep } => demo::run(&root, *keep, Build::Alone(&[])),
        Command::Test { corpora } => test::run(&root, corpora.as_deref()),
        Command::Services { arguments } => services::run(&root, arguments),
        Command::Bench { bench } => bench::run(&root, bench),
        Command::Layers => layers::run(&root),
        Command::Tidy => tidy::run(&root),
        Command::Docs { check } => docs::run(&root, *check, Build::Alone(&[])),
        Command::Small => small::run(&root),
        Command::Ci => ci::run(&root),
    }
}

/// Returns the root of the workspace: the folder above this crate.
fn root() -> Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent()
        .map(Path::to_path_buf)
        .context("xtask has no folder above it")
}
