//! Dividing a table into parts that several connections read side by side: by the first column of its primary key,
//! in whose order the rows are stored, if that is an integer.

use walkback_core::Result;
use walkback_core::bulk::{Division, KeyRange, TableSlice};

use crate::dialect::{literal, quoted, quoted_table};
use crate::link::Link;

impl Link {
    /// Divides a slice into parts of about so many bytes.
    pub(crate) async fn divide(&mut self, slice: &TableSlice, part: u64) -> Result<Division> {
        self.must_be_alive()?;
        let bytes = self.size_of(slice).await?;
        let Some(key) = slice.order.first().filter(|_| bytes > part) else {
            return Ok(Division::none(slice, bytes));
        };
        if slice.range != KeyRange::default() || !self.is_integer(slice, key).await? {
            return Ok(Division::none(slice, bytes));
        }
        let key = quoted(key);
        let sql = format!(
            "SELECT MIN({key}), MAX({key}) FROM {}",
            quoted_table(&slice.table)
        );
        let rows = self.texts(&sql).await?;
        let ends: Vec<i64> = rows
            .into_iter()
            .flatten()
            .filter_map(|end| end?.parse().ok())
            .collect();
        Ok(match ends.as_slice() {
            [least, most] => Division::of(slice, bytes, part, (*least, *most)),
            _ => Division::none(slice, bytes),
        })
    }

    /// Returns about how many bytes the rows take. Newer servers remember what they said for a day, unless told
    /// not to.
    async fn size_of(&mut self, slice: &TableSlice) -> Result<u64> {
        if !self.server.is_mariadb {
            let fresh = "SET SESSION information_schema_stats_expiry = 0";
            if let Err(error) = self.run(fresh).await {
                tracing::debug!(%error, "the sizes of tables may be a day old");
            }
        }
        let sql = format!(
            "SELECT DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
            self.schema_of(&slice.table),
            literal(&slice.table.name)
        );
        let bytes = self.one(&sql).await?;
        Ok(bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or_default())
    }

    async fn is_integer(&mut self, slice: &TableSlice, column: &str) -> Result<bool> {
        let sql = format!(
            "SELECT DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
             AND COLUMN_NAME = {}",
            self.schema_of(&slice.table),
            literal(&slice.table.name),
            literal(column)
        );
        let of_type = self.one(&sql).await?.unwrap_or_default();
        let integers = ["tinyint", "smallint", "mediumint", "int", "bigint"];
        Ok(integers.contains(&of_type.to_ascii_lowercase().as_str()))
    }
}

/// Returns the condition that the rows of a slice meet, with ` WHERE ` before it.
pub(crate) fn condition(slice: &TableSlice) -> String {
    let Some(key) = slice.order.first().map(|key| quoted(key)) else {
        return String::new();
    };
    let from = slice.range.from.map(|from| format!("{key} >= {from}"));
    let until = slice.range.until.map(|until| format!("{key} < {until}"));
    let conditions: Vec<_> = from.into_iter().chain(until).collect();
    match conditions.as_slice() {
        [] => String::new(),
        conditions => format!(" WHERE {}", conditions.join(" AND ")),
    }
}
