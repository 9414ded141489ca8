//! The folder store keeps the contract, also when its process is killed.

use std::process::ExitCode;
use std::sync::Arc;

use walkback_conformance::runner::{self, Fixture};
use walkback_conformance::store::{CHECKS, StoreFixture, crash_scenario};
use walkback_store_fs::FsStore;

fn main() -> ExitCode {
    let crash = crash_scenario("fs", |folder| Arc::new(FsStore::new(folder)));
    let mut trials = walkback_conformance::crash::trials(vec![crash]);
    trials.extend(runner::trials("fs", CHECKS, || {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        // The folder itself is made by the first write.
        let store = FsStore::new(folder.path().join("vault"));
        Fixture::Ready(StoreFixture::new(Arc::new(store)).keeping(folder))
    }));
    runner::run(trials)
}
