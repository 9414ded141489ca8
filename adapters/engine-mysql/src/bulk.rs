//! Rows in bulk: out as chunks, and hashed.

use mysql_async::prelude::Queryable as _;
use mysql_async::{BinaryProtocol, Column, Params, QueryResult, Row, Value};
use walkback_core::bulk::{Chunk, ChunkBounds, ChunkCutter, Encoding, KeyRange, TableSlice};
use walkback_core::catalog::Table;
use walkback_core::fingerprint::{Fingerprinter, TableFingerprint};
use walkback_core::{Error, ErrorKind, Result, TableName};

use crate::call::Outlet;
use crate::dialect::{literal, quoted, quoted_table};
use crate::divide::condition;
use crate::execute;
use crate::link::Link;
use crate::rows::{self, Cell, ENCODING};
use crate::settings::Settings;
use crate::value::{bit, temporal_text};

/// How the cells of a column are written and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Class {
    /// As the driver gives them: numbers, dates.
    Plain,
    /// `YEAR`, whose number 0 is not what its text `0` is.
    Year,
    /// What the server makes of text: addresses, identifiers, what this version does not know.
    Spelled,
    /// `BIT`.
    Bits,
    /// `DECIMAL`.
    Decimal,
    /// Bytes, spatial values, vectors.
    Bytes,
    /// JSON.
    Json,
    /// Text, in this character set.
    Text(String),
    /// `ENUM`.
    Listed,
    /// `SET`.
    Set,
}

/// What becomes of rows that are read.
enum Sink {
    Fingerprint(Fingerprinter),
    Chunks(ChunkCutter, Outlet<Chunk>),
}

impl Sink {
    /// Takes a row, and returns whether more are wanted.
    async fn take(&mut self, row: &[u8]) -> bool {
        match self {
            Self::Fingerprint(fingerprinter) => {
                fingerprinter.add(row);
                true
            }
            Self::Chunks(cutter, outlet) => match cutter.push(row) {
                Some(chunk) => outlet.send(Ok(vec![chunk])).await.is_ok(),
                None => true,
            },
        }
    }
}

impl Link {
    /// Hashes the rows of a table, generated columns left out: they follow from the others.
    pub(crate) async fn fingerprint(&mut self, table: &Table) -> Result<TableFingerprint> {
        let columns = table.columns.iter().filter(|column| !column.generated);
        let columns: Vec<_> = columns.map(|column| column.name.clone()).collect();
        let slice = TableSlice::new(table.name.clone(), columns, Vec::new());
        match self.walk(&slice, Sink::Fingerprint(Fingerprinter::new())).await? {
            Sink::Fingerprint(fingerprinter) => Ok(fingerprinter.finish()),
            Sink::Chunks(..) => Err(Error::internal("a fingerprint has become chunks")),
        }
    }

    /// Gives the rows of a table as chunks.
    pub(crate) async fn export(&mut self, slice: &TableSlice, outlet: Outlet<Chunk>) -> Result<()> {
        let cutter = ChunkCutter::new(Encoding(ENCODING.to_owned()), ChunkBounds::default());
        let sink = self.walk(slice, Sink::Chunks(cutter, outlet)).await?;
        if let Sink::Chunks(mut cutter, outlet) = sink
            && let Some(chunk) = cutter.finish()
        {
            // Nobody may wait for it any more.
            outlet.send(Ok(vec![chunk])).await.ok();
        }
        Ok(())
    }

    /// Gives each row, encoded, to the sink until it wants no more.
    async fn walk(&mut self, slice: &TableSlice, mut sink: Sink) -> Result<Sink> {
        self.must_be_alive()?;
        let classes = self.classes(&slice.table, &slice.columns).await?;
        let sql = selection(slice, &classes)?;
        // As stored: in the bytes of each column's own character set, times in UTC, nothing padded.
        let settings = [
            ("character_set_results", "NULL".to_owned()),
            ("time_zone", "'+00:00'".to_owned()),
            ("sql_mode", "''".to_owned()),
        ];
        let before = Settings::enter(self, &settings).await?;
        let outcome = self.walk_now(&sql, &classes, &mut sink).await;
        let outcome = outcome.map_err(|error| self.place.statement_failed(&sql, error));
        let outcome = before.after(self, outcome).await;
        self.after_statement(&sql, outcome).await?;
        Ok(sink)
    }

    async fn walk_now(
        &mut self,
        sql: &str,
        classes: &[Class],
        sink: &mut Sink,
    ) -> Result<(), mysql_async::Error> {
        let statement = self.conn.prep(sql).await?;
        let outcome = match self.conn.exec_iter(&statement, Params::Empty).await {
            Ok(result) => each_row(result, classes, sink).await,
            Err(error) => Err(error),
        };
        execute::close(&mut self.conn, statement).await?;
        outcome
    }

    /// Reads how the cells of these columns are written.
    pub(crate) async fn classes(&mut self, table: &TableName, columns: &[String]) -> Result<Vec<Class>> {
        let sql = format!(
            "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_SET_NAME FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
            self.schema_of(table),
            literal(&table.name)
        );
        let found = self.texts(&sql).await?;
        if found.is_empty() {
            return Err(Error::new(
                ErrorKind::Database,
                format!("there is no table `{table}`"),
            ));
        }
        let class = |name: &String| {
            let row = found.iter().find(|row| {
                row[0].as_ref().is_some_and(|found| {
                    found.eq_ignore_ascii_case(name) || found.to_lowercase() == name.to_lowercase()
                })
            });
            row.map(|row| class_of(row[1].as_deref().unwrap_or_default(), row[2].as_deref()))
                .ok_or_else(|| {
                    Error::new(
                        ErrorKind::Database,
                        format!("table `{table}` has no column `{name}`"),
                    )
                })
        };
        columns.iter().map(class).collect()
    }

    /// Returns the database of a table as an expression.
    pub(crate) fn schema_of(&self, table: &TableName) -> String {
        match &table.schema {
            Some(schema) => literal(schema),
            None => "DATABASE()".to_owned(),
        }
    }
}

async fn each_row(
    mut result: QueryResult<'_, 'static, BinaryProtocol>,
    classes: &[Class],
    sink: &mut Sink,
) -> Result<(), mysql_async::Error> {
    let (mut is_wanted, mut encoded) = (true, Vec::new());
    while let Some(row) = result.next().await? {
        if is_wanted {
            encoded.clear();
            encode_row(&row, classes, &mut encoded);
            is_wanted = sink.take(&encoded).await;
        }
    }
    Ok(())
}

fn class_of(data_type: &str, charset: Option<&str>) -> Class {
    match data_type.to_ascii_lowercase().as_str() {
        "bit" => Class::Bits,
        "year" => Class::Year,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "float" | "double" | "date"
        | "datetime" | "timestamp" | "time" => Class::Plain,
        "decimal" | "numeric" => Class::Decimal,
        "json" => Class::Json,
        "enum" => Class::Listed,
        "set" => Class::Set,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "vector" | "geometry"
        | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geometrycollection" | "geomcollection" => Class::Bytes,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
            Class::Text(charset.unwrap_or("utf8mb4").to_owned())
        }
        _ => Class::Spelled,
    }
}

fn selection(slice: &TableSlice, classes: &[Class]) -> Result<String> {
    if slice.columns.is_empty() {
        return Err(Error::new(
            ErrorKind::Usage,
            "rows without columns cannot be moved",
        ));
    }
    if slice.order.is_empty() && slice.range != KeyRange::default() {
        return Err(Error::new(
            ErrorKind::Usage,
            "rows without an order have no ranges",
        ));
    }
    let columns: Vec<_> = slice
        .columns
        .iter()
        .zip(classes)
        .map(|(name, class)| match class {
            // By its number: the text of an impossible member is that of an empty one.
            Class::Listed | Class::Set => format!("CAST({} AS UNSIGNED)", quoted(name)),
            _ => quoted(name),
        })
        .collect();
    let mut sql = format!(
        "SELECT {} FROM {}",
        columns.join(", "),
        quoted_table(&slice.table)
    );
    sql.push_str(&condition(slice));
    let order: Vec<_> = slice.order.iter().map(|column| quoted(column)).collect();
    if !order.is_empty() {
        sql.push_str(" ORDER BY ");
        sql.push_str(&order.join(", "));
    }
    Ok(sql)
}

fn encode_row(row: &Row, classes: &[Class], out: &mut Vec<u8>) {
    rows::encode_start(classes.len(), out);
    for (index, (class, column)) in classes.iter().zip(row.columns_ref()).enumerate() {
        match row.as_ref(index) {
            Some(value) => encode_cell(value, class, column, out),
            None => rows::encode(Cell::Null, out),
        }
    }
}

fn encode_cell(value: &Value, class: &Class, column: &Column, out: &mut Vec<u8>) {
    let word;
    let cell = match (value, class) {
        (Value::NULL, _) => Cell::Null,
        (Value::Int(value), Class::Listed) => Cell::Listed(value.cast_unsigned()),
        (Value::UInt(value), Class::Listed) => Cell::Listed(*value),
        (Value::Int(value), _) => Cell::Signed(*value),
        (Value::UInt(value), _) => Cell::Unsigned(*value),
        (Value::Float(value), _) => Cell::Float(*value),
        (Value::Double(value), _) => Cell::Double(*value),
        (Value::Bytes(bytes), Class::Bits) => Cell::Unsigned(bit(bytes)),
        (Value::Bytes(bytes), Class::Decimal) => Cell::Decimal(bytes),
        (Value::Bytes(bytes), Class::Json) => Cell::Json(bytes),
        (Value::Bytes(bytes), Class::Bytes) => Cell::Bytes(bytes),
        (Value::Bytes(bytes), Class::Text(charset)) => text_cell(bytes, charset),
        (Value::Bytes(bytes), _) => Cell::Word(bytes),
        (temporal, _) => {
            word = temporal_text(temporal, column);
            Cell::Word(word.as_bytes())
        }
    };
    rows::encode(cell, out);
}

fn text_cell<'a>(bytes: &'a [u8], charset: &'a str) -> Cell<'a> {
    let is_unicode = matches!(charset, "utf8mb4" | "utf8mb3" | "utf8" | "ascii");
    if is_unicode && std::str::from_utf8(bytes).is_ok() {
        Cell::Text(bytes)
    } else {
        Cell::OtherText {
            charset: charset.as_bytes(),
            bytes,
        }
    }
}
