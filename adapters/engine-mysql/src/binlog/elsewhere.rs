//! Statements of other databases, which are not done again: what they set off there may have written here, and is not in a log of
//! statements.

use std::collections::BTreeSet;

use walkback_core::Result;

use super::apply::Replaying;
use super::bodies::places;
use super::statement::{self, name_at};

/// What has a text and is set off by statements: what it is called in them, and the text, of all databases but these.
const TEXTS: [(&str, &str, &str, &str); 3] = [
    (
        "TRIGGERS",
        "TRIGGER_SCHEMA",
        "EVENT_OBJECT_TABLE",
        "ACTION_STATEMENT",
    ),
    ("ROUTINES", "ROUTINE_SCHEMA", "ROUTINE_NAME", "ROUTINE_DEFINITION"),
    ("VIEWS", "TABLE_SCHEMA", "TABLE_NAME", "VIEW_DEFINITION"),
];

/// Databases of the server itself.
const SYSTEM: &str = "'mysql', 'sys', 'information_schema', 'performance_schema'";

/// How statements begin that write rows, or call what may.
const WRITING: [&str; 10] = [
    "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "SELECT", "DO", "CALL", "WITH", "SET",
];

/// Something of another database with a text.
#[derive(Debug, PartialEq, Eq)]
struct Body {
    /// What statements name that set it off: the table of a trigger, or itself. In small letters.
    handle: String,
    /// In small letters; `None` if it is not shown to this user.
    text: Option<String>,
}

/// What is in the other databases of the server that may write to this one.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// `None` until it was asked for.
    there: Option<Vec<Body>>,
    /// Made since, by the log.
    made: Vec<Body>,
    /// What sets off something that names this database. `None` until it was found out.
    reaching: Option<BTreeSet<String>>,
}

impl Replaying {
    /// Sees that a statement which is not done again has written nothing here.
    ///
    /// What was there only for a time before this, and is dropped, is not known any more.
    pub(super) async fn must_stay_elsewhere(&mut self, sql: &str) -> Result<()> {
        let tokens = statement::tokens(sql);
        let Some(first) = tokens.first() else {
            return Ok(());
        };
        if first.is_word("CREATE") || first.is_word("ALTER") {
            if let Some(handle) = handle(sql) {
                self.elsewhere.made.push(Body {
                    handle,
                    text: Some(sql.to_lowercase()),
                });
                self.elsewhere.reaching = None;
            }
            return Ok(());
        }
        if !WRITING.iter().any(|word| first.is_word(word)) {
            return Ok(());
        }
        self.look_elsewhere().await?;
        let sql_in_small = sql.to_lowercase();
        let reaching = self.elsewhere.reaching.iter().flatten();
        let mut named = reaching.filter(|handle| places(&sql_in_small, handle).next().is_some());
        let Some(handle) = named.next() else { return Ok(()) };
        let why = format!(
            "it is a statement of another database, and what it sets off there by `{handle}` may write to this one, which a log of \
             statements does not hold"
        );
        Err(self
            .refused(&why, Some(sql))
            .hint("SET GLOBAL binlog_format = 'ROW', so that this does not happen again"))
    }

    async fn look_elsewhere(&mut self) -> Result<()> {
        if self.elsewhere.there.is_none() {
            let mut there = Vec::new();
            for (view, schema, handle, text) in TEXTS {
                let sql = format!(
                    "SELECT {schema}, {handle}, {text} FROM information_schema.{view} \
                     WHERE {schema} NOT IN ({SYSTEM}) AND {schema} <> DATABASE()"
                );
                for row in self.scratch.texts(&sql).await? {
                    let [Some(schema), Some(handle), text] = &row[..] else {
                        continue;
                    };
                    if *schema != self.names.database {
                        there.push(Body {
                            handle: handle.to_lowercase(),
                            text: text.as_ref().map(|text| text.to_lowercase()),
                        });
                    }
                }
            }
            self.elsewhere.there = Some(there);
            self.elsewhere.reaching = None;
        }
        if self.elsewhere.reaching.is_none() {
            let bodies = self.elsewhere.there.iter().flatten().chain(&self.elsewhere.made);
            let bodies: Vec<_> = bodies.collect();
            self.elsewhere.reaching = Some(reaching(&bodies, &self.names.database.to_lowercase()));
        }
        Ok(())
    }
}

/// Returns what sets off something that names a database, by itself or by what it sets off in turn.
fn reaching(bodies: &[&Body], database: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    loop {
        let before = found.len();
        for body in bodies {
            let names = |name: &str| {
                let text = body.text.as_deref();
                text.is_none_or(|text| places(text, name).next().is_some())
            };
            if names(database) || found.iter().any(|handle: &String| names(handle)) {
                found.insert(body.handle.clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Returns what sets off something that a statement defines: the table of a trigger, or its own name.
fn handle(sql: &str) -> Option<String> {
    let tokens = statement::tokens(sql);
    let find = |words: &[&str]| {
        let mut places = tokens.iter().enumerate();
        places.find_map(|(index, token)| words.iter().any(|word| token.is_word(word)).then_some(index))
    };
    let is_trigger = |index: usize| tokens[index].is_word("TRIGGER");
    let object = find(&[
        "TRIGGER",
        "PROCEDURE",
        "FUNCTION",
        "VIEW",
        "TABLE",
        "EVENT",
        "DATABASE",
        "USER",
    ])?;
    let is_with_text = ["TRIGGER", "PROCEDURE", "FUNCTION", "VIEW"]
        .iter()
        .any(|word| tokens[object].is_word(word));
    if !is_with_text {
        return None;
    }
    let mut at = if is_trigger(object) {
        find(&["ON"])? + 1
    } else {
        object + 1
    };
    while tokens
        .get(at)
        .is_some_and(|token| ["IF", "NOT", "EXISTS"].iter().any(|word| token.is_word(word)))
    {
        at += 1;
    }
    if tokens.get(at + 1).is_some_and(|token| token.is_symbol(".")) {
        at += 2;
    }
    name_at(&tokens, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sets_it_off_is_the_table_of_a_trigger_or_its_own_name() {
        for (sql, expected) in [
            (
                "CREATE DEFINER=`root`@`%` TRIGGER other.r AFTER INSERT ON `other`.`Orders` FOR EACH ROW DELETE FROM app.u",
                Some("orders"),
            ),
            (
                "CREATE TRIGGER r BEFORE UPDATE ON t FOR EACH ROW SET NEW.a = 1",
                Some("t"),
            ),
            (
                "CREATE FUNCTION IF NOT EXISTS other.f() RETURNS INT RETURN 1",
                Some("f"),
            ),
            (
                "CREATE OR REPLACE VIEW `other`.v AS SELECT * FROM app.t",
                Some("v"),
            ),
            ("CREATE TABLE t (a INT)", None),
            ("ALTER TABLE t ADD COLUMN view INT", None),
        ] {
            assert_eq!(handle(sql).as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn what_reaches_here_is_found_over_any_number_of_steps() {
        let body = |handle: &str, text: Option<&str>| Body {
            handle: handle.to_owned(),
            text: text.map(str::to_owned),
        };
        let bodies = [
            body("a", Some("insert into b values (1)")),
            body("b", Some("call p()")),
            body("p", Some("delete from `app`.t")),
            body("harmless", Some("insert into apps values (1)")),
            body("hidden", None),
        ];
        let bodies: Vec<_> = bodies.iter().collect();
        let expected: BTreeSet<_> = ["a", "b", "hidden", "p"].map(str::to_owned).into();
        assert_eq!(reaching(&bodies, "app"), expected);
    }
}
