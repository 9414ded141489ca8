//! Locks of MySQL and MariaDB, with `InnoDB`.

use super::{Held, TableLock, altered, skip_constraint_name};
use crate::cursor::Cursor;

const COPY: Held = Held {
    why: "the table is copied, and nobody can write to it meanwhile, unless only a name, a default or the room of a \
          `VARCHAR` changes",
    instead: "add `, ALGORITHM=INPLACE, LOCK=NONE`: the server then refuses what it cannot do beside writers; for the \
              rest add a new column, fill it in batches, and exchange the two by name",
};
const COPIED: Held = Held {
    why: "the table is copied, and nobody can write to it meanwhile",
    instead: "add `, ALGORITHM=INPLACE, LOCK=NONE` to be refused rather than to block, and do it at a quiet time or with \
              a tool that copies beside writers",
};
const CONSTRAINT: Held = Held {
    why: "the table is copied to check all rows, and nobody can write to it meanwhile",
    instead: "do it at a quiet time with `-- walkback: lock_timeout=5s`, or on MySQL in a script that begins with `SET \
              foreign_key_checks = 0`, if every row is known to fit",
};
const SPECIAL_INDEX: Held = Held {
    why: "nobody can write to the table while the index is built",
    instead: "do it at a quiet time, with `-- walkback: lock_timeout=5s`",
};

/// Returns the locks of a statement.
pub(super) fn read(statement: &Cursor<'_, '_>) -> Vec<TableLock> {
    let mut cursor = statement.clone();
    if cursor.word("CREATE") {
        cursor.words(&["OR", "REPLACE"]);
        let is_special = cursor.any(&["FULLTEXT", "SPATIAL"]) && !asks_for_no_lock(&cursor);
        if !is_special || !cursor.skip_to(&["ON"]) {
            return Vec::new();
        }
        cursor.next();
        return cursor
            .table()
            .iter()
            .map(|table| SPECIAL_INDEX.on(table))
            .collect();
    }
    if !cursor.word("ALTER") {
        return Vec::new();
    }
    let Some((table, operations)) = altered(&mut cursor) else {
        return Vec::new();
    };
    if operations.iter().any(asks_for_no_lock) {
        return Vec::new();
    }
    let has_new_key = operations.iter().any(|operation| {
        let mut operation = operation.clone();
        operation.word("ADD") && operation.has_row(&["PRIMARY", "KEY"])
    });
    let held = operations
        .into_iter()
        .filter_map(|operation| held_by(operation, has_new_key));
    held.map(|held| held.on(&table)).collect()
}

/// Returns whether `ALGORITHM` or `LOCK` makes the server refuse rather than lock others out.
fn asks_for_no_lock(operation: &Cursor<'_, '_>) -> bool {
    let mut cursor = operation.clone();
    while cursor.skip_to(&["ALGORITHM", "LOCK"]) {
        let is_lock = cursor.at("LOCK");
        cursor.next();
        cursor.symbol("=");
        let algorithms = ["INPLACE", "INSTANT", "NOCOPY"];
        if if is_lock {
            cursor.at("NONE")
        } else {
            cursor.at_any(&algorithms)
        } {
            return true;
        }
    }
    false
}

fn held_by(mut cursor: Cursor<'_, '_>, has_new_key: bool) -> Option<Held> {
    if cursor.word("ADD") {
        return add(&mut cursor);
    }
    if cursor.at_any(&["MODIFY", "CHANGE"]) {
        return Some(COPY);
    }
    if cursor.words(&["DROP", "PRIMARY", "KEY"]) {
        return (!has_new_key).then_some(COPIED);
    }
    let copies = cursor.words(&["CONVERT", "TO"])
        || cursor.words(&["PARTITION", "BY"])
        || cursor.words(&["REMOVE", "PARTITIONING"]);
    copies.then_some(COPIED)
}

fn add(cursor: &mut Cursor<'_, '_>) -> Option<Held> {
    skip_constraint_name(cursor);
    if cursor.at_any(&["FOREIGN", "CHECK"]) {
        return Some(CONSTRAINT);
    }
    if cursor.at_any(&["FULLTEXT", "SPATIAL"]) {
        return Some(SPECIAL_INDEX);
    }
    if cursor.at_any(&["PRIMARY", "UNIQUE", "INDEX", "KEY", "PARTITION"]) {
        return None;
    }
    let computes = ["STORED", "PERSISTENT", "AUTO_INCREMENT"]
        .iter()
        .any(|word| cursor.has(word));
    computes.then_some(COPIED)
}
