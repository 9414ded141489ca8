//! Hooks round runs, and the procedure of a deployment: services that are stopped and started, a health check, and the way
//! back that is gone without being asked.

mod hooks;
mod service;

use std::process::ExitCode;

use walkback_tests::{ONE_OF_EACH, journeys};

use hooks::{
    a_before_hook_that_fails_leaves_everything_as_it_was,
    a_hook_over_its_time_is_stopped_with_all_it_started, a_killed_run_tells_which_hook_it_was_at,
    an_after_hook_that_fails_is_told_and_undoes_nothing, hooks_run_in_order_and_know_what_goes_on,
    interrupted_hooks_are_stopped_and_services_started, restores_and_rollbacks_have_hooks_and_a_health_check,
    the_password_is_in_no_output,
};

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
            ],
        },
    )
}
