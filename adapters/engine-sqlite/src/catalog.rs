//! The schema of a database, read from `sqlite_schema` and the pragmas.

use std::collections::BTreeMap;

use rusqlite::Connection;
use walkback_core::catalog::{Column, ForeignKey, Object, Schema, Table};
use walkback_core::name::ObjectKind;
use walkback_core::{Result, TableName};

use crate::facts::{self, CatalogColumn, Facts, IndexColumn};
use crate::link::Link;

/// What the names of walkback's own tables begin with.
const OWN: &str = "_walkback_";

/// What the names of SQLite's own tables begin with.
const INTERNAL: &str = "sqlite_";

/// Values of `hidden` in `table_xinfo` for generated columns, virtual and stored.
const GENERATED: [i64; 2] = [2, 3];

/// A row of `sqlite_schema`, with what sort of table it is.
#[derive(Debug)]
struct Entry {
    kind: String,
    name: String,
    table: String,
    sql: String,
}

impl Link {
    /// Reads the schema.
    pub(crate) fn schema(&mut self) -> Result<Schema> {
        self.must_be_alive()?;
        let outcome = read(&self.connection);
        outcome.map_err(|error| {
            let error = self.place.failed("cannot read the schema", error);
            self.after_failure("the catalog", error)
        })
    }
}

fn read(connection: &Connection) -> rusqlite::Result<Schema> {
    // In autocommit mode, each query below would see another moment.
    if connection.is_autocommit() {
        let transaction = connection.unchecked_transaction()?;
        let schema = read_now(connection);
        transaction.rollback()?;
        return schema;
    }
    read_now(connection)
}

fn read_now(connection: &Connection) -> rusqlite::Result<Schema> {
    let entries = entries(connection)?;
    let sorts = sorts(connection)?;
    let is_virtual = |name: &str| sorts.get(name).is_some_and(|sort| sort == "virtual");
    let mut tables = Vec::new();
    let mut objects: Vec<Object> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind == "table") {
        match sorts.get(&entry.name).map(String::as_str) {
            Some("shadow") => {}
            _ if is_virtual(&entry.name) || is_virtual_definition(&entry.sql) => {
                objects.push(object(ObjectKind::Other, entry, None, facts::of_text(&entry.sql)));
            }
            _ => tables.push(table(connection, entry)?),
        }
    }
    finish_tables(&mut tables, connection)?;
    let kept = |entry: &&Entry| sorts.get(&entry.table).is_none_or(|sort| sort != "shadow");
    for entry in entries.iter().filter(|entry| entry.kind == "index").filter(kept) {
        objects.push(index(connection, entry)?);
    }
    for entry in entries.iter().filter(|entry| entry.kind == "view") {
        objects.push(object(ObjectKind::View, entry, None, facts::of_text(&entry.sql)));
    }
    for entry in entries.iter().filter(|entry| entry.kind == "trigger") {
        let on = Some(TableName::new(&entry.table));
        objects.push(object(ObjectKind::Trigger, entry, on, facts::of_text(&entry.sql)));
    }
    objects.extend(sequences(connection, &tables)?);
    Ok(Schema {
        tables,
        objects,
        home: None,
    })
}

/// Reads what people have made: nothing of SQLite's or walkback's own, and no index without a definition,
/// which belongs to a constraint.
fn entries(connection: &Connection) -> rusqlite::Result<Vec<Entry>> {
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let entries = statement.query_map([], |row| {
        Ok(Entry {
            kind: row.get(0)?,
            name: row.get(1)?,
            table: row.get(2)?,
            sql: row.get(3)?,
        })
    })?;
    let mut entries = entries.collect::<rusqlite::Result<Vec<_>>>()?;
    let own = |name: &str| begins_with(name, OWN) || begins_with(name, INTERNAL);
    entries.retain(|entry| !own(&entry.name) && !own(&entry.table));
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn begins_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_virtual_definition(sql: &str) -> bool {
    crate::definition::tokens(sql)
        .get(1)
        .is_some_and(|token| token.is_word("VIRTUAL"))
}

/// Returns what sort each table is: `table`, `view`, `shadow` or `virtual`.
fn sorts(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement =
        connection.prepare("SELECT name, type FROM pragma_table_list WHERE schema = 'main'")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Reads a table; its facts come when all tables are known.
fn table(connection: &Connection, entry: &Entry) -> rusqlite::Result<Table> {
    let columns = columns(connection, &entry.name)?;
    let mut key: Vec<_> = columns.iter().filter(|column| column.key > 0).collect();
    key.sort_by_key(|column| column.key);
    Ok(Table {
        name: TableName::new(&entry.name),
        primary_key: key.into_iter().map(|column| column.name.clone()).collect(),
        foreign_keys: foreign_keys(connection, &entry.name)?,
        parents: Vec::new(),
        definition: entry.sql.clone(),
        facts: Facts::new(),
        columns: columns.into_iter().map(column).collect(),
    })
}

fn finish_tables(tables: &mut [Table], connection: &Connection) -> rusqlite::Result<()> {
    let keys: BTreeMap<String, Vec<String>> = tables
        .iter()
        .map(|table| {
            let key = table.primary_key.iter().map(|name| name.to_lowercase()).collect();
            (table.name.name.to_lowercase(), key)
        })
        .collect();
    for table in tables {
        let columns = columns(connection, &table.name.name)?;
        table.facts = facts::of_table(&table.definition, &columns, table.foreign_keys.len(), |parent| {
            keys.get(parent).cloned().unwrap_or_default()
        });
    }
    Ok(())
}

fn column(column: CatalogColumn) -> Column {
    Column {
        name: column.name,
        data_type: column.data_type,
        nullable: !column.not_null,
        default: column.default,
        generated: column.generated,
    }
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<CatalogColumn>> {
    let mut statement = connection.prepare(
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid",
    )?;
    let columns = statement.query_map([table], |row| {
        let hidden: i64 = row.get(5)?;
        Ok(CatalogColumn {
            name: row.get(0)?,
            data_type: row.get(1)?,
            not_null: row.get(2)?,
            default: row.get(3)?,
            key: row.get(4)?,
            generated: GENERATED.contains(&hidden),
        })
    })?;
    columns.collect()
}

fn foreign_keys(connection: &Connection, table: &str) -> rusqlite::Result<Vec<ForeignKey>> {
    let mut statement = connection.prepare(
        "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete FROM pragma_foreign_key_list(?1) ORDER BY id DESC, seq",
    )?;
    let mut rows = statement.query([table])?;
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if keys.last().is_none_or(|(last, _)| *last != id) {
            let key = ForeignKey {
                columns: Vec::new(),
                references: TableName::new(row.get::<_, String>(1)?),
                referenced_columns: Vec::new(),
                cascades: acts(&row.get::<_, String>(4)?) || acts(&row.get::<_, String>(5)?),
            };
            keys.push((id, key));
        }
        if let Some((_, key)) = keys.last_mut() {
            key.columns.push(row.get(2)?);
            key.referenced_columns.extend(row.get::<_, Option<String>>(3)?);
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// Returns whether a rule of a foreign key changes rows, and does not only forbid.
fn acts(rule: &str) -> bool {
    !matches!(rule, "NO ACTION" | "RESTRICT")
}

fn index(connection: &Connection, entry: &Entry) -> rusqlite::Result<Object> {
    let unique = connection
        .query_row(
            "SELECT \"unique\" FROM pragma_index_list(?1) WHERE name = ?2",
            [&entry.table, &entry.name],
            |row| row.get(0),
        )
        .unwrap_or(false);
    let mut statement = connection
        .prepare("SELECT name, coll, \"desc\" FROM pragma_index_xinfo(?1) WHERE \"key\" ORDER BY seqno")?;
    let columns = statement
        .query_map([&entry.name], |row| {
            Ok(IndexColumn {
                name: row.get(0)?,
                collation: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
                descending: row.get(2)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let facts = facts::of_index(&entry.sql, &entry.table, unique, &columns);
    Ok(object(
        ObjectKind::Index,
        entry,
        Some(TableName::new(&entry.table)),
        facts,
    ))
}

fn object(kind: ObjectKind, entry: &Entry, on: Option<TableName>, facts: Facts) -> Object {
    Object {
        kind,
        name: TableName::new(&entry.name),
        on,
        definition: entry.sql.clone(),
        facts,
    }
}

/// Returns the positions of the `AUTOINCREMENT`s. They have no facts: each inserted row moves them.
fn sequences(connection: &Connection, tables: &[Table]) -> rusqlite::Result<Vec<Object>> {
    let counted: Vec<_> = tables.iter().filter(|table| is_autoincrement(table)).collect();
    if counted.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = connection
        .prepare("SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = ?1 COLLATE NOCASE")?;
    let mut objects = Vec::new();
    for table in counted {
        let mut rows = statement.query([&table.name.name])?;
        let position: i64 = match rows.next()? {
            Some(row) => row.get::<_, Option<i64>>(0)?.unwrap_or(0),
            None => 0,
        };
        objects.push(Object {
            kind: ObjectKind::Sequence,
            name: table.name.clone(),
            on: Some(table.name.clone()),
            definition: format!(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('{}', {position})",
                table.name.name.replace('\'', "''")
            ),
            facts: Facts::new(),
        });
    }
    Ok(objects)
}

fn is_autoincrement(table: &Table) -> bool {
    // A table that could not be read keeps its text, in which the word can only be the keyword or a literal.
    table.facts.contains_key("autoincrement")
        || !table.facts.contains_key(walkback_core::catalog::COLUMN_ORDER)
            && crate::definition::tokens(&table.definition)
                .iter()
                .any(|token| token.is_word("AUTOINCREMENT"))
}
