//! Restoring from a point: what is exchanged, what that loses, and doing it in one transaction.

use serde::Serialize;
use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::engine::{Begin, Swap};
use walkback_core::grants::Grant;
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, DialectKind, Effect, Error, ErrorKind, MigrationId, Result, TableName};
use walkback_vault::{Manifest, TableEntry};

use crate::changes::{Merging, TableChanges};
use crate::delta::SchemaDelta;
use crate::execute::{Execution, may_have_happened};
use crate::identity;
use crate::journal::{StatementRow, StatementState};
use crate::load::Shadow;
use crate::loss::Loss;
use crate::plan::PointScope;
use crate::reach::{self, Reach};
use crate::since::TableChange;

/// The direction of the row that says that a point is being brought back.
pub(crate) const RESTORE: &str = "restore";

/// What a restore would exchange. Nothing in it has happened.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RestorePlan {
    /// The point or backup.
    pub point: String,
    /// When that was made, RFC 3339 in UTC.
    pub created_at: String,
    /// Tables that get their rows back, and how many rows.
    pub replace: Vec<(TableName, u64)>,
    /// Tables that were not there then, and go.
    pub drop_tables: Vec<TableName>,
    /// Indexes, views, triggers that come back, as `index orders_by_date`.
    pub create_objects: Vec<String>,
    /// Indexes, views, triggers that go.
    pub drop_objects: Vec<String>,
    /// How the tables that are replaced have changed since, where a whole backup or chosen tables come back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed_since: Vec<TableChange>,
    /// What will be applied afterwards.
    pub applied_after: Vec<MigrationId>,
    /// Rights that are given back afterwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// What is taken away that was written since.
    pub loss: Vec<Loss>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The tables that were asked for; `None` for all that the point holds.
    #[serde(skip)]
    pub(crate) only: Option<Vec<TableName>>,
    /// What was applied when the plan was made.
    #[serde(skip)]
    pub(crate) applied_before: Vec<MigrationId>,
}

/// What goes and what comes, worked out from a point and the schema as it is now.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Entries of the manifest whose rows come back.
    pub(crate) replace: Vec<TableEntry>,
    pub(crate) drop_tables: Vec<TableName>,
    pub(crate) drop_objects: Vec<Object>,
    pub(crate) create_objects: Vec<Object>,
    pub(crate) warnings: Vec<String>,
}

impl Exchange {
    /// Works out how to undo a change of the schema and of the rows that the point keeps. With `touched`, the
    /// rows of other tables stay as they are, also where the point holds them.
    ///
    /// # Errors
    /// `NotFound` if a table was altered whose rows the point does not hold.
    pub(crate) fn undoing(
        delta: &SchemaDelta,
        touched: Option<&[TableName]>,
        manifest: &Manifest,
        now: &Schema,
    ) -> Result<Self> {
        refuse_changes(manifest)?;
        let missing = delta
            .altered_tables()
            .find(|table| manifest.table(table).is_none());
        if let Some(table) = missing {
            return Err(Error::not_found(format!(
                "point `{}` does not hold the rows of table `{table}`, which has changed since",
                manifest.id
            ))
            .hint("walk back one step after the other: `walkback rollback -n 1`"));
        }
        let drop_tables: Vec<_> = delta
            .created_tables()
            .filter(|table| now.exact_table(table).is_some())
            .cloned()
            .collect();
        let is_touched = |entry: &&TableEntry| {
            touched.is_none_or(|touched| {
                let mut names = touched
                    .iter()
                    .filter_map(|name| reach::find(&manifest.schema, name));
                names.any(|table| table.name == entry.table)
                    || delta.altered_tables().any(|table| *table == entry.table)
            })
        };
        let replace = manifest.tables.iter().filter(is_touched).cloned().collect();
        Ok(Self::of(replace, drop_tables, manifest, now, |object| {
            delta.concerns(object.key())
        }))
    }

    /// Works out how to bring back chosen tables of a point, or all of it.
    ///
    /// # Errors
    /// `NotFound` if the point does not hold a chosen table.
    pub(crate) fn restoring(only: Option<&[TableName]>, manifest: &Manifest, now: &Schema) -> Result<Self> {
        refuse_changes(manifest)?;
        let Some(names) = only else {
            let gone = now
                .tables
                .iter()
                .map(|table| &table.name)
                .filter(|name| manifest.schema.table(name).is_none());
            let without_rows = manifest
                .schema
                .tables
                .iter()
                .find(|table| manifest.table(&table.name).is_none());
            if let Some(table) = without_rows.filter(|_| manifest.kind == walkback_vault::PointKind::Backup) {
                return Err(Error::not_found(format!(
                    "`{}` does not hold the rows of table `{}`: all of it cannot be restored",
                    manifest.id, table.name
                ))
                .hint("choose tables that it holds, with `--table`"));
            }
            if let Some(table) = without_rows {
                return Err(Error::not_found(format!(
                    "`{}` is the point before a migration and does not hold the rows of table `{}`",
                    manifest.id, table.name
                ))
                .hint(format!("`walkback rollback {}` walks back to it", manifest.id)));
            }
            return Ok(Self::of(
                manifest.tables.clone(),
                gone.cloned().collect(),
                manifest,
                now,
                |_| true,
            ));
        };
        let entry = |name: &TableName| {
            manifest.table(name).cloned().ok_or_else(|| {
                let held: Vec<_> = manifest
                    .tables
                    .iter()
                    .map(|entry| entry.table.to_string())
                    .collect();
                Error::not_found(format!("`{}` does not hold table `{name}`", manifest.id))
                    .hint(format!("it holds: {}", held.join(", ")))
            })
        };
        let entries = names.iter().map(entry).collect::<Result<_>>()?;
        Ok(Self::of(entries, Vec::new(), manifest, now, |_| false))
    }

    /// `concerned` tells which objects that belong to no replaced table are brought back as they were.
    fn of(
        replace: Vec<TableEntry>,
        drop_tables: Vec<TableName>,
        manifest: &Manifest,
        now: &Schema,
        concerned: impl Fn(&Object) -> bool,
    ) -> Self {
        let replaced = |object: &Object| {
            object
                .on
                .as_ref()
                .is_some_and(|on| replace.iter().any(|entry| entry.table == *on))
        };
        let dropped = |object: &Object| object.on.as_ref().is_some_and(|on| drop_tables.contains(on));
        let then = |object: &Object| manifest.schema.counterpart(object);
        let mut exchange = Self::default();
        for object in &now.objects {
            let differs = then(object).is_none_or(|then| then.facts != object.facts);
            if replaced(object) {
                // Somebody else's index or trigger on a table that is replaced: it is created again.
                if then(object).is_none() && !concerned(object) && object.kind != ObjectKind::Sequence {
                    exchange.create_objects.push(object.clone());
                    exchange.warnings.push(format!(
                        "{} `{}` was created since, and is kept",
                        object.kind.word(),
                        object.name
                    ));
                }
                exchange.drop_objects.push(object.clone());
            } else if !dropped(object) && concerned(object) && differs {
                exchange.drop_objects.push(object.clone());
            }
        }
        let missing = |object: &&Object| {
            let now = now.counterpart(object);
            replaced(object) || (concerned(object) && now.is_none_or(|now| now.facts != object.facts))
        };
        let back: Vec<_> = manifest.schema.objects.iter().filter(missing).cloned().collect();
        let rowless = back
            .iter()
            .filter(|object| object.kind == ObjectKind::Other && object.on.is_none());
        exchange.warnings.extend(rowless.map(|object| {
            format!(
                "the virtual table `{}` comes back without its rows: no point holds them, fill it again",
                object.name
            )
        }));
        exchange.create_objects.splice(0..0, back);
        exchange.replace = replace;
        exchange.drop_tables = drop_tables;
        exchange
    }
}

impl Exchange {
    /// Returns what tables are made of and in, where it is gone: without it no shadow can be.
    pub(crate) fn create_first(&self, now: &Schema) -> impl Iterator<Item = &Object> {
        self.create_objects.iter().filter(move |object| {
            matches!(
                object.kind,
                ObjectKind::Schema | ObjectKind::Extension | ObjectKind::Type
            ) && now.counterpart(object).is_none()
        })
    }

    /// Returns the objects that come and those that go, in words, without those that are only made anew
    /// because their table is.
    pub(crate) fn changed_objects(&self) -> (Vec<String>, Vec<String>) {
        let only = |these: &[Object], those: &[Object]| {
            let same =
                |object: &Object, other: &Object| object.key() == other.key() && object.facts == other.facts;
            these
                .iter()
                .filter(|object| !those.iter().any(|other| same(object, other)))
                .map(|object| {
                    let word = object.kind.word();
                    let mut others = these.iter().chain(those);
                    let is_repeated = others.any(|other| {
                        (other.kind, &other.name) == (object.kind, &object.name) && other.on != object.on
                    });
                    match object.on.as_ref().filter(|_| is_repeated) {
                        Some(on) => format!("{word} `{}` on `{on}`", object.name),
                        None => format!("{word} `{}`", object.name),
                    }
                })
                .collect()
        };
        (
            only(&self.create_objects, &self.drop_objects),
            only(&self.drop_objects, &self.create_objects),
        )
    }
}

impl Execution<'_> {
    /// Begins what brings a point back: a transaction around all of it, where the engine can. Elsewhere the
    /// intent is noted, so that a kill is noticed, and what an earlier attempt left is cleared away.
    pub(crate) async fn begin_exchange(&mut self, cx: &Cx, migration: &str, point: &str) -> Result<()> {
        self.swapping = false;
        self.kept.clear();
        if self.session.capability().transactional_ddl {
            return self.session.begin(cx, Begin::Rebuild).await;
        }
        let row = StatementRow {
            run_id: self.run.id.clone(),
            seq: self.next_seq(),
            migration: migration.to_owned(),
            direction: RESTORE.to_owned(),
            place: format!("<vault>/{point}"),
            statement: format!("restore `{point}`"),
            effect: String::new(),
            state: StatementState::Intent,
            noted_at: identity::moment(cx.now()),
        };
        self.journal().note_statement(cx, &row).await?;
        cx.step("restore.intent");
        Ok(())
    }

    /// Begins the transaction in which ledger and journal say what has been exchanged, where that was not one.
    pub(crate) async fn record_exchange(&mut self, cx: &Cx) -> Result<()> {
        if self.session.capability().transactional_ddl {
            return Ok(());
        }
        cx.step("restore.swapped");
        self.session.begin(cx, Begin::Write).await?;
        let (run, seq, at) = (self.run.id.clone(), self.last_seq(), identity::moment(cx.now()));
        self.journal().statement_done(cx, &run, seq, &at).await
    }

    /// Ends what [`Execution::begin_exchange`] began. A failure before anything was exchanged leaves nothing;
    /// afterwards, where no rollback takes it back, `recover` does it again.
    pub(crate) async fn end_exchange(&mut self, cx: &Cx, migration: &str, outcome: Result<()>) -> Result<()> {
        if self.session.capability().transactional_ddl {
            if outcome.is_err() {
                let in_vain = std::mem::take(&mut self.kept);
                self.report.kept.retain(|kept| !in_vain.contains(&kept.table));
            }
            let outcome = self.end_transaction(cx, outcome).await;
            if outcome.is_err() {
                // Those that were loaded ahead are no part of the transaction.
                self.clear_shadows(&cx.shielded()).await.ok();
            }
            return outcome;
        }
        let Err(error) = outcome else {
            return self.end_transaction(cx, Ok(())).await;
        };
        let cx = &cx.shielded();
        // There is none unless ledger and journal were being written.
        self.session.rollback(cx).await.ok();
        if self.swapping {
            return Err(error
                .wrap("the exchange of tables was stopped in its middle")
                .with_kind(ErrorKind::NeedsRecovery)
                .hint("run `walkback recover`; it says what it found and what it will do, and asks"));
        }
        self.clear_shadows(cx).await.ok();
        self.drop_kept_in_vain(cx).await.ok();
        let (run, seq) = (self.run.id.clone(), self.last_seq());
        if let Err(second) = self.journal().forget_statement(cx, &run, seq).await {
            tracing::warn!(error = ?second, migration, "the intent of a restore could not be taken back");
        }
        Err(error)
    }

    /// Brings a point back: rows into shadows, shadows checked, then everything exchanged at once. Where the
    /// engine has transactional DDL the current transaction must be a [`Begin::Rebuild`]; elsewhere this may be
    /// killed at any moment and done again from the beginning.
    pub(crate) async fn exchange(&mut self, cx: &Cx, manifest: &Manifest, exchange: &Exchange) -> Result<()> {
        self.exchange_merging(cx, manifest, exchange, None)
            .await
            .map(drop)
    }

    /// As [`exchange`](Self::exchange), and writes into the shadows first what is to be kept.
    pub(crate) async fn exchange_merging(
        &mut self,
        cx: &Cx,
        manifest: &Manifest,
        exchange: &Exchange,
        merging: Option<&Merging<'_>>,
    ) -> Result<Vec<TableChanges>> {
        let now = self.runner.schema(cx, &mut *self.session).await?;
        let mut swap = Swap {
            drop_tables: exchange.drop_tables.clone(),
            drop_objects: exchange.drop_objects.clone(),
            shadows: Vec::new(),
            create_objects: exchange.create_objects.clone(),
        };
        let mut shadows = Shadow::all(manifest, &exchange.replace)?;
        if let Some(merging) = merging {
            merging.undivide(&mut shadows);
        }
        if !self.is_loaded_ahead(manifest, exchange) {
            self.note_homes(manifest, &now);
            self.clear_shadows(cx).await?;
            for object in exchange.create_first(&now) {
                self.session.execute(cx, &object.definition, &[]).await?;
            }
            self.make_and_load(cx, manifest, (&shadows, &exchange.create_objects), true)
                .await?;
        }
        let merged = match merging {
            Some(merging) => {
                let merged = self.merge(cx, merging, (&shadows, exchange)).await?;
                self.divide_as_now(cx, merging, &shadows).await?;
                merged
            }
            None => Vec::new(),
        };
        for shadow in shadows {
            // It may be there under a name that differs in case only.
            if let Some(found) = self.in_place_of(&shadow.entry.table, &manifest.schema, &now)
                && !swap.drop_tables.contains(&found.name)
            {
                swap.drop_tables.push(found.name.clone());
            }
            swap.shadows.push((shadow.name, shadow.table.name));
        }
        cx.step("restore.loaded");
        self.swapping = true;
        let swapped = self.session.swap(cx, &swap).await;
        if let Err(error) = &swapped {
            self.swapping = error.kind() == ErrorKind::NeedsRecovery;
        }
        swapped.map(|()| merged)
    }

    /// Returns the table that goes when another takes its place: of that name, or of one that is the same to the server. One in
    /// another schema, or one that was there beside it, is another table.
    fn in_place_of<'s>(&self, name: &TableName, then: &Schema, now: &'s Schema) -> Option<&'s Table> {
        let exact = now.exact_table(name);
        let is_the_same = |found: &&Table| match self.dialect.kind() {
            DialectKind::Postgres => false,
            DialectKind::Mysql => then.exact_table(&found.name).is_none(),
            DialectKind::Sqlite => true,
        };
        let in_another_case = || now.table(name).filter(is_the_same);
        exact.or_else(in_another_case)
    }

    /// Keeps in the vault what a half-done migration has left, before that is replaced by what a point holds: nobody can tell
    /// its rows from those that applications wrote since. Returns the point that has them.
    pub(crate) async fn keep_half_done(
        &mut self,
        cx: &Cx,
        point: &str,
        only: Option<&[TableName]>,
    ) -> Result<Option<String>> {
        let held = match only {
            Some(tables) => tables.to_vec(),
            None => {
                let manifest = self.open_point(cx, point).await?;
                let now = self.runner.schema(cx, &mut *self.session).await?;
                let is_made_since = |table: &TableName| manifest.schema.table(table).is_none();
                let made_since = now.tables.iter().map(|table| &table.name);
                let made_since = made_since.filter(|table| is_made_since(table)).cloned();
                let then = manifest.tables.iter().map(|entry| entry.table.clone());
                then.chain(made_since).collect()
            }
        };
        let safety = self.safety.take();
        let kept = self.safety_point(cx, "undo", &PointScope::Tables(held)).await;
        self.safety = safety;
        Ok(kept?.map(|kept| kept.id))
    }

    /// Brings back what was there before a half-done migration, and forgets its statements. `only` names the
    /// tables whose rows are all that is left to bring back.
    pub(crate) async fn restore_half_done(
        &mut self,
        cx: &Cx,
        point: &str,
        run: &str,
        migration: &MigrationId,
        only: Option<Vec<TableName>>,
    ) -> Result<()> {
        let manifest = self.open_point(cx, point).await?;
        // Its statements are in the journal: no other intent is needed for a kill to be noticed.
        let atomic = self.session.capability().transactional_ddl;
        if atomic {
            self.session.begin(cx, Begin::Rebuild).await?;
        }
        let outcome = async {
            let now = self.runner.schema(cx, &mut *self.session).await?;
            let touched = match only {
                Some(tables) => Some(tables),
                None if let Some(seen) = self.witnessed(cx, &now).await? => Some(seen.touched),
                None => {
                    self.touched_by(cx, run, migration, &manifest.schema, &now)
                        .await?
                }
            };
            let delta = SchemaDelta::between(&manifest.schema, &now);
            let exchange = Exchange::undoing(&delta, touched.as_deref(), &manifest, &now)?;
            self.exchange(cx, &manifest, &exchange).await?;
            if !atomic {
                cx.step("restore.swapped");
                self.session.begin(cx, Begin::Write).await?;
            }
            // The safety point of a whole run is older than the migrations the run had walked back before.
            let applied: Vec<_> = manifest.ledger.applied.iter().map(MigrationId::new).collect();
            self.set_ledger(cx, &applied).await?;
            self.journal()
                .forget_statements(cx, run, migration.as_str())
                .await
        }
        .await;
        self.end_transaction(cx, outcome).await
    }

    /// Returns the tables that the statements of a half-done up have changed, as far as these have happened.
    /// `None`: nobody knows, or it is a half-done down, with which the whole run goes back.
    async fn touched_by(
        &mut self,
        cx: &Cx,
        run: &str,
        migration: &MigrationId,
        then: &Schema,
        now: &Schema,
    ) -> Result<Option<Vec<TableName>>> {
        let statements = self.journal().statements_of(cx, run).await?;
        let undo = self.journal().undo_of(cx, run).await?;
        if statements.last().is_none_or(|last| last.direction != "up") {
            return Ok(None);
        }
        let effects = statements
            .iter()
            .filter(|statement| statement.direction == "up" && statement.migration == migration.as_str())
            .filter(|statement| {
                undo.get(&statement.seq)
                    .is_none_or(|undo| may_have_happened(statement, undo, now))
            })
            .map(|statement| {
                let effect = serde_json::from_str::<Effect>(&statement.effect).ok()?;
                Some((statement.statement.clone(), effect))
            })
            .collect::<Option<Vec<_>>>();
        let reach = Reach::new(&*self.dialect, then, true);
        Ok(effects.and_then(|effects| reach.of_effects(&*self.dialect, &effects)))
    }

    /// Opens a point, and checks that its manifest is the one the journal knows.
    pub(crate) async fn open_point(&mut self, cx: &Cx, id: &str) -> Result<Manifest> {
        let manifest = self.runner.needed_vault()?.open(cx, id).await?;
        let expected = self.journal().manifest_hash(cx, &manifest.id).await?;
        check_manifest(&manifest, expected.as_deref())?;
        Ok(manifest)
    }
}

/// Refuses to bring tables back from a point that holds only those of their rows that were changed.
pub(crate) fn refuse_changes(manifest: &Manifest) -> Result<()> {
    if manifest.kind != walkback_vault::PointKind::Changes {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "`{}` holds changed rows only: tables cannot be brought back from it as a whole",
            manifest.id
        ),
    )
    .hint(
        "`walkback rollback --type surgical` takes back what was changed, and keeps what was written since",
    ))
}

/// Refuses a manifest that is whole in itself but is not the one that was written.
pub(crate) fn check_manifest(manifest: &Manifest, expected: Option<&str>) -> Result<()> {
    // Each of several stores may have its own.
    match expected {
        Some(expected) if expected.split(' ').all(|hash| hash != manifest.hash) => Err(Error::new(
            ErrorKind::Damaged,
            format!(
                "the manifest of `{}` in the vault is not the one this database remembers",
                manifest.id
            ),
        )
        .hint("somebody has replaced it; `walkback point list` shows the points there are")),
        _ => Ok(()),
    }
}
