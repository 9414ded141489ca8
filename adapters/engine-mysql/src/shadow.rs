//! Shadows: empty tables like others, under other names.

use walkback_core::catalog::Table;
use walkback_core::{Error, ErrorKind, Result, TableName};

use crate::catalog::definition::{Definition, Element, Sort, without_position};
use crate::context::Context;
use crate::dialect::{quoted, quoted_table};
use crate::error::{TABLE_EXISTS, code};
use crate::link::Link;
use crate::settings::Settings;
use mysql_async::prelude::Queryable as _;

/// What the temporary names of checks begin with.
const CHECK: &str = "_walkback_check_";

/// How many hexadecimal digits of a hash make a temporary name.
const DIGITS: usize = 32;

impl Link {
    /// Creates an empty table like another one. Foreign keys and indexes are not part of a definition.
    pub(crate) async fn create_shadow(&mut self, table: &Table, shadow: &TableName) -> Result<()> {
        self.must_be_alive()?;
        let sql = shadow_of(table, shadow, self.server.is_mariadb)?;
        let settings = [("sql_mode", "'ALLOW_INVALID_DATES'".to_owned())];
        let before = Settings::enter(self, &settings).await?;
        let outcome = self.conn.query_drop(&sql).await.map_err(|error| {
            if code(&error) == Some(TABLE_EXISTS) {
                Error::new(
                    ErrorKind::AlreadyExists,
                    format!("the table `{shadow}` exists already"),
                )
            } else {
                self.place.statement_failed(&sql, error)
            }
        });
        let outcome = before.after(self, outcome).await;
        self.after_statement(&sql, outcome).await?;
        self.shadowed.insert(shadow.name.clone(), table.clone());
        Ok(())
    }
}

fn shadow_of(table: &Table, shadow: &TableName, is_mariadb: bool) -> Result<String> {
    let (_, body) = Context::split(&table.definition);
    let Some(definition) = Definition::read(body) else {
        return Err(Error::unsupported(
            format!("a copy of `{}`, whose definition cannot be read,", table.name),
            "the MySQL engine",
        )
        .with_context("definition", crate::error::excerpt(body)));
    };
    let (options, _) = without_position(definition.options);
    let elements: Vec<String> = definition
        .elements
        .iter()
        .filter(|element| element.sort != Sort::ForeignKey)
        .map(|element| match element.sort {
            // The names of checks are those of a whole database on MySQL, and of a table on MariaDB.
            Sort::Check if !is_mariadb => renamed_check(element, &table.name.name, &shadow.name),
            _ => element.text.to_owned(),
        })
        .collect();
    Ok(Definition::write(
        &quoted_table(shadow),
        elements.iter().map(String::as_str),
        &options,
    ))
}

fn renamed_check(check: &Element<'_>, table: &str, shadow: &str) -> String {
    let name = check_name(&check.name, table, shadow);
    format!("CONSTRAINT {} {}", quoted(&name), check.rest)
}

/// Returns the name of a check in a shadow. One that the server has made up from the name of the table is
/// renamed by the server along with the table.
fn check_name(check: &str, table: &str, shadow: &str) -> String {
    match check.strip_prefix(&format!("{table}_chk_")) {
        Some(number)
            if number.bytes().all(|byte| byte.is_ascii_digit()) && shadow.len() + number.len() < 59 =>
        {
            format!("{shadow}_chk_{number}")
        }
        _ => temporary_check_name(check, shadow),
    }
}

fn temporary_check_name(check: &str, shadow: &str) -> String {
    format!("{CHECK}{}", hash_of(&[shadow, check]))
}

/// Returns the statement that gives the checks of a table their own names, which its shadow could not have.
pub(crate) fn checks_renamed(table: &Table, shadow: &TableName) -> Option<String> {
    let (_, body) = Context::split(&table.definition);
    let definition = Definition::read(body)?;
    let changes: Vec<String> = definition
        .of(Sort::Check)
        .filter_map(|check| {
            let name = check_name(&check.name, &table.name.name, &shadow.name);
            let is_temporary = name.starts_with(CHECK);
            is_temporary.then(|| format!("DROP CHECK {}, ADD {}", quoted(&name), check.text))
        })
        .collect();
    (!changes.is_empty()).then(|| format!("ALTER TABLE {} {}", quoted_table(&table.name), changes.join(", ")))
}

/// Returns a short text that stands for longer ones.
pub(crate) fn hash_of(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    hasher.finalize().to_hex()[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_is_named_after_its_table_follows_it() {
        assert_eq!(
            check_name("t_chk_2", "t", "_walkback_shadow_0"),
            "_walkback_shadow_0_chk_2"
        );
        for other in ["positive", "t_chk_", "t_chk_x", "u_chk_1"] {
            let name = check_name(other, "t", "s");
            assert!(name.starts_with(CHECK) || other == "t_chk_", "{name}");
            assert!(name.len() <= 64);
        }
    }
}
