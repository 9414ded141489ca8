//! Keeps walkback's backups in a folder: `kind = "fs"`.
//!
//! A blob is a file of the same name as its key. It is written beside the others, made durable, and then
//! renamed into its place, so that it is there whole or not at all, whenever the process or the machine stops.
//! Folders are made with mode 0700 and files with 0600.

mod config;
mod disk;
mod error;
mod list;
mod store;

pub use config::FsConfig;
pub use store::FsStore;

walkback_core::register_store!(walkback_core::registry::StoreEntry {
    kind: "fs",
    open: config::open,
    example: "[store.local]\nkind = \"fs\"\npath = \".walkback/vault\"",
    doc: "A folder on this machine, or one that is mounted here",
});
