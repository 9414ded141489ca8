//! Rows set aside in a bare table.

use walkback_core::bulk::TableSlice;
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use crate::dialect::{quoted, quoted_table};
use crate::link::Link;

/// How each column is copied so that the copy needs nothing but what every database has: a type of people's own
/// could not be dropped as long as a column has it, and neither could a collation.
const COPIES: &str = "\
SELECT a.attname::text, CASE WHEN t.oid >= 16384 THEN '::pg_catalog.text' ELSE '' END || \
       CASE WHEN t.oid >= 16384 OR a.attcollation >= 16384 THEN ' COLLATE pg_catalog.\"default\"' ELSE '' END \
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";

impl Link {
    /// Copies rows into a new table without anything around them.
    pub(crate) async fn set_aside(&mut self, cx: &Cx, slice: &TableSlice, aside: &TableName) -> Result<u64> {
        self.must_write()?;
        let (live, aside) = (self.whole(&slice.table), self.whole(aside));
        if self.has_table(cx, &aside).await? {
            let message = format!("the table `{aside}` exists already");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        let (live, aside) = (quoted_table(&live), quoted_table(&aside));
        let copies = self.texts(cx, COPIES, &[&live]).await?;
        let copy = |column: &String| {
            let found = copies.iter().find(|row| row.get(0) == column);
            let name = quoted(column);
            format!("{name}{} AS {name}", found.map_or("", |row| row.get(1)))
        };
        let columns: Vec<_> = slice.columns.iter().map(copy).collect();
        let selection = format!("SELECT {} FROM ONLY {live}", columns.join(", "));
        self.batch(cx, &format!("CREATE TABLE {aside} AS {selection} WITH NO DATA"))
            .await?;
        self.execute(cx, &format!("INSERT INTO {aside} {selection}"), &[])
            .await
    }
}
