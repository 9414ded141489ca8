//! Takes back other changes of objects: only a new name says what it was before.

use walkback_core::TableName;
use walkback_core::name::ObjectKind;

use super::{Context, Piece, Refusal};
use crate::cursor::text_of;

impl Context<'_> {
    pub(super) fn undo_alter(&self, kind: ObjectKind, name: &TableName) -> Result<Piece, Refusal> {
        let renamed = match self.behind_altered_table() {
            Some(_) => self.undo_rename_within_table(&name.name),
            None => self.undo_rename_object(name),
        };
        renamed.ok_or_else(|| match kind {
            ObjectKind::Comment => "the comment before is not in the catalog".to_owned(),
            ObjectKind::Grant => "who had which right before is not in the catalog".to_owned(),
            _ => "what it was before does not follow from the statement".to_owned(),
        })
    }

    /// `ALTER INDEX a RENAME TO b` and its like.
    fn undo_rename_object(&self, name: &TableName) -> Option<Piece> {
        let mut cursor = self.cursor();
        if !cursor.word("ALTER") {
            return None;
        }
        let start = cursor.rest();
        while !cursor.is_done() && cursor.clone().table().as_ref() != Some(name) {
            if cursor.at("IF") {
                break;
            }
            cursor.next();
        }
        let words = text_of(self.sql, &start[..start.len() - cursor.rest().len()]);
        cursor.if_exists();
        if cursor.table().as_ref() != Some(name) || words.is_empty() {
            return None;
        }
        let arguments = match cursor.parenthesised() {
            Some(inside) => format!("({})", text_of(self.sql, inside)),
            None => String::new(),
        };
        if !cursor.words(&["RENAME", "TO"]) {
            return None;
        }
        let new = cursor.name()?;
        cursor.is_done().then(|| {
            Piece::of(format!(
                "ALTER {words} {}{arguments} RENAME TO {}",
                self.quoted(&name.renamed(new)),
                self.identifier(&name.name)
            ))
        })
    }

    /// `ALTER TABLE t RENAME CONSTRAINT a TO b` and, on MySQL, `RENAME INDEX a TO b`.
    fn undo_rename_within_table(&self, name: &str) -> Option<Piece> {
        let mut altered = self.cursor();
        altered.words(&["ALTER", "TABLE"]);
        altered.if_exists();
        altered.word("ONLY");
        let table = altered.table()?;
        for mut operation in self.behind_altered_table()?.split_commas() {
            if !operation.word("RENAME") {
                continue;
            }
            let sort = ["CONSTRAINT", "INDEX", "KEY"]
                .into_iter()
                .find(|sort| operation.word(sort));
            let (Some(sort), Some(from)) = (sort, operation.name()) else {
                continue;
            };
            let to = operation.word("TO").then(|| operation.name()).flatten();
            if let Some(to) = to.filter(|_| from == name) {
                return Some(Piece::of(format!(
                    "ALTER TABLE {} RENAME {sort} {} TO {}",
                    self.quoted(&table),
                    self.identifier(&to),
                    self.identifier(&from)
                )));
            }
        }
        None
    }
}
