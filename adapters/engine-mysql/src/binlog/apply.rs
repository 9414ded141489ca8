//! Reading the binary log and doing again what it says, event by event, up to the moment.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use mysql_async::binlog::EventType;
use mysql_async::binlog::events::{AnonymousGtidEvent, Event, ExecuteLoadQueryEvent, GtidEvent, RotateEvent};
use mysql_async::prelude::Queryable as _;
use mysql_async::{BinlogStream, BinlogStreamRequest};
use walkback_core::cx::Task;
use walkback_core::replay::{LogPosition, ReplayRequest, Replayed};
use walkback_core::{Access, Cx, ErrorKind, Result};

use super::elsewhere::Elsewhere;
use super::event::{self, Map};
use super::gone;
use super::group::Group;
use super::packed;
use super::spot::{LOG, Spot};
use super::statement::Names;
use super::unread;
use crate::config::Config;
use crate::link::{self, Link};

/// How the names of walkback's own tables begin, of which a backup holds some.
pub(super) const OWN: &str = "_walkback_";

/// A second, in the unit of moments here.
const SECOND: i64 = 1_000_000;

/// An event that only MariaDB has: the beginning of a transaction.
const MARIADB_GTID: u8 = 162;

/// The log of a server, being done again in a scratch database.
pub(super) struct Replaying {
    cx: Cx,
    stream: BinlogStream,
    /// A session in the scratch database.
    pub(super) scratch: Link,
    pub(super) names: Names,
    pub(super) spot: Spot,
    until: i64,
    pub(super) file: String,
    /// Behind the last event that was read.
    pub(super) offset: u64,
    /// Where the log ended when reading began, where that is told: what this one writes itself comes behind it.
    log_end: Option<Spot>,
    /// The description of the format, until the server was told it.
    format: Option<Vec<u8>>,
    pub(super) group: Group,
    /// When the transaction that is read was committed.
    at: i64,
    transactions: u64,
    /// The place of the first transaction that was committed after the moment: nothing from there on is done again.
    late: Option<String>,
    /// Distributed transactions that were prepared since reading began and wrote nothing here.
    pub(super) foreign: BTreeSet<String>,
    pub(super) elsewhere: Elsewhere,
    /// Behind the last transaction that was done again, and when it was committed.
    end: (String, Option<i64>),
}

impl Replaying {
    /// Begins to read the log, and opens a session in the scratch database.
    pub(super) async fn begin(
        cx: &Cx,
        config: &Arc<Config>,
        spot: Spot,
        request: &ReplayRequest,
    ) -> Result<Self> {
        let name = request.into.login().database;
        let scratch_config = Arc::new(config.with_database(&name));
        let mut scratch = Link::open(scratch_config, Access::Write).await?;
        // What is done here is nobody's to go forward over. Who may not say so writes it to the log.
        match scratch.run("SET SESSION sql_log_bin = 0").await {
            Err(error) if error.kind() != ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
        let mut reader = Link::open(Arc::clone(config), Access::Read).await?;
        let database = reader.one("SELECT DATABASE()").await?.unwrap_or_default();
        let mut others = BTreeSet::new();
        for name in reader
            .texts("SHOW DATABASES")
            .await?
            .into_iter()
            .flatten()
            .flatten()
        {
            others.insert(name.to_lowercase());
        }
        others.remove(&database.to_lowercase());
        others.remove(&name.to_lowercase());
        let log_end = reader.spot_now().await.ok().flatten();
        let stream = open(config, &spot).await?;
        let end = (format!("{}:{}", spot.file, spot.offset), None);
        Ok(Self {
            cx: cx.clone(),
            stream,
            scratch,
            names: Names {
                database,
                scratch: name,
                others,
                leave: request.leave.iter().cloned().collect::<BTreeSet<_>>(),
            },
            until: request.until.timestamp_micros(),
            file: spot.file.clone(),
            offset: spot.offset,
            spot,
            log_end,
            format: None,
            group: Group::default(),
            at: 0,
            late: None,
            foreign: BTreeSet::new(),
            elsewhere: Elsewhere::default(),
            transactions: 0,
            end,
        })
    }

    /// Does everything again that was committed by the moment.
    pub(super) async fn run(mut self, cx: &Cx, task: &dyn Task) -> Result<Replayed> {
        loop {
            let next = tokio::select! {
                biased;
                ended = cx.ended() => return Err(ended),
                next = self.stream.next() => next,
            };
            let Some(event) = next else { break };
            let event = event.map_err(|error| self.unreadable(error))?;
            let header = event.header();
            task.advance(u64::from(header.event_size()));
            if self.is_behind_end(&event) {
                break;
            }
            Box::pin(self.event(&event)).await?;
        }
        if self.group.is_open {
            // The end of the log came in the middle of it: it was not committed.
            self.scratch.run("ROLLBACK").await?;
        }
        let last = self.end.1.and_then(DateTime::<Utc>::from_timestamp_micros);
        Ok(Replayed::new(
            self.transactions,
            LogPosition::new(LOG, self.end.0),
            last,
        ))
    }

    /// Returns whether a transaction begins here that was written since reading began. Whoever may not keep what is done in the
    /// scratch database out of the log writes it there, and on MariaDB under the clock of what is done again.
    fn is_behind_end(&self, event: &Event) -> bool {
        // Within one, places may be those of what was packed.
        let begins = matches!(
            event.header().event_type(),
            Ok(EventType::GTID_EVENT | EventType::GTID_TAGGED_LOG_EVENT | EventType::ANONYMOUS_GTID_EVENT)
        );
        let Some(end) = self
            .log_end
            .as_ref()
            .filter(|_| begins || event.header().event_type_raw() == MARIADB_GTID)
        else {
            return false;
        };
        let order = |file: &str| (file.len(), file.to_owned());
        match order(&self.file).cmp(&order(&end.file)) {
            Ordering::Less => false,
            Ordering::Equal => u64::from(event.header().log_pos()) > end.offset,
            Ordering::Greater => true,
        }
    }

    async fn event(&mut self, event: &Event) -> Result<()> {
        let header = event.header();
        let raw = header.event_type_raw();
        if header.log_pos() > 0 && raw != EventType::ROTATE_EVENT as u8 {
            self.offset = u64::from(header.log_pos());
        }
        if raw == MARIADB_GTID {
            // Its clock is of seconds: what was committed within one is in when the whole of it is.
            let at = i64::from(header.timestamp()) * SECOND;
            self.transaction_at(at, at + SECOND).await?;
            self.group.is_in_two = event::is_in_two(event.data());
            return Ok(());
        }
        let kind = header.event_type().ok();
        match kind {
            Some(EventType::GTID_EVENT | EventType::GTID_TAGGED_LOG_EVENT) => {
                let gtid: GtidEvent = self.understood(event.read_event())?;
                self.committed_at(&gtid, header.timestamp()).await
            }
            Some(EventType::ANONYMOUS_GTID_EVENT) => {
                let gtid: AnonymousGtidEvent = self.understood(event.read_event())?;
                self.committed_at(&gtid.0, header.timestamp()).await
            }
            Some(EventType::ROTATE_EVENT) => self.rotate(event),
            _ if self.late.is_some() => Ok(()),
            Some(kind) => Box::pin(self.within(kind, event)).await,
            None => match self.understood(packed::unpacked(event))? {
                Some(plain) => {
                    let kind = self.understood(plain.header().event_type().map_err(io::Error::other))?;
                    Box::pin(self.within(kind, &plain)).await
                }
                None => self.must_be_harmless(event),
            },
        }
    }

    /// An event of a transaction that is done again.
    async fn within(&mut self, kind: EventType, event: &Event) -> Result<()> {
        match kind {
            EventType::FORMAT_DESCRIPTION_EVENT => self.format_described(event).await?,
            EventType::QUERY_EVENT => self.query(event).await?,
            EventType::XID_EVENT => self.commit().await?,
            EventType::TABLE_MAP_EVENT => self.table(event).await?,
            kind if unread::is_of_rows(kind) => self.rows(event).await?,
            EventType::INTVAR_EVENT | EventType::RAND_EVENT => self.give(event),
            EventType::USER_VAR_EVENT => self.group.wants_variable = true,
            EventType::EXECUTE_LOAD_QUERY_EVENT => {
                let load: ExecuteLoadQueryEvent<'_> = self.understood(event.read_event())?;
                let query = load.query().to_lowercase();
                if load.schema() == self.names.database || query.contains(&self.names.database.to_lowercase())
                {
                    return Err(self.refused("a file was loaded, and is logged as a statement", None));
                }
                self.must_stay_elsewhere(&query).await?;
            }
            EventType::XA_PREPARE_LOG_EVENT => self.prepared()?,
            // What is in it comes next.
            EventType::TRANSACTION_PAYLOAD_EVENT => self.must_be_whole(event)?,
            EventType::INCIDENT_EVENT => {
                return Err(self.refused("the server says that it lost events here", None));
            }
            _ => self.must_be_harmless(event)?,
        }
        Ok(())
    }

    async fn committed_at(&mut self, gtid: &GtidEvent, seconds: u32) -> Result<()> {
        match i64::try_from(gtid.immediate_commit_timestamp()) {
            Ok(at) if at > 0 => self.transaction_at(at, at).await,
            _ => {
                let at = i64::from(seconds) * SECOND;
                self.transaction_at(at, at + SECOND).await
            }
        }
    }

    /// A transaction begins that was committed at this moment, or by the other at the latest.
    async fn transaction_at(&mut self, at: i64, latest: i64) -> Result<()> {
        self.forget_unfinished().await?;
        let is_late = latest > self.until;
        match &self.late {
            // What came before it in the log may be what it was made from.
            Some(late) if !is_late => Err(self.refused(
                &format!(
                    "it is dated before the moment, and what is before `{late}` in the log is dated after it: the order in the \
                     log is not that of the clock"
                ),
                None,
            )),
            None if is_late => {
                self.late = Some(format!("{}:{}", self.file, self.offset));
                Ok(())
            }
            _ => {
                self.at = at;
                Ok(())
            }
        }
    }

    /// Takes back what was begun and has no end in the log: the server did not go on with it.
    async fn forget_unfinished(&mut self) -> Result<()> {
        if std::mem::take(&mut self.group).is_open {
            self.scratch.run("ROLLBACK").await?;
        }
        Ok(())
    }

    fn rotate(&mut self, event: &Event) -> Result<()> {
        let rotate: RotateEvent<'_> = self.understood(event.read_event())?;
        self.offset = rotate.position();
        self.file = event::name_of_next(event, &rotate);
        Ok(())
    }

    async fn format_described(&mut self, event: &Event) -> Result<()> {
        self.forget_unfinished().await?;
        let written = i64::from(event.header().timestamp()) * SECOND;
        // A server that has forgotten its logs names new ones as it named the old.
        if self.file == self.spot.file && written > self.spot.micros {
            return Err(gone(&self.spot));
        }
        self.format = Some(event::format_description(event));
        Ok(())
    }

    fn give(&mut self, event: &Event) {
        let number = |at: usize| {
            let bytes = event
                .data()
                .get(at..at + 8)
                .and_then(|bytes| bytes.try_into().ok());
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        let given = if event.header().event_type_raw() == EventType::RAND_EVENT as u8 {
            format!("SET rand_seed1 = {}, rand_seed2 = {}", number(0), number(8))
        } else if event.data().first() == Some(&1) {
            format!("SET LAST_INSERT_ID = {}", number(1))
        } else {
            format!("SET INSERT_ID = {}", number(1))
        };
        self.group.given.push(given);
    }

    async fn table(&mut self, event: &Event) -> Result<()> {
        let map =
            Map::read(event.data()).ok_or_else(|| self.refused("the map of a table is cut off", None))?;
        let number = event::table_number(event);
        self.group.maps.remove(&number);
        if map.database != self.names.database.as_bytes() {
            return Ok(());
        }
        let table = String::from_utf8_lossy(map.table).into_owned();
        if self.names.leave.contains(&table) || self.is_kept_elsewhere(&table).await? {
            return Ok(());
        }
        let renamed = map.renamed(&event.header(), &self.names.scratch);
        self.group.maps.insert(number, renamed);
        Ok(())
    }

    /// Returns whether a table is walkback's own and no part of the backup.
    async fn is_kept_elsewhere(&mut self, table: &str) -> Result<bool> {
        if !table.starts_with(OWN) {
            return Ok(false);
        }
        Ok(!self.scratch.tables_here().await?.iter().any(|name| name == table))
    }

    async fn rows(&mut self, event: &Event) -> Result<()> {
        let Some(map) = self.group.maps.get(&event::table_number(event)) else {
            return Ok(());
        };
        let sql = event::statement(&[map, &event::rows(event)]);
        self.open().await?;
        self.describe_format().await?;
        self.do_again(sql.as_bytes(), None).await
    }

    /// Tells the server how the events are written that follow.
    async fn describe_format(&mut self) -> Result<()> {
        let Some(format) = self.format.take() else {
            return Ok(());
        };
        self.do_again(event::statement(&[&format]).as_bytes(), None)
            .await?;
        if !self.scratch.server.is_mariadb {
            // Events without a global name are refused where transactions must have one.
            let sql = "SET SESSION gtid_next = 'AUTOMATIC'";
            match self.scratch.run(sql).await {
                Err(error) if error.kind() != ErrorKind::PermissionDenied => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Begins a transaction in the scratch database, if none is open.
    pub(super) async fn open(&mut self) -> Result<()> {
        self.group.is_touched = true;
        if self.format.is_some() {
            // It cannot be told within one.
            self.describe_format().await?;
        }
        if !self.group.is_open {
            self.scratch.run("START TRANSACTION").await?;
            self.group.is_open = true;
        }
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<()> {
        let group = std::mem::take(&mut self.group);
        if group.is_open {
            self.scratch.run("COMMIT").await?;
        }
        if group.is_touched {
            self.done();
        }
        Ok(())
    }

    /// Notes that something was done again.
    pub(super) fn done(&mut self) {
        self.group = Group::default();
        self.transactions += 1;
        self.end = (format!("{}:{}", self.file, self.offset), Some(self.at));
    }

    /// Has the server do something again.
    pub(super) async fn do_again(&mut self, sql: &[u8], shown: Option<&str>) -> Result<()> {
        self.cx.check()?;
        let outcome = self.scratch.conn.query_drop(sql).await;
        let Err(error) = outcome else { return Ok(()) };
        let lossy = String::from_utf8_lossy(sql);
        let failed = self
            .scratch
            .place
            .statement_failed(shown.unwrap_or(&lossy), error);
        let failed = if failed.kind() == ErrorKind::PermissionDenied {
            let user = self.scratch.quoted_user().await?;
            let rights = if self.scratch.server.is_mariadb {
                "BINLOG REPLAY, BINLOG ADMIN"
            } else {
                "REPLICATION_APPLIER, SESSION_VARIABLES_ADMIN"
            };
            failed.hint(format!("GRANT {rights} ON *.* TO {user}"))
        } else {
            failed.hint("the database was not changed; begin with a later backup, or go to an earlier moment")
        };
        Err(failed.wrap(format!(
            "what is in the binary log {} cannot be done again",
            self.place()
        )))
    }
}

/// Begins to read the log from a place on, to its end.
async fn open(config: &Config, spot: &Spot) -> Result<BinlogStream> {
    let place = crate::error::Place::new(Arc::new(config.clone()));
    let mut conn = link::connect(config, None)
        .await
        .map_err(|error| place.cannot_connect(error))?;
    // The server sends nothing while a long statement is done again, and must not take that for a reader that is gone.
    // Without the first MariaDB says less; MySQL keeps a variable that nobody asks for.
    let patient = "SET SESSION net_write_timeout = 86400, net_read_timeout = 86400";
    for sql in ["SET @mariadb_slave_capability = 4", patient] {
        conn.query_drop(sql)
            .await
            .map_err(|error| place.statement_failed(sql, error))?;
    }
    // A number that no replica has: another reader of the same number would be sent away.
    let number = 0x4000_0000 | (rand::random::<u32>() >> 2);
    let request = BinlogStreamRequest::new(number)
        .with_filename(spot.file.as_bytes())
        .with_pos(spot.offset)
        .with_non_blocking();
    conn.get_binlog_stream(request)
        .await
        .map_err(|error| place.failed("the binary log cannot be read", error))
}
