//! The source: names, heads of files, and scripts.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use walkback_core::ledger::LedgerFormat;
use walkback_core::migration::SqlScript;
use walkback_core::source::{ExternalRun, Loaded, NewMigration};
use walkback_core::{
    AdapterConfig, Cx, DialectKind, Direction, Error, Migration, MigrationGraph, MigrationId,
    MigrationSource, Result, Script, TableName,
};

use crate::config::{Config, Ledger};
use crate::directives::{Header, Reader, Section};
use crate::error::{not_utf8, twice};
use crate::layout::{Files, Holds, Layout, Part, scan};

/// Migrations in a folder, in walkback's own layouts.
///
/// `script` reads the files that the last `load` has found, or looks for them if there was none.
#[derive(Debug)]
pub struct SqlSource {
    root: PathBuf,
    /// As it is configured.
    ledger: Option<Ledger>,
    layout: Mutex<Option<Arc<Layout>>>,
}

impl SqlSource {
    /// Creates the source of a folder. Nothing is read yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            ledger: None,
            layout: Mutex::new(None),
        }
    }

    /// Creates the source that a configuration describes.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](walkback_core::ErrorKind::Config) for a setting that this source does not know.
    pub fn open(config: &AdapterConfig) -> Result<Self> {
        let settings: Config = config.parse()?;
        let mut source = Self::new(config.resolve(&settings.path));
        source.ledger = settings.ledger;
        Ok(source)
    }

    /// Returns whose table says what is applied: on PostgreSQL Alembic's too, if nothing is configured.
    fn ledger_in(&self, dialect: DialectKind) -> Ledger {
        self.ledger.unwrap_or(match dialect {
            DialectKind::Postgres => Ledger::Alembic,
            DialectKind::Mysql | DialectKind::Sqlite => Ledger::Walkback,
        })
    }

    fn remember(&self, layout: Option<Arc<Layout>>) {
        *self.layout.lock().unwrap_or_else(PoisonError::into_inner) = layout;
    }

    async fn scan(&self, cx: &Cx) -> Result<Arc<Layout>> {
        let (cx, root) = (cx.clone(), self.root.clone());
        let layout = Arc::new(blocking(move || scan(&cx, &root)).await?);
        self.remember(Some(Arc::clone(&layout)));
        Ok(layout)
    }

    async fn known(&self, cx: &Cx) -> Result<Arc<Layout>> {
        let layout = self.layout.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match layout {
            Some(layout) => Ok(layout),
            None => self.scan(cx).await,
        }
    }
}

#[async_trait]
impl MigrationSource for SqlSource {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    async fn load(&self, cx: &Cx, dialect: DialectKind) -> Result<Loaded> {
        cx.check()?;
        let layout = self.scan(cx).await?;
        let cx = cx.clone();
        let loaded = blocking(move || load(&cx, &layout, dialect)).await?;
        if self.ledger_in(dialect) == Ledger::Alembic {
            refuse_long(&loaded.graph)?;
        }
        Ok(loaded)
    }

    async fn script(
        &self,
        cx: &Cx,
        dialect: DialectKind,
        id: &MigrationId,
        direction: Direction,
    ) -> Result<Option<Script>> {
        cx.check()?;
        let layout = self.known(cx).await?;
        let (id, root) = (id.clone(), self.root.clone());
        blocking(move || {
            let files = found(&layout, &id, &root)?;
            let script = match direction {
                Direction::Up => Some(read_up(files, dialect)?),
                Direction::Down => read_down(files, dialect)?,
            };
            Ok(script.map(Script::Sql))
        })
        .await
    }

    fn ledger(&self, dialect: DialectKind) -> LedgerFormat {
        match self.ledger_in(dialect) {
            Ledger::Walkback => LedgerFormat::own(),
            Ledger::Alembic => {
                let other = LedgerFormat::alembic(TableName::new("alembic_version"), true);
                LedgerFormat::own().shown_in(other)
            }
        }
    }

    async fn create(&self, cx: &Cx, migration: &NewMigration) -> Result<Vec<PathBuf>> {
        cx.check()?;
        self.remember(None);
        let (cx, root, migration) = (cx.clone(), self.root.clone(), migration.clone());
        blocking(move || crate::create::create(&cx, &root, &migration)).await
    }

    async fn write_down(
        &self,
        cx: &Cx,
        dialect: DialectKind,
        id: &MigrationId,
        text: &str,
    ) -> Result<PathBuf> {
        cx.check()?;
        // What another program has written since must not be overlooked.
        let layout = self.scan(cx).await?;
        self.remember(None);
        let (id, root, text) = (id.clone(), self.root.clone(), text.to_owned());
        blocking(move || crate::down::write(found(&layout, &id, &root)?, dialect, &text)).await
    }

    async fn run(&self, _: &Cx, run: &ExternalRun) -> Result<()> {
        Err(Error::unsupported(
            format!("to run `{}` by a program", run.id),
            "a source of SQL",
        ))
    }
}

/// Refuses an identity that Alembic's table has no place for.
fn refuse_long(graph: &MigrationGraph) -> Result<()> {
    let longest = usize::from(LedgerFormat::LONGEST_OF_ALEMBIC);
    match graph.iter().find(|one| one.id.as_str().chars().count() > longest) {
        None => Ok(()),
        Some(long) => Err(Error::config(format!(
            "the identity `{}` is longer than the {longest} characters that `alembic_version` holds ({})",
            long.id,
            long.file.display()
        ))
        .hint("give the migration a shorter one, or write `ledger = \"walkback\"` under `[source]`")),
    }
}

fn found<'l>(layout: &'l Layout, id: &MigrationId, root: &Path) -> Result<&'l Files> {
    layout.find(id.as_str()).ok_or_else(|| {
        Error::not_found(format!("there is no migration `{id}` in `{}`", root.display()))
            .hint("`walkback history` lists all migrations")
    })
}

/// Runs file operations where they do not hold up anything else.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("reading the migrations did not end").with_source(error))?
}

fn load(cx: &Cx, layout: &Layout, dialect: DialectKind) -> Result<Loaded> {
    let mut unmatched = layout.unmatched.clone();
    let mut migrations: Vec<Migration> = Vec::with_capacity(layout.migrations.len());
    for files in &layout.migrations {
        cx.check()?;
        let up = up_part(files, dialect)?;
        let header = head(up, Direction::Up)?
            .map(|section| section.header)
            .unwrap_or_default();
        let mut migration = Migration::new(&files.id, &files.slug, &up.path);
        migration.parents = header.parents.unwrap_or_else(|| {
            migrations
                .last()
                .map(|before| before.id.clone())
                .into_iter()
                .collect()
        });
        migration.labels = header.labels.unwrap_or_default();
        migration.depends_on = header.depends_on.unwrap_or_default();
        migration.irreversible = header.irreversible;
        migration.phase = header.phase;
        let downs = find_downs(files, dialect)?;
        migration.has_down = downs.written.is_some();
        if !migration.has_down {
            migration.empty_down = downs.empty.first().map(|part| part.path.clone());
        }
        unmatched.extend(unused_downs(files, dialect, &downs));
        migrations.push(migration);
    }
    unmatched.sort();
    Ok(Loaded {
        graph: MigrationGraph::build(migrations)?,
        unmatched,
    })
}

pub(crate) fn up_part(files: &Files, dialect: DialectKind) -> Result<&Part> {
    files.up(dialect).ok_or_else(|| {
        let other = files
            .parts
            .iter()
            .find(|part| part.holds != Holds::Only(Direction::Down));
        let other = other.map_or(Path::new(""), |part| &part.path);
        Error::config(format!(
            "migration `{}` has no up script for {dialect}, only for other engines ({})",
            files.id,
            other.display()
        ))
        .hint(format!(
            "add `{}`, empty if there is nothing to do",
            beside(files, other, dialect).display()
        ))
    })
}

/// Returns where the up script for a dialect would be, next to one for another.
fn beside(files: &Files, other: &Path, dialect: DialectKind) -> PathBuf {
    let in_folder = other
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("up."));
    if in_folder {
        other.with_file_name(format!("up.{dialect}.sql"))
    } else {
        let stem = match files.slug.as_str() {
            "" => files.id.clone(),
            slug => format!("{}_{slug}", files.id),
        };
        other.with_file_name(format!("{stem}.up.{dialect}.sql"))
    }
}

/// What there is of a way down.
pub(crate) struct Downs<'f> {
    pub(crate) written: Option<&'f Part>,
    /// What looks like one and holds no statement, the most specific first.
    pub(crate) empty: Vec<&'f Part>,
}

/// Finds the down script for a dialect.
pub(crate) fn find_downs(files: &Files, dialect: DialectKind) -> Result<Downs<'_>> {
    let mut downs = Downs {
        written: None,
        empty: Vec::new(),
    };
    for part in files.downs(dialect) {
        let Some(section) = head(part, Direction::Down)? else {
            continue;
        };
        if !section.has_statement {
            downs.empty.push(part);
            continue;
        }
        match downs.written {
            Some(found) if found.dialect == part.dialect => {
                return Err(twice("down", &files.id, &found.path, &part.path));
            }
            Some(_) => {}
            None => downs.written = Some(part),
        }
    }
    Ok(downs)
}

/// Returns what looks like a way down and is not used, with the reason.
fn unused_downs(files: &Files, dialect: DialectKind, downs: &Downs<'_>) -> Vec<(PathBuf, String)> {
    let reported = |part: &Part, why: String| (part.path.clone(), why);
    let mut unused: Vec<_> = downs
        .empty
        .iter()
        .map(|part| reported(part, NO_STATEMENT.to_owned()))
        .collect();
    if downs.written.is_none() && files.downs(dialect).is_empty() {
        let others = files
            .parts
            .iter()
            .filter(|part| part.holds == Holds::Only(Direction::Down));
        let why = || format!("it is for another engine, and there is no down script for {dialect}");
        unused.extend(others.map(|part| reported(part, why())));
    }
    unused
}

const NO_STATEMENT: &str = "the down script holds no statement, so it counts as not written; `SELECT 1;` would say that nothing is to be done";

/// Reads what the head of a file says of one direction. `None`: a single file without that section.
fn head(part: &Part, direction: Direction) -> Result<Option<Section>> {
    match part.holds {
        Holds::Only(_) => read_head(part, direction).map(Some),
        Holds::Both => Ok(sections(part, &read_text(part)?)?
            .into_iter()
            .find(|section| section.direction == direction)),
    }
}

/// How much of a line is read to see whether it is a comment.
const AHEAD: u64 = 4096;

/// Reads a file of one direction as far as its header goes.
fn read_head(part: &Part, direction: Direction) -> Result<Section> {
    let failed = |error| Error::io("read", &part.path, error);
    let mut file = BufReader::new(File::open(&part.path).map_err(failed)?);
    let mut reader = Reader::new(&part.path, Some(direction));
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        // A statement may be one line of a gigabyte: its beginning is enough. A comment is read to its end.
        let ahead = file.by_ref().take(AHEAD).read_until(b'\n', &mut line);
        if ahead.map_err(failed)? == 0 {
            break;
        }
        if !reader.is_comment(if number == 1 { without_mark(&line) } else { &line }) {
            reader.statement();
            break;
        }
        if !line.ends_with(b"\n") {
            file.read_until(b'\n', &mut line).map_err(failed)?;
        }
        let text = if number == 1 { without_mark(&line) } else { &line };
        let text = str::from_utf8(text).map_err(|_| not_utf8(&part.path, number))?;
        reader.line(number, text)?;
        if !reader.in_header() {
            break;
        }
    }
    reader
        .sections
        .pop()
        .ok_or_else(|| Error::internal("a script without a section"))
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

pub(crate) fn read_text(part: &Part) -> Result<String> {
    let bytes = fs::read(&part.path).map_err(|error| Error::io("read", &part.path, error))?;
    match str::from_utf8(without_mark(&bytes)) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let valid = &bytes[..error.valid_up_to()];
            let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
            Err(not_utf8(&part.path, line))
        }
    }
}

/// Reads all of a script: its sections, and every line that speaks to walkback where it must not.
pub(crate) fn sections(part: &Part, text: &str) -> Result<Vec<Section>> {
    let only = match part.holds {
        Holds::Only(direction) => Some(direction),
        Holds::Both => None,
    };
    let mut reader = Reader::new(&part.path, only);
    for (number, line) in text.lines().enumerate() {
        reader.line(number + 1, line)?;
    }
    reader.finish()?;
    Ok(reader.sections)
}

fn read_up(files: &Files, dialect: DialectKind) -> Result<SqlScript> {
    let part = up_part(files, dialect)?;
    read_script(part, Direction::Up)?
        .ok_or_else(|| Error::internal(format!("`{}` has no up script", part.path.display())))
}

fn read_down(files: &Files, dialect: DialectKind) -> Result<Option<SqlScript>> {
    match find_downs(files, dialect)?.written {
        Some(part) => read_script(part, Direction::Down),
        None => Ok(None),
    }
}

fn read_script(part: &Part, direction: Direction) -> Result<Option<SqlScript>> {
    let text = read_text(part)?;
    let sections = sections(part, &text)?;
    let Some(place) = sections.iter().position(|section| section.direction == direction) else {
        return Ok(None);
    };
    let section = &sections[place];
    let next = sections
        .iter()
        .map(|other| other.first_line)
        .filter(|first| *first > section.first_line)
        .min();
    let text = cut(&text, section.first_line, next.map(|first| first - 1));
    Ok(Some(script(part, text, section.first_line, &section.header)))
}

fn script(part: &Part, text: &str, first_line: usize, header: &Header) -> SqlScript {
    let mut script = SqlScript::new(text, &part.path);
    script.location.line = first_line;
    script.transaction = header.transaction.unwrap_or(true);
    script.protect.clone_from(&header.protect);
    script.lock_timeout = header.lock_timeout;
    script.statement_timeout = header.statement_timeout;
    script
}

/// Returns the lines from `first` to before `end`, counted from 1.
fn cut(text: &str, first: usize, end: Option<usize>) -> &str {
    let offset = |line: usize| {
        text.split_inclusive('\n')
            .take(line - 1)
            .map(str::len)
            .sum::<usize>()
    };
    &text[offset(first)..end.map_or(text.len(), offset)]
}
