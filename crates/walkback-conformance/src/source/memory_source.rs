//! A source in memory, which keeps the contract to the letter and can be told to break one line of it.
//!
//! It serves tests of what is built on a source, and each [`Fault`] shows that the checks see it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use walkback_core::ledger::{LedgerFormat, LedgerValue};
use walkback_core::migration::SqlScript;
use walkback_core::source::{ExternalRun, Loaded, NewMigration};
use walkback_core::{
    Cx, DialectKind, Direction, Error, ErrorKind, Migration, MigrationGraph, MigrationId, MigrationSource,
    Result, Script,
};

use super::Harness;

/// One broken line of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A folder without a file is an error.
    EmptyFails,
    /// A folder that does not exist is an empty one.
    MissingIsEmpty,
    /// The error about a missing folder does not name it.
    MissingUnnamed,
    /// Identities are sorted as text: `10` before `2`.
    OrdersAsText,
    /// Every migration is a base.
    ForgetsParents,
    /// The last migration is left out.
    ForgetsLast,
    /// All migrations name the file of the first.
    WrongFile,
    /// Every migration is said to have a way back.
    ClaimsDown,
    /// No migration is said to have one.
    DeniesDown,
    /// Files that match nothing are dropped.
    HidesUnmatched,
    /// They are named without a reason.
    NoReason,
    /// Slugs change from load to load.
    LoadsDiffer,
    /// What was loaded first is loaded ever after.
    LoadsOnce,
    /// Loading takes time with the square of the number of migrations.
    Quadratic,
    /// A cancelled context is not looked at.
    IgnoresCancellation,
    /// There is no location.
    NoLocation,
    /// The ledger has no column for the identity.
    LedgerWithoutId,
    /// The ledger has two of them.
    LedgerWithTwoIds,
    /// The ledger's own tool creates another table.
    LedgerCreatesAnother,
    /// Blanks round a script are lost.
    TrimsScripts,
    /// Carriage returns are lost.
    ConvertsLineEnds,
    /// Scripts begin on line 2.
    WrongLine,
    /// Scripts are said to come from the file of the other direction.
    WrongScriptFile,
    /// The way back is the way up.
    DownIsUp,
    /// A script nobody wrote is an empty one.
    EmptyForNone,
    /// An unknown migration has no scripts.
    UnknownIsNone,
    /// The error about an unknown migration does not name it.
    UnknownUnnamed,
    /// Without a load there are no scripts.
    NeedsLoad,
    /// Bytes that are no text are replaced.
    ReplacesBytes,
    /// The error about them does not say where they are.
    BrokenTextUnnamed,
    /// Loading writes a file.
    LoadWrites,
    /// Reading a script writes a file.
    ScriptWrites,
    /// Creating writes nothing.
    CreateDoesNothing,
    /// The slug of a new migration is lost.
    CreateForgetsSlug,
    /// Not every file that was written is returned.
    CreateReturnsTooFew,
    /// A file that was not written is returned.
    CreateReturnsTooMany,
    /// Other files change as well.
    CreateChangesOthers,
    /// Creating needs a folder.
    CreateNeedsFolder,
    /// A new migration is a base.
    CreateBeginsAnew,
    /// Existing files are overwritten.
    CreateOverwrites,
    /// A known identity with another slug is accepted.
    CreateDoublesIdentity,
    /// Separators in a slug are accepted.
    CreateAcceptsPaths,
    /// A way down is not written, although it is said to be.
    WriteDownDoesNothing,
    /// A way down that holds only comments counts as written.
    WriteDownRefusesEmpty,
    /// The up script changes along with the way down.
    WriteDownChangesUp,
    /// A way down that is there is overwritten.
    WriteDownOverwrites,
    /// A way down is written for a migration that does not exist.
    WriteDownInventsMigration,
}

/// Migrations in memory. Identities are numbers; a clone is a view of the same files.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    fault: Option<Fault>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    exists: bool,
    files: BTreeMap<String, Vec<u8>>,
    /// What was said about a migration beyond its files.
    described: BTreeMap<MigrationId, Migration>,
    loads: usize,
    first: Option<Vec<Migration>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            exists: true,
            files: BTreeMap::new(),
            described: BTreeMap::new(),
            loads: 0,
            first: None,
        }
    }
}

/// The migrations found in the files: identity, slug and whether there is a way back.
type Found = Vec<(String, String, bool)>;

impl MemorySource {
    /// Creates an empty source that keeps the contract.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty source that breaks one line of it.
    #[must_use]
    pub fn with_fault(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }

    /// Adds a migration that follows the one with the number before.
    pub fn add(&self, id: &str, slug: &str, up: &str, down: Option<&str>) {
        self.put(&format!("{id}_{slug}.up"), up.as_bytes());
        if let Some(down) = down {
            self.put(&format!("{id}_{slug}.down"), down.as_bytes());
        }
    }

    /// Adds a migration with parents, labels and everything else as given.
    pub fn add_described(&self, mut migration: Migration, up: &str, down: Option<&str>) {
        self.add(migration.id.as_str(), &migration.slug, up, down);
        migration.file = path(&format!("{}_{}.up", migration.id, migration.slug));
        migration.has_down = down.is_some();
        self.lock().described.insert(migration.id.clone(), migration);
    }

    /// Replaces or adds a file behind everybody's back.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.lock();
        state.exists = true;
        state.files.insert(name.to_owned(), bytes.to_owned());
    }

    /// Removes a migration, as a checkout of an older release does.
    pub fn remove(&self, id: &str) {
        let begin = format!("{id}_");
        self.lock().files.retain(|name, _| !name.starts_with(&begin));
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, cx: &Cx) -> Result<()> {
        if self.is(Fault::IgnoresCancellation) {
            return Ok(());
        }
        cx.check()
    }

    fn found(&self, state: &State) -> Found {
        let mut found: Found = state
            .files
            .keys()
            .filter_map(|name| {
                let (id, slug) = name.strip_suffix(".up")?.split_once('_')?;
                let down = state.files.contains_key(&format!("{id}_{slug}.down"));
                let claimed = (down || self.is(Fault::ClaimsDown)) && !self.is(Fault::DeniesDown);
                Some((id.to_owned(), slug.to_owned(), claimed))
            })
            .collect();
        if !self.is(Fault::OrdersAsText) {
            found.sort_by_key(|(id, ..)| id.parse::<u64>().unwrap_or(u64::MAX));
        }
        if self.is(Fault::ForgetsLast) {
            found.pop();
        }
        found
    }

    fn migrations(&self, state: &State) -> Vec<Migration> {
        let found = self.found(state);
        let mut migrations: Vec<Migration> = Vec::with_capacity(found.len());
        for (id, slug, down) in &found {
            let mut migration = Migration::new(id, slug, path(&format!("{id}_{slug}.up")));
            if self.is(Fault::WrongFile)
                && let Some((id, slug, _)) = found.first()
            {
                migration.file = path(&format!("{id}_{slug}.up"));
            }
            if self.is(Fault::LoadsDiffer) {
                migration.slug = format!("{slug}{}", state.loads);
            }
            let begins = self.is(Fault::ForgetsParents)
                || (self.is(Fault::CreateBeginsAnew) && !matches!(slug.as_str(), "change" | "start"));
            if !begins {
                migration.parents = migrations
                    .last()
                    .map(|before| before.id.clone())
                    .into_iter()
                    .collect();
            }
            migration.has_down = *down;
            migrations.push(state.described.get(&migration.id).cloned().unwrap_or(migration));
        }
        migrations
    }

    fn unmatched(&self, state: &State) -> Vec<(PathBuf, String)> {
        if self.is(Fault::HidesUnmatched) {
            return Vec::new();
        }
        let reason = if self.is(Fault::NoReason) {
            ""
        } else {
            "it is no script"
        };
        let matched = |name: &str| name.ends_with(".up") || name.ends_with(".down");
        state
            .files
            .keys()
            .filter(|name| !matched(name))
            .map(|name| (path(name), reason.to_owned()))
            .collect()
    }

    fn missing(&self) -> Error {
        let name = if self.is(Fault::MissingUnnamed) {
            "it"
        } else {
            "memory"
        };
        Error::not_found(format!("cannot read `{name}`"))
    }

    fn read(&self, name: &str) -> Result<Option<SqlScript>> {
        let state = self.lock();
        let Some(bytes) = state.files.get(name) else {
            let empty = self.is(Fault::EmptyForNone);
            return Ok(empty.then(|| SqlScript::new("", path(name))));
        };
        let text = match str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) if self.is(Fault::ReplacesBytes) => String::from_utf8_lossy(bytes).into_owned(),
            Err(_) if self.is(Fault::BrokenTextUnnamed) => return Err(Error::config("a file is not UTF-8")),
            Err(error) => {
                let before = &bytes[..error.valid_up_to()];
                let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
                return Err(Error::config(format!(
                    "the file is not UTF-8 (memory/{name}:{line})"
                )));
            }
        };
        let text = match self.fault {
            Some(Fault::TrimsScripts) => text.trim().to_owned(),
            Some(Fault::ConvertsLineEnds) => text.replace("\r\n", "\n"),
            _ => text,
        };
        let mut script = SqlScript::new(text, path(name));
        if self.is(Fault::WrongLine) {
            script.location.line = 2;
        }
        if self.is(Fault::WrongScriptFile) {
            script.location.file = path(&name.replace(".up", ".down"));
        }
        Ok(Some(script))
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("memory").join(name)
}

#[async_trait]
impl MigrationSource for MemorySource {
    fn location(&self) -> String {
        if self.is(Fault::NoLocation) { "" } else { "memory" }.to_owned()
    }

    async fn load(&self, cx: &Cx, _: DialectKind) -> Result<Loaded> {
        self.check(cx)?;
        let mut state = self.lock();
        state.loads += 1;
        let remembers = self.is(Fault::LoadsOnce) && state.first.is_some();
        if !state.exists && !remembers && !self.is(Fault::MissingIsEmpty) {
            return Err(self.missing());
        }
        if state.files.is_empty() && self.is(Fault::EmptyFails) {
            return Err(Error::config("there are no migrations"));
        }
        if self.is(Fault::LoadWrites) {
            state.files.insert("cache.up".to_owned(), b"SELECT 1;".to_vec());
        }
        let mut migrations = self.migrations(&state);
        if self.is(Fault::LoadsOnce) {
            migrations = state.first.get_or_insert(migrations).clone();
        }
        if self.is(Fault::Quadratic) {
            let count = u64::try_from(migrations.len()).unwrap_or(u64::MAX);
            std::thread::sleep(Duration::from_micros(count.saturating_mul(count)));
        }
        Ok(Loaded {
            graph: MigrationGraph::build(migrations)?,
            unmatched: self.unmatched(&state),
        })
    }

    async fn script(
        &self,
        cx: &Cx,
        _: DialectKind,
        id: &MigrationId,
        direction: Direction,
    ) -> Result<Option<Script>> {
        self.check(cx)?;
        let stem = {
            let mut state = self.lock();
            if self.is(Fault::ScriptWrites) {
                state.files.insert("cache".to_owned(), Vec::new());
            }
            let known = !self.is(Fault::NeedsLoad) || state.loads > 0;
            let begin = format!("{id}_");
            let mut stems = state.files.keys().filter_map(|name| name.strip_suffix(".up"));
            stems
                .find(|stem| known && stem.starts_with(&begin))
                .map(str::to_owned)
        };
        let Some(stem) = stem else {
            return match self.fault {
                Some(Fault::UnknownIsNone) => Ok(None),
                Some(Fault::UnknownUnnamed) => Err(Error::not_found("there is no such migration")),
                _ => Err(Error::not_found(format!(
                    "there is no migration `{id}` in memory"
                ))),
            };
        };
        let direction = if self.is(Fault::DownIsUp) {
            Direction::Up
        } else {
            direction
        };
        Ok(self.read(&format!("{stem}.{direction}"))?.map(Script::Sql))
    }

    fn ledger(&self, _: DialectKind) -> LedgerFormat {
        let mut ledger = LedgerFormat::own();
        match self.fault {
            Some(Fault::LedgerWithoutId) => ledger.columns.retain(|column| column.value != LedgerValue::Id),
            Some(Fault::LedgerWithTwoIds) => ledger.columns[1].value = LedgerValue::Id,
            Some(Fault::LedgerCreatesAnother) => {
                return ledger.created_by(|_| "CREATE TABLE other (id)".to_owned());
            }
            _ => {}
        }
        ledger
    }

    async fn create(&self, cx: &Cx, new: &NewMigration) -> Result<Vec<PathBuf>> {
        self.check(cx)?;
        let plain =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let sound = plain(&new.id) && plain(&new.slug);
        if !sound && !self.is(Fault::CreateAcceptsPaths) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("`{}_{}` is no name", new.id, new.slug.escape_debug()),
            ));
        }
        let mut state = self.lock();
        if !state.exists && self.is(Fault::CreateNeedsFolder) {
            return Err(self.missing());
        }
        let slug = if self.is(Fault::CreateForgetsSlug) {
            "new"
        } else {
            &new.slug
        };
        let (up, down) = (format!("{}_{slug}.up", new.id), format!("{}_{slug}.down", new.id));
        let begin = format!("{}_", new.id);
        let taken = if self.is(Fault::CreateDoublesIdentity) {
            state.files.contains_key(&up)
        } else {
            state.files.keys().any(|name| name.starts_with(&begin))
        };
        if taken && !self.is(Fault::CreateOverwrites) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("migration `{}` exists", new.id),
            ));
        }
        if self.is(Fault::CreateDoesNothing) {
            return Ok(vec![path(&up), path(&down)]);
        }
        if self.is(Fault::CreateChangesOthers)
            && let Some(bytes) = state.files.values_mut().next()
        {
            bytes.push(b'\n');
        }
        state.exists = true;
        let text = format!("-- {slug} {}\n", state.loads);
        state.files.insert(up.clone(), text.clone().into_bytes());
        state.files.insert(down.clone(), text.into_bytes());
        Ok(match self.fault {
            Some(Fault::CreateReturnsTooFew) => vec![path(&up)],
            Some(Fault::CreateReturnsTooMany) => vec![path(&up), path(&down), path("index")],
            _ => vec![path(&up), path(&down)],
        })
    }

    async fn write_down(&self, cx: &Cx, _: DialectKind, id: &MigrationId, text: &str) -> Result<PathBuf> {
        self.check(cx)?;
        let mut state = self.lock();
        let begin = format!("{id}_");
        let mut stems = state.files.keys().filter_map(|name| name.strip_suffix(".up"));
        let stem = match stems.find(|stem| stem.starts_with(&begin)) {
            Some(stem) => stem.to_owned(),
            None if self.is(Fault::WriteDownInventsMigration) => format!("{id}_new"),
            None => {
                return Err(Error::not_found(format!(
                    "there is no migration `{id}` in memory"
                )));
            }
        };
        let down = format!("{stem}.down");
        let is_empty = |bytes: &Vec<u8>| {
            let text = String::from_utf8_lossy(bytes);
            let only_comments = text.lines().all(|line| line.is_empty() || line.starts_with("--"));
            only_comments && !self.is(Fault::WriteDownRefusesEmpty)
        };
        let is_written = state.files.get(&down).is_some_and(|bytes| !is_empty(bytes));
        if is_written && !self.is(Fault::WriteDownOverwrites) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("migration `{id}` has a way down"),
            ));
        }
        if !self.is(Fault::WriteDownDoesNothing) {
            state.files.insert(down.clone(), text.as_bytes().to_owned());
        }
        if self.is(Fault::WriteDownChangesUp)
            && let Some(up) = state.files.get_mut(&format!("{stem}.up"))
        {
            up.push(b'\n');
        }
        Ok(path(&down))
    }

    async fn run(&self, _: &Cx, run: &ExternalRun) -> Result<()> {
        Err(Error::unsupported(
            format!("to run `{}` by a program", run.id),
            "a source of SQL",
        ))
    }
}

/// The harness of a source in memory is the source.
impl Harness for MemorySource {
    fn open(&self) -> Arc<dyn MigrationSource> {
        Arc::new(self.clone())
    }

    fn id(&self, n: u32) -> String {
        n.to_string()
    }

    fn add(&self, id: &str, up: &[u8], down: Option<&[u8]>) {
        self.put(&format!("{id}_change.up"), up);
        if let Some(down) = down {
            self.put(&format!("{id}_change.down"), down);
        }
    }

    fn add_stray(&self) -> PathBuf {
        self.put("notes.txt", b"this is no migration");
        path("notes.txt")
    }

    fn remove_all(&self) {
        let mut state = self.lock();
        state.exists = false;
        state.files.clear();
    }

    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        state
            .files
            .iter()
            .map(|(name, bytes)| (path(name), bytes.clone()))
            .collect()
    }
}
