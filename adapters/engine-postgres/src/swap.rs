//! The exchange of whole tables, inside the current transaction.
//!
//! Nothing is dropped with `CASCADE`. What depends on a table that goes (views, rules, policies, functions, foreign
//! keys of others) is dropped by name and made again, with its rights, comments and owner; what depends on it in a
//! way that cannot be made again makes the server refuse, and nothing has changed.

use walkback_core::catalog::Object;
use walkback_core::engine::Swap;
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, Error, Result, TableName};

use crate::dialect::{quoted, quoted_table};
use crate::error::misused;
use crate::exchange::Exchange;
use crate::link::Link;
use crate::shadow::Note;

impl Link {
    /// Puts shadows in the place of tables.
    pub(crate) async fn swap(&mut self, cx: &Cx, swap: &Swap) -> Result<()> {
        cx.check()?;
        self.tidy().await?;
        self.must_write()?;
        if self.transaction.is_none() {
            return Err(misused("tables are exchanged inside a transaction"));
        }
        let mut notes = Vec::new();
        for (shadow, _) in &swap.shadows {
            let mut note = self.note_of(cx, shadow).await?;
            self.make_keys(cx, shadow, &mut note).await?;
            notes.push(note);
        }
        let is_made = |object: &Object| {
            let notes = swap.shadows.iter().zip(&notes);
            object.kind == ObjectKind::Index
                && notes
                    .filter(|((_, name), _)| object.on.as_ref() == Some(name))
                    .any(|(_, note)| note.has(object))
        };
        let (made, to_make): (Vec<&Object>, Vec<&Object>) =
            swap.create_objects.iter().partition(|object| is_made(object));
        let catalog = self.catalog(cx).await?;
        let exchange = self.work_out(cx, swap, &catalog).await?;
        for sql in &exchange.before {
            self.batch(cx, sql).await?;
        }
        self.drop_tables(cx, &exchange).await?;
        for sql in &exchange.behind {
            self.batch(cx, sql).await?;
        }
        self.move_over(cx, &exchange.moves).await?;
        for ((shadow, name), note) in swap.shadows.iter().zip(&notes) {
            self.rename(cx, shadow, name, note).await?;
            self.rename_indexes(cx, name, note, &made).await?;
        }
        let (early, late): (Vec<&Object>, Vec<&Object>) =
            to_make.into_iter().partition(|object| is_early(object.kind));
        self.create_early(cx, &early).await?;
        for ((_, name), note) in swap.shadows.iter().zip(&notes) {
            self.complete(cx, name, note).await?;
        }
        // A partition that has its indexes already is taken in with them; otherwise it gets others.
        let partitions: Vec<&TableName> = swap
            .shadows
            .iter()
            .zip(&notes)
            .filter_map(|((_, name), note)| note.partition_of.is_some().then_some(name))
            .collect();
        let is_of_partition = |object: &Object| {
            object.kind == ObjectKind::Index && object.on.as_ref().is_some_and(|on| partitions.contains(&on))
        };
        for index in late.iter().filter(|object| is_of_partition(object)) {
            self.batch(cx, &index.definition).await?;
        }
        for ((_, name), note) in swap.shadows.iter().zip(&notes) {
            if let Some((parent, bound)) = &note.partition_of {
                let child = quoted_table(name);
                self.batch(
                    cx,
                    &format!("ALTER TABLE {parent} ATTACH PARTITION {child} {bound}"),
                )
                .await?;
            }
        }
        // A foreign key may refer to what only a unique index makes unique.
        let is_index = |object: &Object| object.kind == ObjectKind::Index && !is_of_partition(object);
        let (indexes, late): (Vec<&Object>, Vec<&Object>) =
            late.into_iter().partition(|object| is_index(object));
        let indexes = indexes.into_iter().map(in_words).collect();
        let (mut waiting, _) = self.create_possible(cx, indexes).await?;
        for part in &exchange.parts {
            self.take_in(cx, part).await?;
        }
        for sql in &exchange.after {
            self.batch(cx, sql).await?;
        }
        for ((_, name), note) in swap.shadows.iter().zip(&notes) {
            for (constraint, clause) in &note.foreign_keys {
                self.add_constraint(cx, name, constraint, clause).await?;
            }
        }
        for object in late {
            let is_there = is_of_partition(object)
                || object.kind == ObjectKind::Constraint && self.has_constraint(cx, object).await?;
            if is_there {
                continue;
            }
            waiting.push(in_words(object));
        }
        waiting.extend(exchange.again);
        self.create_all(cx, waiting).await?;
        self.settle_sequences(cx, &exchange.sequences).await
    }

    async fn drop_tables(&mut self, cx: &Cx, exchange: &Exchange) -> Result<()> {
        if exchange.doomed.is_empty() {
            return Ok(());
        }
        // All at once, so that they may refer to each other.
        let names: Vec<_> = exchange.doomed.values().map(quoted_table).collect();
        self.batch(cx, &format!("DROP TABLE {}", names.join(", ")))
            .await
            .map_err(|error| {
                let tables: Vec<_> = exchange.doomed.values().map(ToString::to_string).collect();
                error.wrap(format!(
                    "something that walkback cannot make again depends on a table that is replaced ({})",
                    tables.join(", ")
                ))
            })
    }

    async fn rename(&mut self, cx: &Cx, shadow: &TableName, name: &TableName, note: &Note) -> Result<()> {
        let mut sql = format!(
            "ALTER TABLE {} RENAME TO {}",
            quoted_table(shadow),
            quoted(&name.name)
        );
        let table = quoted_table(&shadow.renamed(&name.name));
        if shadow.schema != name.schema {
            return Err(misused(format!(
                "the shadow `{shadow}` is in another schema than `{name}`"
            )));
        }
        for (now, then) in &note.renames {
            sql.push_str(&format!(
                "; ALTER TABLE {table} RENAME CONSTRAINT {} TO {}",
                quoted(now),
                quoted(then)
            ));
        }
        sql.push_str(&format!("; COMMENT ON TABLE {table} IS NULL"));
        self.batch(cx, &sql).await
    }

    /// Gives indexes that are made already their names, and drops those that were made in vain.
    async fn rename_indexes(
        &mut self,
        cx: &Cx,
        table: &TableName,
        note: &Note,
        made: &[&Object],
    ) -> Result<()> {
        for (now, then, definition) in &note.indexes {
            let is_wanted = made.iter().any(|object| {
                object.on.as_ref() == Some(table)
                    && object.name.name == *then
                    && object.definition == *definition
            });
            let index = quoted_table(&table.renamed(now));
            let sql = if is_wanted {
                format!("ALTER INDEX {index} RENAME TO {}", quoted(then))
            } else {
                format!("DROP INDEX {index}")
            };
            self.batch(cx, &sql).await?;
        }
        Ok(())
    }

    /// Creates what tables draw from. What is there is made like what was there.
    async fn create_early(&mut self, cx: &Cx, objects: &[&Object]) -> Result<()> {
        for object in objects {
            let name = quoted_table(&object.name);
            let lookup = match object.kind {
                ObjectKind::Sequence => "SELECT pg_catalog.to_regclass($1)::text",
                ObjectKind::Type => "SELECT pg_catalog.to_regtype($1)::text",
                ObjectKind::Schema => "SELECT pg_catalog.to_regnamespace($1)::text",
                _ => {
                    "SELECT (SELECT extname FROM pg_catalog.pg_extension WHERE pg_catalog.quote_ident(extname) = $1 OR extname = $1)::text"
                }
            };
            let found = self.texts(cx, lookup, &[&name]).await?;
            let is_there = found.first().is_some_and(|row| row.find(0).is_some());
            let sql = match (is_there, object.kind) {
                (false, _) => object.definition.clone(),
                (true, ObjectKind::Sequence) => object
                    .definition
                    .replacen("CREATE UNLOGGED SEQUENCE", "ALTER SEQUENCE", 1)
                    .replacen("CREATE SEQUENCE", "ALTER SEQUENCE", 1),
                (true, _) => continue,
            };
            self.batch(cx, &sql).await?;
        }
        Ok(())
    }

    /// Gives a table that has its name now what it could not have before.
    async fn complete(&mut self, cx: &Cx, table: &TableName, note: &Note) -> Result<()> {
        let name = quoted_table(table);
        for (column, default) in &note.defaults {
            self.batch(
                cx,
                &format!(
                    "ALTER TABLE {name} ALTER COLUMN {} SET DEFAULT {default}",
                    quoted(column)
                ),
            )
            .await?;
        }
        for (column, identity) in &note.identities {
            // A partition has the identity of its parent.
            if note.partition_of.is_none() {
                self.batch(
                    cx,
                    &format!(
                        "ALTER TABLE {name} ALTER COLUMN {} ADD GENERATED {identity}",
                        quoted(column)
                    ),
                )
                .await?;
            }
        }
        for (constraint, clause) in &note.constraints {
            self.add_constraint(cx, table, constraint, clause).await?;
        }
        if let Some(of_type) = &note.of_type {
            self.batch(cx, &format!("ALTER TABLE {name} OF {of_type}"))
                .await?;
        }
        if let Some(parents) = &note.inherits {
            let actions: Vec<_> = parents
                .split(", ")
                .map(|parent| format!("INHERIT {parent}"))
                .collect();
            self.batch(cx, &format!("ALTER TABLE {name} {}", actions.join(", ")))
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn add_constraint(
        &mut self,
        cx: &Cx,
        table: &TableName,
        name: &str,
        clause: &str,
    ) -> Result<()> {
        let sql = format!(
            "ALTER TABLE {} ADD CONSTRAINT {} {clause}",
            quoted_table(table),
            quoted(name)
        );
        self.batch(cx, &sql).await.map_err(|error| {
            error.wrap(format!(
                "the constraint `{name}` of table `{table}` does not hold for the rows that are there now"
            ))
        })
    }

    async fn has_constraint(&mut self, cx: &Cx, object: &Object) -> Result<bool> {
        let table = object.on.as_ref().map(quoted_table).unwrap_or_default();
        let sql = "SELECT count(*)::text FROM pg_catalog.pg_constraint WHERE conrelid = pg_catalog.to_regclass($1) \
                   AND $2 IN (conname::text, conname::text || ' on ' || $1)";
        let rows = self.texts(cx, sql, &[&table, &object.name.name]).await?;
        Ok(rows.first().is_some_and(|row| row.get(0) != "0"))
    }

    /// Creates objects in the first order that works.
    async fn create_all(&mut self, cx: &Cx, mut waiting: Vec<(String, String)>) -> Result<()> {
        while !waiting.is_empty() {
            let count = waiting.len();
            let (left, first) = self.create_possible(cx, waiting).await?;
            if let Some(error) = first.filter(|_| left.len() == count) {
                return Err(error);
            }
            waiting = left;
        }
        Ok(())
    }

    /// Creates those objects that can be created now, and returns the others with the first error.
    async fn create_possible(
        &mut self,
        cx: &Cx,
        waiting: Vec<(String, String)>,
    ) -> Result<(Vec<(String, String)>, Option<Error>)> {
        let mut left = Vec::new();
        let mut first: Option<Error> = None;
        for (what, sql) in waiting {
            self.batch(cx, "SAVEPOINT _walkback_swap").await?;
            match self.batch(cx, &sql).await {
                Ok(()) => self.batch(cx, "RELEASE SAVEPOINT _walkback_swap").await?,
                Err(error) => {
                    self.batch(
                        &cx.shielded(),
                        "ROLLBACK TO SAVEPOINT _walkback_swap; RELEASE SAVEPOINT _walkback_swap",
                    )
                    .await?;
                    cx.check()?;
                    first.get_or_insert_with(|| error.wrap(format!("{what} cannot be made again")));
                    left.push((what, sql));
                }
            }
        }
        Ok((left, first))
    }

    /// Gives sequences back to the columns that draw from them, and drops those nobody draws from any more.
    async fn settle_sequences(
        &mut self,
        cx: &Cx,
        sequences: &[(String, TableName, String, String)],
    ) -> Result<()> {
        for (sequence, table, column, number) in sequences {
            let sql = "SELECT (SELECT count(*) FROM pg_catalog.pg_depend d WHERE d.objid = $1::text::oid \
                       AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'a' AND d.refobjsubid > 0)::text, \
                       (SELECT count(*) FROM pg_catalog.pg_depend d WHERE d.refobjid = $1::text::oid \
                       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)::text, \
                       (SELECT count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = pg_catalog.to_regclass($2) \
                       AND pg_catalog.quote_ident(a.attname) = $3 AND NOT a.attisdropped)::text, \
                       (SELECT count(*) FROM pg_catalog.pg_class WHERE oid = $1::text::oid)::text";
            let name = quoted_table(table);
            let rows = self.texts(cx, sql, &[number, &name, column]).await?;
            let Some(row) = rows.first().filter(|row| row.get(3) != "0") else {
                continue;
            };
            let (is_owned, is_used, has_column) = (row.get(0) != "0", row.get(1) != "0", row.get(2) != "0");
            if is_owned {
                continue;
            }
            if is_used && has_column {
                self.batch(cx, &format!("ALTER SEQUENCE {sequence} OWNED BY {name}.{column}"))
                    .await?;
            } else if !is_used {
                self.batch(cx, &format!("DROP SEQUENCE {sequence}")).await?;
            }
        }
        Ok(())
    }
}

/// Returns what an object is called in messages, and the statement that creates it.
fn in_words(object: &Object) -> (String, String) {
    let what = format!("{} `{}`", object.kind.word(), object.name);
    (what, object.definition.clone())
}

fn is_early(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::Schema | ObjectKind::Extension | ObjectKind::Type | ObjectKind::Sequence
    )
}
