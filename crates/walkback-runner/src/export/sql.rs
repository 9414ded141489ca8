//! Plain SQL: definitions in an order that works, rows in the form that the database's own client loads.

use std::io::Write;

use walkback_core::DialectKind;
use walkback_core::Result;
use walkback_core::catalog::{Object, Table};
use walkback_core::name::ObjectKind;
use walkback_core::value::{Row, Value};

use super::json::hex;
use super::order::{self, Order, Step};
use super::{Export, columns_of, comment};
use crate::runner::Runner;

/// The file.
const FILE: &str = "export.sql";

/// How many bytes of rows one `INSERT` of MySQL has, about.
const INSERT: usize = 256 << 10;

/// How the file begins.
const fn head(kind: DialectKind) -> &'static str {
    match kind {
        DialectKind::Postgres => {
            "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSET check_function_bodies = off;\n\
             SET client_min_messages = warning;\nSET xmloption = content;\nBEGIN;\n"
        }
        DialectKind::Mysql => {
            "SET NAMES utf8mb4;\nSET time_zone = '+00:00';\nSET foreign_key_checks = 0;\nSET unique_checks = 0;\n\
             SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';\n"
        }
        DialectKind::Sqlite => "PRAGMA foreign_keys = OFF;\nBEGIN;\n",
    }
}

/// How it ends.
const fn tail(kind: DialectKind) -> &'static str {
    match kind {
        DialectKind::Mysql => "SET foreign_key_checks = 1;\nSET unique_checks = 1;\n",
        DialectKind::Postgres | DialectKind::Sqlite => "COMMIT;\n",
    }
}

/// Settings under which values are read as they are written above.
const fn reading(kind: DialectKind) -> &'static [&'static str] {
    match kind {
        DialectKind::Postgres => &[
            "SET datestyle = 'ISO'",
            "SET intervalstyle = 'postgres'",
            "SET timezone = 'UTC'",
            "SET bytea_output = 'hex'",
            "SET extra_float_digits = 3",
        ],
        DialectKind::Mysql => &["SET time_zone = '+00:00'"],
        DialectKind::Sqlite => &[],
    }
}

impl Export<'_> {
    /// Writes one file. Of chosen tables only what belongs to them is written.
    pub(super) async fn sql(
        &mut self,
        runner: &Runner,
        tables: &[&Table],
        only: bool,
        grants: &[String],
    ) -> Result<()> {
        let belongs = |object: &Object| {
            !only
                || object
                    .on
                    .as_ref()
                    .is_some_and(|on| tables.iter().any(|table| table.name == *on))
        };
        let objects: Vec<&Object> = self
            .schema
            .objects
            .iter()
            .filter(|object| belongs(object))
            .collect();
        let Order { before, after } = order::find(runner, self.cx, tables, &objects).await?;
        let mut file = self.create(FILE)?;
        self.begin(&mut file).map_err(|error| self.unwritten(error))?;
        for step in &before {
            write_step(self.kind, &mut file, step).map_err(|error| self.unwritten(error))?;
        }
        for setting in reading(self.kind) {
            self.session.execute(self.cx, setting, &[]).await?;
        }
        // In the order in which they could be created: what a foreign key refers to comes first.
        for name in before.iter().filter_map(|step| step.table.as_ref()) {
            if let Some(table) = tables.iter().find(|table| table.name == *name) {
                self.table(&mut file, table).await?;
            }
        }
        for step in &after {
            write_step(self.kind, &mut file, step).map_err(|error| self.unwritten(error))?;
        }
        file.write_all(tail(self.kind).as_bytes())
            .and_then(|()| write_grants(&mut file, grants))
            .map_err(|error| self.unwritten(error))?;
        self.close(file)
    }

    fn begin(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let (manifest, database) = (self.manifest, &self.manifest.database);
        comment(out, &format!("walkback export of `{}`", manifest.id))?;
        comment(
            out,
            &format!(
                "of `{}` ({} {})",
                database.name, database.product, database.version
            ),
        )?;
        comment(out, &format!("made at {}", manifest.created_at.to_rfc3339()))?;
        let applied = &manifest.ledger.applied;
        comment(out, &format!("migrations applied: {}", applied.join(", ")))?;
        out.write_all(head(self.kind).as_bytes())
    }

    async fn table(&mut self, out: &mut (dyn Write + Send), table: &Table) -> Result<()> {
        let columns = columns_of(table);
        if columns.is_empty() {
            return Ok(());
        }
        let kind = self.kind;
        let name = walkback_sql::quote_table(kind, &table.name);
        let quoted: Vec<_> = columns
            .iter()
            .map(|column| walkback_sql::quote_identifier(kind, column))
            .collect();
        let columns_in_sql = quoted.join(", ");
        if kind == DialectKind::Postgres {
            writeln!(out, "COPY {name} ({columns_in_sql}) FROM stdin;")
                .map_err(|error| self.unwritten(error))?;
            self.rows(table, &columns, |row| write_copy(out, &row)).await?;
            return writeln!(out, "\\.").map_err(|error| self.unwritten(error));
        }
        let begin = format!("INSERT INTO {name} ({columns_in_sql}) VALUES ");
        let most = if kind == DialectKind::Mysql { INSERT } else { 0 };
        let mut insert = String::new();
        self.rows(table, &columns, |row| {
            insert.push_str(if insert.is_empty() { &begin } else { ",\n" });
            push_row(kind, &mut insert, &row);
            if insert.len() < most {
                return Ok(());
            }
            insert.push_str(";\n");
            out.write_all(std::mem::take(&mut insert).as_bytes())
        })
        .await?;
        if insert.is_empty() {
            return Ok(());
        }
        writeln!(out, "{insert};").map_err(|error| self.unwritten(error))
    }
}

/// Writes the statements that give rights, behind everything else: the client stops at the first one whose user is
/// not there. Without that mode, MariaDB would make the user instead, with no password.
fn write_grants(out: &mut dyn Write, grants: &[String]) -> std::io::Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    comment(out, "rights of users and roles, which must be there already")?;
    writeln!(
        out,
        "SET foreign_key_checks = 1 /*M!100000 , sql_mode = 'NO_AUTO_CREATE_USER' */;"
    )?;
    grants.iter().try_for_each(|grant| writeln!(out, "{grant};"))
}

fn push_row(kind: DialectKind, into: &mut String, row: &Row) {
    into.push('(');
    for (index, value) in row.iter().enumerate() {
        if index > 0 {
            into.push_str(", ");
        }
        into.push_str(&walkback_sql::literal(kind, value));
    }
    into.push(')');
}

/// Writes a row as `COPY` reads it.
fn write_copy(out: &mut (dyn Write + Send), row: &Row) -> std::io::Result<()> {
    for (index, value) in row.iter().enumerate() {
        if index > 0 {
            out.write_all(b"\t")?;
        }
        match value {
            Value::Bool(value) => out.write_all(if *value { b"t" } else { b"f" })?,
            Value::Integer(value) => write!(out, "{value}")?,
            Value::Unsigned(value) => write!(out, "{value}")?,
            Value::Float(value) if value.is_nan() => out.write_all(b"NaN")?,
            Value::Float(value) if value.is_infinite() => {
                out.write_all(if *value > 0.0 { b"Infinity" } else { b"-Infinity" })?;
            }
            Value::Float(value) => write!(out, "{value:?}")?,
            Value::Decimal(text) | Value::Text(text) => write_escaped(out, text.as_bytes())?,
            Value::BrokenText(bytes) => write_escaped(out, bytes)?,
            Value::Bytes(bytes) => write!(out, "\\\\x{}", hex(bytes))?,
            _ => out.write_all(b"\\N")?,
        }
    }
    out.write_all(b"\n")
}

fn write_escaped(out: &mut (dyn Write + Send), text: &[u8]) -> std::io::Result<()> {
    for part in text.split_inclusive(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r')) {
        let (last, rest) = match part.split_last() {
            Some((last @ (b'\\' | b'\t' | b'\n' | b'\r'), rest)) => (Some(*last), rest),
            _ => (None, part),
        };
        out.write_all(rest)?;
        match last {
            Some(b'\\') => out.write_all(b"\\\\")?,
            Some(b'\t') => out.write_all(b"\\t")?,
            Some(b'\n') => out.write_all(b"\\n")?,
            Some(b'\r') => out.write_all(b"\\r")?,
            _ => {}
        }
    }
    Ok(())
}

/// Writes a statement of a definition. The client of MySQL ends one at the first `;` unless it is told otherwise.
fn write_step(kind: DialectKind, out: &mut dyn Write, step: &Step) -> std::io::Result<()> {
    if kind != DialectKind::Mysql {
        return writeln!(out, "{};", step.sql.trim().trim_end_matches(';'));
    }
    let (settings, sql) = made_under(&step.sql);
    if let Some(settings) = &settings {
        writeln!(out, "SET {settings};")?;
    }
    match step.kind {
        ObjectKind::Trigger | ObjectKind::Routine | ObjectKind::Event => {
            // A body has semicolons of its own.
            let ends = ["$$", "//", "@@@", "%%%%"];
            let end = ends
                .iter()
                .find(|end| !sql.contains(**end))
                .unwrap_or(&"%%%%%%%%");
            writeln!(out, "DELIMITER {end}\n{sql}{end}\nDELIMITER ;")?;
        }
        _ => writeln!(out, "{sql};")?,
    }
    if settings.is_some() {
        writeln!(
            out,
            "SET NAMES utf8mb4;\nSET time_zone = '+00:00', sql_mode = 'NO_AUTO_VALUE_ON_ZERO';"
        )?;
    }
    Ok(())
}

/// Takes off what a definition of MySQL was made under: `/*walkback sql_mode=.. time_zone=.. */ CREATE ..`.
fn made_under(sql: &str) -> (Option<String>, &str) {
    let parts = sql
        .strip_prefix("/*walkback ")
        .and_then(|rest| rest.split_once(" */ "));
    let Some((settings, body)) = parts else {
        return (None, sql);
    };
    // The text itself is in UTF-8, whatever the session that made it spoke.
    let settings: Vec<_> = settings
        .split(' ')
        .filter_map(|setting| setting.split_once('='))
        .filter(|(name, _)| *name != "character_set_client")
        .map(|(name, value)| format!("{name} = '{value}'"))
        .collect();
    (
        Some(settings.join(", ")).filter(|settings| !settings.is_empty()),
        body,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_written_as_copy_reads_it() {
        let row = vec![
            Value::Text("a\tb\\N\n\r\\.".into()),
            Value::Null,
            Value::Bytes(vec![0, 255]),
            Value::Float(f64::NEG_INFINITY),
            Value::Bool(true),
            Value::Text(String::new()),
        ];
        let mut out = Vec::new();
        write_copy(&mut out, &row).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a\\tb\\\\N\\n\\r\\\\.\t\\N\t\\\\x00ff\t-Infinity\tt\t\n"
        );
    }

    #[test]
    fn what_an_object_was_made_under_is_said_before_it() {
        let sql = "/*walkback sql_mode=ANSI character_set_client=latin1 time_zone=+01:00 */ CREATE EVENT e";
        let (settings, body) = made_under(sql);
        assert_eq!(
            settings.as_deref(),
            Some("sql_mode = 'ANSI', time_zone = '+01:00'")
        );
        assert_eq!(body, "CREATE EVENT e");
        assert_eq!(made_under("CREATE VIEW v"), (None, "CREATE VIEW v"));
    }
}
