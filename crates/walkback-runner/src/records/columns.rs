//! Which field of the file goes into which column, and what the table asks of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use walkback_core::catalog::{Column, Schema, Table};
use walkback_core::dialect::DialectKind;
use walkback_core::{Error, ErrorKind, Result, TableName, Value};

use super::cell::Cell;
use super::kind::Kind;
use super::options::LoadOptions;

/// Which field goes into which column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoadColumn {
    /// The name in the file.
    pub field: String,
    /// The column.
    pub column: String,
    /// Its type, as the catalog spells it.
    pub data_type: String,
}

/// A column that records are loaded into.
#[derive(Debug, Clone)]
struct Slot {
    name: String,
    data_type: String,
    kind: Kind,
    nullable: bool,
    /// Whether a record may leave it out.
    optional: bool,
    /// Whether the server counts it by itself.
    counted: bool,
    /// Why it cannot be written, if it cannot.
    closed: Option<&'static str>,
}

/// The columns of a table, as a load sees them.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    dialect: DialectKind,
    slots: Vec<Slot>,
    options: LoadOptions,
}

/// A record as values of columns: which columns, and the values in the same order.
pub(super) type Ready = (Vec<usize>, Vec<Value>);

/// Why a record is not loaded: its kind, and the same with its own values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: String,
    pub(super) reason: String,
}

impl Fault {
    pub(super) fn new(kind: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            reason: reason.into(),
        }
    }

    /// A fault whose reason has no value of the record in it.
    pub(super) fn plain(why: &str) -> Self {
        Self::new(why, why)
    }
}

/// Finds a table by what a person calls it.
pub(super) fn table<'s>(schema: &'s Schema, name: &str) -> Result<&'s Table> {
    let qualified = name.split_once('.');
    let qualified = qualified.map(|(schema, name)| TableName::in_schema(schema, name));
    let found = schema.table(&TableName::new(name));
    let found = found.or_else(|| qualified.and_then(|name| schema.table(&name)));
    found.ok_or_else(|| {
        let names = schema.tables.iter().map(|table| format!("`{}`", table.name));
        let names: Vec<_> = names.take(12).collect();
        Error::not_found(format!("there is no table `{name}`")).hint(if names.is_empty() {
            "the database has no tables yet: `walkback up` makes those of the migrations".to_owned()
        } else {
            format!("there are {}", names.join(", "))
        })
    })
}

impl Columns {
    /// Looks at the columns of a table.
    ///
    /// # Errors
    /// `Unsupported` if rows of the table cannot be told apart: nothing could take them back.
    pub(super) fn of(dialect: DialectKind, table: &Table, options: &LoadOptions) -> Result<Self> {
        if table.primary_key.is_empty() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "table `{}` has no primary key: the rows of a load could not be told from others, and not be taken back",
                    table.name
                ),
            )
            .hint("give the table a primary key in a migration, and load it then"));
        }
        if dialect == DialectKind::Mysql && !is_innodb(table) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "table `{}` is kept by an engine without transactions: a batch could not be taken back",
                    table.name
                ),
            )
            .hint("change it in a migration: `ALTER TABLE .. ENGINE = InnoDB`"));
        }
        let slots = table.columns.iter().map(|column| slot(dialect, table, column));
        Ok(Self {
            dialect,
            slots: slots.collect(),
            options: options.clone(),
        })
    }

    /// Returns the name of a column.
    pub(super) fn name(&self, index: usize) -> &str {
        &self.slots[index].name
    }

    /// Returns whether the server counts a column by itself.
    pub(super) fn is_counted(&self, name: &str) -> bool {
        self.slots.iter().any(|slot| slot.name == name && slot.counted)
    }

    /// Returns the column that a field goes into; nothing if it is left out.
    fn target(&self, field: &str) -> std::result::Result<Option<usize>, Fault> {
        if self.options.skip.contains(field) {
            return Ok(None);
        }
        let wanted = self.options.map.get(field).map_or(field, String::as_str);
        let exact = self.slots.iter().position(|slot| slot.name == wanted);
        let alike = || {
            let mut alike =
                (0..self.slots.len()).filter(|at| self.slots[*at].name.eq_ignore_ascii_case(wanted));
            alike.next().filter(|_| alike.next().is_none())
        };
        let Some(index) = exact.or_else(alike) else {
            let reason = format!("the table has no column `{wanted}`");
            return Err(Fault::new(reason.clone(), reason));
        };
        match self.slots[index].closed {
            None => Ok(Some(index)),
            Some(why) => {
                let reason = format!("column `{wanted}` cannot be written: {why}");
                Err(Fault::new(reason.clone(), reason))
            }
        }
    }

    /// Checks the fields that a file, or its first record, has: what is wrong with them is wrong with all of it.
    pub(super) fn check(&self, fields: &[Arc<str>]) -> Result<Vec<LoadColumn>> {
        self.check_words(fields)?;
        let mut columns = Vec::new();
        let mut used = BTreeMap::new();
        for field in fields {
            let target = self.target(field).map_err(|fault| {
                self.wrong(format!("field `{field}` has no place: {}", fault.reason))
                    .hint(format!("load it into another column with `--map {field}=COLUMN`, or leave it out with `--skip {field}`"))
            })?;
            let Some(index) = target else { continue };
            let slot = &self.slots[index];
            if let Some(other) = used.insert(index, field) {
                return Err(self.wrong(format!(
                    "fields `{other}` and `{field}` both go into column `{}`",
                    slot.name
                )));
            }
            columns.push(LoadColumn {
                field: field.to_string(),
                column: slot.name.clone(),
                data_type: slot.data_type.clone(),
            });
        }
        if columns.is_empty() {
            return Err(self.wrong("no field of it goes into a column"));
        }
        Ok(columns)
    }

    /// Checks that the columns that must have a value are among those of a file that says them once for all.
    pub(super) fn check_complete(&self, columns: &[LoadColumn]) -> Result<()> {
        let is_there = |slot: &&Slot| !columns.iter().any(|one| one.column == slot.name);
        let mut missing = self.slots.iter().filter(|slot| !slot.optional).filter(is_there);
        match missing.next() {
            None => Ok(()),
            Some(slot) => Err(self
                .wrong(format!(
                    "column `{}` must have a value, has no default, and no field goes into it",
                    slot.name
                ))
                .hint(format!("name its field with `--map FIELD={}`", slot.name))),
        }
    }

    /// Checks that what was said of fields and columns is about such that there are.
    fn check_words(&self, fields: &[Arc<str>]) -> Result<()> {
        let is_csv = matches!(self.options.format, super::LoadFormat::Csv { .. });
        let mut said = self.options.map.keys().chain(&self.options.skip);
        let unknown = |field: &&String| is_csv && !fields.iter().any(|one| **one == ***field);
        if let Some(field) = said.find(unknown) {
            let names: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
            let error = self.wrong(format!("it has no field `{field}`"));
            let turned = self.options.map.get(field);
            let turned = turned.filter(|column| fields.iter().any(|one| **one == ***column));
            if let Some(column) = turned {
                return Err(error.hint(format!("the field comes first: `--map {column}={field}`")));
            }
            return Err(error.hint(format!("its fields are {}", names.join(", "))));
        }
        Ok(())
    }

    fn wrong(&self, why: impl AsRef<str>) -> Error {
        Error::new(
            ErrorKind::Usage,
            format!(
                "`{}` cannot be loaded into `{}`: {}",
                self.options.file.display(),
                self.options.table,
                why.as_ref()
            ),
        )
    }

    /// Turns a record into values of columns.
    pub(super) fn ready(&self, fields: &[(Arc<str>, Cell)]) -> std::result::Result<Ready, Fault> {
        let mut found: BTreeMap<usize, Value> = BTreeMap::new();
        for (field, cell) in fields {
            let Some(index) = self.target(field)? else {
                continue;
            };
            let slot = &self.slots[index];
            if slot.counted && *cell == Cell::Null {
                continue;
            }
            let value = slot.kind.value(self.dialect, cell.clone()).map_err(|why| {
                Fault::new(
                    format!(
                        "column `{}` ({}) does not take the value",
                        slot.name, slot.data_type
                    ),
                    format!("column `{}` ({}): {why}", slot.name, slot.data_type),
                )
            })?;
            if value.is_null() && !slot.nullable {
                let reason = format!("column `{}` must not be NULL", slot.name);
                return Err(Fault::new(reason.clone(), reason));
            }
            if found.insert(index, value).is_some() {
                let reason = format!("two fields go into column `{}`", slot.name);
                return Err(Fault::new(reason.clone(), reason));
            }
        }
        for (index, slot) in self.slots.iter().enumerate() {
            if !slot.optional && !found.contains_key(&index) {
                let reason = format!("column `{}` has no value and no default", slot.name);
                return Err(Fault::new(reason.clone(), reason));
            }
        }
        if found.is_empty() {
            return Err(Fault::new(
                "no field goes into a column",
                "no field goes into a column",
            ));
        }
        Ok(found.into_iter().unzip())
    }
}

/// Returns whether the options of a table name the engine that has transactions. A comment may say anything, and stands
/// behind the engine.
fn is_innodb(table: &Table) -> bool {
    let options = table
        .facts
        .get("options")
        .map(|options| options.to_ascii_uppercase());
    let options = options.unwrap_or_default().replace(' ', "");
    let engine = options.split("COMMENT").next().unwrap_or_default();
    engine.contains("ENGINE=INNODB")
}

/// Returns whether SQLite keeps each value of the table as it comes. The word stands behind the columns.
fn is_strict(dialect: DialectKind, table: &Table) -> bool {
    let behind = table.definition.rsplit(')').next().unwrap_or_default();
    dialect == DialectKind::Sqlite && behind.to_ascii_uppercase().contains("STRICT")
}

fn slot(dialect: DialectKind, table: &Table, column: &Column) -> Slot {
    let fact = |name: &str| {
        let value = table.facts.get(&format!("{name} {}", column.name));
        value.map(|value| value.to_ascii_uppercase()).unwrap_or_default()
    };
    let is_only_key = matches!(&table.primary_key[..], [only] if *only == column.name);
    let of_column = fact("column");
    let identity = fact("identity");
    let counted = match dialect {
        DialectKind::Sqlite => {
            is_only_key
                && column.data_type.eq_ignore_ascii_case("INTEGER")
                && !table.definition.to_ascii_uppercase().contains("WITHOUT ROWID")
        }
        DialectKind::Mysql => of_column.contains("AUTO_INCREMENT"),
        DialectKind::Postgres => {
            !identity.is_empty()
                || column
                    .default
                    .as_deref()
                    .is_some_and(|default| default.starts_with("nextval("))
        }
    };
    let closed = if column.generated {
        Some("the server computes it")
    } else if identity.starts_with("ALWAYS") {
        Some("the server always counts it itself")
    } else {
        None
    };
    // SQLite would take a key without a value, and nothing could tell that row from another.
    let nullable = column.nullable && !table.primary_key.contains(&column.name);
    Slot {
        name: column.name.clone(),
        data_type: column.data_type.clone(),
        kind: match is_strict(dialect, table) {
            true => Kind::of(dialect, &column.data_type).in_strict_table(),
            false => Kind::of(dialect, &column.data_type),
        },
        nullable,
        optional: nullable || column.default.is_some() || column.generated || counted,
        counted,
        closed,
    }
}
