//! Back to a moment, by the server's own recovery: a copy of a base backup, the archived log up to the moment, and a
//! server on both that nobody else sees.
//!
//! The base backup is never served itself, the server listens on a socket in a private folder and on nothing else, and
//! it obeys no setting of the base backup: not its `archive_command`, which would write into the archive, nor its
//! `primary_conninfo` or its preloaded libraries.

mod account;
mod archive;
mod ask;
mod base;
mod copy;
mod links;
mod place;
mod programs;
mod server;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use walkback_core::engine::ScratchDatabase;
use walkback_core::recovery::{Recovery, RecoveryFiles};
use walkback_core::{Access, Cx, Error, ErrorKind, Result, ResultExt as _};

use crate::engine::PostgresEngine;
use crate::link::Link;

use account::Account;
use ask::Present;
use base::{Base, Bases, shown};
use place::Place;
use programs::{Programs, version_of_data};
use server::{Failure, Recovered};

#[async_trait]
impl Recovery for PostgresEngine {
    async fn check(&self, cx: &Cx, files: Option<&RecoveryFiles>) -> Result<Vec<String>> {
        let mut link = Link::open(cx, Arc::clone(self.shared()), Access::Read).await?;
        let mut found = ask::unset(cx, &mut link).await?;
        let Some(files) = files else {
            found.push(
                "no base backup is configured: add `[env.<name>.recovery]` with `base_backup` and `wal_archive`"
                    .to_owned(),
            );
            return Ok(found);
        };
        let present = ask::present(cx, &mut link).await?;
        match absolute(files) {
            Ok(files) => {
                found.extend(ask::missing_files(&files, &present));
                found.extend(place::abandoned(&files).iter().map(|folder| {
                    format!(
                        "`{}` is left of a recovery that was killed: the next one removes it",
                        folder.display()
                    )
                }));
            }
            Err(error) => found.push(error.to_string()),
        }
        Ok(found)
    }

    async fn recover_to(
        &self,
        cx: &Cx,
        until: DateTime<Utc>,
        files: &RecoveryFiles,
    ) -> Result<Box<dyn ScratchDatabase>> {
        let until = to_the_microsecond(until);
        if until > cx.now() {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("{} is in the future", shown(until)),
            ));
        }
        let files = absolute(files)?;
        place::sweep(cx, &files);
        let mut link = Link::open(cx, Arc::clone(self.shared()), Access::Read).await?;
        let present = ask::present(cx, &mut link).await?;
        let bases = Bases::look(&files)?;
        let candidates = bases.before(&files, until)?;
        for why in &bases.unusable {
            cx.progress().warn(why);
        }
        ask::archive_all(cx, &mut link, &files.wal_archive).await?;
        drop(link);
        let mut failed = None;
        for base in candidates {
            match Box::pin(self.serve_past(cx, base, until, &files, &present)).await {
                Ok(recovered) => return Ok(Box::new(recovered)),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::TooEarly(error)) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| Error::internal("no base backup was tried")))
    }
}

impl PostgresEngine {
    /// Serves the past from one base backup.
    async fn serve_past(
        &self,
        cx: &Cx,
        base: &Base,
        until: DateTime<Utc>,
        files: &RecoveryFiles,
        present: &Present,
    ) -> Result<Recovered, Failure> {
        // What is packed is of the version of the server, or found not to be once it is unpacked.
        let version = base.version()?.unwrap_or(present.version);
        let programs = Programs::find(version, files.programs.as_deref(), present.programs.as_deref())?;
        let account = Account::choose(files)?;
        let place = Place::make(files, account, |folder| server::command(&programs, folder))?;
        copy::lay_out(cx, base, &place, present).await?;
        let data = place.file("data");
        let unpacked = version_of_data(&data)?;
        if unpacked != version {
            return Err(Error::config(format!(
                "the base backup `{}` is of PostgreSQL {unpacked}, and the server is {version}",
                base.folder.display()
            ))
            .hint("set `base_backup` in `[env.<name>.recovery]` to those of this server")
            .into());
        }
        verified(cx, base, &programs, &place).await?;
        server::prepare(&place, &programs, present, files, until)?;
        server::serve(cx, place, self.config(), files, until).await
    }
}

/// Compares the copy with the manifest of the base backup, file by file.
async fn verified(cx: &Cx, base: &Base, programs: &Programs, place: &Place) -> Result<()> {
    let shown = base.folder.display();
    if !base.has_manifest {
        cx.progress().warn(&format!(
            "the base backup `{shown}` has no manifest: whether it is complete is seen only by what the server makes of it"
        ));
        return Ok(());
    }
    let (programs, account, data) = (programs.clone(), place.account, place.file("data"));
    let verify = tokio::task::spawn_blocking(move || programs.verify(account, &data));
    let found = tokio::select! {
        found = verify => found.map_err(|error| Error::internal("a check was given up").with_source(error))??,
        ended = cx.ended() => return Err(ended),
    };
    match found {
        None => Ok(()),
        Some(said) => Err(Error::new(
            ErrorKind::Damaged,
            format!("the base backup `{shown}` is not what its manifest says"),
        )
        .with_source(std::io::Error::other(
            said.replace(&place.file("data").display().to_string(), ""),
        ))
        .hint("use another base backup: move this one elsewhere, and an older one is taken")),
    }
}

/// Returns the files by paths that mean the same to a server elsewhere.
fn absolute(files: &RecoveryFiles) -> Result<RecoveryFiles> {
    let path = |key: &str, path: &Path| -> Result<PathBuf> {
        let found = path
            .canonicalize()
            .map_err(|error| Error::io("find", path, error));
        let found = found.hint(|| format!("it is what `{key}` in `[env.<name>.recovery]` names"))?;
        if found.to_str().is_none_or(|text| text.contains('\n')) {
            return Err(Error::config(format!(
                "the server cannot be told of `{}`: it is not UTF-8, or has a line break",
                found.display()
            )));
        }
        Ok(found)
    };
    let optional =
        |key: &str, given: &Option<PathBuf>| given.as_deref().map(|given| path(key, given)).transpose();
    Ok(RecoveryFiles {
        base_backup: path("base_backup", &files.base_backup)?,
        wal_archive: path("wal_archive", &files.wal_archive)?,
        programs: optional("programs", &files.programs)?,
        folder: optional("folder", &files.folder)?,
    })
}

/// The server counts microseconds, and what was committed within one is on either side.
fn to_the_microsecond(moment: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(moment.timestamp_micros()).unwrap_or(moment)
}
