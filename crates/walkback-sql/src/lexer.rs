//! Cuts SQL into tokens, without understanding it: what is quoted, what is a comment, what is a word.
//!
//! The lexer never fails. What does not end (a quote, a comment) becomes one last token of kind
//! [`TokenKind::Unterminated`], which the splitter turns into an error.

mod measure;

use walkback_core::DialectKind;

use measure::{
    close, dollar_quote, executable_begin, is_name_that_begins_with_a_digit, is_word_part, is_word_start,
    nested_comment_end, quote_end, without_return,
};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenKind {
    /// An unquoted identifier or keyword.
    Word,
    /// An identifier in quotes: `"a"`, `` `a` ``, `[a]`.
    QuotedName,
    /// A literal in quotes, with its prefix: `'a'`, `E'a'`, `x'00'`, `$$a$$`, on MySQL also `"a"`.
    Text,
    /// A number.
    Number,
    /// A parameter or a variable: `?1`, `:a`, `@a`, `@@a`, `$1`.
    Parameter,
    /// An operator or another sign, as long as the dialect reads it as one.
    Symbol,
    /// The terminator of statements: `;` or what `DELIMITER` has set.
    Terminator,
    /// A comment, whole.
    Comment,
    /// The beginning of a comment that MySQL executes: `/*!50001`.
    ExecutableBegin,
    /// Its end.
    ExecutableEnd,
    /// Something that was begun and does not end; reaches to the end of the text.
    Unterminated(Open),
}

/// What was begun and does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Open {
    /// A literal.
    Text,
    /// A quoted identifier.
    Name,
    /// A `/* */` comment.
    Comment,
    /// A dollar-quoted literal.
    Dollar,
}

impl Open {
    /// Returns the word used in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "quoted text",
            Self::Name => "quoted name",
            Self::Comment => "comment",
            Self::Dollar => "dollar-quoted text",
        }
    }
}

/// A token: a piece of the text and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// Its text, exactly as written.
    pub text: &'a str,
    /// Byte offset of its first character.
    pub offset: usize,
    /// Line of its first character, from 1.
    pub line: usize,
}

impl Token<'_> {
    /// Returns the byte offset behind its last character.
    #[must_use]
    pub fn end(&self) -> usize {
        self.offset + self.text.len()
    }

    /// Returns whether it is this unquoted word, in any case.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Returns whether it is this sign.
    #[must_use]
    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// Returns whether it means something to the server: not a comment, not the frame of an executed one.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        !matches!(
            self.kind,
            TokenKind::Comment | TokenKind::ExecutableBegin | TokenKind::ExecutableEnd
        )
    }
}

/// Returns all tokens of a text that mean something to the server, without comments.
#[must_use]
pub fn significant_tokens(kind: DialectKind, text: &str) -> Vec<Token<'_>> {
    Lexer::new(kind, text).filter(Token::is_significant).collect()
}

/// Cuts a text into tokens, one at a time.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    kind: DialectKind,
    text: &'a str,
    position: usize,
    line: usize,
    terminator: &'a str,
    /// How many comments that MySQL executes are open.
    executable: usize,
}

/// Signs of more than one character, longest first.
const LONG_SYMBOLS: [&str; 22] = [
    "->>", "#>>", "<=>", "!~*", "||", "<=", ">=", "<>", "!=", "==", "<<", ">>", "->", "#>", "::", ":=", "&&",
    "=>", "@>", "<@", "!~", "~*",
];

impl<'a> Lexer<'a> {
    /// Creates a lexer at the beginning of a text, with `;` as terminator. A byte order mark is skipped.
    #[must_use]
    pub fn new(kind: DialectKind, text: &'a str) -> Self {
        Self {
            kind,
            text,
            position: if text.starts_with('\u{feff}') { 3 } else { 0 },
            line: 1,
            terminator: ";",
            executable: 0,
        }
    }

    /// Returns the byte offset at which the next token is looked for.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns the text that is not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    /// Returns whether a comment that MySQL executes is open.
    #[must_use]
    pub fn in_executable(&self) -> bool {
        self.executable > 0
    }

    /// Sets what ends a statement (`DELIMITER`).
    pub fn set_terminator(&mut self, terminator: &'a str) {
        self.terminator = terminator;
    }

    /// Reads to the end of the line and returns what was there, without the line break.
    pub fn take_line(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        self.advance(length);
        rest[..length].trim_end_matches(['\n', '\r'])
    }

    fn advance(&mut self, bytes: usize) {
        let taken = &self.text.as_bytes()[self.position..self.position + bytes];
        self.line += taken.iter().filter(|byte| **byte == b'\n').count();
        self.position += bytes;
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        let blanks = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_whitespace() || *byte == 0x0b);
        self.advance(blanks.count());
    }

    /// Measures the token at the beginning of `rest`, which is not empty and does not begin with a blank.
    fn measure(&mut self, rest: &str) -> (TokenKind, usize) {
        if rest.starts_with(self.terminator) {
            return (TokenKind::Terminator, self.terminator.len());
        }
        if let Some(comment) = self.comment(rest) {
            return comment;
        }
        if let Some(quoted) = self.quoted(rest) {
            return quoted;
        }
        let first = rest.as_bytes()[0];
        if is_word_start(first) {
            return (TokenKind::Word, self.word_length(rest));
        }
        let digit_follows = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        if first.is_ascii_digit() || (first == b'.' && digit_follows && !self.is_behind_a_name()) {
            return self.number(rest);
        }
        if let Some(length) = self.parameter(rest) {
            return (TokenKind::Parameter, length);
        }
        let long = LONG_SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
        let length = long.map_or_else(|| rest.chars().next().map_or(1, char::len_utf8), |s| s.len());
        (TokenKind::Symbol, length)
    }

    fn comment(&mut self, rest: &str) -> Option<(TokenKind, usize)> {
        let mysql = self.kind == DialectKind::Mysql;
        let line_end = || rest.find('\n').unwrap_or(rest.len());
        if let Some(behind) = rest.strip_prefix("--") {
            // On MySQL `5--3` is arithmetic: the dashes begin a comment only before a blank.
            let blank = behind.bytes().next().is_none_or(|byte| byte <= b' ');
            if !mysql || blank {
                return Some((TokenKind::Comment, without_return(rest, line_end())));
            }
        }
        if mysql && rest.starts_with('#') {
            return Some((TokenKind::Comment, without_return(rest, line_end())));
        }
        if mysql && self.executable > 0 && rest.starts_with("*/") {
            self.executable -= 1;
            return Some((TokenKind::ExecutableEnd, 2));
        }
        if mysql && let Some(length) = executable_begin(rest) {
            self.executable += 1;
            return Some((TokenKind::ExecutableBegin, length));
        }
        if !rest.starts_with("/*") {
            return None;
        }
        let end = match self.kind {
            DialectKind::Postgres => nested_comment_end(rest),
            // SQLite takes the end of the text for the end of the comment; a script that relies on it is
            // far more often one that lost its end.
            DialectKind::Sqlite | DialectKind::Mysql => rest[2..].find("*/").map(|at| at + 4),
        };
        Some(match end {
            Some(length) => (TokenKind::Comment, length),
            None => (TokenKind::Unterminated(Open::Comment), rest.len()),
        })
    }

    fn quoted(&self, rest: &str) -> Option<(TokenKind, usize)> {
        use DialectKind::{Mysql, Postgres, Sqlite};
        let text = |end: Option<usize>| close(TokenKind::Text, Open::Text, end, rest.len());
        let name = |end: Option<usize>| close(TokenKind::QuotedName, Open::Name, end, rest.len());
        let bytes = rest.as_bytes();
        match (bytes[0], self.kind) {
            (b'\'', _) | (b'"', Mysql) => Some(text(quote_end(rest, 0, self.kind == Mysql))),
            (b'"', Sqlite | Postgres) | (b'`', Sqlite | Mysql) => Some(name(quote_end(rest, 0, false))),
            (b'[', Sqlite) => Some(name(rest.find(']').map(|at| at + 1))),
            (b'$', Postgres) => dollar_quote(rest),
            (b'e' | b'E', Postgres) if bytes.get(1) == Some(&b'\'') => Some(text(quote_end(rest, 1, true))),
            (b'u' | b'U', Postgres) if bytes.get(1) == Some(&b'&') => match bytes.get(2) {
                Some(b'\'') => Some(text(quote_end(rest, 2, false))),
                Some(b'"') => Some(name(quote_end(rest, 2, false))),
                _ => None,
            },
            (b'x' | b'X' | b'b' | b'B' | b'n' | b'N', _) if bytes.get(1) == Some(&b'\'') => {
                Some(text(quote_end(rest, 1, self.kind == Mysql)))
            }
            _ => None,
        }
    }

    fn word_length(&self, rest: &str) -> usize {
        let end = rest
            .bytes()
            .position(|byte| !is_word_part(byte))
            .unwrap_or(rest.len());
        self.cut_at_terminator(rest, end)
    }

    /// Shortens a token in which a terminator begins: with `DELIMITER $$`, `END$$` is a word and its end.
    fn cut_at_terminator(&self, rest: &str, end: usize) -> usize {
        if self.terminator == ";" {
            return end;
        }
        (1..end)
            .find(|at| rest.is_char_boundary(*at) && rest[*at..].starts_with(self.terminator))
            .unwrap_or(end)
    }

    /// Returns whether what comes stands at the end of a name: on MySQL a dot then divides names, also before a digit.
    fn is_behind_a_name(&self) -> bool {
        let before = self.text[..self.position].bytes().next_back();
        self.kind == DialectKind::Mysql
            && before.is_some_and(|byte| is_word_part(byte) || matches!(byte, b'`' | b'"'))
    }

    fn number(&self, rest: &str) -> (TokenKind, usize) {
        let bytes = rest.as_bytes();
        let mut end = 0;
        while let Some(byte) = bytes.get(end) {
            let sign_of_exponent = matches!(byte, b'+' | b'-')
                && matches!(bytes[end - 1], b'e' | b'E')
                && !rest.starts_with("0x")
                && !rest.starts_with("0X");
            if !(is_word_part(*byte) || *byte == b'.' || (end > 0 && sign_of_exponent)) {
                break;
            }
            end += 1;
        }
        let end = self.cut_at_terminator(rest, end);
        let is_name = self.kind == DialectKind::Mysql && is_name_that_begins_with_a_digit(&rest[..end]);
        if is_name {
            let length = self.word_length(rest);
            return (TokenKind::Word, length);
        }
        (TokenKind::Number, end)
    }

    fn parameter(&self, rest: &str) -> Option<usize> {
        let bytes = rest.as_bytes();
        let prefix = match (bytes[0], self.kind) {
            (b'?', DialectKind::Sqlite | DialectKind::Mysql) => {
                let digits = bytes[1..].iter().take_while(|byte| byte.is_ascii_digit());
                return Some(1 + digits.count());
            }
            (b'@', DialectKind::Mysql) if bytes.get(1) == Some(&b'@') => 2,
            (b'@', DialectKind::Sqlite | DialectKind::Mysql)
            | (b'$', DialectKind::Sqlite | DialectKind::Postgres)
            | (b':', DialectKind::Sqlite) => 1,
            _ => return None,
        };
        let is_part = |byte: u8| is_word_part(byte) || (self.kind == DialectKind::Mysql && byte == b'.');
        let length = bytes[prefix..].iter().take_while(|byte| is_part(**byte)).count();
        (length > 0).then(|| self.cut_at_terminator(rest, prefix + length))
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blanks();
        let rest = self.rest();
        if rest.is_empty() {
            return None;
        }
        let (offset, line) = (self.position, self.line);
        let (kind, length) = self.measure(rest);
        self.advance(length);
        Some(Token {
            kind,
            text: &rest[..length],
            offset,
            line,
        })
    }
}
