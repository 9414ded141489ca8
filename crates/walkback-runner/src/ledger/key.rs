//! What a row of a ledger says and gets, where that is more than the identity of a migration: keys of several columns, and what
//! only the source knows.

use std::collections::BTreeSet;

use chrono::DateTime;
use walkback_core::engine::SessionExt as _;
use walkback_core::ledger::{LedgerColumn, LedgerValue, ToldRow};
use walkback_core::value::Value;
use walkback_core::{Cx, DialectKind, Error, ErrorKind, MigrationId, Result};

use super::{Applied, Ledger, NewRow};

/// How many digits of its moment name the run that wrote a row.
const DEPLOYMENT_DIGITS: usize = 10;

/// What is written into one column.
pub(super) enum Written {
    /// A value.
    Value(Value),
    /// What the server makes of this.
    Expression(String),
}

impl Ledger<'_> {
    /// Returns what a row gets in a column.
    pub(super) fn written(&self, column: &LedgerColumn, row: &NewRow<'_>) -> Result<Written> {
        let value = match column.value {
            LedgerValue::Id | LedgerValue::KeyPart if self.format.naming.is_some() => {
                let place = self.format.key_columns().position(|key| key == column);
                let told = self.told(row.id)?;
                let part = place.and_then(|place| told.key.get(place));
                part.map(String::as_str).into()
            }
            LedgerValue::Id | LedgerValue::KeyPart => row.id.as_str().into(),
            LedgerValue::Slug => row.slug.into(),
            LedgerValue::UpHash => self.compared(Some(row.up_hash)).into(),
            LedgerValue::AppliedAt | LedgerValue::ServerDefault => row.applied_at.into(),
            LedgerValue::RunId => row.run_id.into(),
            LedgerValue::Told => {
                let told = self.told(row.id)?;
                told.values.get(column.name).map(String::as_str).into()
            }
            LedgerValue::WasRun { yes, no } => (if row.was_run { yes } else { no }).into(),
            LedgerValue::ServerClock => return Ok(Written::Expression(self.now(column))),
            LedgerValue::Next => return Ok(Written::Expression(self.next(column))),
            LedgerValue::Deployment => deployment(row.run_began).as_deref().into(),
            LedgerValue::Writer => concat!("walkback ", env!("CARGO_PKG_VERSION")).into(),
        };
        Ok(Written::Value(value))
    }

    fn told(&self, id: &MigrationId) -> Result<&ToldRow> {
        self.format.told.get(id).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "migration `{id}` is not in the checkout, and its row in `{}` holds what only the checkout knows",
                    self.format.table
                ),
            )
            .hint("check out the release that has it, and run the command there")
        })
    }

    /// Returns the next number of a column. MySQL takes no question to the table that is written, but one around it.
    fn next(&self, column: &LedgerColumn) -> String {
        let (name, table) = (self.quoted(column), self.dialect.quote_table(&self.format.table));
        format!(
            "(SELECT walkback_next.n FROM (SELECT COALESCE(MAX({name}), 0) + 1 AS n FROM {table}) AS walkback_next)"
        )
    }

    /// Returns the moment by the clock of the server, but none before the newest in the column: by that a tool knows which row is
    /// the last, and its sessions may have another time zone than ours.
    fn now(&self, column: &LedgerColumn) -> String {
        let (name, table) = (self.quoted(column), self.dialect.quote_table(&self.format.table));
        let now = match self.dialect.kind() {
            DialectKind::Sqlite => "CURRENT_TIMESTAMP",
            // Without a time zone, as the column is.
            DialectKind::Postgres | DialectKind::Mysql => "LOCALTIMESTAMP",
        };
        format!(
            "(SELECT CASE WHEN walkback_newest.at > {now} THEN walkback_newest.at ELSE {now} END \
             FROM (SELECT MAX({name}) AS at FROM {table}) AS walkback_newest)"
        )
    }

    /// Returns a hash, if it is of the kind that the tool of the ledger compares.
    fn compared<'h>(&self, hash: Option<&'h str>) -> Option<&'h str> {
        let prefix = self.format.hash_prefix;
        hash.filter(|hash| prefix.is_none_or(|prefix| hash.starts_with(prefix)))
    }

    /// Returns the keys of the rows of a migration, as the table has them: a tool may have spelled one key in several ways.
    pub(super) async fn keys_of(&mut self, cx: &Cx, id: &MigrationId) -> Result<BTreeSet<Vec<String>>> {
        if self.format.naming.is_none() {
            return Ok([vec![id.0.clone()]].into());
        }
        let rows = self.rows(cx).await?;
        let named = rows.iter().zip(self.named(&rows));
        let of_it = named.filter(|(_, named)| named.as_ref() == Some(id));
        Ok(of_it.map(|(row, _)| self.key(row)).collect())
    }

    /// Reads the rows as they are, in the order in which they were written as far as the format can tell.
    pub(super) async fn rows(&mut self, cx: &Cx) -> Result<Vec<Vec<Value>>> {
        let columns = self.format.columns.iter();
        let names: Vec<_> = columns.map(|column| self.quoted(column)).collect();
        let sql = format!(
            "SELECT {} FROM {} ORDER BY {}",
            names.join(", "),
            self.dialect.quote_table(&self.format.table),
            self.order().join(", ")
        );
        let rows = self.session.fetch_all(cx, &sql, &[]).await?;
        Ok(rows.into_iter().map(|row| row.to_vec()).collect())
    }

    /// Returns the columns that tell in which order rows were written.
    fn order(&self) -> Vec<String> {
        let rank = |value: LedgerValue| match value {
            LedgerValue::AppliedAt | LedgerValue::ServerDefault | LedgerValue::ServerClock => Some(0),
            LedgerValue::Next => Some(1),
            LedgerValue::Id => Some(2),
            _ => None,
        };
        let columns = self.format.columns.iter();
        let mut ranked: Vec<_> = columns
            .filter_map(|column| Some((rank(column.value)?, self.quoted(column))))
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, name)| name).collect()
    }

    /// Returns what rows say, each migration once.
    pub(super) fn all_applied(&self, rows: &[Vec<Value>]) -> Vec<Applied> {
        let mut seen = BTreeSet::new();
        let named = rows.iter().zip(self.named(rows));
        named
            .filter_map(|(row, id)| Some(self.applied(row, id?)))
            .filter(|row| seen.insert(row.id.clone()))
            .collect()
    }

    /// Returns the identities of rows.
    fn named(&self, rows: &[Vec<Value>]) -> Vec<Option<MigrationId>> {
        let Some(naming) = self.format.naming else {
            let text = |row: &Vec<Value>| self.value(row, LedgerValue::Id).map(MigrationId::new);
            return rows.iter().map(text).collect();
        };
        rows.iter()
            .map(|row| Some(MigrationId::new(naming(&self.key(row)))))
            .collect()
    }

    fn key(&self, row: &[Value]) -> Vec<String> {
        let of = |column: &LedgerColumn| {
            let index = self.format.columns.iter().position(|other| other == column);
            index.and_then(|index| text(row.get(index)?)).unwrap_or_default()
        };
        self.format.key_columns().map(of).collect()
    }

    fn value(&self, row: &[Value], wanted: LedgerValue) -> Option<String> {
        let mut columns = self.format.columns.iter();
        let index = columns.position(|column| column.value == wanted)?;
        text(row.get(index)?)
    }

    fn applied(&self, row: &[Value], id: MigrationId) -> Applied {
        let hash = self.value(row, LedgerValue::UpHash);
        let told = self.format.told.get(&id);
        let says_nothing = told.is_some_and(|told| {
            !told.is_checked || hash.as_ref().is_some_and(|hash| told.accepts.contains(hash))
        });
        let moments = [
            LedgerValue::AppliedAt,
            LedgerValue::ServerDefault,
            LedgerValue::ServerClock,
        ];
        Applied {
            id,
            slug: self.value(row, LedgerValue::Slug),
            up_hash: self
                .compared(hash.as_deref())
                .filter(|_| !says_nothing)
                .map(str::to_owned),
            applied_at: moments.into_iter().find_map(|moment| self.value(row, moment)),
            run_id: self.value(row, LedgerValue::RunId),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => Some(number.to_string()),
        other => other.as_str().map(str::to_owned),
    }
}

/// Returns the last digits of the milliseconds at which a run began.
fn deployment(began: &str) -> Option<String> {
    let moment = DateTime::parse_from_rfc3339(began).ok()?;
    let digits = moment.timestamp_millis().to_string();
    let start = digits.len().saturating_sub(DEPLOYMENT_DIGITS);
    Some(digits[start..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::deployment;

    #[test]
    fn a_deployment_is_named_by_the_end_of_its_moment() {
        assert_eq!(
            deployment("2026-11-22T18:58:35.694000Z").as_deref(),
            Some("5373915694")
        );
    }
}
