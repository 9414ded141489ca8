//! The MySQL engine keeps the contract, on MySQL and on MariaDB.

mod support;

use std::process::ExitCode;

use support::{Kind, Place};
use walkback_conformance::engine::{CHECKS, EngineFixture};
use walkback_conformance::runner::{self, Fixture};

fn fixture(kind: Kind) -> Fixture<EngineFixture> {
    match Place::new(kind) {
        Ok(place) => Fixture::Ready(EngineFixture::new(place.engine()).keeping(place)),
        Err(why) => Fixture::Absent(why),
    }
}

fn main() -> ExitCode {
    let mut trials = runner::trials("mysql", CHECKS, || fixture(Kind::Mysql));
    trials.extend(runner::trials("mariadb", CHECKS, || fixture(Kind::Mariadb)));
    runner::run(trials)
}
