//! Backups in forms that other programs read: plain SQL, and JSON Lines.
//!
//! A backup is restored into a scratch database and read from there: what is written is what the database itself
//! makes of it, and the order of the definitions is one in which they have been run.

mod json;
mod order;
mod sql;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use futures::TryStreamExt as _;
use serde::Serialize;
use walkback_core::catalog::{Schema, Table};
use walkback_core::cx::Unit;
use walkback_core::value::Row;
use walkback_core::{Access, Cx, DialectKind, Error, ErrorKind, Result, Session, TableName};
use walkback_vault::Manifest;

use crate::point;
use crate::reach;
use crate::runner::Runner;

/// The forms of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ExportFormat {
    /// One file of SQL that the database's own client loads.
    Sql,
    /// One file for each table, a JSON object a row.
    Jsonl,
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ExportReport {
    /// The backup.
    pub id: String,
    /// The form.
    pub format: ExportFormat,
    /// The folder.
    pub folder: String,
    /// The files in it.
    pub files: Vec<String>,
    /// How many tables were written.
    pub tables: u64,
    /// How many rows were written.
    pub rows: u64,
}

/// What all writers have at hand.
struct Export<'a> {
    cx: &'a Cx,
    manifest: &'a Manifest,
    kind: DialectKind,
    schema: &'a Schema,
    session: &'a mut dyn Session,
    folder: &'a Path,
    files: Vec<String>,
    rows: u64,
}

impl Runner {
    /// Writes a backup, or chosen tables of it, into a folder that is not there yet or is empty. The folder is there
    /// with everything in it, or not at all.
    ///
    /// # Errors
    /// `AlreadyExists` if something is in the folder, `NotFound` if the backup does not hold a table, and as
    /// [`Runner::point_verify_restore`].
    pub async fn backup_export(
        &self,
        cx: &Cx,
        id: &str,
        out: &Path,
        format: ExportFormat,
        tables: &[String],
    ) -> Result<ExportReport> {
        refuse_taken(out)?;
        let restored = self.restored_in_scratch(cx, id).await?;
        let (runner, manifest) = (&restored.runner, &restored.manifest);
        let mut session = runner.connect(cx, Access::Read).await?;
        let schema = runner.schema(cx, &mut *session).await?;
        let chosen = chosen(&schema, manifest, tables)?;
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let part = tempfile::Builder::new()
            .prefix(".walkback-export-")
            .tempdir_in(parent)
            .map_err(|error| Error::io("create a folder in", parent, error))?;
        let mut export = Export {
            cx,
            manifest,
            kind: runner.dialect().kind(),
            schema: &schema,
            session: &mut *session,
            folder: part.path(),
            files: Vec::new(),
            rows: 0,
        };
        match format {
            ExportFormat::Sql => {
                let names: Vec<_> = chosen.iter().map(|table| table.name.clone()).collect();
                let only = (!tables.is_empty()).then_some(&names[..]);
                let grants = manifest.grants.as_deref().unwrap_or_default();
                let grants = self.grant_statements(grants, only)?;
                export.sql(runner, &chosen, !tables.is_empty(), &grants).await?;
            }
            ExportFormat::Jsonl => export.json(&chosen).await?,
        }
        let report = ExportReport {
            id: manifest.id.clone(),
            format,
            folder: out.display().to_string(),
            files: export.files,
            tables: chosen.len() as u64,
            rows: export.rows,
        };
        publish(part, out)?;
        Ok(report)
    }
}

fn refuse_taken(out: &Path) -> Result<()> {
    let is_free = match std::fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if is_free {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::AlreadyExists,
        format!("`{}` is there already and is no empty folder", out.display()),
    )
    .hint("name a folder that is not there yet"))
}

/// Gives the finished folder its name.
fn publish(part: tempfile::TempDir, out: &Path) -> Result<()> {
    let failed = |error| Error::io("create", out, error);
    if out.is_dir() {
        std::fs::remove_dir(out).map_err(failed)?;
    }
    std::fs::rename(part.path(), out).map_err(failed)?;
    // It has another name now: there is nothing to remove under this one.
    drop(part.keep());
    Ok(())
}

fn chosen<'s>(schema: &'s Schema, manifest: &Manifest, names: &[String]) -> Result<Vec<&'s Table>> {
    if names.is_empty() {
        return Ok(schema.tables.iter().collect());
    }
    let find = |name: &String| {
        reach::find(schema, &TableName::new(name)).ok_or_else(|| {
            let held: Vec<_> = manifest
                .tables
                .iter()
                .map(|entry| entry.table.to_string())
                .collect();
            Error::not_found(format!("`{}` does not hold table `{name}`", manifest.id))
                .hint(format!("it holds: {}", held.join(", ")))
        })
    };
    names.iter().map(find).collect()
}

impl Export<'_> {
    /// Creates a file in the folder.
    fn create(&mut self, name: &str) -> Result<BufWriter<File>> {
        let path = self.folder.join(name);
        let file = File::create_new(&path).map_err(|error| Error::io("create", &path, error))?;
        self.files.push(name.to_owned());
        Ok(BufWriter::with_capacity(256 << 10, file))
    }

    /// Ends a file: it is on disk when this returns.
    fn close(&self, file: BufWriter<File>) -> Result<()> {
        let written = file.into_inner().map_err(std::io::IntoInnerError::into_error);
        written
            .and_then(|file| file.sync_all())
            .map_err(|error| self.unwritten(error))
    }

    fn unwritten(&self, error: std::io::Error) -> Error {
        Error::io("write", self.folder, error)
    }

    /// Reads the rows of a table and has each written.
    async fn rows(
        &mut self,
        table: &Table,
        columns: &[String],
        mut write: impl FnMut(Row) -> std::io::Result<()> + Send,
    ) -> Result<u64> {
        let title = format!("writing `{}`", table.name);
        let total = self.manifest.table(&table.name).map(|entry| entry.rows);
        let task = self.cx.progress().begin(&title, Unit::Rows, total);
        let sql = select(self.kind, table, columns);
        let folder = self.folder;
        let mut stream = self.session.query(self.cx, &sql, &[]).await?;
        let mut rows = 0;
        while let Some(row) = stream.try_next().await? {
            write(row).map_err(|error| Error::io("write", folder, error))?;
            rows += 1;
            task.advance(1);
        }
        drop(stream);
        self.rows += rows;
        Ok(rows)
    }
}

/// Returns the query that reads the rows of a table, and of no other that inherits from it.
fn select(kind: DialectKind, table: &Table, columns: &[String]) -> String {
    let quoted = |name: &String| walkback_sql::quote_identifier(kind, name);
    let cells: Vec<_> = columns
        .iter()
        .map(|name| cell(kind, table, name, quoted(name)))
        .collect();
    let only = if kind == DialectKind::Postgres {
        "ONLY "
    } else {
        ""
    };
    let mut sql = format!(
        "SELECT {} FROM {only}{}",
        cells.join(", "),
        walkback_sql::quote_table(kind, &table.name)
    );
    if !table.primary_key.is_empty() {
        let key: Vec<_> = table.primary_key.iter().map(quoted).collect();
        sql.push_str(&format!(" ORDER BY {}", key.join(", ")));
    }
    sql
}

/// What PostgreSQL is asked for as the type's own text, as `COPY` would write it, is everything but this.
const PLAIN: &[&str] = &[
    "smallint",
    "integer",
    "bigint",
    "boolean",
    "real",
    "double precision",
    "numeric",
    "bytea",
];

fn cell(kind: DialectKind, table: &Table, name: &str, quoted: String) -> String {
    if kind != DialectKind::Postgres {
        return quoted;
    }
    let mut columns = table.columns.iter();
    let data_type = columns
        .find(|column| column.name == name)
        .map(|column| column.data_type.as_str());
    let is_plain = data_type.is_some_and(|data_type| {
        PLAIN.iter().any(|plain| {
            data_type == *plain
                || data_type
                    .strip_prefix(plain)
                    .is_some_and(|rest| rest.starts_with('(') && rest.ends_with(')'))
        })
    });
    if is_plain {
        return quoted;
    }
    // `IS NULL` is also true of a row of nulls, and a cast would cut the blanks off a `char(n)`.
    format!("CASE WHEN pg_catalog.num_nulls({quoted}) = 1 THEN NULL ELSE pg_catalog.concat({quoted}) END")
}

/// Returns the columns whose values are written.
fn columns_of(table: &Table) -> Vec<String> {
    point::slice_of(table).columns
}

/// Writes a comment of one line.
fn comment(out: &mut dyn Write, text: &str) -> std::io::Result<()> {
    writeln!(out, "-- {}", text.replace(['\n', '\r'], " "))
}
