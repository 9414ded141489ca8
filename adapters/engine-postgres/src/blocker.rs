//! Who holds what a statement waits for.
//!
//! A statement that gives up waiting does not say for whom, and afterwards nobody can ask: it waits no more. So
//! while a statement runs for long, a second connection asks the server now and then who blocks it.

use std::pin::pin;
use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};
use walkback_core::{Access, Error};

use crate::config::Config;
use crate::connect;
use crate::error::excerpt;

/// The shortest and the longest time between two looks.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// What is known of a session that waits for locks for some time only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// The number of the session's process at the server.
    pub(crate) pid: i32,
    /// How long a statement waits for a lock.
    pub(crate) timeout: Duration,
}

/// Runs work, and notes meanwhile who keeps it waiting.
pub(crate) async fn noting<T>(
    config: &Config,
    patience: Option<Patience>,
    work: impl Future<Output = T>,
) -> (T, Option<String>) {
    let Some(Patience { pid, timeout }) = patience else {
        return (work.await, None);
    };
    let mut work = pin!(work);
    // A wait that comes to its end is seen at least twice.
    let pause = (timeout / 4).clamp(PAUSES[0], PAUSES[1]);
    if let Ok(outcome) = tokio::time::timeout(pause, &mut work).await {
        return (outcome, None);
    }
    let mut found = None;
    let outcome = tokio::select! {
        biased;
        outcome = &mut work => outcome,
        never = watch(config, pid, pause, &mut found) => match never {},
    };
    (outcome, found)
}

/// Adds who it was to the error of a statement that has given up waiting.
pub(crate) fn name(error: Error, blocker: Option<String>) -> Error {
    match blocker {
        Some(blocker) => error.with_context("blocked_by", &blocker).hint(format!(
            "it waited for {blocker}; wait until that is done, or end it with `SELECT pg_terminate_backend(<pid>)`"
        )),
        None => error,
    }
}

async fn watch(
    config: &Config,
    pid: i32,
    pause: Duration,
    found: &mut Option<String>,
) -> std::convert::Infallible {
    let client = match connect::open(config, Access::Read).await {
        Ok((client, _)) => Some(client),
        Err(error) => {
            tracing::debug!(%error, "cannot see who blocks a statement");
            None
        }
    };
    loop {
        let now = match &client {
            Some(client) => blockers(client, pid).await,
            None => None,
        };
        if let Some(now) = now {
            if found.is_none() {
                tracing::warn!("waiting for {now}");
            }
            *found = Some(now);
        }
        tokio::time::sleep(pause).await;
    }
}

/// Returns who blocks a connection. What a user may not see of others' sessions is left out by the server.
async fn blockers(client: &Client, pid: i32) -> Option<String> {
    let sql = format!(
        "SELECT a.pid::text, a.usename::text, a.application_name, coalesce(host(a.client_addr), 'this host'), a.state, \
         floor(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.state_change)))::bigint::text, a.query \
         FROM pg_catalog.pg_stat_activity a WHERE a.pid = ANY (pg_catalog.pg_blocking_pids({pid})) \
         ORDER BY a.xact_start NULLS LAST LIMIT 3"
    );
    let messages = match client.simple_query(&sql).await {
        Ok(messages) => messages,
        Err(error) => {
            tracing::debug!(%error, "cannot see who blocks a statement");
            return None;
        }
    };
    let sessions: Vec<String> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(described(row)),
            _ => None,
        })
        .collect();
    (!sessions.is_empty()).then(|| sessions.join(" and "))
}

fn described(row: &tokio_postgres::SimpleQueryRow) -> String {
    let cell = |index: usize| row.get(index).unwrap_or_default();
    let mut text = format!("session {} of user `{}`", cell(0), cell(1));
    if !cell(2).is_empty() {
        text.push_str(&format!(" (`{}`)", cell(2)));
    }
    text.push_str(&format!(" from {}", cell(3)));
    if !cell(4).is_empty() {
        text.push_str(&format!(", {} for {} s", cell(4), cell(5)));
    }
    if !cell(6).is_empty() {
        text.push_str(&format!(", last statement `{}`", excerpt(cell(6))));
    }
    text
}
