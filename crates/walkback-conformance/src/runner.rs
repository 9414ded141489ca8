//! Turns a table of checks into the trials of a test binary.
//!
//! A check is an `async fn(fixture) -> Result<()>` whose name is a statement about the contract. It fails by
//! an assertion or by an error. A test binary of an adapter sets `harness = false` and reads
//! ```ignore
//! fn main() -> ExitCode {
//!     walkback_conformance::store::main("fs", || Fixture::Ready(..))
//! }
//! ```
//!
//! A fixture that this machine cannot give makes every trial a visible `ignored`, with the reason printed;
//! `WALKBACK_REQUIRE=fs,postgres` turns that into failures. A binary without a trial fails.

use std::process::ExitCode;
use std::sync::Arc;

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use walkback_core::Result;

/// The environment variable that lists the fixtures which must be there, separated by commas.
pub const REQUIRE: &str = "WALKBACK_REQUIRE";

/// One statement about a contract, and the function that sees whether it holds.
#[derive(Debug)]
pub struct Check<F> {
    /// The statement, as the name of the function.
    pub name: &'static str,
    /// Sees whether it holds: fails by an error or a panic.
    pub run: fn(F) -> BoxFuture<'static, Result<()>>,
}

/// Builds a table of checks from the names of `async fn(fixture) -> Result<()>`.
#[macro_export]
macro_rules! checks {
    ($($check:path),* $(,)?) => {
        &[$($crate::runner::Check {
            name: $crate::runner::last_part(stringify!($check)),
            run: |fixture| Box::pin($check(fixture)),
        }),*]
    };
}

/// Returns the function's name without its path.
#[must_use]
pub const fn last_part(path: &'static str) -> &'static str {
    let bytes = path.as_bytes();
    let mut start = bytes.len();
    while start > 0 && bytes[start - 1] != b':' && bytes[start - 1] != b' ' {
        start -= 1;
    }
    path.split_at(start).1
}

/// What a check works on, if this machine can give it.
#[derive(Debug)]
pub enum Fixture<T> {
    /// It is there, fresh and empty.
    Ready(T),
    /// It is not, for this reason.
    Absent(String),
}

impl<T> Fixture<T> {
    /// Returns the fixture with something else made of it.
    pub fn map<U>(self, with: impl FnOnce(T) -> U) -> Fixture<U> {
        match self {
            Self::Ready(value) => Fixture::Ready(with(value)),
            Self::Absent(why) => Fixture::Absent(why),
        }
    }
}

/// Makes a trial of each check. `fixture` is called once to see whether it is there, and once for each check,
/// inside a tokio runtime of its own.
pub fn trials<F: 'static>(
    name: &str,
    checks: &'static [Check<F>],
    fixture: impl Fn() -> Fixture<F> + Send + Sync + 'static,
) -> Vec<Trial> {
    let absent = runtime().block_on(async {
        match fixture() {
            Fixture::Ready(_) => None,
            Fixture::Absent(why) => Some(why),
        }
    });
    let required = absent.is_some() && is_required(name);
    if let Some(why) = &absent {
        note(&format!("{name} is absent, its checks are not run: {why}"));
    }
    let fixture = Arc::new(fixture);
    checks
        .iter()
        .map(|check| {
            let fixture = Arc::clone(&fixture);
            Trial::test(format!("{name}::{}", check.name), move || {
                runtime().block_on(async {
                    match fixture() {
                        Fixture::Ready(ready) => (check.run)(ready).await.map_err(failed),
                        Fixture::Absent(why) => Err(Failed::from(format!("the fixture is absent: {why}"))),
                    }
                })
            })
            .with_ignored_flag(absent.is_some() && !required)
        })
        .collect()
}

/// Runs trials as the `main` of a test binary, which must hold at least one.
#[must_use]
pub fn run(trials: Vec<Trial>) -> ExitCode {
    if trials.is_empty() {
        note("this test binary holds no test at all");
        return ExitCode::FAILURE;
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Returns whether the environment says that a fixture must be there.
#[must_use]
pub fn is_required(name: &str) -> bool {
    std::env::var(REQUIRE).is_ok_and(|list| list.split(',').any(|item| item.trim() == name))
}

/// Makes the runtime that one check runs in.
///
/// # Panics
/// If the system gives no threads.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("the system gives threads")
}

/// Turns an error into what a trial fails with: all of it, with causes and hints.
#[must_use]
pub fn failed(error: walkback_core::Error) -> Failed {
    Failed::from(format!("{error:?}"))
}

/// Says something on standard error.
#[expect(clippy::print_stderr, reason = "a test binary tells what it did")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_named_after_its_function() {
        assert_eq!(last_part("a::b::the_name"), "the_name");
        assert_eq!(last_part("the_name"), "the_name");
        assert_eq!(last_part("a :: the_name"), "the_name");
    }
}
