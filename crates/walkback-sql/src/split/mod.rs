//! Splits a script into statements, before anything is parsed: one unreadable statement must not cost the
//! rest of the file.
//!
//! A `COPY .. FROM stdin` of PostgreSQL is one statement whose text reaches through the line `\.`: the command,
//! its `;`, and the rows as they stand in the script.

mod body;
mod client;

use std::path::Path;

use walkback_core::{DialectKind, Error, Result, Statement, TableName};

use crate::lexer::{Lexer, Open, Token, TokenKind};
use crate::names;
use body::Body;

/// Splits a script into statements. `file` is for messages only.
///
/// The text of a statement is exactly what the script has, from its first token to its last, without the
/// terminator and without comments before or behind it.
///
/// # Errors
/// Fails with `file:line` of the beginning of an unterminated quote, comment, body, parenthesis or block of
/// `COPY` data, on a command only a client understands (`\connect`, `source`, `.read`), and on a
/// `-- walkback: touches` that cannot be read or belongs to no statement.
pub fn split(kind: DialectKind, script: &str, file: &Path) -> Result<Vec<Statement>> {
    Splitter {
        kind,
        script,
        file,
        lexer: Lexer::new(kind, script),
        current: None,
        executable: None,
        touches: None,
        ended_on_line: 0,
        statements: Vec::new(),
    }
    .run()
}

struct Splitter<'a> {
    kind: DialectKind,
    script: &'a str,
    file: &'a Path,
    lexer: Lexer<'a>,
    current: Option<Piece>,
    /// Line of an executed comment that is open.
    executable: Option<usize>,
    touches: Option<Touches>,
    ended_on_line: usize,
    statements: Vec<Statement>,
}

/// A statement that is being read.
struct Piece {
    start: usize,
    end: usize,
    line: usize,
    /// Whether it holds more than the frame of an executed comment.
    significant: bool,
    body: Body,
}

/// An annotation that waits for its statement.
struct Touches {
    line: usize,
    tables: Vec<TableName>,
}

impl<'a> Splitter<'a> {
    fn run(mut self) -> Result<Vec<Statement>> {
        while let Some(token) = self.lexer.next() {
            match token.kind {
                TokenKind::Comment if self.current.is_none() => self.annotation(&token)?,
                TokenKind::Comment => self.no_annotation(&token)?,
                TokenKind::Unterminated(open) => return Err(self.unterminated(open, &token)),
                TokenKind::Terminator => self.terminator(&token)?,
                _ => self.token(&token)?,
            }
        }
        self.end_of_script()?;
        Ok(self.statements)
    }

    fn token(&mut self, token: &Token<'a>) -> Result<()> {
        if self.current.is_none() && client::obey(self.kind, &mut self.lexer, token, self.file)? {
            return Ok(());
        }
        client::refuse_inside(self.kind, &self.lexer, token, self.file)?;
        match token.kind {
            TokenKind::ExecutableBegin => self.executable = self.executable.or(Some(token.line)),
            TokenKind::ExecutableEnd if !self.lexer.in_executable() => self.executable = None,
            _ => {}
        }
        if token.is_symbol(";") {
            // Only under another `DELIMITER`: the text up to it may hold several statements.
            return self.semicolon(token);
        }
        let kind = self.kind;
        let piece = self.current.get_or_insert_with(|| Piece {
            start: token.offset,
            end: token.offset,
            line: token.line,
            significant: false,
            body: Body::new(kind),
        });
        piece.end = token.end();
        if token.is_significant() {
            piece.significant = true;
            piece.body.push(token, &self.lexer);
        }
        Ok(())
    }

    fn terminator(&mut self, token: &Token<'a>) -> Result<()> {
        if token.text == ";" {
            return self.semicolon(token);
        }
        if self.executable.is_none() {
            self.finish(token)?;
        }
        Ok(())
    }

    fn semicolon(&mut self, token: &Token<'a>) -> Result<()> {
        let executable = self.executable.is_some();
        match &mut self.current {
            Some(piece) if executable || piece.body.holds_semicolon() => {
                piece.end = token.end();
                piece.body.semicolon();
                Ok(())
            }
            _ => self.finish(token),
        }
    }

    fn finish(&mut self, terminator: &Token<'a>) -> Result<()> {
        self.ended_on_line = terminator.line;
        let Some(mut piece) = self.current.take() else {
            return Ok(());
        };
        if piece.body.reads_copy_data() {
            piece.end = self.copy_data(piece.line)?;
        }
        self.push(&piece);
        Ok(())
    }

    fn push(&mut self, piece: &Piece) {
        if !piece.significant {
            return;
        }
        self.statements.push(Statement {
            sql: self.script[piece.start..piece.end].to_owned(),
            line: piece.line,
            touches: self
                .touches
                .take()
                .map(|touches| touches.tables)
                .unwrap_or_default(),
        });
    }

    /// Reads the rows behind `COPY .. FROM stdin;` and returns the offset behind the `\.` that ends them.
    fn copy_data(&mut self, line: usize) -> Result<usize> {
        let behind = self.lexer.take_line();
        if !behind.trim().is_empty() {
            return Err(self.error(line, "there is text behind the `;` of `COPY .. FROM stdin`").hint(
                "let the rows begin on the line after the `;`, and end them with a line that holds only `\\.`",
            ));
        }
        while !self.lexer.rest().is_empty() {
            let start = self.lexer.position();
            if self.lexer.take_line() == "\\." {
                return Ok(start + 2);
            }
        }
        Err(self
            .error(line, "the rows of `COPY .. FROM stdin` do not end")
            .hint("end the rows with a line that holds only `\\.`"))
    }

    fn annotation(&mut self, comment: &Token<'a>) -> Result<()> {
        let Some(list) = touches_list(comment.text) else {
            return Ok(());
        };
        let place = |message: String| self.error(comment.line, message);
        if comment.line == self.ended_on_line {
            return Err(
                place("`-- walkback: touches` stands behind a statement".to_owned())
                    .hint("put it on a line of its own, directly before the statement it describes"),
            );
        }
        let Some(tables) = names::list(self.kind, list) else {
            return Err(place(format!("`{}` cannot be read", comment.text.trim()))
                .hint("write `-- walkback: touches orders, shop.items`"));
        };
        match &mut self.touches {
            Some(touches) => touches.tables.extend(tables),
            none => {
                *none = Some(Touches {
                    line: comment.line,
                    tables,
                });
            }
        }
        Ok(())
    }

    /// An annotation inside a statement would be overlooked.
    fn no_annotation(&self, comment: &Token<'a>) -> Result<()> {
        if touches_list(comment.text).is_none() {
            return Ok(());
        }
        Err(self
            .error(comment.line, "`-- walkback: touches` stands inside a statement")
            .hint("put it on a line of its own, directly before the statement it describes"))
    }

    fn end_of_script(&mut self) -> Result<()> {
        if let Some(line) = self.executable {
            return Err(self
                .error(line, "a comment is not terminated")
                .hint("end the comment that begins here with `*/`"));
        }
        if let Some(piece) = self.current.take() {
            if let Some(unfinished) = piece.body.unfinished() {
                return Err(self.error(unfinished.line, unfinished.what).hint(unfinished.hint));
            }
            if piece.body.reads_copy_data() {
                return Err(self
                    .error(piece.line, "`COPY .. FROM stdin` has no rows")
                    .hint("end the command with `;` and the rows with a line that holds only `\\.`"));
            }
            self.push(&piece);
        }
        match &self.touches {
            Some(touches) => Err(self
                .error(touches.line, "`-- walkback: touches` stands before no statement")
                .hint("put it on a line of its own, directly before the statement it describes")),
            None => Ok(()),
        }
    }

    fn unterminated(&self, open: Open, token: &Token<'_>) -> Error {
        let first_line = token.text.lines().next().unwrap_or_default();
        let shown: String = first_line.chars().take(40).collect();
        let end = match open {
            Open::Comment => "*/".to_owned(),
            Open::Dollar => match token.text[1..].find('$') {
                Some(at) => token.text[..at + 2].to_owned(),
                None => "$$".to_owned(),
            },
            Open::Text | Open::Name => closing_quote(token.text).to_string(),
        };
        self.error(
            token.line,
            format!("a {} is not terminated: `{shown}`", open.word()),
        )
        .hint(format!("end what begins here with `{end}`"))
    }

    fn error(&self, line: usize, message: impl Into<String>) -> Error {
        error_at(self.file, line, message)
    }
}

/// Makes an error of the script, with its place in the message.
fn error_at(file: &Path, line: usize, message: impl Into<String>) -> Error {
    Error::config(format!("{} ({}:{line})", message.into(), file.display()))
}

fn closing_quote(text: &str) -> char {
    match text.chars().find(|c| matches!(c, '\'' | '"' | '`' | '[')) {
        Some('[') => ']',
        Some(quote) => quote,
        None => '\'',
    }
}

/// Returns what follows `-- walkback: touches`, if the comment is that.
fn touches_list(comment: &str) -> Option<&str> {
    let text = comment.strip_prefix("--")?.trim_start();
    let directive = text.strip_prefix("walkback:")?.trim_start();
    let list = directive.strip_prefix("touches")?;
    (list.is_empty() || list.starts_with(char::is_whitespace) || list.starts_with('=')).then(|| {
        let list = list.trim();
        list.strip_prefix('=').unwrap_or(list).trim()
    })
}
