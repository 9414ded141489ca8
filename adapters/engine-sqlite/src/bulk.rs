//! Rows in bulk: out as chunks, in from chunks, and hashed.

use rusqlite::config::DbConfig;
use rusqlite::{Row, Statement, params_from_iter};
use walkback_core::bulk::{Chunk, ChunkBounds, ChunkCutter, Encoding, ImportTarget, KeyRange, TableSlice};
use walkback_core::catalog::Table;
use walkback_core::fingerprint::{Fingerprinter, TableFingerprint};
use walkback_core::{Error, ErrorKind, Result, TableName};

use crate::dialect::{quoted, quoted_table};
use crate::foreign_keys::rowid_alias;
use crate::link::Link;
use crate::rows::{self, ENCODING};
use crate::stream::Outlet;

impl Link {
    /// Hashes the rows of a table, generated columns left out: they follow from the others.
    pub(crate) fn fingerprint(&mut self, table: &Table) -> Result<TableFingerprint> {
        self.must_be_alive()?;
        let columns = table.columns.iter().filter(|column| !column.generated);
        let columns = list(columns.map(|column| column.name.as_str()))?;
        let sql = format!("SELECT {columns} FROM {}", quoted_table(&table.name));
        let mut fingerprinter = Fingerprinter::new();
        self.for_each_row(&sql, |row| {
            fingerprinter.add(row);
            true
        })?;
        Ok(fingerprinter.finish())
    }

    /// Sends the rows of a table as chunks.
    pub(crate) fn export(&mut self, slice: &TableSlice, outlet: &mut Outlet<Vec<Chunk>>) -> Result<()> {
        self.must_be_alive()?;
        let mut sql = format!(
            "SELECT {} FROM {}",
            list(slice.columns.iter().map(String::as_str))?,
            quoted_table(&slice.table)
        );
        // Where keys are equal (NULL is, in a primary key that is not of integers) or there are none, the
        // rowid decides; without it the planner might walk the rows along any index.
        let mut order: Vec<String> = slice.order.iter().map(|column| quoted(column)).collect();
        order.extend(self.rowid(&slice.table)?.map(str::to_owned));
        sql.push_str(&condition(order.first().map(String::as_str), slice.range));
        if !order.is_empty() {
            sql.push_str(" ORDER BY ");
            sql.push_str(&order.join(", "));
        }
        let mut cutter = ChunkCutter::new(Encoding(ENCODING.to_owned()), ChunkBounds::default());
        let mut is_read = true;
        outlet.ready_if(
            || self.connection.prepare(&sql).map(drop),
            |error| self.place.statement_failed(&sql, error),
        )?;
        self.for_each_row(&sql, |row| {
            if let Some(chunk) = cutter.push(row) {
                is_read = outlet.send(vec![chunk]);
            }
            is_read
        })?;
        if let Some(chunk) = cutter.finish()
            && is_read
        {
            outlet.send(vec![chunk]);
        }
        Ok(())
    }

    /// Writes one chunk, and returns how many rows it held.
    pub(crate) fn import(&mut self, target: &ImportTarget, chunk: &Chunk) -> Result<u64> {
        self.must_be_alive()?;
        rows::must_be_ours(chunk)?;
        let sql = insertion(target)?;
        // What was stored is stored again: a row that broke a CHECK before must not make a restore fail.
        let checks = self.pragma("ignore_check_constraints")?;
        self.set_pragma("ignore_check_constraints", true)?;
        let triggers = self.triggers(false);
        let outcome = triggers.and_then(|before| {
            let outcome = self.insert(&sql, target, chunk);
            self.triggers(before)?;
            outcome
        });
        self.undisturbed(|link| link.set_pragma("ignore_check_constraints", checks))?;
        outcome.map_err(|error| self.after_failure(&sql, error))
    }

    fn insert(&self, sql: &str, target: &ImportTarget, chunk: &Chunk) -> Result<u64> {
        let failed = |error| self.place.statement_failed(sql, error);
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let mut rest: &[u8] = &chunk.bytes;
        let mut count = 0;
        while !rest.is_empty() {
            if self.stopped() {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
            }
            let cells = rows::decode_row(&mut rest, target.columns.len())?;
            insert_row(&mut statement, cells).map_err(failed)?;
            count += 1;
        }
        rows::must_be_as_many(chunk, count)?;
        Ok(count)
    }

    fn triggers(&self, on: bool) -> Result<bool> {
        let setting = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        let before = self.connection.db_config(setting);
        before
            .and_then(|before| self.connection.set_db_config(setting, on).map(|_| before))
            .map_err(|error| self.place.failed("cannot switch triggers on or off", error))
    }

    fn for_each_row(&mut self, sql: &str, mut take: impl FnMut(&[u8]) -> bool) -> Result<()> {
        let outcome = self.walk(sql, &mut take);
        outcome.map_err(|error| {
            let error = self.place.statement_failed(sql, error);
            self.after_failure(sql, error)
        })
    }

    fn walk(&self, sql: &str, take: &mut impl FnMut(&[u8]) -> bool) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        let mut encoded = Vec::new();
        while let Some(row) = rows.next()? {
            encoded.clear();
            encode(row, columns, &mut encoded)?;
            if !take(&encoded) {
                break;
            }
        }
        Ok(())
    }

    /// Returns the name of the rowid of a table that has one.
    fn rowid(&self, table: &TableName) -> Result<Option<&'static str>> {
        let failed = |error| {
            self.place
                .failed(format!("cannot read the columns of `{table}`"), error)
        };
        let Some(alias) = rowid_alias(&self.connection, &table.name).map_err(failed)? else {
            return Ok(None);
        };
        let probe = format!("SELECT {alias} FROM {} LIMIT 0", quoted_table(table));
        Ok(self.connection.prepare(&probe).is_ok().then_some(alias))
    }
}

/// Returns the condition that the rows of a range meet, with ` WHERE ` before it.
fn condition(key: Option<&str>, range: KeyRange) -> String {
    let Some(key) = key else { return String::new() };
    let from = range.from.map(|from| format!("{key} >= {from}"));
    let until = range.until.map(|until| format!("{key} < {until}"));
    let conditions: Vec<_> = from.into_iter().chain(until).collect();
    match conditions.as_slice() {
        [] => String::new(),
        conditions => format!(" WHERE {}", conditions.join(" AND ")),
    }
}

fn encode(row: &Row<'_>, columns: usize, out: &mut Vec<u8>) -> rusqlite::Result<()> {
    rows::encode_start(columns, out);
    for index in 0..columns {
        rows::encode_value(row.get_ref(index)?, out);
    }
    Ok(())
}

fn insert_row(statement: &mut Statement<'_>, cells: Vec<rows::Cell>) -> rusqlite::Result<()> {
    statement.execute(params_from_iter(cells)).map(drop)
}

fn insertion(target: &ImportTarget) -> Result<String> {
    let columns = list(target.columns.iter().map(String::as_str))?;
    let holes = vec!["?"; target.columns.len()].join(", ");
    Ok(format!(
        "INSERT INTO {} ({columns}) VALUES ({holes})",
        quoted_table(&target.table)
    ))
}

fn list<'a>(columns: impl Iterator<Item = &'a str>) -> Result<String> {
    let columns: Vec<_> = columns.map(quoted).collect();
    if columns.is_empty() {
        return Err(Error::new(
            ErrorKind::Usage,
            "rows without columns cannot be moved",
        ));
    }
    Ok(columns.join(", "))
}
