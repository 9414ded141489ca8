//! The audit: what was done to the database, by whom, and what was refused; in the database and in the stores.
//!
//! | file | idea |
//! |---|---|
//! | `mod.rs` | entries that belong to no run: refusals, and what is done without one |
//! | `copy.rs` | the copy in the stores |
//! | `copies.rs` | what the stores have, against the database |
//! | `runs.rs` | the runs of the journal, against their entries |
//! | `verify.rs` | whether database and stores tell the same, and the whole of it |

mod copies;
mod copy;
mod runs;
mod verify;

use std::time::{Duration, Instant};

use walkback_core::engine::Begin;
use walkback_core::{Access, Cx, Error, ErrorKind, Result, Session};

use crate::execute::is_of_another_session;
use crate::identity;
use crate::journal::{AuditNote, Author, Event, Journal};
use crate::lock::Lock;
use crate::loss::Loss;
use crate::runner::Runner;
use crate::settings::Consent;

/// How long it is tried to write an entry: a person who was refused waits for it.
const LONGEST: Duration = Duration::from_secs(2);
/// How long one try waits for others that write, and the pause before the next.
const WAIT: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(50);

pub use verify::{AuditFinding, AuditVerification, AuditedStore};

impl Runner {
    /// Returns who writes entries of the audit.
    pub(crate) fn author(&self) -> Author<'_> {
        let settings = self.settings();
        Author {
            actor: &settings.actor,
            environment: &settings.environment,
            database: self.engine().info().location,
        }
    }

    /// Hands an outcome on, and notes it in the audit where the policy has refused.
    pub(crate) async fn noting_refusal<T>(
        &self,
        cx: &Cx,
        kind: &str,
        consent: &Consent,
        outcome: Result<T>,
    ) -> Result<T> {
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::Refused
            // A part of another run is in the entries of that.
            && self.outer().is_none()
        {
            let note = AuditNote {
                event: Event::Refused,
                outcome: Some("refused".to_owned()),
                ..self.note(cx, kind, consent, &error.to_string())
            };
            Box::pin(self.note_by_itself(cx, note)).await;
        }
        outcome
    }

    /// Notes in the audit something that changes no migration and is no run.
    pub(crate) async fn note_in_audit(&self, cx: &Cx, kind: &str, consent: &Consent, detail: &str) {
        let note = self.note(cx, kind, consent, detail);
        Box::pin(self.note_by_itself(cx, note)).await;
    }

    pub(super) fn note(&self, cx: &Cx, kind: &str, consent: &Consent, detail: &str) -> AuditNote {
        AuditNote {
            event: Event::Noted,
            kind: kind.to_owned(),
            ticket: consent.ticket.clone(),
            reason: consent.reason.clone(),
            detail: Some(detail.to_owned()),
            at: identity::moment(cx.now()),
            ..AuditNote::default()
        }
    }

    /// Writes an entry in a transaction of its own, where there is an audit already. That it cannot be written changes
    /// nothing about what it is about, and is a warning.
    async fn note_by_itself(&self, cx: &Cx, note: AuditNote) {
        if let Err(error) = Box::pin(self.must_note(cx, note)).await {
            cx.progress()
                .warn(&format!("the audit could not be written: {error}"));
        }
    }

    /// Writes an entry in a transaction of its own, where there is an audit already. The stores get it with the next run that
    /// ends: to copy it now would hold the lock that others need.
    pub(super) async fn must_note(&self, cx: &Cx, note: AuditNote) -> Result<()> {
        let cx = &cx.shielded();
        let begun = Instant::now();
        loop {
            match Box::pin(self.write_note(cx, &note)).await {
                // Others may have added entries at the same moment; nothing of a try that failed is left.
                Err(error) if may_be_tried_again(&error) && begun.elapsed() + AGAIN < LONGEST => {
                    tokio::time::sleep(AGAIN).await;
                }
                outcome => return outcome.map(drop),
            }
        }
    }

    /// Writes an entry, and says whether there is an audit to write it to.
    async fn write_note(&self, cx: &Cx, note: &AuditNote) -> Result<bool> {
        let dialect = self.dialect();
        // A session that writes would make a file that is not there.
        let mut reading = self.connect(cx, Access::Read).await?;
        if !Journal::new(&mut *reading, &*dialect).has_audit(cx).await? {
            return Ok(false);
        }
        drop(reading);
        let mut session = self.connect(cx, Access::Write).await?;
        session.set_lock_timeout(cx, WAIT).await?;
        session.begin(cx, Begin::Write).await?;
        let by = self.author();
        let written = Journal::new(&mut *session, &*dialect)
            .append_audit(cx, &by, note.clone())
            .await;
        if let Err(error) = written {
            session.rollback(cx).await.ok();
            return Err(error);
        }
        session.commit(cx).await?;
        cx.step("audit.noted");
        Ok(true)
    }

    /// Adds to the copies of the audit what a run that was killed at its very end has not added.
    ///
    /// # Errors
    /// `Locked` if somebody else runs, and fails if the database cannot be read.
    pub async fn catch_up_audit(&self, cx: &Cx) -> Result<()> {
        let dialect = self.dialect();
        // A session that writes would make a file that is not there.
        let mut reading = self.connect(cx, Access::Read).await?;
        if self.vault().is_none() || !Journal::new(&mut *reading, &*dialect).has_audit(cx).await? {
            return Ok(());
        }
        drop(reading);
        let _lock = Lock::take(self, cx, "audit").await?;
        let mut session = self.connect(cx, Access::Write).await?;
        self.copy_audit(cx, &mut *session, None).await;
        Ok(())
    }

    /// Adds to the copy in each store what it has not got yet. One that cannot be written gets it with the next run, and is
    /// warned of. Whoever calls this holds the lock of the database.
    pub(crate) async fn copy_audit(&self, cx: &Cx, session: &mut dyn Session, home: Option<&str>) {
        let Some(vault) = self.vault().filter(|_| self.settings().copies_audit) else {
            return;
        };
        for vault in vault.vaults() {
            if let Err(error) = Box::pin(self.copy_to(cx, session, home, vault)).await {
                cx.progress().warn(&format!(
                    "the copy of the audit in `{}` could not be written, and the next run does it: {error}",
                    vault.name()
                ));
            }
        }
    }
}

/// Returns whether an entry could not be written only because others were writing.
fn may_be_tried_again(error: &Error) -> bool {
    error.kind() == ErrorKind::Locked || is_of_another_session(error)
}

/// Says in words what was lost, counted for each table.
pub(crate) fn lost_in_words<'l>(loss: impl IntoIterator<Item = &'l Loss>) -> Option<String> {
    let lost = loss
        .into_iter()
        .map(|loss| format!("{}: {} rows", loss.table, loss.rows));
    let lost: Vec<_> = lost.collect();
    (!lost.is_empty()).then(|| lost.join("; "))
}
