//! What an exchange of tables does beyond them, worked out before anything changes: what depends on the tables that
//! go, and what others see of them.

use std::collections::{BTreeMap, BTreeSet};

use walkback_core::catalog::Object;
use walkback_core::engine::Swap;
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use crate::catalog::{Catalog, DEPENDENCIES, Entry};
use crate::dialect::{quoted, quoted_table};
use crate::error::misused;
use crate::link::Link;
use crate::part::Part;
use crate::retype::Move;

/// What other sessions see of tables that go, and must see of those that come: owner and publications.
const SURROUNDINGS: &str = "\
SELECT c.oid::text, pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)), (c.relowner <> r.oid)::text \
FROM pg_catalog.pg_class c, pg_catalog.pg_roles r WHERE r.rolname = current_user AND c.oid = ANY ($1::text::oid[])";

const PUBLICATIONS: &str = "\
SELECT r.prrelid::text, pg_catalog.format('ALTER PUBLICATION %I ADD TABLE ', p.pubname), \
  coalesce((SELECT ' (' || string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')' \
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)), '') || \
  coalesce(' WHERE (' || pg_catalog.pg_get_expr(r.prqual, r.prrelid) || ')', '') \
FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid \
WHERE r.prrelid = ANY ($1::text::oid[])";

/// Foreign keys of other tables to those that go.
const FOREIGN_KEYS: &str = "\
SELECT o.conrelid::pg_catalog.regclass::text, pg_catalog.quote_ident(o.conname), pg_catalog.pg_get_constraintdef(o.oid), \
  o.confrelid::text FROM pg_catalog.pg_constraint o \
WHERE o.contype = 'f' AND o.conparentid = 0 AND o.confrelid = ANY ($1::text::oid[]) AND o.conrelid <> ALL ($1::text::oid[])";

/// Partitions and children that stay while their parent goes.
const CHILDREN: &str = "\
SELECT i.inhparent::text, i.inhrelid::pg_catalog.regclass::text, pg_catalog.pg_get_expr(c.relpartbound, c.oid), i.inhrelid::text \
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f') \
WHERE i.inhparent = ANY ($1::text::oid[]) AND i.inhrelid <> ALL ($1::text::oid[]) ORDER BY i.inhseqno";

/// Sequences that belong to columns of tables that go, but for those of identity columns.
const OWNED: &str = "\
SELECT d.objid::pg_catalog.regclass::text, d.refobjid::text, pg_catalog.quote_ident(a.attname), d.objid::text \
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S' \
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'a' AND d.refobjid = ANY ($1::text::oid[])";

/// What is done, worked out before anything changes.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Tables that go, by number.
    pub(crate) doomed: BTreeMap<String, TableName>,
    /// Statements before the tables go.
    pub(crate) before: Vec<String>,
    /// Drops of what tables draw from, once they are gone.
    pub(crate) behind: Vec<String>,
    /// What makes types anew, and moves columns over to them.
    pub(crate) moves: Vec<Move>,
    /// Statements once the new tables have their names.
    pub(crate) after: Vec<String>,
    /// Partitions that stay, and are taken in again.
    pub(crate) parts: Vec<Part>,
    /// Objects to make again at the end, in any order that works.
    pub(crate) again: Vec<(String, String)>,
    /// Sequences that lose the column they belong to: name, table, column, number.
    pub(crate) sequences: Vec<(String, TableName, String, String)>,
}

impl Link {
    /// Works out what goes and what comes back.
    pub(crate) async fn work_out(&mut self, cx: &Cx, swap: &Swap, catalog: &Catalog) -> Result<Exchange> {
        let mut exchange = Exchange::default();
        let goes = swap
            .drop_tables
            .iter()
            .chain(swap.shadows.iter().map(|(_, name)| name));
        for table in goes {
            if let Some(oid) = catalog.oid_of(table) {
                exchange.doomed.insert(oid.to_owned(), table.clone());
            } else if swap.drop_tables.contains(table) && self.has_table(cx, table).await? {
                return Err(misused(format!(
                    "`{table}` is a table that walkback does not exchange"
                )));
            }
        }
        let numbers: Vec<&str> = exchange.doomed.keys().map(String::as_str).collect();
        let numbers = format!("{{{}}}", numbers.join(","));
        self.foreign_keys_of_others(cx, swap, &numbers, &mut exchange)
            .await?;
        self.dependents(cx, swap, catalog, &numbers, &mut exchange)
            .await?;
        self.keep_surroundings(cx, swap, &numbers, &mut exchange).await?;
        Ok(exchange)
    }

    async fn foreign_keys_of_others(
        &mut self,
        cx: &Cx,
        swap: &Swap,
        numbers: &str,
        exchange: &mut Exchange,
    ) -> Result<()> {
        for row in self.texts(cx, FOREIGN_KEYS, &[numbers]).await? {
            let (table, name) = (row.get(0), row.get(1));
            let comes_back = exchange
                .doomed
                .get(row.get(3))
                .is_some_and(|doomed| comes(swap, doomed));
            let is_dropped = swap.drop_objects.iter().any(|object| {
                object.kind == ObjectKind::Constraint
                    && quoted(&object.name.name) == quoted(name.trim_matches('"'))
                    && object.on.as_ref().is_some_and(|on| same_relation(table, on))
            });
            if !comes_back && !is_dropped {
                continue;
            }
            exchange
                .before
                .push(format!("ALTER TABLE {table} DROP CONSTRAINT {name}"));
            if comes_back && !is_dropped {
                exchange.after.push(format!(
                    "ALTER TABLE {table} ADD CONSTRAINT {name} {}",
                    row.get(2)
                ));
            }
        }
        Ok(())
    }

    /// Drops what is to be dropped and what depends on tables that go, last made first, and notes what comes back.
    async fn dependents(
        &mut self,
        cx: &Cx,
        swap: &Swap,
        catalog: &Catalog,
        numbers: &str,
        exchange: &mut Exchange,
    ) -> Result<()> {
        let needs: Vec<(String, String)> = self
            .texts(cx, DEPENDENCIES, &[])
            .await?
            .iter()
            .map(|row| (row.get(0).to_owned(), row.get(1).to_owned()))
            .collect();
        let retyping = self.retype(cx, swap, catalog, &needs, numbers).await?;
        let goes_along = |entry: &Entry| {
            let on = entry.object.on.as_ref();
            on.is_some_and(|on| exchange.doomed.values().any(|doomed| doomed == on))
        };
        let mut fallen: BTreeSet<&str> = exchange.doomed.keys().map(String::as_str).collect();
        let named: Vec<&Entry> = swap
            .drop_objects
            .iter()
            .filter_map(|object| catalog.find(object))
            .filter(|entry| !retyping.is_renamed(entry))
            .collect();
        fallen.extend(retyping.anew.iter().chain(&retyping.standing).map(String::as_str));
        fallen.extend(
            named
                .iter()
                .filter(|entry| !entry.oid.is_empty() && !goes_along(entry))
                .map(|entry| entry.oid.as_str()),
        );
        let known: BTreeSet<&str> = catalog
            .entries
            .iter()
            .map(|entry| entry.oid.as_str())
            .filter(|oid| !oid.is_empty())
            .collect();
        loop {
            let more: Vec<&str> = needs
                .iter()
                .filter(|(one, other)| fallen.contains(other.as_str()) && !fallen.contains(one.as_str()))
                .map(|(one, _)| one.as_str())
                .filter(|one| known.contains(one))
                .collect();
            if more.is_empty() {
                break;
            }
            fallen.extend(more);
        }
        let is_named = |entry: &Entry| named.iter().any(|other| other.object == entry.object);
        let comes = |object: &Object| {
            let mut created = swap.create_objects.iter();
            created
                .any(|other| other.kind == object.kind && other.name == object.name && other.on == object.on)
        };
        // What stands on something that falls, falls with it: the triggers and rights of a view.
        let fallen_names: Vec<&TableName> = catalog
            .entries
            .iter()
            .filter(|entry| fallen.contains(entry.oid.as_str()) && is_relation(entry.object.kind))
            .map(|entry| &entry.object.name)
            .collect();
        let owners = self.owners(cx, catalog, &fallen).await?;
        let drawing = drawing(catalog, &needs, &fallen);
        let mut drops = Vec::new();
        for entry in &catalog.entries {
            if goes_along(entry) {
                continue;
            }
            let falls = !entry.oid.is_empty() && fallen.contains(entry.oid.as_str());
            let along = entry
                .object
                .on
                .as_ref()
                .is_some_and(|on| fallen_names.contains(&on))
                || is_on_fallen(entry, catalog, &fallen);
            // It steps aside, and is made again where the columns move over.
            if retyping.anew.contains(&entry.oid) {
                if let Some(owner) = owners.get(&entry.oid) {
                    let sql = format!("ALTER {} OWNER TO {owner}", entry.called);
                    exchange.again.push((entry.called.clone(), sql));
                }
                continue;
            }
            if !falls && !along && !is_named(entry) {
                continue;
            }
            if (falls || is_named(entry)) && !along && !entry.drop.is_empty() {
                let behind = is_drawn_from(entry.object.kind) && !drawing.contains(entry.oid.as_str());
                drops.push((behind, entry.drop.clone()));
            }
            if !is_named(entry) && !comes(&entry.object) {
                let what = format!("{} `{}`", entry.object.kind.word(), entry.object.name);
                exchange
                    .again
                    .push((what.clone(), retyping.in_former_words(&entry.object)));
                if let Some(owner) = owners.get(&entry.oid) {
                    exchange
                        .again
                        .push((what, format!("ALTER {} OWNER TO {owner}", entry.called)));
                }
            }
        }
        drops.reverse();
        let (behind, before): (Vec<_>, Vec<_>) = drops.into_iter().partition(|(behind, _)| *behind);
        exchange.before.extend(before.into_iter().map(|(_, sql)| sql));
        exchange.behind.extend(behind.into_iter().map(|(_, sql)| sql));
        exchange.before.extend(retyping.before);
        for (oid, name) in &retyping.renamed {
            let renamed = |entry: &&Entry| entry.oid == *oid && entry.object.name.name != *name;
            if let Some(entry) = catalog.entries.iter().find(renamed) {
                let sql = format!("ALTER {} RENAME TO {}", entry.called, quoted(name));
                exchange.behind.push(sql);
            }
        }
        exchange.moves = retyping.moves;
        exchange.again.extend(retyping.states);
        Ok(())
    }

    /// Returns the owners, other than this user, of objects that are made again.
    async fn owners(
        &mut self,
        cx: &Cx,
        catalog: &Catalog,
        fallen: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, String>> {
        let numbers: Vec<&str> = catalog
            .entries
            .iter()
            .filter(|entry| fallen.contains(entry.oid.as_str()))
            .filter(|entry| {
                is_relation(entry.object.kind)
                    || matches!(entry.object.kind, ObjectKind::Routine | ObjectKind::Type)
            })
            .map(|entry| entry.oid.as_str())
            .collect();
        let sql = "SELECT o.oid::text, pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(o.owner)) FROM (\
                   SELECT oid, relowner AS owner FROM pg_catalog.pg_class UNION ALL SELECT oid, proowner FROM pg_catalog.pg_proc \
                   UNION ALL SELECT oid, typowner FROM pg_catalog.pg_type) o \
                   WHERE o.oid = ANY ($1::text::oid[]) AND pg_catalog.pg_get_userbyid(o.owner) <> current_user";
        let rows = self
            .texts(cx, sql, &[&format!("{{{}}}", numbers.join(","))])
            .await?;
        Ok(rows
            .iter()
            .map(|row| (row.get(0).to_owned(), row.get(1).to_owned()))
            .collect())
    }

    async fn keep_surroundings(
        &mut self,
        cx: &Cx,
        swap: &Swap,
        numbers: &str,
        exchange: &mut Exchange,
    ) -> Result<()> {
        let doomed = exchange.doomed.clone();
        let stays = |number: &str| doomed.get(number).filter(|table| comes(swap, table));
        for row in self.texts(cx, OWNED, &[numbers]).await? {
            exchange
                .before
                .push(format!("ALTER SEQUENCE {} OWNED BY NONE", row.get(0)));
            if let Some(table) = doomed.get(row.get(1)) {
                let sequence = (
                    row.get(0).to_owned(),
                    table.clone(),
                    row.get(2).to_owned(),
                    row.get(3).to_owned(),
                );
                exchange.sequences.push(sequence);
            }
        }
        for row in self.texts(cx, CHILDREN, &[numbers]).await? {
            let Some(parent) = doomed.get(row.get(0)).map(quoted_table) else {
                continue;
            };
            let child = row.get(1);
            let comes_back = stays(row.get(0)).is_some();
            let Some(bound) = row.find(2) else {
                exchange
                    .before
                    .push(format!("ALTER TABLE {child} NO INHERIT {parent}"));
                if comes_back {
                    exchange
                        .after
                        .push(format!("ALTER TABLE {child} INHERIT {parent}"));
                }
                continue;
            };
            if !comes_back {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("{child} is a partition of {parent}, and was made since: it would be left alone with its rows"),
                )
                .hint(format!(
                    "nothing was changed; take it out with `ALTER TABLE {parent} DETACH PARTITION {child}`, run the command again, \
                     and put its rows where they belong then"
                )));
            }
            exchange
                .before
                .push(format!("ALTER TABLE {parent} DETACH PARTITION {child}"));
            exchange
                .parts
                .push(self.part_of(cx, (&parent, child, bound)).await?);
        }
        for row in self.texts(cx, SURROUNDINGS, &[numbers]).await? {
            if let Some(table) = stays(row.get(0)).filter(|_| row.is(2)) {
                exchange.after.push(format!(
                    "ALTER TABLE {} OWNER TO {}",
                    quoted_table(table),
                    row.get(1)
                ));
            }
        }
        for row in self.texts(cx, PUBLICATIONS, &[numbers]).await? {
            if let Some(table) = stays(row.get(0)) {
                let sql = format!("{}{}{}", row.get(1), quoted_table(table), row.get(2));
                exchange
                    .again
                    .push((format!("the publication of table `{table}`"), sql));
            }
        }
        Ok(())
    }
}

fn comes(swap: &Swap, table: &TableName) -> bool {
    swap.shadows.iter().any(|(_, name)| name == table)
}

/// Returns whether tables may need such an object, so that it cannot go before them, unless it needs them.
fn is_drawn_from(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::Schema
            | ObjectKind::Extension
            | ObjectKind::Type
            | ObjectKind::Sequence
            | ObjectKind::Routine
    )
}

/// Returns what falls and needs a table or a view that falls, at whatever remove: it goes before them. A type that needs
/// no more than itself or other types goes behind the tables that are made of it.
fn drawing<'a>(
    catalog: &'a Catalog,
    needs: &'a [(String, String)],
    fallen: &BTreeSet<&'a str>,
) -> BTreeSet<&'a str> {
    let made_of: BTreeSet<&str> = catalog
        .entries
        .iter()
        .filter(|entry| is_drawn_from(entry.object.kind))
        .map(|entry| entry.oid.as_str())
        .collect();
    let mut drawing: BTreeSet<&str> = fallen.difference(&made_of).copied().collect();
    loop {
        let more: Vec<&str> = needs
            .iter()
            .filter(|(one, other)| fallen.contains(one.as_str()) && drawing.contains(other.as_str()))
            .map(|(one, _)| one.as_str())
            .filter(|one| !drawing.contains(one))
            .collect();
        if more.is_empty() {
            return drawing;
        }
        drawing.extend(more);
    }
}

fn is_relation(kind: ObjectKind) -> bool {
    matches!(kind, ObjectKind::View | ObjectKind::MaterializedView)
}

/// Compares the server's spelling of a relation with a name.
fn same_relation(spelled: &str, name: &TableName) -> bool {
    let bare = |text: &str| text.replace('"', "");
    bare(spelled) == bare(&quoted_table(name)) || bare(spelled).ends_with(&format!(".{}", name.name))
}

/// Returns whether a right or a comment is on a routine or a type that falls, or on a part of it.
fn is_on_fallen(entry: &Entry, catalog: &Catalog, fallen: &BTreeSet<&str>) -> bool {
    if !matches!(entry.object.kind, ObjectKind::Grant | ObjectKind::Comment) {
        return false;
    }
    let definition = &entry.object.definition;
    catalog.entries.iter().any(|other| {
        !other.called.is_empty()
            && fallen.contains(other.oid.as_str())
            && (definition.contains(&format!(" ON {} ", other.called))
                || definition.starts_with(&format!(
                    "COMMENT ON COLUMN {}.",
                    quoted_table(&other.object.name)
                )))
    })
}
