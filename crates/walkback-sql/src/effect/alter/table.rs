//! The operations of `ALTER TABLE`.

use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{DialectKind, TableName};

use super::altered;
use crate::cursor::Cursor;
use crate::effect::{Reading, drop, query};

/// Reads what follows `ALTER TABLE`.
pub(super) fn read(cursor: &mut Cursor<'_, '_>) -> Reading {
    if cursor.at("ALL") && cursor.has_row(&["IN", "TABLESPACE"]) {
        return Reading::unknown("`ALTER TABLE ALL` moves tables it does not name");
    }
    cursor.if_exists();
    cursor.word("ONLY");
    let Some(table) = cursor.table() else {
        return Reading::unread("`ALTER TABLE` names no table");
    };
    cursor.symbol("*");
    // MariaDB.
    if cursor.word("WAIT") {
        cursor.next();
    }
    cursor.word("NOWAIT");
    let mut reading = Reading::default();
    for mut operation in cursor.split_commas() {
        reading = reading.and(one_operation(&table, &mut operation));
    }
    reading
}

fn one_operation(table: &TableName, cursor: &mut Cursor<'_, '_>) -> Reading {
    if cursor.word("ADD") {
        return add(table, cursor);
    }
    if cursor.word("DROP") {
        return drop(table, cursor);
    }
    if cursor.word("RENAME") {
        return rename(table, cursor);
    }
    if cursor.word("ALTER") {
        return alter_column(table, cursor);
    }
    if cursor.word("MODIFY") {
        cursor.word("COLUMN");
        cursor.if_exists();
        return column_or_unread(cursor, |column| Action::AlterColumn {
            table: table.clone(),
            column,
        });
    }
    if cursor.word("CHANGE") {
        return change(table, cursor);
    }
    if cursor.words(&["SET", "SCHEMA"]) {
        let Some(schema) = cursor.name() else {
            return Reading::unread("`SET SCHEMA` names no schema");
        };
        return Reading::of(Action::RenameTable {
            from: table.clone(),
            to: TableName::in_schema(schema, table.name.clone()),
        });
    }
    whole_table(table, cursor)
}

/// Words that begin an operation on a table as a whole, which moves no values.
const WHOLE_TABLE: [&str; 54] = [
    "ALGORITHM",
    "ATTACH",
    "AUTOEXTEND_SIZE",
    "AUTO_INCREMENT",
    "AVG_ROW_LENGTH",
    "CHARACTER",
    "CHARSET",
    "CHECK",
    "CHECKSUM",
    "CLUSTER",
    "COALESCE",
    "COLLATE",
    "COMMENT",
    "COMPRESSION",
    "CONNECTION",
    "DATA",
    "DEFAULT",
    "DELAY_KEY_WRITE",
    "DETACH",
    "DISABLE",
    "ENABLE",
    "ENCRYPTION",
    "ENGINE",
    "FORCE",
    "INDEX",
    "INHERIT",
    "INSERT_METHOD",
    "KEY_BLOCK_SIZE",
    "LOCK",
    "MAX_ROWS",
    "MIN_ROWS",
    "NO",
    "NOT",
    "OF",
    "OPTIMIZE",
    "ORDER",
    "OWNER",
    "PACK_KEYS",
    "PARTITION",
    "PASSWORD",
    "REBUILD",
    "REMOVE",
    "REORGANIZE",
    "REPAIR",
    "REPLICA",
    "RESET",
    "ROW_FORMAT",
    "SET",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
    "TABLESPACE",
    "VALIDATE",
    "WITHOUT",
];

fn whole_table(table: &TableName, cursor: &mut Cursor<'_, '_>) -> Reading {
    // How MySQL goes about it, and nothing it does.
    if cursor.at_any(&["ALGORITHM", "LOCK", "FORCE"]) && cursor.kind() == DialectKind::Mysql {
        return Reading::of(Action::Maintain);
    }
    let changed = Action::Alter {
        kind: ObjectKind::Table,
        name: table.clone(),
    };
    if cursor.word("TRUNCATE")
        || cursor.words(&["DISCARD", "PARTITION"])
        || cursor.words(&["DISCARD", "TABLESPACE"])
        || cursor.words(&["IMPORT", "TABLESPACE"])
    {
        return Reading::of(Action::Truncate { table: table.clone() });
    }
    if cursor.words(&["EXCHANGE", "PARTITION"]) {
        cursor.skip_to(&["WITH"]);
        let other = cursor.words(&["WITH", "TABLE"]).then(|| cursor.table()).flatten();
        return match other {
            Some(other) => Reading::of(Action::Update { table: table.clone() })
                .and(Reading::of(Action::Update { table: other })),
            None => Reading::unread("`EXCHANGE PARTITION` names no table"),
        };
    }
    // MySQL: the values themselves are converted.
    if cursor.at("CONVERT") || cursor.at("UNION") || cursor.at_any(&WHOLE_TABLE) {
        return Reading::of(changed);
    }
    let word = cursor.peek().map_or("nothing", |token| token.text);
    Reading::of(changed).and(Reading::unread(format!(
        "`{word}` begins no change of a table that is known here"
    )))
}

fn add(table: &TableName, cursor: &mut Cursor<'_, '_>) -> Reading {
    let made = |kind: ObjectKind, name: Option<String>, if_not_exists: bool| {
        Reading::of(Action::Create {
            kind,
            name: TableName {
                schema: None,
                name: name.unwrap_or_default(),
            },
            on: Some(table.clone()),
            or_replace: false,
            if_not_exists,
        })
    };
    if cursor.word("CONSTRAINT") {
        let if_not_exists = cursor.if_not_exists();
        let is_nameless = cursor.at_any(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]);
        let name = if is_nameless { None } else { cursor.name() };
        return made(ObjectKind::Constraint, name, if_not_exists);
    }
    if cursor.at("PRIMARY") || cursor.at_any(&["FOREIGN", "CHECK", "EXCLUDE"]) {
        return made(ObjectKind::Constraint, None, false);
    }
    let mysql = cursor.kind() == DialectKind::Mysql;
    if cursor.word("UNIQUE") {
        cursor.any(&["INDEX", "KEY"]);
        let if_not_exists = cursor.if_not_exists();
        let name = if mysql { cursor.name() } else { None };
        let kind = if mysql {
            ObjectKind::Index
        } else {
            ObjectKind::Constraint
        };
        return made(kind, name, if_not_exists);
    }
    if mysql && cursor.at_any(&["INDEX", "KEY", "FULLTEXT", "SPATIAL"]) {
        cursor.any(&["FULLTEXT", "SPATIAL"]);
        cursor.any(&["INDEX", "KEY"]);
        let if_not_exists = cursor.if_not_exists();
        let name = if cursor.at("USING") { None } else { cursor.name() };
        return made(ObjectKind::Index, name, if_not_exists);
    }
    if mysql && cursor.at_any(&["PARTITION", "PERIOD", "SYSTEM"]) {
        return altered(ObjectKind::Table, table.clone());
    }
    cursor.word("COLUMN");
    cursor.if_not_exists();
    add_columns(table, cursor)
}

fn add_columns(table: &TableName, cursor: &mut Cursor<'_, '_>) -> Reading {
    let added = |column: String| Action::AddColumn {
        table: table.clone(),
        column,
    };
    let Some(list) = cursor.parenthesised() else {
        let reading = column_or_unread(cursor, added);
        // A default is computed for every row that is there.
        return reading.and(default_functions(cursor));
    };
    let mut reading = Reading::default();
    for mut column in Cursor::new(cursor.kind(), list).split_commas() {
        let is_key = column.at_any(&[
            "INDEX",
            "KEY",
            "UNIQUE",
            "PRIMARY",
            "FOREIGN",
            "CONSTRAINT",
            "CHECK",
            "FULLTEXT",
        ]);
        reading = reading.and(if is_key {
            add(table, &mut column)
        } else {
            column_or_unread(&mut column, added)
        });
    }
    reading
}

fn default_functions(cursor: &Cursor<'_, '_>) -> Reading {
    let mut default = cursor.clone();
    if default.skip_to(&["DEFAULT"]) {
        default.next();
        // What follows the default (`CHECK`, `REFERENCES t (a)`) calls nothing, or is read as no call.
        return query::functions_of(&default);
    }
    Reading::default()
}

fn drop(table: &TableName, cursor: &mut Cursor<'_, '_>) -> Reading {
    let dropped = |kind: ObjectKind, name: String| {
        Reading::of(Action::Drop {
            kind,
            name: TableName::new(name),
            on: Some(table.clone()),
        })
    };
    let mysql = cursor.kind() == DialectKind::Mysql;
    if cursor.words(&["PRIMARY", "KEY"]) {
        return dropped(ObjectKind::Constraint, "PRIMARY".to_owned());
    }
    if mysql && cursor.words(&["PARTITION"]) {
        return Reading::of(Action::Delete { table: table.clone() })
            .and(altered(ObjectKind::Table, table.clone()));
    }
    let kind = if cursor.word("CONSTRAINT")
        || (mysql && (cursor.words(&["FOREIGN", "KEY"]) || cursor.word("CHECK")))
    {
        Some(ObjectKind::Constraint)
    } else if mysql && cursor.any(&["INDEX", "KEY"]) {
        Some(ObjectKind::Index)
    } else {
        None
    };
    if kind.is_none() {
        cursor.word("COLUMN");
    }
    cursor.if_exists();
    let Some(name) = cursor.name() else {
        return Reading::unread("`DROP` names nothing");
    };
    let reading = match kind {
        Some(kind) => dropped(kind, name),
        None => Reading::of(Action::DropColumn {
            table: table.clone(),
            column: name,
        }),
    };
    if cursor.has("CASCADE") && cursor.kind() == DialectKind::Postgres {
        return reading.and(Reading::of(drop::dependents()));
    }
    reading
}

fn rename(table: &TableName, cursor: &mut Cursor<'_, '_>) -> Reading {
    let mysql = cursor.kind() == DialectKind::Mysql;
    if mysql && cursor.any(&["INDEX", "KEY"]) {
        return column_or_unread(cursor, |index| Action::Alter {
            kind: ObjectKind::Index,
            name: TableName::new(index),
        });
    }
    if cursor.word("CONSTRAINT") {
        return column_or_unread(cursor, |constraint| Action::Alter {
            kind: ObjectKind::Constraint,
            name: TableName::new(constraint),
        });
    }
    if cursor.any(&["TO", "AS"]) || cursor.symbol("=") || (mysql && !cursor.at("COLUMN")) {
        let to = cursor
            .table()
            .map(|to| match (to.schema.is_some(), cursor.kind()) {
                // On MySQL a name without a database is one of the current database.
                (true, _) | (_, DialectKind::Mysql) => to,
                _ => table.renamed(to.name),
            });
        return match to {
            Some(to) => Reading::of(Action::RenameTable {
                from: table.clone(),
                to,
            }),
            None => Reading::unread("`RENAME` names no new name"),
        };
    }
    cursor.word("COLUMN");
    cursor.if_exists();
    let from = cursor.name();
    let to = cursor.word("TO").then(|| cursor.name()).flatten();
    match from.zip(to) {
        Some((from, to)) => Reading::of(Action::RenameColumn {
            table: table.clone(),
            from,
            to,
        }),
        None => Reading::unread("`RENAME` names no new name"),
    }
}

fn alter_column(table: &TableName, cursor: &mut Cursor<'_, '_>) -> Reading {
    if cursor.word("CONSTRAINT") || (cursor.kind() == DialectKind::Mysql && cursor.word("CHECK")) {
        return column_or_unread(cursor, |constraint| Action::Alter {
            kind: ObjectKind::Constraint,
            name: TableName::new(constraint),
        });
    }
    if cursor.kind() == DialectKind::Mysql && cursor.any(&["INDEX", "KEY"]) {
        cursor.if_exists();
        return column_or_unread(cursor, |index| Action::Alter {
            kind: ObjectKind::Index,
            name: TableName::new(index),
        });
    }
    cursor.word("COLUMN");
    cursor.if_exists();
    let reading = column_or_unread(cursor, |column| Action::AlterColumn {
        table: table.clone(),
        column,
    });
    let mut using = cursor.clone();
    if using.skip_to(&["USING"]) {
        return reading.and(query::functions_of(&using));
    }
    reading
}

fn change(table: &TableName, cursor: &mut Cursor<'_, '_>) -> Reading {
    cursor.word("COLUMN");
    cursor.if_exists();
    let Some((from, to)) = cursor.name().zip(cursor.name()) else {
        return Reading::unread("`CHANGE` names no column");
    };
    let mut reading = Reading::of(Action::AlterColumn {
        table: table.clone(),
        column: from.clone(),
    });
    if from != to {
        reading.add(Action::RenameColumn {
            table: table.clone(),
            from,
            to,
        });
    }
    reading
}

fn column_or_unread(cursor: &mut Cursor<'_, '_>, action: impl FnOnce(String) -> Action) -> Reading {
    match cursor.name() {
        Some(name) => Reading::of(action(name)),
        None => Reading::unread("a name is missing"),
    }
}
