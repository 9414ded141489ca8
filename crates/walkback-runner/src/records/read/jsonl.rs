//! JSON Lines: one object a line. Numbers keep the digits they are written with.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::Deserializer;
use walkback_core::{Error, Result};

use super::{Place, REJECT_FIELD, Record, Unreadable, open};
use crate::records::cell::Cell;

/// What some editors put at the beginning of a file.
const MARK: &[u8] = b"\xef\xbb\xbf";

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
            let read = self.inner.read_until(b'\n', &mut self.line);
            let read = read.map_err(|error| Error::io("read", &self.path, error))?;
            if read == 0 {
                return Ok(None);
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
            // A record that could not be read is there as a whole, and still cannot be.
            let about: serde_json::Value = serde_json::from_str(raw).unwrap_or_default();
            if about.get("raw").is_some() || about.get("raw_hex").is_some() {
                return Err(format!(
                    "the record could not be read, and was not mended: write its fields in the place of `{REJECT_FIELD}`"
                ));
            }
            continue;
        }
        fields.push((Arc::from(key), Cell::of_json(raw.trim_end())));
    }
    Ok(fields)
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
    }
}
