//! What stands behind `--changeset`: `author:id`, and attributes as `name:value`.

use std::path::Path;

use walkback_core::Error;

use crate::error;

/// The attributes that Liquibase reads, in lower case.
const KNOWN: &[&str] = &[
    "stripcomments",
    "splitstatements",
    "enddelimiter",
    "rollbackenddelimiter",
    "rollbacksplitstatements",
    "runonchange",
    "runalways",
    "runintransaction",
    "runwith",
    "runwithspoolfile",
    "context",
    "contextfilter",
    "labels",
    "dbms",
    "failonerror",
    "logicalfilepath",
    "objectquotingstrategy",
    "ignore",
    "created",
];

/// The first line of a changeset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) author: String,
    pub(crate) id: String,
    attributes: Vec<(String, String)>,
}

impl Header {
    /// Reads what stands behind `--changeset`.
    ///
    /// # Errors
    /// `Config` by `file:line` where there is no author or no id.
    pub(crate) fn read(text: &str, file: &Path, line: usize) -> walkback_core::Result<Self> {
        let wrong = || -> Error {
            error::at(file, line, "a changeset begins with `--changeset author:id`")
                .hint("an author or an id with blanks in it is quoted: `--changeset \"a b\":1`")
        };
        let (author, rest) = word(text.trim_start(), ':').ok_or_else(wrong)?;
        let rest = rest.trim_start().strip_prefix(':').ok_or_else(wrong)?;
        let (id, rest) = word(rest.trim_start(), ' ').ok_or_else(wrong)?;
        Ok(Self {
            author: author.trim().to_owned(),
            id,
            attributes: pairs(rest).map_err(|why| error::at(file, line, why))?,
        })
    }

    /// Returns the value of an attribute.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Returns whether an attribute is `true`, or what it is where it is not said.
    pub(crate) fn is(&self, name: &str, otherwise: bool) -> bool {
        self.get(name)
            .map_or(otherwise, |value| value.eq_ignore_ascii_case("true"))
    }

    /// Returns the attributes that Liquibase passes over.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &str> {
        let names = self.attributes.iter().map(|(name, _)| name.as_str());
        names.filter(|name| !KNOWN.contains(name))
    }
}

/// Takes a word from the beginning: quoted, or up to a blank or `end`.
fn word(text: &str, end: char) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let close = quoted.find('"')?;
        return Some((quoted[..close].to_owned(), &quoted[close + 1..]));
    }
    let is_end = |letter: char| letter == end || (end != ':' && letter.is_whitespace());
    let length = text.find(is_end).unwrap_or(text.len());
    (length > 0).then(|| (text[..length].to_owned(), &text[length..]))
}

/// Finds the next `name:`, and what stands behind it.
fn next_name(text: &str) -> Option<(&str, &str)> {
    let colon = text.find(':')?;
    let start = text[..colon]
        .rfind(|letter: char| !letter.is_ascii_alphanumeric())
        .map_or(0, |last| last + 1);
    Some((&text[start..colon], &text[colon + 1..]))
}

/// Reads `name:value` pairs, such as those of `--property` and `--preconditions`. A name without a value has an empty one.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = next_name(rest) {
        if after.starts_with('"') && !after[1..].contains('"') {
            return Err(format!(
                "the value of `{name}` begins with `\"` and does not end with one"
            ));
        }
        let (value, after) = word(after, ' ').unwrap_or((String::new(), after));
        pairs.push((name.to_lowercase(), value));
        rest = after;
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_with_its_quotes() {
        let read = |text| Header::read(text, Path::new("x.sql"), 3);
        let header =
            read(" \"alice b\":three dbms:h2 labels:\"a and b\" runOnChange:TRUE endDelimiter://").unwrap();
        assert_eq!((&*header.author, &*header.id), ("alice b", "three"));
        assert_eq!(header.get("dbms"), Some("h2"));
        assert_eq!(header.get("labels"), Some("a and b"));
        assert_eq!(header.get("enddelimiter"), Some("//"));
        assert!(header.is("runonchange", false) && header.is("splitstatements", true));
        let error = read("nobody").unwrap_err();
        assert!(error.message().contains("x.sql:3"), "{error}");
        // An empty value once took all that stood behind it away.
        let empty = read("a:1 labels: dbms:oracle").unwrap();
        assert_eq!((empty.get("labels"), empty.get("dbms")), (None, Some("oracle")));
        let error = read("a:1 labels:\"a and b dbms:oracle").unwrap_err();
        assert!(error.message().contains("x.sql:3"), "{error}");
        let contexts = read("a:1 contexts:x").unwrap();
        assert_eq!(contexts.unknown().collect::<Vec<_>>(), ["contexts"]);
    }
}
