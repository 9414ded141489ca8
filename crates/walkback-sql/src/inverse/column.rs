//! Takes back what was done to columns.

mod definition;
mod types;

use walkback_core::catalog::{Column, Table};
use walkback_core::name::ObjectKind;
use walkback_core::{DialectKind, TableName};

use super::{Context, Piece, Refusal};
use crate::cursor::Cursor;
use crate::lexer::{Token, significant_tokens};
pub(super) use definition::mentions;
use definition::{
    cut_default, has_constant_default, is_null_default, joined, not_null, type_text, written_definition,
};

impl Context<'_> {
    pub(super) fn undo_add_column(&self, table: &TableName, column: &str) -> Piece {
        // `IF NOT EXISTS`: it was there already.
        let was_there = self
            .before
            .table(table)
            .is_some_and(|table| find(table, column).is_some());
        if was_there {
            return Piece::default();
        }
        let is_missing_table = self.before.table(table).is_none() && self.is_conditional();
        if is_missing_table {
            return Piece::default();
        }
        Piece::of(format!(
            "ALTER TABLE {} DROP COLUMN {}",
            self.quoted(table),
            self.identifier(column)
        ))
    }

    pub(super) fn undo_drop_column(&self, name: &TableName, column: &str) -> Result<Piece, Refusal> {
        let found = self
            .before
            .table(name)
            .and_then(|table| Some((table, find(table, column)?)));
        let Some((table, facts)) = found else {
            return if self.is_conditional() {
                Ok(Piece::default())
            } else {
                Err("it is not in the catalog".to_owned())
            };
        };
        let mut definition = self.definition_of(table, facts)?;
        let mut loses = Vec::new();
        if !facts.generated {
            loses.push(format!("the values of column `{}.{}`", table.name, facts.name));
        }
        loses.append(&mut definition.loses);
        let mut piece = Piece::of(format!(
            "ALTER TABLE {} ADD COLUMN {}",
            self.quoted(&table.name),
            definition.text
        ));
        self.along_with_column(table, facts, &mut piece, &mut loses);
        piece.loses = loses;
        Ok(piece)
    }

    /// Brings back the indexes PostgreSQL has dropped with the column, and names what does not come back.
    fn along_with_column(&self, table: &Table, column: &Column, piece: &mut Piece, loses: &mut Vec<String>) {
        let mentions = |text: &str| mentions(self.kind, text, &column.name);
        for index in self.before.objects_on(&table.name) {
            if index.kind != ObjectKind::Index || !mentions(&index.definition) {
                continue;
            }
            match self.kind {
                DialectKind::Postgres => piece.statements.push(index.definition.clone()),
                // MySQL takes the column out of the index, and drops an index with no column left.
                DialectKind::Mysql => loses.push(format!("the column in index `{}`", index.name)),
                DialectKind::Sqlite => {}
            }
        }
        if table.primary_key.contains(&column.name) {
            loses.push(format!("the primary key of table `{}`", table.name));
        }
        let is_inline = |key: &walkback_core::catalog::ForeignKey| {
            key.columns.len() == 1 && self.kind == DialectKind::Sqlite
        };
        for key in &table.foreign_keys {
            if key.columns.contains(&column.name) && !is_inline(key) {
                loses.push(format!(
                    "the foreign key of column `{}` to table `{}`",
                    column.name, key.references
                ));
            }
        }
        for fact in table.facts.keys() {
            let is_constraint = ["check ", "unique ", "exclude "]
                .iter()
                .any(|sort| fact.starts_with(sort));
            if is_constraint && self.kind != DialectKind::Sqlite && mentions(fact) {
                loses.push(format!("the constraint `{fact}` of table `{}`", table.name));
            }
        }
    }

    /// Writes the definition of a column so that it can be added to a table that has rows.
    fn definition_of(&self, table: &Table, column: &Column) -> Result<Definition, Refusal> {
        let tokens = significant_tokens(self.kind, &table.definition);
        match written_definition(self.kind, &tokens, &column.name) {
            Some(written) => self.addable(table, column, written),
            None if column.generated => {
                Err("the expression that computes it is not in the catalog".to_owned())
            }
            None => {
                let default = column
                    .default
                    .as_ref()
                    .map(|default| format!(" DEFAULT {default}"))
                    .unwrap_or_default();
                let not_null = if column.nullable { "" } else { " NOT NULL" };
                let text = format!(
                    "{} {}{default}{not_null}",
                    self.identifier(&column.name),
                    column.data_type
                );
                let tokens = significant_tokens(self.kind, &text);
                self.addable(table, column, &tokens)
            }
        }
    }

    /// Leaves out what cannot be said of a new column of a table that has rows.
    fn addable(&self, table: &Table, column: &Column, written: &[Token<'_>]) -> Result<Definition, Refusal> {
        let cursor = Cursor::new(self.kind, written);
        let mut kept: Vec<Token<'_>> = written.to_vec();
        let mut loses = Vec::new();
        let mut has_default = cursor.has("DEFAULT") || cursor.has("IDENTITY") || cursor.has("AUTO_INCREMENT");
        if self.kind == DialectKind::Sqlite {
            if cursor.has_row(&["PRIMARY", "KEY"]) || cursor.has("UNIQUE") || cursor.has("STORED") {
                return Err("SQLite cannot add such a column to a table; restore it from a point".to_owned());
            }
            if has_default && !has_constant_default(&cursor) {
                cut_default(&mut kept);
                has_default = false;
                loses.push(format!("the default of column `{}.{}`", table.name, column.name));
            }
            if has_default && cursor.has("REFERENCES") && !is_null_default(&cursor) {
                return Err("SQLite cannot add a column with both a default and a foreign key".to_owned());
            }
        }
        let is_serial = written
            .get(1)
            .is_some_and(|token| token.text.to_ascii_lowercase().ends_with("serial"));
        // MySQL fills such a column with zeros or empty text by itself.
        let fills_itself = has_default || column.generated || is_serial || self.kind == DialectKind::Mysql;
        if !fills_itself && let Some(at) = not_null(&kept) {
            kept.drain(at..at + 2);
            loses.push(format!("`NOT NULL` of column `{}.{}`", table.name, column.name));
        }
        Ok(Definition {
            text: joined(&kept),
            loses,
        })
    }

    pub(super) fn undo_alter_column(&self, name: &TableName, column: &str) -> Result<Piece, Refusal> {
        let found = self
            .before
            .table(name)
            .and_then(|table| Some((table, find(table, column)?)));
        let Some((table, facts)) = found else {
            return Err("it is not in the catalog".to_owned());
        };
        match self.kind {
            DialectKind::Sqlite => Err("SQLite has no statement that changes a column".to_owned()),
            DialectKind::Postgres => self.undo_alter_column_postgres(table, facts),
            DialectKind::Mysql => self.undo_alter_column_mysql(table, facts),
        }
    }

    fn undo_alter_column_postgres(&self, table: &Table, column: &Column) -> Result<Piece, Refusal> {
        let clauses = self.clauses_on(&column.name);
        let altered = format!(
            "ALTER TABLE {} ALTER COLUMN {}",
            self.quoted(&table.name),
            self.identifier(&column.name)
        );
        let mut piece = Piece::default();
        for clause in clauses.iter().rev() {
            piece.append(undo_clause(&altered, table, column, clause)?);
        }
        if piece.statements.is_empty() {
            return Err("what was changed about it cannot be read".to_owned());
        }
        Ok(piece)
    }

    /// Returns what follows `ALTER COLUMN c` in each operation on this column.
    fn clauses_on(&self, column: &str) -> Vec<Cursor<'_, '_>> {
        let Some(operations) = self.behind_altered_table() else {
            return Vec::new();
        };
        let mut clauses = Vec::new();
        for mut operation in operations.split_commas() {
            if operation.word("ALTER") {
                operation.word("COLUMN");
                if operation.name().as_deref() == Some(column) {
                    clauses.push(operation);
                }
            }
        }
        clauses
    }

    fn undo_alter_column_mysql(&self, table: &Table, column: &Column) -> Result<Piece, Refusal> {
        let tokens = significant_tokens(self.kind, &table.definition);
        let Some(written) = written_definition(self.kind, &tokens, &column.name) else {
            return Err("its definition is not in the catalog".to_owned());
        };
        let text = joined(written);
        let piece = Piece::of(format!(
            "ALTER TABLE {} MODIFY COLUMN {text}",
            self.quoted(&table.name)
        ));
        match self.new_type_mysql(&column.name) {
            Some(new) if !types::widens(&column.data_type, &new) => Ok(piece.losing(taken(table, column))),
            _ => Ok(piece),
        }
    }

    /// Returns the type in `MODIFY c type` and `CHANGE c d type`; `None` for `ALTER c SET DEFAULT`.
    fn new_type_mysql(&self, column: &str) -> Option<String> {
        for mut operation in self.behind_altered_table()?.split_commas() {
            let changes = operation.at("CHANGE");
            if !operation.any(&["MODIFY", "CHANGE"]) {
                continue;
            }
            operation.word("COLUMN");
            operation.if_exists();
            if operation.name()? != column {
                continue;
            }
            if changes {
                operation.name()?;
            }
            return Some(type_text(&operation));
        }
        None
    }
}

/// The definition of a column, and what of it cannot be said.
struct Definition {
    text: String,
    loses: Vec<String>,
}

fn find<'t>(table: &'t Table, column: &str) -> Option<&'t Column> {
    let exact = table.columns.iter().find(|candidate| candidate.name == column);
    exact.or_else(|| {
        let mut columns = table.columns.iter();
        columns.find(|candidate| candidate.name.eq_ignore_ascii_case(column))
    })
}

fn taken(table: &Table, column: &Column) -> String {
    format!(
        "what the change of type has taken from the values of column `{}.{}`",
        table.name, column.name
    )
}

fn undo_clause(
    altered: &str,
    table: &Table,
    column: &Column,
    clause: &Cursor<'_, '_>,
) -> Result<Piece, Refusal> {
    let mut clause = clause.clone();
    if clause.words(&["SET", "DATA", "TYPE"]) || clause.word("TYPE") {
        let new = type_text(&clause);
        let old = &column.data_type;
        let name = crate::quote::quote_identifier(DialectKind::Postgres, &column.name);
        let piece = Piece::of(format!("{altered} TYPE {old} USING {name}::{old}"));
        let keeps = types::widens(old, &new) && !clause.has("USING");
        return Ok(if keeps {
            piece
        } else {
            piece.losing(taken(table, column))
        });
    }
    if clause.words(&["SET", "DEFAULT"]) || clause.words(&["DROP", "DEFAULT"]) {
        return Ok(Piece::of(match &column.default {
            Some(default) => format!("{altered} SET DEFAULT {default}"),
            None => format!("{altered} DROP DEFAULT"),
        }));
    }
    if clause.words(&["SET", "NOT", "NULL"]) || clause.words(&["DROP", "NOT", "NULL"]) {
        let change = if column.nullable { "DROP" } else { "SET" };
        return Ok(Piece::of(format!("{altered} {change} NOT NULL")));
    }
    Err("what it was before is not in the catalog".to_owned())
}
