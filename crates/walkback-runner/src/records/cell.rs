//! One field of one record, as the file has it.

use serde::Serialize as _;

/// A field as the file has it: nothing is converted before the type of its column is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Text(String),
    /// Bytes that are not UTF-8.
    Broken(Vec<u8>),
    /// The digits of a number, as they are written.
    Number(String),
    Bool(bool),
    /// An array or an object of JSON, as it is written.
    Json(String),
}

impl Cell {
    /// Reads a value of JSON that is known to be one.
    ///
    /// # Errors
    /// If a text in it stands for no characters: half of a pair.
    pub(super) fn of_json(raw: &str) -> serde_json::Result<Self> {
        Ok(match raw.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::Text(serde_json::from_str(raw)?),
            // What it stands for depends on the column.
            Some(b'{' | b'[') => Self::Json(raw.to_owned()),
            _ => Self::Number(raw.to_owned()),
        })
    }

    /// Makes it the bytes that it spells: a text that was no UTF-8, as rejected records are written.
    pub(super) fn break_up(&mut self) {
        if let Self::Json(raw) = self
            && let Some(Escape::Broken(bytes)) = Escape::of(raw)
        {
            *self = Self::Broken(bytes);
        }
    }

    /// Writes it as JSON that reads back as the same.
    pub(super) fn to_json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Text(text) => quoted(text),
            Self::Broken(bytes) => format!("{{\"text_hex\":\"{}\"}}", hex(bytes)),
            Self::Number(digits) => digits.clone(),
            Self::Bool(value) => value.to_string(),
            Self::Json(raw) => raw.clone(),
        }
    }
}

/// What `backup export` writes where JSON has no word for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Escape {
    Number(String),
    /// As the text of bytes is written.
    Bytes(String),
    /// A text that is no UTF-8.
    Broken(Vec<u8>),
}

impl Escape {
    /// Reads an object that stands for a value; any other is none.
    pub(super) fn of(raw: &str) -> Option<Self> {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(raw).ok()?;
        let mut entries = object.into_iter();
        let (Some((name, serde_json::Value::String(text))), None) = (entries.next(), entries.next()) else {
            return None;
        };
        match name.as_str() {
            "number" => Some(Self::Number(text)),
            "hex" => Some(Self::Bytes(format!("\\x{text}"))),
            "text_hex" => unhex(&text).map(Self::Broken),
            _ => None,
        }
    }
}

/// Writes a text as JSON.
pub(super) fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    // Writing a text to memory cannot fail.
    text.serialize(&mut serde_json::Serializer::new(&mut out)).ok();
    String::from_utf8(out).unwrap_or_default()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

pub(super) fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        for cell in [
            Cell::Null,
            Cell::Text("it's \"😀\"\n\u{0}".to_owned()),
            Cell::Number("123456789012345678901234567890.10".to_owned()),
            Cell::Bool(true),
            Cell::Json("{\"a\": [1.0]}".to_owned()),
            Cell::Json("{\"number\":\"42\"}".to_owned()),
        ] {
            assert_eq!(Cell::of_json(&cell.to_json()).unwrap(), cell);
        }
        let broken = Cell::Broken(vec![0xff, 0x41]);
        let mut read = Cell::of_json(&broken.to_json()).unwrap();
        read.break_up();
        assert_eq!(read, broken);
    }

    #[test]
    fn what_an_export_writes_is_understood() {
        assert_eq!(
            Escape::of(r#"{"hex":"00ff"}"#),
            Some(Escape::Bytes("\\x00ff".to_owned()))
        );
        assert_eq!(
            Escape::of(r#"{"number":"1.10"}"#),
            Some(Escape::Number("1.10".to_owned()))
        );
        assert_eq!(Escape::of(r#"{"hex":"00","b":1}"#), None);
        assert!(Cell::of_json(r#""\ud800""#).is_err());
    }
}
