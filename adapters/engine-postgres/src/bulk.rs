//! Rows in bulk: `COPY` out and in, and fingerprints over the same bytes.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::SinkExt as _;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use walkback_core::bulk::{Chunk, ChunkBounds, ChunkCutter, ChunkStream, Encoding, ImportTarget, TableSlice};
use walkback_core::catalog::Table;
use walkback_core::engine::Begin;
use walkback_core::fingerprint::{Fingerprinter, TableFingerprint};
use walkback_core::{Cx, Error, ErrorKind, Result, TableName};

use crate::dialect::{quoted_list, quoted_table, text_literal};
use crate::divide::condition;
use crate::error::{self, misused};
use crate::link::{Link, Running};
use crate::rows::{Shape, Splitter, damaged};
use crate::run::watched;

/// How much is gathered before it is sent to the server.
const BATCH: usize = 256 << 10;

/// After how many rows to look whether the context has ended: messages that are there already never wait.
const LOOK: u64 = 1024;

/// Settings that change how values are written as text, and what they are while rows travel as text.
const SETTINGS: &[(&str, &str)] = &[
    ("extra_float_digits", "1"),
    ("datestyle", "ISO, MDY"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("search_path", ""),
];

/// Says of each column of the table whether its binary form means the same in every database. That of an array
/// or a row holds numbers of types; that of a `regclass` is one.
const COLUMNS: &str = "\
SELECT a.attname::text, (a.attgenerated <> '')::text,
       CASE WHEN t.typtype = 'e' THEN true
            WHEN coalesce(b.typtype, t.typtype) = 'e' THEN true
            ELSE coalesce(b.oid, t.oid) < 16384 AND coalesce(b.typsend, t.typsend) <> 0
                 AND coalesce(b.typname, t.typname) NOT LIKE '%reg%'
                 AND coalesce(b.typtype, t.typtype) NOT IN ('c', 'p')
                 AND coalesce(b.typname, t.typname) NOT IN ('aclitem', '_aclitem', 'refcursor') END::text,
       pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN LATERAL (
  WITH RECURSIVE base AS (
    SELECT d.* FROM pg_catalog.pg_type d WHERE d.oid = t.typbasetype AND t.typtype = 'd'
    UNION ALL SELECT d.* FROM base JOIN pg_catalog.pg_type d ON d.oid = base.typbasetype AND base.typtype = 'd')
  SELECT * FROM base WHERE typtype <> 'd' LIMIT 1) b ON true
WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum";

/// A table, as far as its rows travel.
#[derive(Debug)]
struct BulkTable {
    /// Its name with its schema, quoted: it is found whatever the search path is.
    name: String,
    columns: Vec<BulkColumn>,
}

/// A column, as far as its rows travel.
#[derive(Debug)]
struct BulkColumn {
    name: String,
    is_generated: bool,
    is_portable: bool,
}

impl Link {
    async fn bulk_table(&mut self, cx: &Cx, table: &TableName) -> Result<BulkTable> {
        let table = &self.whole(table);
        let name = quoted_table(table);
        let rows = self.texts(cx, COLUMNS, &[&name]).await?;
        if rows.is_empty() {
            let exists = self.has_table(cx, table).await?;
            if !exists {
                return Err(Error::not_found(format!("there is no table `{table}`")));
            }
        }
        let columns = rows.iter().map(|row| BulkColumn {
            name: row.get(0).to_owned(),
            is_generated: row.is(1),
            is_portable: row.is(2),
        });
        Ok(BulkTable {
            columns: columns.collect(),
            name: rows.first().map_or(name, |row| row.get(3).to_owned()),
        })
    }

    /// Chooses how the rows of some columns travel, and finds the whole name of the table.
    async fn shape(&mut self, cx: &Cx, table: &TableName, columns: &[String]) -> Result<(String, Shape)> {
        let known = self.bulk_table(cx, table).await?;
        let mut is_portable = true;
        for column in columns {
            let found = known.columns.iter().find(|known| known.name == *column);
            let found = found.ok_or_else(|| no_column(table, column))?;
            is_portable &= found.is_portable;
        }
        let shape = if is_portable { Shape::Binary } else { Shape::Text };
        Ok((known.name, shape))
    }

    /// Begins to copy rows out, and returns what the server sends, with what is to be told when all has come.
    async fn copy_out(
        &mut self,
        cx: &Cx,
        (table, shape): (String, Shape),
        slice: &TableSlice,
    ) -> Result<(BoxStream<'static, Result<Bytes>>, Running, String)> {
        let order = if slice.order.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", quoted_list(&slice.order))
        };
        let format = match shape {
            Shape::Binary => "binary",
            Shape::Text => "text",
        };
        let sql = format!(
            "COPY (SELECT {} FROM ONLY {table}{}{order}) TO STDOUT (FORMAT {format})",
            quoted_list(&slice.columns),
            condition(slice)
        );
        let restore = match shape {
            Shape::Binary => None,
            Shape::Text => self.fix_settings(cx).await?,
        };
        let client = Arc::clone(&self.client);
        let text = sql.clone();
        let opened = self
            .call(cx, &sql, async move { client.copy_out(&text).await })
            .await;
        self.afterwards = restore;
        let copied = opened?;
        self.spoil();
        let running = self.running();
        let of = sql.clone();
        let messages = copied.map_err(move |failure| error::statement_failed(&of, &failure));
        Ok((messages.boxed(), running, sql))
    }

    /// Fixes how values are written as text, and returns what undoes that.
    async fn fix_settings(&mut self, cx: &Cx) -> Result<Option<String>> {
        if self.transaction.is_none() && !self.is_in_block(cx).await? {
            let mut sql = "START TRANSACTION READ ONLY".to_owned();
            for (name, value) in SETTINGS {
                sql.push_str(&format!("; SET LOCAL {name} = {}", text_literal(value)));
            }
            self.is_block_loose = true;
            self.batch(cx, &sql).await?;
            return Ok(None);
        }
        let mut restore = Vec::new();
        for (name, value) in SETTINGS {
            let rows = self
                .texts(cx, "SELECT pg_catalog.current_setting($1)", &[name])
                .await?;
            let before = rows.first().map(|row| row.get(0).to_owned()).unwrap_or_default();
            self.texts(cx, "SELECT pg_catalog.set_config($1, $2, true)", &[name, value])
                .await?;
            restore.push(format!(
                "SELECT pg_catalog.set_config({}, {}, true)",
                text_literal(name),
                text_literal(&before)
            ));
        }
        Ok(Some(restore.join("; ")))
    }

    /// Hashes the rows of a table.
    pub(crate) async fn fingerprint(&mut self, cx: &Cx, table: &Table) -> Result<TableFingerprint> {
        self.tidy().await?;
        let columns = table.columns.iter().map(|column| column.name.clone()).collect();
        let slice = TableSlice::new(table.name.clone(), columns, Vec::new());
        let shape = self.shape(cx, &table.name, &slice.columns).await?;
        let mut splitter = Splitter::new(shape.1, slice.columns.len());
        let mut fingerprinter = Fingerprinter::new();
        let (mut messages, mut running, _) = self.copy_out(cx, shape, &slice).await?;
        loop {
            if fingerprinter.rows().is_multiple_of(LOOK) {
                cx.check()?;
            }
            let message = tokio::select! {
                biased;
                message = messages.try_next() => message,
                ended = cx.ended() => return Err(ended),
            };
            if !matches!(message, Ok(Some(_))) {
                running.done();
            }
            let Some(message) = message? else { break };
            splitter.take(&message, |row| {
                fingerprinter.add(row);
            })?;
        }
        splitter.finish()?;
        drop(messages);
        self.tidy().await?;
        Ok(fingerprinter.finish())
    }

    /// Reads the rows of a table as chunks.
    pub(crate) async fn export<'s>(&'s mut self, cx: &Cx, slice: &TableSlice) -> Result<ChunkStream<'s>> {
        self.tidy().await?;
        let shape = self.shape(cx, &slice.table, &slice.columns).await?;
        let cutter = ChunkCutter::new(Encoding(shape.1.encoding().to_owned()), ChunkBounds::default());
        let splitter = Splitter::new(shape.1, slice.columns.len());
        let (messages, running, sql) = self.copy_out(cx, shape, slice).await?;
        Ok(watched(
            chunks(messages, splitter, cutter),
            cx.clone(),
            running,
            sql,
        ))
    }

    /// Writes chunks into a table: all of them, or none if there is no transaction around it.
    pub(crate) async fn import(
        &mut self,
        cx: &Cx,
        target: &ImportTarget,
        chunks: ChunkStream<'_>,
    ) -> Result<u64> {
        cx.check()?;
        self.tidy().await?;
        self.must_write()?;
        if self.transaction.is_some() {
            return self.import_inside(cx, target, chunks).await;
        }
        self.begin(cx, Begin::Write).await?;
        match self.import_inside(cx, target, chunks).await {
            Ok(rows) => self.commit(cx).await.map(|()| rows),
            Err(error) => {
                self.rollback(cx).await?;
                Err(error)
            }
        }
    }

    async fn import_inside(
        &mut self,
        cx: &Cx,
        target: &ImportTarget,
        mut chunks: ChunkStream<'_>,
    ) -> Result<u64> {
        let name = self.must_take(cx, target).await?;
        let Some(mut next) = chunks.try_next().await? else {
            return Ok(0);
        };
        let mut total = 0;
        // A table has chunks of one encoding; should that change in the middle, another COPY takes over.
        loop {
            let shape = Shape::of(&next.encoding)?;
            let (rows, rest) = self
                .copy_in(cx, target, (&name, shape), next, &mut chunks)
                .await?;
            total += rows;
            match rest {
                Some(chunk) => next = chunk,
                None => return Ok(total),
            }
        }
    }

    /// Fails where the server would refuse the rows before it takes the first: the driver loses its connection
    /// over that.
    async fn must_take(&mut self, cx: &Cx, target: &ImportTarget) -> Result<String> {
        let known = self.bulk_table(cx, &target.table).await?;
        for column in &target.columns {
            let found = known.columns.iter().find(|known| known.name == *column);
            match found {
                None => return Err(no_column(&target.table, column)),
                Some(found) if found.is_generated => {
                    return Err(misused(format!(
                        "column `{column}` of `{}` is computed by the server and cannot be written",
                        target.table
                    )));
                }
                Some(_) => {}
            }
        }
        let name = known.name;
        if target.columns.is_empty() {
            return Ok(name);
        }
        let nulls = vec!["NULL"; target.columns.len()].join(", ");
        let columns = quoted_list(&target.columns);
        self.batch(
            cx,
            &format!("EXPLAIN INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({nulls})"),
        )
        .await?;
        let rows = self
            .texts(cx, "SELECT pg_catalog.row_security_active($1)::text", &[&name])
            .await?;
        if rows.first().is_some_and(|row| row.is(0)) {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "row security is active for this user on `{}`: its rows cannot be loaded",
                    target.table
                ),
            )
            .hint(format!(
                "connect as the owner of `{}`, or as a role with `BYPASSRLS`",
                target.table
            )));
        }
        Ok(name)
    }

    /// Loads chunks as long as they have one encoding; returns how many rows, and the first chunk of another.
    async fn copy_in(
        &mut self,
        cx: &Cx,
        target: &ImportTarget,
        (name, shape): (&str, Shape),
        first: Chunk,
        chunks: &mut ChunkStream<'_>,
    ) -> Result<(u64, Option<Chunk>)> {
        let format = match shape {
            Shape::Binary => "binary",
            Shape::Text => "text",
        };
        let sql = format!(
            "COPY {name} ({}) FROM STDIN (FORMAT {format})",
            quoted_list(&target.columns)
        );
        let restore = match shape {
            Shape::Binary => None,
            Shape::Text => self.fix_settings(cx).await?,
        };
        let client = Arc::clone(&self.client);
        let text = sql.clone();
        let sink = self
            .call(cx, &sql, async move { client.copy_in::<_, Bytes>(&text).await })
            .await?;
        // What goes wrong from here on fails the transaction.
        self.spoil();
        let mut running = self.running();
        let mut sink = pin!(sink);
        let mut buffer = BytesMut::from(shape.head());
        let (mut total, mut rest, mut next) = (0, None, Some(first));
        while let Some(chunk) = next {
            if chunk.encoding.0 != shape.encoding() {
                rest = Some(chunk);
                break;
            }
            shape.check(&chunk, target.columns.len())?;
            total += chunk.rows;
            buffer.extend_from_slice(&chunk.bytes);
            if buffer.len() >= BATCH {
                let sent = sink.send(buffer.split().freeze());
                tokio::select! {
                    biased;
                    ended = cx.ended() => return Err(ended),
                    sent = sent => sent.map_err(|failure| refused(target, &sql, &failure))?,
                }
            }
            next = chunks.try_next().await?;
        }
        buffer.extend_from_slice(shape.tail());
        let finish = async {
            sink.send(buffer.freeze()).await?;
            sink.finish().await
        };
        let taken = tokio::select! {
            biased;
            ended = cx.ended() => return Err(ended),
            taken = finish => taken,
        };
        running.done();
        let taken = taken.map_err(|failure| refused(target, &sql, &failure))?;
        self.afterwards = restore;
        self.settle().await?;
        if taken == total {
            return Ok((total, rest));
        }
        Err(damaged(&format!(
            "it holds {total} rows, of which the server has taken {taken}"
        )))
    }
}

fn no_column(table: &TableName, column: &str) -> Error {
    Error::not_found(format!("there is no column `{column}` in table `{table}`"))
}

/// Rows that the server cannot read are damaged; what violates a constraint is not.
fn refused(target: &ImportTarget, sql: &str, failure: &tokio_postgres::Error) -> Error {
    let message = format!("the rows cannot be loaded into `{}`", target.table);
    let error = error::failed(message, sql, failure);
    match error::code(failure) {
        code if code.starts_with("22") || code == "08P01" => error.with_kind(ErrorKind::Damaged),
        _ => error,
    }
}

/// Gathers rows into chunks.
fn chunks(
    messages: BoxStream<'static, Result<Bytes>>,
    splitter: Splitter,
    cutter: ChunkCutter,
) -> ChunkStream<'static> {
    struct Gathering {
        messages: BoxStream<'static, Result<Bytes>>,
        splitter: Splitter,
        cutter: ChunkCutter,
        ready: VecDeque<Chunk>,
        is_over: bool,
    }
    let state = Gathering {
        messages,
        splitter,
        cutter,
        ready: VecDeque::new(),
        is_over: false,
    };
    stream::try_unfold(state, |mut state| async move {
        loop {
            if let Some(chunk) = state.ready.pop_front() {
                return Ok(Some((chunk, state)));
            }
            if state.is_over {
                return Ok(None);
            }
            match state.messages.try_next().await? {
                Some(message) => {
                    let (cutter, ready) = (&mut state.cutter, &mut state.ready);
                    state
                        .splitter
                        .take(&message, |row| ready.extend(cutter.push(row)))?;
                }
                None => {
                    state.splitter.finish()?;
                    state.is_over = true;
                    state.ready.extend(state.cutter.finish());
                }
            }
        }
    })
    .boxed()
}
