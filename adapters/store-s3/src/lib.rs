//! Keeps walkback's backups in a bucket: `kind = "s3"`.
//!
//! A blob is an object of the same name as its key, below a prefix. A small one is a single request; a large one
//! is sent in parts of 8 MiB that become an object when the last request says so. Either way it is there whole or
//! not at all.

mod config;
mod credentials;
mod error;
mod http;
mod list;
mod store;
mod sweep;
mod write;

pub use config::{ObjectLock, S3Config};
pub use store::S3Store;

walkback_core::register_store!(walkback_core::registry::StoreEntry {
    kind: "s3",
    open: config::open,
    example: "[store.offsite]\nkind = \"s3\"\nbucket = \"db-backups\"\nregion = \"eu-central-1\"",
    doc: "A bucket: AWS, or any other server that speaks S3",
});
