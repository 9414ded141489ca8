//! The reader that is always there: what the words of a statement say.

use walkback_core::name::ObjectKind;
use walkback_core::statement::Action;
use walkback_core::{DialectKind, TableName};

use super::{Reading, alter, create, drop, query, rows};
use crate::cursor::Cursor;

/// Says what a statement does, by its words.
pub(super) fn read(statement: &Cursor<'_, '_>) -> Reading {
    let mut cursor = statement.clone();
    if cursor.at_symbol("(") {
        return query::select(statement);
    }
    let Some(first) = cursor.next() else {
        return Reading::default();
    };
    let verb = first.text.to_ascii_uppercase();
    match verb.as_str() {
        "SELECT" | "VALUES" | "TABLE" => query::select(statement),
        "WITH" => query::with(&cursor),
        "INSERT" | "REPLACE" => rows::insert(statement),
        "UPDATE" => rows::update(&cursor),
        "DELETE" => rows::delete(&cursor),
        "MERGE" => rows::merge(&cursor),
        "TRUNCATE" => rows::truncate(&cursor),
        "COPY" => rows::copy(&cursor),
        "LOAD" => rows::load(&cursor),
        "CREATE" => create::read(&cursor),
        "DROP" => drop::read(&cursor),
        "ALTER" => alter::read(&cursor),
        "RENAME" => alter::rename_tables(&cursor),
        _ => rare(&verb, &cursor),
    }
}

fn rare(verb: &str, cursor: &Cursor<'_, '_>) -> Reading {
    match verb {
        "EXPLAIN" | "DESCRIBE" | "DESC" => explain(cursor),
        "SHOW" | "HELP" | "HANDLER" => Reading::of(Action::Read),
        "PRAGMA" => pragma(cursor),
        "SET" => set(cursor),
        "RESET" | "USE" | "DISCARD" | "ATTACH" | "DETACH" | "LISTEN" | "UNLISTEN" | "NOTIFY" | "FETCH"
        | "MOVE" | "CLOSE" | "DEALLOCATE" | "UNLOCK" | "KILL" => Reading::of(Action::Session),
        "DECLARE" => query::functions_of(cursor).and(Reading::of(Action::Session)),
        "BEGIN" if cursor.at("NOT") => Reading::unknown("a `BEGIN NOT ATOMIC` block can do anything"),
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "ABORT" | "XA" => {
            transaction(verb, cursor)
        }
        "LOCK" => Reading::of(if cursor.kind() == DialectKind::Mysql {
            Action::Session
        } else {
            Action::Transaction
        }),
        "VACUUM" | "ANALYZE" | "ANALYSE" | "REINDEX" | "CLUSTER" | "CHECKPOINT" | "OPTIMIZE" | "CHECK"
        | "REPAIR" | "CHECKSUM" | "FLUSH" | "CACHE" | "REFRESH" => Reading::of(Action::Maintain),
        "GRANT" | "REVOKE" | "REASSIGN" => Reading::of(Action::Alter {
            kind: ObjectKind::Grant,
            name: grantee(cursor),
        }),
        "COMMENT" => comment(cursor),
        "SECURITY" => Reading::of(Action::Alter {
            kind: ObjectKind::Other,
            name: TableName::new("security label"),
        }),
        "IMPORT" => Reading::unknown("`IMPORT FOREIGN SCHEMA` creates tables it does not name"),
        "DO" if cursor.kind() == DialectKind::Mysql => {
            query::functions_of(cursor).and(Reading::of(Action::Read))
        }
        "DO" => Reading::unknown("a `DO` block can do anything"),
        "CALL" => Reading::unknown(format!("the procedure `{}` can do anything", called(cursor))),
        "PREPARE" if cursor.at("TRANSACTION") => Reading::of(Action::Transaction),
        // Only `EXECUTE` runs what was prepared.
        "PREPARE" => Reading::of(Action::Session),
        "EXECUTE" => Reading::unknown("`EXECUTE` runs a text that is not known here"),
        _ => Reading::unread(format!("`{verb}` begins no statement that is known here")),
    }
}

fn called(cursor: &Cursor<'_, '_>) -> String {
    cursor
        .clone()
        .table()
        .map_or_else(|| "?".to_owned(), |name| name.to_string())
}

fn transaction(verb: &str, cursor: &Cursor<'_, '_>) -> Reading {
    // `START REPLICA` and its like are about the server.
    let is_transaction = verb != "START" || cursor.at("TRANSACTION");
    if is_transaction {
        Reading::of(Action::Transaction)
    } else {
        Reading::unread(format!("`{verb}` begins no statement that is known here"))
    }
}

/// `EXPLAIN` runs the statement only with `ANALYZE`.
fn explain(cursor: &Cursor<'_, '_>) -> Reading {
    let mut cursor = cursor.clone();
    let runs = match cursor.parenthesised() {
        Some(options) => Cursor::new(cursor.kind(), options).has("ANALYZE"),
        None => {
            let runs = cursor.any(&["ANALYZE", "ANALYSE"]);
            cursor.word("VERBOSE");
            runs
        }
    };
    if !runs || cursor.kind() == DialectKind::Sqlite {
        return Reading::of(Action::Read);
    }
    if cursor.at_any(&["EXPLAIN", "DESCRIBE", "DESC"]) {
        return Reading::unread("`EXPLAIN` explains no statement");
    }
    if cursor.word("FORMAT") {
        cursor.symbol("=");
        cursor.next();
    }
    read(&cursor).and(Reading::of(Action::Read))
}

/// Settings of SQLite that outlive the session and are content of the file.
const LASTING_PRAGMAS: [&str; 4] = ["application_id", "encoding", "schema_version", "user_version"];

fn pragma(cursor: &Cursor<'_, '_>) -> Reading {
    let mut cursor = cursor.clone();
    let Some(name) = cursor.table() else {
        return Reading::unread("`PRAGMA` names no setting");
    };
    let lower = name.name.to_ascii_lowercase();
    let is_set = !cursor.is_done();
    if is_set && LASTING_PRAGMAS.contains(&lower.as_str()) {
        return Reading::of(Action::Alter {
            kind: ObjectKind::Other,
            name: TableName::new(format!("pragma {lower}")),
        });
    }
    match lower.as_str() {
        "incremental_vacuum" | "optimize" | "wal_checkpoint" | "auto_vacuum" | "page_size"
        | "journal_mode" => Reading::of(Action::Maintain),
        _ if is_set => Reading::of(Action::Session),
        _ => Reading::of(Action::Read),
    }
}

fn set(cursor: &Cursor<'_, '_>) -> Reading {
    if cursor.kind() != DialectKind::Mysql {
        return Reading::of(Action::Session);
    }
    if cursor.at("PASSWORD") || cursor.at_any(&["DEFAULT", "ROLE"]) {
        return Reading::of(Action::Alter {
            kind: ObjectKind::Grant,
            name: TableName::new("password or role"),
        });
    }
    let mut actions = query::functions_of(cursor);
    for mut setting in cursor.split_commas() {
        let global = setting.any(&["GLOBAL", "PERSIST", "PERSIST_ONLY"]);
        let name = setting.next().map_or("", |token| token.text);
        let lower = name.to_ascii_lowercase();
        let prefixed = ["@@global.", "@@persist.", "@@persist_only."]
            .iter()
            .any(|prefix| lower.starts_with(prefix));
        actions.add(if global || prefixed {
            Action::Alter {
                kind: ObjectKind::Other,
                name: TableName::new(format!("setting {lower}")),
            }
        } else {
            Action::Session
        });
    }
    actions
}

fn grantee(cursor: &Cursor<'_, '_>) -> TableName {
    let mut cursor = cursor.clone();
    let found = cursor.skip_to(&["TO", "FROM"]) && cursor.next().is_some();
    cursor
        .name()
        .filter(|_| found)
        .map_or_else(|| TableName::new("grant"), TableName::new)
}

/// `COMMENT ON TABLE t IS '..'`: the comment before is lost.
fn comment(cursor: &Cursor<'_, '_>) -> Reading {
    let mut cursor = cursor.clone();
    cursor.word("ON");
    if cursor.word("MATERIALIZED") || cursor.at_any(&["TABLE", "COLUMN", "VIEW", "INDEX"]) {
        cursor.next();
    } else {
        cursor.skip_to(&["IS"]);
    }
    let name = cursor.table().unwrap_or_else(|| TableName::new("comment"));
    Reading::of(Action::Alter {
        kind: ObjectKind::Comment,
        name,
    })
}
