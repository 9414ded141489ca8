//! Transactions: begun, ended, and lost.
//!
//! SQLite rolls a transaction back by itself when a disk is full, a file cannot be read or a writing statement
//! is interrupted. What comes next would then run outside of any transaction, so a lost transaction is
//! remembered, and everything but `rollback` is refused until that is called.

use walkback_core::engine::Begin;
use walkback_core::{Access, Error, ErrorKind, Result};

use crate::error::excerpt;
use crate::foreign_keys::Violations;
use crate::link::Link;

/// A transaction that was begun and not yet ended.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// Whether tables are rebuilt in it.
    pub(crate) rebuild: bool,
    /// Foreign keys that were violated when it began; `None` where they are not checked.
    before: Option<Violations>,
    /// Settings to put back when it ends.
    restore: Vec<(&'static str, bool)>,
    /// The statement whose failure made SQLite roll back by itself.
    lost: Option<String>,
}

impl Link {
    /// Begins a transaction.
    pub(crate) fn begin(&mut self, mode: &Begin) -> Result<()> {
        if self.transaction.is_some() || !self.connection.is_autocommit() {
            return Err(Error::new(
                ErrorKind::Usage,
                "a transaction cannot begin inside another one",
            ));
        }
        let mut open = Open::default();
        let outcome = self.begin_as(mode, &mut open);
        if outcome.is_err() {
            self.undisturbed(|link| link.put_back(&open));
        } else {
            self.transaction = Some(open);
        }
        outcome
    }

    fn begin_as(&mut self, mode: &Begin, open: &mut Open) -> Result<()> {
        match mode {
            Begin::Read => {
                self.set_for_now("query_only", true, open)?;
                self.batch("BEGIN")?;
                // The snapshot is taken by the first read and not by BEGIN.
                self.batch("SELECT count(*) FROM sqlite_schema")
            }
            Begin::Snapshot(_) => Err(Error::unsupported("a snapshot of another session", "SQLite")),
            Begin::Write => {
                self.must_write()?;
                self.batch("BEGIN IMMEDIATE")
            }
            Begin::Rebuild => {
                self.must_write()?;
                open.rebuild = true;
                let enforced = self.pragma("foreign_keys")?;
                // SQLite ignores this setting inside a transaction, without a word.
                self.set_for_now("foreign_keys", false, open)?;
                self.batch("BEGIN IMMEDIATE")?;
                if enforced {
                    open.before = Some(Violations::find(self)?);
                }
                Ok(())
            }
        }
    }

    /// Commits. A commit that fails has rolled back.
    pub(crate) fn commit(&mut self) -> Result<()> {
        if let Err(error) = self.must_be_alive() {
            self.rollback()?;
            return Err(error);
        }
        let open = self.ending()?;
        let outcome = match &open.before {
            Some(before) => before.must_hold(self),
            None => Ok(()),
        };
        let outcome = outcome.and_then(|()| self.batch("COMMIT"));
        self.undisturbed(|link| {
            if outcome.is_err() {
                link.leave();
            }
            link.put_back(&open);
        });
        outcome.map_err(|error| error.with_operation("commit"))
    }

    /// Rolls back, also what SQLite has rolled back by itself already.
    pub(crate) fn rollback(&mut self) -> Result<()> {
        let open = self.ending()?;
        self.undisturbed(|link| {
            link.leave();
            link.put_back(&open);
        });
        if self.connection.is_autocommit() {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::Database,
                "SQLite did not roll the transaction back",
            ))
        }
    }

    /// Fails if SQLite has rolled the transaction back by itself.
    pub(crate) fn must_be_alive(&mut self) -> Result<()> {
        match self.transaction.as_ref().and_then(|open| open.lost.as_ref()) {
            None => Ok(()),
            Some(statement) => Err(Error::new(
                ErrorKind::Database,
                format!("the transaction is gone: SQLite rolled it back when `{statement}` failed"),
            )),
        }
    }

    /// Notes whether the failure of a statement has cost the transaction.
    pub(crate) fn after_failure(&mut self, sql: &str, error: Error) -> Error {
        let autocommit = self.connection.is_autocommit();
        match &mut self.transaction {
            Some(open) if autocommit && open.lost.is_none() => {
                open.lost = Some(excerpt(sql));
                error.with_context("transaction", "rolled back by SQLite")
            }
            _ => error,
        }
    }

    fn must_write(&self) -> Result<()> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("this session on `{}` only reads", self.place.location),
            )),
        }
    }

    /// Takes the transaction that is to be ended. One that a script began with its own `BEGIN` counts as well.
    fn ending(&mut self) -> Result<Open> {
        match self.transaction.take() {
            Some(open) => Ok(open),
            None if !self.connection.is_autocommit() => Ok(Open::default()),
            None => Err(Error::new(ErrorKind::Usage, "there is no transaction to end")),
        }
    }

    fn set_for_now(&self, name: &'static str, on: bool, open: &mut Open) -> Result<()> {
        let before = self.pragma(name)?;
        if before != on {
            self.set_pragma(name, on)?;
            open.restore.push((name, before));
        }
        Ok(())
    }

    fn leave(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.batch("ROLLBACK")
        {
            tracing::error!(%error, "SQLite refused to roll back");
        }
    }

    fn put_back(&self, open: &Open) {
        self.leave();
        for (name, on) in &open.restore {
            if let Err(error) = self.set_pragma(name, *on) {
                tracing::error!(%error, setting = name, "cannot put a setting back");
            }
        }
    }
}
