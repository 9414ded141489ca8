//! One snapshot of the database, read by as many sessions as the engine lets see it and the settings allow.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;
use walkback_core::bulk::{Division, TableSlice};
use walkback_core::catalog::{Schema, Table};
use walkback_core::engine::{Begin, SnapshotId};
use walkback_core::fingerprint::Fingerprinter;
use walkback_core::replay::LogPosition;
use walkback_core::{Access, Capability, Cx, Error, ErrorKind, Result, Session};
use walkback_vault::{Part, PointWriter};

use crate::plan::PointScope;
use crate::point::slice_of;
use crate::runner::Runner;

/// About how many bytes of a table a session reads at a time. It does not depend on how many sessions there are:
/// where parts end, chunks end.
pub(crate) const PART: u64 = 64 << 20;

/// From how many bytes on more than one session reads. Less is done sooner than they have begun; and on a server
/// without names for snapshots, sharing one keeps writers out for a moment.
pub(crate) const WORTHWHILE: u64 = 32 << 20;

/// A snapshot, and the tables that are to be read in it.
pub(crate) struct Snapshot {
    session: Box<dyn Session>,
    /// Other sessions that see the same.
    others: Vec<Box<dyn Session>>,
    schema: Schema,
    tables: Vec<(TableSlice, Division)>,
    /// Where the log of the server stood at it, where that was asked for and can be told.
    position: Option<LogPosition>,
}

/// What is left to read: the number of the table, that of the part, and the part.
type Queue = Arc<Mutex<VecDeque<(usize, usize, TableSlice)>>>;

impl Snapshot {
    /// Takes a snapshot of the tables that are in scope.
    pub(crate) async fn take(
        runner: &Runner,
        cx: &Cx,
        scope: &PointScope,
        with_position: bool,
    ) -> Result<Self> {
        let mut session = runner.connect(cx, Access::Read).await?;
        // Some servers show definitions as they are now, and not as they were at the snapshot.
        let before = if with_position {
            Some(runner.schema(cx, &mut *session).await?)
        } else {
            None
        };
        session.begin(cx, Begin::Read).await?;
        let mut position = None;
        if with_position {
            position = session.log_position(cx).await?;
        }
        let schema = runner.schema(cx, &mut *session).await?;
        if before.is_some_and(|before| before != schema) {
            // What changed may be in the log behind the place as well, and would be done twice.
            position = None;
        }
        let tables = chosen(&schema, scope).map(slice_of).map(|slice| {
            let whole = Division::none(&slice, 0);
            (slice, whole)
        });
        let mut snapshot = Self {
            tables: tables.collect(),
            session,
            others: Vec::new(),
            schema,
            position,
        };
        let jobs = runner.settings().jobs;
        if jobs > 1 && snapshot.capability().shared_snapshot {
            snapshot.divide(cx).await?;
            if snapshot.is_worthwhile() {
                snapshot.share(runner, cx, scope, jobs).await?;
            }
        }
        Ok(snapshot)
    }

    pub(crate) fn capability(&self) -> Capability {
        self.session.capability().clone()
    }

    pub(crate) fn position(&self) -> Option<&LogPosition> {
        self.position.as_ref()
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    async fn divide(&mut self, cx: &Cx) -> Result<()> {
        for (slice, division) in &mut self.tables {
            *division = self.session.divide(cx, slice, PART).await?;
        }
        Ok(())
    }

    fn is_worthwhile(&self) -> bool {
        let bytes: u64 = self.tables.iter().map(|(_, division)| division.bytes).sum();
        bytes >= WORTHWHILE && self.parts() > 1
    }

    fn parts(&self) -> usize {
        self.tables.iter().map(|(_, division)| division.parts.len()).sum()
    }

    /// Takes the snapshot anew, together with other sessions. Some servers share none that was looked at; where
    /// this user may not share one at all, one session reads everything.
    async fn share(&mut self, runner: &Runner, cx: &Cx, scope: &PointScope, jobs: usize) -> Result<()> {
        self.session.rollback(cx).await?;
        self.session.begin(cx, Begin::Read).await?;
        match self.session.export_snapshot(cx).await {
            Ok(id) => self.join(runner, cx, &id, jobs.min(self.parts()) - 1).await?,
            Err(error) if cannot_be_shared(&error) => {
                cx.progress()
                    .note(&format!("one session reads everything: {error}"));
                // What is left of the attempt is not looked into.
                self.session.rollback(cx).await.ok();
                self.session.begin(cx, Begin::Read).await?;
            }
            Err(error) => return Err(error),
        }
        // It is another snapshot now.
        if self.position.take().is_some() {
            self.position = self.session.log_position(cx).await?;
        }
        let schema = runner.schema(cx, &mut *self.session).await?;
        if std::mem::replace(&mut self.schema, schema) != self.schema {
            self.position = None;
        }
        let mut divisions: BTreeMap<_, _> = std::mem::take(&mut self.tables)
            .into_iter()
            .map(|(slice, division)| (slice.table.clone(), (slice, division)))
            .collect();
        // A table may have been altered between the two snapshots; then it is read whole.
        self.tables = chosen(&self.schema, scope)
            .map(|table| {
                let slice = slice_of(table);
                match divisions.remove(&slice.table) {
                    Some((before, division)) if before == slice => (slice, division),
                    _ => (slice.clone(), Division::none(&slice, 0)),
                }
            })
            .collect();
        Ok(())
    }

    async fn join(&mut self, runner: &Runner, cx: &Cx, id: &SnapshotId, count: usize) -> Result<()> {
        for _ in 0..count {
            let mut other = runner.connect(cx, Access::Read).await?;
            match other.begin(cx, Begin::Snapshot(id.clone())).await {
                Ok(()) => self.others.push(other),
                // The engine lets no more of them join.
                Err(error) if error.kind() == ErrorKind::Unsupported => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads all of it into a point, and ends the snapshot.
    pub(crate) async fn read(self, cx: &Cx, writer: PointWriter) -> Result<PointWriter> {
        let Self {
            session,
            others,
            tables,
            ..
        } = self;
        let queue = queue(&tables);
        let mut done: Vec<Vec<(usize, Part)>> = tables.iter().map(|_| Vec::new()).collect();
        let writer = Arc::new(writer);
        let mut readers = JoinSet::new();
        // A snapshot that is shared lives as long as the session that shares it: all are given back.
        for session in std::iter::once(session).chain(others) {
            readers.spawn(reader(
                cx.clone(),
                session,
                Arc::clone(&writer),
                Arc::clone(&queue),
            ));
        }
        let mut sessions = Vec::new();
        while let Some(outcome) = readers.join_next().await {
            let outcome = outcome
                .map_err(|error| Error::internal("a reader of the snapshot has ended").with_source(error))?;
            let (session, parts) = outcome?;
            sessions.push(session);
            for (table, number, part) in parts {
                done[table].push((number, part));
            }
        }
        for mut session in sessions {
            session.rollback(cx).await?;
        }
        let mut writer = Arc::into_inner(writer)
            .ok_or_else(|| Error::internal("a reader of the snapshot still writes"))?;
        for ((slice, _), mut parts) in tables.into_iter().zip(done) {
            parts.sort_by_key(|(number, _)| *number);
            let parts = parts.into_iter().map(|(_, part)| part).collect();
            if writer.add_parts(&slice, parts)?.chunks == 0 {
                writer.set_fingerprint(&slice.table, Fingerprinter::new().finish())?;
            }
        }
        Ok(writer)
    }
}

/// Puts the parts of the largest tables first, so that no session is left alone with one at the end.
fn queue(tables: &[(TableSlice, Division)]) -> Queue {
    let mut order: Vec<usize> = (0..tables.len()).collect();
    order
        .sort_by_key(|table| std::cmp::Reverse(tables[*table].1.bytes / tables[*table].1.parts.len() as u64));
    let parts = order.into_iter().flat_map(|table| {
        let parts = tables[table].1.parts.iter().enumerate();
        parts.map(move |(number, part)| (table, number, part.clone()))
    });
    Arc::new(Mutex::new(parts.collect()))
}

/// Reads parts until there are none left.
async fn reader(
    cx: Cx,
    mut session: Box<dyn Session>,
    writer: Arc<PointWriter>,
    queue: Queue,
) -> Result<(Box<dyn Session>, Vec<(usize, usize, Part)>)> {
    let mut done = Vec::new();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((table, number, slice)) = next else {
            return Ok((session, done));
        };
        let chunks = session.export(&cx, &slice).await?;
        done.push((table, number, writer.write_part(&cx, &slice.table, chunks).await?));
    }
}

/// Returns the tables that are in scope. Two spellings of one name are one table.
fn chosen<'s>(schema: &'s Schema, scope: &PointScope) -> Box<dyn Iterator<Item = &'s Table> + Send + 's> {
    match scope {
        PointScope::None => Box::new(std::iter::empty()),
        PointScope::Tables(names) => {
            let found: BTreeMap<_, _> = names
                .iter()
                .filter_map(|name| crate::reach::find(schema, name))
                .map(|table| (&table.name, table))
                .collect();
            Box::new(found.into_values())
        }
        PointScope::Everything => Box::new(schema.tables.iter()),
    }
}

fn cannot_be_shared(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::Locked
    )
}
