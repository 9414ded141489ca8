//! Rows in bulk by `LOAD DATA LOCAL`, where the server takes it: no statement to read for it, and so faster than
//! inserts of many rows.
//!
//! The server takes every cell as bytes of its column. What it would have to be told more about, and the impossible
//! member of an `ENUM`, goes in by inserts. It turns what is wrong with a row into a warning here; none is let pass.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use mysql_async::prelude::Queryable as _;
use tokio::sync::mpsc;
use walkback_core::bulk::{Chunk, ImportTarget};
use walkback_core::{Error, ErrorKind, Result};

use crate::bulk::Class;
use crate::dialect::{quoted, quoted_table};
use crate::link::Link;
use crate::rows::{self, Cell};

/// How much is sent at a time, in bytes.
const PARCEL: usize = 256 << 10;

/// Chunks on their way into one statement.
#[derive(Debug)]
struct Feed {
    inlet: mpsc::Receiver<Chunk>,
    classes: Vec<Class>,
    /// What is left of the lines of a chunk.
    lines: Bytes,
    /// How many rows the chunks held that were told.
    rows: u64,
    /// The chunk that cannot be told in lines, with which the statement ends.
    rest: Option<Chunk>,
    failure: Option<Error>,
}

impl Feed {
    /// Returns what is sent next, or nothing at the end.
    async fn parcel(&mut self) -> Option<Bytes> {
        while self.lines.is_empty() {
            let chunk = self.inlet.recv().await?;
            match rows::must_be_ours(&chunk).and_then(|()| lines(&self.classes, &chunk)) {
                Ok(Some(lines)) => (self.lines, self.rows) = (lines, self.rows + chunk.rows),
                Ok(None) => {
                    self.rest = Some(chunk);
                    return None;
                }
                Err(error) => {
                    self.failure = Some(error);
                    return None;
                }
            }
        }
        Some(self.lines.split_to(self.lines.len().min(PARCEL)))
    }
}

impl Link {
    /// Returns whether the server takes files of its clients.
    pub(crate) async fn takes_files(&mut self) -> Result<bool> {
        if let Some(takes_files) = self.takes_files {
            return Ok(takes_files);
        }
        let wanted = self.place.config().local_infile;
        let takes_files = wanted && self.one("SELECT @@GLOBAL.local_infile").await?.as_deref() == Some("1");
        self.takes_files = Some(takes_files);
        Ok(takes_files)
    }

    /// Loads a chunk and those behind it with one statement, up to one that cannot be loaded in this way. Returns
    /// how many rows they held, and that one with those behind it.
    pub(crate) async fn load(
        &mut self,
        target: &ImportTarget,
        first: Chunk,
        inlet: mpsc::Receiver<Chunk>,
    ) -> Result<(u64, Option<Chunk>, mpsc::Receiver<Chunk>)> {
        if !self.takes_files().await? {
            return Ok((0, Some(first), inlet));
        }
        let classes = self.classes(&target.table, &target.columns).await?;
        let Some(lines) = lines(&classes, &first)? else {
            return Ok((0, Some(first), inlet));
        };
        let sql = statement(target, &classes);
        let feed = Arc::new(Mutex::new(Some(Feed {
            inlet,
            classes,
            lines,
            rows: first.rows,
            rest: None,
            failure: None,
        })));
        let place = Arc::clone(&feed);
        self.conn.set_infile_handler(async move { Ok(parcels(place)) });
        let loaded = self.conn.query_drop(sql.as_str()).await;
        let feed = feed.lock().unwrap_or_else(PoisonError::into_inner).take();
        loaded.map_err(|error| self.place.statement_failed(&sql, error))?;
        let feed = feed.ok_or_else(|| Error::internal("the server did not take the rows to their end"))?;
        if let Some(error) = feed.failure {
            return Err(error);
        }
        // The answer to the warnings takes the place of this one.
        let stored = self.conn.affected_rows();
        if self.conn.get_warnings() > 0 {
            self.must_be_unaltered(0).await?;
        }
        if stored != feed.rows {
            return Err(Error::new(
                ErrorKind::Database,
                format!(
                    "the server has stored {stored} of {} rows in `{}`",
                    feed.rows, target.table
                ),
            ));
        }
        Ok((feed.rows, feed.rest, feed.inlet))
    }
}

/// Returns what a feed sends. It is given back at its end.
fn parcels(place: Arc<Mutex<Option<Feed>>>) -> BoxStream<'static, std::io::Result<Bytes>> {
    let take = |place: &Mutex<Option<Feed>>| place.lock().unwrap_or_else(PoisonError::into_inner).take();
    stream::unfold(place, move |place| async move {
        let mut feed = take(&place)?;
        let parcel = feed.parcel().await;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(feed);
        parcel.map(|parcel| (Ok(parcel), place))
    })
    .boxed()
}

/// Writes the statement. Bytes become what their column needs; what has no character set of its own stays bytes.
fn statement(target: &ImportTarget, classes: &[Class]) -> String {
    let (mut fields, mut settings) = (Vec::new(), Vec::new());
    for (number, (column, class)) in target.columns.iter().zip(classes).enumerate() {
        let name = quoted(column);
        let convert = match class {
            Class::Json | Class::Spelled => format!("CONVERT(@_walkback_{number} USING utf8mb4)"),
            Class::Bits | Class::Year | Class::Listed | Class::Set => {
                format!("CAST(@_walkback_{number} AS UNSIGNED)")
            }
            Class::Plain | Class::Decimal | Class::Bytes | Class::Text(_) => {
                fields.push(name);
                continue;
            }
        };
        fields.push(format!("@_walkback_{number}"));
        settings.push(format!("{name} = {convert}"));
    }
    let mut sql = format!(
        "LOAD DATA LOCAL INFILE 'walkback' INTO TABLE {} CHARACTER SET binary \
         FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ({})",
        quoted_table(&target.table),
        fields.join(", ")
    );
    if !settings.is_empty() {
        sql.push_str(&format!(" SET {}", settings.join(", ")));
    }
    sql
}

/// Writes the rows of a chunk as lines, unless one has a cell that cannot be told in them.
fn lines(classes: &[Class], chunk: &Chunk) -> Result<Option<Bytes>> {
    let mut rest: &[u8] = &chunk.bytes;
    let (mut file, mut count) = (Vec::with_capacity(chunk.bytes.len()), 0_u64);
    while !rest.is_empty() {
        let cells = rows::decode_row(&mut rest, classes.len())?;
        for (index, (cell, class)) in cells.iter().zip(classes).enumerate() {
            if index > 0 {
                file.push(b'\t');
            }
            if !write_cell(*cell, class, &mut file) {
                return Ok(None);
            }
        }
        file.push(b'\n');
        count += 1;
    }
    rows::must_be_as_many(chunk, count)?;
    Ok(Some(file.into()))
}

/// Writes a cell, and returns whether the server would store it as it is.
fn write_cell(cell: Cell<'_>, class: &Class, file: &mut Vec<u8>) -> bool {
    let holds_text = |charset: &str| matches!(charset, "utf8mb4" | "utf8mb3" | "utf8" | "ascii");
    match (cell, class) {
        (Cell::Null, _) => file.extend_from_slice(b"\\N"),
        (Cell::Signed(value), Class::Plain | Class::Year) => {
            number(format_args!("{value}"), file);
        }
        (Cell::Unsigned(value), Class::Plain | Class::Year | Class::Bits | Class::Set) => {
            number(format_args!("{value}"), file);
        }
        (Cell::Listed(value), Class::Listed) if value > 0 => {
            number(format_args!("{value}"), file);
        }
        (Cell::Float(value), Class::Plain) => {
            number(format_args!("{:e}", f64::from(value)), file);
        }
        (Cell::Double(value), Class::Plain) => number(format_args!("{value:e}"), file),
        (Cell::Decimal(bytes), Class::Decimal)
        | (Cell::Word(bytes), Class::Plain | Class::Spelled)
        | (Cell::Json(bytes), Class::Json)
        | (Cell::Bytes(bytes), Class::Bytes) => write_bytes(bytes, file),
        (Cell::Text(bytes), Class::Text(charset)) if holds_text(charset) => write_bytes(bytes, file),
        (Cell::OtherText { charset, bytes }, Class::Text(of_column))
            if charset == of_column.as_bytes() && !holds_text(of_column) =>
        {
            write_bytes(bytes, file);
        }
        _ => return false,
    }
    true
}

fn number(digits: std::fmt::Arguments<'_>, file: &mut Vec<u8>) {
    // Writing to memory does not fail.
    file.write_fmt(digits).ok();
}

fn write_bytes(mut bytes: &[u8], file: &mut Vec<u8>) {
    let is_special = |byte: &u8| matches!(byte, 0 | b'\n' | b'\t' | b'\r' | b'\\');
    while let Some(plain) = bytes.iter().position(is_special) {
        file.extend_from_slice(&bytes[..plain]);
        file.extend_from_slice(match bytes[plain] {
            0 => b"\\0",
            b'\n' => b"\\n",
            b'\t' => b"\\t",
            b'\r' => b"\\r",
            _ => b"\\\\",
        });
        bytes = &bytes[plain + 1..];
    }
    file.extend_from_slice(bytes);
}
