//! What a statement of the log was run under: the variables that are logged with it.
//!
//! They are read here, and not by the driver, which knows none of those that only MariaDB has.

use std::fmt::Write as _;

use crate::dialect::literal;

/// The bits of the flags that say what is not checked.
const NO_FOREIGN_KEYS: u64 = 0x0400_0000;
const NO_UNIQUE: u64 = 0x0800_0000;
const AUTO_IS_NULL: u64 = 0x4000;

/// The bits of the mode that say what quotes and backslashes are.
const ANSI_QUOTES: u64 = 0x4;
const NO_BACKSLASH_ESCAPES: u64 = 0x0010_0000;

/// So many names of databases are too many to be listed.
const TOO_MANY: usize = 254;

/// Returns the statement that puts in force what a statement of the log was run under. `None`: there is a variable among
/// them that is not known, and what follows it cannot be read.
pub(super) fn setting(seconds: u32, variables: &[u8]) -> Option<String> {
    let mut rest = Rest(variables);
    let mut micros = 0;
    let mut sets = Vec::new();
    while let Some(key) = rest.number(1) {
        match key {
            0 => sets.extend(flags(rest.number(4)?)),
            1 => sets.push(format!("sql_mode = {}", rest.number(8)?)),
            // The catalog, of old servers with a zero behind it.
            2 => {
                rest.text()?;
                rest.number(1)?;
            }
            3 => {
                sets.push(format!("auto_increment_increment = {}", rest.number(2)?));
                sets.push(format!("auto_increment_offset = {}", rest.number(2)?));
            }
            4 => {
                for name in ["character_set_client", "collation_connection", "collation_server"] {
                    sets.push(format!("{name} = {}", rest.number(2)?));
                }
            }
            5 => {
                let zone = rest.text()?;
                if !zone.is_empty() {
                    sets.push(format!("time_zone = {}", literal(&String::from_utf8_lossy(zone))));
                }
            }
            6 => drop(rest.text()?),
            7 => sets.push(format!("lc_time_names = {}", rest.number(2)?)),
            // Those of the database, which the scratch database has as well, and the maps of tables.
            8 | 18 => drop(rest.number(2)?),
            9 | 17 | 129 => drop(rest.number(8)?),
            10 => drop(rest.number(4)?),
            11 => {
                rest.text()?;
                rest.text()?;
            }
            12 => rest.names()?,
            13 | 128 => micros = rest.number(3)?,
            16 => sets.push(format!("explicit_defaults_for_timestamp = {}", rest.number(1)?)),
            19 | 20 => drop(rest.number(1)?),
            // Newer ones are the last of a server: what is wanted here was before them.
            21.. => break,
            _ => return None,
        }
    }
    let mut sql = format!("SET TIMESTAMP = {seconds}.{micros:06}");
    for set in sets {
        write!(sql, ", {set}").ok();
    }
    Some(sql)
}

/// Returns whether quotes or backslashes in a statement mean something else than they usually do, by the mode it was run under.
pub(super) fn is_read_otherwise(variables: &[u8], sql: &str) -> bool {
    let mut rest = Rest(variables);
    let mut mode = 0;
    while let Some(key) = rest.number(1) {
        match key {
            0 if rest.number(4).is_some() => {}
            1 => mode = rest.number(8).unwrap_or(u64::MAX),
            _ => break,
        }
    }
    let is_plain = mode & NO_BACKSLASH_ESCAPES != 0;
    let is_name = mode & ANSI_QUOTES != 0 && sql.contains('"');
    sql.contains('\\') && (is_plain || is_name)
}

fn flags(flags: u64) -> [String; 3] {
    [
        format!("foreign_key_checks = {}", u8::from(flags & NO_FOREIGN_KEYS == 0)),
        format!("unique_checks = {}", u8::from(flags & NO_UNIQUE == 0)),
        format!("sql_auto_is_null = {}", u8::from(flags & AUTO_IS_NULL != 0)),
    ]
}

/// What is left to read.
struct Rest<'v>(&'v [u8]);

impl<'v> Rest<'v> {
    fn take(&mut self, count: usize) -> Option<&'v [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes, the lowest first.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let taken = self.take(bytes)?;
        Some(
            taken
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    }

    /// A text behind its length.
    fn text(&mut self) -> Option<&'v [u8]> {
        let length = usize::try_from(self.number(1)?).ok()?;
        self.take(length)
    }

    /// Names behind their number, each with a zero at its end.
    fn names(&mut self) -> Option<()> {
        let count = usize::try_from(self.number(1)?).ok()?;
        if count == TOO_MANY {
            return Some(());
        }
        for _ in 0..count {
            let length = self.0.iter().position(|byte| *byte == 0)?;
            self.take(length + 1)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_both_servers_are_read() {
        let mut variables = vec![0, 0, 0, 0, 0x04, 1, 32, 0, 0, 0, 0, 0, 0, 0];
        variables.extend(b"\x06\x03std\x04\x2d\0\x2d\0\x08\0\x05\x06+05:00\x0b\x01a\x01b\x0c\x01app\0");
        variables.extend([128, 0x40, 0xe2, 0x01, 129, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(
            setting(7, &variables).unwrap(),
            "SET TIMESTAMP = 7.123456, foreign_key_checks = 0, unique_checks = 1, sql_auto_is_null = 0, sql_mode = 32, \
             character_set_client = 45, collation_connection = 45, collation_server = 8, time_zone = '+05:00'"
        );
        assert_eq!(setting(7, &[]).unwrap(), "SET TIMESTAMP = 7.000000");
        assert_eq!(
            setting(7, &[13, 1, 0, 0, 99, 1]).unwrap(),
            "SET TIMESTAMP = 7.000001"
        );
        let mode = |mode: u8| [1, mode, 0, 0, 0, 0, 0, 0, 0];
        assert!(is_read_otherwise(&mode(4), r#"UPDATE "a\" SET b = 1"#));
        assert!(!is_read_otherwise(&mode(4), r"UPDATE a SET b = 'x\'y'"));
        assert!(is_read_otherwise(
            &[1, 0, 0, 16, 0, 0, 0, 0, 0],
            r"UPDATE a SET b = '\'"
        ));
        assert_eq!(setting(7, &[14, 1]), None);
        assert_eq!(setting(7, &[1, 1]), None);
    }
}
