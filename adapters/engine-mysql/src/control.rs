//! Keeping applications from writing: `read_only`.
//!
//! The setting is that of the whole server, all its databases included. A session that is open stays open; what
//! it writes from then on is refused with error 1290, also the commit of a transaction that was begun before.
//! Users with the right `CONNECTION_ADMIN` (MySQL), `READ_ONLY ADMIN` (MariaDB) or `SUPER` go on writing, which
//! is why walkback itself can. `super_read_only` is never used: it would keep walkback out as well.
//!
//! Since it is the whole server's, one program at a time may switch it: it holds a `GET_LOCK` that is the server's as
//! well, and no database's.

use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use walkback_core::engine::{Claim, Control, HolderSession};
use walkback_core::{Access, Cx, Error, ErrorKind, Result};

use crate::call::Line;
use crate::engine::MysqlEngine;
use crate::link::Link;

/// Takes the lock of who switches the mode of the server.
const CLAIM: &str = "SELECT GET_LOCK('walkback-read-only', 0)";

/// After how many seconds of silence the server ends the session of who switches the mode.
const SILENCE: u64 = 30;

/// How often that session gives a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// A session that gives signs of life until this is dropped, and ends then.
struct Alive(tokio::task::JoinHandle<()>);

impl Alive {
    fn on(line: Line) -> Self {
        Self(tokio::spawn(async move {
            let cx = Cx::background();
            loop {
                tokio::time::sleep(SIGN_OF_LIFE).await;
                let said = line.call(&cx, |link| Box::pin(async move { link.run("DO 0").await }));
                if let Err(error) = said.await {
                    tracing::warn!(%error, "the session that keeps the read-only mode for this run has ended");
                    return;
                }
            }
        }))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl Control for MysqlEngine {
    async fn read_only(&self, cx: &Cx) -> Result<bool> {
        let line = self.line(cx, Access::Write).await?;
        line.call(cx, |link| Box::pin(is_read_only(link))).await
    }

    async fn check_read_only(&self, cx: &Cx) -> Result<()> {
        let line = self.line(cx, Access::Read).await?;
        line.call(cx, |link| Box::pin(check(link))).await
    }

    async fn claim_read_only(&self, cx: &Cx) -> Result<Option<Claim>> {
        let line = self.line(cx, Access::Read).await?;
        let taken = line
            .call(cx, |link| {
                Box::pin(async move {
                    // Of a machine that is gone nothing is heard, and the server ends its session.
                    link.run(&format!("SET SESSION wait_timeout = {SILENCE}")).await?;
                    Ok(link.one(CLAIM).await?.as_deref() == Some("1"))
                })
            })
            .await?;
        Ok(taken.then(|| Claim::on(Alive::on(line))))
    }

    async fn before_read_only(&self, _: &Cx) -> Result<String> {
        // What is on already is nobody's here to switch.
        Ok("OFF".to_owned())
    }

    async fn begin_read_only(&self, cx: &Cx, patience: Duration) -> Result<()> {
        let line = self.line(cx, Access::Write).await?;
        line.call(cx, move |link| {
            Box::pin(async move {
                check(link).await?;
                set_read_only(link, "ON", patience).await
            })
        })
        .await
    }

    async fn end_read_only(&self, cx: &Cx, _: Option<&str>, patience: Duration) -> Result<Option<String>> {
        let line = self.line(cx, Access::Write).await?;
        line.call(cx, move |link| Box::pin(set_read_only(link, "OFF", patience)))
            .await?;
        Ok(None)
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

/// Fails where the user would be kept out.
async fn check(link: &mut Link) -> Result<()> {
    if link.writes_past_read_only().await? {
        return Ok(());
    }
    let (right, user) = (link.right_past_read_only(), link.quoted_user().await?);
    Err(Error::new(
        ErrorKind::PermissionDenied,
        format!("a server that is read-only would keep {user} out as well"),
    )
    .hint(format!("GRANT {right} ON *.* TO {user}")))
}

async fn set_read_only(link: &mut Link, value: &str, patience: Duration) -> Result<()> {
    // The server waits for tables that somebody has locked, and for commits.
    link.run(&format!(
        "SET SESSION lock_wait_timeout = {}",
        patience.as_secs().max(1)
    ))
    .await?;
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
