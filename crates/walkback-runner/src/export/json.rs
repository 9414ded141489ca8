//! JSON Lines: an object a row, and a file that says what the tables are.
//!
//! A number that a double cannot hold exactly is `{"number": ".."}` with its digits, and so is what is no number to
//! JSON; bytes are `{"hex": ".."}`; a text that is not UTF-8 is `{"text_hex": ".."}`. All else is JSON's own.

use std::io::Write as _;

use serde_json::{Map, Value as Json, json};
use walkback_core::catalog::Table;
use walkback_core::value::Value;
use walkback_core::{Error, Result};

use super::{Export, columns_of};

/// The largest whole number up to which a double holds every one.
const EXACT: u64 = (1 << 53) - 1;

impl Export<'_> {
    /// Writes a file for each table, and one about them all.
    pub(super) async fn json(&mut self, tables: &[&Table]) -> Result<()> {
        self.session
            .begin(self.cx, walkback_core::engine::Begin::Read)
            .await?;
        let mut written = Vec::new();
        for (index, table) in tables.iter().enumerate() {
            let columns = columns_of(table);
            let name = file_name(index, &table.name.to_string());
            let mut file = self.create(&name)?;
            let names = columns.clone();
            let rows = self
                .rows(table, &columns, |row| {
                    let cells = names.iter().cloned().zip(row.iter().map(cell));
                    let object = Json::Object(cells.collect::<Map<_, _>>());
                    writeln!(file, "{object}")
                })
                .await?;
            self.close(file)?;
            let described: Vec<_> = table
                .columns
                .iter()
                .map(|column| json!({"name": column.name, "type": column.data_type, "generated": column.generated}))
                .collect();
            written.push(json!({
                "table": table.name, "file": name, "rows": rows, "columns": described, "primary_key": table.primary_key,
                "definition": table.definition,
            }));
        }
        self.session.rollback(self.cx).await?;
        let about = json!({
            "format": "walkback export", "version": 1, "backup": self.manifest.id,
            "created_at": self.manifest.created_at, "database": self.manifest.database,
            "ledger": self.manifest.ledger, "tables": written,
        });
        let mut file = self.create("export.json")?;
        serde_json::to_writer_pretty(&mut file, &about)
            .map_err(|error| Error::internal("an export cannot be described as JSON").with_source(error))?;
        self.close(file)
    }
}

/// Returns a name that every file system takes. Two tables never have the same.
fn file_name(index: usize, table: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    if table.len() <= 100 && table.chars().all(is_plain) && !table.starts_with('.') && !has_upper(table) {
        return format!("{table}.jsonl");
    }
    let plain: String = table
        .chars()
        .filter(|letter| is_plain(*letter))
        .take(60)
        .collect();
    format!("table-{}-{plain}.jsonl", index + 1)
}

/// Names that differ in case only are one file on some systems.
fn has_upper(name: &str) -> bool {
    name.chars().any(|letter| letter.is_ascii_uppercase())
}

fn cell(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::Integer(value) if value.unsigned_abs() <= EXACT => Json::from(*value),
        Value::Integer(value) => json!({"number": value.to_string()}),
        Value::Unsigned(value) if *value <= EXACT => Json::from(*value),
        Value::Unsigned(value) => json!({"number": value.to_string()}),
        Value::Float(value) if value.is_finite() => Json::from(*value),
        Value::Float(value) if value.is_nan() => json!({"number": "NaN"}),
        Value::Float(value) if *value > 0.0 => json!({"number": "Infinity"}),
        Value::Float(_) => json!({"number": "-Infinity"}),
        Value::Decimal(digits) => json!({"number": digits}),
        Value::Text(text) => Json::from(text.as_str()),
        Value::BrokenText(bytes) => json!({"text_hex": hex(bytes)}),
        Value::Bytes(bytes) => json!({"hex": hex(bytes)}),
        _ => Json::Null,
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").ok();
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_told_apart() {
        let shown = |value: Value| cell(&value).to_string();
        assert_eq!(shown(Value::Null), "null");
        assert_eq!(shown(Value::Integer(9_007_199_254_740_991)), "9007199254740991");
        assert_eq!(
            shown(Value::Integer(9_007_199_254_740_993)),
            r#"{"number":"9007199254740993"}"#
        );
        assert_eq!(
            shown(Value::Integer(i64::MIN)),
            r#"{"number":"-9223372036854775808"}"#
        );
        assert_eq!(shown(Value::Float(-0.0)), "-0.0");
        assert_eq!(shown(Value::Float(f64::NAN)), r#"{"number":"NaN"}"#);
        assert_eq!(shown(Value::Decimal("1.10".into())), r#"{"number":"1.10"}"#);
        assert_eq!(
            shown(Value::Text("{\"hex\":\"00\"}".into())),
            r#""{\"hex\":\"00\"}""#
        );
        assert_eq!(shown(Value::Bytes(vec![0, 255])), r#"{"hex":"00ff"}"#);
        assert_eq!(shown(Value::BrokenText(vec![255])), r#"{"text_hex":"ff"}"#);
    }

    #[test]
    fn no_table_gets_the_file_of_another() {
        assert_eq!(file_name(0, "orders"), "orders.jsonl");
        assert_eq!(file_name(1, "shop.orders"), "shop.orders.jsonl");
        assert_ne!(file_name(2, "Orders"), file_name(3, "ORDERS"));
        assert_eq!(file_name(4, "../x"), "table-5-..x.jsonl");
    }
}
