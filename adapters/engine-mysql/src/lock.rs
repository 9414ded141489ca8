//! Locks: `GET_LOCK`, which the server frees when the connection ends, however it ends.

use std::time::Duration;

use walkback_core::engine::{HolderSession, LockAttempt, LockHolder};
use walkback_core::{Error, ErrorKind, Result};

use crate::dialect::literal;
use crate::link::Link;

/// How many hexadecimal digits of a hash make a name; with what is before them it fits into the 64 characters
/// that MySQL allows.
const DIGITS: usize = 48;

/// How often it is asked whether a session that was ended is gone.
const AGAIN: Duration = Duration::from_millis(20);

impl Link {
    /// Tries once to take a lock.
    pub(crate) async fn try_lock(&mut self, name: &str) -> Result<LockAttempt> {
        if self.locks.contains_key(name) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("this session holds the lock `{name}` already"),
            ));
        }
        let on_server = self.name_of(name);
        let lock = literal(&on_server);
        if self.one(&format!("SELECT GET_LOCK({lock}, 0)")).await?.as_deref() == Some("1") {
            self.locks.insert(name.to_owned(), on_server);
            return Ok(LockAttempt::Taken);
        }
        let holder = self.one(&format!("SELECT IS_USED_LOCK({lock})")).await?;
        match holder.and_then(|id| id.parse().ok()) {
            Some(id) => Ok(LockAttempt::Held(Some(self.holder(id).await?))),
            None => Ok(LockAttempt::Held(None)),
        }
    }

    /// Frees a lock.
    pub(crate) async fn unlock(&mut self, name: &str) -> Result<()> {
        let Some(on_server) = self.locks.remove(name) else {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("this session does not hold the lock `{name}`"),
            ));
        };
        let sql = format!("SELECT RELEASE_LOCK({})", literal(&on_server));
        match self.one(&sql).await?.as_deref() {
            Some("1") => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Database,
                format!("the server had freed the lock `{name}` already"),
            )),
        }
    }

    /// Sets how long a statement waits for what another session holds.
    pub(crate) async fn set_lock_timeout(&mut self, timeout: Duration) -> Result<()> {
        let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        // A year is the longest that both settings take.
        let seconds = seconds.clamp(1, 31_536_000);
        self.run(&format!(
            "SET SESSION lock_wait_timeout = {seconds}, SESSION innodb_lock_wait_timeout = {seconds}"
        ))
        .await?;
        self.has_lock_timeout = true;
        Ok(())
    }

    /// Says who a connection is. Without the right `PROCESS` the server tells of one's own user only.
    pub(crate) async fn holder(&mut self, id: u64) -> Result<LockHolder> {
        let sql = format!(
            "SELECT USER, HOST, COMMAND, TIME, LEFT(INFO, 80) FROM information_schema.PROCESSLIST WHERE ID = {id}"
        );
        let rows = self.texts(&sql).await?;
        let mut who = format!("connection {id}");
        if let Some([user, host, command, time, info]) = rows.first().map(Vec::as_slice) {
            let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
            who.push_str(&format!(" of {}@{}", text(user), text(host)));
            match info {
                Some(info) => who.push_str(&format!(" (runs `{}`)", crate::error::excerpt(info))),
                None => who.push_str(&format!(" ({} for {} s)", text(command), text(time))),
            }
        }
        Ok(LockHolder { who, since: None })
    }

    /// Returns the session that holds a lock, and since when it was not heard of. While it runs a statement, that is how long
    /// the statement has run.
    pub(crate) async fn lock_session(&mut self, name: &str) -> Result<Option<HolderSession>> {
        let lock = literal(&self.name_of(name));
        let sql = format!(
            "SELECT ID, USER, HOST, TIME, LEFT(INFO, 80) FROM information_schema.PROCESSLIST \
             WHERE ID = IS_USED_LOCK({lock})"
        );
        let rows = self.texts(&sql).await?;
        let is_held = self.one(&format!("SELECT IS_USED_LOCK({lock})")).await?.is_some();
        if rows.is_empty() && is_held {
            let user = self.quoted_user().await?;
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "the session that holds the lock is another user's, which this user may not see",
            )
            .hint(format!("GRANT PROCESS ON *.* TO {user}")));
        }
        Ok(rows.first().and_then(|row| {
            let text = |at: usize| row.get(at).cloned().flatten();
            let who = format!("{}@{}", text(1).unwrap_or_default(), text(2).unwrap_or_default());
            let silent = text(3)
                .and_then(|seconds| seconds.parse().ok())
                .unwrap_or_default();
            let runs = text(4).map(|runs| crate::error::excerpt(&runs));
            Some(HolderSession::new(
                text(0)?,
                who,
                Duration::from_secs(silent),
                runs,
            ))
        }))
    }

    /// Ends a session, and waits until it is gone.
    pub(crate) async fn end_session(&mut self, id: &str) -> Result<()> {
        let Ok(id) = id.parse::<u64>() else {
            return Err(Error::internal(format!("`{id}` is no number of a session")));
        };
        let is_there = format!("SELECT count(*) FROM information_schema.PROCESSLIST WHERE ID = {id}");
        let mut told = false;
        while self.one(&is_there).await?.as_deref() != Some("0") {
            if !told && let Err(error) = self.run(&format!("KILL CONNECTION {id}")).await {
                // 1094: it went by itself.
                if !error.to_string().contains("Unknown thread") {
                    return Err(error);
                }
            }
            told = true;
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }

    /// Locks are those of a whole server, and their names do not tell upper from lower case.
    fn name_of(&self, name: &str) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.database.as_bytes());
        hasher.update(&[0]);
        hasher.update(name.as_bytes());
        format!("walkback.{}", &hasher.finalize().to_hex()[..DIGITS])
    }
}
