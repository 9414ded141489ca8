//! The exchange of tables, where no transaction holds it together.
//!
//! One `RENAME TABLE` puts every shadow in its place at the same moment, so that no table is ever missing. What
//! that leaves to be done is said before it in the table `_walkback_swap`: the foreign keys of other tables
//! follow the table that is moved away, and have to be dropped and made again, which no single statement does.
//! An exchange that was killed is done again from the beginning, and first finishes what it finds there.
//!
//! The order, and what a kill leaves behind each step:
//!
//! 1. leftovers of a killed exchange: foreign keys of others point to live tables again, old tables go;
//! 2. indexes on the shadows, and the check of all foreign keys between what will be: nothing is changed yet;
//! 3. objects that go, as far as they do not go with their tables;
//! 4. the list of foreign keys to repair;
//! 5. the exchange itself;
//! 6. foreign keys of others, the old tables, foreign keys of the new ones, names of checks;
//! 7. objects that come.
//!
//! Indexes and foreign keys of tables that stay go in step 6 where tables are held: whoever changes a definition of a table
//! asks for those that refer to it as well, and would wait for the connections that hold them.

use std::collections::BTreeMap;

use walkback_core::catalog::Object;
use walkback_core::engine::Swap;
use walkback_core::name::ObjectKind;
use walkback_core::{Error, ErrorKind, Result, TableName};

use crate::catalog::definition::retargeted;
use crate::catalog::objects::BROKEN;
use crate::dialect::{literal, quoted};
use crate::error::sent_code;
use crate::foreign_keys::Reference;
use crate::link::Link;
use crate::settings::Settings;
use crate::shadow::hash_of;

/// What the names of tables that were replaced begin with.
const OLD: &str = "_walkback_old_";

/// Where it stands what is still to be done.
const PENDING: &str = "_walkback_swap";

impl Link {
    /// Puts shadows in the place of tables.
    pub(crate) async fn swap(&mut self, swap: &Swap) -> Result<()> {
        self.must_be_alive()?;
        if self.transaction.is_some() {
            return Err(Error::new(
                ErrorKind::Usage,
                "tables are exchanged outside of a transaction here: the server would commit it",
            ));
        }
        let settings = [
            ("foreign_key_checks", "0".to_owned()),
            ("sql_mode", "'ALLOW_INVALID_DATES'".to_owned()),
        ];
        let before = Settings::enter(self, &settings).await?;
        let outcome = self.swap_now(swap).await;
        before.after(self, outcome).await
    }

    async fn swap_now(&mut self, swap: &Swap) -> Result<()> {
        self.finish_killed_swap().await?;
        let exchange = Exchange::of(swap, !self.holds.is_empty());
        self.prepare_shadows(&exchange).await?;
        let checks = self.checks_to_rename(&exchange);
        if let Err(error) = self.exchange(&exchange).await {
            return match self.unswap(&exchange).await {
                Ok(()) => Err(error),
                Err(second) => {
                    tracing::warn!(error = %second, "what an exchange dropped first cannot be created again");
                    Err(error.with_kind(ErrorKind::NeedsRecovery))
                }
            };
        }
        let finished = self.finish_swap(&exchange, checks).await;
        finished.map_err(|error| error.with_kind(ErrorKind::NeedsRecovery))
    }

    /// Everything up to the moment at which the tables change their names, and that.
    async fn exchange(&mut self, exchange: &Exchange<'_>) -> Result<()> {
        for object in &exchange.drop_first {
            self.drop_object(object).await?;
        }
        if !exchange.is_held {
            self.replace_other_indexes(exchange).await?;
        }
        let broken = exchange.create_last.iter().filter(|object| is_broken(object));
        for view in broken {
            self.create_broken(view).await;
        }
        let repairs = self.repairs(exchange).await?;
        self.write_pending(&repairs).await?;
        match self.renames(exchange).await? {
            Some(sql) => self.rename_held(&sql).await,
            None => Ok(()),
        }
    }

    async fn finish_swap(&mut self, exchange: &Exchange<'_>, checks: Vec<String>) -> Result<()> {
        // Tables that go and are not replaced.
        self.let_go().await;
        for object in &exchange.drop_behind {
            self.drop_object(object).await?;
        }
        if exchange.is_held {
            self.replace_other_indexes(exchange).await?;
        }
        for table in &exchange.dropped {
            // Those that were held, and to which no others refer, were moved away in the exchange.
            self.run(&format!("DROP TABLE IF EXISTS {}", quoted(table)))
                .await?;
        }
        self.finish_killed_swap().await?;
        for object in exchange.foreign_keys.iter().copied() {
            self.run(&object.definition).await?;
        }
        for sql in checks {
            self.run(&sql).await?;
        }
        for object in exchange.create_last.iter().filter(|object| !is_broken(object)) {
            self.create_object(object).await?;
        }
        Ok(())
    }

    /// Takes back what was done before the tables change their names, where that failed: nothing was exchanged then.
    async fn unswap(&mut self, exchange: &Exchange<'_>) -> Result<()> {
        // Also if it failed because nobody wants it any more.
        let stop = std::mem::take(&mut self.stop);
        let outcome = self.unswap_now(exchange).await;
        self.stop = stop;
        outcome
    }

    async fn unswap_now(&mut self, exchange: &Exchange<'_>) -> Result<()> {
        self.let_go().await;
        self.finish_killed_swap().await?;
        let changed = exchange.other_indexes.iter().filter(|_| !exchange.is_held);
        for (table, (drops, adds)) in changed {
            self.replace_indexes(table, adds, drops).await?;
        }
        for object in exchange
            .drop_first
            .iter()
            .rev()
            .filter(|object| !is_broken(object))
        {
            match self.create_object(object).await {
                Err(error) if is_there(&error) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    async fn replace_other_indexes(&mut self, exchange: &Exchange<'_>) -> Result<()> {
        for (table, (drops, adds)) in &exchange.other_indexes {
            self.replace_indexes(table, drops, adds).await?;
        }
        Ok(())
    }

    /// Creates a view that referred to what was not there. The server does so only while that is there, which it
    /// may be before the tables are exchanged; otherwise nobody misses a view that nothing could be read from.
    async fn create_broken(&mut self, view: &Object) {
        if let Err(error) = self.execute(&view.definition, &[]).await {
            let view = &view.name;
            tracing::warn!(%view, %error, "a view that was broken before cannot be created again");
        }
    }

    /// Finishes what was begun behind a `RENAME TABLE`: foreign keys, then old tables, then the list itself.
    async fn finish_killed_swap(&mut self) -> Result<()> {
        if self.has_table(&TableName::new(PENDING)).await? {
            let pending = self
                .texts(&format!("SELECT child, name, creation FROM {PENDING}"))
                .await?;
            let present = self.references().await?;
            for row in pending {
                let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
                let [child, name, creation] = <[String; 3]>::try_from(row).unwrap_or_default();
                self.repair(&present, &child, &name, &creation).await?;
            }
        }
        let old = self.tables_beginning_with(OLD).await?;
        if !old.is_empty() {
            let names: Vec<_> = old.iter().map(|name| quoted(name)).collect();
            self.run(&format!("DROP TABLE {}", names.join(", "))).await?;
        }
        self.run(&format!("DROP TABLE IF EXISTS {PENDING}")).await
    }

    async fn repair(&mut self, present: &[Reference], child: &str, name: &str, creation: &str) -> Result<()> {
        if !self.has_table(&TableName::new(child)).await? {
            return Ok(());
        }
        let found = present
            .iter()
            .find(|reference| reference.child == child && reference.name == name);
        match found {
            // Nothing was exchanged, or it was repaired already.
            Some(reference) if !reference.parent.starts_with(OLD) => Ok(()),
            Some(reference) => {
                self.run(&reference.removal()).await?;
                self.run(creation).await
            }
            None => self.run(creation).await,
        }
    }

    async fn tables_beginning_with(&mut self, prefix: &str) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
             AND LEFT(TABLE_NAME, {}) = {}",
            prefix.len(),
            literal(prefix)
        );
        Ok(self.texts(&sql).await?.into_iter().flatten().flatten().collect())
    }

    /// Gives the shadows their indexes, and checks every foreign key between what will be.
    async fn prepare_shadows(&mut self, exchange: &Exchange<'_>) -> Result<()> {
        for shadow in exchange.shadows.values() {
            let of_shadow = exchange
                .on_shadows
                .iter()
                .filter(|(on, object)| on == shadow && object.kind == ObjectKind::Index);
            let indexes: Vec<_> = of_shadow.map(|(_, index)| *index).collect();
            self.make_indexes(shadow, &indexes).await?;
        }
        for (shadow, object) in &exchange.on_shadows {
            if object.kind == ObjectKind::Index {
                continue;
            }
            let on = object.on.as_ref().map_or("", |on| &on.name);
            match retargeted(&object.definition, on, shadow) {
                Some(sql) => self.run(&sql).await?,
                None => {
                    return Err(Error::internal(format!(
                        "the definition of {} `{}` is not one of this engine",
                        object.kind.word(),
                        object.name
                    )));
                }
            }
        }
        let planned = exchange
            .foreign_keys
            .iter()
            .filter_map(|object| reference_of(object));
        let present = self.references().await?;
        let stay = present
            .into_iter()
            .filter(|reference| exchange.leaves(reference) && !exchange.drops(reference));
        for reference in stay.chain(planned) {
            // One that referred to what is not there holds for nothing; it comes back as it was.
            let has_parent = exchange.shadow_of(&reference.parent).is_some()
                || self.has_table(&TableName::new(&reference.parent)).await?;
            if !has_parent {
                continue;
            }
            let child = exchange.shadow_of(&reference.child).unwrap_or(&reference.child);
            let parent = exchange.shadow_of(&reference.parent).unwrap_or(&reference.parent);
            self.must_hold(&reference, child, parent).await?;
        }
        Ok(())
    }

    /// Returns what the foreign keys of other tables must become again: those that refer to what is replaced.
    async fn repairs(&mut self, exchange: &Exchange<'_>) -> Result<Vec<(Reference, String)>> {
        let mut repairs = Vec::new();
        for reference in self.references().await? {
            if exchange.leaves(&reference) && !exchange.drops(&reference) {
                let creation = self.creation_of(&reference).await?;
                repairs.push((reference, creation));
            }
        }
        Ok(repairs)
    }

    async fn write_pending(&mut self, repairs: &[(Reference, String)]) -> Result<()> {
        if repairs.is_empty() {
            return Ok(());
        }
        self.run(&format!(
            "CREATE TABLE {PENDING} (child VARCHAR(64) NOT NULL, name VARCHAR(64) NOT NULL, creation LONGTEXT NOT NULL, \
             PRIMARY KEY (child, name)) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin"
        ))
        .await?;
        let rows: Vec<_> = repairs
            .iter()
            .map(|(reference, creation)| {
                format!(
                    "({}, {}, {})",
                    literal(&reference.child),
                    literal(&reference.name),
                    literal(creation)
                )
            })
            .collect();
        self.run(&format!("INSERT INTO {PENDING} VALUES {}", rows.join(", ")))
            .await
    }

    /// Returns the one statement that exchanges everything.
    async fn renames(&mut self, exchange: &Exchange<'_>) -> Result<Option<String>> {
        let mut renames = Vec::new();
        for live in exchange.shadows.keys() {
            if self.has_table(&TableName::new(live)).await? {
                let old = format!("{OLD}{}", hash_of(&[live]));
                renames.push(format!("{} TO {}", quoted(live), quoted(&old)));
            }
        }
        for (live, shadow) in &exchange.shadows {
            renames.push(format!("{} TO {}", quoted(shadow), quoted(live)));
        }
        for table in self.held_and_dropped(exchange).await? {
            let old = format!("{OLD}{}", hash_of(&[&table]));
            renames.push(format!("{} TO {}", quoted(&table), quoted(&old)));
        }
        Ok((!renames.is_empty()).then(|| format!("RENAME TABLE {}", renames.join(", "))))
    }

    /// Returns the tables that go in the exchange itself, and not behind it: what was written to one that has another name
    /// afterwards was read before, and nobody is to write to it after that. The foreign keys of others would follow such a table.
    async fn held_and_dropped(&mut self, exchange: &Exchange<'_>) -> Result<Vec<String>> {
        let is_held = |table: &&String| self.holds.iter().any(|hold| hold.is_of(table));
        let held: Vec<String> = exchange.dropped.iter().filter(is_held).cloned().collect();
        if held.is_empty() {
            return Ok(held);
        }
        let references = self.references().await?;
        let is_free = |table: &String| {
            let mut of_others = references
                .iter()
                .filter(|reference| !exchange.goes(&reference.child));
            !of_others.any(|reference| reference.parent == *table)
        };
        Ok(held.into_iter().filter(is_free).collect())
    }

    /// Returns the statements that give the checks of shadows their own names, which the tables that are
    /// replaced have until they are gone.
    fn checks_to_rename(&self, exchange: &Exchange<'_>) -> Vec<String> {
        let shadows = exchange.shadows.iter();
        shadows
            .filter_map(|(live, shadow)| {
                let made = self.shadowed.get(shadow).filter(|made| made.live == *live)?;
                made.rename_checks.clone()
            })
            .collect()
    }

    /// Drops an object that may be gone already with what it belonged to.
    async fn drop_object(&mut self, object: &Object) -> Result<()> {
        let name = quoted(&object.name.name);
        let on = object.on.as_ref().map(|on| quoted(&on.name));
        let sql = match (object.kind, on) {
            (ObjectKind::Index, Some(on)) => format!("ALTER TABLE {on} DROP INDEX {name}"),
            (ObjectKind::Constraint, Some(on)) => format!("ALTER TABLE {on} DROP FOREIGN KEY {name}"),
            // The position of a column that counts goes with its table.
            (ObjectKind::Sequence, Some(_)) => return Ok(()),
            (ObjectKind::Sequence, None) => format!("DROP SEQUENCE IF EXISTS {name}"),
            (ObjectKind::View, _) => format!("DROP VIEW IF EXISTS {name}"),
            (ObjectKind::Trigger, _) => format!("DROP TRIGGER IF EXISTS {name}"),
            (ObjectKind::Event, _) => format!("DROP EVENT IF EXISTS {name}"),
            (ObjectKind::Routine, _) => {
                let sort = object.facts.get("sort").map_or("procedure", String::as_str);
                let name = own_routine_name(&object.name.name);
                format!("DROP {sort} IF EXISTS {}", quoted(name))
            }
            (kind, _) => {
                return Err(Error::unsupported(
                    format!("dropping {} `{}`", kind.word(), object.name),
                    self.product(),
                ));
            }
        };
        match self.run(&sql).await {
            Err(error) if is_gone(&error) => Ok(()),
            outcome => outcome,
        }
    }
}

/// Returns whether an object is a view that refers to what is not there.
fn is_broken(object: &Object) -> bool {
    object.facts.contains_key(BROKEN)
}

/// Returns whether a failure to create says that it is there.
fn is_there(error: &Error) -> bool {
    // A table or view, an index, a foreign key (both servers), a routine, a trigger, an event.
    let codes = ["1050", "1061", "1826", "1005", "1304", "1359", "1537"];
    error.kind() == ErrorKind::AlreadyExists || sent_code(error).is_some_and(|code| codes.contains(&code))
}

/// Returns whether a failure to drop says that there is nothing to drop.
fn is_gone(error: &Error) -> bool {
    // No such table, no such key or foreign key.
    let codes = ["1146", "1091", "1176"];
    error.kind() == ErrorKind::Database && sent_code(error).is_some_and(|code| codes.contains(&code))
}

fn own_routine_name(name: &str) -> &str {
    ["function", "procedure", "package", "package body"]
        .iter()
        .find_map(|sort| name.strip_suffix(&format!(" ({sort})")))
        .unwrap_or(name)
}

/// Reads a foreign key that is to be created.
fn reference_of(object: &Object) -> Option<Reference> {
    Reference::read(&object.name.name, &object.on.as_ref()?.name, &object.definition)
}

/// What is exchanged, sorted by when.
#[derive(Debug, Default)]
struct Exchange<'s> {
    /// Shadows, by the names they take.
    shadows: BTreeMap<String, String>,
    /// Tables that go and are not replaced.
    dropped: Vec<String>,
    drop_first: Vec<&'s Object>,
    /// What goes once the tables have changed their names.
    drop_behind: Vec<&'s Object>,
    /// Whether others are kept from writing to the tables, by connections of their own.
    is_held: bool,
    on_shadows: Vec<(String, &'s Object)>,
    foreign_keys: Vec<&'s Object>,
    create_last: Vec<&'s Object>,
    /// Indexes of tables that stay: those that go, and those that come.
    other_indexes: BTreeMap<String, (Vec<&'s Object>, Vec<&'s Object>)>,
}

impl<'s> Exchange<'s> {
    fn of(swap: &'s Swap, is_held: bool) -> Self {
        let mut exchange = Self {
            is_held,
            shadows: swap
                .shadows
                .iter()
                .map(|(shadow, live)| (live.name.clone(), shadow.name.clone()))
                .collect(),
            ..Self::default()
        };
        exchange.dropped = swap
            .drop_tables
            .iter()
            .map(|table| table.name.clone())
            .filter(|table| !exchange.shadows.contains_key(table))
            .collect();
        for object in &swap.drop_objects {
            let goes_along = object.on.as_ref().is_some_and(|on| exchange.goes(&on.name));
            if !goes_along {
                exchange.drop_first.push(object);
            }
        }
        // An index stays for as long as a foreign key needs it.
        exchange
            .drop_first
            .sort_by_key(|object| object.kind != ObjectKind::Constraint);
        for object in &swap.create_objects {
            let shadow = object.on.as_ref().and_then(|on| exchange.shadow_of(&on.name));
            match (object.kind, shadow.map(str::to_owned)) {
                (ObjectKind::Index | ObjectKind::Sequence, Some(shadow)) => {
                    exchange.on_shadows.push((shadow, object));
                }
                (ObjectKind::Constraint, _) => exchange.foreign_keys.push(object),
                _ => exchange.create_last.push(object),
            }
        }
        exchange.set_indexes_apart();
        let (behind, first) = std::mem::take(&mut exchange.drop_first)
            .into_iter()
            .partition(|object| is_held && matches!(object.kind, ObjectKind::Index | ObjectKind::Constraint));
        (exchange.drop_behind, exchange.drop_first) = (behind, first);
        exchange
    }

    /// Sets indexes apart that take the place of others of their table.
    fn set_indexes_apart(&mut self) {
        let on = |object: &Object| {
            let is_plain = object.kind == ObjectKind::Index && crate::index::addition(object).is_some();
            object.on.as_ref().filter(|_| is_plain).map(|on| on.name.clone())
        };
        let both = |table: &String| {
            let has = |objects: &[&Object]| objects.iter().any(|object| on(object).as_ref() == Some(table));
            has(&self.drop_first) && has(&self.create_last)
        };
        let tables: Vec<String> = self
            .drop_first
            .iter()
            .filter_map(|object| on(object))
            .filter(both)
            .collect();
        for table in tables {
            let (drops, rest) = std::mem::take(&mut self.drop_first)
                .into_iter()
                .partition(|object| on(object).as_ref() == Some(&table));
            self.drop_first = rest;
            let (adds, rest) = std::mem::take(&mut self.create_last)
                .into_iter()
                .partition(|object| on(object).as_ref() == Some(&table));
            self.create_last = rest;
            let drops: Vec<&Object> = drops;
            if !drops.is_empty() {
                self.other_indexes.insert(table, (drops, adds));
            }
        }
    }

    fn shadow_of(&self, live: &str) -> Option<&str> {
        self.shadows.get(live).map(String::as_str)
    }

    fn goes(&self, table: &str) -> bool {
        self.shadows.contains_key(table) || self.dropped.iter().any(|dropped| dropped == table)
    }

    /// Returns whether a foreign key stays where it is while what it refers to is replaced.
    fn leaves(&self, reference: &Reference) -> bool {
        !self.goes(&reference.child) && self.shadow_of(&reference.parent).is_some()
    }

    fn drops(&self, reference: &Reference) -> bool {
        let mut goes = self.drop_first.iter().chain(&self.drop_behind);
        goes.any(|object| {
            object.kind == ObjectKind::Constraint
                && object.name.name == reference.name
                && object.on.as_ref().is_some_and(|on| on.name == reference.child)
        })
    }
}
