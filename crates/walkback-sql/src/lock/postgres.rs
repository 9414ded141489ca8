//! Locks of PostgreSQL.

use walkback_core::TableName;

use super::{Held, TableLock, altered, skip_constraint_name};
use crate::cursor::{Cursor, is_any_word, position_outside};
use crate::effect::functions;
use crate::lexer::Token;

const INDEX: Held = Held {
    why: "a `SHARE` lock keeps everybody from writing while the index is built",
    instead: "write `CREATE INDEX CONCURRENTLY`, in a migration of its own; it then runs outside a transaction by itself",
};
const REFRESH: Held = Held {
    why: "an `ACCESS EXCLUSIVE` lock keeps everybody from reading while the view is computed",
    instead: "write `REFRESH MATERIALIZED VIEW CONCURRENTLY`, which needs a unique index on the view",
};
const REINDEX: Held = Held {
    why: "a `SHARE` lock keeps everybody from writing while the indexes are built",
    instead: "write `REINDEX TABLE CONCURRENTLY`, in a migration of its own",
};
const REWRITE: Held = Held {
    why: "an `ACCESS EXCLUSIVE` lock keeps everybody from reading while the table is written anew",
    instead: "do it at a quiet time with `-- walkback: lock_timeout=5s`, or move the rows into a new table in batches",
};
const TYPE: Held = Held {
    why: "an `ACCESS EXCLUSIVE` lock keeps everybody from reading while the table is written anew, unless the \
          new type is the old one with more room",
    instead: "add a column of the new type, fill it in batches, and exchange the two by name",
};
const NOT_NULL: Held = Held {
    why: "an `ACCESS EXCLUSIVE` lock keeps everybody from reading while all rows are looked at",
    instead: "add `CHECK (.. IS NOT NULL) NOT VALID`, run `VALIDATE CONSTRAINT` in a later migration, then `SET NOT NULL`, \
              which trusts it",
};
const FOREIGN_KEY: Held = Held {
    why: "a `SHARE ROW EXCLUSIVE` lock keeps everybody from writing to both tables while all rows are looked at",
    instead: "add it with `NOT VALID`, and run `VALIDATE CONSTRAINT` in a later migration",
};
const CHECK: Held = Held {
    why: "an `ACCESS EXCLUSIVE` lock keeps everybody from reading while all rows are looked at",
    instead: "add it with `NOT VALID`, and run `VALIDATE CONSTRAINT` in a later migration",
};
const KEY: Held = Held {
    why: "an `ACCESS EXCLUSIVE` lock keeps everybody from reading while the index of the key is built",
    instead: "build it with `CREATE UNIQUE INDEX CONCURRENTLY`, then add the key with `USING INDEX`",
};
const EXCLUDE: Held = Held {
    why: "an `ACCESS EXCLUSIVE` lock keeps everybody from reading while the index of the constraint is built",
    instead: "do it at a quiet time, with `-- walkback: lock_timeout=5s`",
};
const VOLATILE: Held = Held {
    why: "an `ACCESS EXCLUSIVE` lock keeps everybody from reading while the table is written anew: the value is \
          computed for every row",
    instead: "add the column without it, `ALTER COLUMN .. SET DEFAULT` for new rows, and fill the old ones in batches",
};

/// Returns the locks of a statement.
pub(super) fn read(statement: &Cursor<'_, '_>) -> Vec<TableLock> {
    let mut cursor = statement.clone();
    let concurrently = cursor.has("CONCURRENTLY");
    if cursor.word("ALTER") {
        let Some((table, operations)) = altered(&mut cursor) else {
            return Vec::new();
        };
        let held = operations.into_iter().filter_map(operation);
        return held.map(|held| held.on(&table)).collect();
    }
    let found = if concurrently {
        None
    } else if cursor.word("CREATE") {
        create_index(&mut cursor).map(|table| (INDEX, table))
    } else if cursor.words(&["REFRESH", "MATERIALIZED", "VIEW"]) {
        cursor.table().map(|view| (REFRESH, view))
    } else if cursor.word("REINDEX") {
        let options = cursor
            .parenthesised()
            .map(|inside| Cursor::new(cursor.kind(), inside));
        let is_online = options.is_some_and(|options| options.has("CONCURRENTLY"));
        let of_table = cursor.word("TABLE") && !is_online;
        of_table
            .then(|| cursor.table())
            .flatten()
            .map(|table| (REINDEX, table))
    } else {
        rewritten(&mut cursor).map(|table| (REWRITE, table))
    };
    found.into_iter().map(|(held, table)| held.on(&table)).collect()
}

fn create_index(cursor: &mut Cursor<'_, '_>) -> Option<TableName> {
    cursor.word("UNIQUE");
    if !cursor.word("INDEX") || !cursor.skip_to(&["ON"]) {
        return None;
    }
    cursor.next();
    // Of a partitioned table alone: nothing is built.
    if cursor.word("ONLY") {
        return None;
    }
    cursor.table()
}

/// `CLUSTER t` and `VACUUM FULL t`.
fn rewritten(cursor: &mut Cursor<'_, '_>) -> Option<TableName> {
    if cursor.word("CLUSTER") {
        cursor.parenthesised();
        cursor.word("VERBOSE");
        return cursor.table();
    }
    if !cursor.word("VACUUM") {
        return None;
    }
    let options = cursor
        .parenthesised()
        .map(|inside| Cursor::new(cursor.kind(), inside));
    let is_full = cursor.word("FULL") || options.is_some_and(|options| options.has("FULL"));
    while cursor.any(&["FREEZE", "VERBOSE", "ANALYZE", "ANALYSE"]) {}
    if is_full { cursor.table() } else { None }
}

fn operation(mut cursor: Cursor<'_, '_>) -> Option<Held> {
    if cursor.word("ADD") {
        return add(&mut cursor);
    }
    if cursor.word("ALTER") {
        cursor.word("COLUMN");
        cursor.name()?;
        if cursor.at("TYPE") || cursor.words(&["SET", "DATA", "TYPE"]) {
            return Some(TYPE);
        }
        return cursor.words(&["SET", "NOT", "NULL"]).then_some(NOT_NULL);
    }
    let rewrites = cursor.word("SET") && cursor.at_any(&["TABLESPACE", "LOGGED", "UNLOGGED", "ACCESS"]);
    rewrites.then_some(REWRITE)
}

fn add(cursor: &mut Cursor<'_, '_>) -> Option<Held> {
    skip_constraint_name(cursor);
    let is_checked = !cursor.has_row(&["NOT", "VALID"]);
    if cursor.at("FOREIGN") {
        return is_checked.then_some(FOREIGN_KEY);
    }
    if cursor.at("CHECK") {
        return is_checked.then_some(CHECK);
    }
    if cursor.at_any(&["PRIMARY", "UNIQUE"]) {
        return (!cursor.has_row(&["USING", "INDEX"])).then_some(KEY);
    }
    if cursor.at("EXCLUDE") {
        return Some(EXCLUDE);
    }
    cursor.word("COLUMN");
    cursor.if_not_exists();
    cursor.name()?;
    computes_a_value(cursor).then_some(VOLATILE)
}

/// Returns whether a new column has a value of its own in every row: a stored expression, a number of a
/// sequence, or a default that is not the same for all rows.
fn computes_a_value(column: &Cursor<'_, '_>) -> bool {
    let numbered = [
        "SERIAL",
        "BIGSERIAL",
        "SMALLSERIAL",
        "SERIAL2",
        "SERIAL4",
        "SERIAL8",
    ];
    if column.at_any(&numbered) || column.has("STORED") || column.has("IDENTITY") {
        return true;
    }
    let mut default = column.clone();
    if !default.skip_to(&["DEFAULT"]) {
        return false;
    }
    default.next();
    let is_behind = |token: &Token<'_>| {
        [
            "CHECK",
            "REFERENCES",
            "UNIQUE",
            "PRIMARY",
            "CONSTRAINT",
            "GENERATED",
            "COLLATE",
        ]
        .iter()
        .any(|word| token.is_word(word))
    };
    let end = position_outside(default.rest(), is_behind).unwrap_or(default.rest().len());
    calls_volatile(default.kind(), &default.rest()[..end])
}

/// Functions that give another value each time they are called.
const VOLATILE_FUNCTIONS: [&str; 12] = [
    "clock_timestamp",
    "gen_random_bytes",
    "gen_random_uuid",
    "gen_salt",
    "nextval",
    "random",
    "timeofday",
    "uuid_generate_v1",
    "uuid_generate_v1mc",
    "uuid_generate_v4",
    "uuidv4",
    "uuidv7",
];

/// Returns whether a function is called that is volatile, as every function is whose author does not say otherwise.
fn calls_volatile(kind: walkback_core::DialectKind, tokens: &[Token<'_>]) -> bool {
    tokens.windows(2).any(|pair| {
        let name = pair[0].text.to_ascii_lowercase();
        let is_call = pair[1].is_symbol("(") && is_any_word(&pair[0]) && !functions::is_syntax(&name);
        let is_steady = functions::writes_nothing(kind, None, &name) && !VOLATILE_FUNCTIONS.contains(&&*name);
        is_call && !is_steady
    })
}
