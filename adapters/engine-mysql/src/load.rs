//! Rows in bulk by `LOAD DATA LOCAL`, where the server takes it: no statement to read for it, and so faster than
//! inserts of many rows.
//!
//! The server takes every cell as bytes of its column. What it would have to be told more about, and the impossible
//! member of an `ENUM`, goes in by inserts. It turns what is wrong with a row into a warning here; none is let pass.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use mysql_async::prelude::Queryable as _;
use walkback_core::bulk::{Chunk, ImportTarget};
use walkback_core::{Error, ErrorKind, Result};

use crate::bulk::Class;
use crate::dialect::{quoted, quoted_table};
use crate::link::Link;
use crate::rows::{self, Cell};

/// How much is sent at a time, in bytes.
const PARCEL: usize = 256 << 10;

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

    /// Loads a chunk, and returns whether it could be loaded in this way; otherwise nothing was done.
    pub(crate) async fn load(&mut self, target: &ImportTarget, chunk: &Chunk) -> Result<bool> {
        if !self.takes_files().await? {
            return Ok(false);
        }
        let classes = self.classes(&target.table, &target.columns).await?;
        let Some(file) = file(&classes, chunk)? else {
            return Ok(false);
        };
        let parcels = (0..file.len())
            .step_by(PARCEL)
            .map(move |start| Ok(file.slice(start..file.len().min(start + PARCEL))))
            .collect::<Vec<_>>();
        self.conn
            .set_infile_handler(async move { Ok(stream::iter(parcels).boxed()) });
        let sql = statement(target, &classes);
        let loaded = self.conn.query_drop(sql.as_str()).await;
        loaded.map_err(|error| self.place.statement_failed(&sql, error))?;
        // The answer to the warnings takes the place of this one.
        let stored = self.conn.affected_rows();
        if self.conn.get_warnings() > 0 {
            self.must_be_unaltered(0).await?;
        }
        if stored != chunk.rows {
            return Err(Error::new(
                ErrorKind::Database,
                format!(
                    "the server has stored {stored} of {} rows in `{}`",
                    chunk.rows, target.table
                ),
            ));
        }
        Ok(true)
    }
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
fn file(classes: &[Class], chunk: &Chunk) -> Result<Option<Bytes>> {
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
            file.extend_from_slice(value.to_string().as_bytes())
        }
        (Cell::Unsigned(value), Class::Plain | Class::Year | Class::Bits | Class::Set) => {
            file.extend_from_slice(value.to_string().as_bytes());
        }
        (Cell::Listed(value), Class::Listed) if value > 0 => {
            file.extend_from_slice(value.to_string().as_bytes());
        }
        (Cell::Float(value), Class::Plain) => {
            file.extend_from_slice(format!("{:e}", f64::from(value)).as_bytes());
        }
        (Cell::Double(value), Class::Plain) => file.extend_from_slice(format!("{value:e}").as_bytes()),
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

fn write_bytes(bytes: &[u8], file: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            0 => file.extend_from_slice(b"\\0"),
            b'\n' => file.extend_from_slice(b"\\n"),
            b'\t' => file.extend_from_slice(b"\\t"),
            b'\r' => file.extend_from_slice(b"\\r"),
            b'\\' => file.extend_from_slice(b"\\\\"),
            byte => file.push(*byte),
        }
    }
}
