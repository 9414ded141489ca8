//! Shadows: empty tables like others, and the exchange of whole tables.

use walkback_core::catalog::{Object, Table};
use walkback_core::engine::Swap;
use walkback_core::name::ObjectKind;
use walkback_core::{Error, ErrorKind, Result, TableName};

use crate::definition::{self, tokens};
use crate::dialect::{quoted, quoted_table};
use crate::link::Link;

impl Link {
    /// Creates an empty table like another one, under another name.
    pub(crate) fn create_shadow(&mut self, table: &Table, shadow: &TableName) -> Result<()> {
        self.must_be_alive()?;
        if self.has_table(shadow)? {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("the table `{shadow}` exists already"),
            ));
        }
        let sql = renamed(table, shadow)?;
        self.batch(&sql).map_err(|error| self.after_failure(&sql, error))
    }

    /// Puts shadows in the place of tables.
    pub(crate) fn swap(&mut self, swap: &Swap) -> Result<()> {
        self.must_be_alive()?;
        if !self.transaction.as_ref().is_some_and(|open| open.rebuild) {
            return Err(Error::new(
                ErrorKind::Usage,
                "tables are exchanged inside a transaction that rebuilds tables",
            ));
        }
        let before = self.pragma("legacy_alter_table")?;
        // Otherwise SQLite would point the views, triggers and foreign keys of others to what is renamed, and
        // refuse to rename anything while a view refers to a table that is dropped and not yet replaced.
        self.set_pragma("legacy_alter_table", true)?;
        let mut running = String::new();
        let outcome = statements(swap).into_iter().try_for_each(|sql| {
            running.clone_from(&sql);
            self.batch(&sql)
        });
        self.undisturbed(|link| link.set_pragma("legacy_alter_table", before))?;
        outcome.map_err(|error| self.after_failure(&running, error))
    }

    /// Returns whether there is a table of that name.
    pub(crate) fn has_table(&self, table: &TableName) -> Result<bool> {
        let schema = table
            .schema
            .as_ref()
            .map(|schema| format!("{}.", quoted(schema)))
            .unwrap_or_default();
        let sql = format!(
            "SELECT count(*) FROM {schema}sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE"
        );
        self.connection
            .query_row(&sql, [&table.name], |row| row.get::<_, i64>(0))
            .map(|count| count > 0)
            .map_err(|error| {
                self.place
                    .failed(format!("cannot look for the table `{table}`"), error)
            })
    }
}

fn statements(swap: &Swap) -> Vec<String> {
    let mut statements: Vec<String> = swap.drop_objects.iter().map(removal).collect();
    statements.extend(
        swap.drop_tables
            .iter()
            .map(|table| format!("DROP TABLE {}", quoted_table(table))),
    );
    for (shadow, name) in &swap.shadows {
        statements.push(format!(
            "ALTER TABLE {} RENAME TO {}",
            quoted_table(shadow),
            quoted(&name.name)
        ));
    }
    for object in &swap.create_objects {
        if object.kind == ObjectKind::Sequence {
            statements.push(removal(object));
        }
        statements.push(object.definition.clone());
    }
    statements
}

/// An object may be gone already with the view or the table it belonged to, hence `IF EXISTS`.
fn removal(object: &Object) -> String {
    let name = quoted_table(&object.name);
    match object.kind {
        ObjectKind::Index => format!("DROP INDEX IF EXISTS {name}"),
        ObjectKind::View => format!("DROP VIEW IF EXISTS {name}"),
        ObjectKind::Trigger => format!("DROP TRIGGER IF EXISTS {name}"),
        ObjectKind::Sequence => format!(
            "DELETE FROM sqlite_sequence WHERE name = '{}' COLLATE NOCASE",
            object.name.name.replace('\'', "''")
        ),
        _ => format!("DROP TABLE IF EXISTS {name}"),
    }
}

/// Returns the statement that creates a table under another name.
fn renamed(table: &Table, shadow: &TableName) -> Result<String> {
    let sql = &table.definition;
    let tokens = tokens(sql);
    let Some(head) = definition::head(&tokens) else {
        let error = Error::unsupported(
            format!(
                "a copy of `{}`, which is not made by a plain `CREATE TABLE`,",
                table.name
            ),
            "SQLite",
        );
        return Err(error.with_context("definition", crate::error::excerpt(sql)));
    };
    let mut text = format!("CREATE TABLE {}", quoted_table(shadow));
    let mut position = head.name_end;
    // A table may say its own name in a check or in a generated column, where the name is not needed.
    for dropped in definition::own_qualifiers(&tokens[head.body..], &table.name.name) {
        text.push_str(&sql[position..dropped.start]);
        position = dropped.end;
    }
    text.push_str(&sql[position..]);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn shadow_of(name: &str, definition: &str) -> Result<String> {
        let table = Table {
            name: TableName::new(name),
            columns: Vec::new(),
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
            parents: Vec::new(),
            definition: definition.to_owned(),
            facts: BTreeMap::new(),
        };
        renamed(&table, &TableName::new("sh\"x"))
    }

    #[test]
    fn only_the_name_of_the_table_is_replaced() {
        for (name, before, after) in [
            ("t", "CREATE TABLE t(a)", r#"CREATE TABLE "sh""x"(a)"#),
            ("t", "CREATE TABLE \"t\" (t, u)", r#"CREATE TABLE "sh""x" (t, u)"#),
            (
                "t",
                "create table if not exists main.[t](a)",
                r#"CREATE TABLE "sh""x"(a)"#,
            ),
            (
                "t(",
                "CREATE TABLE `t(`(a /* t( */)",
                r#"CREATE TABLE "sh""x"(a /* t( */)"#,
            ),
            ("t'", "CREATE TABLE 't'''(a)", r#"CREATE TABLE "sh""x"(a)"#),
            (
                "table",
                "CREATE -- x\nTABLE \"table\"(a)",
                r#"CREATE TABLE "sh""x"(a)"#,
            ),
            (
                "t",
                "CREATE TABLE t(a REFERENCES t(a), CHECK (T.a > 0 AND \"t\" . a < 9 AND main.t.a <> 't.a'))",
                r#"CREATE TABLE "sh""x"(a REFERENCES t(a), CHECK (a > 0 AND a < 9 AND a <> 't.a'))"#,
            ),
        ] {
            assert_eq!(shadow_of(name, before).unwrap(), after, "{before}");
        }
    }

    #[test]
    fn a_virtual_table_has_no_shadow() {
        let error = shadow_of("f", "CREATE VIRTUAL TABLE f USING fts5(a)").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(shadow_of("f", "").is_err());
        assert!(shadow_of("f", "CREATE TABLE").is_err());
    }
}
