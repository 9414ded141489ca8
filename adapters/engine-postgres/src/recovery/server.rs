//! A server of the past: how it is set, that it comes up, and why it did not.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use walkback_core::cx::Unit;
use walkback_core::engine::ScratchDatabase;
use walkback_core::recovery::RecoveryFiles;
use walkback_core::{Access, Cx, Engine, Error, ErrorKind, Result};

use super::ask::Present;
use super::base::shown;
use super::copy::{OF_A_RUN, must_leave_room};
use super::place::Place;
use super::programs::{Programs, field};
use super::words::{self, Ended};
use crate::config::Config;
use crate::engine::PostgresEngine;
use crate::link::Link;

/// How often it is looked whether it is up.
const LOOK: Duration = Duration::from_millis(100);

/// The number in the name of its socket.
pub(super) const PORT: u16 = 5432;

/// Beside those of the base backup's control file: what it has no use for, and what would reach out of its folder.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("port", "5432"),
    ("unix_socket_permissions", "0700"),
    ("ssl", "off"),
    ("recovery_target_inclusive", "on"),
    ("recovery_target_action", "promote"),
    // Sessions come when it has got there, and not before.
    ("hot_standby", "off"),
    ("archive_mode", "off"),
    ("archive_command", ""),
    ("shared_preload_libraries", ""),
    ("synchronous_standby_names", ""),
    ("primary_conninfo", ""),
    // A subscription of the past would take from its publisher what the present waits for.
    ("max_logical_replication_workers", "0"),
    ("max_wal_senders", "0"),
    ("max_connections", "60"),
    ("shared_buffers", "64MB"),
    ("max_locks_per_transaction", "1024"),
    ("autovacuum", "off"),
    // It is thrown away, and a crash of it is told.
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_timezone", "UTC"),
    ("lc_messages", "C"),
    ("log_min_messages", "warning"),
    ("log_line_prefix", "%t "),
];

/// Returns the command that serves the data of a folder.
pub(super) fn command(programs: &Programs, folder: &Path) -> Vec<OsString> {
    let setting = |name: &str, file: &str| {
        let mut text = OsString::from(format!("{name}="));
        text.push(folder.join(file));
        text
    };
    vec![
        programs.program("postgres").into_os_string(),
        "-D".into(),
        folder.join("data").into_os_string(),
        "-c".into(),
        setting("config_file", "postgresql.conf"),
    ]
}

/// Writes the files that a server reads before it begins.
pub(super) fn prepare(
    place: &Place,
    programs: &Programs,
    present: &Present,
    files: &RecoveryFiles,
    until: DateTime<Utc>,
) -> Result<()> {
    let path = |name: &str| place.file(name).display().to_string();
    place.write("fetch.sh", include_str!("fetch.sh"))?;
    place.write("notes", "")?;
    // Whoever gets into the folder is let in: that is its account, and root.
    place.write("hba.conf", "local all all trust\n")?;
    place.write("ident.conf", "")?;
    let settled = ["recovery.signal", "tablespace_map", "backup_manifest"];
    for gone in settled.iter().chain(&OF_A_RUN) {
        place.remove(&format!("data/{gone}"))?;
    }
    place.write("data/postgresql.auto.conf", "")?;
    place.write("data/recovery.signal", "")?;
    let control = programs.control(&place.file("data")).ok_or_else(|| {
        Error::new(
            ErrorKind::Damaged,
            "the control file of the base backup cannot be read",
        )
    })?;
    must_be_of_this_server(&control, present)?;
    let mut text = String::new();
    let mut set = |name: &str, value: &str| {
        writeln!(text, "{name} = {}", literal(value)).ok();
    };
    for (name, value) in SETTINGS {
        set(name, value);
    }
    // Transactions that were prepared and not committed are there again, and have to have room.
    set(
        "max_prepared_transactions",
        &most(field(&control, "max_prepared_xacts setting"), present).to_string(),
    );
    // The archive may hold timelines of clones and of servers that are no more. What this one has never been on is not
    // its past, however new it is; and a timeline whose history is missing is an error of the server's.
    set("recovery_target_timeline", &present.timeline.to_string());
    // As little of the log as may be: at least two of its files, whatever their size.
    let segment = field(&control, "Bytes per WAL segment").and_then(|bytes| bytes.parse::<u64>().ok());
    let segment = segment.map_or(16, |bytes| (bytes >> 20).max(1));
    set("min_wal_size", &format!("{}MB", 2 * segment));
    set("max_wal_size", &format!("{}MB", (4 * segment).max(128)));
    set(
        "unix_socket_directories",
        &quoted_folder(&place.path().display().to_string()),
    );
    set("hba_file", &path("hba.conf"));
    set("ident_file", &path("ident.conf"));
    let archive = files.wal_archive.display().to_string();
    let reader = programs.program("pg_waldump");
    if !reader.is_file() {
        return Err(
            Error::not_found(format!("there is no program `{}`", reader.display())).hint(
                "install it: what a server is to replay is looked through for what would reach out of its folder",
            ),
        );
    }
    let fetch = [
        path("fetch.sh"),
        archive,
        "%f".to_owned(),
        "%p".to_owned(),
        path("notes"),
        reader.display().to_string(),
    ];
    set("restore_command", &fetching(&fetch));
    set(
        "recovery_target_time",
        &until.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string(),
    );
    for (name, value) in &present.settings {
        if name.starts_with("lc_") || !value.is_empty() {
            set(name, value);
        }
    }
    place.write("postgresql.conf", &text)
}

/// Returns room for all prepared transactions: the setting may have grown since the base backup was made.
fn most(then: Option<&str>, present: &Present) -> u32 {
    let then = then.and_then(|then| then.parse().ok()).unwrap_or_default();
    present.prepared.max(then)
}

/// Fails where the base backup is of another cluster: what is in it never was in this database.
fn must_be_of_this_server(control: &str, present: &Present) -> Result<()> {
    let of_base = field(control, "Database system identifier");
    match (&present.system, of_base) {
        (Some(system), Some(of_base)) if system != of_base => Err(Error::config(format!(
            "the base backup is of another server: of the cluster {of_base}, and the database is in {system}"
        ))
        .hint("set `base_backup` and `wal_archive` in `[env.<name>.recovery]` to those of this server")),
        _ => Ok(()),
    }
}

/// Writes the command by which the server asks for a file: `%f` and `%p` are for it to fill in.
fn fetching(words: &[String; 6]) -> String {
    let [script, archive, name, target, notes, reader] = words;
    let own = |word: &str| format!("'{}'", word.replace('\'', r"'\''").replace('%', "%%"));
    format!(
        "sh {} {} \"{name}\" \"{target}\" {} {}",
        own(script),
        own(archive),
        own(notes),
        own(reader)
    )
}

/// Writes a text as the configuration file of a server takes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

/// Writes the path of a folder as an element of a list.
fn quoted_folder(path: &str) -> String {
    format!("\"{}\"", path.replace('"', "\"\""))
}

/// A database of the past, on a server of its own. Dropping it ends the server and removes all it had.
#[derive(Debug)]
pub(super) struct Recovered {
    engine: Arc<PostgresEngine>,
    /// Held for its drop.
    _place: Place,
}

impl ScratchDatabase for Recovered {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine) as Arc<dyn Engine>
    }
}

/// Why there is no database of the past.
#[derive(Debug)]
pub(super) enum Failure {
    /// The base backup was not complete yet at that moment: an older one may do.
    TooEarly(Error),
    /// Anything else.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// Starts the server, and waits until it has reached the moment.
pub(super) async fn serve(
    cx: &Cx,
    mut place: Place,
    config: &Config,
    files: &RecoveryFiles,
    until: DateTime<Utc>,
) -> Result<Recovered, Failure> {
    let config = Arc::new(config.at_socket(&place.path().display().to_string(), PORT));
    place.start()?;
    let task = cx
        .progress()
        .begin("replaying the log of the server", Unit::Items, None);
    let mut taken = 0;
    loop {
        // It is asked first: a server that has ended has written its last word.
        let has_ended = place.has_ended();
        let notes = place.read("notes");
        let now = notes.lines().filter(|line| line.starts_with("took ")).count();
        task.advance(u64::try_from(now.saturating_sub(taken)).unwrap_or_default());
        taken = now;
        if has_ended {
            let ended = Ended {
                log: place.read("log"),
                notes,
            };
            return Err(words::why(&ended, files, until));
        }
        must_leave_room(place.path())?;
        match Link::open(cx, Arc::clone(&config), Access::Read).await {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Unavailable => cx.check()?,
            Err(error) => return Err(refused(&config, error, until).into()),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            ended = cx.ended() => return Err(ended.into()),
        }
    }
    if !place.read("log").contains("recovery stopping") {
        return Err(Error::internal("the server came up without having stopped at the moment").into());
    }
    Ok(Recovered {
        engine: Arc::new(PostgresEngine::new((*config).clone())),
        _place: place,
    })
}

/// Says why a session is refused by a server that has reached the moment.
fn refused(config: &Config, error: Error, until: DateTime<Utc>) -> Error {
    let moment = shown(until);
    match error.kind() {
        ErrorKind::NotFound => Error::not_found(format!(
            "the database `{}` did not exist at {moment}",
            config.database()
        ))
        .hint("name a later moment, or the database it had another name as"),
        _ => error
            .wrap(format!(
                "the server as it was at {moment} does not let the user in"
            ))
            .hint("the user of the URL has to have existed then, with the right to connect"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awkward_paths_are_what_they_are_to_the_shell_and_the_server() {
        let words = ["/a b/fetch.sh", "/it's 100%", "%f", "%p", "/n", "/r"].map(str::to_owned);
        assert_eq!(
            fetching(&words),
            r#"sh '/a b/fetch.sh' '/it'\''s 100%%' "%f" "%p" '/n' '/r'"#
        );
        assert_eq!(literal(r"a'b\c"), r"'a''b\\c'");
    }

    #[test]
    fn another_servers_base_backup_is_refused() {
        let mut present = Present {
            version: 15,
            system: Some("7".to_owned()),
            timeline: 1,
            prepared: 4,
            tablespaces: Vec::new(),
            settings: Vec::new(),
            programs: None,
        };
        let control = "Database system identifier:           8\n";
        assert!(must_be_of_this_server(control, &present).is_err());
        assert_eq!((most(Some("3"), &present), most(Some("5"), &present)), (4, 5));
        present.system = Some("8".to_owned());
        assert!(must_be_of_this_server(control, &present).is_ok());
    }
}
