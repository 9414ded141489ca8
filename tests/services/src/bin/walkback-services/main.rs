//! `cargo xtask services`: brings up the servers that the tests want, from whatever there is, and down again.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for the terminal"
)]

mod images;
mod standing;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use walkback_services::Service;

/// Servers for the tests
#[derive(Debug, Parser)]
#[command(name = "cargo xtask services", bin_name = "cargo xtask services")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start what is not there, leave it running, and print the variables that lead to it
    ///
    /// stdout can be given to `eval`. What `WALKBACK_REQUIRE` names and cannot be had makes it fail.
    Up(Selection),
    /// Stop what `up` started
    Down(Selection),
    /// Show each service, where it comes from and its version
    Status(Selection),
    /// Build Docker images under the usual tags from Debian's packages, where no registry answers
    Images(images::Options),
}

#[derive(Debug, clap::Args)]
struct Selection {
    /// Only these: `postgres`, `postgres-newest`, `mysql`, `mariadb`
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = service)]
    only: Vec<Service>,
}

impl Selection {
    fn services(&self) -> Vec<Service> {
        Service::ALL
            .into_iter()
            .filter(|service| self.only.is_empty() || self.only.contains(service))
            .collect()
    }
}

fn service(name: &str) -> Result<Service, String> {
    let names = Service::ALL.map(Service::name).join("`, `");
    Service::of(name.trim()).ok_or_else(|| format!("no such service; there are `{names}`"))
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Up(selection) => standing::up(&selection.services()),
        Command::Down(selection) => standing::down(&selection.services()),
        Command::Status(selection) => standing::status(&selection.services()),
        Command::Images(options) => images::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("caused by: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}
