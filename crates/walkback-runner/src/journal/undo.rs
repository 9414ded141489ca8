//! What takes each statement of a loose script back, noted before the statement is sent.

use std::collections::BTreeMap;

use walkback_core::value::Value;
use walkback_core::{Cx, Error, MigrationId, Result};

use super::{Journal, required, tables};

/// The way back of one statement that is not protected by a transaction, as it was known just before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UndoRow {
    /// The statements that take it back, or why there are none.
    pub(crate) way: std::result::Result<Vec<String>, String>,
    /// The hash of the schema just before it.
    pub(crate) schema_before: String,
    /// Whether its outcome commits with it: if that is not noted, it has not happened.
    pub(crate) with_outcome: bool,
}

/// The fact that names the run whose half-done script is being taken back.
const TAKEN_BACK: &str = "taken_back";

impl Journal<'_> {
    /// Notes that the half-done script of a run is being taken back: from here on it goes no other way.
    pub(crate) async fn note_taken_back(&mut self, cx: &Cx, (run, id): (&str, &MigrationId)) -> Result<()> {
        self.set_meta(cx, TAKEN_BACK, &format!("{run} {id}")).await
    }

    /// Returns whether somebody has begun to take the half-done script of a run back.
    pub(crate) async fn is_taken_back(&mut self, cx: &Cx, (run, id): (&str, &MigrationId)) -> Result<bool> {
        let said = self.meta(cx, TAKEN_BACK).await?;
        Ok(said.is_some_and(|said| said == format!("{run} {id}")))
    }

    pub(crate) async fn note_undo(&mut self, cx: &Cx, run: &str, seq: i64, undo: &UndoRow) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (run_id, seq, way, why_none, schema_before, with_outcome) VALUES (?, ?, ?, ?, ?, ?)",
            tables::UNDO
        );
        let (way, why) = match &undo.way {
            Ok(statements) => {
                let json = serde_json::to_string(statements).map_err(|error| {
                    Error::internal("statements cannot be written as JSON").with_source(error)
                })?;
                (Some(json), None)
            }
            Err(why) => (None, Some(why.clone())),
        };
        let params: [Value; 6] = [
            run.into(),
            seq.into(),
            way.into(),
            why.into(),
            undo.schema_before.clone().into(),
            i64::from(undo.with_outcome).into(),
        ];
        self.write(cx, &sql, &params).await
    }

    /// Returns the ways back of the statements of a run, by their place in it.
    pub(crate) async fn undo_of(&mut self, cx: &Cx, run: &str) -> Result<BTreeMap<i64, UndoRow>> {
        let table = walkback_core::TableName {
            schema: self.home.map(str::to_owned),
            name: tables::UNDO.to_owned(),
        };
        if !self.session.has_table(cx, &table).await? {
            // A journal of an older version, which no run has written to since.
            return Ok(BTreeMap::new());
        }
        let sql = format!(
            "SELECT seq, way, why_none, schema_before, with_outcome FROM {} WHERE run_id = ?",
            tables::UNDO
        );
        let rows = self.all(cx, &sql, &[run.into()]).await?;
        let undo = |row: &Vec<Value>| {
            let way = match super::text(row, 1) {
                Some(json) => Ok(serde_json::from_str(&json).map_err(|error| {
                    Error::new(
                        walkback_core::ErrorKind::Damaged,
                        "the journal holds a way back that cannot be read",
                    )
                    .with_source(error)
                })?),
                None => Err(super::text(row, 2).unwrap_or_default()),
            };
            let undo = UndoRow {
                way,
                schema_before: required(row, 3)?,
                with_outcome: row[4].as_i64() == Some(1),
            };
            Ok((row[0].as_i64().unwrap_or_default(), undo))
        };
        rows.iter().map(undo).collect()
    }
}
