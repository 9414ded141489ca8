//! Moving a table of PostgreSQL aside: into a schema of walkback's own, so that the names of its indexes, constraints and
//! sequences are free.
//!
//! What a real `DROP` takes along is the difference of two readings of the catalog. What of it follows the table into the
//! schema stays on it; the rest is dropped in earnest, and made again on the way back.

use std::collections::BTreeMap;

use walkback_core::Dialect;
use walkback_core::TableName;
use walkback_core::catalog::{Object, Schema, Table};
use walkback_core::name::ObjectKind;

use super::moves::{Leaving, Move, last_first};

/// How facts of foreign keys begin.
const FOREIGN_KEY: &str = "foreign key";

/// Returns what moves tables aside, or why that cannot be done. `after` is the schema as the real statement leaves it,
/// `owners` says whose the views are that go along.
pub(super) fn moves(
    dialect: &dyn Dialect,
    (before, after): (&Schema, &Schema),
    leaving: &[Leaving<'_>],
    owners: &BTreeMap<TableName, String>,
) -> Result<Vec<Move>, String> {
    let gone = Gone::between(before, after, leaving)?;
    let mut moves = vec![Move::afterwards(gone.later(dialect, leaving, owners))];
    for view in gone.views.iter().rev() {
        let drop = format!("DROP VIEW {}", dialect.quote_table(&view.name));
        moves.push(Move::new(drop, &view.definition));
    }
    for (table, name, definition) in &gone.keys {
        moves.push(key(dialect, table, name, definition));
    }
    for one in leaving {
        moves.extend(taken_off(dialect, before, one));
    }
    for one in leaving {
        moves.extend(moved(dialect, before, one)?);
    }
    Ok(moves)
}

/// What a real `DROP` takes along, beside the tables and what belongs to them.
#[derive(Debug, Default)]
struct Gone<'a> {
    views: Vec<&'a Object>,
    /// Foreign keys of tables that stay: the table, the name, the definition.
    keys: Vec<(&'a TableName, &'a str, String)>,
    /// What is on those views and keys.
    others: Vec<&'a Object>,
    /// What is on the tables themselves.
    own: Vec<&'a Object>,
}

impl<'a> Gone<'a> {
    fn between(before: &'a Schema, after: &Schema, leaving: &[Leaving<'_>]) -> Result<Self, String> {
        let goes = |name: &TableName| leaving.iter().any(|one| one.table.name == *name);
        let mut gone = Self::default();
        for table in &before.tables {
            match after.tables.iter().find(|other| other.name == table.name) {
                None if goes(&table.name) => refuse_parts(before, table)?,
                None => return Err(format!("table `{}` goes along", table.name)),
                Some(then) => gone.keys.extend(keys_gone(table, then)?),
            }
        }
        let (old, new) = (before.by_key(), after.by_key());
        for object in &before.objects {
            match new.get(&object.key()) {
                Some(facts) if Some(facts) == old.get(&object.key()) => continue,
                Some(_) => return Err(format!("{} `{}` changes", object.kind.word(), object.name)),
                None => {}
            }
            let on = object.on.as_ref();
            match object.kind {
                _ if on.is_some_and(goes) => gone.own.push(object),
                ObjectKind::View => gone.views.push(object),
                // A key is in the facts of its table as well.
                ObjectKind::Constraint if on.is_some() => {}
                ObjectKind::Grant | ObjectKind::Comment | ObjectKind::Trigger | ObjectKind::Policy
                    if on.is_some() =>
                {
                    gone.others.push(object);
                }
                kind => return Err(format!("{} `{}` goes along", kind.word(), object.name)),
            }
        }
        Ok(gone)
    }

    /// Returns what is done last on the way back: owners, rights and comments, and what sets triggers off or on.
    fn later(
        &self,
        dialect: &dyn Dialect,
        leaving: &[Leaving<'_>],
        owners: &BTreeMap<TableName, String>,
    ) -> Vec<String> {
        let mut statements: Vec<String> = self
            .others
            .iter()
            .map(|object| object.definition.clone())
            .collect();
        let owned = self
            .views
            .iter()
            .filter_map(|view| owners.get_key_value(&view.name));
        statements.extend(owned.map(|(view, owner)| {
            format!(
                "ALTER VIEW {} OWNER TO {}",
                dialect.quote_table(view),
                dialect.quote_identifier(owner)
            )
        }));
        for one in leaving {
            let own = self
                .own
                .iter()
                .filter(|object| object.on.as_ref() == Some(&one.table.name));
            let own: Vec<_> = own.copied().collect();
            let has_trigger = own.iter().any(|object| object.kind == ObjectKind::Trigger);
            let is_setting = |object: &&Object| {
                object.kind == ObjectKind::Other && object.definition.starts_with("ALTER TABLE ")
            };
            let settings = own.iter().copied().filter(|_| has_trigger).filter(is_setting);
            let comments = own
                .iter()
                .copied()
                .filter(|object| is_of_taken_off(object, &one.table.name));
            statements.extend(settings.chain(comments).map(|object| object.definition.clone()));
        }
        statements
    }
}

/// Returns whether a comment is on something that is taken off a table, and goes with it.
fn is_of_taken_off(object: &Object, table: &TableName) -> bool {
    let name = &object.name.name;
    let of_constraint = name
        .strip_prefix(&table.name)
        .is_some_and(|rest| rest.starts_with(" constraint "));
    object.kind == ObjectKind::Comment
        && (of_constraint
            || name.starts_with("trigger ")
            || object.definition.starts_with("COMMENT ON STATISTICS "))
}

/// A table with partitions, of one, or that others inherit from is more than one.
fn refuse_parts(before: &Schema, table: &Table) -> Result<(), String> {
    let is_parent = before
        .tables
        .iter()
        .any(|other| other.parents.contains(&table.name));
    if !is_parent && table.parents.is_empty() && !table.facts.contains_key("partition by") {
        return Ok(());
    }
    Err(format!("`{}` has partitions or inherits", table.name))
}

/// Returns the foreign keys that a table has lost, if it has lost nothing else.
fn keys_gone<'a>(table: &'a Table, then: &Table) -> Result<Vec<(&'a TableName, &'a str, String)>, String> {
    let mut keys = Vec::new();
    for (fact, value) in &table.facts {
        if then.facts.get(fact) == Some(value) {
            continue;
        }
        let Some(definition) = definition_of(fact).filter(|_| !then.facts.contains_key(fact)) else {
            return Err(format!("table `{}` changes", table.name));
        };
        keys.push((&table.name, value.as_str(), definition));
    }
    if then.facts.keys().any(|fact| !table.facts.contains_key(fact)) {
        return Err(format!("table `{}` changes", table.name));
    }
    Ok(keys)
}

/// Returns the foreign key that a fact is, as `ADD CONSTRAINT` takes it. Two that say the same differ in spaces.
fn definition_of(fact: &str) -> Option<String> {
    let rest = fact.strip_prefix(FOREIGN_KEY)?;
    Some(format!("FOREIGN KEY{}", rest.trim_end()))
}

fn key(dialect: &dyn Dialect, table: &TableName, name: &str, definition: &str) -> Move {
    let (table, name) = (dialect.quote_table(table), dialect.quote_identifier(name));
    Move::new(
        format!("ALTER TABLE {table} DROP CONSTRAINT {name}"),
        format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"),
    )
}

/// What a table would hold on to, or keep others from dropping: functions of triggers, rows it refers to.
fn taken_off(dialect: &dyn Dialect, before: &Schema, one: &Leaving<'_>) -> Vec<Move> {
    let name = &one.table.name;
    let mut moves = Vec::new();
    for trigger in last_first(before, name, ObjectKind::Trigger) {
        let drop = format!(
            "DROP TRIGGER {} ON {}",
            dialect.quote_identifier(&trigger.name.name),
            dialect.quote_table(name)
        );
        moves.push(Move::new(drop, &trigger.definition));
    }
    for (fact, value) in &one.table.facts {
        if let Some(definition) = definition_of(fact) {
            moves.push(key(dialect, name, value, &definition));
        }
    }
    for statistics in last_first(before, name, ObjectKind::Other) {
        if statistics.definition.starts_with("CREATE STATISTICS ") {
            let drop = format!("DROP STATISTICS {}", dialect.quote_table(&statistics.name));
            moves.push(Move::new(drop, &statistics.definition));
        }
    }
    moves
}

fn moved(dialect: &dyn Dialect, before: &Schema, one: &Leaving<'_>) -> Result<[Move; 2], String> {
    let name = &one.table.name;
    let (Some(home), Some(aside)) = (name.schema.as_ref().or(before.home.as_ref()), &one.aside.schema) else {
        return Err(format!("the schema of `{name}` is not known"));
    };
    let (home, schema) = (dialect.quote_identifier(home), dialect.quote_identifier(aside));
    let set = |table: &TableName, schema: &str| {
        format!("ALTER TABLE {} SET SCHEMA {schema}", dialect.quote_table(table))
    };
    let in_home = TableName {
        schema: name.schema.clone().or_else(|| before.home.clone()),
        name: name.name.clone(),
    };
    Ok([
        Move::new(format!("CREATE SCHEMA {schema}"), format!("DROP SCHEMA {schema}")),
        Move::new(set(&in_home, &schema), set(&one.aside, &home)),
    ])
}
