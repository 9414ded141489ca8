//! The database as it was at a moment: made beside it, brought into the vault, and from there restored like any backup.
//!
//! Nothing is gone back to in place. A scratch database is made to hold what was there; a point is made of it; and the
//! one exchange that there is brings it back, with its plan, its losses, and a safety point first. How the scratch
//! database comes to hold it is the only thing that differs between engines: by the log of the server from a backup
//! on, or by the server's own recovery of its files.

mod check;
mod choose;
mod recovery;

use chrono::{DateTime, Utc};
use serde::Serialize;
use walkback_core::engine::ScratchDatabase;
use walkback_core::replay::{LogPosition, ReplayRequest};
use walkback_core::{Access, Cx, Error, Result};
use walkback_vault::{Manifest, PointKind};

use crate::identity;
use crate::journal;
use crate::point::{self, PointRequest};
use crate::runner::Runner;
use crate::settings::{Policy, Settings};
use crate::state::State;
use crate::verify::Restored;

/// A moment to go back to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PastRequest {
    /// The moment.
    pub until: DateTime<Utc>,
    /// The backup to begin with; `None`: the newest that is early enough.
    pub base: Option<String>,
    /// Whether a backup from before the moment will do, without what was written between.
    pub nearest: bool,
}

impl PastRequest {
    /// Creates a request.
    #[must_use]
    pub fn new(until: DateTime<Utc>, base: Option<String>, nearest: bool) -> Self {
        Self { until, base, nearest }
    }
}

/// How a moment is gone back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PastRoad {
    /// From a backup on, by the log of the server.
    Log,
    /// By the server's own recovery of a base backup of its files.
    Recovery,
    /// To the backup itself: what was written between is not in it.
    Nearest,
}

/// What there is to go back to a moment. Nothing has happened.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PastPlan {
    /// The moment that was asked for, RFC 3339 in UTC.
    pub until: String,
    /// How.
    pub road: PastRoad,
    /// The backup that it begins with.
    pub base: String,
    /// The moment that this is of; empty where it is seen only on the way.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub base_at: String,
    /// Where the log stood then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How much log there is from there on, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    /// By how much it is earlier than asked, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_earlier: Option<i64>,
    /// What a person should know.
    pub warnings: Vec<String>,
    #[serde(skip)]
    pub(crate) moment: DateTime<Utc>,
    #[serde(skip)]
    pub(crate) position: Option<LogPosition>,
}

/// A database as it was, in the vault.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Past {
    /// The point or backup that holds it.
    pub id: String,
    /// Whether that was made for this, and nothing else needs it.
    pub is_made: bool,
    /// How many transactions and definitions were done again.
    pub transactions: u64,
    /// Where the log stands behind the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// When the last one was committed, RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

impl Runner {
    /// Brings the database as it was at a moment into the vault, by way of a scratch database; the database itself is not
    /// touched.
    ///
    /// # Errors
    /// `NotFound` if the log is gone meanwhile, `Unsupported` if there is something in it that cannot be done again,
    /// `PermissionDenied` if the user may not.
    pub async fn past_make(&self, cx: &Cx, plan: &PastPlan) -> Result<Past> {
        if plan.road == PastRoad::Recovery {
            return self.past_recovered(cx, plan).await;
        }
        let Some(from) = plan.position.clone() else {
            return Ok(Past {
                id: plan.base.clone(),
                is_made: false,
                transactions: 0,
                end: None,
                last: None,
            });
        };
        let unsupported = || Error::unsupported("going forward by a log", self.engine().info().scheme);
        let replay = self.engine().replay().ok_or_else(unsupported)?;
        let Restored { runner, database, .. } = Box::pin(self.restored_with_ledger(cx, &plan.base)).await?;
        // Its sessions end before the log is done again in it.
        drop(runner);
        cx.step("past.restored");
        let leave = journal::table_names().map(str::to_owned).collect();
        let request = ReplayRequest::new(from, plan.moment, leave, database.engine());
        let replayed = Box::pin(replay.replay(cx, &request)).await?;
        cx.step("past.replayed");
        let described = format!(
            "the database as it was at {}: from `{}`, {} transactions on, to {}",
            plan.until, plan.base, replayed.transactions, replayed.end
        );
        let manifest = Box::pin(self.past_from(cx, database, &described)).await?;
        Ok(Past {
            id: manifest.id,
            is_made: true,
            transactions: replayed.transactions,
            end: Some(replayed.end.to_string()),
            last: replayed.last.map(identity::moment),
        })
    }

    /// Makes a point of a scratch database that holds this one as it was, its ledger included, and drops that.
    pub(crate) async fn past_from(
        &self,
        cx: &Cx,
        database: Box<dyn ScratchDatabase>,
        described: &str,
    ) -> Result<Manifest> {
        let mut settings = Settings::new("scratch", self.settings().actor.clone());
        settings.policy = Policy::default();
        settings.jobs = self.settings().jobs;
        let inside = Self::new(
            database.engine(),
            self.source().clone(),
            self.vault().cloned(),
            settings,
        );
        let mut session = inside.connect(cx, Access::Read).await?;
        let state = State::load(&inside, cx, &mut *session).await?;
        drop(session);
        let scope = recovery::recovered(cx, &state.schema)?;
        let request = PointRequest {
            kind: PointKind::Backup,
            prefix: point::PAST,
            about: "",
            scope: &scope,
            description: Some(described.to_owned()),
            run_id: None,
            // It is pruned with the other backups of this database, and nobody goes forward from it.
            of: Some(point::database_name(self)),
            grants: None,
            before: None,
        };
        let written = point::make(&inside, cx, &state, request).await?;
        cx.step("past.made");
        Ok(written.manifest)
    }

    /// Takes a point out of the vault again that was made to go back to a moment, where nothing came of it.
    ///
    /// # Errors
    /// Fails if the vault cannot be written.
    pub async fn past_discard(&self, cx: &Cx, past: &Past) -> Result<()> {
        if past.is_made {
            self.needed_vault()?.remove(cx, &past.id).await?;
        }
        Ok(())
    }
}
