//! Tables, with all their constraints.

use std::collections::{BTreeMap, BTreeSet};

use walkback_core::catalog::{COLUMN_ORDER, Column, ForeignKey, Object, Table};
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, Result, TableName};

use super::order::Order;
use super::present::{Kind, Present};
use super::queries;
use super::{Catalog, Entry, Facts, HOLDS, Names, fact, list, options};
use crate::dialect::{quoted, quoted_list, quoted_table};
use crate::link::{Link, Texts};

/// Rank of foreign keys that close a circle, and of constraints that hold for new rows only.
const FOREIGN_KEY: u8 = 60;

/// A table as the catalog has it.
#[derive(Debug)]
pub(super) struct RawTable {
    pub(super) oid: String,
    pub(super) name: TableName,
    pub(super) parents: Vec<String>,
    pub(super) columns: Vec<RawColumn>,
    pub(super) constraints: Vec<RawConstraint>,
    pub(super) is_unlogged: bool,
    pub(super) partition_key: Option<String>,
    pub(super) bound: Option<String>,
    pub(super) has_row_security: bool,
    pub(super) forces_row_security: bool,
    pub(super) replica_identity: String,
    /// What `ALTER TABLE` sets, and what takes it back, once indexes and triggers are there.
    pub(super) late_settings: Vec<(String, String)>,
    options: Vec<String>,
    access_method: Option<String>,
    tablespace: Option<String>,
    of_type: Option<String>,
}

/// A column as the catalog has it.
#[derive(Debug)]
pub(super) struct RawColumn {
    pub(super) name: String,
    pub(super) data_type: String,
    pub(super) is_not_null: bool,
    pub(super) expression: Option<String>,
    pub(super) generated: String,
    pub(super) identity: String,
    pub(super) is_local: bool,
    pub(super) collation: Option<String>,
    pub(super) compression: Option<String>,
    /// How it is stored, if not as is usual for its type, and how that is.
    pub(super) storage: Option<(String, String)>,
    pub(super) statistics: Option<String>,
    pub(super) options: Vec<String>,
    /// What the sequence of an identity is told, filled in later.
    pub(super) identity_options: String,
}

/// A constraint as the catalog has it.
#[derive(Debug)]
pub(super) struct RawConstraint {
    pub(super) name: String,
    pub(super) sort: String,
    pub(super) definition: String,
    pub(super) is_local: bool,
    pub(super) refers_to: String,
    columns: Vec<String>,
    referenced: Vec<String>,
    cascades: bool,
    reference: Option<TableName>,
}

impl RawColumn {
    fn default(&self) -> Option<&str> {
        self.expression.as_deref().filter(|_| self.generated.is_empty())
    }

    /// `STORED` or `VIRTUAL`.
    fn generation(&self) -> Option<String> {
        let kind = match self.generated.as_str() {
            "s" => "STORED",
            "v" => "VIRTUAL",
            _ => return None,
        };
        Some(format!(
            "({}) {kind}",
            self.expression.as_deref().unwrap_or_default()
        ))
    }

    fn identity(&self) -> Option<String> {
        let when = match self.identity.as_str() {
            "a" => "ALWAYS",
            "d" => "BY DEFAULT",
            _ => return None,
        };
        Some(format!("{when} AS IDENTITY ({})", self.identity_options))
    }

    fn of_type(&self) -> String {
        let mut text = self.data_type.clone();
        if let Some(compression) = &self.compression {
            text.push_str(&format!(" COMPRESSION {compression}"));
        }
        if let Some(collation) = &self.collation {
            text.push_str(&format!(" COLLATE {collation}"));
        }
        text
    }
}

/// Reads all tables of people.
pub(super) async fn read(
    link: &mut Link,
    cx: &Cx,
    names: &Names,
    present: &Present,
) -> Result<Vec<RawTable>> {
    let rows = link.texts(cx, queries::TABLES, &[]).await?;
    let mut tables: Vec<RawTable> = rows.iter().map(|row| raw_table(row, names)).collect();
    let index: BTreeMap<String, usize> = tables
        .iter()
        .enumerate()
        .map(|(index, table)| (table.oid.clone(), index))
        .collect();
    for row in present.texts(link, cx, Kind::Parents).await? {
        if let Some(index) = index.get(row.get(0)) {
            tables[*index].parents.push(row.get(1).to_owned());
        }
    }
    for row in link.texts(cx, queries::COLUMNS, &[]).await? {
        if let Some(index) = index.get(row.get(0)) {
            tables[*index].columns.push(raw_column(&row));
        }
    }
    for row in link.texts(cx, queries::CONSTRAINTS, &[]).await? {
        if let Some(index) = index.get(row.get(1)) {
            tables[*index].constraints.push(raw_constraint(&row, names));
        }
    }
    Ok(tables)
}

fn raw_table(row: &Texts, names: &Names) -> RawTable {
    let find = |index: usize| row.find(index).map(str::to_owned);
    RawTable {
        oid: row.get(0).to_owned(),
        name: names.of(row.get(1), row.get(2)),
        parents: Vec::new(),
        columns: Vec::new(),
        constraints: Vec::new(),
        is_unlogged: row.get(4) == "u",
        options: list(row, 5),
        partition_key: find(6),
        bound: find(7),
        access_method: find(8),
        tablespace: find(9),
        of_type: find(10),
        has_row_security: row.is(11),
        forces_row_security: row.is(12),
        replica_identity: row.get(13).to_owned(),
        late_settings: Vec::new(),
    }
}

fn raw_column(row: &Texts) -> RawColumn {
    let find = |index: usize| row.find(index).map(str::to_owned);
    RawColumn {
        name: row.get(1).to_owned(),
        data_type: row.get(2).to_owned(),
        is_not_null: row.is(3),
        expression: find(4),
        generated: row.get(5).to_owned(),
        identity: row.get(6).to_owned(),
        is_local: row.is(7),
        collation: find(8),
        compression: find(9),
        storage: find(10).map(|storage| (storage, row.get(13).to_owned())),
        statistics: find(11),
        options: list(row, 12),
        identity_options: String::new(),
    }
}

fn raw_constraint(row: &Texts, names: &Names) -> RawConstraint {
    RawConstraint {
        name: row.get(2).to_owned(),
        sort: row.get(3).to_owned(),
        definition: row.get(4).to_owned(),
        is_local: row.is(5),
        refers_to: row.get(6).to_owned(),
        columns: list(row, 7),
        referenced: list(row, 8),
        cascades: row.is(9),
        reference: row.find(11).map(|name| names.of(row.get(10), name)),
    }
}

/// Puts tables and objects together, in the order that was found.
pub(super) fn assemble(raw: Vec<RawTable>, order: Order) -> Catalog {
    let mut catalog = Catalog::default();
    let by_oid: BTreeMap<&str, &RawTable> = raw.iter().map(|table| (table.oid.as_str(), table)).collect();
    let mut made: BTreeSet<&str> = BTreeSet::new();
    let mut later = Vec::new();
    for oid in &order.tables {
        let Some(table) = by_oid.get(oid.as_str()) else {
            continue;
        };
        made.insert(table.oid.as_str());
        let parents: Vec<&RawTable> = table
            .parents
            .iter()
            .filter_map(|oid| by_oid.get(oid.as_str()).copied())
            .collect();
        for key in table
            .constraints
            .iter()
            .filter(|key| key.sort == "f" && key.is_local)
        {
            // A table of walkback, or one that is not in the catalog, is there in any case.
            let is_later =
                by_oid.contains_key(key.refers_to.as_str()) && !made.contains(key.refers_to.as_str());
            if is_later || is_unchecked(key) {
                later.push(constraint_entry(table, key));
            }
        }
        for check in table
            .constraints
            .iter()
            .filter(|check| check.sort != "f" && check.is_local)
        {
            if is_unchecked(check) {
                later.push(constraint_entry(table, check));
            }
        }
        let inline = |key: &RawConstraint| {
            !by_oid.contains_key(key.refers_to.as_str()) || made.contains(key.refers_to.as_str())
        };
        let definition = definition(table, &parents, &inline);
        catalog
            .tables
            .push((table.oid.clone(), finished(table, &parents, definition)));
    }
    catalog.entries = order.entries;
    catalog.entries.extend(later);
    catalog.entries.sort_by_key(|entry| entry.rank >= FOREIGN_KEY);
    for table in &raw {
        catalog.entries.extend(super::objects::settings(table));
    }
    catalog
}

/// Returns whether a constraint holds for new rows only, which a new table cannot be told.
fn is_unchecked(constraint: &RawConstraint) -> bool {
    constraint.definition.ends_with("NOT VALID")
}

fn constraint_entry(table: &RawTable, key: &RawConstraint) -> Entry {
    let on = quoted_table(&table.name);
    let name = quoted(&key.name);
    Entry {
        object: Object {
            kind: ObjectKind::Constraint,
            name: table.name.renamed(&key.name),
            on: Some(table.name.clone()),
            definition: format!("ALTER TABLE {on} ADD CONSTRAINT {name} {}", key.definition),
            facts: fact("definition", &key.definition),
        },
        oid: String::new(),
        rank: FOREIGN_KEY,
        drop: format!("ALTER TABLE {on} DROP CONSTRAINT {name}"),
        called: String::new(),
    }
}

/// Returns what a constraint is called in the facts: its text, which also stands in a definition.
pub(crate) fn clause(definition: &str) -> String {
    for sort in ["PRIMARY KEY", "FOREIGN KEY", "UNIQUE", "CHECK", "EXCLUDE"] {
        if let Some(rest) = definition.strip_prefix(sort) {
            return format!("{}{rest}", sort.to_lowercase());
        }
    }
    definition.to_owned()
}

fn finished(table: &RawTable, parents: &[&RawTable], definition: String) -> Table {
    let key = table.constraints.iter().find(|key| key.sort == "p");
    let foreign_keys = table.constraints.iter().filter(|key| key.sort == "f");
    Table {
        name: table.name.clone(),
        columns: table
            .columns
            .iter()
            .map(|column| Column {
                name: column.name.clone(),
                data_type: column.data_type.clone(),
                nullable: !column.is_not_null,
                default: column.default().map(str::to_owned),
                generated: !column.generated.is_empty(),
            })
            .collect(),
        primary_key: key.map(|key| key.columns.clone()).unwrap_or_default(),
        foreign_keys: foreign_keys
            .filter_map(|key| {
                Some(ForeignKey {
                    columns: key.columns.clone(),
                    references: key.reference.clone()?,
                    referenced_columns: key.referenced.clone(),
                    cascades: key.cascades,
                })
            })
            .collect(),
        parents: parents.iter().map(|parent| parent.name.clone()).collect(),
        definition,
        facts: facts(table, parents),
    }
}

fn facts(table: &RawTable, parents: &[&RawTable]) -> Facts {
    let mut facts = Facts::new();
    for column in &table.columns {
        let name = &column.name;
        facts.insert(format!("column {name}"), column.of_type());
        let more = [
            ("default", column.default().map(str::to_owned)),
            ("generated", column.generation()),
            ("identity", column.identity()),
            ("not null", column.is_not_null.then(|| HOLDS.to_owned())),
        ];
        for (what, value) in more {
            if let Some(value) = value {
                facts.insert(format!("{what} {name}"), value);
            }
        }
    }
    facts.insert(
        COLUMN_ORDER.to_owned(),
        quoted_list(table.columns.iter().map(|column| &column.name)),
    );
    for constraint in &table.constraints {
        let mut name = clause(&constraint.definition);
        // What is merged into a table that inherits is its own as well; a partition has nothing of its own.
        if !constraint.is_local && table.bound.is_some() {
            name = format!("inherited {name}");
        }
        // Two constraints may say the same.
        while facts.contains_key(&name) {
            name.push(' ');
        }
        facts.insert(name, constraint.name.clone());
    }
    let parents: Vec<String> = parents.iter().map(|parent| quoted_table(&parent.name)).collect();
    let more = [
        ("unlogged", table.is_unlogged.then(|| HOLDS.to_owned())),
        ("partition by", table.partition_key.clone()),
        ("partition of", table.bound.as_ref().map(|_| parents.join(", "))),
        ("partition bound", table.bound.clone()),
        (
            "inherits",
            (table.bound.is_none() && !parents.is_empty()).then(|| parents.join(", ")),
        ),
        (
            "with",
            Some(options(&table.options)).filter(|text| !text.is_empty()),
        ),
        ("access method", table.access_method.clone()),
        ("tablespace", table.tablespace.clone()),
        ("of type", table.of_type.clone()),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value);
        }
    }
    facts
}

/// Writes the statement that creates a table.
fn definition(table: &RawTable, parents: &[&RawTable], inline: &dyn Fn(&RawConstraint) -> bool) -> String {
    let mut lines: Vec<String> = Vec::new();
    for column in &table.columns {
        lines.extend(column_line(table, column, parents));
    }
    for constraint in table.constraints.iter().filter(|constraint| constraint.is_local) {
        if !is_unchecked(constraint) && (constraint.sort != "f" || inline(constraint)) {
            lines.push(format!(
                "CONSTRAINT {} {}",
                quoted(&constraint.name),
                constraint.definition
            ));
        }
    }
    let unlogged = if table.is_unlogged { "UNLOGGED " } else { "" };
    let mut text = format!("CREATE {unlogged}TABLE {}", quoted_table(&table.name));
    let parents: Vec<String> = parents.iter().map(|parent| quoted_table(&parent.name)).collect();
    let body = format!(" (\n    {}\n)", lines.join(",\n    "));
    match (&table.bound, &table.of_type) {
        (Some(bound), _) => {
            text.push_str(&format!(" PARTITION OF {}", parents.join(", ")));
            if !lines.is_empty() {
                text.push_str(&body);
            }
            text.push_str(&format!(" {bound}"));
        }
        (None, Some(of_type)) => {
            text.push_str(&format!(" OF {of_type}"));
            if !lines.is_empty() {
                text.push_str(&body);
            }
        }
        (None, None) if lines.is_empty() => text.push_str(" ()"),
        (None, None) => text.push_str(&body),
    }
    if table.bound.is_none() && !parents.is_empty() {
        text.push_str(&format!(" INHERITS ({})", parents.join(", ")));
    }
    text.push_str(&table_tail(table));
    text
}

fn table_tail(table: &RawTable) -> String {
    let mut text = String::new();
    if let Some(key) = &table.partition_key {
        text.push_str(&format!(" PARTITION BY {key}"));
    }
    if let Some(method) = &table.access_method {
        text.push_str(&format!(" USING {}", quoted(method)));
    }
    if !table.options.is_empty() {
        text.push_str(&format!(" WITH ({})", options(&table.options)));
    }
    if let Some(space) = &table.tablespace {
        text.push_str(&format!(" TABLESPACE {}", quoted(space)));
    }
    text
}

/// Writes a column. What a parent says already is left out.
fn column_line(table: &RawTable, column: &RawColumn, parents: &[&RawTable]) -> Option<String> {
    let of_parent = parents
        .iter()
        .flat_map(|parent| &parent.columns)
        .find(|other| other.name == column.name);
    let is_typed = table.of_type.is_some();
    let mut text = quoted(&column.name);
    let bare = text.len();
    let comes_along = table.bound.is_some() || is_typed;
    if !comes_along {
        text.push_str(&format!(" {}", column.of_type()));
    }
    if let Some(generation) = column.generation() {
        if of_parent.is_none() {
            text.push_str(&format!(" GENERATED ALWAYS AS {generation}"));
        }
    } else if let Some(identity) = column.identity() {
        if table.bound.is_none() {
            text.push_str(&format!(" GENERATED {identity}"));
        }
    } else {
        let inherited = of_parent.and_then(RawColumn::default);
        match column.default() {
            default if default == inherited && of_parent.is_some() => {}
            Some(default) => text.push_str(&format!(" DEFAULT {default}")),
            None if of_parent.is_some() => text.push_str(" DEFAULT NULL"),
            None => {}
        }
    }
    if column.is_not_null && of_parent.is_none_or(|parent| !parent.is_not_null) {
        text.push_str(" NOT NULL");
    }
    let says_nothing = text.len() == bare;
    let is_only_inherited =
        !comes_along && !column.is_local && text.len() == bare + 1 + column.of_type().len();
    (!says_nothing && !is_only_inherited).then_some(text)
}
