//! Changes that a changelog describes instead of writing their SQL: the common ones, as Liquibase 4.28 writes them.
//!
//! What is not known here, an attribute included, is refused: a statement that is nearly right is worse than none.

mod column;
mod rows;
mod table;

use walkback_core::{DialectKind, Result};

use crate::changelog::Place;
use crate::changeset::{Change, Text};
use crate::tree::Node;

/// Statements, or why there are none.
type Rendered = std::result::Result<Vec<String>, String>;

/// The values that the ledger shows of a change.
const SHOWN: &[&str] = &[
    "baseTableName",
    "columnName",
    "constraintName",
    "indexName",
    "newColumnName",
    "newTableName",
    "oldColumnName",
    "oldTableName",
    "referencedTableName",
    "tableName",
];

/// Reads a change. One that cannot be followed says so where it is applied, not before.
pub(crate) fn change(dialect: DialectKind, place: &Place, node: &Node) -> Result<Change> {
    let (sql, refusal) = match render(Model { dialect, node }) {
        Ok(statements) => (text(place, node, &statements), None),
        Err(why) => (None, Some(why)),
    };
    Ok(Change {
        sql,
        checked: None,
        description: description(node),
        refusal,
        line: node.line,
    })
}

fn text(place: &Place, node: &Node, statements: &[String]) -> Option<Text> {
    (!statements.is_empty()).then(|| Text {
        file: place.file.clone(),
        line: node.line,
        text: statements.join(";\n"),
        delimiter: None,
        is_verbatim: false,
    })
}

fn description(node: &Node) -> String {
    let mut shown: Vec<String> = SHOWN
        .iter()
        .filter_map(|name| node.get(name).map(|value| format!("{name}={value}")))
        .collect();
    shown.sort();
    if shown.is_empty() {
        node.name.clone()
    } else {
        format!("{} {}", node.name, shown.join(", "))
    }
}

/// A change, and the dialect its statements are to be in.
#[derive(Clone, Copy)]
struct Model<'n> {
    dialect: DialectKind,
    node: &'n Node,
}

fn render(change: Model<'_>) -> Rendered {
    match change.node.name.as_str() {
        "tagDatabase" => change.only(&["tag"]).map(|()| Vec::new()),
        "empty" => Ok(Vec::new()),
        "createTable" => table::create(change),
        "dropTable" => table::drop(change),
        "renameTable" => table::rename(change),
        "createIndex" => table::create_index(change),
        "dropIndex" => table::drop_index(change),
        "addPrimaryKey" => table::add_key(change, "PRIMARY KEY"),
        "addUniqueConstraint" => table::add_key(change, "UNIQUE"),
        "dropUniqueConstraint" => table::drop_unique(change),
        "addForeignKeyConstraint" => table::add_foreign_key(change),
        "dropForeignKeyConstraint" => table::drop_foreign_key(change),
        "addColumn" => column::add(change),
        "dropColumn" => column::drop(change),
        "renameColumn" => column::rename(change),
        "modifyDataType" => column::modify_type(change),
        "addNotNullConstraint" => column::not_null(change, true),
        "dropNotNullConstraint" => column::not_null(change, false),
        "addDefaultValue" => column::default_value(change, true),
        "dropDefaultValue" => column::default_value(change, false),
        "insert" => rows::insert(change),
        "update" => rows::update(change),
        "delete" => rows::delete(change),
        other => Err(format!("the change `{other}`")),
    }
}

impl<'n> Model<'n> {
    /// Refuses values that nothing here follows.
    fn only(&self, known: &[&str]) -> std::result::Result<(), String> {
        only(self.node, known)
    }

    fn needed(&self, name: &str) -> std::result::Result<&'n str, String> {
        self.node
            .get(name)
            .filter(|value| !value.trim().is_empty())
            .ok_or_else(|| format!("`{}` without `{name}`", self.node.name))
    }

    /// Refuses what SQLite cannot do with an existing table.
    fn not_on_sqlite(&self) -> std::result::Result<(), String> {
        match self.dialect {
            DialectKind::Sqlite => Err(format!(
                "`{}` on SQLite, which would have to make the table anew,",
                self.node.name
            )),
            DialectKind::Postgres | DialectKind::Mysql => Ok(()),
        }
    }

    /// Quotes a name. PostgreSQL folds what Liquibase does not quote: names without small letters.
    fn quoted(&self, name: &str) -> String {
        let name = name.trim();
        match self.dialect {
            DialectKind::Mysql => format!("`{}`", name.replace('`', "``")),
            DialectKind::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
            DialectKind::Postgres => {
                let is_mixed = name.chars().any(char::is_lowercase);
                let folded = if is_mixed {
                    name.to_owned()
                } else {
                    name.to_lowercase()
                };
                format!("\"{}\"", folded.replace('"', "\"\""))
            }
        }
    }

    /// Returns a table, with its schema where one is said.
    fn table(&self, name: &str, schema: Option<&str>) -> String {
        match schema.filter(|schema| !schema.is_empty()) {
            Some(schema) => format!("{}.{}", self.quoted(schema), self.quoted(name)),
            None => self.quoted(name),
        }
    }

    /// Returns the table that is changed.
    fn own_table(&self) -> std::result::Result<String, String> {
        Ok(self.table(self.needed("tableName")?, self.node.get("schemaName")))
    }

    /// Quotes a list of names.
    fn list(&self, names: &str) -> String {
        let names: Vec<String> = names.split(',').map(|name| self.quoted(name)).collect();
        names.join(", ")
    }

    fn literal(&self, text: &str) -> String {
        let text = match self.dialect {
            DialectKind::Mysql => text.replace('\\', "\\\\"),
            DialectKind::Postgres | DialectKind::Sqlite => text.to_owned(),
        };
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Refuses values of an element that nothing here follows.
fn only(node: &Node, known: &[&str]) -> std::result::Result<(), String> {
    let mut names = node.values.iter().map(|(name, _)| name.as_str());
    match names.find(|name| !known.contains(name)) {
        Some(name) => Err(format!("`{name}` of `{}`", node.name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
