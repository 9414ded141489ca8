//! Alembic from PyPI and walkback on one database, in turn.
//!
//! Alembic runs in the Python that `WALKBACK_TEST_ALEMBIC_PYTHON` names, or that `cargo xtask test` has set up.

use std::process::ExitCode;

use walkback_tests::{Backend, ONE_OF_EACH, alembic_python, journeys};

mod asks;
mod mlflow;
mod procedure;
mod project;
mod reading;
mod turns;
mod values;

use asks::*;
use mlflow::mlflow_goes_up_back_and_up_again;
use procedure::*;
use reading::*;
use turns::after_each_move_the_versions_are_what_alembic_alone_would_have_written;
use values::*;

fn main() -> ExitCode {
    let journeys = journeys! {
        &[Backend::Sqlite, Backend::Postgres, Backend::Mysql] => [
            after_each_move_the_versions_are_what_alembic_alone_would_have_written,
            the_sql_that_is_printed_says_to_alembic_what_it_has_done,
        ],
        ONE_OF_EACH => [
            what_asks_the_database_is_run_by_alembic_and_walked_back,
            what_fails_inside_alembic_leaves_everything_as_it_was,
            a_project_that_connects_elsewhere_is_noticed_and_changes_nothing,
            killed_while_alembic_runs_the_next_command_knows_what_happened,
            the_last_three_of_alembic_are_walked_back_by_one_command,
            what_goes_wrong_is_said_with_the_next_command,
            the_version_table_may_be_called_otherwise,
            sql_files_may_be_recorded_in_alembics_table,
            the_table_of_another_project_is_left_alone,
        ],
        &[Backend::Sqlite, Backend::Postgres, Backend::Mysql, Backend::Mariadb] => [
            the_values_are_those_that_alembic_writes,
            what_only_a_driver_can_send_is_run_by_alembic,
            a_parameter_without_a_value_is_refused,
        ],
        &[Backend::Sqlite] => [
            without_python_all_that_needs_no_sql_works,
            identities_that_are_computed_are_known,
            a_project_file_and_several_folders_are_read_as_alembic_reads_them,
            new_revisions_are_written_by_alembic_from_its_template,
        ],
        &[Backend::Sqlite, Backend::Postgres, Backend::Mysql] => [mlflow_goes_up_back_and_up_again],
        &[Backend::Postgres] => [
            a_dump_comes_back_and_the_version_with_it,
            alembic_writes_while_applications_may_not,
            what_alembic_runs_itself_goes_back_cell_by_cell,
        ],
        &[Backend::Postgres, Backend::Mysql, Backend::Mariadb] => [
            an_alembic_that_moves_the_version_meanwhile_is_noticed,
        ],
    };
    let missing = alembic_python().err();
    walkback_tests::main_where("alembic", &journeys, |name, _| {
        let needs_mlflow = name.starts_with("mlflow") && mlflow::python().is_none();
        let no_mlflow = "`WALKBACK_TEST_MLFLOW_PYTHON` names no Python with MLflow";
        missing.clone().or(needs_mlflow.then(|| no_mlflow.to_owned()))
    })
}
