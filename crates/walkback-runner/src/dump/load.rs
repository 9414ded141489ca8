//! Loading a dump into a scratch database, by the program it belongs to or by the engine itself.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use walkback_core::dump::{DumpFormat, Program};
use walkback_core::engine::ScratchDatabase;
use walkback_core::{Cx, Error, ErrorKind, Result};

use super::filter::{self, Filter, Rights};
use super::inspect::DumpInfo;
use super::read;
use super::tool::{self, Feed};
use crate::runner::Runner;

/// The first versions of `psql` that run nothing but SQL when they are told to, by major version. Newer ones can.
const RESTRICT: &[(u32, u32)] = &[(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)];

/// A dump, loaded.
pub(super) struct Loaded {
    pub(super) database: Box<dyn ScratchDatabase>,
    pub(super) warnings: Vec<String>,
}

/// Loads a dump into a scratch database of its own. What it says about roles that are not there is left out.
pub(super) async fn load(runner: &Runner, cx: &Cx, path: &Path, info: &DumpInfo) -> Result<Loaded> {
    let first = load_with(runner, cx, path, info, Rights::Kept).await;
    let mut warnings = Vec::new();
    let outcome = match first {
        Err(error)
            if info.format.dialect() == walkback_core::DialectKind::Postgres && is_missing_role(&error) =>
        {
            warnings.push(format!(
                "`{}` names roles that are not there: its owners and rights are left out",
                info.path
            ));
            load_with(runner, cx, path, info, Rights::LeftOut).await
        }
        outcome => outcome,
    };
    let database = outcome.map_err(|error| match error.kind() {
        ErrorKind::Database => error
            .wrap(format!("`{}` cannot be loaded", info.path))
            .hint("nothing was changed: it was loaded into a scratch database, which is gone"),
        ErrorKind::Damaged if !error.message().contains(&info.path) => error
            .wrap(format!("`{}` is truncated or damaged", info.path))
            .hint("nothing was changed; take another dump, or bring this one back from a copy"),
        _ => error,
    })?;
    Ok(Loaded { database, warnings })
}

fn is_missing_role(error: &Error) -> bool {
    error.message().contains("role \"") && error.message().contains("does not exist")
}

async fn load_with(
    runner: &Runner,
    cx: &Cx,
    path: &Path,
    info: &DumpInfo,
    rights: Rights,
) -> Result<Box<dyn ScratchDatabase>> {
    let scheme = runner.engine().info().scheme;
    let scratch = runner
        .engine()
        .scratch()
        .ok_or_else(|| Error::unsupported("a scratch database", scheme))?;
    let database = scratch.create(cx).await?;
    let engine = database.engine();
    let dumps = engine
        .dumps()
        .ok_or_else(|| Error::unsupported("loading dumps of other tools", scheme))?;
    let task = cx.progress().begin(
        &format!("loading `{}`", info.path),
        walkback_core::cx::Unit::Bytes,
        Some(info.bytes),
    );
    match dumps.program(info.format, info.compression.is_none())? {
        None => {
            let plain = unpacked(cx, path, info).await?;
            let file = plain.as_ref().map_or(path, NamedTempFile::path);
            dumps.load(cx, info.format, file).await?;
        }
        Some(program) => call(cx, program, path, info, rights).await?,
    }
    task.advance(info.bytes);
    drop(task);
    Ok(database)
}

async fn call(cx: &Cx, mut program: Program, path: &Path, info: &DumpInfo, rights: Rights) -> Result<()> {
    if program.takes_path {
        if rights == Rights::LeftOut {
            leave_rights_out(&mut program);
        }
        return tool::run(cx, &program, Some(path), None).await.map(drop);
    }
    let mut prefix = String::new();
    match info.format {
        DumpFormat::PostgresSql if is_restrictable(cx, &program).await? => {
            prefix = format!("\\restrict walkback{:016x}\n", rand::random::<u64>());
        }
        DumpFormat::PostgresCustom | DumpFormat::PostgresTar if rights == Rights::LeftOut => {
            leave_rights_out(&mut program);
        }
        _ => {}
    }
    let feed = feed(path.to_owned(), info.format, rights, prefix);
    tool::run(cx, &program, None, Some(feed)).await.map(drop)
}

fn leave_rights_out(program: &mut Program) {
    for argument in ["--no-owner", "--no-privileges"] {
        program.arguments.push(argument.to_owned());
    }
}

/// Returns what writes a dump into the input of a program, unpacked and without what would leave its database.
fn feed(path: PathBuf, format: DumpFormat, rights: Rights, prefix: String) -> Feed {
    Box::new(move |into: &mut dyn Write| {
        let mut reader = read::open(&path).map_err(std::io::Error::other)?;
        into.write_all(prefix.as_bytes())?;
        if format.is_text() {
            filter::copy(reader.lines, Filter::new(format, rights), into)
        } else {
            std::io::copy(&mut reader.lines, into).map(drop)
        }
    })
}

/// Asks `psql` for its version: whether it can be kept from running programs that a dump names.
async fn is_restrictable(cx: &Cx, program: &Program) -> Result<bool> {
    let mut asked = Program::new(program.names.clone(), program.package);
    asked.arguments = vec!["--version".to_owned()];
    let said = tool::run(cx, &asked, None, None).await?;
    let said = String::from_utf8_lossy(&said);
    let version = said
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    Ok(version.is_some_and(can_restrict))
}

fn can_restrict(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or(0)
    });
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    major >= 18
        || RESTRICT
            .iter()
            .any(|(known, first)| major == *known && minor >= *first)
}

/// Unpacks a dump that is compressed into a file that goes with what is returned.
async fn unpacked(cx: &Cx, path: &Path, info: &DumpInfo) -> Result<Option<NamedTempFile>> {
    if info.compression.is_none() {
        return Ok(None);
    }
    cx.check()?;
    let path = path.to_owned();
    let task = tokio::task::spawn_blocking(move || {
        let mut reader = read::open(&path)?;
        let failed = |error| Error::io("create a file in", &std::env::temp_dir(), error);
        let mut file = tempfile::Builder::new()
            .prefix("walkback-dump-")
            .tempfile()
            .map_err(failed)?;
        std::io::copy(&mut reader.lines, &mut file).map_err(|error| read::damaged(&path, error))?;
        file.flush().map_err(failed)?;
        Ok(Some(file))
    });
    task.await
        .map_err(|error| Error::internal("unpacking a dump came to no end").with_source(error))?
}

/// Has the program of an archive read all of it, without any database, and returns the tables it holds.
pub(super) async fn read_archive(cx: &Cx, path: &Path, info: &DumpInfo) -> Result<Vec<String>> {
    let packed = info.compression.is_some();
    let program = |argument: &str| {
        let mut program = Program::new(
            vec!["pg_restore"],
            "Debian and Ubuntu: `apt install postgresql-client`, Homebrew: `brew install libpq`",
        );
        program.arguments = vec![argument.to_owned()];
        program.takes_path = !packed;
        program
    };
    let input = || packed.then(|| feed(path.to_owned(), info.format, Rights::Kept, String::new()));
    let given = (!packed).then_some(path);
    let unreadable = |error: Error| match error.kind() {
        ErrorKind::Database => error
            .with_kind(ErrorKind::Damaged)
            .wrap(format!("`{}` is truncated or damaged", info.path)),
        _ => error,
    };
    let listed = tool::run(cx, &program("--list"), given, input())
        .await
        .map_err(unreadable)?;
    tool::run(cx, &program("--file=/dev/null"), given, input())
        .await
        .map_err(unreadable)?;
    Ok(tables_of(&String::from_utf8_lossy(&listed)))
}

/// Returns the tables of a table of contents: `215; 1259 16386 TABLE public orders alice`.
fn tables_of(contents: &str) -> Vec<String> {
    let lines = contents.lines().filter(|line| !line.starts_with(';'));
    lines
        .filter_map(|line| {
            let rest = line.split_once(" TABLE ").map(|(_, rest)| rest)?;
            let rest = rest.strip_prefix("DATA ").map_or(Some(rest), |_| None)?;
            let (schema, rest) = rest.split_once(' ')?;
            let (name, _owner) = rest.rsplit_once(' ')?;
            Some(format!("{schema}.{name}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_an_archive_are_read_from_its_contents() {
        let contents = ";\n; Archive created at 2026-01-01\n;\n215; 1259 16386 TABLE public orders alice\n\
                        3350; 0 16386 TABLE DATA public orders alice\n216; 1259 16387 TABLE shop a b alice\n";
        assert_eq!(tables_of(contents), ["public.orders", "shop.a b"]);
    }

    #[test]
    fn a_psql_that_can_be_restricted_is_known_by_its_version() {
        for version in ["15.14", "15.18", "13.22", "18.0", "19beta1", "17.6"] {
            assert!(can_restrict(version), "{version}");
        }
        for version in ["15.13", "12.99", "14.2", "17.5", ""] {
            assert!(!can_restrict(version), "{version}");
        }
    }
}
