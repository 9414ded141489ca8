//! Dividing a table into parts that several sessions read side by side.
//!
//! A table is divided by the first column of its key, if that is an integer and the rows lie about in its order:
//! elsewhere each part would walk most of the table. Without a key it is divided by pages, in which it is read
//! anyway; servers that would read the whole table for that (before version 14) leave it whole.

use walkback_core::bulk::{Division, KeyRange, TableSlice};
use walkback_core::{Cx, Result};

use crate::dialect::{quoted, quoted_table};
use crate::link::Link;

/// Bytes, pages, whether pages can be told apart cheaply, whether the column is an integer, how rows lie to it.
const SIZES: &str = "\
SELECT pg_catalog.pg_table_size(c.oid)::text,
       (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint)::text,
       (pg_catalog.current_setting('server_version_num')::int >= 140000)::text,
       coalesce(a.atttypid IN (20, 21, 23), false)::text,
       coalesce(pg_catalog.abs(s.correlation), 1)::text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_stats s
  ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind = 'r'";

/// How well rows must lie in the order of their keys: 1 is in it or exactly against it, 0 is at random.
const ORDERLY: f64 = 0.8;

impl Link {
    /// Divides a slice into parts of about so many bytes.
    pub(crate) async fn divide(&mut self, cx: &Cx, slice: &TableSlice, part: u64) -> Result<Division> {
        self.tidy().await?;
        let table = quoted_table(&self.whole(&slice.table));
        let key = slice.order.first().map_or("", String::as_str);
        let found = self.texts(cx, SIZES, &[&table, key]).await?;
        // A partitioned table has no rows of its own; what is no table says so when it is read.
        let Some(found) = found.first() else {
            return Ok(Division::none(slice, 0));
        };
        let number = |index: usize| found.get(index).parse().unwrap_or_default();
        let (bytes, pages): (u64, i64) = (number(0), found.get(1).parse().unwrap_or_default());
        let is_small = bytes <= part || slice.range != KeyRange::default();
        if is_small || (slice.order.is_empty() && !found.is(2)) {
            return Ok(Division::none(slice, bytes));
        }
        if slice.order.is_empty() {
            return Ok(Division::of(slice, bytes, part, (0, pages - 1)));
        }
        let correlation: f64 = found.get(4).parse().unwrap_or_default();
        if !found.is(3) || correlation < ORDERLY {
            return Ok(Division::none(slice, bytes));
        }
        let key = quoted(key);
        let sql = format!("SELECT min({key})::text, max({key})::text FROM ONLY {table}");
        let ends = self.texts(cx, &sql, &[]).await?;
        let end = |index| ends.first()?.find(index)?.parse::<i64>().ok();
        Ok(match end(0).zip(end(1)) {
            Some(ends) => Division::of(slice, bytes, part, ends),
            None => Division::none(slice, bytes),
        })
    }
}

/// Returns the condition that the rows of a slice meet, with ` WHERE ` before it.
pub(crate) fn condition(slice: &TableSlice) -> String {
    let (key, place) = match slice.order.first() {
        Some(key) => (quoted(key), None),
        None => ("ctid".to_owned(), Some(())),
    };
    let bound = |bound: i64| match place {
        Some(()) => format!("'({bound},0)'::pg_catalog.tid"),
        None => bound.to_string(),
    };
    let from = slice.range.from.map(|from| format!("{key} >= {}", bound(from)));
    let until = slice.range.until.map(|until| format!("{key} < {}", bound(until)));
    let conditions: Vec<_> = from.into_iter().chain(until).collect();
    match conditions.as_slice() {
        [] => String::new(),
        conditions => format!(" WHERE {}", conditions.join(" AND ")),
    }
}

#[cfg(test)]
mod tests {
    use walkback_core::TableName;

    use super::*;

    #[test]
    fn a_part_is_told_by_its_key_or_its_pages() {
        let slice = |order: &[&str]| {
            let order = order.iter().map(|column| (*column).to_owned()).collect();
            TableSlice::new(TableName::new("t"), vec!["a".into()], order)
        };
        let range = |from, until| KeyRange { from, until };
        assert_eq!(condition(&slice(&["a"])), "");
        assert_eq!(
            condition(&slice(&["a", "b"]).within(range(Some(-4), Some(8)))),
            " WHERE \"a\" >= -4 AND \"a\" < 8"
        );
        assert_eq!(
            condition(&slice(&[]).within(range(None, Some(8)))),
            " WHERE ctid < '(8,0)'::pg_catalog.tid"
        );
    }
}
