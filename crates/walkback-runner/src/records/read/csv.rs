//! Comma-separated values, by the `csv` crate.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::{ByteRecord, Position, ReaderBuilder};
use walkback_core::{Error, ErrorKind, Result};

use super::{Place, Record, Unreadable, bytes_of, open};
use crate::records::cell::Cell;

/// A file of comma-separated values whose first line names the fields.
pub(in crate::records) struct CsvReader {
    inner: csv::Reader<File>,
    path: PathBuf,
    header: Vec<Arc<str>>,
    null: Vec<u8>,
    record: ByteRecord,
    place: Place,
}

impl CsvReader {
    pub(super) fn open(path: &Path, (delimiter, null): (u8, &str), from: Option<Place>) -> Result<Self> {
        let inner = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(open(path)?);
        let mut reader = Self {
            inner,
            path: path.to_owned(),
            header: Vec::new(),
            null: null.as_bytes().to_owned(),
            record: ByteRecord::new(),
            place: Place::default(),
        };
        reader.read_header()?;
        if let Some(from) = from {
            let mut position = Position::new();
            position.set_byte(from.bytes).set_line(from.lines + 1);
            reader
                .inner
                .seek(position)
                .map_err(|error| reader.failed(error))?;
            reader.place = from;
        }
        Ok(reader)
    }

    fn read_header(&mut self) -> Result<()> {
        let read = self.inner.read_byte_record(&mut self.record);
        let is_there = read.map_err(|error| self.failed(error))?;
        if !is_there {
            return Err(self.wrong("it is empty: its first line has to name the fields"));
        }
        let names = self
            .record
            .iter()
            .map(|name| std::str::from_utf8(name).map(Arc::from));
        let names = names.collect::<std::result::Result<Vec<Arc<str>>, _>>();
        self.header = names.map_err(|_| self.wrong("its first line is not UTF-8"))?;
        let twice = |(at, name): (usize, &Arc<str>)| self.header[..at].contains(name);
        if let Some(name) = self.header.iter().enumerate().find(|one| twice(*one)) {
            let why = format!("two of its fields are called `{}`", name.1);
            return Err(self.wrong(&why));
        }
        self.place = self.here(0);
        Ok(())
    }

    pub(super) fn header(&self) -> &[Arc<str>] {
        &self.header
    }

    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        let read = self.inner.read_byte_record(&mut self.record);
        if !read.map_err(|error| self.failed(error))? {
            return Ok(None);
        }
        let before = self.place;
        self.place = self.here(before.records + 1);
        let begins = self.record.position();
        let line = begins.map_or(before.lines + 1, Position::line);
        let body = if self.record.len() == self.header.len() {
            let cells = self.record.iter().map(|field| self.cell(field));
            Ok(self.header.iter().cloned().zip(cells).collect())
        } else {
            let from = begins.map_or(before.bytes, Position::byte);
            let raw = bytes_of(&self.path, from, self.place.bytes)?;
            Err(Unreadable {
                why: format!(
                    "the record has {} fields, and the header names {}",
                    self.record.len(),
                    self.header.len()
                ),
                raw: raw.trim_ascii_end().to_owned(),
            })
        };
        Ok(Some(Record {
            number: self.place.records,
            line,
            body,
            end: self.place,
        }))
    }

    fn cell(&self, field: &[u8]) -> Cell {
        if field == self.null {
            return Cell::Null;
        }
        match std::str::from_utf8(field) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Broken(field.to_owned()),
        }
    }

    fn here(&self, records: u64) -> Place {
        let position = self.inner.position();
        Place {
            records,
            lines: position.line().saturating_sub(1),
            bytes: position.byte(),
        }
    }

    fn failed(&self, error: csv::Error) -> Error {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => Error::io("read", &self.path, error),
            other => self.wrong(&format!("it cannot be read as CSV: {other:?}")),
        }
    }

    fn wrong(&self, why: &str) -> Error {
        Error::new(
            ErrorKind::Usage,
            format!("`{}` cannot be loaded: {why}", self.path.display()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], from: Option<Place>) -> Vec<Record> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut reader = CsvReader::open(file.path(), (b',', "\\N"), from).unwrap();
        let mut records = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            records.push(record);
        }
        records
    }

    #[test]
    fn it_goes_on_behind_any_record() {
        let text = b"\xef\xbb\xbfid,name\r\n1,\"a,\n\"\"b\"\"\"\r\n\r\n2,\\N\r\n3,\xff\n4\n5,x";
        let all = read(text, None);
        assert_eq!(all.len(), 5);
        let cells = |record: &Record| record.body.as_ref().map(|body| body[1].1.clone()).ok();
        assert_eq!(cells(&all[0]), Some(Cell::Text("a,\n\"b\"".to_owned())));
        assert_eq!(cells(&all[1]), Some(Cell::Null));
        assert_eq!(cells(&all[2]), Some(Cell::Broken(vec![0xff])));
        assert_eq!(all[3].body.as_ref().unwrap_err().raw, b"4");
        let lines: Vec<_> = all.iter().map(|record| record.line).collect();
        for (at, record) in all.iter().enumerate() {
            let rest = read(text, Some(record.end));
            assert_eq!(rest.len(), all.len() - at - 1);
            for (rest, all) in rest.iter().zip(&all[at + 1..]) {
                assert_eq!((rest.number, rest.end), (all.number, all.end));
            }
        }
        assert_eq!(lines, [2, 5, 6, 7, 8]);
    }

    #[test]
    fn a_file_without_a_header_or_with_one_twice_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || {
            CsvReader::open(file.path(), (b',', ""), None)
                .err()
                .map(|error| error.to_string())
        };
        assert!(open().unwrap().contains("it is empty"));
        std::fs::write(file.path(), "a,b,a\n").unwrap();
        assert!(open().unwrap().contains("two of its fields are called `a`"));
    }
}
