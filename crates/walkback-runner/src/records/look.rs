//! What taking a load back would do: its rows are compared with what was loaded, and nothing is locked or written.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use walkback_core::catalog::Schema;
use walkback_core::value::Row;
use walkback_core::{Cx, Dialect, Error, ErrorKind, Result, Session, TableName};

use super::undo::{CHANGED, Undoing, table_of};
use crate::changes::{Conflict, OnConflict};
use crate::journal::{Journal, LoadRow, LoadState};
use crate::loss::Loss;

/// What taking a load back will look at, and what was found when that was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoadUndo {
    /// The run of the load.
    pub run: String,
    /// The name of its way back.
    pub point: String,
    /// The table.
    pub table: TableName,
    /// How many rows it has loaded.
    pub rows: u64,
    /// How many of them go.
    pub removed: u64,
    /// How many of those go although they were changed since, because that was asked for (`--on-conflict revert`).
    pub overridden: u64,
    /// How many rows are not as they were loaded, and stay.
    pub conflicts: u64,
    /// The first of the rows that stay, or that go although they were changed since.
    pub listed: Vec<Conflict>,
    /// What applications lose by it.
    pub loss: Vec<Loss>,
}

impl LoadUndo {
    pub(crate) fn of(load: &LoadRow) -> Self {
        Self {
            run: load.run_id.clone(),
            point: load.point.clone(),
            table: load.table.clone(),
            rows: load.loaded,
            removed: 0,
            overridden: 0,
            conflicts: 0,
            listed: Vec::new(),
            loss: Vec::new(),
        }
    }

    /// Compares the rows with what was loaded.
    pub(crate) async fn look(
        &mut self,
        cx: &Cx,
        dialect: &dyn Dialect,
        session: &mut dyn Session,
        (schema, on_conflict): (&Schema, OnConflict),
    ) -> Result<()> {
        let load = Journal::new(session, dialect).load_of(cx, &self.run).await?;
        let Some(load) = load.filter(|load| load.state == LoadState::Loaded) else {
            return Err(Error::new(
                ErrorKind::CheckFailed,
                format!("the load `{}` has been taken back meanwhile", self.point),
            ));
        };
        let table = table_of(schema, &load)?;
        super::pinned::pin(dialect, cx, session).await?;
        let mut undoing = Undoing::new(dialect, table, schema, on_conflict);
        let abroad = super::abroad::children(dialect, cx, session, &table.name).await?;
        undoing.children.extend(abroad);
        let mut looking = Looking {
            undoing,
            gone: BTreeSet::new(),
        };
        for batch in (1..=load.batch).rev() {
            cx.check()?;
            let rows = Journal::new(session, dialect)
                .load_rows(cx, &load.run_id, batch)
                .await?;
            looking.batch(cx, session, &rows).await?;
        }
        self.take(looking.undoing);
        Ok(())
    }

    fn take(&mut self, undoing: Undoing<'_>) {
        self.removed = undoing.found.removed;
        self.overridden = undoing.overridden;
        // Those that go although they were changed are listed with them.
        self.conflicts = undoing.found.conflicts - undoing.overridden;
        self.listed = undoing.found.listed;
        let what = match self.overridden {
            0 => return,
            1 => "1 row that was loaded and changed since".to_owned(),
            rows => format!("{rows} rows that were loaded and changed since"),
        };
        self.loss.push(Loss {
            table: self.table.clone(),
            rows: self.overridden,
            what,
        });
    }
}

/// Goes through the rows as the rollback would.
struct Looking<'a> {
    undoing: Undoing<'a>,
    /// The keys of the rows that would be gone by now, where rows of the table refer to each other.
    gone: BTreeSet<String>,
}

impl Looking<'_> {
    async fn batch(
        &mut self,
        cx: &Cx,
        session: &mut dyn Session,
        rows: &[crate::journal::LoadedRow],
    ) -> Result<()> {
        let mut sifted = self.undoing.sift(cx, session, rows, false).await?;
        let all = std::mem::take(&mut sifted.left);
        let changed: Vec<_> = sifted
            .changed
            .iter()
            .filter_map(|key| Some((*key, all.get(key)?.clone())))
            .collect();
        let left = self.unreferred(cx, session, all).await?;
        self.undoing.overridden += sifted.overridden(&left);
        for (key, cells) in changed {
            if !left.contains_key(key) {
                self.undoing.conflict(&cells, CHANGED);
            }
        }
        self.undoing.note_referred(&left);
        Ok(())
    }

    /// Returns those of the rows that something would still refer to, and counts the others.
    async fn unreferred<'r>(
        &mut self,
        cx: &Cx,
        session: &mut dyn Session,
        mut left: BTreeMap<&'r str, Row>,
    ) -> Result<BTreeMap<&'r str, Row>> {
        let keys: Vec<Row> = left.values().cloned().collect();
        let (mut by_others, mut by_own) = (BTreeSet::new(), Vec::new());
        let mut has_own = false;
        for (child, pairs) in &self.undoing.children {
            if *child == self.undoing.images.table() {
                has_own = true;
                by_own.extend(self.undoing.images.referring(cx, session, &keys, pairs).await?);
            } else {
                let images = &self.undoing.images;
                by_others.extend(
                    images
                        .referred_to(cx, session, &keys, (child, pairs), false)
                        .await?,
                );
            }
        }
        loop {
            // A row that refers to itself goes with itself.
            by_own.retain(|(parent, child)| parent != child && !self.gone.contains(child));
            let own: BTreeSet<&str> = by_own.iter().map(|(parent, _)| &**parent).collect();
            let (stay, go): (BTreeMap<_, _>, BTreeMap<_, _>) = left
                .into_iter()
                .partition(|(key, _)| by_others.contains(*key) || own.contains(*key));
            self.undoing.found.removed += go.len() as u64;
            if has_own {
                self.gone.extend(go.keys().map(|key| (*key).to_owned()));
            }
            left = stay;
            if !has_own || go.is_empty() || left.is_empty() {
                return Ok(left);
            }
        }
    }
}
