//! Rights and comments.

use std::collections::BTreeMap;

use walkback_core::catalog::Object;
use walkback_core::name::ObjectKind;
use walkback_core::{Cx, Result, TableName};

use super::present::{Kind, Present};
use super::{Catalog, Entry, fact};
use crate::dialect::{quoted, quoted_table, text_literal};
use crate::link::{Link, Texts};

const GRANT: u8 = 90;
const COMMENT: u8 = 95;

/// What rights and comments are on.
#[derive(Debug, Clone)]
struct Target {
    /// `TABLE t`.
    called: String,
    /// The name of rights and comments on it.
    name: TableName,
    /// The table it belongs to, or is.
    on: Option<TableName>,
}

/// Adds rights and comments.
pub(super) async fn extend(link: &mut Link, cx: &Cx, present: &Present, catalog: &mut Catalog) -> Result<()> {
    let targets = targets(catalog);
    let grants = present.texts(link, cx, Kind::Grants).await?;
    let comments = present.texts(link, cx, Kind::Comments).await?;
    catalog
        .entries
        .extend(grants.iter().filter_map(|row| grant(row, &targets)));
    catalog
        .entries
        .extend(comments.iter().filter_map(|row| comment(row, &targets)));
    Ok(())
}

fn targets(catalog: &Catalog) -> BTreeMap<String, Target> {
    let tables = catalog.tables.iter().map(|(oid, table)| {
        let target = Target {
            called: format!("TABLE {}", quoted_table(&table.name)),
            name: table.name.clone(),
            on: Some(table.name.clone()),
        };
        (oid.clone(), target)
    });
    let objects = catalog
        .entries
        .iter()
        .filter(|entry| !entry.oid.is_empty())
        .map(|entry| {
            let object = &entry.object;
            // Relations have names of their own among each other; others are told apart by what they are.
            let name = match object.kind {
                ObjectKind::View
                | ObjectKind::MaterializedView
                | ObjectKind::Sequence
                | ObjectKind::Index => object.name.clone(),
                kind => object
                    .name
                    .renamed(format!("{} {}", kind.word(), object.name.name)),
            };
            let is_relation = matches!(object.kind, ObjectKind::View | ObjectKind::MaterializedView);
            let target = Target {
                called: entry.called.clone(),
                name,
                on: if is_relation {
                    Some(object.name.clone())
                } else {
                    object.on.clone()
                },
            };
            (entry.oid.clone(), target)
        });
    tables.chain(objects).collect()
}

fn grant(row: &Texts, targets: &BTreeMap<String, Target>) -> Option<Entry> {
    let target = targets.get(row.get(1))?;
    let (verb, role, rights) = (row.get(2), row.get(3), row.get(5));
    // To GRANT, a view is a table, and every routine but a procedure a function.
    let called = target
        .called
        .replacen("MATERIALIZED VIEW ", "TABLE ", 1)
        .replacen("VIEW ", "TABLE ", 1)
        .replacen("AGGREGATE ", "FUNCTION ", 1);
    let (rights, what) = match row.find(6) {
        Some(column) => {
            let rights: Vec<_> = rights
                .split(", ")
                .map(|right| format!("{right} ({})", quoted(column)))
                .collect();
            (rights.join(", "), format!(".{column}"))
        }
        None => (rights.to_owned(), String::new()),
    };
    let direction = if verb == "GRANT" { "TO" } else { "FROM" };
    let option = if row.is(4) && verb == "GRANT" {
        " WITH GRANT OPTION"
    } else {
        ""
    };
    let definition = format!("{verb} {rights} ON {called} {direction} {role}{option}");
    let back = match verb {
        "GRANT" => format!("REVOKE {rights} ON {called} FROM {role}"),
        _ => format!("GRANT {rights} ON {called} TO {role}"),
    };
    let name = format!(
        "{}{what} {} {role}{}",
        target.name.name,
        direction.to_lowercase(),
        option.to_lowercase()
    );
    Some(Entry {
        object: Object {
            kind: ObjectKind::Grant,
            name: target.name.renamed(name),
            on: target.on.clone(),
            definition,
            facts: fact("rights", rights),
        },
        oid: String::new(),
        rank: GRANT,
        drop: back,
        called: String::new(),
    })
}

fn comment(row: &Texts, targets: &BTreeMap<String, Target>) -> Option<Entry> {
    let is_constraint = row.find(4).is_some();
    let target = targets.get(if is_constraint { row.get(5) } else { row.get(1) })?;
    let text = row.get(3);
    if crate::shadow::is_note(text) {
        return None;
    }
    let (called, name) = if let Some(constraint) = row.find(4) {
        let (word, table) = target.called.split_once(' ')?;
        let on = if word == "DOMAIN" { "DOMAIN " } else { "" };
        (
            format!("CONSTRAINT {} ON {on}{table}", quoted(constraint)),
            target
                .name
                .renamed(format!("{} constraint {constraint}", target.name.name)),
        )
    } else if let Some(column) = row.find(2) {
        let (_, table) = target
            .called
            .rsplit_once("TABLE ")
            .or_else(|| target.called.rsplit_once("VIEW "))
            .or_else(|| target.called.rsplit_once("TYPE "))?;
        (
            format!("COLUMN {table}.{}", quoted(column)),
            target.name.renamed(format!("{}.{column}", target.name.name)),
        )
    } else {
        (target.called.clone(), target.name.clone())
    };
    Some(Entry {
        object: Object {
            kind: ObjectKind::Comment,
            name,
            on: target.on.clone(),
            definition: format!("COMMENT ON {called} IS {}", text_literal(text)),
            facts: fact("text", text),
        },
        oid: String::new(),
        rank: COMMENT,
        drop: format!("COMMENT ON {called} IS NULL"),
        called: String::new(),
    })
}
