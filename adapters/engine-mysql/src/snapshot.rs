//! One snapshot that several connections read.
//!
//! The server has no name for a snapshot: two connections see the same only if nobody wrote between their first
//! looks. So the session that shares one keeps all writers out for a moment, in which it and connections in reserve
//! begin to read. Who joins later goes on with one of these.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use walkback_core::engine::SnapshotId;
use walkback_core::{Access, Error, ErrorKind, Result};

use crate::dialect::quoted;
use crate::link::Link;

/// How many sessions can join.
const RESERVE: usize = 8;

/// How long to wait until no statement writes any more: everyone who wants to write waits as well meanwhile.
const STANDSTILL: Duration = Duration::from_secs(10);

/// Connections that read in a snapshot and wait for sessions that join it.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Vec<Link>>);

/// The snapshots of this program that can be joined.
static SHARED: LazyLock<Mutex<BTreeMap<String, Weak<Shared>>>> = LazyLock::new(Mutex::default);

fn all() -> std::sync::MutexGuard<'static, BTreeMap<String, Weak<Shared>>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn publish(links: Vec<Link>) -> (SnapshotId, Arc<Self>) {
        let id = format!("{:032x}", rand::random::<u128>());
        let shared = Arc::new(Self(Mutex::new(links)));
        let mut all = all();
        all.retain(|_, shared| shared.strong_count() > 0);
        all.insert(id.clone(), Arc::downgrade(&shared));
        (SnapshotId(id), shared)
    }

    fn take(id: &str) -> Result<Link> {
        let shared = all().get(id).and_then(Weak::upgrade).ok_or_else(|| {
            Error::not_found(format!(
                "nobody shares the snapshot `{id}` any more: its transaction has ended"
            ))
        })?;
        let link = shared.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        link.ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("no more than {RESERVE} sessions can join a snapshot"),
            )
        })
    }
}

impl Link {
    /// Shares the snapshot of the transaction, which nobody has looked at yet: it is begun again at a moment at
    /// which others begin too.
    pub(crate) async fn export_snapshot(&mut self) -> Result<SnapshotId> {
        match &self.transaction {
            Some(open) if open.is_unread() => {}
            Some(_) => return Err(misused("a snapshot is shared before anything is read in it")),
            None => return Err(misused("there is no transaction whose snapshot could be shared")),
        }
        let config = Arc::clone(self.place.config());
        let mut others = Vec::new();
        for _ in 0..RESERVE {
            self.must_go_on()?;
            others.push(Self::open(Arc::clone(&config), Access::Read).await?);
        }
        let mut guard = Self::open(config, Access::Write).await?;
        let covered = guard.keep_writers_out(STANDSTILL).await?;
        let outcome = self.begin_together(&mut others).await;
        let spot = match &outcome {
            // Who may not ask shares a snapshot all the same.
            Ok(()) => guard.spot_behind(covered.as_deref()).await.ok().flatten(),
            Err(_) => None,
        };
        let freed = guard.finish("UNLOCK TABLES").await;
        outcome.and(freed)?;
        let (id, shared) = Shared::publish(others);
        if let Some(open) = &mut self.transaction {
            open.shared = Some(shared);
            open.position = spot.map(|spot| spot.position());
        }
        Ok(id)
    }

    async fn begin_together(&mut self, others: &mut [Self]) -> Result<()> {
        self.must_go_on()?;
        self.finish("ROLLBACK").await?;
        self.begin_reading().await?;
        for other in others {
            self.must_go_on()?;
            other.begin_reading().await?;
        }
        Ok(())
    }

    /// Begins to read in a snapshot of this moment.
    pub(crate) async fn begin_reading(&mut self) -> Result<()> {
        self.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            .await?;
        self.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            .await
    }

    /// Keeps writers out: of the whole server, or, without the right to that, of every table of the database. Returns
    /// these tables then.
    pub(crate) async fn keep_writers_out(&mut self, patience: Duration) -> Result<Option<Vec<String>>> {
        self.set_lock_timeout(patience).await?;
        match self.run("FLUSH TABLES WITH READ LOCK").await {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            outcome => return outcome.map(|()| None).map_err(no_standstill),
        }
        let names = self.tables_here().await?;
        let tables: Vec<_> = names
            .iter()
            .map(|table| format!("{} READ", quoted(table)))
            .collect();
        if tables.is_empty() {
            return Ok(Some(names));
        }
        let outcome = self.run(&format!("LOCK TABLES {}", tables.join(", "))).await;
        outcome.map(|()| Some(names)).map_err(|error| {
            no_standstill(error).hint("grant `LOCK TABLES` on the database, or `RELOAD`, to share a snapshot")
        })
    }

    /// Returns the names of the tables of the database.
    pub(crate) async fn tables_here(&mut self) -> Result<Vec<String>> {
        let sql = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
                   AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY TABLE_NAME";
        let rows = self.texts(sql).await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .collect())
    }

    /// Goes on in the snapshot of another session, with a connection that reads in it already.
    pub(crate) async fn join_snapshot(&mut self, id: &SnapshotId) -> Result<()> {
        if !self.locks.is_empty() || !self.shadowed.is_empty() {
            return Err(misused(
                "a session that holds locks or has made shadows joins no snapshot",
            ));
        }
        let mut other = Shared::take(&id.0)?;
        std::mem::swap(&mut self.conn, &mut other.conn);
        self.number
            .store(other.number.load(Ordering::SeqCst), Ordering::SeqCst);
        if self.access == Access::Write {
            // For what comes after this transaction.
            self.run("SET SESSION TRANSACTION READ WRITE").await?;
        }
        Ok(())
    }
}

fn misused(why: &str) -> Error {
    Error::new(ErrorKind::Usage, why)
}

fn no_standstill(error: Error) -> Error {
    error.wrap("writers cannot be kept out for the moment in which a shared snapshot is taken")
}
