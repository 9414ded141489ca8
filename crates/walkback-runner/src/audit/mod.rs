//! The audit: what was done to the database, by whom, and what was refused; in the database and in the stores.
//!
//! | file | idea |
//! |---|---|
//! | `mod.rs` | entries that belong to no run: refusals, and what is done without one |
//! | `copy.rs` | the copy in the stores |
//! | `verify.rs` | whether database and stores tell the same, and the whole of it |

mod copy;
mod verify;

use std::time::Duration;

use walkback_core::engine::{Begin, LockAttempt};
use walkback_core::{Access, Cx, ErrorKind, Result, Session};

use crate::identity;
use crate::journal::{AuditNote, Author, Event, Journal};
use crate::lock::{Lock, NAME};
use crate::loss::Loss;
use crate::runner::Runner;
use crate::settings::Consent;

/// How often it is tried to write an entry, and with which pause.
const TRIES: usize = 5;
const AGAIN: Duration = Duration::from_millis(100);

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

    fn note(&self, cx: &Cx, kind: &str, consent: &Consent, detail: &str) -> AuditNote {
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
        let cx = &cx.shielded();
        let mut outcome = Box::pin(self.write_note(cx, &note)).await;
        for _ in 1..TRIES {
            if outcome.is_ok() {
                break;
            }
            // Others may have added entries at the same moment; nothing of a try that failed is left.
            tokio::time::sleep(AGAIN).await;
            outcome = Box::pin(self.write_note(cx, &note)).await;
        }
        let copied = match outcome {
            Ok(true) => Box::pin(self.copy_if_free(cx)).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = copied {
            cx.progress()
                .warn(&format!("the audit could not be written: {error}"));
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

    /// Copies what was noted, unless a run has the lock: that copies it at its end.
    async fn copy_if_free(&self, cx: &Cx) -> Result<()> {
        if self.vault().is_none() || self.outer().is_some() {
            return Ok(());
        }
        let mut session = self.connect(cx, Access::Write).await?;
        let holder = self.holder(cx, "audit");
        if session.try_lock(cx, NAME, &holder).await? == LockAttempt::Taken {
            self.copy_audit(cx, &mut *session, None).await;
            session.unlock(cx, NAME).await?;
        }
        Ok(())
    }

    /// Adds to the copies of the audit what a run that was killed at its very end has not added.
    ///
    /// # Errors
    /// `Locked` if somebody else runs, and fails if the database cannot be read.
    pub async fn catch_up_audit(&self, cx: &Cx) -> Result<()> {
        let mut session = self.connect(cx, Access::Read).await?;
        let dialect = self.dialect();
        if self.vault().is_some() && Journal::new(&mut *session, &*dialect).has_audit(cx).await? {
            let _lock = Lock::take(self, cx, "audit").await?;
            self.copy_audit(cx, &mut *session, None).await;
        }
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

/// Says in words what was lost, counted for each table.
pub(crate) fn lost_in_words<'l>(loss: impl IntoIterator<Item = &'l Loss>) -> Option<String> {
    let lost = loss
        .into_iter()
        .map(|loss| format!("{}: {} rows", loss.table, loss.rows));
    let lost: Vec<_> = lost.collect();
    (!lost.is_empty()).then(|| lost.join("; "))
}
