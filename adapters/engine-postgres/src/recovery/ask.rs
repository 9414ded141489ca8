//! What the server of the present says: whether it is set up, and what a server of its past has to know.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use walkback_core::recovery::RecoveryFiles;
use walkback_core::{Cx, Error, ErrorKind, Result};

use super::archive::Archive;
use crate::link::Link;

/// How long the archiver is waited for, that is asked to bring what it has.
const ARCHIVING: Duration = Duration::from_secs(60);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(100);

/// What a session is told by the configuration of a server and not by its data: without it, the same names may mean
/// other things.
const TOLD: &str =
    "'search_path', 'TimeZone', 'default_text_search_config', 'lc_monetary', 'lc_numeric', 'lc_time'";

/// What the archiver could not bring, if it cannot.
const FAILING: &str = "SELECT last_failed_wal, last_failed_time::text FROM pg_catalog.pg_stat_archiver \
                       WHERE last_failed_time > coalesce(last_archived_time, '-infinity')";

/// What a server of the past has to know of the present one.
#[derive(Debug)]
pub(super) struct Present {
    /// The major version.
    pub(super) version: u32,
    /// The number of its cluster, where the user may ask for it.
    pub(super) system: Option<String>,
    /// The timeline that it writes: what was before is on this one and those that its history names, and on no other.
    pub(super) timeline: u32,
    /// How many prepared transactions it has room for.
    pub(super) prepared: u32,
    /// Its own tablespaces, with where they are.
    pub(super) tablespaces: Vec<(u32, String)>,
    /// Settings of its configuration that say how sessions read.
    pub(super) settings: Vec<(String, String)>,
    /// Its programs, where the user may ask for it; on its machine.
    pub(super) programs: Option<PathBuf>,
}

/// Asks for all of it.
pub(super) async fn present(cx: &Cx, link: &mut Link) -> Result<Present> {
    let sql = "SELECT pg_catalog.current_setting('server_version_num')";
    let version = link.one_text(cx, sql).await?.parse::<u32>().unwrap_or_default() / 10_000;
    let sql = "SELECT oid::text, pg_catalog.pg_tablespace_location(oid) FROM pg_catalog.pg_tablespace \
               WHERE pg_catalog.pg_tablespace_location(oid) <> ''";
    let rows = link.texts(cx, sql, &[]).await?;
    let tablespaces = rows
        .iter()
        .filter_map(|row| Some((row.get(0).parse().ok()?, row.get(1).to_owned())))
        .collect();
    // What a role or a database says is in the data; what a connection says, it says again.
    let sql = format!(
        "SELECT name, coalesce(reset_val, '') FROM pg_catalog.pg_settings WHERE name IN ({TOLD}) \
         AND source IN ('default', 'configuration file', 'command line', 'environment variable', 'override')"
    );
    let rows = link.texts(cx, &sql, &[]).await?;
    let settings = rows
        .iter()
        .map(|row| (row.get(0).to_owned(), row.get(1).to_owned()))
        .collect();
    let system = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
    let programs = "SELECT setting FROM pg_catalog.pg_config WHERE name = 'BINDIR'";
    let prepared = "SELECT pg_catalog.current_setting('max_prepared_transactions')";
    Ok(Present {
        version,
        system: allowed(link.one_text(cx, system).await)?,
        timeline: timeline(cx, link).await?,
        prepared: link.one_text(cx, prepared).await?.parse().unwrap_or_default(),
        tablespaces,
        settings,
        programs: allowed(link.one_text(cx, programs).await)?.map(PathBuf::from),
    })
}

/// Returns the timeline that the server is on.
async fn timeline(cx: &Cx, link: &mut Link) -> Result<u32> {
    let unknown = || {
        Error::new(
            ErrorKind::PermissionDenied,
            "the server does not say on which timeline it is",
        )
        .hint("connect to the primary, or `GRANT EXECUTE ON FUNCTION pg_control_checkpoint() TO ..`")
    };
    let sql = "SELECT pg_catalog.pg_is_in_recovery()::text";
    if link.one_text(cx, sql).await? == "true" {
        let sql = "SELECT timeline_id::text FROM pg_catalog.pg_control_checkpoint()";
        let told = allowed(link.one_text(cx, sql).await)?;
        return told.and_then(|told| told.parse().ok()).ok_or_else(unknown);
    }
    // The checkpoint of a server that was promoted just now may still be of the timeline before.
    let sql = "SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())";
    let told = allowed(link.one_text(cx, sql).await)?;
    told.as_deref().and_then(timeline_of).ok_or_else(unknown)
}

/// Reads the timeline in the name of a file of the log.
fn timeline_of(segment: &str) -> Option<u32> {
    u32::from_str_radix(segment.get(..8)?, 16)
        .ok()
        .filter(|timeline| *timeline > 0)
}

/// Takes an answer that the user may not get for none.
fn allowed(answer: Result<String>) -> Result<Option<String>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lets the server archive what it has written up to now, so that the archive reaches the present. Where the user may
/// not ask for that, the archive ends where it ends.
pub(super) async fn archive_all(cx: &Cx, link: &mut Link, archive: &Path) -> Result<()> {
    let sql = "SELECT pg_catalog.pg_is_in_recovery()::text, (pg_catalog.current_setting('archive_mode') <> 'off')::text, \
               pg_catalog.current_setting('server_version_num')";
    let rows = link.texts(cx, sql, &[]).await?;
    let Some(row) = rows.first().filter(|row| !row.is(0) && row.is(1)) else {
        return Ok(());
    };
    let version = row.get(2).parse::<u32>().unwrap_or_default() / 10_000;
    // A recovery knows that it has reached a moment by a commit behind it: this is one, of nothing.
    link.batch(cx, "SELECT pg_catalog.txid_current()").await?;
    // A place between two files is the end of the one that is written; of the other since PostgreSQL 17, which knows that of the
    // byte before it.
    let before = if version >= 17 { " - 1" } else { "" };
    let sql = format!("SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_switch_wal(){before})");
    let Some(segment) = allowed(link.one_text(cx, &sql).await)? else {
        cx.progress().note(
            "the user may not let the server archive what it has written last: `GRANT EXECUTE ON FUNCTION pg_switch_wal() TO ..`",
        );
        return Ok(());
    };
    // Its name may be there before all of it is: the archiver counts what it has brought.
    let brought = format!(
        "SELECT coalesce(last_archived_wal COLLATE \"C\" >= '{segment}', false)::text FROM pg_catalog.pg_stat_archiver"
    );
    let begin = Instant::now();
    while !Archive::read(archive)?.has(&segment) || link.one_text(cx, &brought).await? != "true" {
        if begin.elapsed() > ARCHIVING || !link.texts(cx, FAILING, &[]).await?.is_empty() {
            cx.progress().warn(&format!(
                "the server has not archived what it has written last, up to `{segment}`: `pg_stat_archiver` says why"
            ));
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            ended = cx.ended() => return Err(ended),
        }
    }
    Ok(())
}

/// Returns what of the server's settings stands in the way, in words with what to set.
pub(super) async fn unset(cx: &Cx, link: &mut Link) -> Result<Vec<String>> {
    let sql = "SELECT pg_catalog.current_setting('wal_level'), pg_catalog.current_setting('archive_mode'), \
               pg_catalog.current_setting('archive_command'), \
               coalesce(pg_catalog.current_setting('archive_library', true), '')";
    let rows = link.texts(cx, sql, &[]).await?;
    let mut found = Vec::new();
    let Some(row) = rows.first() else {
        return Ok(found);
    };
    if row.get(0) == "minimal" {
        found.push(
            "`wal_level` is `minimal`: `ALTER SYSTEM SET wal_level = 'replica'`, and restart the server"
                .to_owned(),
        );
    }
    let is_off = row.get(1) == "off";
    if is_off {
        found.push(
            "`archive_mode` is `off`: `ALTER SYSTEM SET archive_mode = 'on'`, and restart the server"
                .to_owned(),
        );
    }
    let command = row.get(2).trim();
    if (command.is_empty() || command == "(disabled)") && row.get(3).is_empty() && !is_off {
        found.push(
            "`archive_command` is empty: `ALTER SYSTEM SET archive_command = 'test ! -f /srv/backup/wal/%f && cp %p \
             /srv/backup/wal/%f'`, and `SELECT pg_reload_conf()`"
                .to_owned(),
        );
    }
    if let Some(row) = link.texts(cx, FAILING, &[]).await?.first() {
        found.push(format!(
            "`archive_command` fails since {}, at `{}`: the log of the server says why",
            row.get(1),
            row.get(0)
        ));
    }
    Ok(found)
}

/// Returns what is wrong with the files, in words with what to set.
pub(super) fn missing_files(files: &RecoveryFiles, present: &Present) -> Vec<String> {
    let mut found = Vec::new();
    match super::base::Bases::look(files) {
        Err(error) => found.push(worded(&error)),
        Ok(bases) => {
            match bases.found.first() {
                None => found.push(format!(
                    "there is no base backup in `{}`: make one with `pg_basebackup -D <folder>`",
                    files.base_backup.display()
                )),
                Some(base) => found.extend(missing_segment(files, base)),
            }
            found.extend(bases.unusable);
        }
    }
    if let Err(error) = Archive::read(&files.wal_archive) {
        found.push(worded(&error));
    }
    let told = present.programs.as_deref();
    if let Err(error) = super::programs::Programs::find(present.version, files.programs.as_deref(), told) {
        found.push(worded(&error));
    }
    found
}

/// Returns that the log does not go on from the newest base backup, if that can be seen.
fn missing_segment(files: &RecoveryFiles, base: &super::base::Base) -> Option<String> {
    let segment = base.first_segment()?;
    let archive = Archive::read(&files.wal_archive).ok()?;
    if archive.has(&segment) || base.folder.join("pg_wal").join(&segment).is_file() {
        return None;
    }
    Some(format!(
        "the newest base backup, `{}`, begins with `{segment}`, which is not in `{}`: make a new base backup",
        base.folder.display(),
        files.wal_archive.display()
    ))
}

fn worded(error: &walkback_core::Error) -> String {
    error
        .hints()
        .first()
        .map_or_else(|| error.to_string(), |hint| format!("{error}: {hint}"))
}
