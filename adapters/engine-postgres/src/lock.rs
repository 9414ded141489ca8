//! Advisory locks of the server, which die with the session, and how long to wait for any lock.
//!
//! A lock is `pg_advisory_lock` of a 64-bit key: the beginning of a hash of `walkback` and its name, so that the
//! small numbers other programs use do not collide with it. Who holds it stands in a comment of the statement that
//! took it, which `pg_stat_activity` shows as long as the session runs nothing else; after that, and to users who
//! may not see statements of others, the connection is named.

use std::time::Duration;

use walkback_core::engine::{HolderSession, LockAttempt, LockHolder};
use walkback_core::{Cx, Result};

use crate::blocker::Patience;
use crate::error::{self, misused};
use crate::link::Link;

/// What is hashed before the name of a lock.
const NAMESPACE: &str = "walkback advisory lock\0";

/// What the comment with the holder begins with.
const MARK: &str = "/* walkback holder: ";

/// Finds who holds the lock whose key is the first parameter.
const FIND_HOLDER: &str = "\
SELECT a.pid::text, a.query, a.usename::text, a.application_name, coalesce(host(a.client_addr), 'this host'), \
       to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND l.classid::bigint = (($1::text::bigint >> 32) & 4294967295)
  AND l.objid::bigint = ($1::text::bigint & 4294967295)
LIMIT 1";

/// Finds the session that holds the lock whose key is the first parameter, and when its client was heard of.
const FIND_SESSION: &str = "\
SELECT a.pid::text, a.usename::text, a.application_name, coalesce(host(a.client_addr), 'this host'), \
       floor(greatest(0, extract(epoch FROM clock_timestamp() - \
             greatest(a.state_change, a.query_start, a.backend_start))))::bigint::text, \
       CASE WHEN a.state = 'active' THEN left(a.query, 80) END
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND l.classid::bigint = (($1::text::bigint >> 32) & 4294967295)
  AND l.objid::bigint = ($1::text::bigint & 4294967295)
LIMIT 1";

/// How often it is asked whether a session that was ended is gone.
const AGAIN: Duration = Duration::from_millis(20);

/// A lock that one session holds.
#[derive(Debug)]
struct Held {
    name: String,
    /// The comment that names the holder.
    mark: String,
}

/// The locks that one session holds.
#[derive(Debug, Default)]
pub(crate) struct Locks(Vec<Held>);

impl Locks {
    /// Tries once to take a lock.
    pub(crate) async fn attempt(
        &mut self,
        link: &mut Link,
        cx: &Cx,
        name: &str,
        holder: &LockHolder,
    ) -> Result<LockAttempt> {
        if self.0.iter().any(|held| held.name == name) {
            return Err(misused(format!("this session holds the lock `{name}` already")));
        }
        cx.check()?;
        link.tidy().await?;
        let key = key_of(name);
        let mark = format!("{MARK}{} */", comment_of(holder));
        let sql = format!("{mark} SELECT pg_catalog.pg_try_advisory_lock({key})::text");
        let rows = link.texts(cx, &sql, &[]).await?;
        if rows.first().is_some_and(|row| row.is(0)) {
            let name = name.to_owned();
            self.0.push(Held { name, mark });
            return Ok(LockAttempt::Taken);
        }
        let key = key.to_string();
        let rows = link.texts(cx, FIND_HOLDER, &[&key]).await?;
        Ok(LockAttempt::Held(rows.first().map(|row| {
            read_comment(row.get(1)).unwrap_or_else(|| LockHolder {
                who: format!(
                    "connection {} of user `{}` (`{}`) from {}",
                    row.get(0),
                    row.get(2),
                    row.get(3),
                    row.get(4)
                ),
                since: row.get(5).parse().ok(),
            })
        })))
    }

    /// Frees a lock.
    pub(crate) async fn free(&mut self, link: &mut Link, cx: &Cx, name: &str) -> Result<()> {
        let Some(index) = self.0.iter().position(|held| held.name == name) else {
            return Err(misused(format!("this session does not hold the lock `{name}`")));
        };
        link.tidy().await?;
        // The last statement of a session is what names the holder of the lock that it keeps.
        let kept = self.0.iter().find(|held| held.name != name);
        let sql = format!(
            "{} SELECT pg_catalog.pg_advisory_unlock({})::text",
            kept.map_or("", |held| &held.mark),
            key_of(name)
        );
        let rows = link.texts(cx, &sql, &[]).await?;
        self.0.remove(index);
        if rows.first().is_some_and(|row| row.is(0)) {
            return Ok(());
        }
        Err(misused(format!(
            "the server does not know that this session holds the lock `{name}`"
        ))
        .hint("a connection pooler in transaction mode stands between; connect to the server directly"))
    }
}

impl Link {
    /// Returns the session that holds a lock.
    pub(crate) async fn lock_session(&mut self, cx: &Cx, name: &str) -> Result<Option<HolderSession>> {
        let key = key_of(name).to_string();
        let rows = self.texts(cx, FIND_SESSION, &[&key]).await?;
        Ok(rows.first().map(|row| {
            let who = format!("user `{}` (`{}`) from {}", row.get(1), row.get(2), row.get(3));
            let silent = Duration::from_secs(row.get(4).parse().unwrap_or_default());
            let runs = Some(row.get(5)).filter(|runs| !runs.is_empty());
            HolderSession::new(row.get(0).to_owned(), who, silent, runs.map(error::excerpt))
        }))
    }

    /// Ends a session, and waits until it is gone.
    pub(crate) async fn end_session(&mut self, cx: &Cx, id: &str) -> Result<()> {
        let sql = "SELECT pg_catalog.pg_terminate_backend(pid)::text FROM pg_catalog.pg_stat_activity \
                   WHERE pid = $1::text::integer";
        while !self.texts(cx, sql, &[id]).await?.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                ended = cx.ended() => return Err(ended),
            }
        }
        Ok(())
    }

    /// Sets how long a statement waits for a lock.
    pub(crate) async fn set_lock_timeout(&mut self, cx: &Cx, timeout: Duration) -> Result<()> {
        self.batch(cx, &timeout_statement(timeout)).await?;
        let pid = match self.patience {
            Some(patience) => patience.pid,
            None => {
                let pid = self
                    .one_text(cx, "SELECT pg_catalog.pg_backend_pid()::text")
                    .await?;
                pid.parse().map_err(|_| error::lost())?
            }
        };
        // A rollback takes the setting back; it is then made again.
        self.patience = Some(Patience { pid, timeout });
        Ok(())
    }
}

/// Returns the statement that sets a lock timeout. For the server, zero is for ever.
pub(crate) fn timeout_statement(timeout: Duration) -> String {
    let longest = u128::from(i32::MAX.unsigned_abs());
    format!("SET lock_timeout = {}", timeout.as_millis().clamp(1, longest))
}

fn key_of(name: &str) -> i64 {
    let hash = blake3::hash(format!("{NAMESPACE}{name}").as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    i64::from_be_bytes(first)
}

/// Writes a holder so that it cannot end the comment it stands in, nor begin another one.
fn comment_of(holder: &LockHolder) -> String {
    let text = serde_json::to_string(holder).unwrap_or_default();
    text.replace('/', "\\u002f").replace('*', "\\u002a")
}

fn read_comment(query: &str) -> Option<LockHolder> {
    let (text, _) = query.strip_prefix(MARK)?.split_once(" */")?;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_comes_back_from_the_comment_it_stands_in() {
        let holder = LockHolder {
            who: "*/ DROP TABLE t; /* $1 'a' \"b\" 😀\n\\".to_owned(),
            since: None,
        };
        let sql = format!("{MARK}{} */ SELECT 1", comment_of(&holder));
        assert_eq!(sql.matches("*/").count(), 1);
        assert_eq!(read_comment(&sql), Some(holder));
        assert_eq!(read_comment("SELECT 1"), None);
        assert_eq!(read_comment(&sql[..40]), None);
    }

    #[test]
    fn keys_are_far_from_small_numbers_and_from_each_other() {
        assert!(key_of("walkback").unsigned_abs() > 1 << 40);
        assert_ne!(key_of("walkback"), key_of("Walkback"));
    }

    #[test]
    fn no_timeout_is_for_ever() {
        assert_eq!(timeout_statement(Duration::ZERO), "SET lock_timeout = 1");
        assert_eq!(
            timeout_statement(Duration::MAX),
            format!("SET lock_timeout = {}", i32::MAX)
        );
    }
}
