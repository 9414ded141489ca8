//! Rows in bulk: in from chunks, by inserts of many rows where the server takes no [files](crate::load).

use mysql_async::prelude::Queryable as _;
use tokio::sync::mpsc;
use walkback_core::bulk::{Chunk, ImportTarget};
use walkback_core::engine::Begin;
use walkback_core::{Error, ErrorKind, Result, TableName};

use crate::dialect::{literal, quoted, quoted_table};
use crate::link::Link;
use crate::rows::{self, Cell};
use crate::settings::Settings;

/// How long a statement may get, in bytes, if one row is not longer.
const STATEMENT: usize = 1 << 20;

/// What a value must be to be stored as it is, or refused: no zero is a new number, and dates that never were
/// stay what they are.
const STRICT: &str = "'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'";

/// The same, but for the impossible member of an `ENUM`, which nothing strict stores.
const LENIENT: &str = "'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'";

/// A statement of many rows.
#[derive(Debug, Default)]
struct Batch {
    sql: Vec<u8>,
    /// How many cells hold the impossible member of an `ENUM`.
    impossible: u64,
}

impl Link {
    /// Fails if rows cannot be written to a table without its triggers noticing.
    async fn must_be_without_triggers(&mut self, table: &TableName) -> Result<()> {
        let sql = format!(
            "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {} \
             AND EVENT_OBJECT_TABLE = {} AND EVENT_MANIPULATION = 'INSERT' LIMIT 1",
            self.schema_of(table),
            literal(&table.name)
        );
        match self.one(&sql).await? {
            None => Ok(()),
            Some(trigger) => Err(Error::unsupported(
                format!("loading rows into `{table}` past its trigger `{trigger}`"),
                self.product(),
            )
            .hint(format!(
                "drop the trigger `{trigger}` first, and create it again afterwards"
            ))),
        }
    }

    /// Makes ready for an import, and returns whether it has begun a transaction of its own.
    pub(crate) async fn begin_import(&mut self, target: &ImportTarget) -> Result<bool> {
        self.must_be_alive()?;
        self.must_be_without_triggers(&target.table).await?;
        let is_own = self.transaction.is_none() && !self.is_in_transaction().await?;
        if is_own {
            self.begin(Begin::Write).await?;
        }
        Ok(is_own)
    }

    /// Writes chunks as they come, and returns how many rows they held.
    pub(crate) async fn import(
        &mut self,
        target: &ImportTarget,
        inlet: mpsc::Receiver<Chunk>,
    ) -> Result<u64> {
        self.must_be_alive()?;
        let mut settings = vec![
            ("sql_mode", STRICT.to_owned()),
            ("time_zone", "'+00:00'".to_owned()),
            ("foreign_key_checks", "0".to_owned()),
        ];
        if self.server.is_mariadb {
            // What was stored is stored again: a row that broke a CHECK before must not make a restore fail.
            settings.push(("check_constraint_checks", "0".to_owned()));
        }
        let before = Settings::enter(self, &settings).await?;
        let outcome = self.store(target, inlet).await;
        let outcome = before.after(self, outcome).await;
        let what = format!("INSERT INTO {}", quoted_table(&target.table));
        self.after_statement(&what, outcome).await
    }

    async fn store(&mut self, target: &ImportTarget, mut inlet: mpsc::Receiver<Chunk>) -> Result<u64> {
        let (mut total, mut next) = (0, inlet.recv().await);
        while let Some(chunk) = next {
            rows::must_be_ours(&chunk)?;
            let rest;
            let rows;
            (rows, rest, inlet) = self.load(target, chunk, inlet).await?;
            total += rows;
            if let Some(chunk) = &rest {
                self.insert(batches(target, chunk)?).await?;
                total += chunk.rows;
            }
            next = inlet.recv().await;
        }
        Ok(total)
    }

    async fn insert(&mut self, batches: Vec<Batch>) -> Result<()> {
        for batch in batches {
            self.must_go_on()?;
            if batch.impossible > 0 {
                self.run(&format!("SET SESSION sql_mode = {LENIENT}")).await?;
            }
            let outcome = self.conn.query_drop(batch.sql.as_slice()).await;
            outcome.map_err(|error| {
                let head: String = String::from_utf8_lossy(&batch.sql).chars().take(200).collect();
                self.place.statement_failed(&head, error)
            })?;
            if self.conn.get_warnings() > 0 {
                self.must_be_unaltered(batch.impossible).await?;
            }
            if batch.impossible > 0 {
                self.run(&format!("SET SESSION sql_mode = {STRICT}")).await?;
            }
        }
        Ok(())
    }

    /// Fails on a warning that says more than that a character set is out of fashion, or an `ENUM` impossible.
    pub(crate) async fn must_be_unaltered(&mut self, impossible: u64) -> Result<()> {
        let mut left = impossible;
        for warning in self.texts("SHOW WARNINGS").await? {
            let code = warning.get(1).cloned().flatten().unwrap_or_default();
            match code.as_str() {
                "1287" | "3719" | "3778" => {}
                "1265" if left > 0 => left -= 1,
                _ => {
                    let said = warning.into_iter().flatten().last().unwrap_or_default();
                    return Err(Error::new(
                        ErrorKind::Database,
                        format!("the server would have stored a row otherwise than it was: {said}"),
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Reads a whole chunk before anything is written of it.
fn batches(target: &ImportTarget, chunk: &Chunk) -> Result<Vec<Batch>> {
    let columns: Vec<_> = target.columns.iter().map(|name| quoted(name)).collect();
    let head = format!(
        "INSERT INTO {} ({}) VALUES ",
        quoted_table(&target.table),
        columns.join(", ")
    );
    let mut rest: &[u8] = &chunk.bytes;
    let (mut batches, mut batch, mut count) = (Vec::new(), Batch::default(), 0_u64);
    while !rest.is_empty() {
        let cells = rows::decode_row(&mut rest, target.columns.len())?;
        let start = batch.sql.len();
        if start == 0 {
            batch.sql.extend_from_slice(head.as_bytes());
        } else {
            batch.sql.push(b',');
        }
        write_row(&cells, &mut batch);
        count += 1;
        if batch.sql.len() >= STATEMENT {
            batches.push(std::mem::take(&mut batch));
        }
    }
    if !batch.sql.is_empty() {
        batches.push(batch);
    }
    rows::must_be_as_many(chunk, count)?;
    Ok(batches)
}

fn write_row(cells: &[Cell<'_>], batch: &mut Batch) {
    batch.sql.push(b'(');
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            batch.sql.push(b',');
        }
        batch.impossible += u64::from(*cell == Cell::Listed(0));
        write_cell(*cell, &mut batch.sql);
    }
    batch.sql.push(b')');
}

fn write_cell(cell: Cell<'_>, sql: &mut Vec<u8>) {
    match cell {
        Cell::Null => sql.extend_from_slice(b"NULL"),
        Cell::Signed(value) => sql.extend_from_slice(value.to_string().as_bytes()),
        Cell::Unsigned(value) | Cell::Listed(value) => sql.extend_from_slice(value.to_string().as_bytes()),
        // Only a number with an exponent is a double to the server.
        Cell::Float(value) => sql.extend_from_slice(format!("{:e}", f64::from(value)).as_bytes()),
        Cell::Double(value) => sql.extend_from_slice(format!("{value:e}").as_bytes()),
        Cell::Decimal(digits) => sql.extend_from_slice(digits),
        Cell::Word(text) | Cell::Text(text) | Cell::Json(text) => write_text(text, sql),
        Cell::Bytes(bytes) => write_hexadecimal(bytes, sql),
        Cell::OtherText { charset, bytes } => {
            sql.push(b'_');
            sql.extend_from_slice(charset);
            sql.push(b' ');
            write_hexadecimal(bytes, sql);
        }
    }
}

/// The session's `sql_mode` is ours here, so that a backslash is one.
fn write_text(text: &[u8], sql: &mut Vec<u8>) {
    sql.push(b'\'');
    for byte in text {
        match byte {
            0 => sql.extend_from_slice(b"\\0"),
            b'\'' | b'\\' => sql.extend_from_slice(&[b'\\', *byte]),
            byte => sql.push(*byte),
        }
    }
    sql.push(b'\'');
}

fn write_hexadecimal(bytes: &[u8], sql: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    sql.extend_from_slice(b"X'");
    for byte in bytes {
        sql.push(DIGITS[usize::from(byte >> 4)]);
        sql.push(DIGITS[usize::from(byte & 15)]);
    }
    sql.push(b'\'');
}
