//! Shadows: empty tables like others, under other names.

use walkback_core::catalog::Table;
use walkback_core::{Error, ErrorKind, Result, TableName};

use crate::catalog::definition::{Definition, Sort, without_position};
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

/// What is remembered of a shadow until it takes its place.
#[derive(Debug)]
pub(crate) struct Shadow {
    /// The table whose place it takes.
    pub(crate) live: String,
    /// The statement that gives its checks their own names, once it has taken it.
    pub(crate) rename_checks: Option<String>,
}

impl Link {
    /// Creates an empty table like another one. Foreign keys and indexes are not part of a definition.
    pub(crate) async fn create_shadow(&mut self, table: &Table, shadow: &TableName) -> Result<()> {
        self.must_be_alive()?;
        let (sql, made) = shadow_of(table, shadow, self.server.is_mariadb)?;
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
        self.shadowed.insert(shadow.name.clone(), made);
        Ok(())
    }
}

fn shadow_of(table: &Table, shadow: &TableName, is_mariadb: bool) -> Result<(String, Shadow)> {
    let (_, body) = Context::split(&table.definition);
    let Some(definition) = Definition::read(body) else {
        return Err(Error::unsupported(
            format!("a copy of `{}`, whose definition cannot be read,", table.name),
            "the MySQL engine",
        )
        .with_context("definition", crate::error::excerpt(body)));
    };
    let (options, _) = without_position(definition.options);
    let mut renames = Vec::new();
    let mut elements = Vec::new();
    for element in &definition.elements {
        match element.sort {
            Sort::ForeignKey => {}
            // The names of checks are those of a whole database on MySQL, and of a table on MariaDB.
            Sort::Check if !is_mariadb => {
                let name = check_name(&element.name, &table.name.name, &shadow.name);
                if name.starts_with(CHECK) {
                    renames.push(format!("DROP CHECK {}, ADD {}", quoted(&name), element.text));
                }
                elements.push(format!("CONSTRAINT {} {}", quoted(&name), element.rest));
            }
            _ => elements.push(element.text.to_owned()),
        }
    }
    let sql = Definition::write(
        &quoted_table(shadow),
        elements.iter().map(String::as_str),
        &options,
    );
    let rename_checks = (!renames.is_empty())
        .then(|| format!("ALTER TABLE {} {}", quoted_table(&table.name), renames.join(", ")));
    Ok((
        sql,
        Shadow {
            live: table.name.name.clone(),
            rename_checks,
        },
    ))
}

/// Returns the name of a check in a shadow. One that the server has made up from the name of the table is
/// renamed by the server along with the table; any other gets a name that nothing has, not even what a killed
/// exchange has left in place.
fn check_name(check: &str, table: &str, shadow: &str) -> String {
    match check.strip_prefix(&format!("{table}_chk_")) {
        Some(number)
            if !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && shadow.len() + number.len() < 59 =>
        {
            format!("{shadow}_chk_{number}")
        }
        _ => format!("{CHECK}{:032x}", rand::random::<u128>()),
    }
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
            assert!(name.starts_with(CHECK), "{name}");
            assert!(name.len() <= 64);
        }
    }
}
