//! Events of the server's scheduler in scratch databases.
//!
//! None may run there: it would write rows that nobody wrote, and may write them to other databases. So an event is made there
//! as one that another server runs. Which ones are so only for that reason is kept in mind, for a scratch database is read by the
//! program that made it, and an event is described there as it was meant.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use walkback_sql::lexer::{Token, TokenKind, significant_tokens};

use crate::dialect;
use crate::scratch::is_scratch;

/// Says that another server runs an event.
const ASLEEP: &str = "DISABLE ON SLAVE";

/// Words behind `CREATE` of which one comes before any `EVENT` if it is not an event that is created.
const OTHERS: &[&str] = &[
    "TABLE",
    "VIEW",
    "TRIGGER",
    "PROCEDURE",
    "FUNCTION",
    "INDEX",
    "DATABASE",
    "SCHEMA",
    "USER",
    "ROLE",
    "SEQUENCE",
    "SERVER",
    "PACKAGE",
];

/// Events of scratch databases that would run if they were elsewhere: the database, and the name in small letters.
static SLEEPING: LazyLock<Mutex<BTreeSet<(String, String)>>> = LazyLock::new(Mutex::default);

fn sleeping() -> MutexGuard<'static, BTreeSet<(String, String)>> {
    SLEEPING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns how a statement reads that makes or changes an event in a scratch database, so that the event does not run. `None`: as
/// it is.
pub(crate) fn asleep(database: &str, sql: &str) -> Option<String> {
    if !is_scratch(database) {
        return None;
    }
    let tokens: Vec<_> = significant_tokens(dialect::KIND, sql);
    let tokens: Vec<_> = tokens
        .into_iter()
        .filter(|token| !matches!(token.kind, TokenKind::ExecutableBegin | TokenKind::ExecutableEnd))
        .collect();
    let head = Head::read(&tokens)?;
    let key = |name: String| (database.to_owned(), name.to_lowercase());
    let is_awake = match head.state {
        Some((from, to)) => from == to && tokens[from].is_word("ENABLE"),
        None if head.is_created => true,
        None => {
            if let Some(renamed) = head.renamed.filter(|_| sleeping().contains(&key(head.name))) {
                sleeping().insert(key(renamed));
            }
            return None;
        }
    };
    let mut all = sleeping();
    for name in std::iter::once(head.name).chain(head.renamed) {
        if is_awake {
            all.insert(key(name));
        } else {
            all.remove(&key(name));
        }
    }
    drop(all);
    if !is_awake {
        return None;
    }
    let (from, to) = match head.state {
        Some((from, to)) => (tokens[from].offset, tokens[to].end()),
        None => (head.end, head.end),
    };
    Some(format!("{}{ASLEEP} {}", &sql[..from], &sql[to..]))
}

/// Returns the text of an event of a scratch database as it would be elsewhere.
pub(crate) fn as_meant(database: &str, name: &str, text: &str) -> Option<String> {
    if !sleeping().contains(&(database.to_owned(), name.to_lowercase())) {
        return None;
    }
    let tokens = significant_tokens(dialect::KIND, text);
    let (from, to) = Head::read(&tokens)?.state?;
    Some(format!(
        "{}ENABLE{}",
        &text[..tokens[from].offset],
        &text[tokens[to].end()..]
    ))
}

/// What stands before the body of an event.
struct Head {
    is_created: bool,
    name: String,
    renamed: Option<String>,
    /// The first and the last token of what says whether it runs.
    state: Option<(usize, usize)>,
    /// Where that would be said.
    end: usize,
}

impl Head {
    fn read(tokens: &[Token<'_>]) -> Option<Self> {
        let first = tokens.first()?;
        let is_created = first.is_word("CREATE");
        if !is_created && !first.is_word("ALTER") {
            return None;
        }
        let event = tokens
            .iter()
            .position(|token| token.is_word("EVENT") || OTHERS.iter().any(|word| token.is_word(word)));
        let event = event.filter(|index| tokens[*index].is_word("EVENT"))?;
        let mut at = event + 1;
        let is_conditional = tokens.get(at)?.is_word("IF") && tokens.get(at + 1)?.is_word("NOT");
        if is_conditional {
            at += 3;
        }
        let (name, behind) = last_name(tokens, at)?;
        let body = (behind..tokens.len()).find(|index| tokens[*index].is_word("DO"));
        let body = body.unwrap_or(tokens.len());
        let find = |words: &[&str]| {
            (behind..body).find(|index| words.iter().any(|word| tokens[*index].is_word(word)))
        };
        let renamed = find(&["RENAME"]).and_then(|index| last_name(tokens, index + 2));
        let state = find(&["ENABLE", "DISABLE"]).map(|from| {
            let is_on = tokens.get(from + 1).is_some_and(|token| token.is_word("ON"));
            let is_of_replica = is_on
                && tokens
                    .get(from + 2)
                    .is_some_and(|token| token.is_word("SLAVE") || token.is_word("REPLICA"));
            (from, if is_of_replica { from + 2 } else { from })
        });
        let end = find(&["COMMENT"]).unwrap_or(body);
        Some(Self {
            is_created,
            name,
            renamed: renamed.map(|(name, _)| name),
            state,
            end: tokens
                .get(end)
                .map_or_else(|| tokens.last().map_or(0, Token::end), |token| token.offset),
        })
    }
}

/// Returns the last part of a name, and the token behind it.
fn last_name(tokens: &[Token<'_>], at: usize) -> Option<(String, usize)> {
    let is_dot = |index: usize| tokens.get(index).is_some_and(|token| token.is_symbol("."));
    let at = if is_dot(at + 1) { at + 2 } else { at };
    let text = tokens.get(at)?.text;
    let name = match text.chars().next()? {
        quote @ ('`' | '"') => {
            let doubled: String = [quote, quote].iter().collect();
            text.get(1..text.len().checked_sub(1)?)?
                .replace(&doubled, &quote.to_string())
        }
        _ => text.to_owned(),
    };
    Some((name, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_sleeps_in_a_scratch_database_and_is_described_as_it_was_meant() {
        let scratch = "walkback_scratch_00";
        for (sql, expected) in [
            (
                "CREATE DEFINER=`a`@`%` EVENT `e` ON SCHEDULE EVERY 1 SECOND ON COMPLETION PRESERVE ENABLE COMMENT 'DO' DO DELETE FROM t",
                "CREATE DEFINER=`a`@`%` EVENT `e` ON SCHEDULE EVERY 1 SECOND ON COMPLETION PRESERVE DISABLE ON SLAVE  COMMENT 'DO' DO DELETE FROM t",
            ),
            (
                "CREATE EVENT IF NOT EXISTS app.e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
                "CREATE EVENT IF NOT EXISTS app.e ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO SELECT 1",
            ),
            ("ALTER EVENT e ENABLE", "ALTER EVENT e DISABLE ON SLAVE "),
        ] {
            assert_eq!(asleep(scratch, sql).as_deref(), Some(expected), "{sql}");
            assert_eq!(asleep("app", sql), None);
        }
        let shown = "CREATE EVENT `e` ON SCHEDULE EVERY 1 DAY DISABLE ON REPLICA DO SELECT 1";
        let meant = "CREATE EVENT `e` ON SCHEDULE EVERY 1 DAY ENABLE DO SELECT 1";
        assert_eq!(as_meant(scratch, "E", shown).as_deref(), Some(meant));
        assert_eq!(asleep(scratch, "ALTER EVENT e RENAME TO f"), None);
        assert_eq!(as_meant(scratch, "f", shown).as_deref(), Some(meant));
        for sql in [
            "ALTER EVENT e DISABLE ON SLAVE",
            "CREATE TABLE event (enable int)",
            "DROP EVENT e",
        ] {
            assert_eq!(asleep(scratch, sql), None, "{sql}");
        }
        assert_eq!(
            as_meant(scratch, "e", shown),
            None,
            "another server runs it indeed"
        );
    }
}
