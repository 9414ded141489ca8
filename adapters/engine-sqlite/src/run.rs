//! Statements and queries, on the thread of the connection.

use std::fmt::Write as _;

use rusqlite::Statement;
use walkback_core::value::Row;
use walkback_core::{Error, ErrorKind, Result, Value};

use crate::error::excerpt;
use crate::link::Link;
use crate::stream::Outlet;
use crate::value::{from_cell, to_parameter};

/// How many rows travel from the thread at once.
const BATCH: usize = 256;

/// How many bytes of them, roughly.
const BATCH_BYTES: usize = 256 << 10;

impl Link {
    /// Runs one statement, rows that it returns included, and returns how many rows it changed.
    pub(crate) fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.must_be_fit(sql)?;
        let outcome = self.step_through(sql, params);
        outcome.map_err(|error| self.after_failure(sql, error))
    }

    fn step_through(&self, sql: &str, params: &[Value]) -> Result<u64> {
        let before = self.connection.total_changes();
        let mut statement = self.prepare(sql, params)?;
        let mut rows = statement.raw_query();
        while rows
            .next()
            .map_err(|error| self.place.statement_failed(sql, error))?
            .is_some()
        {}
        drop(rows);
        drop(statement);
        // The count of a statement that changes no rows is still that of the one before.
        if self.connection.total_changes() == before {
            return Ok(0);
        }
        Ok(self.connection.changes())
    }

    /// Runs one query and sends its rows.
    pub(crate) fn query(&mut self, sql: &str, params: &[Value], outlet: &mut Outlet<Vec<Row>>) -> Result<()> {
        self.must_be_fit(sql)?;
        let outcome = self.send_rows(sql, params, outlet);
        outcome.map_err(|error| self.after_failure(sql, error))
    }

    fn send_rows(&self, sql: &str, params: &[Value], outlet: &mut Outlet<Vec<Row>>) -> Result<()> {
        let mut statement = self.prepare(sql, params)?;
        let columns = statement.column_count();
        outlet.ready();
        let mut rows = statement.raw_query();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows
            .next()
            .map_err(|error| self.place.statement_failed(sql, error))?
        {
            let mut cells = Row::with_capacity(columns);
            for index in 0..columns {
                let cell = row
                    .get_ref(index)
                    .map_err(|error| self.place.statement_failed(sql, error))?;
                bytes += cell
                    .as_bytes_or_null()
                    .map_or(8, |bytes| bytes.map_or(1, <[u8]>::len));
                cells.push(from_cell(cell));
            }
            batch.push(cells);
            if batch.len() >= BATCH || bytes >= BATCH_BYTES {
                if !outlet.send(std::mem::take(&mut batch)) {
                    return Ok(());
                }
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            outlet.send(batch);
        }
        Ok(())
    }

    fn prepare(&self, sql: &str, params: &[Value]) -> Result<Statement<'_>> {
        let mut statement = match self.connection.prepare(sql) {
            Ok(statement) => statement,
            Err(error) => return Err(self.not_prepared(sql, error)),
        };
        if statement.expanded_sql().is_none() {
            return Err(Error::new(ErrorKind::Usage, "there is no statement to run"));
        }
        if statement.parameter_count() != params.len() {
            let mut text = format!("`{}` has ", excerpt(sql));
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "{} parameter(s), but {} value(s) were given",
                statement.parameter_count(),
                params.len()
            );
            return Err(Error::new(ErrorKind::Usage, text));
        }
        for (index, value) in params.iter().enumerate() {
            statement
                .raw_bind_parameter(index + 1, to_parameter(value, index + 1)?)
                .map_err(|error| self.place.statement_failed(sql, error))?;
        }
        Ok(statement)
    }

    /// SQLite looks at the second statement of a text as well, and complains about that one first.
    fn not_prepared(&self, sql: &str, error: rusqlite::Error) -> Error {
        let several =
            matches!(error, rusqlite::Error::MultipleStatement) || crate::dialect::holds_several(sql);
        if several {
            return Error::new(
                ErrorKind::Usage,
                format!("`{}` is more than one statement", excerpt(sql)),
            )
            .hint("run one statement at a time");
        }
        self.place.statement_failed(sql, error)
    }

    fn must_be_fit(&mut self, sql: &str) -> Result<()> {
        self.must_be_alive()?;
        if sql.contains('\0') {
            // SQLite would take it for the end, and drop the rest without a word.
            return Err(Error::new(
                ErrorKind::Usage,
                format!("`{}` holds a zero byte", excerpt(&sql.replace('\0', "\\0"))),
            ));
        }
        if self.transaction.is_some() && crate::dialect::ends_transaction(sql) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("`{}` would interfere with the transaction it runs in", excerpt(sql)),
            )
            .hint("remove it, or let the migration manage its own transactions with `-- walkback: transaction=off`"));
        }
        Ok(())
    }
}
