//! Rows made up to fit a schema, so that a lost row or a lost value shows.

use std::collections::BTreeMap;

use walkback_core::catalog::{Column, Schema, Table};
use walkback_core::engine::SessionExt as _;
use walkback_core::name::ObjectKind;
use walkback_core::value::{Row, Value};
use walkback_core::{Cx, Dialect, DialectKind, Result, Session, TableName};

/// How many rows an empty table is given.
const ROWS: i64 = 3;

/// Gives every empty table a few rows, parents before children, and returns those that would not take any.
pub(super) async fn fill(
    cx: &Cx,
    session: &mut dyn Session,
    dialect: &dyn Dialect,
    schema: &Schema,
) -> Result<BTreeMap<TableName, String>> {
    let mut refused: BTreeMap<TableName, String> = BTreeMap::new();
    // A few rounds are enough for any chain of parents that the first round met in the wrong order.
    for _ in 0..3 {
        refused.clear();
        for table in &schema.tables {
            if is_empty(cx, session, dialect, table).await?
                && let Err(error) = fill_table(cx, session, dialect, schema, table).await
            {
                let cause =
                    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                refused.insert(table.name.clone(), cause);
            }
        }
        if refused.is_empty() {
            break;
        }
    }
    Ok(refused)
}

async fn is_empty(cx: &Cx, session: &mut dyn Session, dialect: &dyn Dialect, table: &Table) -> Result<bool> {
    let sql = format!("SELECT count(*) FROM {}", dialect.quote_table(&table.name));
    let row = session.fetch_optional(cx, &sql, &[]).await?;
    Ok(row.and_then(|row| row[0].as_i64()) == Some(0))
}

async fn fill_table(
    cx: &Cx,
    session: &mut dyn Session,
    dialect: &dyn Dialect,
    schema: &Schema,
    table: &Table,
) -> Result<()> {
    for number in 1..=ROWS {
        let row = synthetic_row(cx, session, dialect, schema, table, number).await?;
        let (names, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
        let names: Vec<_> = names
            .iter()
            .map(|name: &String| dialect.quote_identifier(name))
            .collect();
        // As literals: the server reads them as whatever the column is.
        let values: Vec<_> = values.iter().map(|value| dialect.literal(value)).collect();
        let sql = format!(
            "INSERT INTO {} ({}) {OVERRIDING}VALUES ({})",
            dialect.quote_table(&table.name),
            names.join(", "),
            values.join(", "),
            OVERRIDING = overriding(dialect)
        );
        session.execute(cx, &sql, &[]).await?;
    }
    Ok(())
}

/// Returns what lets a row have a value of its own in a column that the server would number.
fn overriding(dialect: &dyn Dialect) -> &'static str {
    match dialect.kind() {
        DialectKind::Postgres => "OVERRIDING SYSTEM VALUE ",
        DialectKind::Sqlite | DialectKind::Mysql => "",
    }
}

/// Makes up a row. What refers to another table takes values that are there.
async fn synthetic_row(
    cx: &Cx,
    session: &mut dyn Session,
    dialect: &dyn Dialect,
    schema: &Schema,
    table: &Table,
    number: i64,
) -> Result<Vec<(String, Value)>> {
    let mut row: Vec<(String, Value)> = table
        .columns
        .iter()
        .filter(|column| !column.generated)
        .map(|column| {
            (
                column.name.clone(),
                synthetic_value(&kind_of(column, table, dialect, schema), dialect, schema, number),
            )
        })
        .collect();
    for key in &table.foreign_keys {
        let Some(parent) = parent_row(cx, session, dialect, key, number).await? else {
            continue;
        };
        for (column, value) in key.columns.iter().zip(parent) {
            if let Some(cell) = row.iter_mut().find(|(name, _)| name == column) {
                cell.1 = value;
            }
        }
    }
    Ok(row)
}

async fn parent_row(
    cx: &Cx,
    session: &mut dyn Session,
    dialect: &dyn Dialect,
    key: &walkback_core::catalog::ForeignKey,
    number: i64,
) -> Result<Option<Row>> {
    if key.referenced_columns.is_empty() || !session.has_table(cx, &key.references).await? {
        return Ok(None);
    }
    let columns: Vec<_> = key
        .referenced_columns
        .iter()
        .map(|column| dialect.quote_identifier(column))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} ORDER BY 1 LIMIT 1 OFFSET {}",
        columns.join(", "),
        dialect.quote_table(&key.references),
        number - 1
    );
    session.fetch_optional(cx, &sql, &[]).await
}

/// Words in the name of a type, and how a value of such a type is made of the number of a row.
type Maker = (&'static [&'static str], fn(i64) -> Value);

/// Returns the type whose values a column takes: the one below a domain, and JSON where only a check says so.
fn kind_of(column: &Column, table: &Table, dialect: &dyn Dialect, schema: &Schema) -> String {
    let check = format!("json_valid({})", dialect.quote_identifier(&column.name));
    if table.definition.contains(&check) {
        return "json".to_owned();
    }
    let mut data_type = column.data_type.clone();
    // A domain may be one of another domain.
    while let Some(below) = below_domain(&data_type, schema).filter(|below| *below != data_type) {
        data_type = below;
    }
    data_type
}

/// Returns the type that a domain restricts.
fn below_domain(data_type: &str, schema: &Schema) -> Option<String> {
    let (_, rest) = type_named(data_type, schema)?
        .strip_prefix("CREATE DOMAIN ")?
        .split_once(" AS ")?;
    let ends = [" COLLATE ", " DEFAULT ", " NOT NULL", " CONSTRAINT "];
    let end = ends.iter().filter_map(|word| rest.find(word)).min();
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}

/// Returns the definition of a type of the schema.
fn type_named<'s>(data_type: &str, schema: &'s Schema) -> Option<&'s str> {
    let name = data_type
        .rsplit('.')
        .next()
        .unwrap_or(data_type)
        .trim_matches('"');
    let found = schema
        .objects
        .iter()
        .find(|object| object.kind == ObjectKind::Type && object.name.name.eq_ignore_ascii_case(name))?;
    Some(&found.definition)
}

/// Makes up a value that most columns of the type take: different in each row, and awkward where it can be.
fn synthetic_value(kind: &str, dialect: &dyn Dialect, schema: &Schema, number: i64) -> Value {
    let data_type = kind.to_ascii_lowercase();
    if let Some(label) = label_of(kind, schema) {
        return Value::Text(label);
    }
    if let Some(bits) = bits_of(&data_type) {
        let last = number % 2;
        return match dialect.kind() {
            DialectKind::Postgres => Value::Text(format!("{last:0>bits$}")),
            DialectKind::Sqlite | DialectKind::Mysql => Value::Integer(last),
        };
    }
    if data_type.ends_with("[]") {
        return Value::Text("{}".to_owned());
    }
    // A word that others contain stands after them: `interval` before `int`, `timestamp` before `time`.
    let text = |text: String| Value::Text(text);
    let kinds: &[Maker] = &[
        (&["bool"], |n| Value::Bool(n % 2 == 1)),
        (&["interval"], |n| Value::Text(format!("{n} days"))),
        (&["linestring"], |_| Value::Null),
        (&["point"], |n| Value::Text(format!("({n},{n})"))),
        (&["int", "serial"], Value::Integer),
        (&["real", "floa", "doub", "num", "dec"], |n| {
            Value::Float(1.5 * f64::from(i32::try_from(n).unwrap_or(1)))
        }),
        (&["uuid"], |n| {
            Value::Text(format!("0f0e0d0c-0b0a-4000-8000-{n:012}"))
        }),
        (&["timestamp", "datetime"], |n| {
            Value::Text(format!("2026-01-0{n} 03:04:05"))
        }),
        (&["date"], |n| Value::Text(format!("2026-01-0{n}"))),
        (&["time"], |n| Value::Text(format!("0{n}:04:05"))),
        (&["year"], |n| Value::Integer(2020 + n)),
        (&["blob", "binary", "bytea"], |n| {
            Value::Bytes(vec![0, 0xff, u8::try_from(n).unwrap_or(1)])
        }),
        (&["json"], |n| Value::Text(format!("{{\"n\": {n}}}"))),
        (&["inet", "cidr"], |n| Value::Text(format!("10.0.0.{n}"))),
        (&["tsvector"], |n| Value::Text(format!("word{n}"))),
    ];
    let found = kinds
        .iter()
        .find(|(words, _)| words.iter().any(|word| data_type.contains(word)));
    if let Some((_, value)) = found {
        return value(number);
    }
    let whole = format!("{number} it's «🐘»");
    match length_of(&data_type) {
        Some(length) => text(whole.chars().take(length).collect()),
        None => text(whole),
    }
}

/// Returns the first label of an enumeration: one that the type spells out, or a type of the schema.
fn label_of(data_type: &str, schema: &Schema) -> Option<String> {
    let lower = data_type.to_ascii_lowercase();
    if lower.starts_with("enum(") || lower.starts_with("set(") {
        return first_quoted(data_type);
    }
    let definition = type_named(data_type, schema)?;
    let labels = definition.to_ascii_uppercase().find(" ENUM")?;
    first_quoted(&definition[labels..])
}

/// Returns the number of bits of a string of bits.
fn bits_of(data_type: &str) -> Option<usize> {
    let rest = data_type.strip_prefix("bit")?;
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    Some(digits.parse().unwrap_or(1))
}

fn first_quoted(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('\'')?;
    let (label, _) = rest.split_once('\'')?;
    Some(label.to_owned())
}

/// Returns the length in `varchar(20)` or `character varying(20)`.
fn length_of(data_type: &str) -> Option<usize> {
    let (word, rest) = data_type.split_once('(')?;
    let (length, _) = rest.split_once(')')?;
    word.contains("char").then(|| length.parse().ok()).flatten()
}
