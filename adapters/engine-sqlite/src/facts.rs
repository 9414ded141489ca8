//! What is compared of a table, an index, a view, a trigger.

use std::collections::BTreeMap;

use walkback_core::DialectKind;
use walkback_core::catalog::COLUMN_ORDER;
use walkback_sql::normalise;

use crate::cursor::{Cursor, split_commas};
use crate::definition::{
    self, ColumnDefinition, Definition, ForeignKeyDefinition, KeyDefinition, bare, spelled,
};

const KIND: DialectKind = DialectKind::Sqlite;

/// What facts say that are true or not there.
const HOLDS: &str = "holds";

/// Facts, by name.
pub(crate) type Facts = BTreeMap<String, String>;

/// A column as the catalog has it.
#[derive(Debug, Clone)]
pub(crate) struct CatalogColumn {
    pub(crate) name: String,
    pub(crate) data_type: String,
    pub(crate) not_null: bool,
    pub(crate) default: Option<String>,
    /// Place in the primary key, from 1; 0 is not in it.
    pub(crate) key: i64,
    pub(crate) generated: bool,
}

/// Returns the facts of a table. `key_of` gives the primary key of a table that a foreign key refers to.
pub(crate) fn of_table(
    sql: &str,
    columns: &[CatalogColumn],
    foreign_keys: usize,
    key_of: impl Fn(&str) -> Vec<String>,
) -> Facts {
    let readable = definition::read(sql).filter(|definition| agrees(definition, columns, foreign_keys));
    match readable {
        Some(definition) => of_definition(&definition, columns, key_of),
        None => of_text(sql),
    }
}

/// Returns whether what was read is what SQLite has read.
fn agrees(definition: &Definition, columns: &[CatalogColumn], foreign_keys: usize) -> bool {
    let same =
        definition.columns.len() == columns.len()
            && definition.columns.iter().zip(columns).all(|(read, column)| {
                read.name == column.name && read.generated.is_some() == column.generated
            });
    let key = columns.iter().any(|column| column.key > 0);
    same && definition.foreign_keys.len() == foreign_keys && definition.primary_key.is_some() == key
}

fn of_definition(
    definition: &Definition,
    columns: &[CatalogColumn],
    key_of: impl Fn(&str) -> Vec<String>,
) -> Facts {
    let mut facts = Facts::new();
    for (column, read) in columns.iter().zip(&definition.columns) {
        facts.insert(format!("column {}", column.name), of_column(column, read));
    }
    let order: Vec<_> = columns
        .iter()
        .map(|column| crate::dialect::quoted(&column.name))
        .collect();
    facts.insert(COLUMN_ORDER.to_owned(), order.join(", "));
    if let Some(key) = &definition.primary_key {
        facts.insert("primary key".to_owned(), of_key(key));
    }
    for key in &definition.uniques {
        facts.insert(format!("unique ({})", key.columns.join(", ")), on_conflict(key));
    }
    for check in &definition.checks {
        facts.insert(format!("check {check}"), HOLDS.to_owned());
    }
    for key in &definition.foreign_keys {
        let (name, rules) = of_foreign_key(key, &key_of);
        facts.insert(name, rules);
    }
    for (name, holds) in [
        ("without rowid", definition.without_rowid),
        ("strict", definition.strict),
        ("autoincrement", definition.autoincrement),
    ] {
        if holds {
            facts.insert(name.to_owned(), HOLDS.to_owned());
        }
    }
    facts
}

fn of_column(column: &CatalogColumn, read: &ColumnDefinition) -> String {
    let mut parts = vec![normalise(KIND, &column.data_type).to_uppercase()];
    if column.not_null {
        parts.push("NOT NULL".to_owned());
    }
    if let Some(conflict) = &read.not_null_conflict {
        parts.push(format!("ON CONFLICT {conflict}"));
    }
    if let Some(default) = read.default.as_ref().or(column.default.as_ref()) {
        parts.push(format!("DEFAULT {}", normalise(KIND, bare(default))));
    }
    match read.collation.as_deref() {
        None | Some("BINARY") => {}
        Some(collation) => parts.push(format!("COLLATE {collation}")),
    }
    if let Some((expression, stored)) = &read.generated {
        let kind = if *stored { "STORED" } else { "VIRTUAL" };
        parts.push(format!("GENERATED ALWAYS AS ({expression}) {kind}"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

fn of_key(key: &KeyDefinition) -> String {
    let columns = format!("({})", key.columns.join(", "));
    match &key.conflict {
        Some(conflict) => format!("{columns} ON CONFLICT {conflict}"),
        None => columns,
    }
}

fn on_conflict(key: &KeyDefinition) -> String {
    match &key.conflict {
        Some(conflict) => format!("ON CONFLICT {conflict}"),
        None => HOLDS.to_owned(),
    }
}

fn of_foreign_key(key: &ForeignKeyDefinition, key_of: impl Fn(&str) -> Vec<String>) -> (String, String) {
    let spell = |names: &[String]| {
        names
            .iter()
            .map(|name| spelled(name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    // Without columns, the primary key is meant.
    let referenced = if key.parent_columns.is_empty() {
        key_of(&key.parent)
    } else {
        key.parent_columns.clone()
    };
    let name = format!(
        "foreign key ({}) -> {}({})",
        spell(&key.columns),
        spelled(&key.parent),
        spell(&referenced)
    );
    let rules = if key.rules.is_empty() {
        "NO ACTION".to_owned()
    } else {
        key.rules.join(" ")
    };
    (name, rules)
}

/// Returns the one fact of an object that is compared by its text: a view, a trigger, what cannot be read.
pub(crate) fn of_text(sql: &str) -> Facts {
    Facts::from([("definition".to_owned(), normalise(KIND, sql))])
}

/// A column of an index as the catalog has it.
#[derive(Debug)]
pub(crate) struct IndexColumn {
    /// Its name, or `None` where the index holds an expression.
    pub(crate) name: Option<String>,
    pub(crate) collation: String,
    pub(crate) descending: bool,
}

/// Returns the facts of an index.
pub(crate) fn of_index(sql: &str, table: &str, unique: bool, columns: &[IndexColumn]) -> Facts {
    let Some((expressions, condition)) =
        read_index(sql, table).filter(|(read, _)| read.len() == columns.len())
    else {
        return of_text(sql);
    };
    let spelled_columns = columns.iter().zip(&expressions).map(|(column, expression)| {
        let mut text = column.name.as_deref().map_or_else(|| expression.clone(), spelled);
        if !column.collation.eq_ignore_ascii_case("BINARY") {
            text.push_str(" COLLATE ");
            text.push_str(&column.collation.to_uppercase());
        }
        if column.descending {
            text.push_str(" DESC");
        }
        text
    });
    let mut facts = Facts::from([
        ("table".to_owned(), spelled(table)),
        (
            "columns".to_owned(),
            spelled_columns.collect::<Vec<_>>().join(", "),
        ),
        ("unique".to_owned(), if unique { "yes" } else { "no" }.to_owned()),
    ]);
    if let Some(condition) = condition {
        facts.insert("where".to_owned(), condition);
    }
    facts
}

/// Reads the expressions of a `CREATE INDEX`, without collation and direction, and its condition.
fn read_index(sql: &str, table: &str) -> Option<(Vec<String>, Option<String>)> {
    let tokens = definition::tokens(sql);
    let on = tokens.iter().position(|token| token.is_word("ON"))?;
    let mut cursor = Cursor::new(sql, &tokens[on + 1..]).of_table(table);
    cursor.name()?;
    let body = cursor.parenthesised()?;
    let items = split_commas(body).into_iter().map(|mut item| {
        if let [before @ .., last] = item
            && (last.is_word("ASC") || last.is_word("DESC"))
        {
            item = before;
        }
        if let [before @ .., collate, _] = item
            && collate.is_word("COLLATE")
        {
            item = before;
        }
        cursor.normalised(item)
    });
    let items = items.collect::<Option<Vec<_>>>()?;
    let condition = if cursor.word("WHERE") {
        let rest = cursor.rest();
        Some(cursor.normalised(rest)?)
    } else {
        None
    };
    cursor.peek().is_none().then_some((items, condition))
}
