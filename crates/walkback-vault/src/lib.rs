//! The backup format of walkback: what a rollback point or a backup is, over any [`BackupStore`].
//!
//! ```text
//! <prefix>/objects/<2 hex>/<hash>     a chunk of rows: immutable, compressed, named after its content
//! <prefix>/points/<point id>.json     a manifest: written last; its existence means the point is complete
//! <prefix>/removed/<point id>.json    the manifest of a removed point, kept for the grace period
//! <prefix>/audit/<chain>/<date>.jsonl what was done to a database: lines that are only ever added
//! <prefix>/keys/<public key>.age      where a passphrase is set: the key of the vault, opened by the passphrase
//! ```
//!
//! - [`Vault::begin`] gives a [`PointWriter`]: tables are streamed in, chunk by chunk, in bounded memory, and
//!   chunks the vault has already cost nothing.
//! - [`Vault::list`], [`Vault::open`] and [`Vault::read_table`] read: every manifest is checked against the
//!   hash over itself, every chunk against its name.
//! - [`Vault::verify`] reads all of a point and names what is damaged.
//! - [`Rules`] say which points may go; [`Vault::survey`] looks at all of them.
//! - [`Vault::remove`] and [`Vault::collect_garbage`] give space back, never under a running backup.
//! - [`Keys`] say to whom a vault is encrypted, and what opens it.
//! - [`VaultSet`] is several vaults that hold the same: written to all, read from the first that verifies.
//!
//! The bytes are described in `docs/design/vault.md`, the order of writes in `docs/design/ordering.md`.
//!
//! [`BackupStore`]: walkback_core::BackupStore

#![deny(missing_docs)]

mod audit;
mod chunk;
mod crypt;
mod error;
mod garbage;
mod list;
mod manifest;
mod naming;
mod part;
mod read;
mod retention;
mod set;
mod set_read;
mod survey;
mod target;
mod vault;
mod verify;
mod write;

pub use crypt::Keys;
pub use garbage::{Collected, GRACE};
pub use list::{PointInfo, PointStore, PointSummary};
pub use manifest::{
    ChunkEntry, Database, Encryption, FORMAT, LedgerState, Manifest, PointKind, Position, TableEntry, Totals,
    VERSION,
};
pub use naming::HashKind;
pub use part::{Part, TableSummary};
pub use retention::{Candidate, Keep, Period, Rule, Rules};
pub use set::{StoreReport, VaultSet};
pub use survey::{Survey, SurveyedPoint};
pub use target::{Copy, Written};
pub use vault::{Reuse, Vault, check_id};
pub use verify::{Damage, DamageKind, TableReport, VerifyReport};
pub use write::{PointMeta, PointWriter};
