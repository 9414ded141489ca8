//! Takes back what was dropped, from the catalog before.

use walkback_core::catalog::Table;
use walkback_core::name::ObjectKind;
use walkback_core::{DialectKind, TableName};

use super::column::mentions;
use super::{Context, Piece, Refusal};

impl Context<'_> {
    pub(super) fn undo_drop_table(&self, name: &TableName) -> Result<Piece, Refusal> {
        let Some(table) = self.before.table(name) else {
            return if self.is_conditional() || self.is_replaced() {
                Ok(Piece::default())
            } else {
                Err("it is not in the catalog".to_owned())
            };
        };
        // A sequence its columns draw from must be there before the table; everything else after it, also the
        // position of an `AUTO_INCREMENT` or `AUTOINCREMENT`.
        let (first, then): (Vec<_>, Vec<_>) = self
            .before
            .objects_on(&table.name)
            .partition(|object| object.kind == ObjectKind::Sequence && self.kind == DialectKind::Postgres);
        let mut piece = Piece::default();
        piece
            .statements
            .extend(first.iter().map(|object| object.definition.clone()));
        piece.statements.push(table.definition.clone());
        piece
            .statements
            .extend(then.iter().map(|object| object.definition.clone()));
        piece = piece.losing(format!("the rows of table `{}`", table.name));
        let counts =
            self.kind == DialectKind::Sqlite && mentions(self.kind, &table.definition, "AUTOINCREMENT");
        if counts {
            piece = piece.losing(format!(
                "the last number `AUTOINCREMENT` has given in table `{}`",
                table.name
            ));
        }
        for child in self.children(table) {
            piece = piece.losing(format!(
                "what the foreign key of table `{child}` has deleted or emptied along with table `{}`",
                table.name
            ));
        }
        Ok(piece)
    }

    /// `CREATE OR REPLACE TABLE` drops a table only where there is one.
    fn is_replaced(&self) -> bool {
        self.cursor().words(&["CREATE", "OR", "REPLACE"])
    }

    /// Returns the tables whose rows may go along: SQLite deletes the rows of a table before it drops it, and
    /// the foreign keys of other tables act on that.
    fn children<'s>(&'s self, table: &'s Table) -> impl Iterator<Item = &'s TableName> {
        let refers = move |other: &&Table| {
            other.name != table.name
                && other
                    .foreign_keys
                    .iter()
                    .any(|key| key.references.name.eq_ignore_ascii_case(&table.name.name))
        };
        let acts = self.kind == DialectKind::Sqlite;
        self.before
            .tables
            .iter()
            .filter(move |other| acts && refers(other))
            .map(|other| &other.name)
    }

    pub(super) fn undo_drop(
        &self,
        kind: ObjectKind,
        name: &TableName,
        on: Option<&TableName>,
    ) -> Result<Piece, Refusal> {
        if let Some(object) = self.object(kind, name, on) {
            let mut piece = Piece::of(object.definition.clone());
            // The indexes of a materialized view and the triggers of a view go with it.
            if matches!(kind, ObjectKind::View | ObjectKind::MaterializedView) {
                let along = self.before.objects_on(&object.name);
                piece
                    .statements
                    .extend(along.map(|object| object.definition.clone()));
            }
            return Ok(piece);
        }
        if kind == ObjectKind::Constraint
            && let Some(piece) = self.undo_drop_primary_key(name, on)
        {
            return Ok(piece);
        }
        if kind == ObjectKind::Other {
            return Err("what that is does not follow from the statement".to_owned());
        }
        let is_cataloged = matches!(
            kind,
            ObjectKind::Index
                | ObjectKind::View
                | ObjectKind::MaterializedView
                | ObjectKind::Trigger
                | ObjectKind::Sequence
                | ObjectKind::Routine
                | ObjectKind::Event
        );
        if is_cataloged && self.is_conditional() {
            return Ok(Piece::default());
        }
        Err("its definition is not in the catalog".to_owned())
    }

    fn undo_drop_primary_key(&self, name: &TableName, on: Option<&TableName>) -> Option<Piece> {
        let table = self.before.table(on?)?;
        let is_primary = match self.kind {
            DialectKind::Mysql => name.name == "PRIMARY",
            DialectKind::Postgres => name.name == format!("{}_pkey", table.name.name),
            DialectKind::Sqlite => false,
        };
        if !is_primary || table.primary_key.is_empty() {
            return None;
        }
        let columns: Vec<String> = table
            .primary_key
            .iter()
            .map(|column| self.identifier(column))
            .collect();
        let constraint = match self.kind {
            DialectKind::Postgres => format!("CONSTRAINT {} ", self.identifier(&name.name)),
            _ => String::new(),
        };
        Some(Piece::of(format!(
            "ALTER TABLE {} ADD {constraint}PRIMARY KEY ({})",
            self.quoted(&table.name),
            columns.join(", ")
        )))
    }
}
