//! Transactions: begun, ended, and ended by the server.
//!
//! The server ends a transaction by itself around every definition, and rolls one back for a deadlock. It says
//! in each answer whether one is open; what it says is remembered, so that nothing is taken for transactional
//! that is not.

use std::sync::Arc;

use walkback_core::engine::Begin;
use walkback_core::replay::LogPosition;
use walkback_core::{Access, Error, ErrorKind, Result};

use crate::error::excerpt;
use crate::link::Link;
use crate::snapshot::Shared;

/// A transaction that was begun and not yet ended.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// Whether it reads in a snapshot.
    is_snapshot: bool,
    /// Whether anything was run in it.
    is_used: bool,
    /// The snapshot, if others may join it: until this transaction ends.
    pub(crate) shared: Option<Arc<Shared>>,
    /// Where the log of the server stood at its snapshot, once that was asked for.
    pub(crate) position: Option<LogPosition>,
    /// How the server has ended it.
    end: Option<End>,
}

/// How a server ends a transaction by itself.
#[derive(Debug)]
enum End {
    /// Committed, around this statement.
    Committed(String),
    /// Rolled back, when this statement failed.
    RolledBack(String),
}

impl Open {
    /// Returns whether it reads in a snapshot that nobody has looked at.
    pub(crate) fn is_unread(&self) -> bool {
        self.is_snapshot && !self.is_used && self.shared.is_none()
    }
}

impl Link {
    /// Begins a transaction.
    pub(crate) async fn begin(&mut self, mode: Begin) -> Result<()> {
        if self.transaction.is_some() || self.is_in_transaction().await? {
            return Err(Error::new(
                ErrorKind::Usage,
                "a transaction cannot begin inside another one",
            ));
        }
        let is_snapshot = matches!(mode, Begin::Read);
        match mode {
            Begin::Read => self.begin_reading().await?,
            Begin::Snapshot(id) => self.join_snapshot(&id).await?,
            Begin::Rebuild => {
                return Err(Error::unsupported(
                    "a transaction that rebuilds tables",
                    self.product(),
                ));
            }
            Begin::Write => {
                self.must_write()?;
                self.run("START TRANSACTION READ WRITE").await?;
            }
        }
        self.transaction = Some(Open {
            is_snapshot,
            ..Open::default()
        });
        Ok(())
    }

    /// Commits. A commit that fails has rolled back.
    pub(crate) async fn commit(&mut self) -> Result<()> {
        let open = self.ending().await?;
        if let Some(End::RolledBack(statement)) = &open.end {
            return Err(self.lost(statement));
        }
        if let Err(error) = self.finish("COMMIT").await {
            self.leave().await;
            return Err(error.with_operation("commit"));
        }
        Ok(())
    }

    /// Rolls back what the server has not committed by itself.
    pub(crate) async fn rollback(&mut self) -> Result<()> {
        let open = self.ending().await?;
        if let Some(End::Committed(statement)) = &open.end {
            tracing::warn!(%statement, "a statement has committed its transaction, which cannot be rolled back");
        }
        self.finish("ROLLBACK").await
    }

    /// Fails if the server has rolled the transaction back.
    pub(crate) fn must_be_alive(&mut self) -> Result<()> {
        if let Some(open) = &mut self.transaction {
            open.is_used = true;
        }
        match self.transaction.as_ref().and_then(|open| open.end.as_ref()) {
            Some(End::RolledBack(statement)) => Err(self.lost(statement)),
            _ => Ok(()),
        }
    }

    /// Notes whether a statement has ended the transaction.
    pub(crate) async fn after_statement<T>(&mut self, sql: &str, outcome: Result<T>) -> Result<T> {
        if self.transaction.as_ref().is_none_or(|open| open.end.is_some()) {
            return outcome;
        }
        // A failed statement says nothing of the transaction; asking must not hide its failure.
        let is_open = match self.is_in_transaction().await {
            Ok(is_open) => is_open,
            Err(_) if outcome.is_err() => return outcome,
            Err(error) => return Err(error),
        };
        if is_open {
            return outcome;
        }
        let statement = excerpt(sql);
        let rolls_back = |error: &Error| error.is_retryable();
        let end = match &outcome {
            // Deadlocks and, by a setting of the server, waits that were too long.
            Err(error) if rolls_back(error) => End::RolledBack(statement),
            // A definition commits what came before also when it fails.
            _ => End::Committed(statement),
        };
        if let Some(open) = &mut self.transaction {
            open.end = Some(end);
        }
        outcome
    }

    /// Returns the server's name for messages.
    pub(crate) fn product(&self) -> &'static str {
        if self.server.is_mariadb {
            "MariaDB"
        } else {
            "MySQL"
        }
    }

    fn must_write(&self) -> Result<()> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("this session on `{}` only reads", self.place.config().location()),
            )),
        }
    }

    fn lost(&self, statement: &str) -> Error {
        Error::new(
            ErrorKind::Database,
            format!("the transaction is gone: the server rolled it back when `{statement}` failed"),
        )
        .retryable()
    }

    /// Takes the transaction that is to be ended. One that a script began by itself counts as well.
    async fn ending(&mut self) -> Result<Open> {
        match self.transaction.take() {
            Some(open) => Ok(open),
            None if self.is_in_transaction().await? => Ok(Open::default()),
            None => Err(Error::new(ErrorKind::Usage, "there is no transaction to end")),
        }
    }

    async fn leave(&mut self) {
        if let Err(error) = self.finish("ROLLBACK").await {
            tracing::error!(%error, "the server refused to roll back");
        }
    }
}
