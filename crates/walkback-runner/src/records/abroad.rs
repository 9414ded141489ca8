//! Tables of other databases of a MySQL server that refer to a table: the catalog of one database does not have them.

use walkback_core::dialect::DialectKind;
use walkback_core::engine::SessionExt as _;
use walkback_core::{Cx, Dialect, Result, Session, TableName};

/// A table, quoted, with the columns of it that refer to columns of another, quoted.
pub(super) type Child = (String, Vec<(String, String)>);

/// One pair of columns of a foreign key a row, those of one key together.
const KEYS: &str = "SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME \
                    FROM information_schema.KEY_COLUMN_USAGE \
                    WHERE REFERENCED_TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME = ? AND TABLE_SCHEMA <> DATABASE() \
                    ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION";

/// Returns the tables of other databases that refer to this one: what an application keeps there would go with its rows.
///
/// The server shows only those on which the user has a right.
pub(super) async fn children(
    dialect: &dyn Dialect,
    cx: &Cx,
    session: &mut dyn Session,
    table: &TableName,
) -> Result<Vec<Child>> {
    if dialect.kind() != DialectKind::Mysql {
        return Ok(Vec::new());
    }
    let rows = session.fetch_all(cx, KEYS, &[table.name.clone().into()]).await?;
    let text = |row: &[walkback_core::Value], at: usize| {
        let text = row.get(at).and_then(|value| value.as_str());
        text.unwrap_or_default().to_owned()
    };
    let of_one_key = rows.chunk_by(|left, right| left[..3] == right[..3]);
    let children = of_one_key.map(|key| {
        let child = TableName::in_schema(text(&key[0], 0), text(&key[0], 1));
        let quoted = |row: &[walkback_core::Value], at| dialect.quote_identifier(&text(row, at));
        let pairs = key.iter().map(|row| (quoted(row, 3), quoted(row, 4)));
        (dialect.quote_table(&child), pairs.collect())
    });
    Ok(children.collect())
}
