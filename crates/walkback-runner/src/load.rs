//! Loading the shadows that a restore exchanges: by the session of the run, or by [several](crate::hall) side by
//! side.
//!
//! Several can do so where each sees what the others have committed: the shadows are then no part of a transaction,
//! and what an attempt that was killed has left is cleared away by the next one (ADR 14).

use std::collections::BTreeSet;
use std::ops::Range;

use walkback_core::bulk::ImportTarget;
use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::fingerprint::TableFingerprint;
use walkback_core::{Access, Cx, Error, ErrorKind, Result, TableName};
use walkback_vault::{Manifest, TableEntry};

use crate::execute::Execution;
use crate::hall::Hall;
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
            Ok(Self::numbered(index, table, entry))
        };
        replace.iter().enumerate().map(shadow).collect()
    }

    /// Returns one table that is loaded. Numbers begin at zero and leave none out.
    pub(crate) fn numbered(index: usize, table: &Table, entry: &TableEntry) -> Self {
        Self {
            entry: entry.clone(),
            table: table.clone(),
            name: table.name.renamed(Self::name_of(index)),
        }
    }

    /// Returns the name of a table that is cleared away with the shadows.
    pub(crate) fn name_of(index: usize) -> String {
        format!("{SHADOW}{index}")
    }

    pub(crate) fn target(&self) -> ImportTarget {
        ImportTarget {
            table: self.name.clone(),
            columns: self.entry.columns.clone(),
        }
    }

    /// Returns it as a table whose rows are compared with those that were kept.
    pub(crate) fn loaded(&self) -> Table {
        let mut loaded = point::kept(&self.table);
        loaded.name = self.name.clone();
        loaded
    }

    /// Divides its chunks so that the rows of each part are about as many bytes as are read at a time.
    pub(crate) fn parts(&self) -> Vec<Range<usize>> {
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
        let outcome = self
            .make_and_load(cx, manifest, (&shadows, &exchange.create_objects), false)
            .await;
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
        (shadows, objects): (&[Shadow], &[Object]),
        exchanging: bool,
    ) -> Result<()> {
        let entries: Vec<_> = shadows.iter().map(|shadow| shadow.entry.clone()).collect();
        let is_in_transaction = exchanging && self.session.capability().transactional_ddl;
        let side_by_side = !is_in_transaction && self.is_side_by_side(&entries);
        for shadow in shadows {
            self.session
                .create_shadow(cx, &shadow.table, &shadow.name)
                .await?;
            cx.step("restore.shadow-made");
            if !side_by_side {
                self.load(cx, manifest, shadow).await?;
            }
        }
        if side_by_side {
            self.load_side_by_side(cx, manifest, shadows, objects).await?;
        }
        Ok(())
    }

    pub(crate) async fn load(&mut self, cx: &Cx, manifest: &Manifest, shadow: &Shadow) -> Result<()> {
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

    /// Loads shadows with several sessions; each that is loaded gets its indexes, and is read back and compared. It is not
    /// shared meanwhile, so that a run may go on on another thread.
    async fn load_side_by_side(
        &mut self,
        cx: &Cx,
        manifest: &Manifest,
        shadows: &[Shadow],
        objects: &[Object],
    ) -> Result<()> {
        let runner = self.runner;
        let mut sessions = Vec::new();
        for _ in 0..runner.settings().jobs {
            sessions.push(runner.connect(cx, Access::Write).await?);
        }
        let hall = Hall::new(cx, runner.needed_vault()?.clone(), manifest, shadows, objects);
        let sums = hall.run(sessions).await?;
        for (shadow, (rows, sum)) in shadows.iter().zip(sums) {
            shadow.check(manifest, rows, &sum.finish())?;
        }
        Ok(())
    }

    /// Notes in which schemas there may be shadows.
    pub(crate) fn note_homes(&mut self, manifest: &Manifest, now: &Schema) {
        let tables = manifest.schema.tables.iter().chain(&now.tables);
        self.homes.extend(tables.map(|table| table.name.schema.clone()));
    }

    /// Drops what a run that was killed has loaded: a migration that goes on after it must not find a type in use
    /// by tables that nobody sees. What cannot be dropped now the next restore drops, and is no reason to stop.
    pub(crate) async fn clear_after_kill(&mut self, cx: &Cx) {
        let tables = self.state.schema.tables.iter();
        let homes: Vec<_> = tables.map(|table| table.name.schema.clone()).collect();
        self.homes.extend(homes);
        if let Err(error) = self.clear_shadows(cx).await {
            self.report.warnings.push(format!(
                "tables that a killed restore had loaded, `{SHADOW}0` and those after it, could not be dropped; \
                 the next restore drops them: {error}"
            ));
        }
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
                cx.step("restore.shadow-cleared");
            }
        }
        Ok(())
    }
}
