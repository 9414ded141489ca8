//! The project's own Python, and what is asked of it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use walkback_core::source::Pause;
use walkback_core::{AdapterConfig, Cx, Error, ErrorKind, Result};

use crate::settings::Settings;

const HELPER: &str = include_str!("helper.py");

/// The line by which it asks whether to go on.
const HELD: &str = "held";

/// A Python that has Alembic, it is hoped.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    /// As it is configured.
    configured: Option<PathBuf>,
    /// The virtual environment that is active.
    active: Option<PathBuf>,
    /// What PostgreSQL's library takes from the surroundings, and that a run may write also while applications may not.
    pg_options: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    ok: Option<Value>,
    error: Option<Failure>,
}

/// What went wrong inside.
#[derive(Debug, Deserialize)]
struct Failure {
    kind: String,
    message: String,
    /// The file and the line.
    at: Option<(PathBuf, Option<usize>)>,
}

/// Adds to options of PostgreSQL that the session may write: the run may keep everybody else from that.
pub(crate) fn writing(options: &str) -> String {
    format!("{options} -c default_transaction_read_only=off")
        .trim_start()
        .to_owned()
}

impl Python {
    pub(crate) fn of(config: &AdapterConfig, configured: Option<&str>) -> Self {
        let of_path = |name: &str| match name.contains(['/', '\\']) {
            true => config.resolve(name),
            false => PathBuf::from(name),
        };
        Self {
            configured: configured.map(of_path),
            active: config.environment.get("VIRTUAL_ENV").map(PathBuf::from),
            pg_options: writing(&config.environment.get("PGOPTIONS").unwrap_or_default()),
        }
    }

    /// Returns the program: what is configured, else the virtual environment that is active or stands beside the project,
    /// else what the system has.
    fn program(&self, folder: &Path) -> PathBuf {
        if let Some(configured) = &self.configured {
            return configured.clone();
        }
        let beside = [".venv", "venv"].map(|name| folder.join(name));
        let environments = self.active.iter().chain(&beside);
        let mut pythons = environments.map(|folder| folder.join("bin/python"));
        pythons
            .find(|python| python.is_file())
            .unwrap_or_else(|| PathBuf::from("python3"))
    }

    /// Asks Alembic something, in a process of its own.
    ///
    /// # Errors
    /// `Config` where there is no Python, no Alembic, or the project cannot be loaded, with the file and the line;
    /// `Database` for what the database says.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        about: (&Settings, &str),
        request: Value,
    ) -> Result<T> {
        self.ask_twice(cx, about, request, None).await
    }

    /// Asks Alembic something, and is asked in between whether it is to go on.
    pub(crate) async fn ask_twice<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        (settings, section): (&Settings, &str),
        mut request: Value,
        pause: Option<&Pause>,
    ) -> Result<T> {
        cx.check()?;
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        request["ini"] = json!(whole(&settings.file));
        request["folder"] = json!(whole(&settings.folder));
        request["section"] = json!(section);
        let program = self.program(&settings.folder);
        let mut child = Command::new(&program)
            .args(["-c", HELPER])
            .current_dir(&settings.folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUTF8", "1")
            .env("PGOPTIONS", &self.pg_options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| no_python(&program, error))?;
        let (Some(mut stdin), Some(stdout), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::internal("a process has no pipes"));
        };
        let (mut answer, mut said) = (String::new(), Vec::new());
        let talk = async {
            stdin.write_all(format!("{request}\n").as_bytes()).await?;
            stdin.flush().await?;
            let mut lines = BufReader::new(stdout).lines();
            let answers = async {
                while let Some(line) = lines.next_line().await? {
                    let Some(pause) = pause.filter(|_| line == HELD) else {
                        answer = line;
                        continue;
                    };
                    let goes_on = pause.wait().await;
                    let word: &[u8] = if goes_on { b"go\n" } else { b"stop\n" };
                    stdin.write_all(word).await?;
                    stdin.flush().await?;
                }
                Ok(())
            };
            let read = tokio::try_join!(answers, stderr.read_to_end(&mut said));
            // It stayed open: the process ends when it is closed, and so when this one is killed.
            drop(stdin);
            read?;
            child.wait().await
        };
        let status = tokio::select! {
            status = talk => status,
            error = cx.ended() => return Err(error),
        };
        let said = String::from_utf8_lossy(&said).into_owned();
        for line in said.lines() {
            tracing::debug!("alembic: {line}");
        }
        let status = status.map_err(|error| {
            Error::new(
                ErrorKind::Internal,
                "the process of Python could not be talked to",
            )
            .with_source(error)
        })?;
        let answer: Answer = serde_json::from_str(&answer).map_err(|_| {
            Error::new(
                ErrorKind::Config,
                format!("`{}` ended without an answer ({status})", program.display()),
            )
            .with_context("it said", tail(&said))
        })?;
        match answer {
            Answer { ok: Some(ok), .. } => serde_json::from_value(ok).map_err(|error| {
                Error::internal("Python gave another answer than was asked").with_source(error)
            }),
            Answer { error, .. } => Err(failed(&program, error, &said)),
        }
    }
}

fn no_python(program: &Path, error: std::io::Error) -> Error {
    Error::config(format!("there is no Python at `{}`", program.display()))
        .with_source(error)
        .hint("what Alembic's revisions do is asked of the project's own Alembic")
        .hint(
            "set `python` in the section `[source]` of walkback.toml, such as `python = \"venv/bin/python\"`",
        )
}

fn failed(program: &Path, failure: Option<Failure>, said: &str) -> Error {
    let Some(failure) = failure else {
        return Error::internal("Python gave no answer");
    };
    let place = failure.at.map_or_else(String::new, |(file, line)| {
        let line = line.map_or_else(String::new, |line| format!(":{line}"));
        format!(" ({}{line})", file.display())
    });
    let message = format!("{}{place}", failure.message);
    let error = match failure.kind.as_str() {
        "no-alembic" => Error::config(format!("`{}` has no Alembic: {}", program.display(), failure.message))
            .hint("set `python` in the section `[source]` of walkback.toml, such as `python = \"venv/bin/python\"`")
            .hint(format!("or install it: `{} -m pip install alembic`", program.display())),
        "database" => Error::new(ErrorKind::Database, message),
        "locked" => Error::new(ErrorKind::Locked, message)
            .hint("nothing was changed; another session holds a lock: run it again, or wait longer with `--lock-timeout 5m`"),
        "stopped" => Error::new(ErrorKind::Locked, message).hint("nothing was changed; run it again"),
        "elsewhere" => Error::config(message)
            .hint("let `env.py` take the URL from `config.get_main_option(\"sqlalchemy.url\")`: walkback sets it there")
            .hint("or give the URL that `env.py` takes to walkback too; nothing was changed"),
        "revision" => Error::new(ErrorKind::Database, message),
        _ => Error::config(message).hint("`alembic history` in the folder of the project should say the same"),
    };
    error.with_context("Python said", tail(said))
}

/// Returns the last lines of what a process said.
fn tail(said: &str) -> String {
    let lines: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}
