//! How a server takes the values that are written back.

use walkback_core::engine::SessionExt as _;
use walkback_core::{Cx, DialectKind, Result};

use crate::execute::Execution;

/// A zero is no call for the next number, and a date that was there before is one; all else is as strict as can be.
const AS_THEY_ARE: &str = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES";

impl Execution<'_> {
    /// Lets MySQL take values as they were. Returns what it did with them before.
    pub(super) async fn take_as_they_are(&mut self, cx: &Cx) -> Result<Option<String>> {
        if self.dialect.kind() != DialectKind::Mysql {
            return Ok(None);
        }
        let row = self
            .session
            .fetch_optional(cx, "SELECT CAST(@@SESSION.sql_mode AS CHAR)", &[])
            .await?;
        let before = row.and_then(|row| row[0].as_str().map(str::to_owned));
        self.set_mode(cx, AS_THEY_ARE).await?;
        Ok(before)
    }

    /// Lets it take them again as it did before.
    pub(super) async fn take_as_before(&mut self, cx: &Cx, before: Option<String>) -> Result<()> {
        match before {
            Some(mode) => self.set_mode(&cx.shielded(), &mode).await,
            None => Ok(()),
        }
    }

    async fn set_mode(&mut self, cx: &Cx, mode: &str) -> Result<()> {
        let mode = self.dialect.literal(&walkback_core::Value::Text(mode.to_owned()));
        self.session
            .execute(cx, &format!("SET SESSION sql_mode = {mode}"), &[])
            .await
            .map(drop)
    }
}
