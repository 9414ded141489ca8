//! Takes back what was created.

use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{DialectKind, TableName};

use super::{Context, Piece, Refusal};
use crate::cursor::{Cursor, position_outside, split_commas, text_of};

impl Context<'_> {
    pub(super) fn undo_create(
        &self,
        action: &Action,
        kind: ObjectKind,
        name: &TableName,
        on: Option<&TableName>,
    ) -> Result<Piece, Refusal> {
        let Action::Create {
            or_replace,
            if_not_exists,
            ..
        } = action
        else {
            return Err("it creates nothing".to_owned());
        };
        let was_there = self.was_there(kind, name, on);
        if was_there && *if_not_exists {
            return Ok(Piece::default());
        }
        if was_there && *or_replace {
            return self.restore_replaced(kind, name, on);
        }
        self.drop_created(kind, name, on).map(Piece::of)
    }

    /// Returns whether the name was taken, so that `IF NOT EXISTS` did nothing. Tables and views share their
    /// names everywhere, and on SQLite and PostgreSQL with indexes, on PostgreSQL with sequences too.
    fn was_there(&self, kind: ObjectKind, name: &TableName, on: Option<&TableName>) -> bool {
        use ObjectKind::{Index, MaterializedView, Sequence, Table, View};
        let shares: &[ObjectKind] = match (kind, self.kind) {
            (Table | View, DialectKind::Mysql) => &[Table, View],
            (Table | View | Index, DialectKind::Sqlite) => &[Table, View, Index],
            (Table | View | MaterializedView | Index | Sequence, DialectKind::Postgres) => {
                &[Table, View, MaterializedView, Index, Sequence]
            }
            _ => &[],
        };
        let shared = shares.iter().any(|kind| match kind {
            Table => self.before.table(name).is_some(),
            kind => self.before.object(*kind, name).is_some(),
        });
        shared || self.object(kind, name, on).is_some()
    }

    /// Puts the older definition in the place of the new one.
    fn restore_replaced(
        &self,
        kind: ObjectKind,
        name: &TableName,
        on: Option<&TableName>,
    ) -> Result<Piece, Refusal> {
        if kind == ObjectKind::Table {
            // The table before is an action of its own.
            return self.drop_created(kind, name, on).map(Piece::of);
        }
        let Some(object) = self.object(kind, name, on) else {
            return Err("its older definition is not in the catalog".to_owned());
        };
        let mut piece = Piece::default();
        if !object
            .definition
            .trim_start()
            .to_ascii_uppercase()
            .starts_with("CREATE OR REPLACE")
        {
            piece.statements.push(self.drop_created(kind, name, on)?);
        }
        piece.statements.push(object.definition.clone());
        for dependent in self.before.objects_on(&object.name) {
            if dependent.kind == ObjectKind::Trigger {
                piece.statements.push(dependent.definition.clone());
            }
        }
        Ok(piece)
    }

    fn drop_created(
        &self,
        kind: ObjectKind,
        name: &TableName,
        on: Option<&TableName>,
    ) -> Result<String, Refusal> {
        if kind == ObjectKind::Constraint {
            return self.drop_constraint(name, on);
        }
        if name.name.is_empty() {
            return Err("the server makes up its name; give it one in the migration".to_owned());
        }
        let quoted = self.quoted(name);
        let on_table = on
            .map(|on| format!(" ON {}", self.quoted(on)))
            .unwrap_or_default();
        Ok(match kind {
            ObjectKind::Table => format!("DROP TABLE {quoted}"),
            ObjectKind::View => format!("DROP VIEW {quoted}"),
            ObjectKind::MaterializedView => format!("DROP MATERIALIZED VIEW {quoted}"),
            ObjectKind::Sequence => format!("DROP SEQUENCE {quoted}"),
            ObjectKind::Event => format!("DROP EVENT {quoted}"),
            ObjectKind::Extension => format!("DROP EXTENSION {quoted}"),
            ObjectKind::Index if self.kind == DialectKind::Mysql => format!("DROP INDEX {quoted}{on_table}"),
            ObjectKind::Index => format!("DROP INDEX {}", self.quoted(&self.beside(name, on))),
            ObjectKind::Trigger if self.kind == DialectKind::Postgres => {
                format!("DROP TRIGGER {quoted}{on_table}")
            }
            ObjectKind::Trigger => format!("DROP TRIGGER {quoted}"),
            ObjectKind::Policy => format!("DROP {} {quoted}{on_table}", self.word(&["RULE", "POLICY"])?),
            ObjectKind::Type => format!("DROP {} {quoted}", self.word(&["TYPE", "DOMAIN"])?),
            ObjectKind::Schema => format!("DROP {} {quoted}", self.word(&["SCHEMA", "DATABASE"])?),
            ObjectKind::Grant if self.kind == DialectKind::Postgres => {
                format!("DROP {} {quoted}", self.word(&["ROLE", "USER", "GROUP"])?)
            }
            ObjectKind::Routine => {
                let word = self.word(&["FUNCTION", "PROCEDURE", "AGGREGATE"])?;
                format!("DROP {word} {quoted}{}", self.arguments(word)?)
            }
            _ => return Err("how it is dropped does not follow from how it is created".to_owned()),
        })
    }

    /// PostgreSQL keeps an index in the schema of its table.
    fn beside(&self, name: &TableName, on: Option<&TableName>) -> TableName {
        match on.and_then(|on| on.schema.clone()) {
            Some(schema) if name.schema.is_none() && self.kind == DialectKind::Postgres => {
                TableName::in_schema(schema, name.name.clone())
            }
            _ => name.clone(),
        }
    }

    fn drop_constraint(&self, name: &TableName, on: Option<&TableName>) -> Result<String, Refusal> {
        let Some(table) = on else {
            return Err("its table is not known".to_owned());
        };
        let is_primary = self.cursor().has_row(&["PRIMARY", "KEY"]);
        let altered = self.quoted(table);
        match self.kind {
            DialectKind::Mysql if is_primary => Ok(format!("ALTER TABLE {altered} DROP PRIMARY KEY")),
            DialectKind::Sqlite => Err("SQLite has no statement that drops a constraint".to_owned()),
            _ if !name.name.is_empty() => Ok(format!(
                "ALTER TABLE {altered} DROP CONSTRAINT {}",
                self.identifier(&name.name)
            )),
            // The name PostgreSQL gives it, where it has not to be cut to 63 bytes.
            DialectKind::Postgres if is_primary && table.name.len() <= 58 => Ok(format!(
                "ALTER TABLE {altered} DROP CONSTRAINT {}",
                self.identifier(&format!("{}_pkey", table.name))
            )),
            _ => Err("the server makes up its name; give it one in the migration".to_owned()),
        }
    }

    /// Returns the word the statement uses for the sort of object.
    pub(super) fn word<'w>(&self, words: &[&'w str]) -> Result<&'w str, Refusal> {
        let first = self
            .tokens
            .iter()
            .find_map(|token| words.iter().find(|word| token.is_word(word)));
        first.copied().ok_or_else(|| "its sort cannot be read".to_owned())
    }

    /// PostgreSQL tells routines of one name apart by their arguments.
    fn arguments(&self, word: &str) -> Result<String, Refusal> {
        if self.kind != DialectKind::Postgres {
            return Ok(String::new());
        }
        let mut cursor = self.cursor();
        cursor.skip_to(&[word]);
        cursor.next();
        cursor.table();
        let Some(list) = cursor.parenthesised() else {
            return Err("its arguments cannot be read".to_owned());
        };
        let without_default = |argument: &[crate::lexer::Token<'_>]| {
            let end = position_outside(argument, |token| token.is_word("DEFAULT") || token.is_symbol("="));
            text_of(self.sql, &argument[..end.unwrap_or(argument.len())]).to_owned()
        };
        let arguments: Vec<String> = split_commas(list).into_iter().map(without_default).collect();
        Ok(format!("({})", arguments.join(", ")))
    }

    /// Finds an object of the schema before, by its table too where names are only unique within one.
    pub(super) fn object(
        &self,
        kind: ObjectKind,
        name: &TableName,
        on: Option<&TableName>,
    ) -> Option<&walkback_core::catalog::Object> {
        let within_table = match kind {
            ObjectKind::Constraint | ObjectKind::Policy => true,
            ObjectKind::Index => self.kind == DialectKind::Mysql,
            ObjectKind::Trigger => self.kind == DialectKind::Postgres,
            _ => false,
        };
        let Some(on) = on.filter(|_| within_table) else {
            return self.before.object(kind, name);
        };
        let is_same = |object: &&walkback_core::catalog::Object| {
            let same_table = object.on.as_ref().is_some_and(|table| is_same_table(table, on));
            object.kind == kind && object.name.name.eq_ignore_ascii_case(&name.name) && same_table
        };
        self.before.objects.iter().find(is_same)
    }

    /// Returns a cursor behind `ALTER TABLE t`, where the statement is one.
    pub(super) fn behind_altered_table(&self) -> Option<Cursor<'_, '_>> {
        let mut cursor = self.cursor();
        if !cursor.words(&["ALTER", "TABLE"]) {
            return None;
        }
        cursor.if_exists();
        cursor.word("ONLY");
        cursor.table()?;
        cursor.symbol("*");
        Some(cursor)
    }
}

fn is_same_table(left: &TableName, right: &TableName) -> bool {
    let same_schema = left.schema.is_none() || right.schema.is_none() || left.schema == right.schema;
    same_schema && left.name.eq_ignore_ascii_case(&right.name)
}
