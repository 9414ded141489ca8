//! Tables, with what belongs to them and is created after them.

use std::collections::BTreeMap;

use walkback_core::catalog::{COLUMN_ORDER, Column, ForeignKey, Object, Table};
use walkback_core::name::ObjectKind;
use walkback_core::{Error, Result, TableName};
use walkback_sql::lexer::significant_tokens;
use walkback_sql::normalise;

use super::definition::{Definition, Element, Sort, names_in_parentheses, unquoted, without_position};
use crate::context::Context;
use crate::dialect::{KIND, literal, quoted};
use crate::link::Link;

/// A table and what belongs to it.
#[derive(Debug)]
pub(super) struct ReadTable {
    pub(super) table: Table,
    pub(super) indexes: Vec<Object>,
    pub(super) foreign_keys: Vec<Object>,
    pub(super) position: Option<Object>,
}

impl Link {
    /// Reads a table. `None`: it has gone meanwhile.
    pub(super) async fn table(&mut self, name: &str) -> Result<Option<ReadTable>> {
        let columns = self.columns(name).await?;
        let shown = self.texts(&format!("SHOW CREATE TABLE {}", quoted(name))).await?;
        let Some(sql) = shown
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(1))
            .flatten()
        else {
            return Ok(None);
        };
        let read = Definition::read(&sql).and_then(|definition| of_definition(name, &definition, columns));
        read.map(Some).ok_or_else(|| {
            Error::internal(format!("the definition of table `{name}` cannot be read"))
                .with_context("definition", &sql)
        })
    }

    /// Returns the indexes of a table that is there.
    pub(crate) async fn indexes_of(&mut self, name: &str) -> Result<Vec<Object>> {
        Ok(self
            .table(name)
            .await?
            .map(|read| read.indexes)
            .unwrap_or_default())
    }

    async fn columns(&mut self, table: &str) -> Result<Vec<Column>> {
        let sql = format!(
            "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, DATA_TYPE \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {} \
             ORDER BY ORDINAL_POSITION",
            literal(table)
        );
        let rows = self.texts(&sql).await?;
        let is_mariadb = self.server.is_mariadb;
        Ok(rows.into_iter().map(|row| column(row, is_mariadb)).collect())
    }
}

fn column(row: Vec<Option<String>>, is_mariadb: bool) -> Column {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let (name, data_type) = (next().unwrap_or_default(), next().unwrap_or_default());
    let is_nullable = next().as_deref() == Some("YES");
    let default = next();
    let extra = next().unwrap_or_default().to_ascii_uppercase();
    let sort = next().unwrap_or_default();
    let default = default.and_then(|default| {
        if is_mariadb {
            // It writes an expression, also where there is no default but NULL.
            return Some(default).filter(|default| default != "NULL");
        }
        let is_expression = extra.contains("DEFAULT_GENERATED");
        let is_number = default.parse::<f64>().is_ok() && !sort.contains("char") && !sort.contains("text");
        let is_bits = sort == "bit";
        Some(if is_expression {
            unescaped(&default)
        } else if is_number || is_bits {
            default
        } else {
            literal(&default)
        })
    });
    Column {
        name,
        data_type,
        nullable: is_nullable,
        default,
        // Rows of a system-versioned table's own columns are the server's as well.
        generated: extra.contains("GENERATED") && !extra.contains("DEFAULT_GENERATED"),
    }
}

/// Returns an expression as it was written: MySQL shows it as if it were within quotes.
fn unescaped(expression: &str) -> String {
    let mut text = String::new();
    let mut characters = expression.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        });
    }
    text
}

fn of_definition(name: &str, definition: &Definition<'_>, columns: Vec<Column>) -> Option<ReadTable> {
    let table = TableName::new(name);
    let (options, position) = without_position(definition.options);
    let counted = counted_column(definition);
    let key = definition.of(Sort::PrimaryKey).next();
    let primary_key = key.map(|key| names_in_parentheses(key.rest)).unwrap_or_default();
    // A column that counts needs a key from the beginning.
    let needed = counted
        .as_ref()
        .filter(|counted| primary_key.first() != Some(*counted));
    let needed = needed.and_then(|counted| {
        definition
            .of(Sort::Key)
            .find(|key| names_in_parentheses(key.rest).first() == Some(counted))
    });
    let is_inline = |element: &&Element<'_>| match element.sort {
        Sort::ForeignKey => false,
        Sort::Key => Some(*element) == needed,
        _ => true,
    };
    let inline: Vec<&Element<'_>> = definition.elements.iter().filter(is_inline).collect();
    let text = Definition::write(&quoted(name), inline.iter().map(|element| element.text), &options);
    let indexes = definition.of(Sort::Key).filter(|key| Some(*key) != needed);
    let indexes = indexes.map(|key| index(&table, key)).collect();
    let foreign_keys: Vec<_> = definition.of(Sort::ForeignKey).collect();
    Some(ReadTable {
        indexes,
        foreign_keys: foreign_keys.iter().map(|key| constraint(&table, key)).collect(),
        position: counted.map(|_| Object {
            kind: ObjectKind::Sequence,
            name: table.clone(),
            on: Some(table.clone()),
            definition: format!(
                "ALTER TABLE {} AUTO_INCREMENT = {}",
                quoted(name),
                position.unwrap_or(1)
            ),
            facts: BTreeMap::new(),
        }),
        table: Table {
            parents: Vec::new(),
            foreign_keys: foreign_keys
                .into_iter()
                .map(|key| foreign_key(key.rest))
                .collect::<Option<Vec<_>>>()?,
            definition: within_context(text),
            facts: facts(&inline, &options, &columns),
            name: table,
            columns,
            primary_key,
        },
    })
}

/// Returns the column that counts by itself.
fn counted_column(definition: &Definition<'_>) -> Option<String> {
    let counts = |column: &&Element<'_>| {
        significant_tokens(KIND, column.rest)
            .iter()
            .any(|token| token.is_word("AUTO_INCREMENT"))
    };
    definition
        .of(Sort::Column)
        .find(counts)
        .map(|column| column.name.clone())
}

/// A definition that not every `sql_mode` reads in the same way says under which it is to be read.
fn within_context(definition: String) -> String {
    if definition.contains("'0000-00-00") || definition.contains('\\') {
        Context::default()
            .with("sql_mode", "ALLOW_INVALID_DATES")
            .before(&definition)
    } else {
        definition
    }
}

fn facts(elements: &[&Element<'_>], options: &str, columns: &[Column]) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for element in elements {
        let fact = match element.sort {
            Sort::Column => format!("column {}", element.name),
            Sort::PrimaryKey => "primary key".to_owned(),
            Sort::Key => format!("key {}", element.name),
            Sort::Check => format!("check {}", element.name),
            Sort::ForeignKey => format!("foreign key {}", element.name),
            Sort::Other => format!("element {}", normalise(KIND, element.text)),
        };
        let text = if element.sort == Sort::Key {
            element.text
        } else {
            element.rest
        };
        let text = normalise(KIND, text);
        let text = match element.sort {
            Sort::Column => without_implied_charset(text),
            _ => text,
        };
        facts.insert(fact, text);
    }
    let order: Vec<_> = columns.iter().map(|column| quoted(&column.name)).collect();
    facts.insert(COLUMN_ORDER.to_owned(), order.join(", "));
    facts.insert("options".to_owned(), normalise(KIND, options));
    facts
}

/// Leaves out the character set that a collation belongs to: MySQL spells it out for a column that was created from
/// its own definition, and not before.
fn without_implied_charset(column: String) -> String {
    let Some((before, rest)) = column.split_once(" CHARACTER SET ") else {
        return column;
    };
    match rest.split_once(" COLLATE ") {
        Some((charset, collation)) if collation.starts_with(&format!("{charset}_")) => {
            format!("{before} COLLATE {collation}")
        }
        _ => column,
    }
}

fn index(table: &TableName, key: &Element<'_>) -> Object {
    Object {
        kind: ObjectKind::Index,
        name: TableName::new(&key.name),
        on: Some(table.clone()),
        definition: format!("ALTER TABLE {} ADD {}", quoted(&table.name), key.text),
        facts: BTreeMap::from([("definition".to_owned(), normalise(KIND, key.text))]),
    }
}

fn constraint(table: &TableName, key: &Element<'_>) -> Object {
    Object {
        kind: ObjectKind::Constraint,
        name: TableName::new(&key.name),
        on: Some(table.clone()),
        definition: format!("ALTER TABLE {} ADD {}", quoted(&table.name), key.text),
        facts: BTreeMap::from([("definition".to_owned(), without_default_actions(key.rest))]),
    }
}

/// Leaves out what a foreign key does without saying so: nothing, whether that is called `NO ACTION` or `RESTRICT`.
/// MariaDB may spell it out for a key that is created again.
fn without_default_actions(key: &str) -> String {
    let mut text = normalise(KIND, key);
    for event in ["DELETE", "UPDATE"] {
        for action in ["NO ACTION", "RESTRICT"] {
            text = text.replace(&format!(" ON {event} {action}"), "");
        }
    }
    text
}

/// Reads `FOREIGN KEY (..) REFERENCES t (..) ON DELETE ..`.
pub(crate) fn foreign_key(text: &str) -> Option<ForeignKey> {
    let tokens = significant_tokens(KIND, text);
    let at = tokens.iter().position(|token| token.is_word("REFERENCES"))?;
    let mut names = tokens[at + 1..].iter();
    let mut name = TableName::new(unquoted(names.next()?.text));
    let mut behind = names.next()?;
    if behind.is_symbol(".") {
        name = TableName::in_schema(name.name, unquoted(names.next()?.text));
        behind = names.next()?;
    }
    let acts = tokens[at..]
        .iter()
        .any(|token| token.is_word("CASCADE") || token.is_word("SET"));
    Some(ForeignKey {
        columns: names_in_parentheses(text),
        references: name,
        referenced_columns: names_in_parentheses(&text[behind.offset..]),
        cascades: acts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_read_as_it_was_written() {
        for (shown, written) in [
            ("CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP"),
            (r"_utf8mb4\'[]\'", "_utf8mb4'[]'"),
            (r"_utf8mb4\'it\\\'s \\\\ x \\n y\'", r"_utf8mb4'it\'s \\ x \n y'"),
        ] {
            assert_eq!(unescaped(shown), written);
        }
    }

    #[test]
    fn what_a_server_spells_out_at_times_is_left_out() {
        let spelled = "VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL";
        assert_eq!(
            without_implied_charset(spelled.to_owned()),
            "VARCHAR(9) COLLATE utf8mb4_bin NOT NULL"
        );
        for other in ["VARCHAR(9) CHARACTER SET latin1 NOT NULL", "BLOB NOT NULL"] {
            assert_eq!(without_implied_charset(other.to_owned()), other);
        }
        let key = "FOREIGN KEY (`p`) REFERENCES `p` (`id`)";
        let spelled = format!("{key} ON DELETE RESTRICT ON UPDATE NO ACTION");
        assert_eq!(without_default_actions(&spelled), normalise(KIND, key));
        let acting = format!("{key} ON DELETE CASCADE");
        assert_eq!(without_default_actions(&acting), normalise(KIND, &acting));
    }
}
