//! The encoding `rows-v1`: rows as MessagePack, cell by cell as SQLite stores them.
//!
//! A row is an array with one element per column:
//!
//! | storage class | MessagePack |
//! |---|---|
//! | `NULL` | nil |
//! | `INTEGER` | integer, in its shortest form |
//! | `REAL` | float 64, bit for bit |
//! | `TEXT` | str |
//! | `TEXT` that is not UTF-8 | ext of type 1 |
//! | `BLOB` | bin |
//!
//! Rows follow one another without anything between. Each row has one encoding only, and two rows that differ
//! in any way have two, which is why fingerprints hash the same bytes.

use rmp::Marker;
use rusqlite::types::{Value, ValueRef};
use walkback_core::bulk::Chunk;
use walkback_core::{Error, ErrorKind, Result};

/// Name of the encoding.
pub(crate) const ENCODING: &str = "rows-v1";

/// The type of the extension that holds text which is not UTF-8.
const BROKEN_TEXT: i8 = 1;

/// Appends the beginning of a row.
pub(crate) fn encode_start(columns: usize, out: &mut Vec<u8>) {
    written(rmp::encode::write_array_len(out, length(columns)).map(drop));
}

/// Appends one cell.
pub(crate) fn encode_value(cell: ValueRef<'_>, out: &mut Vec<u8>) {
    match cell {
        ValueRef::Null => written(rmp::encode::write_nil(out)),
        ValueRef::Integer(value) => written(rmp::encode::write_sint(out, value).map(drop)),
        ValueRef::Real(value) => written(rmp::encode::write_f64(out, value)),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => written(rmp::encode::write_str(out, text)),
            Err(_) => {
                written(rmp::encode::write_ext_meta(out, length(bytes.len()), BROKEN_TEXT).map(drop));
                out.extend_from_slice(bytes);
            }
        },
        ValueRef::Blob(bytes) => written(rmp::encode::write_bin(out, bytes)),
    }
}

/// Writing to a vector does not fail.
fn written<E>(outcome: std::result::Result<(), E>) {
    debug_assert!(outcome.is_ok(), "writing to a vector failed");
}

/// SQLite has no cell beyond 2 GiB, and no table beyond 32767 columns.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A cell that was read: text that is not UTF-8 is told apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Any value SQLite's own type can hold.
    Value(Value),
    /// Text that is not UTF-8.
    BrokenText(Vec<u8>),
}

impl rusqlite::ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Self::Value(value) => value.to_sql(),
            Self::BrokenText(bytes) => Ok(rusqlite::types::ToSqlOutput::Borrowed(ValueRef::Text(bytes))),
        }
    }
}

/// Reads the next row off the front of `bytes`. The row must have this many columns.
pub(crate) fn decode_row(bytes: &mut &[u8], columns: usize) -> Result<Vec<Cell>> {
    let found = rmp::decode::read_array_len(bytes).map_err(|_| damaged("no row begins where one should"))?;
    if found as usize != columns {
        return Err(damaged(&format!(
            "a row has {found} cells, but {columns} columns are to be written"
        )));
    }
    (0..columns).map(|_| decode_value(bytes)).collect()
}

/// Returns where each row of a chunk ends.
pub(crate) fn ends(chunk: &Chunk, columns: usize) -> Result<Vec<usize>> {
    must_be_ours(chunk)?;
    let mut rest: &[u8] = &chunk.bytes;
    let mut ends = Vec::new();
    while !rest.is_empty() {
        let found =
            rmp::decode::read_array_len(&mut rest).map_err(|_| damaged("no row begins where one should"))?;
        if found as usize != columns {
            return Err(damaged(&format!("a row has {found} cells in place of {columns}")));
        }
        for _ in 0..columns {
            skip_value(&mut rest)?;
        }
        ends.push(chunk.bytes.len() - rest.len());
    }
    must_be_as_many(chunk, ends.len() as u64)?;
    Ok(ends)
}

fn skip_value(bytes: &mut &[u8]) -> Result<()> {
    let marker = bytes.first().map(|byte| Marker::from_u8(*byte));
    let length = match marker.ok_or_else(|| damaged("it ends in the middle of a row"))? {
        Marker::Null => {
            rmp::decode::read_nil(bytes).map_err(|_| unreadable())?;
            0
        }
        Marker::F64 => {
            rmp::decode::read_f64(bytes).map_err(|_| unreadable())?;
            0
        }
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            rmp::decode::read_str_len(bytes).map_err(|_| unreadable())?
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            rmp::decode::read_bin_len(bytes).map_err(|_| unreadable())?
        }
        Marker::FixExt1
        | Marker::FixExt2
        | Marker::FixExt4
        | Marker::FixExt8
        | Marker::FixExt16
        | Marker::Ext8
        | Marker::Ext16
        | Marker::Ext32 => rmp::decode::read_ext_meta(bytes).map_err(|_| unreadable())?.size,
        _ => {
            rmp::decode::read_int::<i64, _>(bytes).map_err(|_| unreadable())?;
            0
        }
    };
    *bytes = bytes
        .get(length as usize..)
        .ok_or_else(|| damaged("it ends in the middle of a cell"))?;
    Ok(())
}

/// Fails if the rows of a chunk are encoded in another way.
pub(crate) fn must_be_ours(chunk: &Chunk) -> Result<()> {
    if chunk.encoding.0 == ENCODING {
        return Ok(());
    }
    Err(Error::unsupported(
        format!("the encoding `{}` of rows", chunk.encoding.0),
        "this version of the SQLite engine",
    )
    .hint("it was written by another engine or by a newer walkback: restore it with that one"))
}

/// Fails if a chunk does not hold the number of rows it should.
pub(crate) fn must_be_as_many(chunk: &Chunk, count: u64) -> Result<()> {
    if count == chunk.rows {
        return Ok(());
    }
    Err(damaged(&format!(
        "it should hold {} rows, and holds {count}",
        chunk.rows
    )))
}

fn decode_value(bytes: &mut &[u8]) -> Result<Cell> {
    let marker = bytes
        .first()
        .map(|byte| Marker::from_u8(*byte))
        .ok_or_else(|| damaged("it ends in the middle of a row"))?;
    let value = match marker {
        Marker::Null => {
            rmp::decode::read_nil(bytes).map_err(|_| unreadable())?;
            Value::Null
        }
        Marker::F64 => Value::Real(rmp::decode::read_f64(bytes).map_err(|_| unreadable())?),
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            let length = rmp::decode::read_str_len(bytes).map_err(|_| unreadable())?;
            let text = String::from_utf8(take(bytes, length)?).map_err(|_| unreadable())?;
            Value::Text(text)
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            let length = rmp::decode::read_bin_len(bytes).map_err(|_| unreadable())?;
            Value::Blob(take(bytes, length)?)
        }
        Marker::FixExt1
        | Marker::FixExt2
        | Marker::FixExt4
        | Marker::FixExt8
        | Marker::FixExt16
        | Marker::Ext8
        | Marker::Ext16
        | Marker::Ext32 => {
            let meta = rmp::decode::read_ext_meta(bytes).map_err(|_| unreadable())?;
            if meta.typeid != BROKEN_TEXT {
                return Err(damaged(&format!("a cell has the unknown type {}", meta.typeid)));
            }
            return Ok(Cell::BrokenText(take(bytes, meta.size)?));
        }
        _ => Value::Integer(rmp::decode::read_int(bytes).map_err(|_| unreadable())?),
    };
    Ok(Cell::Value(value))
}

fn take(bytes: &mut &[u8], length: u32) -> Result<Vec<u8>> {
    let length = length as usize;
    if bytes.len() < length {
        return Err(damaged("it ends in the middle of a cell"));
    }
    let (cell, rest) = bytes.split_at(length);
    *bytes = rest;
    Ok(cell.to_owned())
}

fn unreadable() -> Error {
    damaged("a cell cannot be read")
}

/// Says that a chunk is not what it should be.
pub(crate) fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("a chunk of rows is damaged: {why}"))
        .hint("check the backup with `walkback backup verify`, and restore from another one if it is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(cells: &[ValueRef<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_start(cells.len(), &mut out);
        cells.iter().for_each(|cell| encode_value(*cell, &mut out));
        out
    }

    #[test]
    fn every_kind_of_cell_comes_back_bit_for_bit() {
        let long = vec![0xff; 70_000];
        let cells = [
            ValueRef::Null,
            ValueRef::Integer(i64::MIN),
            ValueRef::Integer(-1),
            ValueRef::Integer(i64::MAX),
            ValueRef::Real(-0.0),
            ValueRef::Real(f64::NEG_INFINITY),
            ValueRef::Text("😀'\"".as_bytes()),
            ValueRef::Text(b""),
            ValueRef::Text(b"\xff\xfe"),
            ValueRef::Text(&long),
            ValueRef::Blob(b""),
            ValueRef::Blob(&long),
        ];
        let bytes = encode(&cells);
        let mut rest = bytes.as_slice();
        let read = decode_row(&mut rest, cells.len()).unwrap();
        assert!(rest.is_empty());
        for (cell, read) in cells.iter().zip(&read) {
            let read = match read {
                Cell::Value(value) => ValueRef::from(value),
                Cell::BrokenText(bytes) => ValueRef::Text(bytes),
            };
            match (cell, read) {
                (ValueRef::Real(before), ValueRef::Real(after)) => {
                    assert_eq!(before.to_bits(), after.to_bits())
                }
                (before, after) => assert_eq!(*before, after),
            }
        }
    }

    #[test]
    fn values_that_differ_in_anything_are_encoded_differently() {
        let cells = [
            ValueRef::Null,
            ValueRef::Integer(1),
            ValueRef::Real(1.0),
            ValueRef::Text(b"1"),
            ValueRef::Blob(b"1"),
            ValueRef::Real(0.0),
            ValueRef::Real(-0.0),
            ValueRef::Text(b""),
            ValueRef::Blob(b""),
            ValueRef::Text(b"\xff"),
            ValueRef::Blob(b"\xff"),
        ];
        let mut encodings: Vec<_> = cells.iter().map(|cell| encode(&[*cell])).collect();
        encodings.sort();
        encodings.dedup();
        assert_eq!(encodings.len(), cells.len());
        assert_ne!(
            encode(&[ValueRef::Text(b"ab"), ValueRef::Text(b"c")]),
            encode(&[ValueRef::Text(b"a"), ValueRef::Text(b"bc")])
        );
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let bytes = encode(&[
            ValueRef::Text(b"abc"),
            ValueRef::Integer(70_000),
            ValueRef::Text(b"\xff"),
        ]);
        for end in 0..bytes.len() {
            let error = decode_row(&mut &bytes[..end], 3).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "cut at {end}");
        }
        assert_eq!(
            decode_row(&mut bytes.as_slice(), 2).unwrap_err().kind(),
            ErrorKind::Damaged
        );
        for byte in 0..=u8::MAX {
            drop(decode_row(&mut [0x91, byte, 0, 0].as_slice(), 1));
        }
        assert!(decode_row(&mut [0x91, 0xc1].as_slice(), 1).is_err());
        assert!(decode_row(&mut [0x91, 0xc7, 1, 9, 0].as_slice(), 1).is_err());
    }
}
