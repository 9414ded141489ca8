//! A store on a server in this process.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::sync::Arc;

use futures::TryStreamExt as _;
use walkback_core::{AdapterConfig, BackupStore, Cx, Registry, Result};
use walkback_services::s3::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};
use walkback_store_s3 as _;

/// Returns settings that fit a server.
pub(crate) fn settings(server: &S3Server) -> AdapterConfig {
    AdapterConfig::new("store.offsite", "/srv/app")
        .with("bucket", BUCKET)
        .with("prefix", "production/vault")
        .with("endpoint", server.endpoint())
        .with("access_key_id", ACCESS_KEY)
        .with("secret_access_key", SECRET_KEY)
}

/// Opens a store as the command line does.
pub(crate) fn open(config: &AdapterConfig) -> Result<Arc<dyn BackupStore>> {
    Registry::linked()?.open_store("s3", config)
}

/// Opens a store on a server, with settings that fit.
pub(crate) fn on(server: &S3Server) -> Arc<dyn BackupStore> {
    open(&settings(server)).expect("the settings are right")
}

/// Returns the keys of a store.
pub(crate) async fn keys(store: &dyn BackupStore) -> Vec<String> {
    let blobs = store.list(&Cx::background(), "").await.expect("it lists");
    blobs
        .map_ok(|blob| blob.key)
        .try_collect()
        .await
        .expect("it lists")
}
