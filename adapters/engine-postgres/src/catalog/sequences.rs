//! Sequences: those of their own, those that a column draws from, and those of identity columns.
//!
//! Where a sequence stands is no fact, since each row moves it. It is an object of its own, which belongs to the
//! table of the column, so that it comes back with the rows: a statement that sets it, and takes it back with the
//! transaction it runs in.

use std::collections::BTreeMap;

use walkback_core::catalog::Object;
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, Result, TableName};

use super::tables::RawTable;
use super::{Entry, Facts, HOLDS, Names, fact};
use crate::dialect::{quoted, quoted_table, text_literal};
use crate::link::{Link, Texts};

/// Rank among all objects.
pub(super) const RANK: u8 = 20;

/// Rank of where it stands: after everything that draws from it.
const POSITION: u8 = 70;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    /// The sequences, but for those of identity columns.
    pub(super) entries: Vec<Entry>,
    /// Where they stand.
    pub(super) positions: Vec<Entry>,
}

/// Tells identity columns about their sequences.
pub(super) fn fill_identities(rows: &[Texts], names: &Names, tables: &mut [RawTable]) {
    for row in rows {
        if row.get(10) != "i" {
            continue;
        }
        let name = names.of(row.get(1), row.get(2));
        let table = tables.iter_mut().find(|table| table.oid == row.get(11));
        let column =
            table.and_then(|table| table.columns.iter_mut().find(|column| column.name == row.get(12)));
        if let Some(column) = column {
            column.identity_options = format!("SEQUENCE NAME {} {}", quoted_table(&name), settings(row));
        }
    }
}

/// Makes objects of all sequences of people, and asks where they stand.
pub(super) async fn read(
    link: &mut Link,
    cx: &Cx,
    names: &Names,
    rows: &[Texts],
    tables: &[RawTable],
) -> Result<Sequences> {
    let stands = stands(link, cx, rows).await?;
    let mut found = Sequences::default();
    for row in rows {
        let name = names.of(row.get(1), row.get(2));
        let owner = tables
            .iter()
            .find(|table| table.oid == row.get(11))
            .map(|table| &table.name);
        let is_identity = row.get(10) == "i";
        if !is_identity {
            found.entries.push(entry(row, &name, owner));
        }
        if let Some(position) = position(row, &name, owner, is_identity, stands.get(row.get(0))) {
            found.positions.push(position);
        }
    }
    Ok(found)
}

/// Asks each sequence that may be asked where it stands.
async fn stands(link: &mut Link, cx: &Cx, rows: &[Texts]) -> Result<BTreeMap<String, (i128, bool)>> {
    let mut stands = BTreeMap::new();
    let readable: Vec<_> = rows.iter().filter(|row| row.is(13)).collect();
    for some in readable.chunks(200) {
        let parts: Vec<_> = some
            .iter()
            .map(|row| {
                let name = TableName::in_schema(row.get(1), row.get(2));
                format!(
                    "SELECT '{}', last_value::text, is_called::text FROM {}",
                    row.get(0),
                    quoted_table(&name)
                )
            })
            .collect();
        for row in link.texts(cx, &parts.join(" UNION ALL "), &[]).await? {
            if let Ok(last) = row.get(1).parse() {
                stands.insert(row.get(0).to_owned(), (last, row.is(2)));
            }
        }
    }
    Ok(stands)
}

fn settings(row: &Texts) -> String {
    format!(
        "START WITH {} INCREMENT BY {} MINVALUE {} MAXVALUE {} CACHE {}{}",
        row.get(4),
        row.get(5),
        row.get(7),
        row.get(6),
        row.get(8),
        if row.is(9) { " CYCLE" } else { "" }
    )
}

fn entry(row: &Texts, name: &TableName, owner: Option<&TableName>) -> Entry {
    let quoted = quoted_table(name);
    let unlogged = if row.is(14) { "UNLOGGED " } else { "" };
    let definition = format!(
        "CREATE {unlogged}SEQUENCE {quoted} AS {} {}",
        row.get(3),
        settings(row)
    );
    let mut facts = Facts::from([
        ("type".to_owned(), row.get(3).to_owned()),
        ("settings".to_owned(), settings(row)),
    ]);
    if row.is(14) {
        facts.insert("unlogged".to_owned(), HOLDS.to_owned());
    }
    Entry {
        object: Object {
            kind: ObjectKind::Sequence,
            name: name.clone(),
            on: owner.cloned(),
            definition,
            facts,
        },
        oid: row.get(0).to_owned(),
        rank: RANK,
        drop: format!("DROP SEQUENCE {quoted}"),
        called: format!("SEQUENCE {quoted}"),
    }
}

/// Returns the statement that says whose a sequence is, and where it stands.
fn position(
    row: &Texts,
    name: &TableName,
    owner: Option<&TableName>,
    is_identity: bool,
    stand: Option<&(i128, bool)>,
) -> Option<Entry> {
    let sequence = quoted_table(name);
    let mut changes = String::new();
    let mut facts = Facts::new();
    if let Some(owner) = owner.filter(|_| !is_identity) {
        let column = format!("{}.{}", quoted_table(owner), quoted(row.get(12)));
        changes.push_str(&format!(" OWNED BY {column}"));
        facts.extend(fact("owned by", column));
    }
    let number = |index: usize| row.get(index).parse::<i128>().unwrap_or_default();
    let (start, step, most, least) = (number(4), number(5), number(6), number(7));
    let is_fresh = stand.is_none_or(|(last, is_called)| !is_called && *last == start);
    let definition = match stand {
        None => format!("ALTER SEQUENCE {sequence}{changes}"),
        Some((last, is_called)) => {
            let next = if *is_called { last + step } else { *last };
            if (least..=most).contains(&next) {
                format!("ALTER SEQUENCE {sequence}{changes} RESTART WITH {next}")
            } else {
                // It has given its last number, which no RESTART can say. After one, `setval` goes back with the
                // transaction as well.
                let literal = text_literal(&sequence);
                format!(
                    "DO $walkback$ BEGIN ALTER SEQUENCE {sequence}{changes} RESTART; \
                     PERFORM pg_catalog.setval({literal}, {last}, true); END $walkback$"
                )
            }
        }
    };
    if owner.is_none() && is_fresh || changes.is_empty() && stand.is_none() {
        return None;
    }
    Some(Entry {
        object: Object {
            kind: ObjectKind::Other,
            name: name.clone(),
            on: owner.cloned(),
            definition,
            facts,
        },
        oid: String::new(),
        rank: POSITION,
        drop: String::new(),
        called: String::new(),
    })
}
