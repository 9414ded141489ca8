//! Statements and queries of the user, sent as they are written.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::{Protocol, Queryable as _};
use mysql_async::{Column, Conn, Error as DriverError, Params, QueryResult, Row, Statement};
use walkback_core::{Access, Error, ErrorKind, Result, Value};
use walkback_sql::lexer::{TokenKind, significant_tokens};

use crate::call::Outlet;
use crate::context::Context;
use crate::dialect;
use crate::error::{self, DEADLOCK, NEEDS_PREPARING, NOT_PREPARED, TOO_MANY_PREPARED, excerpt};
use crate::link::Link;
use crate::scheduled;
use crate::value;

/// How many rows of a query travel at once.
const ROWS: usize = 256;

/// How many bytes, about, after which rows do not wait for more.
const BYTES: usize = 64 << 10;

/// How often a query is asked again that was refused because of a deadlock outside of a transaction, and how long is waited
/// before.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// How a statement is sent.
enum Sent {
    /// Prepared.
    Prepared(Statement),
    /// Prepared by SQL, from a variable: the driver would take `:name` in it for a parameter.
    Spelled,
    /// As text, for it cannot be prepared.
    Text,
}

impl Link {
    /// Runs one statement and returns how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.must_be_alive()?;
        let (context, body) = Context::split(sql);
        self.must_be_possible(body)?;
        let asleep = scheduled::asleep(&self.place.config().database, body);
        let body = asleep.as_deref().unwrap_or(body);
        let before = match &context {
            Some(context) => Some(context.enter(self).await?),
            None => None,
        };
        let outcome = self.execute_now(body, params).await;
        let outcome = outcome.map_err(|error| self.place.statement_failed(body, error));
        let back = match before {
            Some(before) => before.leave(self).await,
            None => Ok(()),
        };
        match (self.after_statement(body, outcome).await, back) {
            (Ok(_), Err(error)) | (Err(error), _) => Err(error),
            (Ok(rows), Ok(())) => Ok(rows),
        }
    }

    async fn execute_now(&mut self, sql: &str, params: &[Value]) -> Result<u64, DriverError> {
        let sent = self.send(sql, params).await?;
        match sent {
            Sent::Prepared(statement) => {
                let outcome = match self.conn.exec_iter(&statement, bound(params)).await {
                    Ok(result) => drained(result).await,
                    Err(error) => Err(error),
                };
                close(&mut self.conn, statement).await?;
                outcome
            }
            Sent::Spelled => {
                let outcome = match self.conn.query_iter("EXECUTE _walkback_statement").await {
                    Ok(result) => drained(result).await,
                    Err(error) => Err(error),
                };
                forget(&mut self.conn).await?;
                outcome
            }
            Sent::Text => drained(self.conn.query_iter(sql).await?).await,
        }
    }

    /// Runs one query and gives its rows.
    pub(crate) async fn query(
        &mut self,
        sql: &str,
        params: &[Value],
        outlet: Outlet<Vec<Value>>,
    ) -> Result<()> {
        self.must_be_alive()?;
        self.must_be_possible(sql)?;
        let mut tries = 0;
        let outcome = loop {
            let mut has_begun = false;
            let outcome = self
                .query_now(sql, params, (outlet.clone(), &mut has_begun))
                .await;
            match outcome {
                // Somebody flushes the tables of the server, to back it up for instance, while the statement has opened one of
                // its tables and not yet all: a session that holds a lock is refused then instead of waiting. Or again and
                // again while it prepares the statement, which the server gives up the third time.
                Err(error) if self.may_ask_again(&error) && !has_begun && tries < TRIES => {
                    tries += 1;
                    self.must_go_on()?;
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => break outcome,
            }
        };
        drop(outlet);
        let outcome = outcome.map_err(|error| self.place.statement_failed(sql, error));
        self.after_statement(sql, outcome).await
    }

    fn may_ask_again(&self, error: &DriverError) -> bool {
        match error::code(error) {
            Some(DEADLOCK) => self.transaction.is_none(),
            code => code == Some(NEEDS_PREPARING),
        }
    }

    async fn query_now(
        &mut self,
        sql: &str,
        params: &[Value],
        (outlet, has_begun): (Outlet<Vec<Value>>, &mut bool),
    ) -> Result<(), DriverError> {
        match self.send(sql, params).await? {
            Sent::Prepared(statement) => {
                let outcome = match self.conn.exec_iter(&statement, bound(params)).await {
                    Ok(result) => {
                        *has_begun = true;
                        each_row(result, value::read, outlet).await
                    }
                    Err(error) => Err(error),
                };
                close(&mut self.conn, statement).await?;
                outcome
            }
            Sent::Spelled => {
                let outcome = match self.conn.query_iter("EXECUTE _walkback_statement").await {
                    Ok(result) => {
                        *has_begun = true;
                        each_row(result, value::read, outlet).await
                    }
                    Err(error) => Err(error),
                };
                forget(&mut self.conn).await?;
                outcome
            }
            Sent::Text => {
                let result = self.conn.query_iter(sql).await?;
                *has_begun = true;
                each_row(result, value::read, outlet).await
            }
        }
    }

    async fn send(&mut self, sql: &str, params: &[Value]) -> Result<Sent, DriverError> {
        if significant_tokens(dialect::KIND, sql).is_empty() {
            return Err(refused("there is no statement in it"));
        }
        let prepared = if has_name_of_parameter(sql) && params.is_empty() {
            self.spell(sql).await.map(|()| Sent::Spelled)
        } else {
            self.conn.prep(sql).await.map(Sent::Prepared)
        };
        match prepared {
            Err(error)
                if params.is_empty()
                    && matches!(error::code(&error), Some(NOT_PREPARED | TOO_MANY_PREPARED)) =>
            {
                let is_plain = self.takes_backslashes_as_they_are().await?;
                let read = if is_plain {
                    sql.replace('\\', "/")
                } else {
                    sql.to_owned()
                };
                if dialect::is_one_statement(&read) {
                    Ok(Sent::Text)
                } else {
                    Err(refused("it is more than one statement, or does not end"))
                }
            }
            Ok(Sent::Prepared(statement)) if usize::from(statement.num_params()) != params.len() => {
                let wanted = statement.num_params();
                close(&mut self.conn, statement).await?;
                // The driver would close the connection over this.
                Err(refused(&format!(
                    "it takes {wanted} parameters, not {}",
                    params.len()
                )))
            }
            outcome => outcome,
        }
    }

    /// Returns whether a backslash in a text is one, by the `sql_mode` of the session.
    async fn takes_backslashes_as_they_are(&mut self) -> Result<bool, DriverError> {
        let mode: Option<String> = self.conn.query_first("SELECT @@SESSION.sql_mode").await?;
        Ok(mode.is_some_and(|mode| mode.contains("NO_BACKSLASH_ESCAPES")))
    }

    async fn spell(&mut self, sql: &str) -> Result<(), DriverError> {
        self.conn
            .exec_drop("SET @_walkback_statement = ?", (sql,))
            .await?;
        self.conn
            .query_drop("PREPARE _walkback_statement FROM @_walkback_statement")
            .await
    }

    /// Refuses what would harm the connection, or is not for this session.
    fn must_be_possible(&self, sql: &str) -> Result<()> {
        let words: Vec<String> = words(sql).take(4).collect();
        let is = |index: usize, word: &str| words.get(index).is_some_and(|found| found == word);
        if is(0, "LOAD") && words.iter().any(|word| word == "LOCAL") {
            return Err(Error::unsupported(
                "`LOAD DATA LOCAL`, which reads a file of this machine,",
                "a migration of walkback",
            )
            .hint("load the rows by `INSERT`, or put the file on the server and leave out `LOCAL`")
            .with_context("statement", excerpt(sql)));
        }
        let writes = is(0, "START") || is(0, "SET") && words.iter().any(|word| word == "TRANSACTION");
        if self.access == Access::Read && writes && sql.to_ascii_uppercase().contains("WRITE") {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("this session on `{}` only reads", self.place.config().location()),
            ));
        }
        Ok(())
    }
}

/// Says why a statement is not sent.
fn refused(why: &str) -> DriverError {
    DriverError::Other(why.into())
}

/// Reads all results of a statement, and returns the number of rows it changed.
async fn drained<P: Protocol>(mut result: QueryResult<'_, 'static, P>) -> Result<u64, DriverError> {
    let mut changed = 0;
    loop {
        // The answer to what comes next would be counted in the place of this one.
        if result.columns_ref().is_empty() {
            changed += result.affected_rows();
        }
        while result.next().await?.is_some() {}
        if result.is_empty() {
            return Ok(changed);
        }
    }
}

/// Gives the rows of the first result as `read` makes them, and reads the others.
async fn each_row<P: Protocol>(
    mut result: QueryResult<'_, 'static, P>,
    read: impl Fn(mysql_async::Value, &Column) -> Value,
    outlet: Outlet<Vec<Value>>,
) -> Result<(), DriverError> {
    let columns: Arc<[Column]> = result.columns().unwrap_or_else(|| Arc::from([]));
    let (mut parcel, mut size) = (Vec::new(), 0);
    let mut is_wanted = true;
    while let Some(row) = result.next().await? {
        if !is_wanted {
            continue;
        }
        size += weight(&row);
        let cells = row.unwrap().into_iter().zip(columns.iter());
        parcel.push(cells.map(|(cell, column)| read(cell, column)).collect());
        if parcel.len() >= ROWS || size >= BYTES {
            size = 0;
            is_wanted = outlet.send(Ok(std::mem::take(&mut parcel))).await.is_ok();
        }
    }
    while !result.is_empty() {
        while result.next().await?.is_some() {}
    }
    if is_wanted {
        // Nobody may wait for it any more.
        outlet.send(Ok(parcel)).await.ok();
    }
    Ok(())
}

fn weight(row: &Row) -> usize {
    (0..row.len())
        .map(|index| match row.as_ref(index) {
            Some(mysql_async::Value::Bytes(bytes)) => bytes.len(),
            _ => 8,
        })
        .sum()
}

fn bound(params: &[Value]) -> Params {
    if params.is_empty() {
        Params::Empty
    } else {
        Params::Positional(params.iter().map(value::bound).collect())
    }
}

/// Closes a statement; the server does not answer to it.
pub(crate) async fn close(conn: &mut Conn, statement: Statement) -> Result<(), DriverError> {
    conn.close(statement).await
}

async fn forget(conn: &mut Conn) -> Result<(), DriverError> {
    conn.query_drop("DEALLOCATE PREPARE _walkback_statement").await?;
    conn.query_drop("SET @_walkback_statement = NULL").await
}

/// Returns whether the driver might take something in a text for the name of a parameter.
fn has_name_of_parameter(sql: &str) -> bool {
    sql.as_bytes()
        .windows(2)
        .any(|pair| pair[0] == b':' && (pair[1] == b'_' || pair[1].is_ascii_lowercase()))
}

/// Returns the words of a statement, in upper case, without comments.
pub(crate) fn words(sql: &str) -> impl Iterator<Item = String> + use<> {
    let head: String = sql.chars().take(2000).collect();
    let words: Vec<String> = significant_tokens(dialect::KIND, &head)
        .into_iter()
        .filter(|token| token.kind == TokenKind::Word)
        .map(|token| token.text.to_ascii_uppercase())
        .collect();
    words.into_iter()
}
