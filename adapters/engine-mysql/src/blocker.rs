//! Who holds what a statement waits for.
//!
//! A statement that gives up waiting does not say for whom, and afterwards nobody can ask: it waits no more. So
//! while a statement runs for long, a second connection asks the server now and then who blocks it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use walkback_core::{Access, Error, ErrorKind, Result};

use crate::config::Config;
use crate::link::Link;

/// How often to ask. The shortest time that the server lets a statement wait is a second.
const PAUSE: Duration = Duration::from_millis(250);

/// The longest time between two questions.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How many of those that block are named.
const NAMED: usize = 3;

/// Runs work, and notes meanwhile who keeps this connection waiting, if that is asked for.
pub(crate) async fn naming<T>(
    asks: Option<(&Arc<Config>, u64)>,
    mut work: impl Future<Output = Result<T>> + Unpin,
) -> Result<T> {
    let Some((config, id)) = asks else {
        return work.await;
    };
    if let Ok(outcome) = tokio::time::timeout(PAUSE, &mut work).await {
        return outcome;
    }
    let mut found = None;
    let outcome = tokio::select! {
        biased;
        outcome = &mut work => outcome,
        never = watch(config, id, &mut found) => match never {},
    };
    match (outcome, found) {
        (Err(error), Some(blocker)) if error.kind() == ErrorKind::Locked => Err(name(error, &blocker)),
        (outcome, _) => outcome,
    }
}

fn name(error: Error, blocker: &str) -> Error {
    error.with_context("blocked_by", blocker).hint(format!(
        "it waited for {blocker}; wait until that is done, or end it with `KILL <number of the connection>`"
    ))
}

async fn watch(config: &Arc<Config>, id: u64, found: &mut Option<String>) -> Infallible {
    let mut link = Link::open(Arc::clone(config), Access::Read).await;
    if let Err(error) = &link {
        tracing::debug!(%error, "cannot see who blocks a statement");
    }
    let mut pause = PAUSE;
    loop {
        if let Ok(link) = &mut link
            && let Some(now) = link.blockers_of(id).await
        {
            if found.is_none() {
                tracing::warn!("waiting for {now}");
            }
            *found = Some(now);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Link {
    /// Says who blocks a connection, as well as the server tells this user.
    async fn blockers_of(&mut self, id: u64) -> Option<String> {
        let sure = if self.server.is_mariadb {
            self.first_that_answers(&[in_metadata_plugin(id), in_innodb(id)])
                .await
        } else {
            self.first_that_answers(&[in_performance_schema(id)]).await
        };
        if !sure.is_empty() {
            return Some(self.named(&sure).await);
        }
        // Which session holds a table is not said then; one that has a transaction open may.
        let perhaps = self.first_that_answers(&[with_transactions(id)]).await;
        if perhaps.is_empty() {
            return None;
        }
        Some(format!("probably {}", self.named(&perhaps).await))
    }

    /// Returns the connections that the first of these queries gives that gives any.
    async fn first_that_answers(&mut self, queries: &[String]) -> Vec<u64> {
        for sql in queries {
            match self.texts(sql).await {
                Ok(rows) if !rows.is_empty() => {
                    let cells = rows
                        .into_iter()
                        .filter_map(|row| row.into_iter().next().flatten());
                    return cells.filter_map(|cell| cell.parse().ok()).collect();
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "cannot see who blocks a statement"),
            }
        }
        Vec::new()
    }

    async fn named(&mut self, ids: &[u64]) -> String {
        let mut names = Vec::new();
        for id in ids.iter().take(NAMED) {
            match self.holder(*id).await {
                Ok(holder) => names.push(holder.who),
                Err(_) => names.push(format!("connection {id}")),
            }
        }
        names.join(" and ")
    }
}

/// MySQL: locks on definitions and on rows.
fn in_performance_schema(id: u64) -> String {
    format!(
        "SELECT DISTINCT holder.PROCESSLIST_ID FROM performance_schema.threads me \
         JOIN performance_schema.metadata_locks wanted \
           ON wanted.OWNER_THREAD_ID = me.THREAD_ID AND wanted.LOCK_STATUS = 'PENDING' \
         JOIN performance_schema.metadata_locks held ON held.OBJECT_TYPE = wanted.OBJECT_TYPE \
           AND held.OBJECT_SCHEMA <=> wanted.OBJECT_SCHEMA AND held.OBJECT_NAME <=> wanted.OBJECT_NAME \
           AND held.LOCK_STATUS = 'GRANTED' AND held.OWNER_THREAD_ID <> wanted.OWNER_THREAD_ID \
         JOIN performance_schema.threads holder ON holder.THREAD_ID = held.OWNER_THREAD_ID \
         WHERE me.PROCESSLIST_ID = {id} AND holder.PROCESSLIST_ID IS NOT NULL \
         UNION SELECT holder.PROCESSLIST_ID FROM performance_schema.threads me \
         JOIN performance_schema.data_lock_waits waits ON waits.REQUESTING_THREAD_ID = me.THREAD_ID \
         JOIN performance_schema.threads holder ON holder.THREAD_ID = waits.BLOCKING_THREAD_ID \
         WHERE me.PROCESSLIST_ID = {id} AND holder.PROCESSLIST_ID IS NOT NULL"
    )
}

/// MariaDB: locks on rows.
fn in_innodb(id: u64) -> String {
    format!(
        "SELECT DISTINCT holder.trx_mysql_thread_id FROM information_schema.INNODB_TRX me \
         JOIN information_schema.INNODB_LOCK_WAITS waits ON waits.requesting_trx_id = me.trx_id \
         JOIN information_schema.INNODB_TRX holder ON holder.trx_id = waits.blocking_trx_id \
         WHERE me.trx_mysql_thread_id = {id}"
    )
}

/// MariaDB, where the plugin `metadata_lock_info` is loaded: locks on the definitions of tables.
fn in_metadata_plugin(id: u64) -> String {
    format!(
        "SELECT DISTINCT held.THREAD_ID FROM information_schema.METADATA_LOCK_INFO held \
         JOIN information_schema.PROCESSLIST me ON me.ID = {id} AND me.STATE LIKE 'Waiting for%lock' \
         WHERE held.THREAD_ID <> {id} AND held.TABLE_NAME <> '' \
         AND me.INFO LIKE CONCAT('%', held.TABLE_NAME, '%')"
    )
}

/// Sessions with an open transaction, if the connection waits for something; the oldest first.
fn with_transactions(id: u64) -> String {
    format!(
        "SELECT other.trx_mysql_thread_id FROM information_schema.INNODB_TRX other \
         JOIN information_schema.PROCESSLIST me ON me.ID = {id} AND me.STATE LIKE 'Waiting for%lock' \
         WHERE other.trx_mysql_thread_id NOT IN (0, {id}) ORDER BY other.trx_started"
    )
}
