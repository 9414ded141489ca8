//! Places in a configuration file, and errors that point at them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use walkback_core::{Error, ErrorKind};

/// A place in a file: what a message points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters it is wide.
    pub width: usize,
    /// The whole line, with passwords left out.
    pub text: String,
}

impl Place {
    /// Finds the place of a range of bytes in a text.
    pub(crate) fn of(file: &Path, text: &str, span: &Range<usize>) -> Self {
        let start = floor_boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor_boundary(text, span.end).clamp(start, line_end);
        Self {
            file: file.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            text: without_secrets(text[line_start..line_end].trim_end()),
        }
    }

    /// Creates an error of kind [`ErrorKind::Config`] about this place.
    pub(crate) fn error(&self, message: impl std::fmt::Display) -> Error {
        let Self { line, column, .. } = self;
        Error::new(
            ErrorKind::Config,
            format!("{message} ({}:{line}:{column})", self.file.display()),
        )
        .with_context("file", self.file.display())
        .with_context("line", line)
        .with_context("column", column)
        .with_context("width", self.width)
        .with_context("text", &self.text)
    }
}

fn floor_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// Returns a line of a configuration as it may be shown: passwords inside URLs, and the values of keys that
/// sound like secrets, are left out.
pub(crate) fn without_secrets(line: &str) -> String {
    const SOUNDS_SECRET: [&str; 5] = ["pass", "secret", "token", "credential", "identity"];
    if let Some((key, _)) = line.split_once('=')
        && SOUNDS_SECRET
            .iter()
            .any(|word| key.to_ascii_lowercase().contains(word))
    {
        return format!("{key}= ***");
    }
    redact_urls(line)
}

/// Returns a text with the password of every URL in it replaced by `***`.
pub(crate) fn redact_urls(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, authority) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = authority
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\''))
            .unwrap_or(authority.len());
        // A password may itself hold `@`, `/` or `:`; the last `@` ends it at the latest.
        let secret = authority[..end].rfind('@').and_then(|host| {
            let colon = authority[..host].find(':')?;
            Some((colon + 1, host))
        });
        match secret {
            Some((from, to)) => {
                shown.push_str(&authority[..from]);
                shown.push_str("***");
                rest = &authority[to..];
            }
            None => rest = authority,
        }
    }
    shown.push_str(rest);
    shown
}

/// Lists names for a message, each in backticks.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Returns the candidate a mistyped name most likely meant.
pub(crate) fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&name.to_lowercase(), candidate),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let text = "a = 1\nüber = 'é'\r\nlast";
        let at = text.find("'é'").unwrap();
        let place = Place::of(Path::new("w.toml"), text, &(at..at + 4));
        assert_eq!((place.line, place.column, place.width), (2, 8, 3));
        assert_eq!(place.text, "über = 'é'");
        let end = Place::of(Path::new("w.toml"), text, &(text.len()..text.len() + 9));
        assert_eq!((end.line, end.column, end.width), (3, 5, 1));
    }

    #[test]
    fn passwords_are_never_shown() {
        for (line, shown) in [
            (
                "url = \"postgres://app:s3cret@db/x\"",
                "url = \"postgres://app:***@db/x\"",
            ),
            (
                "url = \"mysql://a:p@ss:w/rd@db\" # c",
                "url = \"mysql://a:***@db\" # c",
            ),
            ("url = \"sqlite:app.db\"", "url = \"sqlite:app.db\""),
            ("url = \"postgres://app@db/x\"", "url = \"postgres://app@db/x\""),
            ("passphrase = \"hunter2\"", "passphrase = ***"),
            ("x = \"a://b:c@d e://f:g@h", "x = \"a://b:***@d e://f:***@h"),
        ] {
            assert_eq!(without_secrets(line), shown);
        }
    }

    #[test]
    fn a_typo_is_answered_with_what_was_meant() {
        assert_eq!(suggest("stroes", ["stores", "url"]), Some("stores"));
        assert_eq!(suggest("Url", ["stores", "url"]), Some("url"));
        assert_eq!(suggest("colour", ["stores", "url"]), None);
    }
}
