//! JSON Lines: one object a line. Numbers keep the digits they are written with.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::Deserializer;
use walkback_core::{Error, ErrorKind, Result};

use super::{LARGEST, MARK, NOT_UTF8, Place, REJECT_FIELD, Record, Unreadable, open};
use crate::records::cell::Cell;

/// A file of one JSON object a line.
pub(in crate::records) struct JsonReader {
    inner: BufReader<File>,
    path: PathBuf,
    line: Vec<u8>,
    place: Place,
}

impl JsonReader {
    pub(super) fn open(path: &Path, from: Option<Place>) -> Result<Self> {
        let mut file = open(path)?;
        let place = from.unwrap_or_default();
        file.seek(SeekFrom::Start(place.bytes))
            .map_err(|error| Error::io("read", path, error))?;
        Ok(Self {
            inner: BufReader::new(file),
            path: path.to_owned(),
            line: Vec::new(),
            place,
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        loop {
            self.line.clear();
            let mut limited = self.inner.by_ref().take(LARGEST + 1);
            let read = limited.read_until(b'\n', &mut self.line);
            let read = read.map_err(|error| Error::io("read", &self.path, error))?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 > LARGEST {
                let (path, line) = (self.path.display(), self.place.lines + 1);
                let why = format!(
                    "`{path}` cannot be loaded: line {line} is larger than {} MiB",
                    LARGEST >> 20
                );
                return Err(Error::new(ErrorKind::Usage, why));
            }
            let mut text = &self.line[..];
            if self.place.bytes == 0 {
                text = text.strip_prefix(MARK).unwrap_or(text);
            }
            self.place.bytes += read as u64;
            self.place.lines += 1;
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            self.place.records += 1;
            return Ok(Some(Record {
                number: self.place.records,
                line: self.place.lines,
                body: fields(text).map_err(|why| Unreadable {
                    why,
                    raw: text.to_owned(),
                }),
                end: self.place,
            }));
        }
    }
}

/// Takes an object apart without touching its values.
fn fields(line: &[u8]) -> std::result::Result<Vec<(Arc<str>, Cell)>, String> {
    let text = std::str::from_utf8(line).map_err(|error| {
        format!(
            "the line is not UTF-8, from its byte {} on",
            error.valid_up_to() + 1
        )
    })?;
    // It has to be one object as a whole; what follows only looks for where its values are.
    let wrong = |error: serde_json::Error| format!("the line is not JSON: {error}");
    serde_json::from_str::<IgnoredAny>(text).map_err(wrong)?;
    let Some(mut rest) = text.strip_prefix('{') else {
        return Err("the line is JSON, but no object".to_owned());
    };
    let mut fields: Vec<(Arc<str>, Cell)> = Vec::new();
    let mut broken = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t', '\r']);
        if rest.starts_with('}') {
            break;
        }
        let mut keys = Deserializer::from_str(rest).into_iter::<String>();
        let Some(Ok(key)) = keys.next() else {
            return Err("a name in the line cannot be read".to_owned());
        };
        rest = rest[keys.byte_offset()..].trim_start();
        rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
        let mut values = Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        let Some(Ok(_)) = values.next() else {
            return Err(format!("the value of `{key}` cannot be read"));
        };
        let raw = &rest[..values.byte_offset()];
        rest = &rest[raw.len()..];
        if fields.iter().any(|(other, _)| **other == *key) {
            return Err(format!("`{key}` stands twice in the line"));
        }
        if key == REJECT_FIELD {
            broken = about_reject(raw)?;
            continue;
        }
        let cell = Cell::of_json(raw.trim_end())
            .map_err(|error| format!("the value of `{key}` is no text: {error}"))?;
        fields.push((Arc::from(key), cell));
    }
    for (name, cell) in &mut fields {
        if broken.iter().any(|broken| **name == **broken) {
            cell.break_up();
        }
    }
    Ok(fields)
}

/// Reads what is said of a record that was rejected before: the names of the fields that are bytes and no UTF-8.
fn about_reject(raw: &str) -> std::result::Result<Vec<String>, String> {
    let about: serde_json::Value = serde_json::from_str(raw).unwrap_or_default();
    // A record that could not be read is there as a whole, and still cannot be.
    if about.get("raw").is_some() || about.get("raw_hex").is_some() {
        return Err(format!(
            "the record could not be read, and was not mended: write its fields in the place of `{REJECT_FIELD}`"
        ));
    }
    let names = about.get(NOT_UTF8).and_then(|names| names.as_array());
    let names = names.into_iter().flatten().filter_map(|name| name.as_str());
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> std::result::Result<Vec<(String, Cell)>, String> {
        let fields = fields(line.as_bytes())?;
        Ok(fields
            .into_iter()
            .map(|(name, cell)| (name.to_string(), cell))
            .collect())
    }

    #[test]
    fn values_keep_the_digits_they_are_written_with() {
        let read = of(r#"{ "a" : 12345678901234567890.10 ,"b":"x\"}","c":{"d":[1,{}]}, "e":null,"f":true }"#)
            .unwrap();
        let expected = [
            ("a", Cell::Number("12345678901234567890.10".to_owned())),
            ("b", Cell::Text("x\"}".to_owned())),
            ("c", Cell::Json("{\"d\":[1,{}]}".to_owned())),
            ("e", Cell::Null),
            ("f", Cell::Bool(true)),
        ];
        let expected: Vec<_> = expected.map(|(name, cell)| (name.to_owned(), cell)).into();
        assert_eq!(read, expected);
        assert_eq!(of("{}").unwrap(), []);
    }

    #[test]
    fn what_is_no_object_says_why() {
        for (line, why) in [
            ("[1]", "no object"),
            ("{\"a\":1", "not JSON"),
            ("{\"a\":1,\"a\":2}", "twice"),
            ("{\"a\":\"\\ud800\"}", "no text"),
            ("{\"_walkback_reject\":{\"raw\":\"x\"}}", "not mended"),
        ] {
            assert!(of(line).unwrap_err().contains(why), "{line}");
        }
        assert!(fields(b"{\"a\":\"\xff\"}").unwrap_err().contains("not UTF-8"));
    }

    #[test]
    fn the_reason_of_a_rejected_record_is_dropped() {
        let read = of(r#"{"_walkback_reject":{"line":3,"reason":"no"},"a":"1"}"#).unwrap();
        assert_eq!(read, [("a".to_owned(), Cell::Text("1".to_owned()))]);
        // What was no UTF-8 still is none, and what only looks like it is a document.
        let read =
            of(r#"{"_walkback_reject":{"not_utf8":["a"]},"a":{"text_hex":"ff"},"b":{"text_hex":"ff"}}"#);
        let document = Cell::Json("{\"text_hex\":\"ff\"}".to_owned());
        let expected = [
            ("a".to_owned(), Cell::Broken(vec![0xff])),
            ("b".to_owned(), document),
        ];
        assert_eq!(read.unwrap(), expected);
    }
}
