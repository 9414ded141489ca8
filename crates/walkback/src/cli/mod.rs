//! The command line of walkback.
//!
//! Data goes to stdout; progress, warnings and errors go to stderr. With `--json` stdout gets exactly one
//! object, also on failure: `{"command": .., ..}` or `{"error": {..}}`.

mod args;
mod commands;
mod confirm;
mod context;
mod exit;
mod output;
mod progress;
mod render;
mod shell;
mod signal;
mod summary;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind as ClapKind;
use walkback_core::{Error, ErrorKind, Result};

use args::{Cli, ColorWhen, LogFormat};
use context::Context;
pub use context::Hooks;
use output::Output;

/// How long the end of the program waits for connections to be closed.
const LAST_ORDERS: Duration = Duration::from_secs(5);

/// Runs the program: reads the command line, does what it says, and returns the exit code.
#[must_use]
pub fn main(hooks: Hooks) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(not_understood(&error, wants_json(&arguments))),
    };
    choose_colors(cli.global.color);
    let context = Context::new(cli.global, &cli.command, &hooks);
    let outcome = log_to_stderr(context.global.verbose, context.global.log_format)
        .and_then(|()| runtime())
        .and_then(|runtime| {
            let outcome = runtime.block_on(async {
                signal::listen(&context.cx).map_err(|error| cannot_start("listen for signals", error))?;
                Box::pin(commands::run(&context, cli.command)).await
            });
            // Connections close on threads of their own; what hangs must not keep the program from ending.
            runtime.shutdown_timeout(LAST_ORDERS);
            outcome
        });
    let code = match outcome {
        Ok(code) => written(&context.out, code),
        Err(error) => failed(&context.out, &error),
    };
    summary::append(&context, code);
    ExitCode::from(code)
}

/// Tells an error, and returns its exit code.
fn failed(out: &Output, error: &Error) -> u8 {
    out.error(error);
    exit::code(error.kind())
}

/// Returns the exit code of a command that did what it was to do: where its output could not be written, that is what failed
/// after it.
fn written(out: &Output, code: u8) -> u8 {
    match out.finish() {
        Ok(()) => code,
        Err(error) => {
            out.error(&error);
            match code {
                exit::DONE => exit::CHECK_FAILED,
                code => code,
            }
        }
    }
}

/// Tells what is wrong with the command line, or prints the help that was asked for.
fn not_understood(error: &clap::Error, json: bool) -> u8 {
    if matches!(error.kind(), ClapKind::DisplayHelp | ClapKind::DisplayVersion) {
        error.print().ok();
        return exit::DONE;
    }
    if json {
        let rendered = error.render().to_string();
        let mut lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or("the command line is not understood");
        let mut usage = Error::new(ErrorKind::Usage, first.strip_prefix("error: ").unwrap_or(first));
        for line in lines {
            usage = usage.hint(line.strip_prefix("tip: ").unwrap_or(line));
        }
        return failed(&Output::new(true, false), &usage);
    }
    error.print().ok();
    exit::USAGE
}

/// Returns whether `--json` is on a command line that cannot be read as a whole.
fn wants_json(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--json")
}

fn choose_colors(when: ColorWhen) {
    match when {
        ColorWhen::Auto => anstream::ColorChoice::Auto,
        ColorWhen::Always => anstream::ColorChoice::Always,
        ColorWhen::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// Logs to stderr: with `-v`, what `WALKBACK_LOG` says in the syntax of `tracing`, or what programs are to read.
fn log_to_stderr(verbosity: u8, format: Option<LogFormat>) -> Result<()> {
    let is_json = match format {
        Some(format) => format == LogFormat::Json,
        None => log_format_of_environment()?,
    };
    let said = std::env::var("WALKBACK_LOG").ok().filter(|said| !said.is_empty());
    let filter = match (verbosity, said) {
        (0, None) if is_json => "walkback=info".to_owned(),
        (0, None) => return Ok(()),
        (0, Some(filter)) => filter,
        (1, _) => "walkback=info".to_owned(),
        (2, _) => "walkback=debug".to_owned(),
        _ => "trace".to_owned(),
    };
    let filter = tracing_subscriber::EnvFilter::try_new(&filter).map_err(|error| {
        Error::config(format!("`WALKBACK_LOG={filter}` is not a filter"))
            .with_source(error)
            .hint("write it as `walkback=debug`")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would tell on stderr that stderr is gone, and panic.
        .log_internal_errors(false)
        .with_ansi(false);
    let begun = if is_json {
        log.json().flatten_event(true).try_init()
    } else {
        log.try_init()
    };
    begun.map_err(|error| Error::internal("logging cannot be set up").with_source(error))
}

/// Returns whether `WALKBACK_LOG_FORMAT` says `json`.
fn log_format_of_environment() -> Result<bool> {
    match std::env::var("WALKBACK_LOG_FORMAT").as_deref() {
        Ok("json") => Ok(true),
        Err(_) | Ok("" | "text") => Ok(false),
        Ok(other) => Err(Error::config(format!(
            "`WALKBACK_LOG_FORMAT={other}` is not a format of the log"
        ))
        .hint("it is `text` or `json`")),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot_start("start threads", error))
}

fn cannot_start(what: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {what}")).with_source(error)
}

#[cfg(test)]
mod tests;
