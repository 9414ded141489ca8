//! The one place where programs are started: the server's own, to load and to read dumps of its own making.

use std::io::{ErrorKind as IoKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::NamedTempFile;
use walkback_core::dump::Program;
use walkback_core::{Cx, Error, ErrorKind, Result};

/// How long to wait between two looks at whether a program has ended or is to be stopped.
const NAP: Duration = Duration::from_millis(10);

/// How many lines of what a program complains about are shown.
const LINES: usize = 12;

/// Writes a dump into the input of a program. What it returns is what is wrong with the dump.
pub(super) type Feed = Box<dyn FnOnce(&mut dyn Write) -> std::io::Result<()> + Send>;

/// Stops the program when the future that waits for it is dropped.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a program to its end and returns what it has printed.
///
/// # Errors
/// `NotFound` if it is not installed, `Damaged` if the dump cannot be read, `Database` with what the program
/// said if it failed.
pub(super) async fn run(
    cx: &Cx,
    program: &Program,
    path: Option<&Path>,
    feed: Option<Feed>,
) -> Result<Vec<u8>> {
    cx.check()?;
    let stop = Arc::new(AtomicBool::new(false));
    let _stop_on_drop = StopOnDrop(Arc::clone(&stop));
    let (call, path, flag) = (program.clone(), path.map(Path::to_owned), Arc::clone(&stop));
    let mut task = tokio::task::spawn_blocking(move || to_the_end(&call, path.as_deref(), feed, &flag));
    let lost = |error| Error::internal("a program that was started came to no end").with_source(error);
    tokio::select! {
        outcome = &mut task => outcome.map_err(lost)?,
        error = cx.ended() => {
            stop.store(true, Ordering::Relaxed);
            task.await.map_err(lost)?.ok();
            Err(error)
        }
    }
}

fn to_the_end(
    program: &Program,
    path: Option<&Path>,
    feed: Option<Feed>,
    stop: &AtomicBool,
) -> Result<Vec<u8>> {
    let options = program
        .options
        .as_ref()
        .map(|(_, text)| private_file(text))
        .transpose()?;
    let (name, mut child) = start(
        program,
        options.as_ref().map(NamedTempFile::path),
        path,
        feed.is_some(),
    )?;
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let feeding = feed.zip(child.stdin.take()).map(|(feed, mut input)| {
        std::thread::spawn(move || {
            let outcome = feed(&mut input);
            // Its end is the end of the dump.
            drop(input);
            outcome
        })
    });
    let status = wait(&mut child, stop)
        .map_err(|error| Error::internal(format!("`{name}` cannot be waited for")).with_source(error))?;
    let (stdout, stderr) = (joined(stdout), joined(stderr));
    let fed = feeding.map_or(Ok(()), |thread| {
        thread
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("the thread that reads the dump has failed")))
    });
    match fed {
        // It had enough, or failed: its own words say which.
        Err(error) if error.kind() == IoKind::BrokenPipe => {}
        Err(error) => {
            return Err(
                Error::new(ErrorKind::Damaged, "the dump cannot be read to its end").with_source(error),
            );
        }
        Ok(()) => {}
    }
    if status.success() {
        return Ok(stdout);
    }
    Err(Error::new(
        ErrorKind::Database,
        format!("`{name}` failed ({status}): {}", complaint(&stderr)),
    ))
}

/// Writes options where only this user can read them.
fn private_file(text: &str) -> Result<NamedTempFile> {
    let failed = |error| Error::io("create a file in", &std::env::temp_dir(), error);
    let mut file = tempfile::Builder::new()
        .prefix("walkback-options-")
        .tempfile()
        .map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.flush())
        .map_err(failed)?;
    Ok(file)
}

/// Starts a program under the first of its names that there is.
fn start(
    program: &Program,
    options: Option<&Path>,
    path: Option<&Path>,
    is_fed: bool,
) -> Result<(&'static str, Child)> {
    for name in &program.names {
        let mut command = Command::new(name);
        if let (Some((argument, _)), Some(file)) = (&program.options, options) {
            command.arg(format!("{argument}{}", file.display()));
        }
        command
            .args(&program.arguments)
            .args(path)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(if is_fed { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => return Ok((name, child)),
            Err(error) if error.kind() == IoKind::NotFound => {}
            Err(error) => {
                return Err(
                    Error::new(ErrorKind::Io, format!("`{name}` cannot be started")).with_source(error)
                );
            }
        }
    }
    let names: Vec<_> = program.names.iter().map(|name| format!("`{name}`")).collect();
    Err(Error::not_found(format!(
        "this dump needs {}, which is not installed or not in `PATH`",
        names.join(" or ")
    ))
    .hint(format!(
        "install it ({}) and run the same command again",
        program.package
    )))
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).ok();
        bytes
    })
}

fn joined(thread: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
}

fn wait(child: &mut Child, stop: &AtomicBool) -> std::io::Result<std::process::ExitStatus> {
    loop {
        if stop.load(Ordering::Relaxed) {
            child.kill()?;
            return child.wait();
        }
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(NAP);
    }
}

/// Returns the first lines of what a program complained about.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains("unknown variable 'loose"))
        .take(LINES)
        .collect();
    lines.join("\n")
}
