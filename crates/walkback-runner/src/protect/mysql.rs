//! Moving a table of MySQL or MariaDB aside: a rename beside the others.
//!
//! Each statement is final at once, and is taken back by one of its own. What stands in the way comes first, the rename
//! last: a table that is half moved aside is still there under its name.

use walkback_core::Dialect;
use walkback_core::catalog::{Object, Schema};
use walkback_core::name::ObjectKind;

use super::moves::{Leaving, Move, last_first};

/// Returns what moves tables aside.
///
/// Triggers and foreign keys have names that are those of the whole database, and a foreign key holds the rows it refers
/// to; so are the names of checks on MySQL (`frees_checks`), but for those the server made up from the table's.
pub(super) fn moves(
    dialect: &dyn Dialect,
    before: &Schema,
    leaving: &[Leaving<'_>],
    frees_checks: bool,
) -> Vec<Move> {
    let mut moves = Vec::new();
    for one in leaving {
        let name = &one.table.name;
        let table = dialect.quote_table(name);
        for trigger in last_first(before, name, ObjectKind::Trigger) {
            let drop = format!("DROP TRIGGER {}", dialect.quote_table(&trigger.name));
            moves.push(Move::new(drop, &trigger.definition));
        }
        for key in last_first(before, name, ObjectKind::Constraint) {
            let drop = format!(
                "ALTER TABLE {table} DROP FOREIGN KEY {}",
                dialect.quote_identifier(&key.name.name)
            );
            moves.push(Move::new(drop, keeping_indexes(dialect, before, key)));
        }
        let checks = one.table.facts.iter().filter(|_| frees_checks);
        for (fact, text) in checks {
            let Some(check) = fact.strip_prefix("check ") else {
                continue;
            };
            if is_made_up(check, &name.name) {
                continue;
            }
            let check = dialect.quote_identifier(check);
            moves.push(Move::new(
                format!("ALTER TABLE {table} DROP CHECK {check}"),
                format!("ALTER TABLE {table} ADD CONSTRAINT {check} {text}"),
            ));
        }
    }
    for one in leaving {
        let (name, aside) = (
            dialect.quote_table(&one.table.name),
            dialect.quote_table(&one.aside),
        );
        moves.push(Move::new(
            format!("RENAME TABLE {name} TO {aside}"),
            format!("RENAME TABLE {aside} TO {name}"),
        ));
    }
    moves
}

/// Returns the statement that creates a foreign key again, and keeps the indexes of its columns. One that the server made by
/// itself for it would go then, and another one of another name would come.
fn keeping_indexes(dialect: &dyn Dialect, before: &Schema, key: &Object) -> String {
    let definition = &key.definition;
    let Some(table) = &key.on else {
        return definition.clone();
    };
    let alter = format!("ALTER TABLE {} ", dialect.quote_table(table));
    let columns = definition
        .split_once(" FOREIGN KEY ")
        .and_then(|(_, rest)| rest.split_once(" REFERENCES "));
    let (Some(adding), Some((columns, _))) = (definition.strip_prefix(&alter), columns) else {
        return definition.clone();
    };
    let indexes = before.objects_on(table).filter_map(|index| {
        let name = dialect.quote_identifier(&index.name.name);
        let own = index.definition.strip_prefix(&alter)?;
        // The server writes the columns of an index without spaces.
        let of_columns = own.strip_prefix(&format!("ADD KEY {name} "))?;
        let is_plain = of_columns.replace("`,`", "`, `") == columns.replace("`,`", "`, `");
        (index.kind == ObjectKind::Index && is_plain).then(|| format!("DROP KEY {name}, {own}, "))
    });
    format!("{alter}{}{adding}", indexes.collect::<String>())
}

/// Returns whether a check has a name that the server made up, which follows that of the table.
fn is_made_up(check: &str, table: &str) -> bool {
    check
        .strip_prefix(table)
        .and_then(|rest| rest.strip_prefix("_chk_"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_the_server_made_up_follows_the_table() {
        assert!(is_made_up("t_chk_1", "t") && is_made_up("a_chk_b_chk_12", "a_chk_b"));
        for own in ["t_chk_", "t_chk_a", "positive", "tt_chk_1"] {
            assert!(!is_made_up(own, "t"), "{own}");
        }
    }
}
