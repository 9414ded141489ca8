//! Keeping others from writing to tables until they are exchanged, where no transaction can: a definition would commit it.
//!
//! Each table is locked for reading by a connection of its own, so that this session, and everybody else, can go on reading
//! it. `RENAME TABLE` asks for one table after the other and waits for each of these locks. A lock is let go only when the
//! exchange is seen to wait for that very table: it then comes before every writer that waits too, and no write gets between
//! the last look at a table and its exchange. Were all locks those of one connection, they would be let go at once, and
//! writers of the tables that the exchange has not asked for yet would come first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use walkback_core::{Access, Error, ErrorKind, Result, TableName};

use crate::dialect::quoted;
use crate::link::Link;

/// How long a lock is waited for with the others taken. Whoever has written to this table may be waiting for one of those.
const TOGETHER: Duration = Duration::from_secs(1);

/// How often is looked at what the exchange waits for.
const LOOK: Duration = Duration::from_millis(5);

/// A table that nobody writes to, and the connection that sees to it.
#[derive(Debug)]
pub(crate) struct Hold {
    table: String,
    by: Link,
}

impl Hold {
    /// Returns whether it is this table that nobody writes to.
    pub(crate) fn is_of(&self, table: &str) -> bool {
        self.table == table
    }
}

impl Link {
    /// Keeps everybody from writing to these tables.
    pub(crate) async fn hold_until_swap(&mut self, tables: &[TableName]) -> Result<()> {
        self.must_be_alive()?;
        self.let_go().await;
        let patience = self.one("SELECT @@SESSION.lock_wait_timeout").await?;
        let patience = Duration::from_secs(patience.and_then(|text| text.parse().ok()).unwrap_or(1));
        let begun = Instant::now();
        loop {
            let outcome = self.hold_all(tables).await;
            match outcome {
                Err(error) if error.kind() == ErrorKind::Locked && begun.elapsed() < patience => {
                    self.let_go().await;
                    self.must_go_on()?;
                    // Who waits for these tables, and is waited for, gets on meanwhile.
                    sleep(TOGETHER).await;
                }
                Err(error) => {
                    self.let_go().await;
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn hold_all(&mut self, tables: &[TableName]) -> Result<()> {
        for table in tables {
            self.must_go_on()?;
            let mut by = Self::open(Arc::clone(self.place.config()), Access::Write).await?;
            by.set_lock_timeout(TOGETHER).await?;
            // Nothing is asked of it for as long as the exchange takes.
            by.run("SET SESSION wait_timeout = 2147483").await?;
            let lock = format!("LOCK TABLES {} READ", quoted(&table.name));
            by.run(&lock).await.map_err(|error| not_held(error, table))?;
            self.holds.push(Hold {
                table: table.name.clone(),
                by,
            });
        }
        Ok(())
    }

    /// Lets everybody write again.
    pub(crate) async fn let_go(&mut self) {
        for hold in std::mem::take(&mut self.holds) {
            // A connection that is lost holds nothing.
            hold.by.conn.disconnect().await.ok();
        }
    }

    /// Exchanges tables that nobody else writes to, and lets them go at the moment of the exchange.
    pub(crate) async fn rename_held(&mut self, sql: &str) -> Result<()> {
        let mut holds = std::mem::take(&mut self.holds);
        if holds.is_empty() {
            return self.run(sql).await;
        }
        for hold in &mut holds {
            let there = hold.by.run("DO 0").await;
            there.map_err(|error| {
                error.wrap(format!(
                    "nobody keeps `{}` from being written to any more",
                    hold.table
                ))
            })?;
        }
        let config = Arc::clone(self.place.config());
        let mut prober = Self::open(Arc::clone(&config), Access::Read).await?;
        let mut watcher = Self::open(config, Access::Read).await?;
        self.must_go_on()?;
        let place = self.place.clone();
        let rename = mysql_async::prelude::Queryable::query_drop(&mut self.conn, sql);
        tokio::pin!(rename);
        let letting_go = async {
            while !holds.is_empty() {
                sleep(LOOK).await;
                for index in (0..holds.len()).rev() {
                    if is_asked_for(&mut prober, &mut watcher, &holds[index].table).await? {
                        let hold = holds.remove(index);
                        hold.by.conn.disconnect().await.ok();
                    }
                }
            }
            Ok::<(), Error>(())
        };
        let renamed = tokio::select! {
            biased;
            renamed = &mut rename => renamed,
            watched = letting_go => {
                if let Err(error) = watched {
                    tracing::warn!(%error, "the exchange of tables cannot be watched; writers may come before it");
                }
                holds.clear();
                rename.await
            }
        };
        renamed.map_err(|error| place.statement_failed(sql, error))
    }
}

/// Returns whether somebody waits to have a table for himself alone: nobody else can begin to read it then.
async fn is_asked_for(prober: &mut Link, watcher: &mut Link, table: &str) -> Result<bool> {
    let number = prober.conn.id();
    let probe = format!("SELECT 1 FROM {} LIMIT 0", quoted(table));
    let asking = format!("SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = {number}");
    let has_read = AtomicBool::new(false);
    let reading = async {
        let outcome = prober.run(&probe).await;
        has_read.store(true, Ordering::Release);
        outcome
    };
    // Each answer is waited for: one that is left in a connection would be taken for that of the next question.
    let watching = async {
        while !has_read.load(Ordering::Acquire) {
            let state = watcher.one(&asking).await?;
            if state.as_deref() == Some("Waiting for table metadata lock") {
                watcher.run(&format!("KILL QUERY {number}")).await?;
                return Ok::<bool, Error>(true);
            }
            sleep(LOOK).await;
        }
        Ok(false)
    };
    let (read, waited) = tokio::join!(reading, watching);
    if waited? {
        prober.absorb_kill().await;
        return Ok(true);
    }
    read.map(|()| false)
}

fn not_held(error: Error, table: &TableName) -> Error {
    let kind = error.kind();
    let error = error.wrap(format!(
        "nobody can be kept from writing to `{table}` while it is exchanged"
    ));
    if kind == ErrorKind::PermissionDenied {
        return error
            .hint("grant `LOCK TABLES` on the database, to keep what was written since")
            .hint("or `walkback rollback --type full`: it restores the tables from the point, and shows first what that loses");
    }
    error
}
