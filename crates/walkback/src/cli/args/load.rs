//! The arguments of `load`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use walkback_runner::MaxFailures;

use super::ConsentArgs;

/// Arguments of `load`.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The table: `name`, or `schema.name`.
    pub(crate) table: String,
    /// The file: CSV with a header, or JSON Lines. Rejected records of an earlier load are JSON Lines.
    pub(crate) file: PathBuf,
    /// How the file is written, where its name does not say so (`.csv`, `.tsv`, `.jsonl`, `.ndjson`).
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<RecordFormat>,
    /// The character between two fields of CSV; a tab in a file called `.tsv`.
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,
    /// How NULL is spelled in CSV, as the whole of a field; `--null ''` makes every empty field NULL.
    #[arg(long, value_name = "TEXT", default_value = "\\N", allow_hyphen_values = true)]
    pub(crate) null: String,
    /// Load a field into a column that is called otherwise; may be repeated.
    #[arg(long = "map", value_name = "FIELD=COLUMN", value_parser = pair)]
    pub(crate) map: Vec<(String, String)>,
    /// Leave out a field; may be repeated.
    #[arg(long, value_name = "FIELD")]
    pub(crate) skip: Vec<String>,
    /// How many records are loaded in one transaction.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) batch: usize,
    /// How many records may be rejected: a share of those that were tried, or a number. Past it the load takes itself
    /// back.
    #[arg(long, value_name = "SHARE|N", default_value = "10%", value_parser = <MaxFailures as std::str::FromStr>::from_str)]
    pub(crate) max_failures: MaxFailures,
    /// Where rejected records are written to, each with its reason; `<FILE>.rejects.jsonl` if nothing is said.
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Ask the database about each record, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
}

/// How a file of records is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecordFormat {
    /// Comma-separated values; the first line names the fields.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, column)) if !field.is_empty() && !column.is_empty() => {
            Ok((field.to_owned(), column.to_owned()))
        }
        _ => Err("it is written as FIELD=COLUMN".to_owned()),
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if text == "\\t" => Ok(b'\t'),
        [one] if *one != b'"' && *one != b'\n' && *one != b'\r' => Ok(*one),
        _ => Err("it is one character of ASCII, or `\\t`".to_owned()),
    }
}
