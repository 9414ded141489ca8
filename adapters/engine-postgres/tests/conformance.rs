//! The PostgreSQL engine keeps the contract, on the oldest and the newest server.

mod support;

use std::process::ExitCode;

use walkback_conformance::engine::CHECKS;
use walkback_conformance::runner;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for service in support::SERVICES {
        trials.extend(runner::trials(service.name(), CHECKS, move || {
            support::fixture(service)
        }));
    }
    runner::run(trials)
}
