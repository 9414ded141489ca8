//! The two encodings of rows: what `COPY` sends, row by row, without what stands around all of them.

use bytes::{Buf as _, BytesMut};
use walkback_core::bulk::{Chunk, Encoding};
use walkback_core::{Error, ErrorKind, Result};

/// What a binary `COPY` begins with: a signature, no flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What it ends with, in the place of a row's number of columns.
const TAIL: &[u8] = b"\xff\xff";

/// How rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `COPY (FORMAT binary)`.
    Binary,
    /// `COPY (FORMAT text)`, for types whose binary form is not the same in every database.
    Text,
}

impl Shape {
    /// Returns the name of the encoding.
    pub(crate) fn encoding(self) -> &'static str {
        match self {
            Self::Binary => "pg-copy-binary-v1",
            Self::Text => "pg-copy-text-v1",
        }
    }

    /// Returns the encoding of that name.
    pub(crate) fn of(encoding: &Encoding) -> Result<Self> {
        [Self::Binary, Self::Text]
            .into_iter()
            .find(|shape| shape.encoding() == encoding.0)
            .ok_or_else(|| Error::unsupported(format!("the encoding `{}` of rows", encoding.0), "PostgreSQL"))
    }

    pub(crate) fn head(self) -> &'static [u8] {
        match self {
            Self::Binary => HEAD,
            Self::Text => b"",
        }
    }

    pub(crate) fn tail(self) -> &'static [u8] {
        match self {
            Self::Binary => TAIL,
            Self::Text => b"",
        }
    }

    /// Fails if a chunk does not hold as many whole rows of so many columns as it says.
    pub(crate) fn check(self, chunk: &Chunk, columns: usize) -> Result<()> {
        self.each_end(chunk, columns, |_| {})
    }

    /// Says where each row of a chunk ends.
    pub(crate) fn each_end(self, chunk: &Chunk, columns: usize, mut give: impl FnMut(usize)) -> Result<()> {
        let mut rest = chunk.bytes.as_ref();
        let mut rows = 0;
        while !rest.is_empty() {
            let length = match self {
                Self::Binary => binary_row(rest, Some(columns))?,
                Self::Text => text_row(rest, columns)?,
            };
            let length = length.ok_or_else(|| damaged("it ends in the middle of a row"))?;
            rest = &rest[length..];
            rows += 1;
            give(chunk.bytes.len() - rest.len());
        }
        if rows == chunk.rows {
            return Ok(());
        }
        Err(damaged(&format!(
            "it says that it holds {} rows, and holds {rows}",
            chunk.rows
        )))
    }
}

/// Returns the length of the row that bytes begin with; `None` if more has to come.
fn binary_row(bytes: &[u8], columns: Option<usize>) -> Result<Option<usize>> {
    let Some(count) = bytes.first_chunk::<2>() else {
        return Ok(None);
    };
    let count = i16::from_be_bytes(*count);
    let count = usize::try_from(count).map_err(|_| damaged("a row has no number of columns"))?;
    if columns.is_some_and(|columns| columns != count) {
        return Err(damaged(&format!("a row has {count} columns")));
    }
    let mut at = 2;
    for _ in 0..count {
        let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Ok(None);
        };
        at += 4;
        match i32::from_be_bytes(*length) {
            // NULL.
            -1 => {}
            length => at += usize::try_from(length).map_err(|_| damaged("a cell has no length"))?,
        }
    }
    Ok((at <= bytes.len()).then_some(at))
}

fn text_row(bytes: &[u8], columns: usize) -> Result<Option<usize>> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let line = &bytes[..end];
    if line == b"\\." {
        return Err(damaged("a row says that it is the end"));
    }
    // A table without columns gives empty lines.
    let count = if columns == 0 && line.is_empty() {
        0
    } else {
        line.split(|byte| *byte == b'\t').count()
    };
    if count != columns {
        return Err(damaged(&format!("a row has {count} columns")));
    }
    Ok(Some(end + 1))
}

/// Splits what the server sends into rows.
#[derive(Debug)]
pub(crate) struct Splitter {
    shape: Shape,
    columns: usize,
    /// The beginning of what is not whole yet.
    rest: BytesMut,
    /// How much of the head has not come yet.
    skip: usize,
    is_over: bool,
}

impl Splitter {
    pub(crate) fn new(shape: Shape, columns: usize) -> Self {
        Self {
            shape,
            columns,
            rest: BytesMut::new(),
            skip: shape.head().len(),
            is_over: false,
        }
    }

    /// Takes a message, and gives each row that ends in it. A message is a row, nearly always: such a one is
    /// given without being copied.
    pub(crate) fn take(&mut self, message: &[u8], mut give: impl FnMut(&[u8])) -> Result<()> {
        if self.rest.is_empty() {
            let left = self.take_now(message, &mut give)?;
            self.rest.extend_from_slice(left);
            return Ok(());
        }
        let mut whole = std::mem::take(&mut self.rest);
        whole.extend_from_slice(message);
        let left = self.take_now(&whole, &mut give)?.len();
        whole.advance(whole.len() - left);
        self.rest = whole;
        Ok(())
    }

    fn take_now<'m>(&mut self, mut bytes: &'m [u8], give: &mut impl FnMut(&[u8])) -> Result<&'m [u8]> {
        if self.skip > 0 {
            if bytes.len() < self.skip {
                return Ok(bytes);
            }
            bytes = &bytes[std::mem::take(&mut self.skip)..];
        }
        while !bytes.is_empty() {
            if self.is_over || (self.shape == Shape::Binary && bytes.starts_with(TAIL)) {
                self.is_over = true;
                return Ok(&[]);
            }
            let length = match self.shape {
                Shape::Binary => binary_row(bytes, Some(self.columns))?,
                Shape::Text => text_row(bytes, self.columns)?,
            };
            let Some(length) = length else { break };
            let (row, rest) = bytes.split_at(length);
            give(row);
            bytes = rest;
        }
        Ok(bytes)
    }

    /// Fails if the server has ended in the middle of a row.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.rest.is_empty() && self.skip == 0 && (self.is_over || self.shape == Shape::Text) {
            return Ok(());
        }
        Err(Error::internal("PostgreSQL ended a copy in the middle of a row"))
    }
}

/// Says that a chunk is not what it should be.
pub(crate) fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("a chunk of rows is damaged: {why}"))
        .hint("check the backup with `walkback backup verify`, and restore from another one if it is damaged")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn binary(cells: &[Option<&[u8]>]) -> Vec<u8> {
        let mut row = i16::try_from(cells.len()).unwrap().to_be_bytes().to_vec();
        for cell in cells {
            match cell {
                None => row.extend((-1_i32).to_be_bytes()),
                Some(bytes) => {
                    row.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
                    row.extend_from_slice(bytes);
                }
            }
        }
        row
    }

    fn chunk(shape: Shape, rows: u64, bytes: &[u8]) -> Chunk {
        Chunk::new(
            Encoding(shape.encoding().to_owned()),
            rows,
            Bytes::copy_from_slice(bytes),
        )
    }

    #[test]
    fn rows_are_found_however_the_messages_are_cut() {
        let rows = [
            binary(&[Some(b"a"), None]),
            binary(&[Some(b""), Some(b"\xff\xff")]),
        ];
        let whole = [HEAD, &rows.concat(), TAIL].concat();
        for size in 1..whole.len() + 1 {
            let (mut splitter, mut found) = (Splitter::new(Shape::Binary, 2), Vec::new());
            for part in whole.chunks(size) {
                splitter.take(part, |row| found.push(row.to_vec())).unwrap();
            }
            splitter.finish().unwrap();
            assert_eq!(found, rows, "{size}");
        }
        let mut cut = Splitter::new(Shape::Binary, 2);
        cut.take(&whole[..30], |_| {}).unwrap();
        cut.finish().unwrap_err();
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let row = binary(&[Some(b"abc"), None]);
        Shape::Binary.check(&chunk(Shape::Binary, 1, &row), 2).unwrap();
        for end in 1..row.len() {
            assert!(
                Shape::Binary
                    .check(&chunk(Shape::Binary, 1, &row[..end]), 2)
                    .is_err(),
                "{end}"
            );
        }
        assert!(Shape::Binary.check(&chunk(Shape::Binary, 2, &row), 2).is_err());
        assert!(Shape::Binary.check(&chunk(Shape::Binary, 1, &row), 1).is_err());
        assert!(Shape::Binary.check(&chunk(Shape::Binary, 1, TAIL), 2).is_err());
        assert!(
            Shape::Binary
                .check(&chunk(Shape::Binary, 1, b"\0\x01\xff\xff\xff\xf0"), 1)
                .is_err()
        );
        Shape::Text
            .check(&chunk(Shape::Text, 2, b"a\t\\N\n\t\n"), 2)
            .unwrap();
        for wrong in [b"a\tb".as_slice(), b"a\n", b"\\.\n", b"a\tb\tc\n"] {
            assert!(Shape::Text.check(&chunk(Shape::Text, 1, wrong), 2).is_err());
        }
    }
}
