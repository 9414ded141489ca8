//! The contract of an engine: one database, and the sessions opened on it.
//!
//! # How to write one
//! A crate `adapters/engine-<name>` with `config.rs`, `engine.rs`, `error.rs`, `dialect.rs`, `catalog.rs` and
//! `bulk.rs`; `register_engine!` in its `lib.rs`; its name in `walkback-adapters`; and a test
//! `tests/conformance.rs` of ten lines that hands a fresh, empty database to `walkback_conformance::engine`.
//! Nothing outside the adapter may know it exists.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::bulk::{Chunk, ChunkStream, Division, ImportTarget, TableSlice};
use crate::capability::Capability;
use crate::capture::Capture;
use crate::catalog::{Object, Schema, Table};
use crate::cx::Cx;
use crate::dialect::Dialect;
use crate::dump::Dumps;
use crate::error::{Error, Result};
use crate::fingerprint::TableFingerprint;
use crate::grants::GrantKeeping;
use crate::name::TableName;
use crate::recovery::Recovery;
use crate::replay::{LogPosition, Replay};
use crate::statement::Action;
use crate::value::{Row, Value};
use crate::witness::Witness;

/// What is known of an engine without connecting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineInfo {
    /// Scheme of the URL it was opened with.
    pub scheme: &'static str,
    /// Where the database is, for messages: host, port, name or path, never a password.
    pub location: String,
}

impl EngineInfo {
    /// Creates the description of an engine.
    #[must_use]
    pub fn new(scheme: &'static str, location: impl Into<String>) -> Self {
        Self {
            scheme,
            location: location.into(),
        }
    }
}

/// How a database is connected to: what a program needs that does so by itself. Never shown: it holds the password.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// The host of the server, or the folder of its socket.
    pub host: Option<String>,
    /// The port of the server.
    pub port: Option<u16>,
    /// The socket of the server, where it is a file that is named.
    pub socket: Option<PathBuf>,
    /// The user.
    pub user: Option<String>,
    /// The password, as far as it is in the URL.
    pub password: Option<String>,
    /// The name of the database, or the path of its file.
    pub database: String,
    /// What else the URL says, as the engine's own command line clients call it: `sslmode`, `ssl-ca`.
    pub parameters: BTreeMap<&'static str, String>,
}

/// Nothing of the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Login {
    /// Creates the login of a database without a server.
    #[must_use]
    pub fn to(database: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            ..Self::default()
        }
    }
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads only. The session cannot change a byte of the database, and does not create it: a file that does
    /// not exist reads as empty, since writing would create it; a database that a server does not have is
    /// `NotFound`.
    Read,
    /// Reads and writes. A database that is a file is created if its folder exists.
    Write,
}

/// What a transaction is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// Reads in one consistent snapshot.
    Read,
    /// Reads in the snapshot of another session; see [`Session::export_snapshot`].
    Snapshot(SnapshotId),
    /// Writes.
    Write,
    /// Writes, while tables are rebuilt or restored: shadows are made, loaded and swapped, and `commit` checks
    /// that no foreign key is violated that was not violated before. Where the engine
    /// [alters by rebuild](Capability::alters_by_rebuild), foreign keys are not enforced statement by statement
    /// meanwhile, and no action of theirs fires. Without transactional DDL it is `Unsupported`: shadows are
    /// made and loaded outside of a transaction there, and [`Session::swap`] checks foreign keys itself.
    Rebuild,
}

/// The name under which a server shares a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotId(pub String);

/// Who holds a lock, as well as it can be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// User, process, host and command, in words.
    pub who: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
}

/// The answer to an attempt to take a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockAttempt {
    /// It is this session's now.
    Taken,
    /// Another session has it.
    Held(Option<LockHolder>),
}

/// Rows of a query, one at a time.
pub type RowStream<'a> = BoxStream<'a, Result<Row>>;

/// One database. Immutable once opened; opening does not connect.
///
/// - `info` and `dialect` ask nobody.
/// - `connect` opens a session of its own each time, independent of all others.
/// - A facet that returns `None` is an area this engine does not have.
#[async_trait]
pub trait Engine: fmt::Debug + Send + Sync {
    /// Describes the engine, without a password.
    fn info(&self) -> EngineInfo;

    /// Returns how it is connected to, for programs that do so by themselves.
    fn login(&self) -> Login;

    /// Returns its dialect.
    fn dialect(&self) -> Arc<dyn Dialect>;

    /// Returns where each row of a chunk of its own ends, in bytes from the beginning of the chunk. Rows that are the
    /// same are encoded alike, and rows that differ are not.
    ///
    /// # Errors
    /// `Damaged` if it does not hold as many whole rows of so many columns as it says, `Unsupported` if it is in
    /// another encoding.
    fn row_ends(&self, chunk: &Chunk, columns: usize) -> Result<Vec<usize>>;

    /// Opens a session.
    async fn connect(&self, cx: &Cx, access: Access) -> Result<Box<dyn Session>>;

    /// Returns the way to make and drop scratch databases, if there is one.
    fn scratch(&self) -> Option<&dyn Scratch>;

    /// Returns the way to copy the database as files, if there is one.
    fn physical(&self) -> Option<&dyn Physical>;

    /// Returns the way to control the database as a whole, if there is one.
    fn control(&self) -> Option<&dyn Control>;

    /// Returns the way to capture what a session's own statements change in rows, if there is one.
    fn capture(&self) -> Option<&dyn Capture>;

    /// Returns the way to keep what a transaction of another tool changes, if there is one.
    fn witness(&self) -> Option<&dyn Witness>;

    /// Returns how dumps of other tools are loaded into this database, if they can be.
    fn dumps(&self) -> Option<&dyn Dumps>;

    /// Returns the way to go forward from a backup by the server's own log, if there is one.
    fn replay(&self) -> Option<&dyn Replay> {
        None
    }

    /// Returns where the rights on this database are, and the way to them where that is not the schema.
    fn grants(&self) -> GrantKeeping<'_>;

    /// Returns the server's own way back to a moment, if it has one that works on its files.
    fn recovery(&self) -> Option<&dyn Recovery> {
        None
    }
}

/// Scratch databases: empty, private, gone when dropped.
#[async_trait]
pub trait Scratch: Send + Sync {
    /// Creates an empty database beside the real one, which it never touches.
    async fn create(&self, cx: &Cx) -> Result<Box<dyn ScratchDatabase>>;

    /// Drops those whose process was killed, as far as the user may, and returns their names.
    async fn sweep(&self, cx: &Cx) -> Result<Vec<String>> {
        let _ = cx;
        Ok(Vec::new())
    }
}

/// A scratch database. Dropping it drops the database.
pub trait ScratchDatabase: Send + Sync {
    /// Returns the engine on it. What it opens must not outlive the scratch database.
    fn engine(&self) -> Arc<dyn Engine>;
}

/// Copies of a database as files, made by the engine's own means.
#[async_trait]
pub trait Physical: Send + Sync {
    /// Copies the whole database, in one consistent state, into a new file while others go on writing.
    /// Fails with `AlreadyExists` if there is one, and leaves no file behind on any failure.
    async fn copy_to(&self, cx: &Cx, file: &Path) -> Result<()>;
}

/// Control of a database as a whole, for maintenance.
#[async_trait]
pub trait Control: Send + Sync {
    /// Returns whether applications are kept from writing.
    async fn read_only(&self, cx: &Cx) -> Result<bool>;

    /// Fails where the user of the connection may not keep applications from writing, or would be kept from it as well.
    /// Nothing is changed.
    async fn check_read_only(&self, cx: &Cx) -> Result<()>;

    /// Takes what only one program at a time may have that keeps applications from writing and lets them again, where
    /// that is more than one database's. `None`: somebody else has it.
    async fn claim_read_only(&self, cx: &Cx) -> Result<Option<Claim>>;

    /// Returns what [`end_read_only`](Self::end_read_only) has to know: what is set now, and since when applications are
    /// kept from writing if they are from now on. It is one line.
    async fn before_read_only(&self, cx: &Cx) -> Result<String>;

    /// Keeps applications from writing. Sessions that walkback opens to write still can. Waits no longer than `patience`
    /// for what they have under way. What this means for sessions that are open already is the engine's to document.
    async fn begin_read_only(&self, cx: &Cx, patience: Duration) -> Result<()>;

    /// Lets applications write again, as it was `before`; without that, as a server has it where nobody says anything.
    /// Returns whom it does not reach, in words: sessions that have to be opened anew.
    async fn end_read_only(
        &self,
        cx: &Cx,
        before: Option<&str>,
        patience: Duration,
    ) -> Result<Option<String>>;

    /// Returns the session that holds a lock of [`Session::try_lock`], if one does.
    async fn lock_session(&self, cx: &Cx, lock: &str) -> Result<Option<HolderSession>>;

    /// Ends a session at the server, whatever it does: its transaction is rolled back, and its locks are free when this
    /// returns. One that has gone already is no error.
    async fn end_session(&self, cx: &Cx, id: &str) -> Result<()>;
}

/// Something that is held until this is dropped.
pub struct Claim(#[expect(dead_code, reason = "held for its drop")] Option<Box<dyn Send + Sync>>);

impl Claim {
    /// Holds something.
    #[must_use]
    pub fn on(held: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(held)))
    }

    /// Holds nothing: there is nobody to share with.
    #[must_use]
    pub const fn free() -> Self {
        Self(None)
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Claim")
    }
}

/// A session at the server, as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HolderSession {
    /// Its number.
    pub id: String,
    /// User, program and host, in words.
    pub who: String,
    /// For how long nothing was heard of its client.
    pub silent_for: Duration,
    /// The beginning of the statement that it runs.
    pub runs: Option<String>,
}

impl HolderSession {
    /// Creates the description of a session.
    #[must_use]
    pub fn new(id: String, who: String, silent_for: Duration, runs: Option<String>) -> Self {
        Self {
            id,
            who,
            silent_for,
            runs,
        }
    }
}

/// One connection to a server.
///
/// - Dropping a session in the middle of a transaction rolls it back, and frees its locks.
/// - Cancelling the [`Cx`] of a call interrupts the statement on the server; the session stays usable after
///   [`rollback`](Self::rollback).
/// - `execute` runs exactly one statement; `params` are bound, never spliced.
/// - `begin` inside a transaction is an error, and so is `commit` or `rollback` outside of one.
/// - `commit` that fails has rolled back.
/// - `schema` sees what this session's own transaction has changed, and never shows walkback's own tables.
#[async_trait]
pub trait Session: fmt::Debug + Send {
    /// Returns what the server at the other end can do.
    fn capability(&self) -> &Capability;

    /// Runs one statement and returns how many rows it changed.
    async fn execute(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<u64>;

    /// Runs one query and returns its rows as they come.
    async fn query<'s>(&'s mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<RowStream<'s>>;

    /// Begins a transaction.
    async fn begin(&mut self, cx: &Cx, mode: Begin) -> Result<()>;

    /// Commits it: durable when this returns.
    async fn commit(&mut self, cx: &Cx) -> Result<()>;

    /// Rolls it back.
    async fn rollback(&mut self, cx: &Cx) -> Result<()>;

    /// Shares the snapshot of the current transaction, in which nothing was read yet, with other sessions of this
    /// program, until the transaction ends. An engine that has to keep writers out for a moment waits for that, and
    /// may lack the right to it: then it is `PermissionDenied`, and one session has to read everything.
    async fn export_snapshot(&mut self, cx: &Cx) -> Result<SnapshotId>;

    /// Returns where the server's log stood at the snapshot of the current transaction, exactly: what the snapshot holds
    /// is before that place, and all else behind it. It is asked for before anything is read; an engine that has to keep
    /// writers out for a moment to know it may take the snapshot anew for that, and gives up soon. `None`: there is no
    /// such log, or nobody can tell.
    async fn log_position(&mut self, _: &Cx) -> Result<Option<LogPosition>> {
        Ok(None)
    }

    /// Tries once to take a lock of this name for `holder`. It is held until `unlock`, or until the session
    /// or its process ends, however it ends; transactions do not matter to it.
    async fn try_lock(&mut self, cx: &Cx, name: &str, holder: &LockHolder) -> Result<LockAttempt>;

    /// Frees a lock this session holds.
    async fn unlock(&mut self, cx: &Cx, name: &str) -> Result<()>;

    /// Sets how long a statement of this session waits for a lock that another session holds, until it fails
    /// with `Locked`.
    async fn set_lock_timeout(&mut self, cx: &Cx, timeout: Duration) -> Result<()>;

    /// Keeps every other session from writing to these tables until the current transaction ends. Where
    /// [`Begin::Write`] does so by itself there is nothing to do. Waits as any statement does.
    async fn hold_tables(&mut self, cx: &Cx, tables: &[TableName]) -> Result<()>;

    /// Returns the rights that this session's user lacks for these actions, in words with the statement that
    /// grants each. `Create` of a table of walkback's own stands for the journal. Nothing is changed.
    async fn missing_rights(&mut self, cx: &Cx, actions: &[Action]) -> Result<Vec<String>>;

    /// Returns whether there is a table of that name, walkback's own included.
    async fn has_table(&mut self, cx: &Cx, table: &TableName) -> Result<bool>;

    /// Reads the schema.
    async fn schema(&mut self, cx: &Cx) -> Result<Schema>;

    /// Hashes the rows of a table, whatever their physical order.
    async fn fingerprint(&mut self, cx: &Cx, table: &Table) -> Result<TableFingerprint>;

    /// Divides a slice into parts of about this many bytes that several sessions can read side by side, each with
    /// [`export`](Self::export): together, in their order, they hold each row of it once, also if the table is
    /// written to meanwhile. What cannot be divided, or not soundly, is one part. Where the parts begin follows
    /// from the keys as far as it can, so that they cut the same rows again the next time.
    async fn divide(&mut self, cx: &Cx, slice: &TableSlice, part: u64) -> Result<Division>;

    /// Reads the rows of a table in the engine's own fastest encoding, as chunks of whole rows whose
    /// boundaries depend on the rows alone: an unchanged region gives the same chunks again.
    async fn export<'s>(&'s mut self, cx: &Cx, slice: &TableSlice) -> Result<ChunkStream<'s>>;

    /// Writes chunks of an export into a table, and returns how many rows they held. Triggers do not fire.
    async fn import(&mut self, cx: &Cx, target: &ImportTarget, chunks: ChunkStream<'_>) -> Result<u64>;

    /// Creates an empty table of the same columns and checks under another name, without indexes and triggers: the
    /// shadow that a restore loads into. Its keys come with it or, where rows are loaded faster without them, with
    /// [`index_shadow`](Self::index_shadow), and at the latest with [`swap`](Self::swap).
    async fn create_shadow(&mut self, cx: &Cx, table: &Table, shadow: &TableName) -> Result<()>;

    /// Gives a shadow, once it is loaded, its keys and those of these indexes of its table that can be made before
    /// the exchange, which then takes no longer for them. Those that cannot be are left to [`swap`](Self::swap), as
    /// all of them are where this does nothing. Several sessions may do so for different shadows side by side.
    async fn index_shadow(
        &mut self,
        cx: &Cx,
        table: &Table,
        shadow: &TableName,
        indexes: &[Object],
    ) -> Result<()>;

    /// Sets the rows of a slice aside in a new table, and returns how many there are. That table is bare: columns
    /// and rows, and nothing that could stand in the way of a later change. It has no key, check, foreign key,
    /// index or trigger, and needs no type of people's own: values of those become text. It is `AlreadyExists`
    /// if the name is taken.
    async fn set_aside(&mut self, cx: &Cx, slice: &TableSlice, aside: &TableName) -> Result<u64>;

    /// Puts shadows in the place of live tables, all at once, inside the current transaction where the
    /// engine has transactional DDL. Elsewhere it may be killed in the middle, and the whole exchange is
    /// done again from the beginning: no row of the shadows may be needed for that. An error means that nothing
    /// was exchanged, unless its kind is `NeedsRecovery`.
    async fn swap(&mut self, cx: &Cx, swap: &Swap) -> Result<()>;

    /// Keeps every other session from writing to these tables until [`swap`](Self::swap) exchanges them, at which moment it
    /// lets them go without a write in between, or until [`let_go`](Self::let_go). Everybody may read them, and this
    /// session may not write to them either. For engines where no transaction holds definitions. Waits as any statement
    /// does.
    async fn hold_until_swap(&mut self, _cx: &Cx, _tables: &[TableName]) -> Result<()> {
        let product = &self.capability().product;
        Err(Error::unsupported(
            "keeping others from writing outside of a transaction",
            product,
        ))
    }

    /// Lets everybody write again to tables that were not exchanged after all.
    async fn let_go(&mut self, _cx: &Cx) -> Result<()> {
        Ok(())
    }
}

/// What a restore exchanges in one go.
#[derive(Debug, Clone, Default)]
pub struct Swap {
    /// Tables to drop: they are replaced, or did not exist at the point.
    pub drop_tables: Vec<TableName>,
    /// Objects to drop before anything is renamed: what the point did not have, or had otherwise.
    pub drop_objects: Vec<Object>,
    /// Shadows and the names they take.
    pub shadows: Vec<(TableName, TableName)>,
    /// Objects to create at the end, in this order.
    pub create_objects: Vec<Object>,
}

/// What can be said with the primitives of a session.
#[async_trait]
pub trait SessionExt: Session {
    /// Runs a query and collects its rows.
    async fn fetch_all(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        use futures::TryStreamExt as _;
        self.query(cx, sql, params).await?.try_collect().await
    }

    /// Runs a query and returns its first row.
    async fn fetch_optional(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        use futures::TryStreamExt as _;
        let mut rows = self.query(cx, sql, params).await?;
        rows.try_next().await
    }
}

impl<S: Session + ?Sized> SessionExt for S {}
