//! Where the binary log stands at a snapshot.
//!
//! MariaDB says it by itself for a consistent snapshot. MySQL does not, and nothing short of a moment without commits tells
//! it: a transaction is in the log before others see it, and in the list of those that are done after that. So there the
//! snapshot is taken, and the log asked, while writers are kept out, as `mysqldump --source-data` does; but for no longer
//! than a short while, since everyone waits meanwhile, and a backup without a place in the log is better than that.

use std::sync::Arc;
use std::time::Duration;

use walkback_core::replay::LogPosition;
use walkback_core::{Access, ErrorKind, Result};

use super::spot::Spot;
use crate::link::Link;

/// How long to wait for a moment without writers.
const PATIENCE: Duration = Duration::from_secs(2);

impl Link {
    /// Returns where the log stood at the snapshot of the current transaction.
    pub(crate) async fn log_position(&mut self) -> Result<Option<LogPosition>> {
        match &self.transaction {
            Some(open) if open.position.is_some() => return Ok(open.position.clone()),
            Some(open) if open.is_unread() => {}
            _ => return Ok(None),
        }
        let outcome = if self.server.is_mariadb {
            self.spot_of_snapshot().await
        } else {
            Box::pin(self.spot_at_standstill()).await
        };
        let spot = match outcome {
            Err(error) if is_no_way(error.kind()) => {
                tracing::info!(%error, "where the binary log stands cannot be told");
                None
            }
            outcome => outcome?,
        };
        let position = spot.as_ref().map(Spot::position);
        if let Some(open) = &mut self.transaction {
            open.position.clone_from(&position);
        }
        Ok(position)
    }

    /// Asks a snapshot of MariaDB.
    pub(crate) async fn spot_of_snapshot(&mut self) -> Result<Option<Spot>> {
        let rows = self.texts("SHOW SESSION STATUS LIKE 'binlog_snapshot%'").await?;
        let find = |name: &str| {
            let mut rows = rows.iter();
            rows.find_map(|row| match &row[..] {
                [Some(found), Some(value)] if found.eq_ignore_ascii_case(name) => Some(value.clone()),
                _ => None,
            })
        };
        let (file, offset) = (find("binlog_snapshot_file"), find("binlog_snapshot_position"));
        self.spot(file, offset).await
    }

    /// Takes the snapshot anew, at a moment at which nobody writes.
    async fn spot_at_standstill(&mut self) -> Result<Option<Spot>> {
        // Nobody is kept waiting for nothing.
        if self.spot_now().await?.is_none() {
            return Ok(None);
        }
        let mut guard = Self::open(Arc::clone(self.place.config()), Access::Write).await?;
        let covered = guard.keep_writers_out(PATIENCE).await?;
        let outcome = async {
            self.finish("ROLLBACK").await?;
            self.begin_reading().await?;
            guard.spot_behind(covered.as_deref()).await
        }
        .await;
        let freed = guard.finish("UNLOCK TABLES").await;
        freed.and(outcome)
    }

    /// Returns where the log stands while this session keeps writers out: of these tables, or of everything.
    pub(crate) async fn spot_behind(&mut self, covered: Option<&[String]>) -> Result<Option<Spot>> {
        let spot = self.spot_now().await?;
        // A table that was made meanwhile is written to.
        match covered {
            Some(covered) if self.tables_here().await? != covered => Ok(None),
            _ => Ok(spot),
        }
    }

    /// Returns where the log stands now, `None` if there is none.
    pub(crate) async fn spot_now(&mut self) -> Result<Option<Spot>> {
        let rows = match self.texts("SHOW BINARY LOG STATUS").await {
            Err(error) if error.kind() != ErrorKind::PermissionDenied => {
                self.texts("SHOW MASTER STATUS").await?
            }
            outcome => outcome?,
        };
        let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
        let (file, offset) = (row.next().flatten(), row.next().flatten());
        self.spot(file, offset).await
    }

    async fn spot(&mut self, file: Option<String>, offset: Option<String>) -> Result<Option<Spot>> {
        let offset = offset.and_then(|offset| offset.parse().ok());
        let (Some(file), Some(offset)) = (file.filter(|file| !file.is_empty()), offset) else {
            return Ok(None);
        };
        // What is prepared is in the log before this place, and counts only behind it.
        match self.texts("XA RECOVER").await {
            Ok(prepared) if !prepared.is_empty() => {
                tracing::info!("distributed transactions are prepared: no place in the log is noted");
                return Ok(None);
            }
            // Whoever may not ask: then what they have written is refused where the log says that it counts.
            Err(error) if !may_not_ask(&error) => return Err(error),
            _ => {}
        }
        let gtid = if self.server.is_mariadb {
            format!("SELECT BINLOG_GTID_POS('{}', {offset})", file.replace('\'', "''"))
        } else {
            "SELECT @@GLOBAL.gtid_executed".to_owned()
        };
        let gtid = self.one(&gtid).await?.unwrap_or_default();
        let time = self
            .one("SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)")
            .await?;
        Ok(Some(Spot {
            file,
            offset,
            micros: time.and_then(|time| time.parse().ok()).unwrap_or_default(),
            server: self.server_name().await?,
            gtid,
        }))
    }

    /// Returns what tells this server from others.
    pub(crate) async fn server_name(&mut self) -> Result<String> {
        let sql = if self.server.is_mariadb {
            "SELECT CONCAT(@@GLOBAL.server_id, '@', @@GLOBAL.hostname, ':', @@GLOBAL.port)"
        } else {
            "SELECT @@GLOBAL.server_uuid"
        };
        let name = self.one(sql).await?.unwrap_or_default();
        Ok(name.split_whitespace().collect())
    }
}

/// Returns whether a failure means that the user may not ask for prepared transactions, which MySQL says in words of its own.
fn may_not_ask(error: &walkback_core::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied
        || crate::error::sent_code(error).is_some_and(|code| code == "1401")
}

/// Returns whether a failure means only that the place cannot be told.
fn is_no_way(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::PermissionDenied | ErrorKind::Locked | ErrorKind::Unsupported
    )
}
