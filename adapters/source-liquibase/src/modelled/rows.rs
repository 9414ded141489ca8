//! Rows: what inserts, updates and deletes them, and how values are written.

use walkback_core::DialectKind;

use super::{Model, Rendered, only};
use crate::tree::Node;

/// Returns the value of a column or a default: `value`, `valueNumeric`, .. or `defaultValue`, `defaultValueNumeric`, ..
pub(super) fn value_of(model: Model<'_>, node: &Node, prefix: &str) -> Option<String> {
    let get = |suffix: &str| node.get(&format!("{prefix}{suffix}"));
    if let Some(number) = get("Numeric").or(get("Computed")) {
        return Some(number.trim().to_owned());
    }
    if let Some(flag) = get("Boolean") {
        let is_true = flag.trim().eq_ignore_ascii_case("true") || flag.trim() == "1";
        return Some(match (model.dialect, is_true) {
            (DialectKind::Postgres, true) => "TRUE".to_owned(),
            (DialectKind::Postgres, false) => "FALSE".to_owned(),
            (_, is_true) => u8::from(is_true).to_string(),
        });
    }
    if let Some(moment) = get("Date") {
        let moment = moment.trim();
        // What is no date is what the server is to compute.
        let is_date = moment.starts_with(|letter: char| letter.is_ascii_digit());
        return Some(if is_date {
            model.literal(&moment.replace('T', " "))
        } else {
            moment.to_owned()
        });
    }
    let text = get("")?;
    Some(if text.eq_ignore_ascii_case("null") {
        "NULL".to_owned()
    } else {
        model.literal(text)
    })
}

fn columns(model: Model<'_>) -> Result<Vec<(String, String)>, String> {
    let mut columns = Vec::new();
    for column in model.node.all("column") {
        only(
            column,
            &[
                "name",
                "type",
                "value",
                "valueNumeric",
                "valueBoolean",
                "valueDate",
                "valueComputed",
            ],
        )?;
        let name = model.quoted(column.get("name").unwrap_or_default());
        let value = value_of(model, column, "value");
        let text = Some(column.text.trim()).filter(|text| !text.is_empty());
        let value = value.or_else(|| text.map(|text| model.literal(text)));
        columns.push((name, value.unwrap_or_else(|| "NULL".to_owned())));
    }
    if columns.is_empty() {
        return Err(format!("`{}` without columns", model.node.name));
    }
    Ok(columns)
}

pub(super) fn insert(model: Model<'_>) -> Rendered {
    model.only(&["tableName", "schemaName", "dbms"])?;
    refuse_dbms(model)?;
    let (names, values): (Vec<String>, Vec<String>) = columns(model)?.into_iter().unzip();
    Ok(vec![format!(
        "INSERT INTO {} ({}) VALUES ({})",
        model.own_table()?,
        names.join(", "),
        values.join(", ")
    )])
}

pub(super) fn update(model: Model<'_>) -> Rendered {
    model.only(&["tableName", "schemaName", "where"])?;
    let set: Vec<String> = columns(model)?
        .into_iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    Ok(vec![format!(
        "UPDATE {} SET {}{}",
        model.own_table()?,
        set.join(", "),
        condition(model)?
    )])
}

pub(super) fn delete(model: Model<'_>) -> Rendered {
    model.only(&["tableName", "schemaName", "where"])?;
    Ok(vec![format!(
        "DELETE FROM {}{}",
        model.own_table()?,
        condition(model)?
    )])
}

fn condition(model: Model<'_>) -> Result<String, String> {
    if model.node.all("whereParams").next().is_some() {
        return Err("`whereParams`".to_owned());
    }
    let condition = model
        .node
        .get("where")
        .map(str::trim)
        .filter(|text| !text.is_empty());
    Ok(condition.map_or_else(String::new, |condition| format!(" WHERE {condition}")))
}

fn refuse_dbms(model: Model<'_>) -> Result<(), String> {
    match model.node.get("dbms") {
        Some(_) => Err("`dbms` of an `insert`".to_owned()),
        None => Ok(()),
    }
}
