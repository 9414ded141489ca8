//! Moving a table of SQLite aside: a rename beside the others.
//!
//! Names of indexes are those of the whole file, and a trigger follows its table: both are taken off, and made again on
//! the way back. Foreign keys are cut out of the text of the table. The rename is the old kind, which leaves the views,
//! triggers and foreign keys of others alone, as a `DROP TABLE` does.

use walkback_core::Dialect;
use walkback_core::catalog::Schema;
use walkback_core::name::ObjectKind;
use walkback_core::value::Value;

use super::moves::{Leaving, Move, last_first};
use super::strip::without_foreign_keys;

const WRITE_SCHEMA: &str = "PRAGMA writable_schema = ON";
/// Reads the schema anew as well.
const SCHEMA_WRITTEN: &str = "PRAGMA writable_schema = RESET";
const PLAIN_RENAMES: &str = "PRAGMA legacy_alter_table = ON";
const USUAL_RENAMES: &str = "PRAGMA legacy_alter_table = OFF";

/// Returns what moves tables aside, or why that cannot be done.
pub(super) fn moves(
    dialect: &dyn Dialect,
    before: &Schema,
    leaving: &[Leaving<'_>],
) -> Result<Vec<Move>, String> {
    let mut moves = Vec::new();
    for one in leaving {
        let name = &one.table.name;
        for kind in [ObjectKind::Trigger, ObjectKind::Index] {
            let word = if kind == ObjectKind::Trigger {
                "TRIGGER"
            } else {
                "INDEX"
            };
            for object in last_first(before, name, kind) {
                let drop = format!("DROP {word} {}", dialect.quote_table(&object.name));
                moves.push(Move::new(drop, &object.definition));
            }
        }
        moves.push(renamed(dialect, one)?);
    }
    Ok(moves)
}

fn renamed(dialect: &dyn Dialect, one: &Leaving<'_>) -> Result<Move, String> {
    let (name, aside) = (&one.table.name, &one.aside);
    let rename = |from, to: &str| {
        format!(
            "ALTER TABLE {} RENAME TO {}",
            dialect.quote_table(from),
            dialect.quote_identifier(to)
        )
    };
    let write = |sql: &str| {
        let literal = |text: &str| dialect.literal(&Value::Text(text.to_owned()));
        format!(
            "UPDATE sqlite_schema SET sql = {} WHERE type = 'table' AND name = {} COLLATE NOCASE",
            literal(sql),
            literal(&name.name)
        )
    };
    let mut forward: Vec<String> = Vec::new();
    if !one.table.foreign_keys.is_empty() {
        let stripped = without_foreign_keys(&one.table.definition)
            .ok_or_else(|| format!("the foreign keys of `{name}` cannot be taken out of its definition"))?;
        forward.extend([
            WRITE_SCHEMA.to_owned(),
            write(&stripped),
            SCHEMA_WRITTEN.to_owned(),
        ]);
    }
    forward.extend([
        PLAIN_RENAMES.to_owned(),
        rename(name, &aside.name),
        USUAL_RENAMES.to_owned(),
    ]);
    Ok(Move {
        forward,
        back: vec![
            PLAIN_RENAMES.to_owned(),
            rename(aside, &name.name),
            USUAL_RENAMES.to_owned(),
            // A rename puts its own quotes around the name, and the foreign keys are missing.
            WRITE_SCHEMA.to_owned(),
            write(&one.table.definition),
            SCHEMA_WRITTEN.to_owned(),
        ],
    })
}
