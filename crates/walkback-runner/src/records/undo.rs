//! Taking a load back: the rows that are still as they were loaded go, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};

use walkback_core::catalog::Table;
use walkback_core::dialect::DialectKind;
use walkback_core::value::Row;
use walkback_core::{Cx, Dialect, Error, ErrorKind, Result, TableName};

use super::image::{Images, key_of};
use super::tally::Tally;
use crate::changes::{Conflict, OnConflict, TableChanges};
use crate::execute::Execution;
use crate::identity;
use crate::journal::{LoadRow, LoadState, LoadedRow};

/// How many conflicts are listed.
const LISTED: usize = 100;

/// Returns the table of a load, if its columns are what they were: else nothing tells whether its rows were changed.
pub(super) fn table_of<'s>(schema: &'s walkback_core::catalog::Schema, load: &LoadRow) -> Result<&'s Table> {
    let gone = |why: &str| {
        Error::new(
            ErrorKind::Refused,
            format!("the load into `{}` cannot be taken back row by row: {why}", load.table),
        )
        .hint("walk back the migrations that were applied after it first: `walkback history`, `walkback rollback --to <TARGET>`")
    };
    let table = schema
        .table(&load.table)
        .ok_or_else(|| gone("the table is not there any more"))?;
    if written_columns(table) == load.columns {
        Ok(table)
    } else {
        Err(gone("its columns are not what they were"))
    }
}

/// Returns the columns of a table that the server does not compute, the key first.
pub(super) fn written_columns(table: &Table) -> Vec<String> {
    let written = table.columns.iter().filter(|column| !column.generated);
    let key = table.primary_key.iter().cloned();
    key.chain(written.map(|column| column.name.clone())).collect()
}

/// What is said of a row that an application has changed.
pub(super) const CHANGED: &str = "loaded, changed since";

/// What became of the rows of a load.
pub(super) struct Undoing<'a> {
    pub(super) images: Images<'a>,
    /// Tables with columns that refer to columns of this one, quoted.
    pub(super) children: Vec<(String, Vec<(String, String)>)>,
    /// Columns in which a row may refer to itself, quoted, where such a row could not be removed.
    to_itself: Vec<Vec<(String, String)>>,
    key: Vec<String>,
    on_conflict: OnConflict,
    pub(super) found: TableChanges,
    /// How many rows go although they were changed since.
    pub(super) overridden: u64,
}

/// What becomes of the rows of a batch.
#[derive(Default)]
pub(super) struct Sifted<'r> {
    /// Those that go, unless others refer to them.
    pub(super) left: BTreeMap<&'r str, Row>,
    /// Those of them that were changed since.
    pub(super) changed: BTreeSet<&'r str>,
    /// Those that stay.
    stay: BTreeSet<&'r str>,
}

impl Sifted<'_> {
    /// Counts those that go although they were changed, when these stay.
    pub(super) fn overridden(&self, stay: &BTreeMap<&str, Row>) -> u64 {
        self.changed.iter().filter(|key| !stay.contains_key(*key)).count() as u64
    }
}

impl Execution<'_> {
    /// Takes a load back, in one transaction with what the journal says of it. With `Revert`, no more rows that were changed
    /// since go than `seen`: so many were planned and let through.
    pub(crate) async fn undo_load(
        &mut self,
        cx: &Cx,
        load: &LoadRow,
        (on_conflict, seen): (OnConflict, u64),
    ) -> Result<TableChanges> {
        super::pinned::pin(&*self.dialect, cx, &mut *self.session).await?;
        self.session
            .begin(cx, walkback_core::engine::Begin::Write)
            .await?;
        let outcome = self.remove_loaded(cx, load, (on_conflict, seen)).await;
        match outcome {
            Ok(found) => {
                cx.step("load.removed");
                self.session.commit(cx).await?;
                cx.step("load.undone");
                Ok(found)
            }
            Err(error) => {
                // The first error is the one to tell.
                self.session.rollback(&cx.shielded()).await.ok();
                Err(error)
            }
        }
    }

    /// Forgets a load that was killed, in the current transaction: what it had loaded has been replaced.
    pub(crate) async fn abandon_load(&mut self, cx: &Cx) -> Result<()> {
        let Some(mut load) = self.state.load.take() else {
            return Ok(());
        };
        load.state = LoadState::Undone;
        load.noted_at = identity::moment(cx.now());
        self.journal().forget_load_rows(cx, &load.run_id).await?;
        self.journal().note_progress(cx, &load).await
    }

    /// Takes a load back in the current transaction.
    async fn remove_loaded(
        &mut self,
        cx: &Cx,
        load: &LoadRow,
        (on_conflict, seen): (OnConflict, u64),
    ) -> Result<TableChanges> {
        let schema = self.runner.schema(cx, &mut *self.session).await?;
        let table = match table_of(&schema, load) {
            Ok(table) => table,
            // Nobody could get out of a load that was killed, if this could not be settled.
            Err(_) if load.state == LoadState::Loading => {
                let is_there = schema.table(&load.table).is_some();
                return self.settle_unlike(cx, load, is_there).await;
            }
            Err(error) => return Err(error),
        };
        let dialect = std::sync::Arc::clone(&self.dialect);
        let mut undoing = Undoing::new(&*dialect, table, &schema, on_conflict);
        let abroad = super::abroad::children(&*dialect, cx, &mut *self.session, &table.name).await?;
        undoing.children.extend(abroad);
        // Rows that refer to others were loaded after them.
        for batch in (1..=load.batch).rev() {
            cx.check()?;
            let rows = self.journal().load_rows(cx, &load.run_id, batch).await?;
            let stay = undoing.remove(cx, &mut *self.session, &rows).await?;
            self.journal().forget_load_batch(cx, &load.run_id, batch).await?;
            self.journal()
                .note_load_rows(cx, &load.run_id, batch, &stay)
                .await?;
        }
        if on_conflict == OnConflict::Stop && undoing.found.conflicts > 0 {
            return Err(undoing.stopped());
        }
        if undoing.overridden > seen {
            return Err(undoing.changed_meanwhile(seen));
        }
        self.settle_load(cx, load, undoing.found.conflicts).await?;
        Ok(undoing.found)
    }

    /// Settles a load that was killed, and whose table is not what it was any more: what cannot be compared stays.
    async fn settle_unlike(&mut self, cx: &Cx, load: &LoadRow, is_there: bool) -> Result<TableChanges> {
        let mut found = nothing(&load.table);
        if !is_there {
            self.journal().forget_load_rows(cx, &load.run_id).await?;
            self.settle_load(cx, load, 0).await?;
            return Ok(found);
        }
        for batch in 1..=load.batch {
            for row in self.journal().load_rows(cx, &load.run_id, batch).await? {
                let what = "loaded, and cannot be compared: the columns of the table are not what they were";
                note_conflict(&mut found, &load.columns, &key_of(&row.key)?, what);
            }
        }
        self.settle_load(cx, load, found.conflicts).await?;
        Ok(found)
    }

    /// Writes what is left of a load: its rows are known to the journal as long as there are any.
    async fn settle_load(&mut self, cx: &Cx, load: &LoadRow, left: u64) -> Result<()> {
        let mut settled = load.clone();
        settled.state = match left {
            0 => LoadState::Undone,
            _ => LoadState::Loaded,
        };
        settled.loaded = left;
        settled.noted_at = identity::moment(cx.now());
        self.journal().note_progress(cx, &settled).await
    }
}

fn nothing(table: &TableName) -> TableChanges {
    TableChanges {
        table: table.clone(),
        changed_back: 0,
        brought_back: 0,
        removed: 0,
        conflicts: 0,
        listed: Vec::new(),
        kept: None,
    }
}

/// Counts a row that stays, and lists it if it is one of the first.
fn note_conflict(found: &mut TableChanges, names: &[String], key: &Row, what: &str) {
    found.conflicts += 1;
    if found.listed.len() >= LISTED {
        return;
    }
    let cells = names
        .iter()
        .zip(key)
        .map(|(name, value)| match (value.as_str(), value.as_i64()) {
            (Some(text), _) => format!("{name} = '{text}'"),
            (None, Some(number)) => format!("{name} = {number}"),
            (None, None) => format!("{name} = {value:?}"),
        });
    found.listed.push(Conflict {
        key: cells.collect::<Vec<_>>().join(", "),
        column: None,
        what: what.to_owned(),
        before: None,
        written: None,
        now: None,
    });
}

impl<'a> Undoing<'a> {
    pub(super) fn new(
        dialect: &'a dyn Dialect,
        table: &Table,
        schema: &walkback_core::catalog::Schema,
        on_conflict: OnConflict,
    ) -> Self {
        let (mut children, mut to_itself) = (Vec::new(), Vec::new());
        for child in &schema.tables {
            for key in &child.foreign_keys {
                if schema.table(&key.references).map(|parent| &parent.name) != Some(&table.name) {
                    continue;
                }
                let to = match key.referenced_columns.is_empty() {
                    true => &table.primary_key,
                    false => &key.referenced_columns,
                };
                let quoted = |name: &String| dialect.quote_identifier(name);
                let pairs = key.columns.iter().zip(to);
                let pairs: Vec<_> = pairs.map(|(from, to)| (quoted(from), quoted(to))).collect();
                let is_mysql = dialect.kind() == DialectKind::Mysql;
                if is_mysql && child.name == table.name && !key.cascades && can_be_empty(child, &key.columns)
                {
                    to_itself.push(pairs.clone());
                }
                children.push((dialect.quote_table(&child.name), pairs));
            }
        }
        Self {
            images: Images::of(dialect, table),
            children,
            to_itself,
            key: table.primary_key.clone(),
            on_conflict,
            found: nothing(&table.name),
            overridden: 0,
        }
    }

    /// Removes the rows of a batch that are as they were loaded and that nothing refers to, and returns those that stay.
    async fn remove(
        &mut self,
        cx: &Cx,
        session: &mut dyn walkback_core::Session,
        rows: &[LoadedRow],
    ) -> Result<Vec<LoadedRow>> {
        let mut sifted = self.sift(cx, session, rows, true).await?;
        let left = std::mem::take(&mut sifted.left);
        let left = self.remove_unreferred(cx, session, left).await?;
        self.overridden += sifted.overridden(&left);
        self.note_referred(&left);
        let stay = rows
            .iter()
            .filter(|row| left.contains_key(&*row.key) || sifted.stay.contains(&*row.key));
        Ok(stay.cloned().collect())
    }

    /// Compares the rows of a batch with what was loaded. `locked`: nobody else changes them until the transaction ends.
    pub(super) async fn sift<'r>(
        &mut self,
        cx: &Cx,
        session: &mut dyn walkback_core::Session,
        rows: &'r [LoadedRow],
        locked: bool,
    ) -> Result<Sifted<'r>> {
        let keys = rows
            .iter()
            .map(|row| key_of(&row.key))
            .collect::<Result<Vec<_>>>()?;
        let now = self.images.read(cx, session, &keys, locked).await?;
        let now: BTreeMap<_, _> = now.into_iter().map(|row| (row.key, row.hash)).collect();
        let known: BTreeSet<_> = rows.iter().map(|row| &row.key).collect();
        // Where upper and lower case are one, a key that is found may be written otherwise.
        let has_strangers = now.keys().any(|key| !known.contains(key));
        let mut sifted = Sifted::default();
        for (row, key) in rows.iter().zip(keys) {
            match now.get(&row.key) {
                Some(hash) if *hash == row.hash => {
                    sifted.left.insert(&row.key, key);
                }
                Some(_) if self.on_conflict == OnConflict::Revert => {
                    sifted.changed.insert(&row.key);
                    sifted.left.insert(&row.key, key);
                }
                Some(_) => {
                    self.conflict(&key, CHANGED);
                    sifted.stay.insert(&row.key);
                }
                None if has_strangers && self.is_found(cx, session, &key, locked).await? => {
                    self.conflict(&key, "loaded, and its key is written otherwise now");
                    sifted.stay.insert(&row.key);
                }
                // It was deleted since, which is what is wanted.
                None => {}
            }
        }
        Ok(sifted)
    }

    /// Notes the rows that stay because others refer to them.
    pub(super) fn note_referred(&mut self, left: &BTreeMap<&str, Row>) {
        for key in left.values() {
            self.conflict(key, "loaded, and other rows refer to it");
        }
    }

    async fn is_found(
        &self,
        cx: &Cx,
        session: &mut dyn walkback_core::Session,
        key: &Row,
        locked: bool,
    ) -> Result<bool> {
        let found = self.images.read(cx, session, std::slice::from_ref(key), locked);
        Ok(!found.await?.is_empty())
    }

    /// Removes those of the rows that nothing refers to, and returns the others.
    async fn remove_unreferred<'r>(
        &mut self,
        cx: &Cx,
        session: &mut dyn walkback_core::Session,
        mut left: BTreeMap<&'r str, Row>,
    ) -> Result<BTreeMap<&'r str, Row>> {
        loop {
            let referred_to = self.referred_to(cx, session, &left).await?;
            let (stay, go): (BTreeMap<_, _>, BTreeMap<_, _>) =
                left.into_iter().partition(|(key, _)| referred_to.contains(*key));
            let go: Vec<Row> = go.into_values().collect();
            for pairs in &self.to_itself {
                self.images.loosen(cx, session, &go, pairs).await?;
            }
            self.found.removed += self.images.delete(cx, session, &go).await?;
            left = stay;
            // Those that were removed may have been all that referred to others.
            if go.is_empty() || left.is_empty() {
                return Ok(left);
            }
        }
    }

    async fn referred_to(
        &self,
        cx: &Cx,
        session: &mut dyn walkback_core::Session,
        rows: &BTreeMap<&str, Row>,
    ) -> Result<BTreeSet<String>> {
        let keys: Vec<Row> = rows.values().cloned().collect();
        let mut found = BTreeSet::new();
        for (child, pairs) in &self.children {
            let by = self
                .images
                .referred_to(cx, session, &keys, (child, pairs), true)
                .await?;
            found.extend(by);
        }
        Ok(found)
    }

    pub(super) fn conflict(&mut self, key: &Row, what: &str) {
        note_conflict(&mut self.found, &self.key, key, what);
    }

    /// Says that applications have changed more rows than the plan has seen.
    fn changed_meanwhile(&self, seen: u64) -> Error {
        Error::new(
            ErrorKind::CheckFailed,
            format!(
                "{} rows of the load into `{}` were changed since, and the plan was made when it were {seen}",
                self.overridden, self.found.table
            ),
        )
        .hint("nothing was changed; run the command again to plan anew")
    }

    fn stopped(&self) -> Error {
        let first = self
            .found
            .listed
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        Error::new(
            ErrorKind::Conflict,
            format!(
                "{} rows of the load into `{}` are not as they were loaded, the first: {first}",
                self.found.conflicts, self.found.table
            ),
        )
        .hint("nothing was changed; `--on-conflict keep` leaves them, `--on-conflict revert` removes those that were changed")
    }
}

/// Returns whether all of these columns take `NULL`.
fn can_be_empty(table: &Table, columns: &[String]) -> bool {
    let mut of_key = table
        .columns
        .iter()
        .filter(|column| columns.contains(&column.name));
    of_key.all(|column| column.nullable)
}

impl Tally {
    /// Goes on with what the journal says of a load.
    pub(super) fn of(load: &LoadRow) -> Self {
        Self {
            loaded: load.loaded,
            rejected: load.rejected,
            reasons: load.reasons.clone(),
        }
    }
}
