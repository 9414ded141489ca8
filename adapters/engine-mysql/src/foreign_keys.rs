//! Foreign keys, as they are in the catalog, and the search for rows that break them.

use std::collections::BTreeMap;

use walkback_core::{Error, ErrorKind, Result};

use walkback_sql::lexer::significant_tokens;

use crate::catalog::definition::{Definition, Sort, names_in_parentheses};
use crate::catalog::tables::foreign_key;
use crate::dialect::{KIND, quoted};
use crate::link::Link;

/// A foreign key between tables of the current database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Its name.
    pub(crate) name: String,
    /// The table that refers.
    pub(crate) child: String,
    /// Its columns.
    pub(crate) columns: Vec<String>,
    /// The table that is referred to.
    pub(crate) parent: String,
    /// Its columns.
    pub(crate) referenced: Vec<String>,
}

impl Reference {
    /// Reads the statement that creates a foreign key to a table of the current database.
    pub(crate) fn read(name: &str, child: &str, definition: &str) -> Option<Self> {
        let tokens = significant_tokens(KIND, definition);
        let at = tokens.iter().find(|token| token.is_word("FOREIGN"))?;
        let key = foreign_key(&definition[at.offset..])?;
        if key.references.schema.is_some() {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            child: child.to_owned(),
            columns: key.columns,
            parent: key.references.name,
            referenced: key.referenced_columns,
        })
    }

    /// Returns the statement that drops it.
    pub(crate) fn removal(&self) -> String {
        format!(
            "ALTER TABLE {} DROP FOREIGN KEY {}",
            quoted(&self.child),
            quoted(&self.name)
        )
    }
}

impl Link {
    /// Reads the foreign keys of the current database that refer to tables in it.
    pub(crate) async fn references(&mut self) -> Result<Vec<Reference>> {
        let mut found: BTreeMap<(String, String), Reference> = BTreeMap::new();
        let parts = self
            .texts(
                "SELECT CONSTRAINT_NAME, TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME \
                 FROM information_schema.KEY_COLUMN_USAGE WHERE CONSTRAINT_SCHEMA = DATABASE() \
                 AND TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_SCHEMA = DATABASE() \
                 ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION",
            )
            .await?;
        for part in parts {
            let part: Vec<String> = part.into_iter().map(Option::unwrap_or_default).collect();
            let [name, child, column, parent, referenced] = <[String; 5]>::try_from(part).unwrap_or_default();
            let key = (child.clone(), name.clone());
            let reference = found.entry(key).or_insert_with(|| Reference {
                name,
                child,
                columns: Vec::new(),
                parent,
                referenced: Vec::new(),
            });
            reference.columns.push(column);
            reference.referenced.push(referenced);
        }
        Ok(found.into_values().collect())
    }

    /// Returns the statement that creates a foreign key as it is, in the server's own words.
    pub(crate) async fn creation_of(&mut self, reference: &Reference) -> Result<String> {
        let child = quoted(&reference.child);
        let shown = self.texts(&format!("SHOW CREATE TABLE {child}")).await?;
        let sql = shown
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(1))
            .flatten();
        let sql = sql.unwrap_or_default();
        let definition = Definition::read(&sql);
        let key = definition.as_ref().and_then(|definition| {
            definition
                .of(Sort::ForeignKey)
                .find(|key| key.name == reference.name)
        });
        match key {
            Some(key) => Ok(format!(
                "ALTER TABLE {child} {}ADD {}",
                definition
                    .as_ref()
                    .map(|definition| keeping_keys(definition, &reference.columns))
                    .unwrap_or_default(),
                key.text
            )),
            None => Err(Error::new(
                ErrorKind::Database,
                format!(
                    "the foreign key `{}` of table `{}` has gone meanwhile",
                    reference.name, reference.child
                ),
            )
            .retryable()),
        }
    }

    /// Fails if a row of `child` refers to a row of `parent` that is not there. The tables may stand for those
    /// that the foreign key is about.
    pub(crate) async fn must_hold(&mut self, reference: &Reference, child: &str, parent: &str) -> Result<()> {
        let of = |alias: &str, column: &String| format!("{alias}.{}", quoted(column));
        let equal: Vec<_> = reference
            .columns
            .iter()
            .zip(&reference.referenced)
            .map(|(column, referenced)| format!("{} = {}", of("c", column), of("p", referenced)))
            .collect();
        let given: Vec<_> = reference
            .columns
            .iter()
            .map(|column| format!("{} IS NOT NULL", of("c", column)))
            .collect();
        let sql = format!(
            "SELECT COUNT(*) FROM {} c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})",
            quoted(child),
            given.join(" AND "),
            quoted(parent),
            equal.join(" AND ")
        );
        match self.one(&sql).await?.as_deref() {
            Some("0") => Ok(()),
            count => Err(Error::new(
                ErrorKind::Database,
                format!(
                    "{} rows of table `{}` would refer to rows of table `{}` that are not there (foreign key `{}`)",
                    count.unwrap_or("some"),
                    reference.child,
                    reference.parent,
                    reference.name
                ),
            )
            .hint(format!(
                "bring `{}` and `{}` back together, or remove those rows first; nothing has been exchanged",
                reference.child, reference.parent
            ))),
        }
    }
}

/// Returns the actions that keep the keys of these columns. One that the server made by itself for a foreign key it
/// would drop when the foreign key is created again, and make another by another name.
fn keeping_keys(definition: &Definition<'_>, columns: &[String]) -> String {
    definition
        .of(Sort::Key)
        .filter(|key| key.text.starts_with("KEY ") && names_in_parentheses(key.rest) == columns)
        .map(|key| format!("DROP KEY {}, ADD {}, ", quoted(&key.name), key.text))
        .collect()
}
