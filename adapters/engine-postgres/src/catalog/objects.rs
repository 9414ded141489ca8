//! Everything that is no table: types, routines, indexes, views, triggers, rules, policies, extensions.

use std::collections::BTreeMap;

use walkback_core::catalog::Object;
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, Result, TableName};

use super::present::{Kind, Present};
use super::tables::RawTable;
use super::{Entry, Facts, HOLDS, Names, fact, list, options, queries};
use crate::dialect::{quoted, quoted_table, text_literal};
use crate::link::{Link, Texts};

const SCHEMA: u8 = 0;
const EXTENSION: u8 = 5;
const TYPE: u8 = 10;
const ROUTINE: u8 = 25;
const INDEX: u8 = 40;
const VIEW: u8 = 45;
const STATISTICS: u8 = 50;
const ON_TABLE: u8 = 65;
const SETTINGS: u8 = 80;

/// Reads all objects but tables and sequences.
pub(super) async fn read(
    link: &mut Link,
    cx: &Cx,
    names: &Names,
    present: &Present,
    tables: &mut [RawTable],
) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for row in present.texts(link, cx, Kind::Schemas).await? {
        entries.push(schema(&row));
    }
    for row in present.texts(link, cx, Kind::Extensions).await? {
        entries.push(extension(&row));
    }
    for row in present.texts(link, cx, Kind::Types).await? {
        entries.push(data_type(&row, names));
    }
    routines(link, cx, names, present, &mut entries).await?;
    let mut relations: BTreeMap<String, TableName> = tables
        .iter()
        .map(|table| (table.oid.clone(), table.name.clone()))
        .collect();
    for row in present.texts(link, cx, Kind::Views).await? {
        let name = names.of(row.get(1), row.get(2));
        relations.insert(row.get(0).to_owned(), name.clone());
        entries.push(view(&row, &name));
    }
    for row in link.texts(cx, queries::INDEXES, &[]).await? {
        let bare = quoted(row.get(2));
        if row.is(7) {
            set_late(
                tables,
                row.get(3),
                format!("CLUSTER ON {bare}"),
                "SET WITHOUT CLUSTER".to_owned(),
            );
        }
        if row.is(8) {
            let identity = format!("REPLICA IDENTITY USING INDEX {bare}");
            set_late(
                tables,
                row.get(3),
                identity,
                "REPLICA IDENTITY DEFAULT".to_owned(),
            );
        }
        if !row.is(9) {
            entries.push(index(&row, names, &relations));
        }
    }
    for row in present.texts(link, cx, Kind::Triggers).await? {
        set_enabled(tables, "TRIGGER", &row);
        entries.push(on_table(
            ObjectKind::Trigger,
            "TRIGGER",
            &row,
            names,
            &relations,
            row.get(4),
        ));
    }
    for row in present.texts(link, cx, Kind::Rules).await? {
        set_enabled(tables, "RULE", &row);
        entries.push(on_table(
            ObjectKind::Policy,
            "RULE",
            &row,
            names,
            &relations,
            row.get(4).trim_end_matches(';'),
        ));
    }
    for row in present.texts(link, cx, Kind::Policies).await? {
        let on = relations.get(row.get(3)).map(quoted_table).unwrap_or_default();
        let definition = format!("CREATE POLICY {} ON {on} {}", quoted(row.get(2)), row.get(4));
        entries.push(on_table(
            ObjectKind::Policy,
            "POLICY",
            &row,
            names,
            &relations,
            &definition,
        ));
    }
    for row in present.texts(link, cx, Kind::Statistics).await? {
        entries.push(statistics(&row, names, &relations));
    }
    Ok(entries)
}

fn set_late(tables: &mut [RawTable], oid: &str, action: String, back: String) {
    if let Some(table) = tables.iter_mut().find(|table| table.oid == oid) {
        table.late_settings.push((action, back));
    }
}

fn set_enabled(tables: &mut [RawTable], word: &str, row: &Texts) {
    let name = quoted(row.get(2));
    let state = match row.get(5) {
        "D" => "DISABLE",
        "R" => "ENABLE REPLICA",
        "A" => "ENABLE ALWAYS",
        _ => return,
    };
    set_late(
        tables,
        row.get(3),
        format!("{state} {word} {name}"),
        format!("ENABLE {word} {name}"),
    );
}

fn schema(row: &Texts) -> Entry {
    let name = quoted(row.get(1));
    Entry {
        object: Object {
            kind: ObjectKind::Schema,
            name: TableName::new(row.get(1)),
            on: None,
            definition: format!("CREATE SCHEMA {name}"),
            facts: Facts::new(),
        },
        oid: row.get(0).to_owned(),
        rank: SCHEMA,
        drop: format!("DROP SCHEMA {name}"),
        called: format!("SCHEMA {name}"),
    }
}

fn extension(row: &Texts) -> Entry {
    let name = quoted(row.get(1));
    Entry {
        object: Object {
            kind: ObjectKind::Extension,
            name: TableName::new(row.get(1)),
            on: None,
            definition: format!("CREATE EXTENSION {name} WITH SCHEMA {}", quoted(row.get(2))),
            facts: fact("version", row.get(3)),
        },
        oid: row.get(0).to_owned(),
        rank: EXTENSION,
        drop: format!("DROP EXTENSION {name}"),
        called: format!("EXTENSION {name}"),
    }
}

fn data_type(row: &Texts, names: &Names) -> Entry {
    let name = names.of(row.get(1), row.get(2));
    let quoted = quoted_table(&name);
    let (word, body) = match row.get(3) {
        "e" => {
            let labels: Vec<_> = list(row, 4).iter().map(|label| text_literal(label)).collect();
            ("TYPE", format!("AS ENUM ({})", labels.join(", ")))
        }
        "c" => ("TYPE", format!("AS ({})", row.get(5))),
        "d" => ("DOMAIN", format!("AS {}", row.get(6))),
        _ => ("TYPE", format!("AS RANGE ({})", row.get(7))),
    };
    Entry {
        object: Object {
            kind: ObjectKind::Type,
            name,
            on: None,
            definition: format!("CREATE {word} {quoted} {body}"),
            facts: fact("definition", format!("{word} {body}")),
        },
        oid: row.get(0).to_owned(),
        rank: TYPE,
        drop: format!("DROP {word} {quoted}"),
        called: format!("{word} {quoted}"),
    }
}

async fn routines(
    link: &mut Link,
    cx: &Cx,
    names: &Names,
    present: &Present,
    entries: &mut Vec<Entry>,
) -> Result<()> {
    let aggregates: BTreeMap<String, (String, String)> = present
        .texts(link, cx, Kind::Aggregates)
        .await?
        .iter()
        .map(|row| {
            (
                row.get(0).to_owned(),
                (row.get(1).to_owned(), row.get(3).to_owned()),
            )
        })
        .collect();
    for row in present.texts(link, cx, Kind::Routines).await? {
        let name = names.of(row.get(1), row.get(2));
        let word = match row.get(3) {
            "p" => "PROCEDURE",
            "a" => "AGGREGATE",
            _ => "FUNCTION",
        };
        let called = format!("{word} {}({})", quoted_table(&name), row.get(4));
        let definition = match aggregates.get(row.get(0)) {
            Some((arguments, body)) => {
                format!("CREATE AGGREGATE {}({arguments}) ({body})", quoted_table(&name))
            }
            // Creating it must not replace another one.
            None => row.get(5).trim_end().replacen("CREATE OR REPLACE ", "CREATE ", 1),
        };
        entries.push(Entry {
            object: Object {
                kind: ObjectKind::Routine,
                name,
                on: None,
                facts: Facts::from([
                    ("definition".to_owned(), definition.clone()),
                    ("arguments".to_owned(), row.get(6).to_owned()),
                ]),
                definition,
            },
            oid: row.get(0).to_owned(),
            rank: ROUTINE,
            drop: format!("DROP {called}"),
            called,
        });
    }
    Ok(())
}

fn view(row: &Texts, name: &TableName) -> Entry {
    let quoted_name = quoted_table(name);
    let with = options(&list(row, 5));
    let query = row.get(4).trim_end_matches(';').trim();
    let mut facts = fact("query", query);
    let (kind, word) = match row.get(3) {
        "m" => (ObjectKind::MaterializedView, "MATERIALIZED VIEW"),
        _ => (ObjectKind::View, "VIEW"),
    };
    let mut definition = format!("CREATE {word} {quoted_name}");
    if let Some(method) = row.find(7) {
        definition.push_str(&format!(" USING {}", quoted(method)));
        facts.extend(fact("access method", method));
    }
    if !with.is_empty() {
        definition.push_str(&format!(" WITH ({with})"));
        facts.extend(fact("with", with));
    }
    if let Some(space) = row.find(8) {
        definition.push_str(&format!(" TABLESPACE {}", quoted(space)));
        facts.extend(fact("tablespace", space));
    }
    definition.push_str(&format!(" AS {query}"));
    if kind == ObjectKind::MaterializedView {
        let populated = if row.is(6) { "WITH DATA" } else { "WITH NO DATA" };
        definition.push_str(&format!("\nWITH{}", &populated[4..]));
        facts.extend(fact("populated", row.is(6).to_string()));
    }
    Entry {
        object: Object {
            kind,
            name: name.clone(),
            on: None,
            definition,
            facts,
        },
        oid: row.get(0).to_owned(),
        rank: VIEW,
        drop: format!("DROP {word} {quoted_name}"),
        called: format!("{word} {quoted_name}"),
    }
}

fn index(row: &Texts, names: &Names, relations: &BTreeMap<String, TableName>) -> Entry {
    let name = names.of(row.get(1), row.get(2));
    let bare = quoted(row.get(2));
    // The index of a partitioned table takes in those of its partitions, which come before it.
    let mut definition = row.get(4).to_owned();
    if row.get(6) == "I" {
        for spelling in [bare.as_str(), row.get(2)] {
            definition = definition.replacen(
                &format!("INDEX {spelling} ON ONLY "),
                &format!("INDEX {spelling} ON "),
                1,
            );
        }
    }
    let mut facts = fact("definition", &definition);
    if !row.is(5) {
        facts.extend(fact("valid", "false"));
    }
    Entry {
        object: Object {
            kind: ObjectKind::Index,
            on: relations.get(row.get(3)).cloned(),
            definition,
            facts,
            name: name.clone(),
        },
        oid: row.get(0).to_owned(),
        rank: INDEX,
        // That of a partition goes with the one that has taken it in.
        drop: format!("DROP INDEX IF EXISTS {}", quoted_table(&name)),
        called: format!("INDEX {}", quoted_table(&name)),
    }
}

/// A trigger, a rule or a policy: its name is one among those of its table.
fn on_table(
    kind: ObjectKind,
    word: &str,
    row: &Texts,
    names: &Names,
    relations: &BTreeMap<String, TableName>,
    definition: &str,
) -> Entry {
    let on = relations.get(row.get(3)).cloned();
    let table = on.as_ref().map(quoted_table).unwrap_or_default();
    let called = format!("{word} {} ON {table}", quoted(row.get(2)));
    Entry {
        object: Object {
            kind,
            name: names.of(row.get(1), row.get(2)),
            on,
            definition: definition.to_owned(),
            facts: fact("definition", definition),
        },
        oid: row.get(0).to_owned(),
        rank: ON_TABLE,
        drop: format!("DROP {called}"),
        called,
    }
}

fn statistics(row: &Texts, names: &Names, relations: &BTreeMap<String, TableName>) -> Entry {
    let name = names.of(row.get(1), row.get(2));
    Entry {
        object: Object {
            kind: ObjectKind::Other,
            on: relations.get(row.get(3)).cloned(),
            definition: row.get(4).to_owned(),
            facts: fact("definition", row.get(4)),
            name: name.clone(),
        },
        oid: row.get(0).to_owned(),
        rank: STATISTICS,
        drop: format!("DROP STATISTICS {}", quoted_table(&name)),
        called: format!("STATISTICS {}", quoted_table(&name)),
    }
}

/// Gives routines of one name the names that tell them apart: with the types of their arguments.
pub(super) fn tell_apart(entries: &mut [Entry]) {
    let mut seen: BTreeMap<(ObjectKind, String), usize> = BTreeMap::new();
    for entry in entries.iter() {
        let key = (entry.object.kind, entry.object.name.to_string().to_lowercase());
        *seen.entry(key).or_default() += 1;
    }
    for entry in entries {
        let key = (entry.object.kind, entry.object.name.to_string().to_lowercase());
        if seen.get(&key).is_none_or(|count| *count < 2) {
            continue;
        }
        let name = &entry.object.name;
        if let Some(arguments) = entry.object.facts.get("arguments") {
            entry.object.name = name.renamed(format!("{}({arguments})", name.name));
        }
    }
}

/// Returns what a table has beyond its definition, as one statement that sets it.
pub(super) fn settings(table: &RawTable) -> Option<Entry> {
    let mut actions: Vec<(String, String)> = Vec::new();
    let mut set = |action: String, back: &str| actions.push((action, back.to_owned()));
    if table.has_row_security {
        set(
            "ENABLE ROW LEVEL SECURITY".to_owned(),
            "DISABLE ROW LEVEL SECURITY",
        );
    }
    if table.forces_row_security {
        set(
            "FORCE ROW LEVEL SECURITY".to_owned(),
            "NO FORCE ROW LEVEL SECURITY",
        );
    }
    match table.replica_identity.as_str() {
        "f" => set("REPLICA IDENTITY FULL".to_owned(), "REPLICA IDENTITY DEFAULT"),
        "n" => set("REPLICA IDENTITY NOTHING".to_owned(), "REPLICA IDENTITY DEFAULT"),
        _ => {}
    }
    for column in &table.columns {
        let alter = format!("ALTER COLUMN {}", quoted(&column.name));
        if let Some((storage, usual)) = &column.storage {
            set(
                format!("{alter} SET STORAGE {storage}"),
                &format!("{alter} SET STORAGE {usual}"),
            );
        }
        if let Some(statistics) = &column.statistics {
            set(
                format!("{alter} SET STATISTICS {statistics}"),
                &format!("{alter} SET STATISTICS -1"),
            );
        }
        if !column.options.is_empty() {
            let names: Vec<_> = column
                .options
                .iter()
                .filter_map(|option| option.split('=').next())
                .collect();
            set(
                format!("{alter} SET ({})", options(&column.options)),
                &format!("{alter} RESET ({})", names.join(", ")),
            );
        }
    }
    actions.extend(table.late_settings.iter().cloned());
    if actions.is_empty() {
        return None;
    }
    let name = quoted_table(&table.name);
    let (actions, back): (Vec<_>, Vec<_>) = actions.into_iter().unzip();
    Some(Entry {
        object: Object {
            kind: ObjectKind::Other,
            name: table.name.clone(),
            on: Some(table.name.clone()),
            definition: format!("ALTER TABLE {name} {}", actions.join(", ")),
            facts: actions
                .into_iter()
                .map(|action| (action, HOLDS.to_owned()))
                .collect(),
        },
        oid: String::new(),
        rank: SETTINGS,
        drop: format!("ALTER TABLE {name} {}", back.join(", ")),
        called: String::new(),
    })
}
