//! Who is to blame where the database refuses: the record, or something else.

use walkback_core::{Error, ErrorKind};

use super::columns::Fault;

/// Errors of MySQL and MariaDB that are about values and that no class of `SQLSTATE` tells: a default that is missing, a value
/// that is cut or of another kind, a check, a partition that there is not, a row that is too long.
const OF_VALUES: &[&str] = &["1118", "1265", "1364", "1366", "1411", "1526", "1748", "3819"];

/// What SQLite says of values: too big, a constraint, a type.
const OF_VALUES_IN_SQLITE: &[i64] = &[18, 19, 20];

/// Returns whether the database refuses what a record says, and nothing else is the matter: a disk that is full or a table
/// that has gone would reject all that are left.
pub(super) fn is_of_record(error: &Error) -> bool {
    if !matches!(error.kind(), ErrorKind::Database | ErrorKind::Usage) || error.is_retryable() {
        return false;
    }
    let context = |name: &str| {
        let mut all = error.context().iter();
        all.find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    };
    if let Some(code) = context("sqlite_code") {
        let primary = code.parse::<i64>().unwrap_or_default() & 0xff;
        // An error of its own name is also what a function says of a value.
        return OF_VALUES_IN_SQLITE.contains(&primary)
            || (primary == 1 && !words_of(error).starts_with("no such"));
    }
    let is_value = context("mysql_code").is_some_and(|code| OF_VALUES.contains(&code));
    match context("sqlstate") {
        // Data, integrity, a view's condition, what a trigger says, and an index that has no place for a value.
        Some(state) => {
            is_value
                || ["22", "23", "44", "45"]
                    .iter()
                    .any(|class| state.starts_with(class))
                || matches!(state, "P0001" | "54000")
        }
        // It was not sent: it cannot be written as what the server takes.
        None => true,
    }
}

/// Returns the words of the innermost cause.
fn words_of(error: &Error) -> String {
    let mut words = error.message().to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        words = source.to_string();
        cause = source.source();
    }
    words
}

/// Returns what the database says of a record.
pub(super) fn fault_of(error: &Error) -> Fault {
    let words = words_of(error);
    Fault::new(kind_of(&words), words)
}

/// Returns the words of a database without what they say of one row.
fn kind_of(words: &str) -> String {
    let first = words.split(';').next().unwrap_or(words);
    let mut kind = first.split(" at row ").next().unwrap_or(first).to_owned();
    for before in ["Duplicate entry '", "value: '"] {
        let Some(from) = kind.find(before).map(|at| at + before.len()) else {
            continue;
        };
        // The value itself may hold quotes; what follows it does not.
        if let Some(until) = kind.rfind("' for ").filter(|until| *until >= from) {
            kind.replace_range(from..until, "..");
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_of_values_is_a_records_fault() {
        let of = |key: &'static str, code: &str, more: Option<(&'static str, &str)>| {
            let error = Error::new(ErrorKind::Database, "refused").with_context(key, code);
            let error = more
                .into_iter()
                .fold(error, |error, (key, value)| error.with_context(key, value));
            is_of_record(&error)
        };
        for state in ["22001", "23505", "P0001", "44000", "45000", "54000"] {
            assert!(of("sqlstate", state, None), "{state}");
        }
        for state in ["53200", "XX000", "25P02", "42P01", "58030", "HY000"] {
            assert!(!of("sqlstate", state, None), "{state}");
        }
        assert!(of("mysql_code", "3819", Some(("sqlstate", "HY000"))));
        assert!(!of("mysql_code", "1030", Some(("sqlstate", "HY000"))));
        assert!(of("sqlite_code", "2067", None));
        assert!(!of("sqlite_code", "7", None));
    }

    #[test]
    fn reasons_of_many_records_are_one_kind() {
        let kind = "Duplicate entry '..' for key 't.PRIMARY'";
        assert_eq!(kind_of("Duplicate entry 'it's' for key 't.PRIMARY'"), kind);
        assert_eq!(
            kind_of(
                "duplicate key value violates unique constraint \"t_pkey\"; Key (id)=(1) already exists."
            ),
            "duplicate key value violates unique constraint \"t_pkey\""
        );
        assert_eq!(
            kind_of("Data too long for column 'x' at row 7"),
            "Data too long for column 'x'"
        );
    }
}
