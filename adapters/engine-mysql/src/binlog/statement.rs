//! What a statement of the log is about, and how it reads for the scratch database.
//!
//! It was run in this database or in another one, and may name databases by itself. What is of this database alone is run
//! again, with its name in the place of the other; what is not at all is none of our business; and what is both, or
//! cannot be read, is refused.

use std::collections::BTreeSet;

use walkback_core::name::ObjectKind;
use walkback_core::statement::{Action, Statement};
use walkback_core::{DialectKind, TableName};
use walkback_sql::lexer::{Token, TokenKind, significant_tokens};

use crate::dialect::quoted;

/// What is to be done with a statement of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is about something else.
    Skip,
    /// Run this in the scratch database.
    Run(String),
    /// It cannot be done again, and why.
    Refuse(String),
}

/// Whose statements are done again, and under which name.
#[derive(Debug)]
pub(super) struct Names {
    /// The database.
    pub(super) database: String,
    /// The scratch database.
    pub(super) scratch: String,
    /// The other databases of the server, in small letters.
    pub(super) others: BTreeSet<String>,
    /// Tables that are left as they are.
    pub(super) leave: BTreeSet<String>,
}

/// Statements that leave no row and no definition of a database otherwise.
const ELSEWHERE: &[&str] = &[
    "GRANT",
    "REVOKE",
    "FLUSH",
    "ANALYZE",
    "OPTIMIZE",
    "REPAIR",
    "CHECK",
    "SET",
    "INSTALL",
    "UNINSTALL",
    "PURGE",
    "RESET",
    "KILL",
    "USE",
];

/// What is the server's and no database's.
const OF_THE_SERVER: &[&str] = &[
    "USER",
    "ROLE",
    "SERVER",
    "TABLESPACE",
    "LOGFILE",
    "RESOURCE",
    "INSTANCE",
    "UNDO",
    "CATALOG",
];

/// What definitions are of, by the word that says so.
const OBJECTS: &[&str] = &[
    "TABLE",
    "TABLES",
    "VIEW",
    "INDEX",
    "TRIGGER",
    "PROCEDURE",
    "FUNCTION",
    "EVENT",
    "SEQUENCE",
    "DATABASE",
    "SCHEMA",
];

/// Objects with a body, which keeps the names that are in it.
const WITH_BODY: &[&str] = &["TRIGGER", "PROCEDURE", "FUNCTION", "EVENT"];

impl Names {
    /// Says what is to be done with a statement that was run in a database.
    pub(super) fn verdict(&self, in_database: &str, sql: &str) -> Verdict {
        let is_here = in_database == self.database;
        if !is_here && !sql.to_lowercase().contains(&self.database.to_lowercase()) {
            return Verdict::Skip;
        }
        let tokens = tokens(sql);
        let Some(first) = tokens.first() else {
            return Verdict::Skip;
        };
        let own = self.own_places(&tokens);
        if self.is_named_unseen(&tokens, &own, sql) {
            return Verdict::Refuse(format!(
                "where it names the database `{}` is not clear",
                self.database
            ));
        }
        if let Some(why) = hides_what_it_does(&tokens) {
            return if is_here || !own.is_empty() {
                Verdict::Refuse(why.to_owned())
            } else {
                Verdict::Skip
            };
        }
        let is_one_of = |token: &Token<'_>, words: &[&str]| words.iter().any(|word| token.is_word(word));
        let known = [OBJECTS, OF_THE_SERVER].concat();
        let object = tokens.iter().skip(1).find(|token| is_one_of(token, &known));
        let is_definition = is_one_of(first, &["CREATE", "ALTER", "DROP", "RENAME"]);
        let is_library = tokens.iter().any(|token| token.is_word("SONAME"));
        if is_definition && is_library && object.is_some_and(|object| object.is_word("FUNCTION")) {
            return Verdict::Skip;
        }
        let is_of_the_server = object.is_some_and(|object| is_one_of(object, OF_THE_SERVER));
        if is_one_of(first, ELSEWHERE) || is_definition && is_of_the_server {
            return Verdict::Skip;
        }
        let is_database = object.is_some_and(|object| is_one_of(object, &["DATABASE", "SCHEMA"]));
        if is_definition && is_database {
            return self.of_the_database(&tokens, is_here, sql);
        }
        let has_body = is_definition && object.is_some_and(|object| is_one_of(object, WITH_BODY));
        self.of_tables(&tokens, in_database, sql, has_body)
    }

    /// A statement about a database as a whole.
    fn of_the_database(&self, tokens: &[Token<'_>], is_here: bool, sql: &str) -> Verdict {
        let named = tokens.iter().skip(2).find(|token| self.is_own(token));
        let is_alter = tokens[0].is_word("ALTER");
        match named {
            Some(name) if is_alter => {
                let (before, after) = (&sql[..name.offset], &sql[name.end()..]);
                Verdict::Run(format!("{before}{}{after}", quoted(&self.scratch)))
            }
            // It is there.
            Some(_)
                if tokens[0].is_word("CREATE") && tokens.get(2).is_some_and(|token| token.is_word("IF")) =>
            {
                Verdict::Skip
            }
            Some(_) => Verdict::Refuse("the database as a whole was created or dropped".to_owned()),
            None if is_alter && is_here => {
                Verdict::Refuse("it does not name the database that it alters".to_owned())
            }
            None => Verdict::Skip,
        }
    }

    fn of_tables(&self, tokens: &[Token<'_>], in_database: &str, sql: &str, has_body: bool) -> Verdict {
        let is_here = in_database == self.database;
        let statement = Statement {
            sql: sql.to_owned(),
            line: 1,
            touches: Vec::new(),
        };
        let effect = walkback_sql::effect(DialectKind::Mysql, &statement);
        let own = self.own_places(tokens);
        // What is written to it afterwards bears its name, which a table that stays may have too.
        let is_temporary =
            tokens[0].is_word("CREATE") && tokens.get(1).is_some_and(|token| token.is_word("TEMPORARY"));
        if is_temporary && (is_here || !own.is_empty()) {
            return Verdict::Refuse("it makes a temporary table of its session".to_owned());
        }
        let mut targets = Vec::new();
        for action in &effect.actions {
            match action {
                Action::Unknown { .. } if !is_here && own.is_empty() => {}
                Action::Unknown { why } => return Verdict::Refuse(format!("it cannot be read ({why})")),
                action => targets.extend(written(action)),
            }
        }
        let is_own = |name: &TableName| match &name.schema {
            Some(schema) => schema.eq_ignore_ascii_case(&self.database),
            None => is_here,
        };
        if !targets.iter().any(is_own) {
            return Verdict::Skip;
        }
        if !targets.iter().all(is_own) {
            return Verdict::Refuse("it changes tables of several databases".to_owned());
        }
        if own.is_empty() && targets.iter().any(|name| name.schema.is_some()) {
            return Verdict::Refuse("where it names the database is not clear".to_owned());
        }
        if targets.iter().all(|name| self.leave.contains(&name.name)) {
            return Verdict::Skip;
        }
        if targets.iter().any(|name| self.leave.contains(&name.name)) {
            return Verdict::Refuse(
                "it changes tables of walkback's own journal together with others".to_owned(),
            );
        }
        let is_unqualified = !is_here && targets.iter().any(|name| name.schema.is_none());
        if is_unqualified || !is_here && tokens[0].is_word("CREATE") {
            return Verdict::Refuse(format!("it was run in the database `{in_database}`"));
        }
        if writes_rows(tokens) && self.reads_others(tokens) {
            return Verdict::Refuse("it reads another database, which is not as it was then".to_owned());
        }
        self.renamed(tokens, &own, sql, has_body)
    }

    /// Returns whether a name in front of another is that of another database.
    fn reads_others(&self, tokens: &[Token<'_>]) -> bool {
        tokens.windows(2).any(|pair| {
            pair[1].is_symbol(".") && name(&pair[0]).is_some_and(|name| self.others.contains(&name))
        })
    }

    /// Writes a statement with the name of the scratch database wherever it names this one.
    fn renamed(&self, tokens: &[Token<'_>], own: &[usize], sql: &str, has_body: bool) -> Verdict {
        let sql = &sql[..without_start_transaction(tokens).unwrap_or(sql.len())];
        if own.is_empty() {
            return Verdict::Run(sql.to_owned());
        }
        // `app.id` is a column where a table is called as the database.
        let is_ambiguous = tokens
            .iter()
            .enumerate()
            .any(|(index, token)| self.is_own(token) && !own.contains(&index));
        if is_ambiguous {
            return Verdict::Refuse(format!(
                "it names the database `{}`, and something else of the same name",
                self.database
            ));
        }
        if has_body {
            return Verdict::Refuse(
                "it names the database itself, and what it creates would keep the name".to_owned(),
            );
        }
        let mut text = String::with_capacity(sql.len() + own.len() * self.scratch.len());
        let mut from = 0;
        for index in own {
            let token = &tokens[*index];
            text.push_str(&sql[from..token.offset]);
            // A name that begins with a digit is one only behind a name without quotes.
            let is_digit_next = matches!(sql.as_bytes()[token.end()..], [b'.', b'0'..=b'9', ..]);
            if is_digit_next {
                text.push_str(&self.scratch);
            } else {
                text.push_str(&quoted(&self.scratch));
            }
            from = token.end();
        }
        text.push_str(&sql[from..]);
        Verdict::Run(text)
    }

    /// Returns the tokens that name this database in front of a name in it.
    fn own_places(&self, tokens: &[Token<'_>]) -> Vec<usize> {
        let is_dot = |index: usize| tokens.get(index).is_some_and(|token| token.is_symbol("."));
        let places = tokens.iter().enumerate().filter(|(index, token)| {
            let is_first = index.checked_sub(1).is_none_or(|before| !is_dot(before));
            is_first && is_dot(index + 1) && self.is_own(token)
        });
        places.map(|(index, _)| index).collect()
    }

    /// Returns whether the name of the database stands before a dot where the tokens do not tell it: such a statement may reach
    /// the database itself.
    fn is_named_unseen(&self, tokens: &[Token<'_>], own: &[usize], sql: &str) -> bool {
        // Literals, other names and comments are blanks.
        let mut text = vec![b' '; sql.len()];
        for (index, token) in tokens.iter().enumerate() {
            let is_quoted = matches!(token.kind, TokenKind::Text | TokenKind::QuotedName);
            if !own.contains(&index) && (!is_quoted || self.is_own(token)) {
                text[token.offset..token.end()].copy_from_slice(token.text.as_bytes());
            }
        }
        let text = String::from_utf8_lossy(&text).to_lowercase();
        super::bodies::places(&text, &self.database.to_lowercase()).any(|end| {
            let behind = text[end..].strip_prefix(['`', '"']).unwrap_or(&text[end..]);
            behind.trim_start().starts_with('.')
        })
    }

    /// Returns whether everything that a statement writes to is of walkback's own: those names.
    pub(super) fn of_walkback(&self, sql: &str) -> Option<Vec<String>> {
        let statement = Statement {
            sql: sql.to_owned(),
            line: 1,
            touches: Vec::new(),
        };
        let effect = walkback_sql::effect(DialectKind::Mysql, &statement);
        let names: Vec<_> = effect
            .actions
            .iter()
            .flat_map(written)
            .map(|name| name.name)
            .collect();
        let is_own = !names.is_empty() && names.iter().all(|name| name.starts_with(super::apply::OWN));
        is_own.then_some(names)
    }

    fn is_own(&self, token: &Token<'_>) -> bool {
        name(token).is_some_and(|name| name == self.database.to_lowercase())
    }
}

/// Returns the name that a token is, in small letters. Between double quotes it is one under `ANSI_QUOTES`: what it is then is
/// told by what follows.
fn name(token: &Token<'_>) -> Option<String> {
    let inner = || {
        token
            .text
            .get(1..token.text.len().saturating_sub(1))
            .unwrap_or_default()
    };
    match token.kind {
        TokenKind::Word => Some(token.text.to_lowercase()),
        TokenKind::QuotedName => Some(inner().replace("``", "`").to_lowercase()),
        TokenKind::Text if token.text.starts_with('"') => Some(inner().replace("\"\"", "\"").to_lowercase()),
        _ => None,
    }
}

/// Returns the name that one of several tokens is, in small letters.
pub(super) fn name_at(tokens: &[Token<'_>], at: usize) -> Option<String> {
    tokens.get(at).and_then(name)
}

/// Returns the tokens of a statement, also of what only this server executes of it.
pub(super) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = significant_tokens(DialectKind::Mysql, sql);
    tokens.retain(|token| !matches!(token.kind, TokenKind::ExecutableBegin | TokenKind::ExecutableEnd));
    tokens
}

/// Says why it cannot be told what a statement does, if so.
fn hides_what_it_does(tokens: &[Token<'_>]) -> Option<&'static str> {
    let is = |index: usize, words: &[&str]| {
        tokens
            .get(index)
            .is_some_and(|token| words.iter().any(|word| token.is_word(word)))
    };
    if is(0, &["SELECT", "DO", "CALL", "VALUES", "EXECUTE", "BEGIN"]) {
        return Some("it calls a function or procedure, which may write anything");
    }
    let is_of_table = is(1, &["TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG"]);
    if is(0, &["SET"]) && is(1, &["STATEMENT"]) || is(0, &["ANALYZE"]) && !is_of_table {
        return Some("it runs another statement within it");
    }
    is(0, &["LOAD"]).then_some("it loads a file")
}

/// Returns whether a statement writes rows by itself, and so may set off triggers and call functions.
pub(super) fn writes_rows(tokens: &[Token<'_>]) -> bool {
    let Some(first) = tokens.first() else { return false };
    let is_definition = ["ALTER", "DROP", "RENAME", "TRUNCATE"]
        .iter()
        .any(|word| first.is_word(word));
    let is_bare_create = first.is_word("CREATE") && {
        let object = tokens
            .iter()
            .find(|token| OBJECTS.iter().any(|word| token.is_word(word)));
        let is_table = object.is_some_and(|object| object.is_word("TABLE"));
        !is_table || !tokens.iter().any(|token| token.is_word("SELECT"))
    };
    !is_definition && !is_bare_create
}

/// Returns where the end of `CREATE TABLE .. START TRANSACTION` begins, which only the server itself may say.
fn without_start_transaction(tokens: &[Token<'_>]) -> Option<usize> {
    let [.., start, transaction] = tokens else {
        return None;
    };
    let is_it = tokens[0].is_word("CREATE") && start.is_word("START") && transaction.is_word("TRANSACTION");
    is_it.then_some(start.offset)
}

/// Returns the names that an action writes to.
fn written(action: &Action) -> Vec<TableName> {
    match action {
        Action::Create { kind, name, on, .. } | Action::Drop { kind, name, on } => match (kind, on) {
            // An index and a constraint are where their table is.
            (ObjectKind::Index | ObjectKind::Constraint, Some(table)) => vec![table.clone()],
            _ => vec![name.clone()],
        },
        Action::RenameTable { from, to } => vec![from.clone(), to.clone()],
        Action::DropTable { table }
        | Action::AddColumn { table, .. }
        | Action::DropColumn { table, .. }
        | Action::RenameColumn { table, .. }
        | Action::AlterColumn { table, .. }
        | Action::Insert { table, .. }
        | Action::Update { table }
        | Action::Delete { table }
        | Action::Truncate { table } => vec![table.clone()],
        Action::Alter { name, .. } => vec![name.clone()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            database: "app".to_owned(),
            scratch: "s1".to_owned(),
            others: BTreeSet::from(["other".to_owned()]),
            leave: BTreeSet::from(["_walkback_runs".to_owned()]),
        }
    }

    fn runs(sql: &str) -> Verdict {
        Verdict::Run(sql.to_owned())
    }

    #[test]
    fn what_is_of_this_database_is_run_under_the_other_name() {
        let names = names();
        for (sql, expected) in [
            ("CREATE TABLE t (a int)", "CREATE TABLE t (a int)"),
            (
                "DROP TABLE `app`.`t` /* generated by server */",
                "DROP TABLE `s1`.`t` /* generated by server */",
            ),
            (
                "ALTER TABLE app.t ADD COLUMN b int",
                "ALTER TABLE `s1`.t ADD COLUMN b int",
            ),
            ("RENAME TABLE app.t TO app.u", "RENAME TABLE `s1`.t TO `s1`.u"),
            (
                "CREATE TABLE t (a int) START TRANSACTION",
                "CREATE TABLE t (a int) ",
            ),
            ("DROP TABLE \"APP\".\"t\"", "DROP TABLE `s1`.\"t\""),
            (
                "CREATE VIEW v AS SELECT * FROM other.x",
                "CREATE VIEW v AS SELECT * FROM other.x",
            ),
            ("INSERT INTO t VALUES ('app.x')", "INSERT INTO t VALUES ('app.x')"),
            ("TRUNCATE TABLE app.2024_orders", "TRUNCATE TABLE s1.2024_orders"),
            ("TRUNCATE TABLE \"app\".\"log\"", "TRUNCATE TABLE `s1`.\"log\""),
            (
                "ALTER DATABASE `app` CHARACTER SET latin1",
                "ALTER DATABASE `s1` CHARACTER SET latin1",
            ),
        ] {
            assert_eq!(names.verdict("app", sql), runs(expected), "{sql}");
        }
        assert_eq!(
            names.verdict("other", "DROP TABLE app.t"),
            runs("DROP TABLE `s1`.t")
        );
    }

    #[test]
    fn what_is_of_others_is_left_out() {
        let names = names();
        for sql in [
            "DROP TABLE other.t",
            "GRANT SELECT ON app.* TO joe",
            "CREATE USER app@localhost",
            "INSERT INTO _walkback_runs VALUES (1)",
            "CREATE DATABASE other",
            "CREATE DATABASE IF NOT EXISTS app",
            "CREATE FUNCTION f RETURNS STRING SONAME 'f.so'",
            "",
        ] {
            assert_eq!(names.verdict("app", sql), Verdict::Skip, "{sql}");
        }
        for sql in [
            "DROP TABLE t",
            "INSERT INTO t VALUES ('app')",
            "CREATE DATABASE other",
        ] {
            assert_eq!(names.verdict("other", sql), Verdict::Skip, "{sql}");
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        let names = names();
        for sql in [
            "DROP DATABASE app",
            "RENAME TABLE t TO other.t",
            "DROP TABLE app.t, other.t",
            "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW DELETE FROM app.u",
            "UPDATE app.app SET a = 1",
            "INSERT INTO t SELECT * FROM other.x",
            "CREATE TABLE n AS SELECT * FROM `other`.x",
            "SELECT f()",
            "SET STATEMENT max_statement_time = 1 FOR DELETE FROM t",
            "ANALYZE DELETE FROM t",
            "CREATE TEMPORARY TABLE t (a int)",
            "DROP TABLE _walkback_runs, t",
        ] {
            assert!(matches!(names.verdict("app", sql), Verdict::Refuse(_)), "{sql}");
        }
        let elsewhere = names.verdict("other", "CREATE TABLE app.t LIKE u");
        assert!(matches!(elsewhere, Verdict::Refuse(_)));
    }
}
