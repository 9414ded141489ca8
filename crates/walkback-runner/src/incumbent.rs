//! The lock of the tool that a ledger belongs to, where that is a row in a table: held while a run changes something, so that the
//! tool waits for walkback as walkback waits for it.
//!
//! Such a row is not freed with a session. Every way out of a run frees it; after a kill the next run does, which knows it by
//! its holder: whoever holds walkback's own lock is the only walkback at work on the database.

use std::sync::Arc;
use std::time::Instant;

use walkback_core::engine::{Begin, SessionExt as _};
use walkback_core::ledger::{LedgerFormat, LedgerLock};
use walkback_core::value::Value;
use walkback_core::{Access, Cx, Dialect, Engine, Error, ErrorKind, Result, Session};

use crate::journal::bind;
use crate::runner::Runner;

/// How the holder begins while it is walkback.
const OURS: &str = "walkback ";

/// How many characters the column of the holder takes.
const LONGEST_HOLDER: usize = 255;

/// The row of the tool, held until this is released or dropped.
#[derive(Debug)]
pub(crate) struct Incumbent {
    engine: Arc<dyn Engine>,
    row: Row,
    cx: Cx,
    is_held: bool,
}

/// The row, and who wants it.
#[derive(Debug, Clone)]
struct Row {
    dialect: Arc<dyn Dialect>,
    lock: LedgerLock,
    tool: &'static str,
    by: String,
}

impl Incumbent {
    /// Takes the row for a run, if the ledger has one, waiting up to the timeout of the settings. What a killed run has left
    /// in it is taken over, and noted in `notices`.
    pub(crate) async fn take(
        runner: &Runner,
        cx: &Cx,
        (session, format): (&mut dyn Session, &LedgerFormat),
        who: &str,
        notices: &mut Vec<String>,
    ) -> Result<Option<Self>> {
        let Some(lock) = format.lock.clone() else {
            return Ok(None);
        };
        let row = Row {
            dialect: runner.dialect(),
            lock,
            tool: format.tool,
            by: format!("{OURS}{who}").chars().take(LONGEST_HOLDER).collect(),
        };
        row.create(cx, session).await?;
        row.wait_for(runner, cx, session, notices).await?;
        cx.step("ledger.locked");
        Ok(Some(Self {
            engine: Arc::clone(runner.engine()),
            row,
            cx: cx.shielded(),
            is_held: true,
        }))
    }

    /// Frees the row on a session of the run.
    pub(crate) async fn release(mut self, cx: &Cx, session: &mut dyn Session) -> Result<()> {
        // What a script says of schemas may hide the table from this session: a new one sees it then.
        self.is_held = self.row.release(cx, session).await? == 0;
        cx.step("ledger.unlocked");
        Ok(())
    }
}

/// A run that ends without saying so leaves by a connection of its own: nothing may be awaited here, and its session may be
/// in the middle of a transaction.
impl Drop for Incumbent {
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        let (engine, row, cx) = (Arc::clone(&self.engine), self.row.clone(), self.cx.clone());
        let freed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Error::internal("no runtime").with_source(error))?;
            runtime.block_on(async {
                let mut session = engine.connect(&cx, Access::Write).await?;
                row.release(&cx, &mut *session).await.map(|_| ())
            })
        });
        match freed.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the lock of the other tool could not be freed"),
            Err(_) => tracing::warn!("freeing the lock of the other tool panicked"),
        }
    }
}

impl Row {
    fn quoted(&self, column: &str) -> String {
        self.dialect.quote_identifier(column)
    }

    fn table(&self) -> String {
        self.dialect.quote_table(&self.lock.table)
    }

    /// Creates the table and its row, as the tool does.
    async fn create(&self, cx: &Cx, session: &mut dyn Session) -> Result<()> {
        session.begin(cx, Begin::Write).await?;
        let created = async {
            if !session.has_table(cx, &self.lock.table).await?
                && let Some(create) = self.lock.create.get(&self.dialect.kind())
            {
                session.execute(cx, create, &[]).await?;
            }
            let (table, id) = (self.table(), self.quoted(self.lock.id));
            let found = format!("SELECT {id} FROM {table} WHERE {id} = 1");
            if session.fetch_optional(cx, &found, &[]).await?.is_none() {
                let locked = self.quoted(self.lock.locked);
                let fill = format!("INSERT INTO {table} ({id}, {locked}) VALUES (1, FALSE)");
                session.execute(cx, &fill, &[]).await?;
            }
            Ok(())
        };
        let created = created.await;
        self.end(cx, session, created).await
    }

    async fn end<T>(&self, cx: &Cx, session: &mut dyn Session, outcome: Result<T>) -> Result<T> {
        match outcome {
            Ok(value) => session.commit(cx).await.map(|()| value),
            Err(error) => {
                session.rollback(&cx.shielded()).await.ok();
                Err(error)
            }
        }
    }

    async fn wait_for(
        &self,
        runner: &Runner,
        cx: &Cx,
        session: &mut dyn Session,
        notices: &mut Vec<String>,
    ) -> Result<()> {
        let (since, timeout) = (Instant::now(), runner.settings().lock_timeout);
        let mut is_said = false;
        loop {
            let Some((by, granted)) = self.attempt(cx, session, notices).await? else {
                return Ok(());
            };
            if since.elapsed() >= timeout {
                return Err(self.held(&by, &granted).hint(format!(
                    "waited {} s; wait longer with `--lock-timeout 5m`",
                    timeout.as_secs()
                )));
            }
            if !is_said {
                let error = self.held(&by, &granted);
                cx.progress().note(&format!("waiting: {}", error.message()));
                is_said = true;
            }
            tokio::select! {
                () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {}
                ended = cx.ended() => return Err(ended),
            }
        }
    }

    /// Tries to take the row once, and returns who holds it.
    async fn attempt(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        notices: &mut Vec<String>,
    ) -> Result<Option<(String, String)>> {
        session.begin(cx, Begin::Write).await?;
        let outcome = self.attempt_inside(cx, session, notices).await;
        self.end(cx, session, outcome).await
    }

    async fn attempt_inside(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        notices: &mut Vec<String>,
    ) -> Result<Option<(String, String)>> {
        let (id, locked) = (self.quoted(self.lock.id), self.quoted(self.lock.locked));
        let (granted, by) = (self.quoted(self.lock.granted), self.quoted(self.lock.by));
        let set = format!(
            "UPDATE {} SET {locked} = TRUE, {by} = ?, {granted} = CURRENT_TIMESTAMP WHERE {id} = 1 AND",
            self.table()
        );
        let free = bind(&*self.dialect, &format!("{set} {locked} = FALSE"));
        if session.execute(cx, &free, &[self.by.as_str().into()]).await? == 1 {
            return Ok(None);
        }
        let sql = format!("SELECT {by}, {granted} FROM {} WHERE {id} = 1", self.table());
        let row = session.fetch_optional(cx, &sql, &[]).await?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let (holder, since) = row.map_or_else(Default::default, |row| (text(row.first()), text(row.get(1))));
        if holder.starts_with(OURS) {
            let stale = bind(&*self.dialect, &format!("{set} {by} = ?"));
            let parameters = [self.by.as_str().into(), holder.as_str().into()];
            if session.execute(cx, &stale, &parameters).await? == 1 {
                notices.push(format!(
                    "the lock of {} in `{}` was left by `{holder}`, which was killed; it is taken over",
                    self.tool, self.lock.table
                ));
                return Ok(None);
            }
        }
        Ok(Some((holder, since)))
    }

    fn held(&self, by: &str, granted: &str) -> Error {
        Error::new(
            ErrorKind::Locked,
            format!(
                "{} holds its lock in `{}`: held by {by} since {granted}",
                self.tool, self.lock.table
            ),
        )
        .retryable()
        .hint(format!(
            "if nothing of {} runs any more, it was killed: `{} release-locks` frees it",
            self.tool, self.tool
        ))
    }

    async fn release(&self, cx: &Cx, session: &mut dyn Session) -> Result<u64> {
        let (locked, granted, by) = (
            self.quoted(self.lock.locked),
            self.quoted(self.lock.granted),
            self.quoted(self.lock.by),
        );
        let sql = format!(
            "UPDATE {} SET {locked} = FALSE, {by} = NULL, {granted} = NULL WHERE {by} = ?",
            self.table()
        );
        session.begin(cx, Begin::Write).await?;
        let parameters = [self.by.as_str().into()];
        let freed = session
            .execute(cx, &bind(&*self.dialect, &sql), &parameters)
            .await;
        self.end(cx, session, freed).await
    }
}
