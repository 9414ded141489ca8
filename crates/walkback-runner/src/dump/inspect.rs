//! Telling what a dump is by its content, whatever its name, and what it says about itself.

use std::collections::BTreeSet;
use std::io::{BufRead, Read as _};
use std::path::Path;

use serde::Serialize;
use walkback_core::dump::DumpFormat;
use walkback_core::{Cx, DialectKind, Error, ErrorKind, Result};

use super::archive::{self, Form, Header};
use super::filter::{Filter, Rights};
use super::read::{self, DumpCompression};

/// The unit of a tar archive. One of `pg_dump` begins with a block about `toc.dat`, and then that file.
const BLOCK: usize = 512;

/// What a file says about itself, before anything is loaded.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DumpInfo {
    /// Its path, as it was given.
    pub path: String,
    /// Its form.
    pub format: DumpFormat,
    /// What it is compressed with, besides what its form does itself.
    pub compression: Option<DumpCompression>,
    /// Its size, in bytes: of all files where it is a folder.
    pub bytes: u64,
    /// What wrote it, with its version.
    pub tool: Option<String>,
    /// Version of the server it is of.
    pub server: Option<String>,
    /// Databases it names.
    pub databases: Vec<String>,
    /// When it was made, by the clock of the machine that made it.
    pub made_at: Option<String>,
    /// Tables it creates; `None` if nothing short of the server's own program can tell.
    pub tables: Option<Vec<String>>,
    /// Whether it ends as its tool ends one; `None` if its form does not tell before all of it is read.
    pub complete: Option<bool>,
}

impl DumpInfo {
    /// Says why a dump cannot be loaded into a database of this family, if it cannot.
    pub(super) fn check(&self, dialect: DialectKind) -> Result<()> {
        if self.format.dialect() != dialect {
            return Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "`{}` is {}, and this database is {dialect}",
                    self.path,
                    self.format.words()
                ),
            )
            .hint("choose the environment it belongs to with `-e`, or its database with `-u`"));
        }
        if self.complete == Some(false) {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "`{}` is not complete: it does not end as {} ends one",
                    self.path,
                    self.tool.as_deref().unwrap_or(self.format.words())
                ),
            )
            .hint("nothing was changed; take another dump, or bring this one back from a copy"));
        }
        if self.databases.len() > 1 {
            return Err(Error::unsupported(
                format!(
                    "restoring a dump of {} databases ({})",
                    self.databases.len(),
                    self.databases.join(", ")
                ),
                "walkback",
            )
            .hint("make a dump of the one database that is to be restored"));
        }
        Ok(())
    }
}

/// Looks at a dump. With `whole` all of a text is read, to see whether it is complete and what it holds.
pub(super) fn inspect(cx: &Cx, path: &Path, whole: bool) -> Result<DumpInfo> {
    let shown = path.display().to_string();
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(format!("there is no backup file `{shown}`"))
            .hint("`walkback backup list` shows the backups there are"),
        _ => Error::io("read", path, error),
    })?;
    let mut info = DumpInfo {
        path: shown,
        format: DumpFormat::PostgresDirectory,
        compression: None,
        bytes: metadata.len(),
        tool: None,
        server: None,
        databases: Vec::new(),
        made_at: None,
        tables: None,
        complete: None,
    };
    if metadata.is_dir() {
        return folder(path, info);
    }
    let mut reader = read::open(path)?;
    info.compression = reader.compression;
    info.format = recognised(path, &reader.head)?;
    match info.format {
        DumpFormat::PostgresCustom | DumpFormat::PostgresTar => {
            let failed = |error| read::damaged(path, error);
            if info.format == DumpFormat::PostgresTar {
                reader.lines.read_exact(&mut [0; BLOCK]).map_err(failed)?;
            }
            let mut head = Vec::new();
            (&mut reader.lines)
                .take(4096)
                .read_to_end(&mut head)
                .map_err(failed)?;
            take(&mut info, archive::read(&head));
            if info.format == DumpFormat::PostgresTar && whole {
                info.complete = Some(is_whole_tar(cx, path)?);
            }
        }
        DumpFormat::SqliteFile => info.tool = sqlite_version(&reader.head),
        _ => text(cx, path, &mut *reader.lines, &mut info, whole)?,
    }
    Ok(info)
}

fn folder(path: &Path, mut info: DumpInfo) -> Result<DumpInfo> {
    let contents = path.join("toc.dat");
    let head = std::fs::read(&contents).map_err(|_| unknown(path, "a folder without `toc.dat`"))?;
    let Some(header) = archive::read(&head) else {
        return Err(unknown(path, "its `toc.dat` is of no archive of pg_dump"));
    };
    info.bytes = 0;
    for entry in std::fs::read_dir(path).map_err(|error| Error::io("read", path, error))? {
        let entry = entry.map_err(|error| Error::io("read", path, error))?;
        info.bytes += entry.metadata().map_or(0, |metadata| metadata.len());
    }
    take(&mut info, Some(header));
    Ok(info)
}

fn take(info: &mut DumpInfo, header: Option<Header>) {
    let Some(header) = header else {
        info.complete = Some(false);
        return;
    };
    if let (Some(Form::Tar), DumpFormat::PostgresCustom) = (header.form, info.format) {
        info.format = DumpFormat::PostgresTar;
    }
    info.tool = header.tool;
    info.server = header.server;
    info.databases = header.database.into_iter().collect();
    info.made_at = header.made_at;
}

/// Returns the form of a file that begins like this.
fn recognised(path: &Path, head: &[u8]) -> Result<DumpFormat> {
    if head.is_empty() {
        return Err(unknown(path, "it is empty"));
    }
    if head.starts_with(b"PGDMP") {
        return Ok(DumpFormat::PostgresCustom);
    }
    if head.starts_with(b"SQLite format 3\0") {
        return Ok(DumpFormat::SqliteFile);
    }
    if head.get(257..262) == Some(b"ustar") || head.starts_with(b"toc.dat\0") {
        return match head.starts_with(b"toc.dat\0") {
            true => Ok(DumpFormat::PostgresTar),
            false => Err(unknown(path, "a tar archive, but not one of pg_dump")),
        };
    }
    let text = String::from_utf8_lossy(&head[..head.len().min(16 << 10)]);
    let lines = || {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .take(40)
    };
    if lines().any(|line| line == "-- PostgreSQL database cluster dump") {
        return Err(Error::unsupported(
            format!(
                "restoring `{}`, a dump of a whole cluster by pg_dumpall,",
                path.display()
            ),
            "walkback",
        )
        .hint("make a dump of the one database with `pg_dump`"));
    }
    if lines().any(|line| line == "-- PostgreSQL database dump") {
        return Ok(DumpFormat::PostgresSql);
    }
    let is_mysql = |line: &str| {
        line.starts_with("-- MySQL dump ")
            || line.starts_with("-- MariaDB dump ")
            || line.starts_with("/*!40101 SET @OLD_CHARACTER_SET_CLIENT=")
    };
    if lines().any(is_mysql) {
        return Ok(DumpFormat::MysqlSql);
    }
    if lines().any(|line| line == "PRAGMA foreign_keys=OFF;")
        && lines().any(|line| line == "BEGIN TRANSACTION;")
    {
        return Ok(DumpFormat::SqliteSql);
    }
    Err(unknown(path, "its beginning is of no tool that is known"))
}

fn unknown(path: &Path, why: &str) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("`{}` is no backup that can be restored: {why}", path.display()),
    )
    .hint(
        "what can be: pg_dump (plain, custom, directory, tar), mysqldump and mariadb-dump, SQLite files and `.dump`, \
         each also in gzip or zstd",
    )
}

/// Returns whether a tar archive goes on to the empty block behind its last file. `pg_restore` never ends on one that
/// does not.
fn is_whole_tar(cx: &Cx, path: &Path) -> Result<bool> {
    let mut lines = read::open(path)?.lines;
    let mut block = [0; BLOCK];
    loop {
        cx.check()?;
        match lines.read_exact(&mut block) {
            Ok(()) if block == [0; BLOCK] => return Ok(true),
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(read::damaged(path, error)),
        }
        let digits = String::from_utf8_lossy(&block[124..136]);
        let digits = digits.trim_matches([' ', '\0']);
        let Ok(size) = u64::from_str_radix(digits, 8) else {
            // Beyond eight gigabytes the size is written in another way: what follows is for `pg_restore` to read.
            return Ok(true);
        };
        let padded = size.next_multiple_of(BLOCK as u64);
        let skipped = std::io::copy(&mut (&mut lines).take(padded), &mut std::io::sink())
            .map_err(|error| read::damaged(path, error))?;
        if skipped < padded {
            return Ok(false);
        }
    }
}

/// The version of SQLite that wrote last is in its header.
fn sqlite_version(head: &[u8]) -> Option<String> {
    let bytes = head.get(96..100)?.try_into().ok()?;
    let number = u32::from_be_bytes(bytes);
    let (major, minor, patch) = (number / 1_000_000, number / 1000 % 1000, number % 1000);
    (number > 0).then(|| format!("SQLite {major}.{minor}.{patch}"))
}

/// Reads a text line by line: all of it, or its first lines.
fn text(
    cx: &Cx,
    path: &Path,
    lines: &mut (dyn BufRead + Send),
    info: &mut DumpInfo,
    whole: bool,
) -> Result<()> {
    let mut scan = Scan {
        filter: Filter::new(info.format, Rights::Kept),
        tables: Vec::new(),
        databases: BTreeSet::new(),
        complete: false,
        last: Vec::new(),
    };
    let mut line = Vec::new();
    for number in 0_u64.. {
        if number % 4096 == 0 {
            cx.check()?;
        }
        line.clear();
        let length = lines
            .read_until(b'\n', &mut line)
            .map_err(|error| read::damaged(path, error))?;
        if length == 0 {
            info.complete = Some(scan.is_complete(info.format));
            break;
        }
        if !whole && number >= 64 {
            break;
        }
        scan.line(line.trim_ascii(), info);
        scan.filter.keeps(&line);
    }
    if whole {
        info.tables = Some(scan.tables);
    }
    info.databases = scan.databases.into_iter().collect();
    Ok(())
}

struct Scan {
    filter: Filter,
    tables: Vec<String>,
    databases: BTreeSet<String>,
    complete: bool,
    /// The last line that is not empty, if it is short.
    last: Vec<u8>,
}

impl Scan {
    fn line(&mut self, line: &[u8], info: &mut DumpInfo) {
        if self.filter.is_in_rows() || line.is_empty() {
            return;
        }
        self.last.clear();
        self.last.extend_from_slice(&line[..line.len().min(80)]);
        // Rows are long, and what is looked for is not.
        let Ok(text) = std::str::from_utf8(&line[..line.len().min(300)]) else {
            return;
        };
        if let Some(name) = text.strip_prefix("CREATE TABLE ") {
            self.tables.push(table_name(name));
        }
        if info.format == DumpFormat::PostgresSql && text == "-- PostgreSQL database dump complete" {
            self.complete = true;
        }
        let say = |place: &mut Option<String>, value: &str| {
            place.get_or_insert_with(|| value.trim().to_owned());
        };
        if let Some(version) = text.strip_prefix("-- Dumped by pg_dump version ") {
            say(&mut info.tool, &format!("pg_dump {version}"));
        } else if let Some(version) = text.strip_prefix("-- Dumped from database version ") {
            say(&mut info.server, version);
        } else if let Some(moment) = text.strip_prefix("-- Started on ") {
            say(&mut info.made_at, moment);
        } else if let Some(version) = text.strip_prefix("-- MySQL dump ") {
            say(&mut info.tool, &format!("mysqldump {}", before_comma(version)));
        } else if let Some(version) = text.strip_prefix("-- MariaDB dump ") {
            say(&mut info.tool, &format!("mariadb-dump {}", before_comma(version)));
        } else if let Some(version) = text.strip_prefix("-- Server version") {
            say(&mut info.server, version);
        } else if let Some(moment) = text.strip_prefix("-- Dump completed on ") {
            say(&mut info.made_at, moment);
        }
        self.databases.extend(database_named(info.format, text));
    }

    fn is_complete(&self, format: DumpFormat) -> bool {
        match format {
            DumpFormat::PostgresSql => self.complete && !self.filter.is_in_rows(),
            DumpFormat::MysqlSql => {
                self.last.starts_with(b"-- Dump completed")
                    || self.last.starts_with(b"/*!40111 SET SQL_NOTES=@OLD")
            }
            _ => self.last == b"COMMIT;",
        }
    }
}

/// Returns the name of the database that a line is about.
fn database_named(format: DumpFormat, line: &str) -> Option<String> {
    let name = match format {
        DumpFormat::MysqlSql => {
            let named = line
                .strip_prefix("USE `")
                .and_then(|rest| rest.strip_suffix("`;"));
            let stated = || {
                line.split_once("    Database: ")
                    .filter(|(host, _)| host.starts_with("-- Host:"))
            };
            named.or_else(|| stated().map(|(_, name)| name))?
        }
        DumpFormat::PostgresSql => line.strip_prefix("\\connect ")?.trim_matches('"'),
        _ => return None,
    };
    Some(name.trim().replace("``", "`")).filter(|name| !name.is_empty())
}

fn before_comma(text: &str) -> &str {
    text.split(',').next().unwrap_or(text)
}

fn table_name(rest: &str) -> String {
    let rest = rest.strip_prefix("IF NOT EXISTS ").unwrap_or(rest);
    let end = match rest.chars().next() {
        Some(quote @ ('"' | '`' | '\'')) => rest[1..].find(quote).map_or(rest.len(), |at| at + 2),
        _ => rest.find([' ', '(']).unwrap_or(rest.len()),
    };
    rest[..end].trim_matches(['"', '`', '\'']).to_owned()
}
