//! Statements and queries.

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt as _};
use tokio_postgres::{SimpleQueryMessage, Statement};
use walkback_core::engine::RowStream;
use walkback_core::value::Row;
use walkback_core::{Access, Cx, Error, ErrorKind, Result, Value};

use crate::blocker::Patience;
use crate::dialect::{self, Lead};
use crate::error::{self, excerpt, misused};
use crate::link::{Link, Running};
use crate::value::{Bound, Cell, from_text, is_read_in_binary};

impl Link {
    /// Runs one statement and returns how many rows it changed.
    pub(crate) async fn execute(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<u64> {
        let lead = self.look_at(sql)?;
        cx.check()?;
        self.tidy().await?;
        if self.access == Access::Read && self.transaction.is_none() {
            return self.execute_reading(cx, sql, params, lead).await;
        }
        let changed = self.execute_now(cx, sql, params).await;
        self.follow_block(lead, &changed);
        // The server counts the rows of a query as well, which changes none.
        changed.map(|rows| if lead == Lead::Reads { 0 } else { rows })
    }

    async fn execute_now(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<u64> {
        let statement = self.prepare(cx, sql, params).await?;
        let client = Arc::clone(&self.client);
        self.call(cx, sql, async move {
            client.execute_raw(&statement, params.iter().map(Bound)).await
        })
        .await
    }

    /// Runs a statement in a session that reads: in a transaction of its own, which nothing can make write once
    /// it has its snapshot.
    async fn execute_reading(&mut self, cx: &Cx, sql: &str, params: &[Value], lead: Lead) -> Result<u64> {
        if matches!(lead, Lead::Begins | Lead::Ends) {
            return Err(only_reads(sql));
        }
        self.is_block_loose = true;
        self.batch(cx, "START TRANSACTION READ ONLY; SELECT 1").await?;
        let outcome = self.execute_now(cx, sql, params).await;
        self.tidy().await?;
        outcome.map(|rows| if lead == Lead::Reads { 0 } else { rows })
    }

    /// Runs one query and returns its rows as they come.
    pub(crate) async fn query<'s>(
        &'s mut self,
        cx: &Cx,
        sql: &str,
        params: &[Value],
    ) -> Result<RowStream<'s>> {
        let lead = self.look_at(sql)?;
        cx.check()?;
        self.tidy().await?;
        if self.access == Access::Read && self.transaction.is_none() {
            if matches!(lead, Lead::Begins | Lead::Ends | Lead::Calls) {
                return Err(only_reads(sql));
            }
            // What an earlier query may have set must not make this one write.
            self.batch(cx, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
                .await?;
        }
        let statement = self.prepare(cx, sql, params).await?;
        let columns = statement.columns();
        let rows = if columns.iter().all(|column| is_read_in_binary(column.type_())) {
            self.binary_rows(cx, sql, params, statement).await?
        } else if params.is_empty() {
            self.text_rows(cx, sql, statement).await?
        } else {
            let (wrapped, kinds) = as_texts(sql, &statement);
            let again = self.prepare(cx, &wrapped, params).await?;
            let rows = self.binary_rows(cx, sql, params, again).await?;
            rows.map(move |row| row.and_then(|row| read_texts(row, &kinds)))
                .boxed()
        };
        // Whether it comes to its end without a failure is not known here.
        self.spoil();
        let running = self.running();
        Ok(watched(rows, cx.clone(), running, sql.to_owned()))
    }

    async fn binary_rows(
        &mut self,
        cx: &Cx,
        sql: &str,
        params: &[Value],
        statement: Statement,
    ) -> Result<RowStream<'static>> {
        let client = Arc::clone(&self.client);
        let rows = self
            .call(cx, sql, async move {
                client.query_raw(&statement, params.iter().map(Bound)).await
            })
            .await?;
        let sql = sql.to_owned();
        Ok(rows.map(move |row| read_row(&sql, row)).boxed())
    }

    /// Runs a query whose cells come as the server's own text, which it gives without parameters only.
    async fn text_rows(&mut self, cx: &Cx, sql: &str, statement: Statement) -> Result<RowStream<'static>> {
        let client = Arc::clone(&self.client);
        let text = sql.to_owned();
        let rows = self
            .call(cx, sql, async move { client.simple_query_raw(&text).await })
            .await?;
        let sql = sql.to_owned();
        let rows = rows.filter_map(move |message| {
            let row = match message {
                Ok(SimpleQueryMessage::Row(row)) => Some(read_text_row(&statement, &row)),
                Ok(_) => None,
                Err(failure) => Some(Err(error::statement_failed(&sql, &failure))),
            };
            futures::future::ready(row)
        });
        Ok(rows.boxed())
    }

    async fn prepare(&mut self, cx: &Cx, sql: &str, params: &[Value]) -> Result<Statement> {
        let client = Arc::clone(&self.client);
        let text = sql.to_owned();
        let statement = self
            .call(cx, sql, async move { client.prepare(&text).await })
            .await;
        let statement = statement.map_err(|error| several(sql, error))?;
        if statement.params().len() != params.len() {
            return Err(misused(format!(
                "`{}` has {} parameter(s), but {} value(s) were given",
                excerpt(sql),
                statement.params().len(),
                params.len()
            )));
        }
        Ok(statement)
    }

    /// Refuses what is not a statement for this session, and says what it begins with.
    fn look_at(&self, sql: &str) -> Result<Lead> {
        if sql.contains('\0') {
            return Err(misused(format!(
                "`{}` holds a zero byte",
                excerpt(&sql.replace('\0', "\\0"))
            )));
        }
        if dialect::statements(sql).is_ok_and(|statements| statements.is_empty()) {
            return Err(misused("there is no statement to run"));
        }
        let lead = Lead::of(sql);
        if lead == Lead::Copies {
            return Err(
                misused(format!("`{}` copies rows from or to the client", excerpt(sql)))
                    .hint("write the rows as `INSERT` statements"),
            );
        }
        if self.transaction.is_some() && matches!(lead, Lead::Begins | Lead::Ends) {
            return Err(misused(format!(
                "`{}` would interfere with the transaction it runs in",
                excerpt(sql)
            ))
            .hint("remove it, or let the migration manage its own transactions with `-- walkback: transaction=off`"));
        }
        Ok(lead)
    }

    /// A script that manages its own transactions may undo what was set for the session.
    fn follow_block(&mut self, lead: Lead, outcome: &Result<u64>) {
        if lead == Lead::Ends
            && outcome.is_ok()
            && let Some(Patience { timeout, .. }) = self.patience
        {
            self.afterwards = Some(crate::lock::timeout_statement(timeout));
        }
    }
}

fn only_reads(sql: &str) -> Error {
    Error::new(
        ErrorKind::PermissionDenied,
        format!("`{}` is not for a session that only reads", excerpt(sql)),
    )
}

fn several(sql: &str, error: Error) -> Error {
    let is_several = error.context().iter().any(|(_, value)| value == "42601")
        && dialect::statements(sql).is_ok_and(|statements| statements.len() > 1);
    if is_several {
        return misused(format!("`{}` is more than one statement", excerpt(sql)))
            .hint("run one statement at a time");
    }
    error
}

fn read_row(sql: &str, row: std::result::Result<tokio_postgres::Row, tokio_postgres::Error>) -> Result<Row> {
    let row = row.map_err(|failure| error::statement_failed(sql, &failure))?;
    (0..row.len())
        .map(|index| {
            row.try_get::<_, Cell>(index)
                .map(|cell| cell.0)
                .map_err(|failure| error::statement_failed(sql, &failure))
        })
        .collect()
}

fn read_text_row(statement: &Statement, row: &tokio_postgres::SimpleQueryRow) -> Result<Row> {
    let columns = statement.columns().iter().enumerate();
    columns
        .map(|(index, column)| {
            let cell = row
                .try_get(index)
                .map_err(|failure| error::failed("a row cannot be read", "", &failure))?;
            cell.map_or(Ok(Value::Null), |cell| {
                from_text(column.type_(), cell).map_err(unreadable)
            })
        })
        .collect()
}

fn unreadable(cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(ErrorKind::Database, "a cell cannot be read").with_source(cause)
}

/// Puts a query into one that gives every cell as text.
fn as_texts(sql: &str, statement: &Statement) -> (String, Vec<tokio_postgres::types::Type>) {
    let names: Vec<_> = (1..=statement.columns().len()).map(|n| format!("c{n}")).collect();
    // An address knows how to be cast to text, and adds its mask there: joined to a text, it is its own text.
    let casts: Vec<_> = names
        .iter()
        .map(|name| format!("pg_catalog.format('%s', {name})"))
        .collect();
    let cells: Vec<_> = names
        .iter()
        .zip(&casts)
        .map(|(name, cast)| format!("CASE WHEN num_nulls({name}) = 0 THEN {cast} END"))
        .collect();
    let sql = sql.trim().trim_end_matches(';');
    let wrapped = format!(
        "WITH _walkback_q ({}) AS MATERIALIZED (\n{sql}\n) SELECT {} FROM _walkback_q",
        names.join(", "),
        cells.join(", ")
    );
    let kinds = statement.columns().iter().map(|column| column.type_().clone());
    (wrapped, kinds.collect())
}

fn read_texts(row: Row, kinds: &[tokio_postgres::types::Type]) -> Result<Row> {
    row.into_iter()
        .zip(kinds)
        .map(|(cell, kind)| match cell {
            Value::Text(text) => from_text(kind, &text).map_err(unreadable),
            other => Ok(other),
        })
        .collect()
}

/// Watches the context of a stream, and asks the server to stop when the stream is left.
pub(crate) fn watched<'s, T: Send + 's>(
    rows: Pin<Box<dyn Stream<Item = Result<T>> + Send + 's>>,
    cx: Cx,
    running: Running,
    sql: String,
) -> Pin<Box<dyn Stream<Item = Result<T>> + Send + 's>> {
    struct Watched<S> {
        rows: S,
        cx: Cx,
        running: Running,
        sql: String,
        is_over: bool,
    }
    let state = Watched {
        rows,
        cx,
        running,
        sql,
        is_over: false,
    };
    stream::unfold(state, |mut state| async move {
        if state.is_over {
            return None;
        }
        let item = match state.cx.check() {
            Err(ended) => Some(Err(ended)),
            Ok(()) => tokio::select! {
                biased;
                item = state.rows.next() => {
                    if matches!(item, None | Some(Err(_))) {
                        state.running.done();
                    }
                    item
                }
                ended = state.cx.ended() => Some(Err(ended)),
            },
        };
        match item {
            None => None,
            Some(Ok(item)) => Some((Ok(item), state)),
            Some(Err(error)) => {
                state.is_over = true;
                tracing::debug!(statement = %excerpt(&state.sql), "a stream has ended early");
                Some((Err(error), state))
            }
        }
    })
    .boxed()
}
