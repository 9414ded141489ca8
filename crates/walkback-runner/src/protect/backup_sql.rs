//! The statements that keep dropped columns in a backup table, and bring them back from there.

use walkback_core::catalog::{COLUMN_ORDER, Change, Column, Schema, Table};
use walkback_core::dialect::{DialectKind, Inverse};
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::value::Value;
use walkback_core::{Dialect, Statement, TableName};

use super::backup_copy::{KEPT, copy, listed, make, same_key};
use crate::changes::kept_columns;
use crate::plan::PlannedStatement;

/// What every statement says that puts rows back: those of columns that the server numbers as well.
pub(crate) const PUT_BACK: &str = "OVERRIDING SYSTEM VALUE";

/// What a column says on SQLite as long as it is filled and must be `NOT NULL` afterwards: it cannot be added so.
pub(crate) const NOT_NULL_LATER: &str = "CONSTRAINT walkback_not_null NULL";

/// What a column says on MySQL as long as it is filled: the schema is what it was when that is gone, and not before.
const FILLING: &str = "COMMENT 'walkback fills it'";

/// A column that is dropped, and what makes it again.
#[derive(Debug)]
struct Gone<'s> {
    column: &'s Column,
    /// `ALTER TABLE t ADD COLUMN ..`.
    add: String,
    /// What was dropped with it and is made again.
    along: Vec<String>,
    /// Whether `NOT NULL` has to be said once it is filled.
    not_null_later: bool,
    /// Whether it has values of its own.
    has_values: bool,
}

/// The columns that a statement drops from a table that stays, or all of its rows.
#[derive(Debug)]
pub(crate) struct Cut<'s> {
    pub(crate) table: &'s Table,
    gone: Vec<Gone<'s>>,
    /// Whether it is the rows that go.
    is_emptied: bool,
}

impl<'s> Cut<'s> {
    /// Reads what a statement drops, or says why that cannot be kept in a backup table.
    pub(crate) fn of(
        dialect: &dyn Dialect,
        statement: &PlannedStatement,
        schema: &'s Schema,
    ) -> Result<Self, String> {
        if let [Action::Truncate { table }] = &statement.effect.actions[..] {
            return Self::of_rows(dialect, statement, (schema, table));
        }
        let mut table: Option<&Table> = None;
        let mut names: Vec<&str> = Vec::new();
        for action in &statement.effect.actions {
            let Action::DropColumn { table: name, column } = action else {
                return Err(match crate::derive::changes_rows(action) {
                    true => {
                        format!("the same script {action}, and rows are kept so where it does nothing else")
                    }
                    false => format!("the statement {action}, and only rows, columns and tables are kept so"),
                });
            };
            let Some(found) = schema.table(name) else {
                return Err(format!("`{name}` is not there yet, and it is decided when it is"));
            };
            if table.is_some_and(|other| other.name != found.name) {
                return Err("the statement changes two tables".to_owned());
            }
            table = Some(found);
            names.push(column);
        }
        let Some(table) = table else {
            return Err("which columns it drops cannot be told".to_owned());
        };
        let is_named = |column: &&Column| {
            let mut names = names.iter();
            names.any(|name| name.eq_ignore_ascii_case(&column.name))
        };
        let columns: Vec<_> = table.columns.iter().filter(is_named).collect();
        if columns.len() < names.len() {
            return Err(format!(
                "one of the columns of `{}` is not there yet, and it is decided when it is",
                table.name
            ));
        }
        refuse(dialect, schema, table, &columns)?;
        let gone = columns
            .into_iter()
            .map(|column| Gone::of(dialect, (table, column), schema));
        let gone = gone.collect::<Result<_, _>>()?;
        Ok(Self {
            table,
            gone,
            is_emptied: false,
        })
    }

    /// Where it is final at once, nobody sees whether it has happened, and what could be taken back.
    fn of_rows(
        dialect: &dyn Dialect,
        statement: &PlannedStatement,
        (schema, name): (&'s Schema, &TableName),
    ) -> Result<Self, String> {
        if dialect.kind() != DialectKind::Postgres {
            return Err(format!("`TRUNCATE` of `{name}` is final at once here"));
        }
        let tokens = walkback_sql::lexer::significant_tokens(dialect.kind(), &statement.sql);
        let more = ["CASCADE", "RESTART"];
        let more = more
            .iter()
            .find(|word| tokens.iter().any(|token| token.is_word(word)));
        if let Some(word) = more {
            return Err(format!("`{word}` does more than to empty `{name}`"));
        }
        let Some(table) = schema.table(name) else {
            return Err(format!("`{name}` is not there yet, and it is decided when it is"));
        };
        refuse(dialect, schema, table, &[])?;
        Ok(Self {
            table,
            gone: Vec::new(),
            is_emptied: true,
        })
    }

    fn filled(&self) -> impl Iterator<Item = &Gone<'s>> {
        self.gone.iter().filter(|gone| gone.has_values)
    }

    /// Returns the columns of the copy: the key, and what goes.
    fn copied(&self) -> Vec<&Column> {
        if self.is_emptied {
            return kept_columns(self.table);
        }
        let key = self.table.primary_key.iter();
        let key = key.filter_map(|name| self.table.columns.iter().find(|column| column.name == *name));
        key.chain(self.filled().map(|gone| gone.column)).collect()
    }

    /// Returns what makes the backup table, with its key and without a row.
    pub(crate) fn make(&self, dialect: &dyn Dialect, backup: &TableName) -> Vec<String> {
        make(dialect, self.table, &self.copied(), backup)
    }

    /// Returns what copies the rows.
    pub(crate) fn copy(&self, dialect: &dyn Dialect, backup: &TableName) -> String {
        copy(dialect, &self.copied(), &self.table.name, backup)
    }

    /// Returns what finds a row without a key.
    pub(crate) fn without_key(&self, dialect: &dyn Dialect) -> String {
        let key = self.table.primary_key.iter();
        let missing: Vec<_> = key
            .map(|name| format!("{} IS NULL", dialect.quote_identifier(name)))
            .collect();
        format!(
            "SELECT 1 FROM {} WHERE {} LIMIT 1",
            dialect.quote_table(&self.table.name),
            missing.join(" OR ")
        )
    }

    /// Returns the way back: the columns are made, filled by the key, and then all that is true of them is said again.
    pub(crate) fn way(&self, dialect: &dyn Dialect, backup: &TableName) -> Vec<String> {
        if self.is_emptied {
            return vec![self.put_back(dialect, backup)];
        }
        let mut way: Vec<String> = self.gone.iter().map(|gone| self.added(dialect, gone)).collect();
        if self.filled().next().is_some() {
            way.push(self.fill(dialect, backup));
        }
        way.extend(self.finish(dialect));
        way.extend(self.gone.iter().flat_map(|gone| gone.along.iter().cloned()));
        way
    }

    /// Returns what puts rows back whose keys nobody has used since.
    fn put_back(&self, dialect: &dyn Dialect, backup: &TableName) -> String {
        let columns = listed(dialect, &self.copied());
        let table = dialect.quote_table(&self.table.name);
        format!(
            "INSERT INTO {table} ({columns}) {PUT_BACK} SELECT {columns} FROM {} AS {KEPT} WHERE NOT EXISTS \
             (SELECT 1 FROM {table} WHERE {})",
            dialect.quote_table(backup),
            same_key(dialect, self.table)
        )
    }

    fn added(&self, dialect: &dyn Dialect, gone: &Gone<'_>) -> String {
        match dialect.kind() {
            DialectKind::Mysql => format!("{} {FILLING} {}", gone.add, self.place(dialect, gone)),
            DialectKind::Sqlite if gone.not_null_later => format!("{} {NOT_NULL_LATER}", gone.add),
            _ => gone.add.clone(),
        }
    }

    /// Returns where a column stands among the others.
    fn place(&self, dialect: &dyn Dialect, gone: &Gone<'_>) -> String {
        let columns = &self.table.columns;
        let at = columns.iter().position(|column| column.name == gone.column.name);
        let before = at.and_then(|at| at.checked_sub(1)).map(|at| &columns[at].name);
        before.map_or_else(
            || "FIRST".to_owned(),
            |name| format!("AFTER {}", dialect.quote_identifier(name)),
        )
    }

    fn fill(&self, dialect: &dyn Dialect, backup: &TableName) -> String {
        let (table, kept) = (dialect.quote_table(&self.table.name), dialect.quote_table(backup));
        let key = same_key(dialect, self.table);
        let from = |gone: &Gone<'_>| {
            let column = dialect.quote_identifier(&gone.column.name);
            format!("{column} = (SELECT {KEPT}.{column} FROM {kept} AS {KEPT} WHERE {key})")
        };
        let mut sets: Vec<String> = self.filled().map(from).collect();
        sets.extend(self.changes_itself().map(|name| {
            let column = dialect.quote_identifier(name);
            format!("{column} = {table}.{column}")
        }));
        format!(
            "UPDATE {table} SET {} WHERE EXISTS (SELECT 1 FROM {kept} AS {KEPT} WHERE {key})",
            sets.join(", ")
        )
    }

    /// Returns the columns that MySQL sets with each update unless it is told otherwise.
    fn changes_itself(&self) -> impl Iterator<Item = &str> {
        self.table.facts.iter().filter_map(|(fact, text)| {
            let column = fact.strip_prefix("column ")?;
            let stays = !self.gone.iter().any(|gone| gone.column.name == column);
            (stays && text.to_ascii_uppercase().contains("ON UPDATE ")).then_some(column)
        })
    }

    fn finish(&self, dialect: &dyn Dialect) -> Vec<String> {
        let table = dialect.quote_table(&self.table.name);
        let later = self.gone.iter().filter(|gone| gone.not_null_later);
        match dialect.kind() {
            DialectKind::Mysql => {
                let modify = |gone: &Gone<'_>| {
                    let add = format!("ALTER TABLE {table} ADD COLUMN ");
                    let definition = gone.add.strip_prefix(&add).unwrap_or(&gone.add);
                    let place = self.place(dialect, gone);
                    format!("ALTER TABLE {table} MODIFY COLUMN {definition} {place}")
                };
                self.gone.iter().map(modify).collect()
            }
            DialectKind::Postgres => later
                .map(|gone| {
                    let column = dialect.quote_identifier(&gone.column.name);
                    format!("ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL")
                })
                .collect(),
            DialectKind::Sqlite if later.clone().next().is_none() => Vec::new(),
            DialectKind::Sqlite => {
                let literal = |text: &str| dialect.literal(&Value::Text(text.to_owned()));
                let mut way = vec![
                    "PRAGMA writable_schema = ON".to_owned(),
                    format!(
                        "UPDATE sqlite_schema SET sql = replace(sql, {}, 'NOT NULL') WHERE type = 'table' AND name = {} \
                         COLLATE NOCASE",
                        literal(NOT_NULL_LATER),
                        literal(&self.table.name.name)
                    ),
                    "PRAGMA writable_schema = RESET".to_owned(),
                ];
                // Nobody has looked at the rows that were inserted since.
                way.extend(later.map(|gone| {
                    let column = dialect.quote_identifier(&gone.column.name);
                    // Said plainly, it would be taken for false by now.
                    format!("UPDATE {table} SET {column} = {column} WHERE coalesce({column}, NULL) IS NULL")
                }));
                way
            }
        }
    }

    /// Says what else has gone than what the way back makes again.
    pub(crate) fn goes_along(&self, before: &Schema, after: &Schema) -> Option<String> {
        let along = |definition: &str| {
            let mut made = self.gone.iter().flat_map(|gone| &gone.along);
            made.any(|made| made == definition)
        };
        let is_expected = |change: &Change, name: &TableName, kind: ObjectKind| match change {
            Change::Fact {
                fact, after: None, ..
            } => {
                let of_column = |gone: &Gone<'_>| {
                    let of = fact.strip_suffix(&gone.column.name);
                    of.is_some_and(|of| {
                        matches!(
                            of,
                            "column " | "default " | "not null " | "generated " | "identity "
                        )
                    })
                };
                *name == self.table.name && self.gone.iter().any(of_column)
            }
            Change::Fact { fact, .. } => *name == self.table.name && fact == COLUMN_ORDER,
            Change::Missing => before
                .object(kind, name)
                .is_some_and(|object| along(&object.definition)),
            Change::Extra => false,
        };
        let differences = before.differences(after);
        let other = differences
            .iter()
            .find(|difference| !is_expected(&difference.change, &difference.name, difference.kind));
        other.map(|other| format!("more goes than the column: {other}"))
    }
}

impl<'s> Gone<'s> {
    fn of(
        dialect: &dyn Dialect,
        (table, column): (&Table, &'s Column),
        schema: &Schema,
    ) -> Result<Self, String> {
        let name = format!("`{}.{}`", table.name, column.name);
        let drop = Statement {
            sql: format!(
                "ALTER TABLE {} DROP COLUMN {}",
                dialect.quote_table(&table.name),
                dialect.quote_identifier(&column.name)
            ),
            line: 1,
            touches: Vec::new(),
        };
        let (statements, loses) = match dialect.inverse(&drop, schema) {
            Inverse::Statements { statements, loses } => (statements, loses),
            Inverse::Nothing => return Err(format!("column {name} is not found in the catalog")),
            Inverse::NotDerivable { why } => return Err(why),
        };
        let mut statements = statements.into_iter();
        let Some(add) = statements.next() else {
            return Err(format!("nothing makes column {name} again"));
        };
        if !column.generated && counts(&add) {
            return Err(format!("column {name} counts by itself"));
        }
        let not_null = format!("`NOT NULL` of column {name}");
        let values = format!("the values of column {name}");
        let mut gone = Self {
            column,
            add,
            along: statements.collect(),
            not_null_later: false,
            has_values: false,
        };
        for lost in loses {
            if lost == values {
                gone.has_values = true;
            } else if lost == not_null {
                gone.not_null_later = true;
            } else {
                return Err(format!("its way back would lose {lost}"));
            }
        }
        Ok(gone)
    }
}

/// Returns whether the definition of a column makes the server number it.
fn counts(add: &str) -> bool {
    let upper = add.to_ascii_uppercase();
    ["IDENTITY", "AUTO_INCREMENT", "SERIAL", "NEXTVAL"]
        .iter()
        .any(|word| upper.contains(word))
}

fn refuse(dialect: &dyn Dialect, schema: &Schema, table: &Table, columns: &[&Column]) -> Result<(), String> {
    let name = &table.name;
    if table.primary_key.is_empty() {
        return Err(format!("table `{name}` has no primary key"));
    }
    if let Some(column) = columns
        .iter()
        .find(|column| table.primary_key.contains(&column.name))
    {
        return Err(format!("`{}` is of the primary key of `{name}`", column.name));
    }
    if !table.parents.is_empty()
        || table.facts.contains_key("partition by")
        || schema.tables.iter().any(|other| other.parents.contains(name))
    {
        return Err(format!("`{name}` has partitions or inherits"));
    }
    let stands = |kind: &ObjectKind| matches!(kind, ObjectKind::Trigger | ObjectKind::Policy);
    if let Some(object) = schema.objects_on(name).find(|object| stands(&object.kind)) {
        return Err(format!(
            "table `{name}` has the {} `{}`",
            object.kind.word(),
            object.name
        ));
    }
    let is_long = |column: &&Column| {
        let of_type = column.data_type.to_ascii_lowercase();
        table.primary_key.contains(&column.name) && (of_type.contains("text") || of_type.contains("blob"))
    };
    match table.columns.iter().find(is_long) {
        Some(column) if dialect.kind() == DialectKind::Mysql => Err(format!(
            "`{}` of the primary key of `{name}` is of a type without an end",
            column.name
        )),
        _ => Ok(()),
    }
}
