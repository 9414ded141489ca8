//! Loading the shadows that a restore exchanges: by the session of the run, or by several side by side.
//!
//! Several can do so where each sees what the others have committed: the shadows are then no part of a transaction,
//! and what an attempt that was killed has left is cleared away by the next one (ADR 14).

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt as _;
use tokio::task::JoinSet;
use walkback_core::bulk::{ImportTarget, TableSlice};
use walkback_core::catalog::{Schema, Table};
use walkback_core::fingerprint::{Fingerprinter, TableFingerprint};
use walkback_core::{Access, Cx, Error, ErrorKind, Result, Session, TableName};
use walkback_vault::{Manifest, TableEntry, VaultSet};

use crate::execute::Execution;
use crate::point;
use crate::restore::Exchange;
use crate::snapshot::{PART, WORTHWHILE};

/// How the names of the tables begin that a restore loads into.
const SHADOW: &str = "_walkback_shadow_";

/// A table that is to be loaded under another name.
#[derive(Debug, Clone)]
pub(crate) struct Shadow {
    /// What the point holds of it.
    pub(crate) entry: TableEntry,
    /// As it was then.
    pub(crate) table: Table,
    /// What it is called until it is exchanged.
    pub(crate) name: TableName,
}

/// Something that one session does by itself.
#[derive(Debug)]
enum Job {
    /// Loads some of the chunks of a table.
    Load(usize, Range<usize>),
    /// Reads some of the rows that were loaded.
    Check(usize, TableSlice),
}

/// What came of it: rows, or what they add up to.
#[derive(Debug)]
enum Done {
    Loaded(usize, u64),
    Checked(usize, Fingerprinter),
}

impl Shadow {
    /// Returns what is loaded, in the order in which shadows are numbered.
    pub(crate) fn all(manifest: &Manifest, replace: &[TableEntry]) -> Result<Vec<Self>> {
        let shadow = |(index, entry): (usize, &TableEntry)| {
            let table = manifest.schema.table(&entry.table).ok_or_else(|| {
                Error::new(
                    ErrorKind::Damaged,
                    format!(
                        "`{}` holds rows of `{}` but not its definition",
                        manifest.id, entry.table
                    ),
                )
            })?;
            Ok(Self {
                entry: entry.clone(),
                table: table.clone(),
                name: table.name.renamed(format!("{SHADOW}{index}")),
            })
        };
        replace.iter().enumerate().map(shadow).collect()
    }

    fn target(&self) -> ImportTarget {
        ImportTarget {
            table: self.name.clone(),
            columns: self.entry.columns.clone(),
        }
    }

    /// Returns it as a table whose rows are compared with those that were kept.
    fn loaded(&self) -> Table {
        let mut loaded = point::kept(&self.table);
        loaded.name = self.name.clone();
        loaded
    }

    /// Divides its chunks so that the rows of each part are about as many bytes as are read at a time.
    fn parts(&self) -> Vec<Range<usize>> {
        let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
        for (index, chunk) in self.entry.chunks.iter().enumerate() {
            bytes += chunk.bytes;
            if bytes >= PART {
                parts.push(start..index + 1);
                (start, bytes) = (index + 1, 0);
            }
        }
        if start < self.entry.chunks.len() {
            parts.push(start..self.entry.chunks.len());
        }
        parts
    }

    fn check(&self, manifest: &Manifest, rows: u64, print: &TableFingerprint) -> Result<()> {
        let entry = &self.entry;
        let counts = rows == entry.rows && print.rows == entry.rows;
        let known = entry.fingerprint.as_ref();
        if counts && known.is_none_or(|expected| expected == print) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Damaged,
            format!(
                "table `{}` of `{}` did not load as it was: {} rows expected, {} loaded",
                entry.table, manifest.id, entry.rows, print.rows
            ),
        )
        .hint(format!(
            "nothing was changed; run `walkback backup verify {}`",
            manifest.id
        )))
    }
}

impl Execution<'_> {
    /// Loads what a restore is about to exchange before its transaction begins, where several sessions can do that
    /// and it is worth their while. Nothing that the application sees is changed.
    pub(crate) async fn load_ahead(
        &mut self,
        cx: &Cx,
        manifest: &Manifest,
        exchange: &Exchange,
    ) -> Result<()> {
        self.ahead = None;
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let is_transactional = self.session.capability().transactional_ddl;
        let needs_others = exchange.create_first(&now).next().is_some();
        if !is_transactional || needs_others || !self.is_side_by_side(&exchange.replace) {
            return Ok(());
        }
        let shadows = Shadow::all(manifest, &exchange.replace)?;
        self.note_homes(manifest, &now);
        self.clear_shadows(cx).await?;
        let outcome = self.make_and_load(cx, manifest, &shadows, false).await;
        if outcome.is_err() {
            self.clear_shadows(&cx.shielded()).await.ok();
        } else {
            self.ahead = Some((manifest.id.clone(), exchange.replace.clone()));
            cx.step("restore.loaded-ahead");
        }
        outcome
    }

    /// Returns whether exactly these tables of a point were loaded ahead.
    pub(crate) fn is_loaded_ahead(&mut self, manifest: &Manifest, exchange: &Exchange) -> bool {
        self.ahead
            .take()
            .is_some_and(|(point, replace)| point == manifest.id && replace == exchange.replace)
    }

    /// Makes shadows and loads them. What is made in a transaction no other session sees.
    pub(crate) async fn make_and_load(
        &mut self,
        cx: &Cx,
        manifest: &Manifest,
        shadows: &[Shadow],
        exchanging: bool,
    ) -> Result<()> {
        let entries: Vec<_> = shadows.iter().map(|shadow| shadow.entry.clone()).collect();
        let is_in_transaction = exchanging && self.session.capability().transactional_ddl;
        let side_by_side = !is_in_transaction && self.is_side_by_side(&entries);
        for shadow in shadows {
            self.session
                .create_shadow(cx, &shadow.table, &shadow.name)
                .await?;
            if !side_by_side {
                self.load(cx, manifest, shadow).await?;
            }
        }
        if side_by_side {
            self.load_side_by_side(cx, manifest, shadows).await?;
        }
        Ok(())
    }

    async fn load(&mut self, cx: &Cx, manifest: &Manifest, shadow: &Shadow) -> Result<()> {
        let vault = self.runner.needed_vault()?;
        let chunks = vault.read_table(cx, manifest, &shadow.entry.table)?;
        let rows = self.session.import(cx, &shadow.target(), chunks).await?;
        let print = self.session.fingerprint(cx, &shadow.loaded()).await?;
        shadow.check(manifest, rows, &print)
    }

    fn is_side_by_side(&self, entries: &[TableEntry]) -> bool {
        let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        // An engine whose sessions cannot read side by side has one writer at a time.
        self.runner.settings().jobs > 1 && self.session.capability().shared_snapshot && bytes >= WORTHWHILE
    }

    /// Loads shadows with several sessions, then reads them back with several and compares what was read.
    async fn load_side_by_side(&self, cx: &Cx, manifest: &Manifest, shadows: &[Shadow]) -> Result<()> {
        let runner = self.runner;
        let mut sessions = Vec::new();
        for _ in 0..runner.settings().jobs {
            sessions.push(runner.connect(cx, Access::Write).await?);
        }
        let hall = Arc::new(Hall {
            cx: cx.clone(),
            vault: runner.needed_vault()?.clone(),
            manifest: manifest.clone(),
            shadows: shadows.to_vec(),
        });
        let loads = shadows.iter().enumerate().flat_map(|(index, shadow)| {
            let parts = shadow.parts().into_iter();
            parts.map(move |part| Job::Load(index, part))
        });
        let (mut rows, mut sums) = (vec![0; shadows.len()], vec![Fingerprinter::new(); shadows.len()]);
        let (mut sessions, done) = hall.run(sessions, loads.collect()).await?;
        for done in done {
            if let Done::Loaded(index, count) = done {
                rows[index] += count;
            }
        }
        let mut checks = VecDeque::new();
        for (index, shadow) in shadows.iter().enumerate() {
            let slices = slices(cx, &mut *sessions[0], shadow).await?;
            checks.extend(slices.into_iter().map(|slice| Job::Check(index, slice)));
        }
        for done in hall.run(sessions, checks).await?.1 {
            if let Done::Checked(index, sum) = done {
                sums[index].merge(&sum);
            }
        }
        for ((shadow, rows), sum) in shadows.iter().zip(rows).zip(sums) {
            shadow.check(manifest, rows, &sum.finish())?;
        }
        Ok(())
    }

    /// Notes in which schemas there may be shadows.
    pub(crate) fn note_homes(&mut self, manifest: &Manifest, now: &Schema) {
        let tables = manifest.schema.tables.iter().chain(&now.tables);
        self.homes.extend(tables.map(|table| table.name.schema.clone()));
    }

    /// Drops the shadows of an attempt that did not come to its end: the last one first, so that those that are
    /// left if this is stopped are found again.
    pub(crate) async fn clear_shadows(&mut self, cx: &Cx) -> Result<()> {
        let mut found = Vec::new();
        let homes: BTreeSet<_> = std::iter::once(None).chain(self.homes.iter().cloned()).collect();
        for index in 0.. {
            let before = found.len();
            for home in &homes {
                let mut shadow = TableName::new(format!("{SHADOW}{index}"));
                shadow.schema.clone_from(home);
                if self.session.has_table(cx, &shadow).await? {
                    found.push(shadow);
                }
            }
            if found.len() == before {
                break;
            }
        }
        for shadow in found.into_iter().rev() {
            // The same one may be found twice: by its schema, and because that is where the session works.
            if self.session.has_table(cx, &shadow).await? {
                let sql = format!("DROP TABLE {}", self.dialect.quote_table(&shadow));
                self.session.execute(cx, &sql, &[]).await?;
            }
        }
        Ok(())
    }
}

/// Divides what was loaded for reading it back: by the places of rows where the engine can, which costs no order.
async fn slices(cx: &Cx, session: &mut dyn Session, shadow: &Shadow) -> Result<Vec<TableSlice>> {
    let ordered = point::slice_of(&shadow.loaded());
    let loose = TableSlice::new(ordered.table.clone(), ordered.columns.clone(), Vec::new());
    let division = session.divide(cx, &loose, PART).await?;
    if division.parts.len() > 1 || division.bytes <= PART {
        return Ok(division.parts);
    }
    let division = session.divide(cx, &ordered, PART).await?;
    Ok(if division.parts.len() > 1 {
        division.parts
    } else {
        vec![loose]
    })
}

/// What every session that loads has at hand.
#[derive(Debug)]
struct Hall {
    cx: Cx,
    vault: VaultSet,
    manifest: Manifest,
    shadows: Vec<Shadow>,
}

type Sessions = Vec<Box<dyn Session>>;

impl Hall {
    /// Lets sessions take jobs until there are none left, and gives them back. The first failure ends all of it.
    async fn run(self: &Arc<Self>, sessions: Sessions, jobs: VecDeque<Job>) -> Result<(Sessions, Vec<Done>)> {
        let jobs = Arc::new(Mutex::new(jobs));
        let mut workers = JoinSet::new();
        for session in sessions {
            workers.spawn(Arc::clone(self).work(session, Arc::clone(&jobs)));
        }
        let (mut sessions, mut done) = (Vec::new(), Vec::new());
        while let Some(outcome) = workers.join_next().await {
            let outcome = outcome
                .map_err(|error| Error::internal("a session that loads has ended").with_source(error))?;
            let (session, more) = outcome?;
            sessions.push(session);
            done.extend(more);
        }
        Ok((sessions, done))
    }

    async fn work(
        self: Arc<Self>,
        mut session: Box<dyn Session>,
        jobs: Arc<Mutex<VecDeque<Job>>>,
    ) -> Result<(Box<dyn Session>, Vec<Done>)> {
        let mut done = Vec::new();
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            done.push(match job {
                None => return Ok((session, done)),
                Some(Job::Load(index, part)) => {
                    let shadow = &self.shadows[index];
                    let table = &shadow.entry.table;
                    let chunks = self.vault.read_chunks(&self.cx, &self.manifest, table, part)?;
                    let rows = session.import(&self.cx, &shadow.target(), chunks).await?;
                    Done::Loaded(index, rows)
                }
                Some(Job::Check(index, slice)) => {
                    Done::Checked(index, sum(&self.cx, &mut *session, &slice).await?)
                }
            });
        }
    }
}

/// Reads the rows of a slice, and returns what they add up to.
async fn sum(cx: &Cx, session: &mut dyn Session, slice: &TableSlice) -> Result<Fingerprinter> {
    let mut sum = Fingerprinter::new();
    let mut chunks = session.export(cx, slice).await?;
    while let Some(chunk) = chunks.try_next().await? {
        let more = chunk
            .fingerprint
            .ok_or_else(|| Error::internal("an export does not say what its rows add up to"))?;
        sum.merge(&more);
    }
    Ok(sum)
}
