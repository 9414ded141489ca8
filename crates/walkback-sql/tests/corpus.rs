//! Splits and classifies real migrations, which nobody here wrote, and prints the rates.
//!
//! `WALKBACK_CORPORA` names a folder with checkouts as `<owner>/<repository>`. Without it every trial is shown
//! as `ignored`: a run without corpora must not look like one that passed.

#![expect(clippy::print_stderr, reason = "the rates are the point of the test")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use walkback_core::DialectKind;
use walkback_core::statement::Action;

/// A folder of real migrations.
struct Corpus {
    /// Below `WALKBACK_CORPORA`.
    folder: &'static str,
    kind: DialectKind,
    /// Fewest statements; with fewer, the folder is not what it should be.
    statements: usize,
    /// Smallest share that must not be unknown, in percent.
    classified: f64,
}

const fn corpus(folder: &'static str, kind: DialectKind, statements: usize, classified: f64) -> Corpus {
    Corpus {
        folder,
        kind,
        statements,
        classified,
    }
}

/// Where less than 99 % is asked for, the migrations call routines of their own, which nobody can read: lemmy
/// functions in queries, authelia procedures that drop what a variable names.
const CORPORA: [Corpus; 7] = [
    corpus(
        "dani-garcia/vaultwarden/migrations/sqlite",
        DialectKind::Sqlite,
        100,
        99.0,
    ),
    corpus(
        "dani-garcia/vaultwarden/migrations/mysql",
        DialectKind::Mysql,
        100,
        99.0,
    ),
    corpus(
        "dani-garcia/vaultwarden/migrations/postgresql",
        DialectKind::Postgres,
        100,
        99.0,
    ),
    corpus("LemmyNet/lemmy/migrations", DialectKind::Postgres, 1000, 98.0),
    corpus(
        "authelia/authelia/internal/storage/migrations/sqlite",
        DialectKind::Sqlite,
        100,
        99.0,
    ),
    corpus(
        "authelia/authelia/internal/storage/migrations/mysql",
        DialectKind::Mysql,
        100,
        85.0,
    ),
    corpus(
        "authelia/authelia/internal/storage/migrations/postgres",
        DialectKind::Postgres,
        100,
        99.0,
    ),
];

fn main() {
    let arguments = Arguments::from_args();
    let root = std::env::var_os("WALKBACK_CORPORA").map(PathBuf::from);
    let trial = |corpus: Corpus| {
        let path = root.as_ref().map(|root| root.join(corpus.folder));
        let is_there = path.as_ref().is_some_and(|path| path.is_dir());
        let name = format!("{} splits whole and is classified", corpus.folder);
        Trial::test(name, move || match path {
            Some(path) => check(&path, &corpus),
            None => Err(Failed::from("`WALKBACK_CORPORA` is not set")),
        })
        .with_ignored_flag(!is_there)
    };
    if root.is_none() {
        eprintln!(
            "note: real migrations were not looked at; set `WALKBACK_CORPORA` to a folder of checkouts"
        );
    }
    libtest_mimic::run(&arguments, CORPORA.into_iter().map(trial).collect()).exit();
}

fn check(folder: &Path, corpus: &Corpus) -> Result<(), Failed> {
    let kind = corpus.kind;
    let files =
        sql_files(folder).map_err(|error| Failed::from(format!("`{}`: {error}", folder.display())))?;
    let (mut statements, mut parsed, mut classified) = (0_usize, 0_usize, 0_usize);
    let mut why: BTreeMap<String, usize> = BTreeMap::new();
    for file in &files {
        let script = std::fs::read_to_string(file)
            .map_err(|error| Failed::from(format!("`{}`: {error}", file.display())))?;
        for statement in
            walkback_sql::split(kind, &script, file).map_err(|error| Failed::from(format!("{error:?}")))?
        {
            statements += 1;
            parsed += usize::from(walkback_sql::parses(kind, &statement));
            let effect = walkback_sql::effect(kind, &statement);
            let unknown = effect.actions.iter().find_map(|action| match action {
                Action::Unknown { why } => Some(why.clone()),
                _ => None,
            });
            match unknown {
                Some(reason) => *why.entry(reason).or_default() += 1,
                None => classified += 1,
            }
            if effect.actions.is_empty() {
                return Err(Failed::from(format!(
                    "no effect at {}:{}",
                    file.display(),
                    statement.line
                )));
            }
        }
    }
    let percent = |part: usize| part as f64 * 100.0 / statements.max(1) as f64;
    eprintln!(
        "{kind:>8}: {} files, {statements} statements, {:.1} % parsed, {:.1} % classified, {} unknown {why:?}",
        files.len(),
        percent(parsed),
        percent(classified),
        statements - classified,
    );
    if statements < corpus.statements {
        return Err(Failed::from(format!(
            "only {statements} statements in `{}`",
            folder.display()
        )));
    }
    if percent(classified) < corpus.classified {
        return Err(Failed::from(format!(
            "{:.1} % classified: {why:?}",
            percent(classified)
        )));
    }
    Ok(())
}

fn sql_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension() == Some(OsStr::new("sql")) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
