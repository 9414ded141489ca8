//! What a changeset is called, by its key alone: the journal knows it by that, whatever other files there are.

use md5::{Digest as _, Md5};

/// How many characters of an identity the journal holds.
const LONGEST: usize = 255;

/// Returns the identity of a key of the ledger: `file::id::author`, as Liquibase prints it.
///
/// No two keys have one identity, but for spellings of one path: what would not be told apart, or cannot stand in a target, is
/// written as `%20`.
pub(crate) fn identity(key: &[String]) -> String {
    let part = |index: usize| key.get(index).map_or("", String::as_str);
    let file = plain(part(2));
    let whole = [file.as_str(), part(0), part(1)].map(escaped).join("::");
    if whole.chars().count() <= LONGEST {
        return whole;
    }
    let sum = hex::encode(Md5::digest(whole.as_bytes()));
    let kept: String = whole.chars().take(LONGEST - sum.len() - 1).collect();
    format!("{kept}~{sum}")
}

/// Returns what a target may call a changeset for short: `author:id`.
pub(crate) fn alias(key: &[String]) -> String {
    let part = |index: usize| key.get(index).map_or("", String::as_str);
    format!("{}:{}", escaped(part(1)), escaped(part(0)))
}

fn escaped(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut escaped = String::with_capacity(text.len());
    for (index, letter) in letters.iter().enumerate() {
        let is_colon = |at: Option<usize>| {
            at.and_then(|at| letters.get(at))
                .is_none_or(|other| *other == ':')
        };
        // Beside another one, or at an end, it would read as the sign between the parts.
        let is_seam = *letter == ':' && (is_colon(index.checked_sub(1)) || is_colon(Some(index + 1)));
        if is_seam || *letter == '%' || letter.is_whitespace() || letter.is_control() {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        } else {
            escaped.push(*letter);
        }
    }
    escaped
}

/// Returns a path as the ledger has it.
pub(crate) fn plain(path: &str) -> String {
    let path = path.replace('\\', "/");
    let path = path.strip_prefix("classpath:").unwrap_or(&path);
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str, author: &str, file: &str) -> String {
        identity(&[id.to_owned(), author.to_owned(), file.to_owned()])
    }

    #[test]
    fn a_path_is_written_as_liquibase_writes_it() {
        assert_eq!(plain("./db\\a/../b.sql"), "db/b.sql");
        assert_eq!(plain("classpath:/db/b.sql"), "db/b.sql");
    }

    /// Stored downs are found by it: two changesets with one identity would be taken back by each other's.
    #[test]
    fn an_identity_is_that_of_one_key() {
        assert_eq!(of("1", "bob", "db/a.sql"), "db/a.sql::1::bob");
        assert_eq!(of("1", "Carla C.", "a.sql"), "a.sql::1::Carla%20C.");
        for spelled in [
            "classpath:order.sql",
            "classpath:/order.sql",
            "/a/../order.sql",
            "order.sql",
        ] {
            assert_eq!(of("1", "a", spelled), "order.sql::1::a");
        }
        let all = [
            of("1", "a b", "f"),
            of("1", "a_b", "f"),
            of("1", "a%20b", "f"),
            of("b", "c", "a::f"),
            of("f::b", "c", "a"),
            of(":b", "c", "a"),
            of("b", ":c", "a"),
            of("b:", "c", "a"),
            of(&"x".repeat(255), "c", "a"),
            of(&"x".repeat(255), "d", "a"),
        ];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
        assert!(all.iter().all(|one| one.chars().count() <= 255));
    }
}
