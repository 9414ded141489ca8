//! Loads of files: how far each is, so that one that was killed goes on or back.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use walkback_core::value::{Row, Value};
use walkback_core::{Cx, Error, Result, TableName};

use super::{Journal, required, tables, text};
use crate::records::LoadOptions;

/// What became of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadState {
    /// Under way, or killed.
    Loading,
    /// Its rows are in the table.
    Loaded,
    /// Its rows were taken back.
    Undone,
}

impl LoadState {
    const ALL: [Self; 3] = [Self::Loading, Self::Loaded, Self::Undone];

    const fn word(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Loaded => "loaded",
            Self::Undone => "undone",
        }
    }
}

/// A load, as the journal has it. What it says of progress was committed together with the rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LoadRow {
    pub(crate) run_id: String,
    /// What a person calls its way back.
    pub(crate) point: String,
    pub(crate) table: TableName,
    /// The columns of the table then, without those that the server computes.
    pub(crate) columns: Vec<String>,
    pub(crate) options: LoadOptions,
    pub(crate) file_bytes: u64,
    pub(crate) file_hash: String,
    pub(crate) state: LoadState,
    /// How many batches are committed.
    pub(crate) batch: u64,
    /// How many records of the file are done, and where the last of them ends.
    pub(crate) records: u64,
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    pub(crate) loaded: u64,
    pub(crate) rejected: u64,
    /// How long the file of rejected records is.
    pub(crate) rejects_bytes: u64,
    pub(crate) reasons: BTreeMap<String, u64>,
    pub(crate) noted_at: String,
}

const COLUMNS: &str = "run_id, point, schema_name, table_name, columns, options, file_bytes, file_hash, state, batch, \
                       record_number, line_number, byte_offset, loaded, rejected, rejects_bytes, reasons, noted_at";

impl Journal<'_> {
    pub(crate) async fn note_load(&mut self, cx: &Cx, load: &LoadRow) -> Result<()> {
        let places = ["?"; 18].join(", ");
        let sql = format!("INSERT INTO {} ({COLUMNS}) VALUES ({places})", tables::LOADS);
        let params: [Value; 18] = [
            load.run_id.clone().into(),
            load.point.clone().into(),
            load.table.schema.clone().into(),
            load.table.name.clone().into(),
            json(&load.columns)?.into(),
            json(&load.options)?.into(),
            number(load.file_bytes),
            load.file_hash.clone().into(),
            load.state.word().into(),
            number(load.batch),
            number(load.records),
            number(load.lines),
            number(load.bytes),
            number(load.loaded),
            number(load.rejected),
            number(load.rejects_bytes),
            json(&load.reasons)?.into(),
            load.noted_at.clone().into(),
        ];
        self.write(cx, &sql, &params).await
    }

    /// Writes how far a load is, and what has become of it.
    pub(crate) async fn note_progress(&mut self, cx: &Cx, load: &LoadRow) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET state = ?, batch = ?, record_number = ?, line_number = ?, byte_offset = ?, loaded = ?, \
             rejected = ?, rejects_bytes = ?, reasons = ?, noted_at = ? WHERE run_id = ?",
            tables::LOADS
        );
        let params: [Value; 11] = [
            load.state.word().into(),
            number(load.batch),
            number(load.records),
            number(load.lines),
            number(load.bytes),
            number(load.loaded),
            number(load.rejected),
            number(load.rejects_bytes),
            json(&load.reasons)?.into(),
            load.noted_at.clone().into(),
            load.run_id.clone().into(),
        ];
        self.write(cx, &sql, &params).await
    }

    /// Returns the load of a run.
    pub(crate) async fn load_of(&mut self, cx: &Cx, run: &str) -> Result<Option<LoadRow>> {
        self.loads_where(cx, "run_id", run).await
    }

    /// Returns the load whose way back has this name.
    pub(crate) async fn load_named(&mut self, cx: &Cx, point: &str) -> Result<Option<LoadRow>> {
        self.loads_where(cx, "point", point).await
    }

    /// Returns the load that is under way or was killed.
    pub(crate) async fn unfinished_load(&mut self, cx: &Cx) -> Result<Option<LoadRow>> {
        self.loads_where(cx, "state", LoadState::Loading.word()).await
    }

    /// Returns the newest load with this in a column. A journal of an earlier version has none.
    async fn loads_where(&mut self, cx: &Cx, column: &str, value: &str) -> Result<Option<LoadRow>> {
        let table = TableName {
            schema: self.home.map(str::to_owned),
            name: tables::LOADS.to_owned(),
        };
        if !self.session.has_table(cx, &table).await? {
            return Ok(None);
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM {} WHERE {column} = ? ORDER BY noted_at DESC",
            tables::LOADS
        );
        let row = self.first(cx, &sql, &[value.into()]).await?;
        row.as_ref().map(read).transpose()
    }
}

fn read(row: &Row) -> Result<LoadRow> {
    let word = required(row, 8)?;
    let state = LoadState::ALL.into_iter().find(|state| state.word() == word);
    Ok(LoadRow {
        run_id: required(row, 0)?,
        point: required(row, 1)?,
        table: TableName {
            schema: text(row, 2),
            name: required(row, 3)?,
        },
        columns: of_json(&required(row, 4)?)?,
        options: of_json(&required(row, 5)?)?,
        file_bytes: count(row, 6),
        file_hash: required(row, 7)?,
        state: state
            .ok_or_else(|| Error::internal(format!("the journal knows no state `{word}` of a load")))?,
        batch: count(row, 9),
        records: count(row, 10),
        lines: count(row, 11),
        bytes: count(row, 12),
        loaded: count(row, 13),
        rejected: count(row, 14),
        rejects_bytes: count(row, 15),
        reasons: of_json(&required(row, 16)?)?,
        noted_at: required(row, 17)?,
    })
}

/// Files and tables are smaller than what an integer with a sign counts.
pub(super) fn number(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

fn count(row: &Row, column: usize) -> u64 {
    let number = row.get(column).and_then(Value::as_i64).unwrap_or_default();
    u64::try_from(number).unwrap_or_default()
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::internal("a load cannot be written as JSON").with_source(error))
}

fn of_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::internal("the journal's loads cannot be read").with_source(error))
}
