//! The SQLite engine keeps the contract, also when its process is killed; and the checks catch what breaks it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use walkback_conformance::engine::{CHECKS, EngineFixture, crash_scenario, faulty};
use walkback_conformance::runner::{self, Fixture};
use walkback_core::{AdapterConfig, Engine, Registry};
use walkback_engine_sqlite as _;

fn open(folder: &Path) -> Arc<dyn Engine> {
    open_file(&folder.join("app.db"))
}

fn open_file(file: &Path) -> Arc<dyn Engine> {
    let registry = Registry::linked().expect("the engine is linked");
    let config = AdapterConfig::new("--url", "/");
    let url = format!("sqlite:{}?busy_timeout=100ms", file.display());
    registry.open_engine(&url, &config).expect("the URL is good")
}

fn fixture() -> Fixture<EngineFixture> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let fixture = EngineFixture::new(open(folder.path()))
        .in_file(folder.path().join("app.db"))
        .opening_copies(open_file);
    Fixture::Ready(fixture.keeping(folder))
}

fn main() -> ExitCode {
    let mut trials = walkback_conformance::crash::trials(vec![crash_scenario("sqlite", open)]);
    trials.extend(runner::trials("sqlite", CHECKS, fixture));
    trials.extend(faulty::trials("sqlite", fixture));
    runner::run(trials)
}
