//! One journey is one function; each backend it runs on is a test of its own.
//!
//! A backend that is not there makes its tests a visible `ignored`, with the reason printed; one that
//! `WALKBACK_REQUIRE` names makes them fail.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::backend::{Backend, EVERYWHERE};
use crate::report;
use crate::server::{absence, is_required};

/// One journey, and where it runs.
#[derive(Debug, Clone, Copy)]
pub struct Journey {
    /// What holds at its end, as the name of the function.
    pub name: &'static str,
    /// Where it runs.
    pub on: &'static [Backend],
    /// Runs it, and panics if it does not hold.
    pub run: fn(Backend),
}

/// Builds journeys from lists of functions: `journeys! { EVERYWHERE => [a, b], MYSQL => [c] }`.
#[macro_export]
macro_rules! journeys {
    ($($on:expr => [$($journey:ident),* $(,)?]),* $(,)?) => {
        [$($($crate::Journey { name: stringify!($journey), on: $on, run: $journey }),*),*]
    };
}

/// Journeys that the usual run leaves out on a server, by test binary, backend and journey (`*` is any): they
/// take too long for it there, or have not been seen to hold yet. `WALKBACK_JOURNEYS=all` runs them.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("kills", "*", "*"),
    // MariaDB takes the same steps, and makes tables in a tenth of the time.
    (
        "loads",
        "mysql",
        "killed_while_it_loads_the_database_is_old_and_the_next_restore_leaves_no_shadow",
    ),
    ("model", "*", "*"),
    // As above.
    ("scopes", "mysql", "a_killed_scope_has_happened_or_has_not"),
    ("vault_kills", "*", "*"),
];

/// Says why a journey is left out of the usual run, if it is.
fn left_out(module: &str, name: &str, backend: Backend) -> Option<String> {
    if backend == Backend::Sqlite || std::env::var("WALKBACK_JOURNEYS").is_ok_and(|which| which == "all") {
        return None;
    }
    let is = |pattern: &str, text: &str| pattern == "*" || pattern == text;
    LEFT_OUT
        .iter()
        .any(|(in_module, on, journey)| *in_module == module && is(on, backend.name()) && is(journey, name))
        .then(|| "not part of the usual run; `WALKBACK_JOURNEYS=all` runs it".to_owned())
}

/// Runs the journeys of a test binary. Each is called `<module>::<backend>::<journey>`.
#[must_use]
pub fn main(module: &str, journeys: &[Journey]) -> ExitCode {
    main_where(module, journeys, |name, backend| left_out(module, name, backend))
}

/// Runs the journeys of a test binary, some of which need more than a backend: `missing` says what is not there
/// for a journey on a backend, which is then ignored.
#[must_use]
pub fn main_where(
    module: &str,
    journeys: &[Journey],
    missing: impl Fn(&str, Backend) -> Option<String>,
) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A journey on a server waits more than it works.
    arguments.test_threads.get_or_insert(4);
    let mut trials = Vec::new();
    for &backend in EVERYWHERE {
        let why = absence(backend);
        let mut count = 0;
        for journey in journeys.iter().filter(|journey| journey.on.contains(&backend)) {
            if let Some(why) = missing(journey.name, backend) {
                let name = format!("{module}::{backend}::{}", journey.name);
                report(&format!("ignored: {name}: {why}"));
                trials.push(Trial::test(name, move || Err(Failed::from(why))).with_ignored_flag(true));
                continue;
            }
            let run = journey.run;
            let absent = why.clone();
            let trial = Trial::test(
                format!("{module}::{backend}::{}", journey.name),
                move || match absent {
                    None => {
                        run(backend);
                        Ok(())
                    }
                    Some(why) => Err(Failed::from(format!("{backend} is absent: {why}"))),
                },
            );
            trials.push(trial.with_ignored_flag(why.is_some() && !is_required(backend)));
            count += 1;
        }
        if let Some(why) = &why
            && count > 0
            && !is_required(backend)
        {
            report(&format!(
                "ignored: {count} journeys of {module} on {backend}: {why}"
            ));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
