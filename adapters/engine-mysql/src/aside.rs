//! Rows set aside in a bare table.

use walkback_core::bulk::TableSlice;
use walkback_core::{Error, ErrorKind, Result, TableName};

use crate::dialect::{quoted, quoted_table};
use crate::link::Link;
use crate::settings::Settings;

impl Link {
    /// Copies rows into a new table without anything around them.
    pub(crate) async fn set_aside(&mut self, slice: &TableSlice, aside: &TableName) -> Result<u64> {
        self.must_be_alive()?;
        if self.has_table(aside).await? {
            let message = format!("the table `{aside}` exists already");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        // A default that no strict mode takes is copied with its column.
        let before = Settings::enter(self, &[("sql_mode", "'ALLOW_INVALID_DATES'".to_owned())]).await?;
        let outcome = self.copy(slice, &quoted_table(aside)).await;
        before.after(self, outcome).await
    }

    async fn copy(&mut self, slice: &TableSlice, aside: &str) -> Result<u64> {
        let columns: Vec<_> = slice.columns.iter().map(|column| quoted(column)).collect();
        let selection = format!(
            "SELECT {} FROM {}",
            columns.join(", "),
            quoted_table(&slice.table)
        );
        self.run(&format!("CREATE TABLE {aside} AS {selection} WHERE 1 = 0"))
            .await?;
        self.run(&format!("INSERT INTO {aside} {selection}")).await?;
        Ok(self.conn.affected_rows())
    }
}
