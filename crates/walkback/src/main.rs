//! The program `walkback`.

use std::process::ExitCode;

fn main() -> ExitCode {
    walkback::cli::main(walkback::cli::Hooks::default())
}
