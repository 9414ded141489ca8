//! Several sessions that load shadows side by side.
//!
//! Each takes what comes next. The chunks of a table are loaded in parts; whoever has loaded the last of them makes
//! its indexes; then its rows are read back in parts, while others still load.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::TryStreamExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use walkback_core::bulk::TableSlice;
use walkback_core::catalog::Object;
use walkback_core::fingerprint::Fingerprinter;
use walkback_core::{Cx, Error, Result, Session};
use walkback_vault::{Manifest, VaultSet};

use crate::load::Shadow;
use crate::point;
use crate::snapshot::PART;

/// Something that one session does by itself, with the number of the shadow.
#[derive(Debug)]
enum Job {
    /// Loads some of the chunks of a table.
    Load(usize, Range<usize>),
    /// Makes its keys and indexes.
    Index(usize),
    /// Reads some of the rows that were loaded.
    Check(usize, TableSlice),
}

/// What is left to do, and what came of the rest.
#[derive(Debug)]
struct Work {
    jobs: VecDeque<Job>,
    /// How many sessions do something that may lead to more jobs.
    busy: usize,
    /// How many parts of each shadow are not loaded yet.
    parts: Vec<usize>,
    /// How many rows were loaded into each, and what was read back.
    sums: Vec<(u64, Fingerprinter)>,
}

/// What every session that loads has at hand.
#[derive(Debug)]
pub(crate) struct Hall {
    cx: Cx,
    vault: VaultSet,
    manifest: Manifest,
    shadows: Vec<Shadow>,
    /// What the exchange will create, the indexes of the tables among it.
    objects: Vec<Object>,
    work: Mutex<Work>,
    /// Wakes those that wait for more jobs, or for the end.
    changed: Notify,
}

impl Hall {
    pub(crate) fn new(
        cx: &Cx,
        vault: VaultSet,
        manifest: &Manifest,
        shadows: &[Shadow],
        objects: &[Object],
    ) -> Arc<Self> {
        let mut work = Work {
            jobs: VecDeque::new(),
            busy: 0,
            parts: Vec::new(),
            sums: vec![(0, Fingerprinter::new()); shadows.len()],
        };
        let mut largest_first: Vec<usize> = (0..shadows.len()).collect();
        largest_first.sort_by_key(|index| std::cmp::Reverse(shadows[*index].entry.bytes));
        let parts: Vec<_> = shadows.iter().map(Shadow::parts).collect();
        work.parts = parts.iter().map(Vec::len).collect();
        for index in largest_first {
            if parts[index].is_empty() {
                work.jobs.push_back(Job::Index(index));
            }
            let loads = parts[index].iter().map(|part| Job::Load(index, part.clone()));
            work.jobs.extend(loads);
        }
        Arc::new(Self {
            cx: cx.clone(),
            vault,
            manifest: manifest.clone(),
            shadows: shadows.to_vec(),
            objects: objects.to_vec(),
            work: Mutex::new(work),
            changed: Notify::new(),
        })
    }

    /// Lets sessions take jobs until there are none left, and returns how many rows each shadow has taken and what
    /// was read back of it. The first failure ends all of it.
    pub(crate) async fn run(
        self: &Arc<Self>,
        sessions: Vec<Box<dyn Session>>,
    ) -> Result<Vec<(u64, Fingerprinter)>> {
        let mut workers = JoinSet::new();
        for session in sessions {
            workers.spawn(Arc::clone(self).serve(session));
        }
        while let Some(outcome) = workers.join_next().await {
            outcome
                .map_err(|error| Error::internal("a session that loads has ended").with_source(error))??;
        }
        Ok(std::mem::take(&mut self.work().sums))
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self: Arc<Self>, mut session: Box<dyn Session>) -> Result<()> {
        while let Some(job) = self.next().await {
            let more = self.perform(&mut *session, job).await?;
            let mut work = self.work();
            work.jobs.extend(more);
            work.busy -= 1;
            drop(work);
            self.changed.notify_waiters();
        }
        Ok(())
    }

    /// Returns what is to be done next, once there is something; nothing if no more can come.
    async fn next(&self) -> Option<Job> {
        loop {
            let changed = self.changed.notified();
            {
                let mut work = self.work();
                if let Some(job) = work.jobs.pop_front() {
                    work.busy += 1;
                    return Some(job);
                }
                if work.busy == 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Does a job, and returns what can be done because of it.
    async fn perform(&self, session: &mut dyn Session, job: Job) -> Result<Vec<Job>> {
        match job {
            Job::Load(index, part) => {
                let shadow = &self.shadows[index];
                let table = &shadow.entry.table;
                let chunks = self.vault.read_chunks(&self.cx, &self.manifest, table, part)?;
                let rows = session.import(&self.cx, &shadow.target(), chunks).await?;
                self.cx.step("restore.part-loaded");
                let mut work = self.work();
                work.sums[index].0 += rows;
                work.parts[index] -= 1;
                Ok((work.parts[index] == 0)
                    .then_some(Job::Index(index))
                    .into_iter()
                    .collect())
            }
            Job::Index(index) => {
                let shadow = &self.shadows[index];
                session
                    .index_shadow(&self.cx, &shadow.table, &shadow.name, &self.objects)
                    .await?;
                self.cx.step("restore.indexed");
                let slices = slices(&self.cx, session, shadow).await?;
                Ok(slices.into_iter().map(|slice| Job::Check(index, slice)).collect())
            }
            Job::Check(index, slice) => {
                let sum = sum(&self.cx, session, &slice).await?;
                self.work().sums[index].1.merge(&sum);
                Ok(Vec::new())
            }
        }
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
