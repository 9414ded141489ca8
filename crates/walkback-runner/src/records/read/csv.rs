//! Comma-separated values, as RFC 4180 has them: what is written otherwise is no record, for nobody could say what was meant.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkback_core::{Error, ErrorKind, Result};

use super::scan::Scan;
use super::{LARGEST, MARK, Place, Record, Unreadable, open};
use crate::records::cell::Cell;

/// A file of comma-separated values whose first line names the fields.
pub(in crate::records) struct CsvReader {
    inner: BufReader<File>,
    path: PathBuf,
    delimiter: u8,
    header: Vec<Arc<str>>,
    null: Vec<u8>,
    /// The bytes of the record that is being read.
    raw: Vec<u8>,
    place: Place,
}

impl CsvReader {
    pub(super) fn open(path: &Path, (delimiter, null): (u8, &str), from: Option<Place>) -> Result<Self> {
        let mut reader = Self {
            inner: BufReader::new(open(path)?),
            path: path.to_owned(),
            delimiter,
            header: Vec::new(),
            null: null.as_bytes().to_owned(),
            raw: Vec::new(),
            place: Place::default(),
        };
        reader.read_header()?;
        if let Some(from) = from {
            let sought = reader.inner.seek(SeekFrom::Start(from.bytes));
            sought.map_err(|error| Error::io("read", path, error))?;
            reader.place = from;
        }
        Ok(reader)
    }

    fn read_header(&mut self) -> Result<()> {
        let Some((_, scan)) = self.scan()? else {
            return Err(self.wrong("it is empty, and its first line has to name the fields"));
        };
        if let Some(why) = scan.wrong {
            return Err(self.wrong(&format!("its first line cannot be read: {why}")));
        }
        for name in scan.fields {
            let name =
                String::from_utf8(name).map_err(|_| self.wrong("the names of its fields are not UTF-8"))?;
            if self.header.iter().any(|other| **other == *name) {
                return Err(self.wrong(&format!("two of its fields are called `{name}`")));
            }
            self.header.push(Arc::from(name));
        }
        Ok(())
    }

    pub(super) fn header(&self) -> &[Arc<str>] {
        &self.header
    }

    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        let Some((line, scan)) = self.scan()? else {
            return Ok(None);
        };
        self.place.records += 1;
        let has = scan.fields.len();
        let body = if let Some(why) = scan.wrong {
            Err(why.to_owned())
        } else if has == self.header.len() {
            let cells = scan.fields.into_iter().map(|field| self.cell(field));
            Ok(self.header.iter().cloned().zip(cells).collect())
        } else {
            let named = self.header.len();
            Err(format!(
                "the record has {has} fields, and the header names {named}"
            ))
        };
        Ok(Some(Record {
            number: self.place.records,
            line,
            body: body.map_err(|why| Unreadable {
                why,
                raw: self.raw.trim_ascii_end().to_owned(),
            }),
            end: self.place,
        }))
    }

    /// Reads the next record that is not a blank line, and takes it apart. Returns the line it begins in.
    fn scan(&mut self) -> Result<Option<(u64, Scan)>> {
        loop {
            let begins = self.place.lines + 1;
            let mut scan = Scan::new(self.delimiter);
            self.raw.clear();
            loop {
                let before = self.raw.len();
                if !self.read_line(begins)? {
                    if let Some(line) = scan.open_since() {
                        return Err(self
                            .wrong(&format!(
                                "the quote that is opened in line {line} is never closed"
                            ))
                            .hint("a quote inside a field is written twice, and the field between quotes"));
                    }
                    return Ok(None);
                }
                scan.take(&self.raw[before..], self.place.lines);
                if scan.open_since().is_none() {
                    break;
                }
            }
            if !self.raw.trim_ascii_end().is_empty() || self.raw.iter().any(|byte| !b"\r\n".contains(byte)) {
                scan.end();
                return Ok(Some((begins, scan)));
            }
        }
    }

    /// Reads one more line, with its end. Nothing: the file is at its end.
    fn read_line(&mut self, begins: u64) -> Result<bool> {
        let before = self.raw.len();
        let left = (LARGEST + 1).saturating_sub(before as u64);
        let read = self.inner.by_ref().take(left).read_until(b'\n', &mut self.raw);
        let read = read.map_err(|error| Error::io("read", &self.path, error))?;
        if self.raw.len() as u64 > LARGEST {
            return Err(self
                .wrong(&format!(
                    "the record that begins in line {begins} is larger than {} MiB",
                    LARGEST >> 20
                ))
                .hint("a quote that is opened there may never be closed"));
        }
        if self.place.bytes == 0 && self.raw.starts_with(MARK) {
            self.raw.drain(..MARK.len());
        }
        self.place.bytes += read as u64;
        self.place.lines += u64::from(read > 0);
        Ok(read > 0)
    }

    fn cell(&self, field: Vec<u8>) -> Cell {
        if field == self.null {
            return Cell::Null;
        }
        String::from_utf8(field).map_or_else(|error| Cell::Broken(error.into_bytes()), Cell::Text)
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
    fn what_is_quoted_otherwise_is_no_record() {
        for (line, why) in [
            ("1,\"ab\"cd", "behind"),
            ("1,\"ab\" ", "behind"),
            ("1,a\"b", "inside"),
            ("1, \"a\"", "inside"),
            ("1,a\rb", "carriage return"),
        ] {
            let text = format!("id,name\n0,a\n{line}\n2,\"b \"\"c\"\"\"\n");
            let read = read(text.as_bytes(), None);
            assert_eq!(read.len(), 3, "{line}");
            let unreadable = read[1].body.as_ref().unwrap_err();
            assert!(unreadable.why.contains(why), "{line}: {}", unreadable.why);
            assert_eq!(unreadable.raw, line.trim_ascii_end().as_bytes());
            let last = read[2].body.as_ref().unwrap();
            assert_eq!(last[1].1, Cell::Text("b \"c\"".to_owned()));
        }
    }

    #[test]
    fn an_open_quote_at_the_end_names_its_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "id,name\n1,a\n2,\"b\n3,c\n4,d\n").unwrap();
        let mut reader = CsvReader::open(file.path(), (b',', ""), None).unwrap();
        assert!(reader.next().unwrap().is_some());
        let error = reader.next().err().unwrap().to_string();
        assert!(error.contains("opened in line 3 is never closed"), "{error}");
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
