//! Planning a load: the whole file is read and compared with the table, and nothing is written.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use walkback_core::catalog::{Schema, Table};
use walkback_core::name::ObjectKind;
use walkback_core::{Access, Cx, Error, ErrorKind, Result, TableName};

use super::columns::{self, Columns, Fault, LoadColumn};
use super::options::LoadOptions;
use super::read::{Reader, Record, Seal};
use super::report::{Reason, RejectedRecord};
use super::tally::Tally;
use crate::runner::Runner;

/// How many rejected records a plan lists.
const LISTED: usize = 20;

/// How many records are loaded in one transaction at most.
const LARGEST_BATCH: usize = 10_000;

/// What a load would do. Nothing in it has happened.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LoadPlan {
    /// What it was told.
    pub options: LoadOptions,
    /// The table, as the catalog calls it.
    pub table: TableName,
    /// Which field goes into which column; of JSON Lines, those of the first record.
    pub columns: Vec<LoadColumn>,
    /// How large the file is.
    pub file_bytes: u64,
    /// What tells the file from any other.
    pub file_hash: String,
    /// How many records it has.
    pub records: u64,
    /// How many of them would not be loaded.
    pub rejected: u64,
    /// Why, by kind of reason, the most frequent first.
    pub reasons: Vec<Reason>,
    /// The first of them.
    pub rejected_records: Vec<RejectedRecord>,
    /// Whether so many would be rejected that the load would be given up.
    pub past_threshold: bool,
    /// Whether the database has been asked about each record, and not only the types of the columns.
    pub asked_database: bool,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl LoadPlan {
    pub(super) fn seal(&self) -> Seal {
        Seal {
            bytes: self.file_bytes,
            hash: self.file_hash.clone(),
        }
    }

    /// Takes over what became of all records.
    pub(super) fn count(&mut self, tally: &Tally, listed: Vec<RejectedRecord>, past: bool) {
        self.rejected = tally.rejected;
        self.reasons = tally.by_kind();
        self.rejected_records = listed;
        self.past_threshold = past;
    }
}

/// Notes a record that is not loaded, if it is one of the first.
pub(super) fn list(listed: &mut Vec<RejectedRecord>, record: &Record, fault: &Fault) {
    if listed.len() < LISTED {
        listed.push(RejectedRecord {
            record: record.number,
            line: record.line,
            reason: fault.reason.clone(),
        });
    }
}

/// Returns the values of a record, or why it is not loaded.
pub(super) fn ready(columns: &Columns, record: &Record) -> std::result::Result<columns::Ready, Fault> {
    match &record.body {
        Ok(fields) => columns.ready(fields),
        Err(unreadable) => {
            // Where it is wrong differs from line to line.
            let kind = unreadable.why.split([':', ',']).next().unwrap_or_default();
            Err(Fault::new(kind, &unreadable.why))
        }
    }
}

impl Runner {
    /// Plans to load a file into a table: reads all of it, and compares it with the types of the columns. Nothing is
    /// written.
    ///
    /// # Errors
    /// `NotFound` if there is no such table or file; `Usage` if the fields of the file do not go into its columns;
    /// `Unsupported` if rows of the table cannot be told apart.
    pub async fn plan_load(&self, cx: &Cx, options: &LoadOptions) -> Result<LoadPlan> {
        check_options(options)?;
        let mut session = self.connect(cx, Access::Read).await?;
        let state = self.load(cx, &mut *session).await?;
        state.refuse_half_done()?;
        drop(session);
        let table = columns::table(&state.schema, &options.table)?;
        let dialect = self.dialect();
        let columns = Columns::of(dialect.kind(), table, options)?;
        let seal = Seal::of(&options.file)?;
        let mut reader = Reader::open(options, None)?;
        let mut first = None;
        let fields = match reader.header() {
            Some(header) => header.to_vec(),
            None => {
                first = reader.next()?;
                fields_of(first.as_ref())
            }
        };
        let is_empty = fields.is_empty();
        let of_fields = if is_empty {
            Vec::new()
        } else {
            columns.check(&fields)?
        };
        if reader.header().is_some() {
            columns.check_complete(&of_fields)?;
        }
        let mut plan = LoadPlan {
            options: options.clone(),
            table: table.name.clone(),
            columns: of_fields,
            file_bytes: seal.bytes,
            file_hash: seal.hash,
            records: 0,
            rejected: 0,
            reasons: Vec::new(),
            rejected_records: Vec::new(),
            past_threshold: false,
            asked_database: false,
            warnings: triggers(&state.schema, table),
        };
        read_all(cx, &mut plan, &columns, &mut reader, first)?;
        Ok(plan)
    }
}

/// Reads every record, and counts those that the types of the columns refuse.
fn read_all(
    cx: &Cx,
    plan: &mut LoadPlan,
    columns: &Columns,
    reader: &mut Reader,
    first: Option<Record>,
) -> Result<()> {
    let (mut tally, mut listed, mut past) = (Tally::default(), Vec::new(), false);
    let mut next = match first {
        Some(first) => Some(first),
        None => reader.next()?,
    };
    let said = plan.options.map.keys().chain(&plan.options.skip);
    let mut unmet: BTreeSet<String> = said.cloned().collect();
    while let Some(record) = next {
        for (name, _) in record.body.iter().flatten() {
            unmet.remove(&**name);
        }
        match ready(columns, &record) {
            Ok(_) => tally.loaded += 1,
            Err(fault) => {
                tally.reject(&fault.kind);
                list(&mut listed, &record, &fault);
            }
        }
        plan.records = record.number;
        if record.number.is_multiple_of(plan.options.batch as u64) {
            cx.check()?;
            past |= tally.is_past(plan.options.max_failures, plan.options.batch, false);
        }
        next = reader.next()?;
    }
    past |= tally.is_past(plan.options.max_failures, plan.options.batch, true);
    plan.count(&tally, listed, past);
    if plan.records > 0 {
        plan.warnings.extend(
            unmet
                .iter()
                .map(|field| format!("no record has a field `{field}`, which `--map` or `--skip` names")),
        );
    }
    Ok(())
}

fn check_options(options: &LoadOptions) -> Result<()> {
    if !(1..=LARGEST_BATCH).contains(&options.batch) {
        return Err(Error::new(
            ErrorKind::Usage,
            format!(
                "a batch has from 1 to {LARGEST_BATCH} records, and not {}",
                options.batch
            ),
        ));
    }
    if options.rejects == options.file {
        return Err(Error::new(
            ErrorKind::Usage,
            "rejected records cannot be written into the file that they come from",
        ));
    }
    if !super::rejects::is_free(&options.rejects) {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "`{}` is there already, and may hold records that were rejected before",
                options.rejects.display()
            ),
        )
        .hint("move it away, or name another file with `--rejects FILE`"));
    }
    Ok(())
}

fn fields_of(record: Option<&Record>) -> Vec<Arc<str>> {
    let body = record.and_then(|record| record.body.as_ref().ok());
    let fields = body.map(|fields| fields.iter().map(|(name, _)| Arc::clone(name)));
    fields.map(Iterator::collect).unwrap_or_default()
}

/// Says which triggers do something that taking the rows back does not take back.
fn triggers(schema: &Schema, table: &Table) -> Vec<String> {
    let on = schema.objects_on(&table.name);
    let triggers = on.filter(|object| object.kind == ObjectKind::Trigger);
    let names: Vec<_> = triggers
        .map(|trigger| format!("`{}`", trigger.name.name))
        .collect();
    if names.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "`{}` has triggers ({}): what they write into other tables is not taken back with its rows",
        table.name,
        names.join(", ")
    )]
}
