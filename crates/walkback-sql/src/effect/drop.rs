//! Statements that drop objects.

use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{DialectKind, TableName};

use super::{Reading, create};
use crate::cursor::Cursor;

/// Reads what follows `DROP`.
pub(super) fn read(behind: &Cursor<'_, '_>) -> Reading {
    let mut cursor = behind.clone();
    if cursor.at("OWNED") {
        return Reading::unknown("`DROP OWNED` drops everything of a role");
    }
    if cursor.word("PREPARE") {
        return Reading::of(Action::Session);
    }
    let temporary = cursor.any(&["TEMP", "TEMPORARY"]);
    while cursor.any(&["FOREIGN", "ONLINE", "OFFLINE", "PROCEDURAL", "TRUSTED", "UNDO"]) {}
    let Some(kind) = create::object_kind(&mut cursor) else {
        return Reading::unread("`DROP` names no sort of object that is known here");
    };
    cursor.word("CONCURRENTLY");
    cursor.if_exists();
    let mut reading = Reading::default();
    loop {
        let name = if kind == ObjectKind::Other {
            Some(cursor.table().unwrap_or_else(|| TableName::new("")))
        } else {
            cursor.table()
        };
        let Some(name) = name else {
            return reading.and(Reading::unread(format!("`DROP` names no {}", kind.word())));
        };
        cursor.parenthesised();
        if temporary {
            reading.add(Action::Session);
        } else {
            reading.add(dropped(kind, name, &mut cursor));
        }
        if !cursor.symbol(",") {
            break;
        }
    }
    reading.and(what_goes_along(behind.kind(), kind, &cursor))
}

fn dropped(kind: ObjectKind, name: TableName, cursor: &mut Cursor<'_, '_>) -> Action {
    if kind == ObjectKind::Table {
        return Action::DropTable { table: name };
    }
    let on = if cursor.word("ON") { cursor.table() } else { None };
    Action::Drop { kind, name, on }
}

/// Says what is dropped beside the objects that are named.
fn what_goes_along(dialect: DialectKind, kind: ObjectKind, cursor: &Cursor<'_, '_>) -> Reading {
    let cascades = cursor.has("CASCADE") && dialect == DialectKind::Postgres;
    match kind {
        ObjectKind::Schema if dialect == DialectKind::Mysql || cascades => {
            Reading::unknown("everything inside is dropped with it")
        }
        ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Index
            if cascades =>
        {
            Reading::of(dependents())
        }
        // The columns of a type, the defaults of a sequence and the indexes of a function go along.
        _ if cascades => Reading::unknown("`CASCADE` also drops what depends on it"),
        _ => Reading::default(),
    }
}

/// The views and foreign keys that PostgreSQL drops along with a table or a column; no rows are among them.
pub(in crate::effect) fn dependents() -> Action {
    Action::Drop {
        kind: ObjectKind::Other,
        name: TableName::new("whatever depends on it (CASCADE)"),
        on: None,
    }
}
