//! Hooks round runs, and the procedure of a deployment: services that are stopped and started, a health check, and the way
//! back that is gone without being asked.

mod back;
mod between;
mod forward;
mod full;
mod hooks;
mod policy;
mod service;
mod unreachable;

use std::process::ExitCode;

use walkback_tests::{Backend, ONE_OF_EACH, journeys};

use back::{
    a_deployment_that_cannot_be_taken_back_says_so_and_keeps_the_code,
    a_deployment_that_was_not_taken_back_names_what_has_failed,
    a_deployment_whose_terminal_goes_away_goes_back, a_migration_that_fails_takes_the_deployment_back,
    an_application_that_is_not_well_takes_the_deployment_back, an_interrupted_deployment_goes_back,
    killed_at_any_stage_a_deployment_is_explained_and_recovered,
    killed_on_its_way_back_a_deployment_is_recovered, services_that_do_not_start_take_the_deployment_back,
    under_nohup_a_deployment_goes_on,
};
use between::{
    a_deployment_takes_nothing_of_another_back, a_full_rollback_loses_no_more_than_was_confirmed,
    after_a_killed_deployment_no_old_code_meets_its_migrations,
    what_is_written_until_services_stop_is_counted,
};
use forward::{
    a_deployment_does_all_of_it, a_dry_run_shows_all_of_it_and_runs_nothing,
    hooks_after_a_deployment_change_nothing, what_fails_before_the_services_stop_changes_nothing,
};
use full::{a_full_rollback_brings_the_code_back_too, what_fails_in_a_full_rollback_starts_the_services};
use hooks::{
    a_before_hook_that_fails_leaves_everything_as_it_was, a_health_check_is_shown_as_it_is_written,
    a_hook_over_its_time_is_stopped_with_all_it_started, a_hook_that_is_stopped_may_tidy_up,
    a_killed_run_tells_which_hook_it_was_at, an_after_hook_that_fails_is_told_and_undoes_nothing,
    every_command_keeps_to_the_rule_for_its_hooks, hooks_run_in_order_and_know_what_goes_on,
    interrupted_hooks_are_stopped_and_services_started, restores_and_rollbacks_have_hooks_and_a_health_check,
    the_password_is_in_no_output, whoever_ends_a_killed_deployment_names_its_services,
};
use policy::{
    a_deployment_that_began_within_its_hours_goes_on, a_policy_that_cannot_be_kept_is_refused,
    a_session_that_opens_meanwhile_is_only_told_of,
    applications_do_not_write_while_a_run_works_however_it_ends,
    migrations_wait_for_their_hours_and_rollbacks_do_not, only_those_who_may_change_the_database,
    what_is_refused_is_refused_of_every_command, where_the_name_is_to_be_typed_every_change_needs_it,
};
use unreachable::{
    cut_off_for_a_moment_a_deployment_goes_back, services_that_do_not_start_without_a_database_are_named,
    without_its_database_a_deployment_starts_services,
};

/// Those with a server, one of each.
const NETWORKED: &[Backend] = &[Backend::Postgres, Backend::Mysql, Backend::Mariadb];

fn main() -> ExitCode {
    walkback_tests::main(
        "deploy",
        &journeys! {
            ONE_OF_EACH => [
                hooks_run_in_order_and_know_what_goes_on,
                a_before_hook_that_fails_leaves_everything_as_it_was,
                an_after_hook_that_fails_is_told_and_undoes_nothing,
                a_hook_over_its_time_is_stopped_with_all_it_started,
                interrupted_hooks_are_stopped_and_services_started,
                a_killed_run_tells_which_hook_it_was_at,
                restores_and_rollbacks_have_hooks_and_a_health_check,
                the_password_is_in_no_output,
                a_hook_that_is_stopped_may_tidy_up,
                a_health_check_is_shown_as_it_is_written,
                every_command_keeps_to_the_rule_for_its_hooks,
                whoever_ends_a_killed_deployment_names_its_services,
                what_is_refused_is_refused_of_every_command,
                where_the_name_is_to_be_typed_every_change_needs_it,
                a_deployment_whose_terminal_goes_away_goes_back,
                under_nohup_a_deployment_goes_on,
                a_deployment_that_began_within_its_hours_goes_on,
                a_deployment_does_all_of_it,
                a_dry_run_shows_all_of_it_and_runs_nothing,
                hooks_after_a_deployment_change_nothing,
                what_fails_before_the_services_stop_changes_nothing,
                a_migration_that_fails_takes_the_deployment_back,
                an_application_that_is_not_well_takes_the_deployment_back,
                services_that_do_not_start_take_the_deployment_back,
                an_interrupted_deployment_goes_back,
                a_deployment_that_cannot_be_taken_back_says_so_and_keeps_the_code,
                a_deployment_that_was_not_taken_back_names_what_has_failed,
                killed_at_any_stage_a_deployment_is_explained_and_recovered,
                killed_on_its_way_back_a_deployment_is_recovered,
                a_deployment_takes_nothing_of_another_back,
                what_is_written_until_services_stop_is_counted,
                a_full_rollback_loses_no_more_than_was_confirmed,
                after_a_killed_deployment_no_old_code_meets_its_migrations,
                a_full_rollback_brings_the_code_back_too,
                what_fails_in_a_full_rollback_starts_the_services,
                only_those_who_may_change_the_database,
                migrations_wait_for_their_hours_and_rollbacks_do_not,
            ],
            NETWORKED => [
                applications_do_not_write_while_a_run_works_however_it_ends,
                cut_off_for_a_moment_a_deployment_goes_back,
                without_its_database_a_deployment_starts_services,
                services_that_do_not_start_without_a_database_are_named,
            ],
            &[Backend::Postgres] => [a_session_that_opens_meanwhile_is_only_told_of],
            &[Backend::Sqlite] => [a_policy_that_cannot_be_kept_is_refused],
        },
    )
}
