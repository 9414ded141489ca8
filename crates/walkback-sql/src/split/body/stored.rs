//! Follows the blocks of a stored program of MySQL and MariaDB, with or without `DELIMITER`.
//!
//! `IF`, `CASE`, `REPEAT` and `LOOP` open a block only where a statement may begin; elsewhere `IF(` and
//! `REPEAT(` are functions and `CASE` is an expression. `BEGIN` and `END` are also plain names of columns.

use crate::lexer::{Lexer, Token, TokenKind};

/// A block that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Begin,
    If,
    Case,
    /// `CASE` as an expression, which ends at a bare `END`.
    Expression,
    Loop,
    While,
    Repeat,
    For,
}

impl Block {
    const fn word(self) -> &'static str {
        match self {
            Self::Begin => "BEGIN",
            Self::If => "IF",
            Self::Case | Self::Expression => "CASE",
            Self::Loop => "LOOP",
            Self::While => "WHILE",
            Self::Repeat => "REPEAT",
            Self::For => "FOR",
        }
    }
}

/// What has to be read before a body can begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    Parameters,
    Row,
    Do,
    Passed,
}

pub(super) struct Stored {
    head: Head,
    parentheses: usize,
    /// The body has begun.
    begun: bool,
    /// A statement may begin at the next token.
    at_statement: bool,
    in_handler: bool,
    in_until: bool,
    /// The next token names the block that the `END` before it has closed.
    closing: bool,
    previous_takes_operand: bool,
    /// The token before was the `CHARACTER` of `CHARACTER SET`.
    previous_is_character: bool,
    /// `BEGIN NOT ATOMIC` is being read.
    compound: bool,
    open: Vec<(Block, usize)>,
}

/// Words a statement of a body can begin with, apart from those that open a block.
const STATEMENT_WORDS: [&str; 22] = [
    "ALTER", "CALL", "COMMIT", "CREATE", "DELETE", "DO", "DROP", "EXECUTE", "GRANT", "INSERT", "LEAVE",
    "PREPARE", "RENAME", "REPLACE", "RESIGNAL", "RETURN", "SELECT", "SET", "SIGNAL", "TRUNCATE", "UPDATE",
    "WITH",
];

/// Words behind which `END` is the name of a column.
const OPERAND_FOLLOWS: [&str; 16] = [
    "AND", "AS", "BETWEEN", "BY", "CASE", "DISTINCT", "DIV", "ELSE", "IN", "LIKE", "NOT", "OR", "SELECT",
    "SET", "THEN", "WHEN",
];

impl Stored {
    pub(super) fn routine() -> Self {
        Self::new(Head::Parameters)
    }

    pub(super) fn trigger() -> Self {
        Self::new(Head::Row)
    }

    pub(super) fn event() -> Self {
        Self::new(Head::Do)
    }

    /// Begins behind the `BEGIN` of MariaDB's `BEGIN NOT ATOMIC`.
    pub(super) fn compound(line: usize) -> Self {
        let mut compound = Self::new(Head::Passed);
        compound.begun = true;
        compound.compound = true;
        compound.open.push((Block::Begin, line));
        compound
    }

    const fn new(head: Head) -> Self {
        Self {
            head,
            parentheses: 0,
            begun: false,
            at_statement: false,
            in_handler: false,
            in_until: false,
            closing: false,
            previous_takes_operand: false,
            previous_is_character: false,
            compound: false,
            open: Vec::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Returns the line and the word of the outermost block that is open.
    pub(super) fn opened(&self) -> Option<(usize, &'static str)> {
        self.open.first().map(|(block, line)| (*line, block.word()))
    }

    pub(super) fn semicolon(&mut self) {
        self.at_statement = true;
        self.in_handler = false;
        self.in_until = false;
        self.closing = false;
        self.previous_takes_operand = false;
    }

    pub(super) fn push(&mut self, token: &Token<'_>, ahead: &Lexer<'_>) {
        if token.is_symbol("(") {
            self.parentheses += 1;
        } else if token.is_symbol(")") {
            self.parentheses = self.parentheses.saturating_sub(1);
        }
        if self.head != Head::Passed {
            self.follow_head(token);
            return;
        }
        let starts = self.at_statement || (!self.begun && self.parentheses == 0);
        let was_closing = std::mem::take(&mut self.closing);
        let was_at_statement = std::mem::take(&mut self.at_statement);
        if token.kind == TokenKind::Word {
            if !(was_closing && is_any(token, &["IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"])) {
                self.word(token, starts, was_at_statement);
            }
        } else if token.is_symbol(":") {
            // A label stands before the block it names.
            self.at_statement = self.begun || next_opens_block(ahead);
        }
        self.previous_takes_operand =
            (token.kind == TokenKind::Symbol && !token.is_symbol(")")) || is_any(token, &OPERAND_FOLLOWS);
        self.previous_is_character = is_any(token, &["CHARACTER", "CHAR"]);
    }

    fn follow_head(&mut self, token: &Token<'_>) {
        let passed = match self.head {
            Head::Parameters => self.parentheses == 0 && token.is_symbol(")"),
            Head::Row => token.is_word("ROW"),
            Head::Do => token.is_word("DO"),
            Head::Passed => true,
        };
        if passed {
            self.head = Head::Passed;
        }
    }

    fn word(&mut self, token: &Token<'_>, starts: bool, at_statement: bool) {
        if token.is_word("END") {
            self.end(at_statement);
            return;
        }
        let top = self.open.last().map(|(block, _)| *block);
        let opened = match token.text.to_ascii_uppercase().as_str() {
            "BEGIN" if starts || self.in_handler => Some(Block::Begin),
            "IF" if starts => Some(Block::If),
            "CASE" if starts => Some(Block::Case),
            "CASE" => Some(Block::Expression),
            "LOOP" if starts => Some(Block::Loop),
            "WHILE" if starts => Some(Block::While),
            "REPEAT" if starts => Some(Block::Repeat),
            "FOR" if at_statement => Some(Block::For),
            _ => None,
        };
        if let Some(block) = opened {
            self.begun |= block != Block::Expression;
            self.open.push((block, token.line));
            self.at_statement = matches!(block, Block::Begin | Block::Loop | Block::Repeat);
            return;
        }
        if token.is_word("HANDLER") {
            self.in_handler = true;
        } else if at_statement && top == Some(Block::Repeat) && token.is_word("UNTIL") {
            self.in_until = true;
        } else if is_any(token, &["THEN", "ELSE"]) {
            self.at_statement = matches!(top, Some(Block::If | Block::Case));
        } else if token.is_word("ATOMIC") && self.compound {
            self.at_statement = true;
            self.compound = false;
        } else if token.is_word("DO") && !at_statement {
            self.at_statement = matches!(top, Some(Block::While | Block::For));
        }
        let is_character_set = token.is_word("SET") && self.previous_is_character;
        if !self.begun && starts && is_any(token, &STATEMENT_WORDS) && !is_character_set {
            self.begun = true;
        }
    }

    fn end(&mut self, at_statement: bool) {
        let Some((block, _)) = self.open.last().copied() else {
            return;
        };
        let closes = match block {
            Block::Expression => !self.previous_takes_operand,
            Block::Repeat => self.in_until || at_statement,
            _ => at_statement,
        };
        if closes {
            self.open.pop();
            self.closing = block != Block::Expression;
            self.in_until &= block == Block::Expression;
        }
    }
}

fn is_any(token: &Token<'_>, words: &[&str]) -> bool {
    words.iter().any(|word| token.is_word(word))
}

fn next_opens_block(ahead: &Lexer<'_>) -> bool {
    let next = ahead.clone().find(Token::is_significant);
    next.is_some_and(|token| is_any(&token, &["BEGIN", "LOOP", "REPEAT", "WHILE", "FOR"]))
}
