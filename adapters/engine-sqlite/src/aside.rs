//! Rows set aside in a bare table.

use walkback_core::bulk::TableSlice;
use walkback_core::{Error, ErrorKind, Result, TableName};

use crate::dialect::{quoted, quoted_table};
use crate::link::Link;

impl Link {
    /// Copies rows into a new table without anything around them.
    pub(crate) fn set_aside(&mut self, slice: &TableSlice, aside: &TableName) -> Result<u64> {
        self.must_be_alive()?;
        if self.has_table(aside)? {
            let message = format!("the table `{aside}` exists already");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        let columns: Vec<_> = slice.columns.iter().map(|column| quoted(column)).collect();
        let (from, aside) = (quoted_table(&slice.table), quoted_table(aside));
        let selection = format!("SELECT {} FROM {from}", columns.join(", "));
        for sql in [
            format!("CREATE TABLE {aside} AS {selection} WHERE 0"),
            format!("INSERT INTO {aside} {selection}"),
        ] {
            self.batch(&sql)
                .map_err(|error| self.after_failure(&sql, error))?;
        }
        Ok(self.connection.changes())
    }
}
