//! Maintenance: applications are kept from writing while somebody works on the database.

use walkback_core::engine::Control;
use walkback_core::{Access, Cx, Error, Result};

use crate::gate;
use crate::journal::Journal;
use crate::lock::Lock;
use crate::runner::Runner;
use crate::settings::Consent;

/// What the journal calls what was set before a person switched it on.
const BEFORE: &str = "read_only_before";

impl Runner {
    /// Returns whether applications are kept from writing.
    ///
    /// # Errors
    /// `Unsupported` if the engine has no such mode.
    pub async fn read_only(&self, cx: &Cx) -> Result<bool> {
        self.control()?.read_only(cx).await
    }

    /// Keeps applications from writing, or lets them again. Runs of walkback still write. It stays so when
    /// this process ends, however it ends. Returns whom letting them again does not reach, in words.
    ///
    /// # Errors
    /// `Unsupported` if the engine has no such mode, `Refused` by the policy, `Locked` if somebody else runs,
    /// `PermissionDenied` if the user of the connection may not.
    pub async fn set_read_only(&self, cx: &Cx, read_only: bool, consent: &Consent) -> Result<Option<String>> {
        let control = self.control()?;
        let admitted = gate::change(self.settings(), consent);
        self.noting_refusal(cx, "maintenance", consent, admitted).await?;
        let _lock = Lock::take(self, cx, "maintenance").await?;
        let claim = self.claim_quiet(cx, control).await?;
        // From here on it is a person's, and no run's to end.
        let released = self.release_after_kill(cx, Some(&claim)).await?;
        let notice = released.and_then(|released| released.notice);
        let is_on = control.read_only(cx).await?;
        match (read_only, is_on) {
            (true, true) | (false, false) => Ok(notice),
            (true, false) => {
                self.note_before(cx, &control.before_read_only(cx).await?).await?;
                control.begin_read_only(cx, self.settings().lock_timeout).await?;
                let said = "keeps applications from writing";
                self.note_in_audit(cx, "maintenance", consent, said).await;
                Ok(notice)
            }
            (false, true) => {
                let before = self.noted_before(cx).await?;
                let patience = self.settings().lock_timeout;
                let notice = control.end_read_only(cx, before.as_deref(), patience).await?;
                self.forget_before(cx).await?;
                let said = "lets applications write again";
                self.note_in_audit(cx, "maintenance", consent, said).await;
                Ok(notice)
            }
        }
    }

    /// Notes what was set before a person switched it on. Where there is no journal yet there is nothing to note it in.
    async fn note_before(&self, cx: &Cx, before: &str) -> Result<()> {
        let mut session = self.connect(cx, Access::Write).await?;
        let dialect = self.dialect();
        let mut journal = Journal::new(&mut *session, &*dialect);
        match journal.exists(cx).await? {
            true => journal.set_meta(cx, BEFORE, before).await,
            false => Ok(()),
        }
    }

    /// Forgets it: who switches it on next by other means has said nothing here.
    async fn forget_before(&self, cx: &Cx) -> Result<()> {
        let mut session = self.connect(cx, Access::Write).await?;
        let dialect = self.dialect();
        let mut journal = Journal::new(&mut *session, &*dialect);
        match journal.exists(cx).await? {
            true => journal.forget_meta(cx, BEFORE).await,
            false => Ok(()),
        }
    }

    async fn noted_before(&self, cx: &Cx) -> Result<Option<String>> {
        let mut session = self.connect(cx, Access::Read).await?;
        let dialect = self.dialect();
        let mut journal = Journal::new(&mut *session, &*dialect);
        match journal.exists(cx).await? {
            true => journal.meta(cx, BEFORE).await,
            false => Ok(None),
        }
    }

    fn control(&self) -> Result<&dyn Control> {
        self.engine().control().ok_or_else(|| {
            Error::unsupported("a read-only mode", self.engine().info().scheme)
                .hint("stop the application for the time of the maintenance")
        })
    }
}
