//! Rows as they are in the table: found by their keys, and told apart from what they become later by a hash.

use serde::{Deserialize, Serialize};
use walkback_core::catalog::Table;
use walkback_core::dialect::DialectKind;
use walkback_core::engine::SessionExt as _;
use walkback_core::value::Row;
use walkback_core::{Cx, Dialect, Error, Result, Session, Value};

use crate::journal::LoadedRow;

/// How many rows are asked for by one statement.
const AT_ONCE: usize = 200;

/// Reads rows of one table by their keys.
pub(super) struct Images<'a> {
    dialect: &'a dyn Dialect,
    table: String,
    key: Vec<String>,
    columns: Vec<String>,
}

impl<'a> Images<'a> {
    pub(super) fn of(dialect: &'a dyn Dialect, table: &Table) -> Self {
        let quoted = |name: &String| dialect.quote_identifier(name);
        let written = table.columns.iter().filter(|column| !column.generated);
        Self {
            dialect,
            table: dialect.quote_table(&table.name),
            key: table.primary_key.iter().map(quoted).collect(),
            columns: written.map(|column| quoted(&column.name)).collect(),
        }
    }

    /// Returns the columns of the key, quoted.
    pub(super) fn key(&self) -> &[String] {
        &self.key
    }

    /// Returns the name of the table, quoted.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Reads the rows of these keys. `locked`: nobody else changes them until the transaction ends.
    pub(super) async fn read(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        keys: &[Row],
        locked: bool,
    ) -> Result<Vec<LoadedRow>> {
        let lock = match self.dialect.kind() {
            DialectKind::Sqlite => "",
            _ if locked => " FOR UPDATE",
            _ => "",
        };
        let columns = [&self.key[..], &self.columns[..]].concat().join(", ");
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(AT_ONCE) {
            let which = self.which("", keys);
            let sql = format!("SELECT {columns} FROM {} WHERE {which}{lock}", self.table);
            let params = keys.concat();
            let rows = session
                .fetch_all(cx, &bind_quoted(self.dialect, &sql), &params)
                .await?;
            for row in rows {
                let (key, cells) = row.split_at(self.key.len());
                found.push(LoadedRow {
                    key: key_text(key)?,
                    hash: hash(cells),
                });
            }
        }
        Ok(found)
    }

    /// Removes the rows of these keys, and returns how many there were.
    pub(super) async fn delete(&self, cx: &Cx, session: &mut dyn Session, keys: &[Row]) -> Result<u64> {
        let mut removed = 0;
        for keys in keys.chunks(AT_ONCE) {
            let sql = format!("DELETE FROM {} WHERE {}", self.table, self.which("", keys));
            let sql = bind_quoted(self.dialect, &sql);
            removed += session.execute(cx, &sql, &keys.concat()).await?;
        }
        Ok(removed)
    }

    /// Takes the references out of those of these rows that refer to themselves: MySQL removes no such row.
    pub(super) async fn loosen(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        keys: &[Row],
        pairs: &[(String, String)],
    ) -> Result<()> {
        let empty: Vec<_> = pairs.iter().map(|(from, _)| format!("{from} = NULL")).collect();
        let same: Vec<_> = pairs.iter().map(|(from, to)| format!("{from} = {to}")).collect();
        for keys in keys.chunks(AT_ONCE) {
            let sql = format!(
                "UPDATE {} SET {} WHERE ({}) AND {}",
                self.table,
                empty.join(", "),
                self.which("", keys),
                same.join(" AND ")
            );
            let sql = bind_quoted(self.dialect, &sql);
            session.execute(cx, &sql, &keys.concat()).await?;
        }
        Ok(())
    }

    /// Returns those of the keys whose rows other rows refer to: `child` with these columns, of those of this table.
    /// `locked`: nobody else lets others refer to them until the transaction ends.
    pub(super) async fn referred_to(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        keys: &[Row],
        (child, pairs): (&str, &[(String, String)]),
        locked: bool,
    ) -> Result<Vec<String>> {
        let lock = match self.dialect.kind() {
            // What was written since the transaction began counts as well.
            DialectKind::Mysql if locked => " LOCK IN SHARE MODE",
            _ => "",
        };
        let selected: Vec<_> = self.key.iter().map(|name| format!("p.{name}")).collect();
        let joined: Vec<_> = pairs
            .iter()
            .map(|(from, to)| format!("c.{from} = p.{to}"))
            .collect();
        // A row that refers to itself goes with itself.
        let same: Vec<_> = self
            .key
            .iter()
            .map(|name| format!("c.{name} = p.{name}"))
            .collect();
        let others = match child == self.table {
            true => format!(" AND NOT ({})", same.join(" AND ")),
            false => String::new(),
        };
        let mut found = Vec::new();
        for keys in keys.chunks(AT_ONCE) {
            let sql = format!(
                "SELECT {} FROM {} p JOIN {child} c ON {} WHERE ({}){others}{lock}",
                selected.join(", "),
                self.table,
                joined.join(" AND "),
                self.which("p.", keys)
            );
            let rows = session
                .fetch_all(cx, &bind_quoted(self.dialect, &sql), &keys.concat())
                .await?;
            for row in rows {
                found.push(key_text(&row)?);
            }
        }
        Ok(found)
    }

    /// Returns which rows of the table itself refer to these: the key of one of these, and that of a row that refers to it.
    pub(super) async fn referring(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        keys: &[Row],
        pairs: &[(String, String)],
    ) -> Result<Vec<(String, String)>> {
        let of = |prefix: &str| {
            let names = self.key.iter().map(|name| format!("{prefix}.{name}"));
            names.collect::<Vec<_>>().join(", ")
        };
        let joined: Vec<_> = pairs
            .iter()
            .map(|(from, to)| format!("c.{from} = p.{to}"))
            .collect();
        let mut found = Vec::new();
        for keys in keys.chunks(AT_ONCE) {
            let sql = format!(
                "SELECT {}, {} FROM {table} p JOIN {table} c ON {} WHERE {}",
                of("p"),
                of("c"),
                joined.join(" AND "),
                self.which("p.", keys),
                table = self.table
            );
            let rows = session
                .fetch_all(cx, &bind_quoted(self.dialect, &sql), &keys.concat())
                .await?;
            for row in rows {
                let (parent, child) = row.split_at(self.key.len());
                found.push((key_text(parent)?, key_text(child)?));
            }
        }
        Ok(found)
    }

    /// Returns whether one of these rows refers to a row of `parent` that is not there.
    pub(super) async fn lacks_parent(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        keys: &[Row],
        (parent, pairs): (&str, &[(String, String)]),
    ) -> Result<bool> {
        let given = pairs.iter().map(|(from, _)| format!("c.{from} IS NOT NULL"));
        let given: Vec<_> = given.collect();
        let same = pairs.iter().map(|(from, to)| format!("p.{to} = c.{from}"));
        let same: Vec<_> = same.collect();
        for keys in keys.chunks(AT_ONCE) {
            let sql = format!(
                "SELECT 1 FROM {} c WHERE ({}) AND {} AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE {}) LIMIT 1",
                self.table,
                self.which("c.", keys),
                given.join(" AND "),
                same.join(" AND ")
            );
            let sql = bind_quoted(self.dialect, &sql);
            if !session.fetch_all(cx, &sql, &keys.concat()).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the condition that finds these keys, with a place for each value.
    fn which(&self, prefix: &str, keys: &[Row]) -> String {
        if let [only] = &self.key[..] {
            let places: Vec<_> = keys.iter().flatten().map(|value| self.place(value)).collect();
            return format!("{prefix}{only} IN ({})", places.join(", "));
        }
        let one = |key: &Row| {
            let cells = self.key.iter().zip(key);
            let cells = cells.map(|(name, value)| format!("{prefix}{name} = {}", self.place(value)));
            format!("({})", cells.collect::<Vec<_>>().join(" AND "))
        };
        keys.iter().map(one).collect::<Vec<_>>().join(" OR ")
    }

    /// Returns the place of a value that is compared. MySQL would compare an exact number that comes as text as a double, and
    /// find its neighbours as well.
    fn place(&self, value: &Value) -> String {
        match (self.dialect.kind(), value) {
            (DialectKind::Mysql, Value::Decimal(digits)) => {
                let fraction = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
                format!("CAST({PLACE} AS DECIMAL(65, {fraction}))")
            }
            _ => PLACE.to_owned(),
        }
    }
}

/// Stands for a parameter: a name may hold a question mark.
pub(super) const PLACE: &str = "\u{1}";

/// Writes the placeholders of the dialect.
pub(super) fn bind_quoted(dialect: &dyn Dialect, sql: &str) -> String {
    let mut count = 0;
    let mut bound = String::with_capacity(sql.len());
    for (index, part) in sql.split(PLACE).enumerate() {
        if index > 0 {
            count += 1;
            bound.push_str(&dialect.placeholder(count));
        }
        bound.push_str(part);
    }
    bound
}

/// Writes a key so that it reads back as the same.
pub(super) fn key_text(key: &[Value]) -> Result<String> {
    if key
        .iter()
        .any(|value| matches!(value, Value::Float(value) if !value.is_finite()))
    {
        return Err(Error::unsupported("a key that is no finite number", "a load"));
    }
    let cells: Vec<KeyCell> = key.iter().map(KeyCell::of).collect();
    serde_json::to_string(&cells)
        .map_err(|error| Error::internal("a key cannot be written").with_source(error))
}

/// Reads a key that was written so.
pub(super) fn key_of(text: &str) -> Result<Row> {
    let cells: Vec<KeyCell> = serde_json::from_str(text)
        .map_err(|error| Error::internal("a key in the journal cannot be read").with_source(error))?;
    Ok(cells.into_iter().map(KeyCell::value).collect())
}

/// A cell of a key as it is kept: the digits of a double would not always be read as the same double.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum KeyCell {
    Double { bits: u64 },
    Other(Value),
}

impl KeyCell {
    fn of(value: &Value) -> Self {
        match value {
            Value::Float(value) => Self::Double {
                bits: value.to_bits(),
            },
            other => Self::Other(other.clone()),
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Double { bits } => Value::Float(f64::from_bits(bits)),
            Self::Other(value) => value,
        }
    }
}

/// Hashes the cells of a row: values of different types are different.
fn hash(cells: &[Value]) -> String {
    let mut hasher = blake3::Hasher::new();
    for cell in cells {
        let (tag, bytes): (u8, Vec<u8>) = match cell {
            Value::Null => (0, Vec::new()),
            Value::Bool(value) => (1, vec![u8::from(*value)]),
            Value::Integer(value) => (2, value.to_le_bytes().to_vec()),
            Value::Unsigned(value) => (3, value.to_le_bytes().to_vec()),
            Value::Float(value) => (4, value.to_bits().to_le_bytes().to_vec()),
            Value::Decimal(digits) => (5, digits.clone().into_bytes()),
            Value::Text(text) => (6, text.clone().into_bytes()),
            Value::BrokenText(bytes) => (7, bytes.clone()),
            Value::Bytes(bytes) => (8, bytes.clone()),
            other => (9, format!("{other:?}").into_bytes()),
        };
        hasher.update(&[tag]);
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes);
    }
    // Half of it tells more rows apart than a table can hold.
    hasher.finalize().to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        for key in [
            vec![Value::Float(0.1 + 0.2), Value::Text("a\"b".to_owned())],
            vec![Value::Float(1.234_567_890_123_456_7e-300)],
            vec![Value::Float(-0.0), Value::Null, Value::Unsigned(u64::MAX)],
            vec![Value::Bytes(vec![0, 255]), Value::Decimal("1.10".to_owned())],
        ] {
            let text = key_text(&key).unwrap();
            let read = key_of(&text).unwrap();
            assert_eq!(read, key);
            assert_eq!(key_text(&read).unwrap(), text);
        }
    }
}
