//! Keeping applications from writing: `read_only`.
//!
//! The setting is that of the whole server, all its databases included. A session that is open stays open; what
//! it writes from then on is refused with error 1290, also the commit of a transaction that was begun before.
//! Users with the right `CONNECTION_ADMIN` (MySQL), `READ_ONLY ADMIN` (MariaDB) or `SUPER` go on writing, which
//! is why walkback itself can. `super_read_only` is never used: it would keep walkback out as well.

use async_trait::async_trait;
use std::sync::Arc;
use walkback_core::engine::{Control, HolderSession};
use walkback_core::{Access, Cx, Error, ErrorKind, Result};

use crate::call::Line;
use crate::engine::MysqlEngine;
use crate::link::Link;

#[async_trait]
impl Control for MysqlEngine {
    async fn read_only(&self, cx: &Cx) -> Result<bool> {
        let line = self.line(cx, Access::Write).await?;
        line.call(cx, |link| Box::pin(is_read_only(link))).await
    }

    async fn set_read_only(&self, cx: &Cx, read_only: bool) -> Result<()> {
        let line = self.line(cx, Access::Write).await?;
        line.call(cx, move |link| Box::pin(set_read_only(link, read_only)))
            .await
    }

    async fn lock_session(&self, cx: &Cx, lock: &str) -> Result<Option<HolderSession>> {
        let line = self.line(cx, Access::Read).await?;
        let lock = lock.to_owned();
        line.call(cx, move |link| {
            Box::pin(async move { link.lock_session(&lock).await })
        })
        .await
    }

    async fn end_session(&self, cx: &Cx, id: &str) -> Result<()> {
        let line = self.line(cx, Access::Read).await?;
        let id = id.to_owned();
        line.call(cx, move |link| {
            Box::pin(async move { link.end_session(&id).await })
        })
        .await
    }
}

impl MysqlEngine {
    /// Opens a connection for one call.
    pub(crate) async fn line(&self, cx: &Cx, access: Access) -> Result<Line> {
        cx.check()?;
        Ok(Line::new(Link::open(Arc::clone(&self.config), access).await?))
    }
}

async fn is_read_only(link: &mut Link) -> Result<bool> {
    let value = link.one("SELECT @@GLOBAL.read_only").await?.unwrap_or_default();
    // MariaDB 12 has levels with names.
    Ok(!matches!(value.as_str(), "0" | "OFF"))
}

async fn set_read_only(link: &mut Link, read_only: bool) -> Result<()> {
    if read_only && !link.writes_past_read_only().await? {
        let (right, user) = (link.right_past_read_only(), link.quoted_user().await?);
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            format!("a server that is read-only would keep {user} out as well"),
        )
        .hint(format!("GRANT {right} ON *.* TO {user}")));
    }
    let value = if read_only { "ON" } else { "OFF" };
    let outcome = link.run(&format!("SET GLOBAL read_only = {value}")).await;
    match outcome {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let right = if link.server.is_mariadb {
                "READ_ONLY ADMIN"
            } else {
                "SYSTEM_VARIABLES_ADMIN"
            };
            let user = link.quoted_user().await?;
            Err(error.hint(format!("GRANT {right} ON *.* TO {user}")))
        }
        outcome => outcome,
    }
}
