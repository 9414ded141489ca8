//! The S3 store keeps the contract, over HTTP with signed requests.

mod common;

use std::process::ExitCode;

use walkback_conformance::runner::Fixture;
use walkback_conformance::store::StoreFixture;
use walkback_services::s3::S3Server;

fn main() -> ExitCode {
    walkback_conformance::store::main("s3", || {
        let server = S3Server::strict();
        let store = common::on(&server);
        Fixture::Ready(StoreFixture::new(store).keeping(server))
    })
}
