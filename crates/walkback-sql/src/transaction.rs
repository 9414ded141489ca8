//! What a statement is to the transaction around it.

use walkback_core::{DialectKind, Statement};

use crate::cursor::Cursor;
use crate::lexer::significant_tokens;

/// Says whether the server refuses the statement inside a transaction, or ignores it there.
#[must_use]
pub fn refuses_transaction(kind: DialectKind, statement: &Statement) -> bool {
    let tokens = significant_tokens(kind, &statement.sql);
    let cursor = Cursor::new(kind, &tokens);
    match kind {
        DialectKind::Sqlite => sqlite_refuses(cursor),
        DialectKind::Postgres => postgres_refuses(cursor),
        DialectKind::Mysql => mysql_refuses(cursor),
    }
}

/// `PRAGMA foreign_keys` is ignored inside a transaction without a word, which is worse than refused.
fn sqlite_refuses(mut cursor: Cursor<'_, '_>) -> bool {
    if cursor.any(&["VACUUM", "DETACH"]) {
        return true;
    }
    if !cursor.word("PRAGMA") {
        return false;
    }
    let name = cursor.table().map(|name| name.name.to_ascii_lowercase());
    let is_set = !cursor.is_done();
    is_set
        && name.is_some_and(|name| {
            matches!(
                name.as_str(),
                "foreign_keys"
                    | "journal_mode"
                    | "synchronous"
                    | "auto_vacuum"
                    | "page_size"
                    | "encoding"
                    | "temp_store"
                    | "locking_mode"
                    | "wal_checkpoint"
            )
        })
}

fn postgres_refuses(mut cursor: Cursor<'_, '_>) -> bool {
    let concurrently = cursor.has("CONCURRENTLY");
    let Some(verb) = cursor.next() else {
        return false;
    };
    match verb.text.to_ascii_uppercase().as_str() {
        "CREATE" | "DROP" => {
            cursor.word("UNIQUE");
            cursor.words(&["INDEX", "CONCURRENTLY"])
                || cursor.at_any(&["DATABASE", "TABLESPACE", "SUBSCRIPTION"])
        }
        "REINDEX" => {
            let options = cursor
                .parenthesised()
                .map(|options| Cursor::new(cursor.kind(), options));
            concurrently
                || options.is_some_and(|options| options.has("CONCURRENTLY"))
                || cursor.at_any(&["DATABASE", "SYSTEM", "SCHEMA"])
        }
        "VACUUM" => true,
        "CLUSTER" => {
            cursor.word("VERBOSE");
            cursor.parenthesised();
            cursor.is_done()
        }
        "ALTER" => {
            cursor.at("SYSTEM")
                || (cursor.at("DATABASE") && cursor.has_row(&["SET", "TABLESPACE"]))
                || (cursor.at("TABLE") && concurrently && cursor.has("DETACH"))
        }
        "DISCARD" => cursor.at("ALL"),
        "COMMIT" | "ROLLBACK" => cursor.at("PREPARED"),
        _ => false,
    }
}

/// MySQL refuses next to nothing: what cannot be in a transaction ends it, see [`is_implicit_commit`].
fn mysql_refuses(mut cursor: Cursor<'_, '_>) -> bool {
    // 1568: `Transaction characteristics can't be changed while a transaction is in progress`.
    if cursor.words(&["SET", "TRANSACTION"]) {
        return true;
    }
    cursor.words(&["XA", "START"]) || cursor.words(&["XA", "BEGIN"])
}

/// Says whether the statement commits the transaction around it, also when it fails. Only MySQL and MariaDB
/// know such statements.
#[must_use]
pub fn is_implicit_commit(kind: DialectKind, statement: &Statement) -> bool {
    if kind != DialectKind::Mysql {
        return false;
    }
    let tokens = significant_tokens(kind, &statement.sql);
    let mut cursor = Cursor::new(kind, &tokens);
    let Some(verb) = cursor.next() else {
        return false;
    };
    match verb.text.to_ascii_uppercase().as_str() {
        "CREATE" | "DROP" => {
            cursor.words(&["OR", "REPLACE"]);
            !cursor.any(&["TEMPORARY", "PREPARE"])
        }
        "ALTER" | "RENAME" | "TRUNCATE" | "GRANT" | "REVOKE" | "ANALYZE" | "OPTIMIZE" | "CHECK"
        | "REPAIR" | "FLUSH" | "RESET" | "INSTALL" | "UNINSTALL" | "CACHE" | "BEGIN" | "CHANGE" | "STOP" => {
            true
        }
        "LOCK" => true,
        "START" => true,
        "LOAD" => cursor.at("INDEX"),
        "SET" => cursor.at("PASSWORD") || sets_autocommit(&cursor),
        _ => false,
    }
}

/// `SET autocommit = 1` commits what is open.
fn sets_autocommit(cursor: &Cursor<'_, '_>) -> bool {
    cursor.split_commas().into_iter().any(|mut setting| {
        setting.any(&["SESSION", "LOCAL"]);
        setting.next().is_some_and(|token| {
            let name = token.text.to_ascii_lowercase();
            matches!(
                name.as_str(),
                "autocommit" | "@@autocommit" | "@@session.autocommit"
            )
        })
    })
}
