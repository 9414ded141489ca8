//! Plain tables: a head, rows, no frames.

use std::io::IsTerminal as _;

use comfy_table::{ContentArrangement, Row, Table, presets};

/// Renders rows below a head, two spaces apart. Wraps only on a terminal, so that pipes get whole lines.
pub(crate) fn table(head: impl Into<Row>, rows: impl IntoIterator<Item: Into<Row>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(head);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Says how many: `1 row`, `20,000 rows`.
pub(crate) fn count(number: impl TryInto<u64>, one: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        number => format!("{} {one}s", indicatif::HumanCount(number)),
    }
}

/// Joins names for a sentence: each in backticks, `none` for nothing.
pub(crate) fn names<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Names heads of the graph: nothing applied is the base.
pub(crate) fn heads<T: std::fmt::Display>(ids: &[T]) -> String {
    if ids.is_empty() {
        "base".to_owned()
    } else {
        names(ids)
    }
}

/// Says a size for a person: `1.2 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    indicatif::BinaryBytes(number).to_string()
}

/// Cuts a moment in RFC 3339 to seconds.
pub(crate) fn moment(text: &str) -> String {
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(moment) => moment.to_utc().format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_head_and_no_spaces_at_the_ends_of_lines() {
        let rows = [
            ["a".to_owned(), "x".to_owned()],
            ["ünïcode".to_owned(), String::new()],
        ];
        assert_eq!(table(["id", "name"], rows), "id       name\na        x\nünïcode");
    }

    #[test]
    fn numbers_and_names_read_well() {
        assert_eq!(count(1_u64, "row"), "1 row");
        assert_eq!(count(0_usize, "row"), "0 rows");
        assert_eq!(count(20_000_usize, "row"), "20,000 rows");
        assert_eq!(names(["a", "b"]), "`a`, `b`");
        assert_eq!(heads::<String>(&[]), "base");
        assert_eq!(moment("2026-11-20T13:00:00.123456Z"), "2026-11-20 13:00:00 UTC");
        assert_eq!(moment("yesterday"), "yesterday");
    }
}
