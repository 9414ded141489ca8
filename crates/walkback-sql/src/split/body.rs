//! Knows where a statement that holds others ends: triggers, routines, events, rules.

mod stored;

use walkback_core::DialectKind;

use crate::lexer::{Lexer, Token, TokenKind};
use stored::Stored;

/// What has been begun in a statement and does not end.
pub(super) struct Unfinished {
    pub(super) line: usize,
    pub(super) what: String,
    pub(super) hint: &'static str,
}

/// Follows the tokens of one statement.
pub(super) struct Body {
    kind: DialectKind,
    shape: Shape,
    /// Lines of parentheses that are open; followed on PostgreSQL only, where a rule holds statements in them.
    parentheses: Vec<usize>,
    copy: Copy,
    words: usize,
}

/// What sort of statement it is, as far as that decides where it ends.
enum Shape {
    /// Not known yet: `CREATE` and words that may stand before the sort of object.
    Head,
    /// Ends at the next terminator.
    Plain,
    /// A trigger of SQLite.
    Trigger(Trigger),
    /// A routine of PostgreSQL, which may have a body in SQL.
    Routine(Routine),
    /// A stored program of MySQL.
    Stored(Stored),
}

#[derive(Default)]
struct Trigger {
    /// Line of `BEGIN`.
    begun: Option<usize>,
    after_semicolon: bool,
    /// The last two tokens were `;` and `END`.
    ended: bool,
}

#[derive(Default)]
struct Routine {
    /// Lines of `BEGIN ATOMIC` and of every `CASE` inside.
    open: Vec<usize>,
}

/// How much of `COPY .. FROM stdin` has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copy {
    No,
    Begun,
    From,
    Stdin,
}

/// Sorts of objects that hold no statements.
const PLAIN_OBJECTS: [&str; 14] = [
    "TABLE",
    "VIEW",
    "INDEX",
    "UNIQUE",
    "FULLTEXT",
    "SPATIAL",
    "VIRTUAL",
    "DATABASE",
    "SCHEMA",
    "USER",
    "ROLE",
    "SERVER",
    "TABLESPACE",
    "SEQUENCE",
];

impl Body {
    pub(super) fn new(kind: DialectKind) -> Self {
        Self {
            kind,
            shape: Shape::Head,
            parentheses: Vec::new(),
            copy: Copy::No,
            words: 0,
        }
    }

    /// Takes the next significant token; `ahead` stands behind it.
    pub(super) fn push(&mut self, token: &Token<'_>, ahead: &Lexer<'_>) {
        if self.kind == DialectKind::Postgres {
            self.follow_parentheses(token);
            self.follow_copy(token);
        }
        match &mut self.shape {
            Shape::Head => self.follow_head(token, ahead),
            Shape::Plain => {}
            Shape::Trigger(trigger) => trigger.push(token),
            Shape::Routine(routine) => routine.push(token, ahead),
            Shape::Stored(stored) => stored.push(token, ahead),
        }
        self.words += 1;
    }

    /// Returns whether a `;` here belongs to the statement instead of ending it.
    pub(super) fn holds_semicolon(&self) -> bool {
        let in_body = match &self.shape {
            Shape::Head | Shape::Plain => false,
            Shape::Trigger(trigger) => trigger.begun.is_some() && !trigger.ended,
            Shape::Routine(routine) => !routine.open.is_empty(),
            Shape::Stored(stored) => stored.is_open(),
        };
        in_body || !self.parentheses.is_empty()
    }

    /// Takes a `;` that belongs to the statement.
    pub(super) fn semicolon(&mut self) {
        match &mut self.shape {
            Shape::Trigger(trigger) => {
                trigger.after_semicolon = true;
                trigger.ended = false;
            }
            Shape::Stored(stored) => stored.semicolon(),
            Shape::Head | Shape::Plain | Shape::Routine(_) => {}
        }
    }

    /// Returns whether rows follow behind the terminator.
    pub(super) fn reads_copy_data(&self) -> bool {
        self.copy == Copy::Stdin
    }

    /// Returns what is still open at the end of the script.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        let (line, word, hint) = match &self.shape {
            Shape::Trigger(trigger) if !trigger.ended => {
                (trigger.begun?, "BEGIN", "end the body of the trigger with `END;`")
            }
            Shape::Routine(routine) if !routine.open.is_empty() => (
                *routine.open.first()?,
                "BEGIN",
                "end the body of the routine with `END;`",
            ),
            Shape::Stored(stored) if stored.is_open() => {
                let (line, word) = stored.opened()?;
                (
                    line,
                    word,
                    "end every block of the body, the outermost with `END;`",
                )
            }
            _ => (
                *self.parentheses.first()?,
                "(",
                "close the parenthesis before the `;`",
            ),
        };
        Some(Unfinished {
            line,
            what: format!("what `{word}` begins does not end"),
            hint,
        })
    }

    fn follow_parentheses(&mut self, token: &Token<'_>) {
        if token.is_symbol("(") {
            self.parentheses.push(token.line);
        } else if token.is_symbol(")") {
            self.parentheses.pop();
        }
    }

    fn follow_copy(&mut self, token: &Token<'_>) {
        self.copy = match self.copy {
            Copy::No if self.words == 0 && token.is_word("COPY") => Copy::Begun,
            Copy::Begun if token.is_word("FROM") && self.parentheses.is_empty() => Copy::From,
            Copy::From if token.is_word("STDIN") => Copy::Stdin,
            Copy::From => Copy::Begun,
            unchanged => unchanged,
        };
    }

    fn follow_head(&mut self, token: &Token<'_>, ahead: &Lexer<'_>) {
        if self.words == 0 {
            self.follow_first_word(token, ahead);
            return;
        }
        if token.kind != TokenKind::Word {
            return;
        }
        let is = |words: &[&str]| words.iter().any(|word| token.is_word(word));
        self.shape = match self.kind {
            DialectKind::Sqlite if is(&["TRIGGER"]) => Shape::Trigger(Trigger::default()),
            DialectKind::Postgres if is(&["FUNCTION", "PROCEDURE"]) => Shape::Routine(Routine::default()),
            DialectKind::Mysql if is(&["FUNCTION", "PROCEDURE"]) => Shape::Stored(Stored::routine()),
            DialectKind::Mysql if is(&["TRIGGER"]) => Shape::Stored(Stored::trigger()),
            DialectKind::Mysql if is(&["EVENT"]) => Shape::Stored(Stored::event()),
            _ if is(&PLAIN_OBJECTS) => Shape::Plain,
            _ => return,
        };
    }

    fn follow_first_word(&mut self, token: &Token<'_>, ahead: &Lexer<'_>) {
        let is_head = token.is_word("CREATE")
            || (token.is_word("ALTER") && self.kind == DialectKind::Mysql)
            || (token.is_word("EXPLAIN") && self.kind == DialectKind::Sqlite);
        if is_head {
            return;
        }
        let mut next = ahead.clone().filter(Token::is_significant);
        let is_compound = self.kind == DialectKind::Mysql
            && token.is_word("BEGIN")
            && next.next().is_some_and(|token| token.is_word("NOT"))
            && next.next().is_some_and(|token| token.is_word("ATOMIC"));
        self.shape = if is_compound {
            Shape::Stored(Stored::compound(token.line))
        } else {
            Shape::Plain
        };
    }
}

impl Trigger {
    /// Follows the rule of `sqlite3_complete`: the body ends at `END` directly behind a `;`, so that the `END`
    /// of a `CASE` is never taken for it.
    fn push(&mut self, token: &Token<'_>) {
        if self.begun.is_none() && token.is_word("BEGIN") {
            self.begun = Some(token.line);
        }
        self.ended = self.after_semicolon && token.is_word("END");
        self.after_semicolon = false;
    }
}

impl Routine {
    fn push(&mut self, token: &Token<'_>, ahead: &Lexer<'_>) {
        let atomic = || {
            let next = ahead.clone().find(Token::is_significant);
            next.is_some_and(|token| token.is_word("ATOMIC"))
        };
        let opens = if self.open.is_empty() {
            token.is_word("BEGIN") && atomic()
        } else {
            token.is_word("CASE")
        };
        if opens {
            self.open.push(token.line);
        } else if token.is_word("END") {
            self.open.pop();
        }
    }
}
