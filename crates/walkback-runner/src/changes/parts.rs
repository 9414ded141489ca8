//! Partitions. Each is taken back as a table of its own: the key of the whole tells its rows apart, and a row that has gone to
//! another partition since has another key. The table that is divided has no rows itself.

use walkback_core::TableName;
use walkback_core::catalog::{Schema, Table};

use super::Names;
use crate::plan::PointScope;
use crate::restore::Exchange;

/// What the catalog of PostgreSQL says of a partition, and of a table that has some.
const PART: [&str; 2] = ["partition of", "partition bound"];
const DIVIDED: &str = "partition by";

/// Why tables that share rows otherwise cannot be taken back one by one.
const INHERITS: &str = "it inherits from another table, or one from it: a row of one is a row of both";

fn has_children(table: &Table, schema: &Schema) -> bool {
    let mut others = schema.tables.iter();
    others.any(|other| other.parents.contains(&table.name))
}

pub(super) fn is_part(table: &Table) -> bool {
    table.facts.contains_key(PART[0])
}

/// Returns whether the rows of a table are those of its partitions. One of MySQL has its rows itself.
pub(super) fn is_divided(table: &Table, schema: &Schema) -> bool {
    table.facts.contains_key(DIVIDED) && has_children(table, schema)
}

/// Says why the rows of a table are not its own alone.
pub(super) fn why_not(table: &Table, schema: &Schema) -> Option<&'static str> {
    let inherits = !is_part(table) && !table.parents.is_empty();
    let is_inherited = !is_divided(table, schema) && has_children(table, schema);
    (inherits || is_inherited).then_some(INHERITS)
}

/// Says why what is of one state of a table cannot be written into another, where tables may have other names.
pub(super) fn why_not_alike(then: &Table, now: &Table, names: &Names) -> Option<&'static str> {
    let mut facts = [PART[1], DIVIDED].into_iter();
    let wholes = then.parents.iter().map(|whole| names.of_table(whole));
    let differs = is_part(then) != is_part(now)
        || is_part(then) && !wholes.eq(&now.parents)
        || facts.any(|fact| then.facts.get(fact) != now.facts.get(fact));
    differs.then_some("it is divided into partitions otherwise than it was")
}

/// Returns a table with all that it is a part of, however far up: what refers to these refers to its rows.
pub(super) fn with_wholes(table: &Table, schema: &Schema) -> Table {
    let mut table = table.clone();
    let mut at = 0;
    while is_part(&table) && at < table.parents.len() {
        let above = schema.table(&table.parents[at]);
        let more = above.into_iter().flat_map(|above| &above.parents);
        let more: Vec<_> = more
            .filter(|name| !table.parents.contains(name))
            .cloned()
            .collect();
        table.parents.extend(more);
        at += 1;
    }
    table
}

/// Returns whether a name is that of a table, or of one that it is a part of.
pub(super) fn is_of(table: &Table, name: &TableName) -> bool {
    table.name == *name || (is_part(table) && table.parents.contains(name))
}

/// Returns a scope with the partitions that its tables have now: those that were made since change with them.
pub(crate) fn with_parts(scope: PointScope, schema: &Schema) -> PointScope {
    let PointScope::Tables(mut tables) = scope else {
        return scope;
    };
    let below = tables.iter().flat_map(|table| parts(table, schema));
    let below: Vec<TableName> = below
        .filter(|part| is_part(part))
        .map(|part| part.name.clone())
        .collect();
    for part in below {
        if !tables.contains(&part) {
            tables.push(part);
        }
    }
    PointScope::Tables(tables)
}

/// Returns the partitions that were made since tables were as they come back, and the columns of each that go with that.
pub(crate) fn made_since(exchange: &Exchange, then: &Schema, now: &Schema) -> Vec<(TableName, Vec<String>)> {
    let mut found = Vec::new();
    for root in exchange
        .replace
        .iter()
        .filter_map(|entry| then.exact_table(&entry.table))
    {
        let comes_or_goes = |part: &Table| {
            let mut replaced = exchange.replace.iter();
            replaced.any(|entry| entry.table == part.name) || exchange.drop_tables.contains(&part.name)
        };
        let below = now.tables.iter().filter(|part| part.parents.contains(&root.name));
        for part in below.filter(|part| is_part(part) && !comes_or_goes(part)) {
            let going = super::merge::going(root, part).map(str::to_owned);
            found.push((part.name.clone(), going.collect()));
        }
    }
    found
}

/// Returns the partitions of a table, theirs included.
pub(super) fn parts<'a>(table: &'a TableName, schema: &'a Schema) -> Vec<&'a Table> {
    let mut found: Vec<&Table> = Vec::new();
    let mut wholes = vec![table];
    while let Some(whole) = wholes.pop() {
        let below = schema.tables.iter().filter(|other| other.parents.contains(whole));
        for part in below {
            wholes.push(&part.name);
            found.push(part);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, parents: &[&str], facts: &[&str]) -> Table {
        let named = |name: &&str| TableName::new(*name);
        let mut table = Table {
            name: TableName::new(name),
            columns: Vec::new(),
            primary_key: vec!["id".to_owned()],
            foreign_keys: Vec::new(),
            parents: parents.iter().map(named).collect(),
            definition: String::new(),
            facts: Default::default(),
        };
        let facts = facts.iter().map(|fact| ((*fact).to_owned(), "x".to_owned()));
        table.facts.extend(facts);
        table
    }

    #[test]
    fn what_refers_to_the_whole_refers_to_each_of_its_parts() {
        let tables = vec![
            table("whole", &[], &[DIVIDED]),
            table("half", &["whole"], &[DIVIDED, PART[0]]),
            table("quarter", &["half"], &[PART[0]]),
            table("child", &["alone"], &[]),
            table("alone", &[], &[]),
        ];
        let schema = Schema {
            tables,
            ..Schema::default()
        };
        let of = |name: &str| schema.table(&TableName::new(name)).unwrap();
        let quarter = with_wholes(of("quarter"), &schema);
        let wholes =
            ["quarter", "half", "whole", "child", "alone"].map(|name| is_of(&quarter, &TableName::new(name)));
        assert_eq!(wholes, [true, true, true, false, false]);
        let divided = ["whole", "half", "quarter", "alone"].map(|name| is_divided(of(name), &schema));
        assert_eq!(divided, [true, true, false, false]);
        let refused = ["whole", "quarter", "child", "alone"].map(|name| why_not(of(name), &schema).is_some());
        assert_eq!(refused, [false, false, true, true]);
        let name = TableName::new("whole");
        let below: Vec<_> = parts(&name, &schema)
            .iter()
            .map(|part| part.name.name.clone())
            .collect();
        assert_eq!(below, ["half", "quarter"]);
    }
}
