//! An engine that does one thing wrong, and hands the rest to a good one.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use walkback_core::bulk::Chunk;
use walkback_core::capture::{Capture, Captured};
use walkback_core::catalog::Table;
use walkback_core::dump::Dumps;
use walkback_core::engine::{
    Claim, Control, EngineInfo, HolderSession, Login, Physical, Scratch, ScratchDatabase,
};
use walkback_core::grants::GrantKeeping;
use walkback_core::recovery::Recovery;
use walkback_core::replay::Replay;
use walkback_core::witness::Witness;
use walkback_core::{Access, Cx, Dialect, Engine, Error, Result, Session, TableName};

use super::Fault;
use super::session::FaultySession;

/// An engine with a fault.
pub struct Faulty {
    inner: Arc<dyn Engine>,
    fault: Fault,
    kept: Mutex<Vec<Box<dyn ScratchDatabase>>>,
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("inner", &self.inner)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

impl Faulty {
    /// Creates an engine that does one thing wrong.
    #[must_use]
    pub fn new(inner: Arc<dyn Engine>, fault: Fault) -> Self {
        Self {
            inner,
            fault,
            kept: Mutex::default(),
        }
    }
}

#[async_trait]
impl Engine for Faulty {
    fn info(&self) -> EngineInfo {
        self.inner.info()
    }

    fn login(&self) -> Login {
        self.inner.login()
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        self.inner.dialect()
    }

    fn row_ends(&self, chunk: &Chunk, columns: usize) -> Result<Vec<usize>> {
        let mut ends = self.inner.row_ends(chunk, columns)?;
        if self.fault == Fault::RowsRunTogether && ends.len() > 1 {
            ends.remove(ends.len() - 2);
        }
        Ok(ends)
    }

    async fn connect(&self, cx: &Cx, access: Access) -> Result<Box<dyn Session>> {
        if self.fault == Fault::ReadSessionCreates {
            drop(self.inner.connect(cx, Access::Write).await?);
        }
        let access = match self.fault {
            Fault::ReadSessionWrites => Access::Write,
            _ => access,
        };
        let inner = self.inner.connect(cx, access).await?;
        let mut capability = inner.capability().clone();
        match self.fault {
            Fault::ClaimsSnapshots => capability.shared_snapshot = true,
            Fault::DeniesTransactionalDdl => capability.transactional_ddl = false,
            _ => {}
        }
        let engine = Arc::clone(&self.inner);
        Ok(Box::new(FaultySession::new(
            inner, engine, self.fault, capability,
        )))
    }

    fn scratch(&self) -> Option<&dyn Scratch> {
        match self.fault {
            Fault::ScratchIsReal | Fault::ScratchStays => Some(self),
            _ => self.inner.scratch(),
        }
    }

    fn physical(&self) -> Option<&dyn Physical> {
        Some(self)
    }

    fn control(&self) -> Option<&dyn Control> {
        match self.fault {
            Fault::FindsNoHolder => Some(self),
            _ => self.inner.control(),
        }
    }

    fn capture(&self) -> Option<&dyn Capture> {
        match self.fault {
            Fault::CaptureIsTheWrongWayRound if self.inner.capture().is_some() => Some(self),
            _ => self.inner.capture(),
        }
    }

    fn witness(&self) -> Option<&dyn Witness> {
        match self.fault {
            Fault::WitnessForgets => Some(self),
            _ => self.inner.witness(),
        }
    }

    fn dumps(&self) -> Option<&dyn Dumps> {
        self.inner.dumps()
    }

    fn replay(&self) -> Option<&dyn Replay> {
        self.inner.replay()
    }

    fn recovery(&self) -> Option<&dyn Recovery> {
        self.inner.recovery()
    }

    fn grants(&self) -> GrantKeeping<'_> {
        self.inner.grants()
    }
}

#[async_trait]
impl Control for Faulty {
    async fn read_only(&self, _: &Cx) -> Result<bool> {
        Ok(false)
    }

    async fn check_read_only(&self, _: &Cx) -> Result<()> {
        Ok(())
    }

    async fn claim_read_only(&self, _: &Cx) -> Result<Option<Claim>> {
        Ok(Some(Claim::free()))
    }

    async fn before_read_only(&self, _: &Cx) -> Result<String> {
        Ok(String::new())
    }

    async fn begin_read_only(&self, _: &Cx, _: Duration) -> Result<()> {
        Ok(())
    }

    async fn end_read_only(&self, _: &Cx, _: Option<&str>, _: Duration) -> Result<Option<String>> {
        Ok(None)
    }

    async fn lock_session(&self, _: &Cx, _: &str) -> Result<Option<HolderSession>> {
        Ok(None)
    }

    async fn end_session(&self, _: &Cx, _: &str) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Capture for Faulty {
    async fn start(&self, cx: &Cx, session: &mut dyn Session, tables: &[Table]) -> Result<()> {
        match self.inner.capture() {
            Some(capture) => capture.start(cx, session, tables).await,
            None => Ok(()),
        }
    }

    async fn finish(&self, cx: &Cx, session: &mut dyn Session, tables: &[Table]) -> Result<Vec<Captured>> {
        let Some(capture) = self.inner.capture() else {
            return Ok(Vec::new());
        };
        let captured = capture.finish(cx, session, tables).await?.into_iter();
        Ok(captured
            .map(|one| Captured::new(one.table, one.left, one.was))
            .collect())
    }

    async fn abandon(&self, cx: &Cx, session: &mut dyn Session) -> Result<()> {
        match self.inner.capture() {
            Some(capture) => capture.abandon(cx, session).await,
            None => Ok(()),
        }
    }
}

impl Witness for Faulty {
    fn first(&self, _: &[TableName], _: Duration) -> Vec<String> {
        Vec::new()
    }

    fn last(&self, _: Option<&str>) -> Vec<String> {
        Vec::new()
    }

    fn forget(&self, _: Option<&str>, _: &[i64]) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl Scratch for Faulty {
    async fn create(&self, cx: &Cx) -> Result<Box<dyn ScratchDatabase>> {
        if let Some(scratch) = self.inner.scratch()
            && self.fault == Fault::ScratchStays
        {
            let database = scratch.create(cx).await?;
            let engine = database.engine();
            self.kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(database);
            return Ok(Box::new(Real(engine)));
        }
        Ok(Box::new(Real(Arc::clone(&self.inner))))
    }
}

struct Real(Arc<dyn Engine>);

impl ScratchDatabase for Real {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.0)
    }
}

#[async_trait]
impl Physical for Faulty {
    async fn copy_to(&self, cx: &Cx, file: &Path) -> Result<()> {
        let Some(physical) = self.inner.physical() else {
            return Err(Error::unsupported("a copy as files", "this engine"));
        };
        if self.fault == Fault::CopyReplaces {
            drop(std::fs::remove_file(file));
        }
        if self.fault == Fault::CopyIsEmpty {
            return std::fs::write(file, [0; 20_000]).map_err(|error| Error::io("write", file, error));
        }
        let outcome = physical.copy_to(cx, file).await;
        if outcome.is_err() && self.fault == Fault::CopyLeavesDebris {
            drop(std::fs::write(file, "half a copy"));
        }
        outcome
    }
}
