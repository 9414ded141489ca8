//! Maintenance: applications are kept from writing while somebody works on the database.

use walkback_core::engine::Control;
use walkback_core::{Cx, Error, Result};

use crate::gate;
use crate::lock::Lock;
use crate::runner::Runner;
use crate::settings::Consent;

impl Runner {
    /// Returns whether applications are kept from writing.
    ///
    /// # Errors
    /// `Unsupported` if the engine has no such mode.
    pub async fn read_only(&self, cx: &Cx) -> Result<bool> {
        self.control()?.read_only(cx).await
    }

    /// Keeps applications from writing, or lets them again. Runs of walkback still write. It stays so when
    /// this process ends, however it ends.
    ///
    /// # Errors
    /// `Unsupported` if the engine has no such mode, `Refused` by the policy, `Locked` if somebody else runs,
    /// `PermissionDenied` if the user of the connection may not.
    pub async fn set_read_only(&self, cx: &Cx, read_only: bool, consent: &Consent) -> Result<()> {
        let control = self.control()?;
        gate::change(self.settings(), consent)?;
        let _lock = Lock::take(self, cx, "maintenance").await?;
        // From here on it is a person's, and no run's to end.
        self.release_after_kill(cx).await?;
        control.set_read_only(cx, read_only).await
    }

    fn control(&self) -> Result<&dyn Control> {
        self.engine().control().ok_or_else(|| {
            Error::unsupported("a read-only mode", self.engine().info().scheme)
                .hint("stop the application for the time of the maintenance")
        })
    }
}
