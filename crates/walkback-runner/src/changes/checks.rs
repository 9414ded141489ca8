//! The checks of a table, asked of rows before they are written to it.

use walkback_core::catalog::{Column, Table};
use walkback_core::engine::SessionExt as _;
use walkback_core::{Cx, Dialect, DialectKind, Result, Session};
use walkback_sql::lexer::{Token, TokenKind, significant_tokens};

use super::sql::Sql;
use super::{OnConflict, TableChanges};

/// What is said of cells that stay as they are for it.
pub(super) const DOES_NOT_GO: &str = "what it was does not go with what was written since";

/// What each row has to pass: expressions, cut where they name columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::changes) struct Checks {
    expressions: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Column(String),
}

impl Checks {
    /// Returns the checks of a table, but those of columns that are computed.
    pub(in crate::changes) fn of(dialect: &dyn Dialect, table: &Table) -> Self {
        let texts: Vec<&str> = match dialect.kind() {
            // There they are facts as the server writes them, those that come from parents included.
            DialectKind::Postgres => table.facts.keys().map(String::as_str).collect(),
            DialectKind::Mysql | DialectKind::Sqlite => vec![&table.definition],
        };
        let mut expressions = Vec::new();
        for text in texts {
            let tokens = significant_tokens(dialect.kind(), text);
            for at in 0..tokens.len() {
                let is_check = dialect.kind() != DialectKind::Postgres
                    || tokens[..at].iter().all(|token| token.is_word("inherited"));
                if is_check && tokens[at].is_word("CHECK") {
                    expressions.extend(expression(dialect, table, (text, &tokens[at + 1..])));
                }
            }
        }
        Self { expressions }
    }

    pub(in crate::changes) fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    /// Returns whether any of them names a column.
    pub(in crate::changes) fn name(&self, column: &Column) -> bool {
        let mut pieces = self.expressions.iter().flatten();
        pieces.any(|piece| *piece == Piece::Column(column.name.clone()))
    }

    /// Says that a row passes them all, whose cells are these: what is not known passes.
    pub(in crate::changes) fn pass(&self, cell: impl Fn(&str) -> String) -> String {
        let each = self.expressions.iter().map(|pieces| {
            let pieces = pieces.iter().map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Column(name) => cell(name),
            });
            format!("COALESCE(({}), 1 = 1)", pieces.collect::<String>())
        });
        let each: Vec<_> = each.collect();
        format!("({})", each.join(" AND "))
    }
}

impl Sql<'_> {
    /// Leaves cells as they are that, as they were, do not go with what was written to the others of their rows since.
    pub(super) async fn leave_what_does_not_pass(
        &self,
        cx: &Cx,
        session: &mut dyn Session,
        policy: OnConflict,
        found: &mut TableChanges,
    ) -> Result<()> {
        let checks = Checks::of(self.dialect, self.table);
        let columns = self.columns.iter().copied();
        let own: Vec<_> = columns
            .filter(|column| checks.name(column) && self.extent.has_changed(&column.name))
            .collect();
        if own.is_empty() {
            return Ok(());
        }
        let passes = checks.pass(|name| {
            let quoted = self.name(name);
            match own.iter().find(|column| column.name == name) {
                Some(column) => {
                    let goes = self.goes_back(column, policy);
                    format!("CASE WHEN {goes} THEN w.{quoted} ELSE t.{quoted} END")
                }
                None => format!("t.{quoted}"),
            }
        });
        // Put together first: MySQL changes no table that it reads.
        let those = format!(
            "(SELECT DISTINCT {} {} WHERE NOT {passes}) AS c",
            self.key_columns("t."),
            self.in_all_states()
        );
        let any = format!("SELECT 1 FROM {those} LIMIT 1");
        if session.fetch_optional(cx, &any, &[]).await?.is_none() {
            return Ok(());
        }
        self.ask_for_held(cx, session, (&own, &those, DOES_NOT_GO), policy, found)
            .await?;
        self.hold(cx, session, (&own, &those), policy).await
    }
}

/// Reads the expression in the parentheses that the tokens begin with. `None`: it is not enforced, or it names what cannot
/// be told.
fn expression(
    dialect: &dyn Dialect,
    table: &Table,
    (text, tokens): (&str, &[Token<'_>]),
) -> Option<Vec<Piece>> {
    tokens.first().filter(|token| token.is_symbol("("))?;
    let mut depth = 0_usize;
    let close = tokens.iter().position(|token| {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth -= 1;
        }
        depth == 0
    })?;
    let behind = tokens[close + 1..]
        .iter()
        .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::Symbol));
    let behind: Vec<_> = behind.take(2).collect();
    if let [not, enforced] = behind[..]
        && not.is_word("NOT")
        && enforced.is_word("ENFORCED")
    {
        return None;
    }
    let mut pieces = Vec::new();
    let mut from = tokens[0].end();
    for at in 1..close {
        let Some(column) = column_at(dialect, table, (tokens, at)) else {
            continue;
        };
        if column.generated {
            return None;
        }
        pieces.push(Piece::Text(text[from..tokens[at].offset].to_owned()));
        pieces.push(Piece::Column(column.name.clone()));
        from = tokens[at].end();
    }
    pieces.push(Piece::Text(text[from..tokens[close].offset].to_owned()));
    Some(pieces)
}

/// Returns the column that a token names.
fn column_at<'t>(
    dialect: &dyn Dialect,
    table: &'t Table,
    (tokens, at): (&[Token<'_>], usize),
) -> Option<&'t Column> {
    let token = &tokens[at];
    let is = |other: Option<&Token<'_>>, symbols: &[&str]| {
        other.is_some_and(|other| symbols.iter().any(|symbol| other.is_symbol(symbol)))
    };
    let is_called = is(tokens.get(at + 1), &["(", "."]);
    let is_type = at > 0 && is(tokens.get(at - 1), &["::", "."]);
    if is_called || is_type {
        return None;
    }
    table.columns.iter().find(|column| match token.kind {
        TokenKind::Word => column.name.eq_ignore_ascii_case(token.text),
        TokenKind::QuotedName => dialect.quote_identifier(&column.name) == token.text,
        _ => false,
    })
}
