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
    pub(super) fn of_json(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => serde_json::from_str(raw).map_or_else(|_| Self::Json(raw.to_owned()), Self::Text),
            Some(b'{' | b'[') => Self::of_structure(raw),
            _ => Self::Number(raw.to_owned()),
        }
    }

    /// Reads an array or an object, of which three say what JSON has no word for: as `backup export` writes them, and
    /// as rejected records are written.
    fn of_structure(raw: &str) -> Self {
        let special = || {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(raw).ok()?;
            let mut entries = object.into_iter();
            let (Some((name, serde_json::Value::String(text))), None) = (entries.next(), entries.next())
            else {
                return None;
            };
            match name.as_str() {
                "number" => Some(Self::Number(text)),
                "hex" => Some(Self::Text(format!("\\x{text}"))),
                "text_hex" => unhex(&text).map(Self::Broken),
                _ => None,
            }
        };
        special().unwrap_or_else(|| Self::Json(raw.to_owned()))
    }

    /// Writes it as JSON that reads back as the same.
    pub(super) fn to_json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Text(text) => quoted(text),
            Self::Broken(bytes) => format!("{{\"text_hex\":\"{}\"}}", hex(bytes)),
            // What is no number to JSON has come in quotes.
            Self::Number(digits) if serde_json::from_str::<serde_json::Number>(digits).is_ok() => {
                digits.clone()
            }
            Self::Number(digits) => format!("{{\"number\":{}}}", quoted(digits)),
            Self::Bool(value) => value.to_string(),
            Self::Json(raw) => raw.clone(),
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
            Cell::Broken(vec![0xff, 0x41]),
            Cell::Number("123456789012345678901234567890.10".to_owned()),
            Cell::Number("NaN".to_owned()),
            Cell::Bool(true),
            Cell::Json("{\"a\": [1.0]}".to_owned()),
        ] {
            assert_eq!(Cell::of_json(&cell.to_json()), cell);
        }
    }

    #[test]
    fn what_an_export_writes_is_understood() {
        assert_eq!(
            Cell::of_json(r#"{"hex":"00ff"}"#),
            Cell::Text("\\x00ff".to_owned())
        );
        assert_eq!(
            Cell::of_json(r#"{"number":"1.10"}"#),
            Cell::Number("1.10".to_owned())
        );
        assert_eq!(
            Cell::of_json(r#"{"hex":"00","b":1}"#),
            Cell::Json(r#"{"hex":"00","b":1}"#.to_owned())
        );
    }
}
