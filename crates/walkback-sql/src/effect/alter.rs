//! Statements that change objects: each of the operations of an `ALTER TABLE` is an action of its own.

mod table;

use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{DialectKind, TableName};

use super::{Reading, create};
use crate::cursor::Cursor;

/// Reads what follows `ALTER`.
pub(super) fn read(behind: &Cursor<'_, '_>) -> Reading {
    let mut cursor = behind.clone();
    while cursor.any(&["ONLINE", "OFFLINE", "FOREIGN"]) {}
    if cursor.words(&["IGNORE", "TABLE"]) {
        return Reading::unknown("`ALTER IGNORE TABLE` may delete rows");
    }
    if cursor.word("TABLE") {
        return table::read(&mut cursor);
    }
    if cursor.words(&["DEFAULT", "PRIVILEGES"]) {
        return altered(ObjectKind::Grant, TableName::new("default privileges"));
    }
    if cursor.at_any(&["SYSTEM", "INSTANCE"]) {
        return altered(ObjectKind::Other, TableName::new("server settings"));
    }
    while cursor.any(&["ALGORITHM", "DEFINER", "SQL", "SECURITY"]) {
        if cursor.symbol("=") {
            cursor.next();
            if cursor.symbol("@") || cursor.peek().is_some_and(|token| token.text.starts_with('@')) {
                cursor.next();
            }
        } else {
            cursor.any(&["INVOKER"]);
        }
    }
    let Some(kind) = create::object_kind(&mut cursor) else {
        return Reading::unread("`ALTER` names no sort of object that is known here");
    };
    cursor.if_exists();
    let name = match cursor.table() {
        Some(name) => name,
        None if kind == ObjectKind::Other => TableName::new(""),
        None => return Reading::unread(format!("`ALTER` names no {}", kind.word())),
    };
    if cursor.at_any(&["DROP"]) && cursor.has("CASCADE") {
        return altered(kind, name).and(Reading::unknown("`CASCADE` also drops what depends on it"));
    }
    // MySQL: `ALTER VIEW v AS SELECT ..` replaces it.
    if kind == ObjectKind::View && cursor.kind() == DialectKind::Mysql {
        return Reading::of(Action::Create {
            kind,
            name,
            on: None,
            or_replace: true,
            if_not_exists: false,
        });
    }
    altered(kind, name)
}

fn altered(kind: ObjectKind, name: TableName) -> Reading {
    Reading::of(Action::Alter { kind, name })
}

/// `RENAME TABLE a TO b, c TO d` of MySQL.
pub(super) fn rename_tables(behind: &Cursor<'_, '_>) -> Reading {
    let mut cursor = behind.clone();
    if cursor.word("USER") {
        return altered(
            ObjectKind::Grant,
            cursor.table().unwrap_or_else(|| TableName::new("user")),
        );
    }
    if !cursor.any(&["TABLE", "TABLES"]) {
        return Reading::unread("`RENAME` names no sort of object that is known here");
    }
    cursor.if_exists();
    let mut reading = Reading::default();
    for mut pair in cursor.split_commas() {
        let from = pair.table();
        if pair.any(&["WAIT"]) {
            pair.next();
        }
        pair.word("NOWAIT");
        let to = pair.word("TO").then(|| pair.table()).flatten();
        match from.zip(to) {
            Some((from, to)) => reading.add(Action::RenameTable { from, to }),
            None => return reading.and(Reading::unread("`RENAME TABLE` names no tables")),
        }
    }
    reading
}
