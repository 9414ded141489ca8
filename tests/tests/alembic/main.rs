//! Alembic from PyPI and walkback on one database, in turn.
//!
//! Alembic runs in the Python that `WALKBACK_TEST_ALEMBIC_PYTHON` names, or that `cargo xtask test` has set up.

use std::process::ExitCode;

use walkback_tests::{Backend, EVERYWHERE, alembic_python, journeys};

mod project;
mod turns;

use turns::after_each_move_the_versions_are_what_alembic_alone_would_have_written;

fn main() -> ExitCode {
    let journeys = journeys! {
        &[Backend::Sqlite, Backend::Postgres, Backend::Mysql] => [
            after_each_move_the_versions_are_what_alembic_alone_would_have_written,
        ],
    };
    let _ = EVERYWHERE;
    let missing = alembic_python().err();
    walkback_tests::main_where("alembic", &journeys, |_, _| missing.clone())
}
