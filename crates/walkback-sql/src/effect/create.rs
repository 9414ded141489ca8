//! Statements that create objects.

use walkback_core::TableName;
use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;

use super::Reading;
use crate::cursor::{Cursor, position_outside};

/// Reads what follows `CREATE`.
pub(super) fn read(behind: &Cursor<'_, '_>) -> Reading {
    let mut cursor = behind.clone();
    let or_replace = cursor.words(&["OR", "REPLACE"]);
    let temporary = skip_modifiers(&mut cursor);
    let Some(kind) = object_kind(&mut cursor) else {
        return Reading::unread("`CREATE` names no sort of object that is known here");
    };
    cursor.word("CONCURRENTLY");
    let if_not_exists = cursor.if_not_exists();
    let Some((name, on)) = names(kind, &mut cursor) else {
        return Reading::unread(format!("`CREATE` names no {}", kind.word()));
    };
    let mut reading = Reading::default();
    if temporary && matches!(kind, ObjectKind::Table | ObjectKind::View | ObjectKind::Sequence) {
        reading.add(Action::Session);
    } else {
        if or_replace && kind == ObjectKind::Table {
            reading.add(Action::DropTable { table: name.clone() });
        }
        reading.add(Action::Create {
            kind,
            name,
            on,
            or_replace,
            if_not_exists,
        });
    }
    reading.and(contents(kind, &cursor))
}

/// Skips what may stand between `CREATE` and the sort of object, and returns whether it is a temporary one.
fn skip_modifiers(cursor: &mut Cursor<'_, '_>) -> bool {
    let mut temporary = false;
    loop {
        if cursor.any(&["TEMP", "TEMPORARY"]) {
            temporary = true;
        } else if cursor.at_any(&["DEFINER", "ALGORITHM"]) {
            cursor.next();
            cursor.symbol("=");
            cursor.next();
            cursor.parenthesised();
            // The host of `DEFINER = 'root'@'localhost'`.
            if cursor.symbol("@") || cursor.peek().is_some_and(|token| token.text.starts_with('@')) {
                cursor.next();
            }
        } else if cursor.words(&["SQL", "SECURITY"]) {
            cursor.next();
        } else if !cursor.any(&[
            "GLOBAL",
            "LOCAL",
            "UNLOGGED",
            "UNIQUE",
            "FULLTEXT",
            "SPATIAL",
            "RECURSIVE",
            "AGGREGATE",
            "VIRTUAL",
            "FOREIGN",
            "CONSTRAINT",
            "TRUSTED",
            "PROCEDURAL",
            "DEFAULT",
            "ONLINE",
            "OFFLINE",
        ]) {
            return temporary;
        }
    }
}

/// Reads the sort of object.
pub(super) fn object_kind(cursor: &mut Cursor<'_, '_>) -> Option<ObjectKind> {
    use ObjectKind::{
        Event, Extension, Grant, Index, MaterializedView, Other, Policy, Routine, Schema, Sequence, Table,
        Trigger, Type, View,
    };
    if cursor.words(&["MATERIALIZED", "VIEW"]) {
        return Some(MaterializedView);
    }
    for two in [
        ["EVENT", "TRIGGER"],
        ["TEXT", "SEARCH"],
        ["ACCESS", "METHOD"],
        ["OPERATOR", "CLASS"],
        ["OPERATOR", "FAMILY"],
        ["DATA", "WRAPPER"],
        ["USER", "MAPPING"],
        ["LARGE", "OBJECT"],
        ["LOGFILE", "GROUP"],
        ["RESOURCE", "GROUP"],
    ] {
        if cursor.words(&two) {
            if two[0] == "TEXT" {
                cursor.any(&["CONFIGURATION", "DICTIONARY", "PARSER", "TEMPLATE"]);
            }
            return Some(Other);
        }
    }
    let word = cursor.peek()?.text.to_ascii_uppercase();
    let kind = match word.as_str() {
        "TABLE" => Table,
        "VIEW" => View,
        "INDEX" => Index,
        "TRIGGER" => Trigger,
        "SEQUENCE" => Sequence,
        "FUNCTION" | "PROCEDURE" | "ROUTINE" | "AGGREGATE" => Routine,
        "TYPE" | "DOMAIN" => Type,
        "SCHEMA" | "DATABASE" => Schema,
        "EXTENSION" => Extension,
        "EVENT" => Event,
        "RULE" | "POLICY" => Policy,
        "ROLE" | "USER" | "GROUP" => Grant,
        "COLLATION" | "CONVERSION" | "OPERATOR" | "CAST" | "LANGUAGE" | "SERVER" | "PUBLICATION"
        | "SUBSCRIPTION" | "STATISTICS" | "TABLESPACE" | "TRANSFORM" => Other,
        _ => return None,
    };
    cursor.next();
    Some(kind)
}

/// Reads the name of the new object and of the table it belongs to. The name is empty where the server makes
/// one up.
fn names(kind: ObjectKind, cursor: &mut Cursor<'_, '_>) -> Option<(TableName, Option<TableName>)> {
    match kind {
        ObjectKind::Index => {
            let name = if cursor.at("ON") {
                TableName::new("")
            } else {
                cursor.table()?
            };
            cursor.skip_to(&["ON"]);
            cursor.next();
            cursor.word("ONLY");
            Some((name, Some(cursor.table()?)))
        }
        ObjectKind::Trigger => {
            let name = cursor.table()?;
            cursor.skip_to(&["ON"]);
            cursor.next();
            Some((name, Some(cursor.table()?)))
        }
        ObjectKind::Policy => {
            let name = cursor.table()?;
            // `CREATE RULE r AS ON INSERT TO t`, `CREATE POLICY p ON t`.
            let is_rule = cursor.at("AS") && cursor.has_row(&["AS", "ON"]);
            cursor.skip_to(if is_rule { &["TO"] } else { &["ON"] });
            cursor.next();
            Some((name, Some(cursor.table()?)))
        }
        ObjectKind::Schema => {
            if cursor.word("AUTHORIZATION") {
                return Some((TableName::new(cursor.name()?), None));
            }
            Some((TableName::new(cursor.name()?), None))
        }
        ObjectKind::Other => {
            let name = cursor.table().unwrap_or_else(|| TableName::new(""));
            Some((name, None))
        }
        _ => Some((cursor.table()?, None)),
    }
}

/// Says what is done beside the creation: rows read by a query, objects inside a schema.
fn contents(kind: ObjectKind, cursor: &Cursor<'_, '_>) -> Reading {
    let is_query = |token: &crate::lexer::Token<'_>| {
        ["SELECT", "WITH", "VALUES", "EXECUTE"]
            .iter()
            .any(|word| token.is_word(word))
    };
    match kind {
        ObjectKind::Table | ObjectKind::MaterializedView => {
            let Some(at) = position_outside(cursor.rest(), is_query) else {
                return Reading::default();
            };
            let mut query = Cursor::new(cursor.kind(), &cursor.rest()[at..]);
            // `WITH (fillfactor = 70)` and `WITH NO DATA` are options, not queries.
            if query.at("WITH") {
                let mut ahead = query.clone();
                ahead.next();
                if ahead.at_symbol("(") || ahead.at_any(&["NO", "DATA", "OIDS", "PARSER", "SYSTEM"]) {
                    query = ahead;
                    if !query.skip_to(&["SELECT", "VALUES", "EXECUTE"]) {
                        return Reading::default();
                    }
                }
            }
            if query.at("EXECUTE") {
                return Reading::unknown("`EXECUTE` runs a text that is not known here");
            }
            let mut reading = super::tokens::read(&query);
            reading.actions.retain(|action| *action != Action::Read);
            reading
        }
        ObjectKind::Schema if cursor.has("CREATE") || cursor.has("GRANT") => {
            Reading::unread("`CREATE SCHEMA` with objects inside")
        }
        _ => Reading::default(),
    }
}
