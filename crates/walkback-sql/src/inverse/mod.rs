//! Derives what takes a statement back, from the statement and the schema just before it.
//!
//! A derived inverse never promises more than it gives: what it cannot bring back is named, and what does not
//! follow is refused with the reason. Rows are not its business; they come back from captured changes, from
//! protected copies or from a point.

mod alter;
mod column;
mod create;
mod drop;

use walkback_core::catalog::Schema;
use walkback_core::dialect::Inverse;
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{DialectKind, Statement, TableName};

use crate::cursor::Cursor;
use crate::effect::effect;
use crate::lexer::{Token, significant_tokens};
use crate::quote::{quote_identifier, quote_table};

/// Derives the statements that take a statement back, given the schema just before it.
///
/// The actions of one statement are undone newest first. If one of them cannot be undone, none is, and the
/// answer names it.
#[must_use]
pub fn inverse(kind: DialectKind, statement: &Statement, before: &Schema) -> Inverse {
    let tokens = significant_tokens(kind, &statement.sql);
    let context = Context {
        kind,
        sql: &statement.sql,
        tokens: &tokens,
        before,
    };
    let mut whole = Piece::default();
    for action in in_order(&context, effect(kind, statement).actions).iter().rev() {
        match context.undo(action) {
            Ok(piece) => whole.append(piece),
            Err(why) => {
                return Inverse::NotDerivable {
                    why: format!("it {action}: {why}"),
                };
            }
        }
    }
    whole.into_inverse()
}

/// On MySQL the operations of one `ALTER TABLE` all speak of the old name: the rename comes last.
fn in_order(context: &Context<'_>, actions: Vec<Action>) -> Vec<Action> {
    if !context.cursor().at("ALTER") {
        return actions;
    }
    let is_rename = |action: &Action| matches!(action, Action::RenameTable { .. });
    let (renames, others): (Vec<_>, Vec<_>) = actions.into_iter().partition(is_rename);
    others.into_iter().chain(renames).collect()
}

/// What is known when one action is undone.
struct Context<'c> {
    kind: DialectKind,
    sql: &'c str,
    tokens: &'c [Token<'c>],
    before: &'c Schema,
}

/// What undoes one action.
#[derive(Debug, Default, PartialEq, Eq)]
struct Piece {
    statements: Vec<String>,
    loses: Vec<String>,
}

/// Why an action cannot be undone by derived statements.
type Refusal = String;

impl Piece {
    fn of(statement: impl Into<String>) -> Self {
        Self {
            statements: vec![statement.into()],
            loses: Vec::new(),
        }
    }

    fn losing(mut self, what: impl Into<String>) -> Self {
        self.loses.push(what.into());
        self
    }

    fn append(&mut self, other: Self) {
        self.statements.extend(other.statements);
        for loss in other.loses {
            if !self.loses.contains(&loss) {
                self.loses.push(loss);
            }
        }
    }

    fn into_inverse(self) -> Inverse {
        if self.statements.is_empty() && self.loses.is_empty() {
            return Inverse::Nothing;
        }
        Inverse::Statements {
            statements: self.statements,
            loses: self.loses,
        }
    }
}

impl<'c> Context<'c> {
    fn cursor(&self) -> Cursor<'c, 'c> {
        Cursor::new(self.kind, self.tokens)
    }

    fn quoted(&self, name: &TableName) -> String {
        quote_table(self.kind, name)
    }

    fn identifier(&self, name: &str) -> String {
        quote_identifier(self.kind, name)
    }

    /// Returns whether the statement says `IF EXISTS`.
    fn is_conditional(&self) -> bool {
        self.cursor().has_row(&["IF", "EXISTS"])
    }

    fn undo(&self, action: &Action) -> Result<Piece, Refusal> {
        match action {
            Action::Read | Action::Session | Action::Transaction | Action::Maintain => Ok(Piece::default()),
            Action::Create { kind, name, on, .. } => self.undo_create(action, *kind, name, on.as_ref()),
            Action::Drop { kind, name, on } => self.undo_drop(*kind, name, on.as_ref()),
            Action::DropTable { table } => self.undo_drop_table(table),
            Action::RenameTable { from, to } => self.undo_rename_table(from, to),
            Action::AddColumn { table, column } => Ok(self.undo_add_column(table, column)),
            Action::DropColumn { table, column } => self.undo_drop_column(table, column),
            Action::RenameColumn { table, from, to } => Ok(Piece::of(format!(
                "ALTER TABLE {} RENAME COLUMN {} TO {}",
                self.quoted(table),
                self.identifier(to),
                self.identifier(from)
            ))),
            Action::AlterColumn { table, column } => self.undo_alter_column(table, column),
            Action::Alter { kind, name } => self.undo_alter(*kind, name),
            Action::Insert { .. }
            | Action::Update { .. }
            | Action::Delete { .. }
            | Action::Truncate { .. } => Err("rows are undone by captured changes or a point".to_owned()),
            Action::Unknown { why } => Err(why.clone()),
            other => Err(format!("nothing is known about taking back what {other}")),
        }
    }

    fn undo_rename_table(&self, from: &TableName, to: &TableName) -> Result<Piece, Refusal> {
        let is_there =
            self.before.table(from).is_some() || self.before.object(ObjectKind::View, from).is_some();
        if !is_there && self.is_conditional() {
            return Ok(Piece::default());
        }
        if self.kind == DialectKind::Mysql {
            return Ok(Piece::of(format!(
                "RENAME TABLE {} TO {}",
                self.quoted(to),
                self.quoted(from)
            )));
        }
        if from.name != to.name {
            return Ok(Piece::of(format!(
                "ALTER TABLE {} RENAME TO {}",
                self.quoted(to),
                self.identifier(&from.name)
            )));
        }
        let catalog = self
            .before
            .table(from)
            .and_then(|table| table.name.schema.clone());
        let Some(schema) = from.schema.clone().or(catalog) else {
            return Err("the schema it was in is not known; write it with its schema".to_owned());
        };
        Ok(Piece::of(format!(
            "ALTER TABLE {} SET SCHEMA {}",
            self.quoted(to),
            self.identifier(&schema)
        )))
    }
}
