//! Transactions: begun, ended, and failed.
//!
//! A failed statement fails the whole transaction at the server, which then answers `COMMIT` with a rollback and
//! without a word. So a transaction in which anything has failed is asked before it is committed.

use std::sync::Arc;

use walkback_core::engine::{Begin, SnapshotId};
use walkback_core::{Access, Cx, Error, ErrorKind, Result};

use crate::blocker::Patience;
use crate::dialect::text_literal;
use crate::error::{self, misused};
use crate::link::Link;

/// A transaction that was begun and not yet ended.
#[derive(Debug)]
pub(crate) struct Open {
    /// What it is for.
    pub(crate) mode: Begin,
    /// Whether a statement has failed or was stopped in it.
    pub(crate) is_suspect: bool,
}

impl Open {
    fn new(mode: Begin) -> Self {
        Self {
            mode,
            is_suspect: false,
        }
    }

    /// Returns whether it may write.
    pub(crate) fn writes(&self) -> bool {
        matches!(self.mode, Begin::Write | Begin::Rebuild)
    }
}

impl Link {
    /// Begins a transaction.
    pub(crate) async fn begin(&mut self, cx: &Cx, mode: Begin) -> Result<()> {
        cx.check()?;
        if self.transaction.is_some() {
            return Err(misused("a transaction cannot begin inside another one"));
        }
        // The first query takes the snapshot, and fixes that the transaction only reads.
        let sql = match &mode {
            Begin::Read => {
                "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SELECT 1".to_owned()
            }
            Begin::Snapshot(SnapshotId(id)) => format!(
                "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT {}; SELECT 1",
                text_literal(id)
            ),
            Begin::Write | Begin::Rebuild => {
                self.must_write()?;
                "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE".to_owned()
            }
        };
        if self.is_in_block(cx).await? {
            return Err(misused(
                "a transaction cannot begin inside another one, which a script has left open",
            ));
        }
        self.transaction = Some(Open::new(mode));
        let outcome = self.batch(cx, &sql).await;
        if outcome.is_err() {
            self.leave().await?;
        }
        outcome
    }

    /// Commits. A commit that fails has rolled back.
    pub(crate) async fn commit(&mut self, cx: &Cx) -> Result<()> {
        if self.transaction.is_none() && !self.is_in_block(&cx.shielded()).await? {
            return Err(misused("there is no transaction to end"));
        }
        let outcome = self.try_commit(cx).await;
        if outcome.is_err() {
            self.leave().await?;
        } else {
            self.transaction = None;
        }
        outcome.map_err(|error| error.with_operation("commit"))
    }

    async fn try_commit(&mut self, cx: &Cx) -> Result<()> {
        cx.check()?;
        self.settle().await?;
        if self.transaction.as_ref().is_none_or(|open| open.is_suspect) {
            self.batch(cx, "SELECT 1")
                .await
                .map_err(|error| error.wrap("the transaction has failed before and cannot be committed"))?;
        }
        let client = Arc::clone(&self.client);
        // Whether a commit that is stopped has happened could not be told: it is waited for.
        self.call(&cx.shielded(), "COMMIT", async move {
            client.batch_execute("COMMIT").await
        })
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::Unavailable => {
                error.wrap("the connection was lost during a commit, which may have happened or not")
            }
            _ => error,
        })
    }

    /// Rolls back, also a transaction that a script has begun and left open.
    pub(crate) async fn rollback(&mut self, cx: &Cx) -> Result<()> {
        if self.transaction.is_none() && !self.is_in_block(&cx.shielded()).await? {
            return Err(misused("there is no transaction to end"));
        }
        self.leave().await
    }

    /// Leaves the transaction, whatever state it is in, and sets again what its rollback has undone.
    async fn leave(&mut self) -> Result<()> {
        self.settle().await?;
        self.transaction = None;
        self.afterwards = None;
        let mut sql = "ROLLBACK".to_owned();
        if let Some(Patience { timeout, .. }) = self.patience {
            sql.push_str(&format!("; {}", crate::lock::timeout_statement(timeout)));
        }
        self.client
            .batch_execute(&sql)
            .await
            .map_err(|failure| error::failed("PostgreSQL did not roll the transaction back", &sql, &failure))
    }

    /// Asks the server whether a transaction is open.
    pub(crate) async fn is_in_block(&mut self, cx: &Cx) -> Result<bool> {
        if self.transaction.is_some() {
            return Ok(true);
        }
        cx.check()?;
        self.tidy().await?;
        let probe = "SAVEPOINT _walkback_probe; RELEASE SAVEPOINT _walkback_probe";
        // In one message, the two would be a transaction block of their own.
        let (savepoint, release) = probe.split_once("; ").unwrap_or((probe, ""));
        match self.client.execute(savepoint, &[]).await {
            Ok(_) => {}
            Err(failure) if error::code(&failure) == "25P01" => return Ok(false),
            Err(failure) if error::code(&failure) == "25P02" => return Ok(true),
            Err(failure) => {
                return Err(error::failed(
                    "cannot look for an open transaction",
                    savepoint,
                    &failure,
                ));
            }
        }
        self.client
            .execute(release, &[])
            .await
            .map(|_| true)
            .map_err(|failure| error::failed("cannot look for an open transaction", release, &failure))
    }

    /// Fails in a session, or a transaction, that only reads.
    pub(crate) fn must_write(&self) -> Result<()> {
        let only_reads =
            self.access == Access::Read || self.transaction.as_ref().is_some_and(|open| !open.writes());
        if only_reads {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("this session on `{}` only reads", self.config.location()),
            ));
        }
        Ok(())
    }

    /// Shares the snapshot of the transaction.
    pub(crate) async fn export_snapshot(&mut self, cx: &Cx) -> Result<SnapshotId> {
        if self.transaction.is_none() {
            return Err(misused("there is no transaction whose snapshot could be shared"));
        }
        let rows = self
            .texts(cx, "SELECT pg_catalog.pg_export_snapshot()", &[])
            .await?;
        let id = rows.first().map(|row| row.get(0).to_owned());
        id.map(SnapshotId)
            .ok_or_else(|| Error::internal("PostgreSQL has given no name for a snapshot"))
    }
}
