//! The encoding `mysql-rows-v1`: rows cell by cell as the server stores them.
//!
//! A row is the number of its cells followed by the cells; a cell is a tag and what the tag says. Numbers of
//! things and lengths are in LEB128, everything else in little-endian order.
//!
//! | tag | cell | bytes |
//! |---|---|---|
//! | 0 | `NULL` | none |
//! | 1 | integer, year, bits, number of a `SET` | 8, signed |
//! | 2 | the same beyond that | 8, unsigned |
//! | 3 | `FLOAT` | 4, bit for bit |
//! | 4 | `DOUBLE` | 8, bit for bit |
//! | 5 | `DECIMAL` | length, its digits |
//! | 6 | text of a Unicode or ASCII column, valid | length, UTF-8 |
//! | 7 | bytes, spatial, vector | length, as stored |
//! | 8 | date, time, UUID, address, and what this version does not know | length, as its literal |
//! | 9 | JSON | length, UTF-8 |
//! | 10 | text of another character set, or not valid | length, name of the set, length, as stored |
//! | 11 | `ENUM` | 8, its number |
//!
//! Rows follow one another without anything between. Each row has one encoding only, and two rows that differ
//! in any way have two, which is why fingerprints hash the same bytes.

use walkback_core::bulk::Chunk;
use walkback_core::{Error, ErrorKind, Result};

/// Name of the encoding.
pub(crate) const ENCODING: &str = "mysql-rows-v1";

/// A cell, with what has a length borrowed from the chunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Signed(i64),
    Unsigned(u64),
    Float(f32),
    Double(f64),
    Decimal(&'a [u8]),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Word(&'a [u8]),
    Json(&'a [u8]),
    OtherText { charset: &'a [u8], bytes: &'a [u8] },
    Listed(u64),
}

/// Appends the beginning of a row.
pub(crate) fn encode_start(columns: usize, out: &mut Vec<u8>) {
    encode_length(columns, out);
}

/// Appends one cell.
pub(crate) fn encode(cell: Cell<'_>, out: &mut Vec<u8>) {
    match cell {
        Cell::Null => out.push(0),
        Cell::Signed(value) => tagged(1, &value.to_le_bytes(), out),
        Cell::Unsigned(value) => match i64::try_from(value) {
            Ok(value) => tagged(1, &value.to_le_bytes(), out),
            Err(_) => tagged(2, &value.to_le_bytes(), out),
        },
        Cell::Float(value) => tagged(3, &value.to_bits().to_le_bytes(), out),
        Cell::Double(value) => tagged(4, &value.to_bits().to_le_bytes(), out),
        Cell::Decimal(bytes) => measured(5, bytes, out),
        Cell::Text(bytes) => measured(6, bytes, out),
        Cell::Bytes(bytes) => measured(7, bytes, out),
        Cell::Word(bytes) => measured(8, bytes, out),
        Cell::Json(bytes) => measured(9, bytes, out),
        Cell::OtherText { charset, bytes } => {
            measured(10, charset, out);
            encode_length(bytes.len(), out);
            out.extend_from_slice(bytes);
        }
        Cell::Listed(value) => tagged(11, &value.to_le_bytes(), out),
    }
}

fn tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn measured(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    encode_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn encode_length(mut length: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
        if length == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Reads the next row off the front of `bytes`. The row must have this many columns.
pub(crate) fn decode_row<'a>(bytes: &mut &'a [u8], columns: usize) -> Result<Vec<Cell<'a>>> {
    let found = decode_length(bytes)?;
    if found != columns {
        return Err(damaged(&format!(
            "a row has {found} cells, but {columns} columns are to be written"
        )));
    }
    (0..columns).map(|_| decode(bytes)).collect()
}

/// Returns where each row of a chunk ends.
pub(crate) fn ends(chunk: &Chunk, columns: usize) -> Result<Vec<usize>> {
    must_be_ours(chunk)?;
    let mut rest: &[u8] = &chunk.bytes;
    let mut ends = Vec::new();
    while !rest.is_empty() {
        let found = decode_length(&mut rest)?;
        if found != columns {
            return Err(damaged(&format!("a row has {found} cells in place of {columns}")));
        }
        for _ in 0..columns {
            decode(&mut rest)?;
        }
        ends.push(chunk.bytes.len() - rest.len());
    }
    must_be_as_many(chunk, ends.len() as u64)?;
    Ok(ends)
}

fn decode<'a>(bytes: &mut &'a [u8]) -> Result<Cell<'a>> {
    let [tag] = fixed(bytes)?;
    Ok(match tag {
        0 => Cell::Null,
        1 => Cell::Signed(i64::from_le_bytes(fixed(bytes)?)),
        2 => Cell::Unsigned(u64::from_le_bytes(fixed(bytes)?)),
        3 => Cell::Float(f32::from_bits(u32::from_le_bytes(fixed(bytes)?))),
        4 => Cell::Double(f64::from_bits(u64::from_le_bytes(fixed(bytes)?))),
        5 => Cell::Decimal(made_of(measure(bytes)?, b"-.0123456789")?),
        6 => Cell::Text(measure(bytes)?),
        7 => Cell::Bytes(measure(bytes)?),
        8 => Cell::Word(measure(bytes)?),
        9 => Cell::Json(measure(bytes)?),
        10 => Cell::OtherText {
            charset: made_of(measure(bytes)?, b"_0123456789abcdefghijklmnopqrstuvwxyz")?,
            bytes: measure(bytes)?,
        },
        11 => Cell::Listed(u64::from_le_bytes(fixed(bytes)?)),
        tag => return Err(damaged(&format!("a cell has the unknown tag {tag}"))),
    })
}

fn decode_length(bytes: &mut &[u8]) -> Result<usize> {
    let mut length = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let [byte] = fixed(bytes)?;
        let part = usize::from(byte & 0x7f);
        let shifted = part.checked_shl(shift).filter(|shifted| shifted >> shift == part);
        length |= shifted.ok_or_else(|| damaged("a length is beyond all measure"))?;
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(damaged("a length does not end"))
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (head, rest) = bytes
        .split_first_chunk::<N>()
        .ok_or_else(|| damaged("it ends in the middle of a row"))?;
    *bytes = rest;
    Ok(*head)
}

fn measure<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let length = decode_length(bytes)?;
    let (head, rest) = bytes
        .split_at_checked(length)
        .ok_or_else(|| damaged("it ends in the middle of a cell"))?;
    *bytes = rest;
    Ok(head)
}

/// Refuses what would be something else than it says when it stands in a statement.
fn made_of<'a>(bytes: &'a [u8], allowed: &[u8]) -> Result<&'a [u8]> {
    if !bytes.is_empty() && bytes.iter().all(|byte| allowed.contains(byte)) {
        Ok(bytes)
    } else {
        Err(damaged("a cell holds what its tag does not allow"))
    }
}

/// Fails if the rows of a chunk are encoded in another way.
pub(crate) fn must_be_ours(chunk: &Chunk) -> Result<()> {
    if chunk.encoding.0 == ENCODING {
        return Ok(());
    }
    Err(Error::unsupported(
        format!("the encoding `{}` of rows", chunk.encoding.0),
        "this version of the MySQL engine",
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

/// Says that a chunk is not what it should be.
pub(crate) fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("a chunk of rows is damaged: {why}"))
        .hint("check the backup with `walkback backup verify`, and restore from another one if it is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[Cell<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_start(cells.len(), &mut out);
        cells.iter().for_each(|cell| encode(*cell, &mut out));
        out
    }

    fn every_cell(long: &[u8]) -> Vec<Cell<'_>> {
        vec![
            Cell::Null,
            Cell::Signed(i64::MIN),
            Cell::Signed(-1),
            Cell::Unsigned(u64::MAX),
            Cell::Float(-0.0),
            Cell::Double(5e-324),
            Cell::Decimal(b"-0.10"),
            Cell::Text("😀".as_bytes()),
            Cell::Bytes(long),
            Cell::Word(b"0000-00-00"),
            Cell::Json(b"{}"),
            Cell::OtherText {
                charset: b"latin1",
                bytes: b"\xff",
            },
            Cell::Listed(1 << 63),
        ]
    }

    #[test]
    fn every_kind_of_cell_comes_back_bit_for_bit() {
        let long = vec![0xff; 70_000];
        let cells = every_cell(&long);
        let bytes = row(&cells);
        let mut rest = bytes.as_slice();
        let read = decode_row(&mut rest, cells.len()).unwrap();
        assert!(rest.is_empty());
        assert_eq!(read, cells);
        assert!(matches!(read[4], Cell::Float(zero) if zero.is_sign_negative()));
    }

    #[test]
    fn values_that_differ_in_anything_are_encoded_differently() {
        let cells = [
            Cell::Null,
            Cell::Signed(1),
            Cell::Listed(1),
            Cell::Float(1.0),
            Cell::Double(1.0),
            Cell::Double(0.0),
            Cell::Double(-0.0),
            Cell::Decimal(b"1"),
            Cell::Decimal(b"1.0"),
            Cell::Text(b"1"),
            Cell::Bytes(b"1"),
            Cell::Word(b"1"),
            Cell::Json(b"1"),
            Cell::OtherText {
                charset: b"latin1",
                bytes: b"1",
            },
        ];
        let mut encodings: Vec<_> = cells.iter().map(|cell| row(&[*cell])).collect();
        encodings.sort();
        encodings.dedup();
        assert_eq!(encodings.len(), cells.len());
        assert_eq!(row(&[Cell::Unsigned(1)]), row(&[Cell::Signed(1)]));
        assert_ne!(
            row(&[Cell::Text(b"ab"), Cell::Text(b"c")]),
            row(&[Cell::Text(b"a"), Cell::Text(b"bc")])
        );
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let cells = every_cell(b"abc");
        let bytes = row(&cells);
        for end in 0..bytes.len() {
            let error = decode_row(&mut &bytes[..end], cells.len()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "cut at {end}");
        }
        assert!(decode_row(&mut bytes.as_slice(), 2).is_err());
        for byte in 0..=u8::MAX {
            drop(decode_row(&mut [1, byte, 0xff, 0xff, 0xff].as_slice(), 1));
            drop(decode_row(&mut [byte; 40].as_slice(), 1));
        }
    }
}
