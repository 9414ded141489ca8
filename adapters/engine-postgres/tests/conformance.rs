//! The PostgreSQL engine keeps the contract, and the checks catch what breaks it.

mod support;

use std::process::ExitCode;

use walkback_conformance::engine::{CHECKS, faulty};
use walkback_conformance::runner;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for server in support::SERVERS {
        trials.extend(runner::trials(server.name, CHECKS, || support::fixture(server)));
    }
    trials.extend(faulty::trials("postgres", || support::fixture(&support::SERVERS[0])));
    runner::run(trials)
}
