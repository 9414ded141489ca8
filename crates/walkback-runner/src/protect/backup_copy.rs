//! The statements that make a backup table and copy rows into it, and what tells its rows from others.

use walkback_core::catalog::{Column, Table};
use walkback_core::dialect::DialectKind;
use walkback_core::{Dialect, TableName};

/// What a backup table is called where a statement reads it.
pub(super) const KEPT: &str = "walkback_kept";

/// Lists columns.
pub(super) fn listed(dialect: &dyn Dialect, columns: &[&Column]) -> String {
    let names: Vec<_> = columns
        .iter()
        .map(|column| dialect.quote_identifier(&column.name))
        .collect();
    names.join(", ")
}

/// Returns what makes a table that holds columns of another with its key, and no row yet.
pub(super) fn make(
    dialect: &dyn Dialect,
    table: &Table,
    columns: &[&Column],
    backup: &TableName,
) -> Vec<String> {
    let (to, from) = (dialect.quote_table(backup), dialect.quote_table(&table.name));
    let key = table.primary_key.iter();
    let key: Vec<_> = key.map(|name| dialect.quote_identifier(name)).collect();
    let key = key.join(", ");
    match dialect.kind() {
        DialectKind::Sqlite => {
            let typed = |column: &&Column| {
                // The copy is no strict table, and must not turn text into numbers.
                let any = column.data_type.eq_ignore_ascii_case("ANY");
                let of_type = if any { "" } else { &column.data_type };
                format!("{} {of_type}", dialect.quote_identifier(&column.name))
            };
            let columns: Vec<_> = columns.iter().map(typed).collect();
            vec![format!(
                "CREATE TABLE {to} ({}, PRIMARY KEY ({key}))",
                columns.join(", ")
            )]
        }
        DialectKind::Postgres => {
            let schema = backup.schema.as_deref().unwrap_or_default();
            let columns = listed(dialect, columns);
            vec![
                format!("CREATE SCHEMA {}", dialect.quote_identifier(schema)),
                format!("CREATE TABLE {to} AS SELECT {columns} FROM {from} WITH NO DATA"),
                format!("ALTER TABLE {to} ADD PRIMARY KEY ({key})"),
            ]
        }
        DialectKind::Mysql => {
            let columns = listed(dialect, columns);
            vec![format!(
                "CREATE TABLE {to} (PRIMARY KEY ({key})) AS SELECT {columns} FROM {from} WHERE 1 = 0"
            )]
        }
    }
}

/// Returns what copies columns of all rows from one table to another.
pub(super) fn copy(dialect: &dyn Dialect, columns: &[&Column], from: &TableName, to: &TableName) -> String {
    let columns = listed(dialect, columns);
    format!(
        "INSERT INTO {} ({columns}) SELECT {columns} FROM {}",
        dialect.quote_table(to),
        dialect.quote_table(from)
    )
}

/// Says that a row of a table and one of its backup table have the same key.
pub(crate) fn same_key(dialect: &dyn Dialect, table: &Table) -> String {
    let name = dialect.quote_table(&table.name);
    let each = table.primary_key.iter().map(|column| {
        let column = dialect.quote_identifier(column);
        format!("{KEPT}.{column} = {name}.{column}")
    });
    each.collect::<Vec<_>>().join(" AND ")
}

/// Returns what counts the rows of a table that are not in its backup table: they came since.
pub(crate) fn count_since(dialect: &dyn Dialect, table: &Table, backup: &TableName) -> String {
    format!(
        "SELECT count(*) FROM {} WHERE NOT EXISTS (SELECT 1 FROM {} AS {KEPT} WHERE {})",
        dialect.quote_table(&table.name),
        dialect.quote_table(backup),
        same_key(dialect, table)
    )
}

/// Returns what counts the rows of a table whose keys are in its backup table.
pub(crate) fn count_taken(dialect: &dyn Dialect, table: &Table, backup: &TableName) -> String {
    format!(
        "SELECT count(*) FROM {} WHERE EXISTS (SELECT 1 FROM {} AS {KEPT} WHERE {})",
        dialect.quote_table(&table.name),
        dialect.quote_table(backup),
        same_key(dialect, table)
    )
}
