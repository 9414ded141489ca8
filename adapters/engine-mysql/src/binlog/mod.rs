//! Going forward by the binary log: from the place in it that a backup names to any moment since.
//!
//! Rows are done again by the server itself: the events go back to it as they are, in `BINLOG` statements, with the name of
//! the database changed. Definitions are run as they were written, in the setting they were written in.

mod apply;
mod bodies;
mod check;
mod elsewhere;
mod event;
mod group;
mod packed;
mod position;
mod query;
mod run;
mod spot;
mod statement;
mod unread;
mod xa;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use walkback_core::replay::{Lack, LogPosition, Replay, ReplayRequest, Replayed};
use walkback_core::{Access, Cx, Error, ErrorKind, Result};

use crate::engine::MysqlEngine;
use crate::link::Link;
use apply::Replaying;
use spot::Spot;

#[async_trait]
impl Replay for MysqlEngine {
    async fn check(&self, cx: &Cx) -> Result<Vec<Lack>> {
        let line = self.line(cx, Access::Read).await?;
        line.call(cx, |link| Box::pin(check::check(link))).await
    }

    fn moment(&self, at: &LogPosition) -> Result<DateTime<Utc>> {
        Spot::parse(at)?.moment()
    }

    async fn reach(&self, cx: &Cx, from: &LogPosition) -> Result<u64> {
        let line = self.line(cx, Access::Read).await?;
        let spot = Spot::parse(from)?;
        line.call(cx, move |link| Box::pin(async move { reach(link, &spot).await }))
            .await
    }

    async fn replay(&self, cx: &Cx, request: &ReplayRequest) -> Result<Replayed> {
        let spot = Spot::parse(&request.from)?;
        let line = self.line(cx, Access::Read).await?;
        let within = spot.clone();
        let length = line
            .call(cx, move |link| {
                Box::pin(async move { reach(link, &within).await })
            })
            .await?;
        let task = cx.progress().begin(
            "going forward by the binary log",
            walkback_core::cx::Unit::Bytes,
            Some(length),
        );
        let replaying = Box::pin(Replaying::begin(cx, &self.config, spot, request)).await?;
        let replayed = Box::pin(replaying.run(cx, &*task)).await;
        drop(task);
        replayed
    }
}

/// Returns how many bytes of log there are behind a place. Fails if it is gone, or another server's.
async fn reach(link: &mut Link, spot: &Spot) -> Result<u64> {
    let here = link.server_name().await?;
    if here != spot.server {
        return Err(Error::not_found(format!(
            "the binary log is that of the server `{}`, and this one is `{here}`",
            spot.server
        ))
        .hint("go forward on the server that the backup was made of"));
    }
    let mut length = 0_u64;
    let mut is_there = false;
    for row in link.texts("SHOW BINARY LOGS").await? {
        let [Some(file), Some(size), ..] = &row[..] else {
            continue;
        };
        let size: u64 = size.parse().unwrap_or(0);
        if *file == spot.file {
            is_there = size >= spot.offset;
            length = size.saturating_sub(spot.offset);
        } else if is_there {
            length = length.saturating_add(size);
        }
    }
    if is_there { Ok(length) } else { Err(gone(spot)) }
}

/// Says that the log behind a place is not there any more.
fn gone(spot: &Spot) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("the server has removed its binary log `{}`", spot.file),
    )
    .hint(
        "keep the logs for longer than the time between two backups: SET GLOBAL binlog_expire_logs_seconds = 604800",
    )
}
