//! What a statement of the log was run under.

use std::fmt::Write as _;

use mysql_async::binlog::events::{QueryEvent, StatusVarVal};

use crate::dialect::literal;

/// The bits of the flags that say what is not checked.
const NO_FOREIGN_KEYS: u32 = 0x0400_0000;
const NO_UNIQUE: u32 = 0x0800_0000;
const AUTO_IS_NULL: u32 = 0x4000;

/// Returns the statement that puts in force what a statement of the log was run under.
pub(super) fn setting(seconds: u32, query: &QueryEvent<'_>) -> String {
    let mut micros = 0;
    let mut sets = Vec::new();
    for variable in query.status_vars().iter() {
        match variable.get_value() {
            Ok(StatusVarVal::Microseconds(value)) => micros = value,
            Ok(value) => sets.extend(assignments(&value)),
            Err(_) => {}
        }
    }
    let mut sql = format!("SET TIMESTAMP = {seconds}.{micros:06}");
    for set in sets {
        write!(sql, ", {set}").ok();
    }
    sql
}

fn assignments(value: &StatusVarVal<'_>) -> Vec<String> {
    match value {
        StatusVarVal::Flags2(flags) => vec![
            format!(
                "foreign_key_checks = {}",
                u8::from(flags.0 & NO_FOREIGN_KEYS == 0)
            ),
            format!("unique_checks = {}", u8::from(flags.0 & NO_UNIQUE == 0)),
            format!("sql_auto_is_null = {}", u8::from(flags.0 & AUTO_IS_NULL != 0)),
        ],
        StatusVarVal::SqlMode(mode) => vec![format!("sql_mode = {}", mode.0)],
        StatusVarVal::AutoIncrement { increment, offset } => vec![
            format!("auto_increment_increment = {increment}"),
            format!("auto_increment_offset = {offset}"),
        ],
        StatusVarVal::Charset {
            charset_client,
            collation_connection,
            collation_server,
        } => vec![
            format!("character_set_client = {charset_client}"),
            format!("collation_connection = {collation_connection}"),
            format!("collation_server = {collation_server}"),
        ],
        StatusVarVal::TimeZone(zone) if !zone.is_empty() => {
            vec![format!("time_zone = {}", literal(&zone.as_str()))]
        }
        StatusVarVal::LcTimeNames(number) => vec![format!("lc_time_names = {number}")],
        StatusVarVal::ExplicitDefaultsForTimestamp(is_explicit) => {
            vec![format!(
                "explicit_defaults_for_timestamp = {}",
                u8::from(*is_explicit)
            )]
        }
        _ => Vec::new(),
    }
}
