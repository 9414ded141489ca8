//! What the doctor says about going back to a moment.

use walkback_core::Cx;

use crate::doctor::Check;
use crate::runner::Runner;

/// The name of the check.
pub(super) const NAME: &str = "point in time";

impl Runner {
    /// Checks whether the log of the server is there to go forward by, from a backup to any moment since.
    pub(crate) async fn check_past(&self, cx: &Cx) -> Vec<Check> {
        if let Some(recovery) = self.engine().recovery() {
            return self.check_recovery(cx, recovery).await;
        }
        let Some(replay) = self.engine().replay() else {
            return vec![Check::ok(
                NAME,
                "there is no log to go forward by: `restore --to-time .. --nearest` takes the newest backup from before",
            )];
        };
        match replay.check(cx).await {
            Err(error) => vec![Check::fail(NAME, &error)],
            Ok(lacks) if lacks.is_empty() => vec![Check::ok(
                NAME,
                "backups say where the log stands, and `restore --to-time` goes forward from them",
            )],
            Ok(lacks) => lacks
                .into_iter()
                .map(|lack| Check::warn(NAME, lack.what, lack.remedy))
                .collect(),
        }
    }
}
