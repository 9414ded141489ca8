//! Promises that were broken once: each test is named for what must hold.

mod killed;
mod runs;
mod tables;
mod written;

use std::process::ExitCode;

use killed::{
    a_full_disk_under_the_output_is_not_told_as_work_that_failed,
    a_killed_full_rollback_names_the_code_and_brings_no_migration_back,
    a_killed_rollback_by_number_is_not_done_twice_unasked,
    a_killed_rollback_is_not_taken_back_by_the_same_command,
    a_rollback_that_was_killed_before_its_work_is_just_done_again,
};
use runs::{
    a_down_that_drops_what_the_up_found_there_already_is_undone,
    a_down_that_fails_gives_way_to_nothing_that_loses_what_was_not_shown,
    a_down_that_proves_unsound_after_other_steps_gives_way_to_a_sounder_one,
    a_down_that_takes_rows_the_application_wrote_is_not_taken_for_lossless,
    a_full_rollback_of_a_loose_script_leaves_tables_it_never_touched_alone,
    a_goto_that_goes_down_and_up_is_walked_back_with_what_its_ups_changed,
    a_killed_loose_addition_after_another_migration_is_recovered_to_between_them,
    a_loose_addition_that_fails_half_way_is_undone_and_earlier_migrations_of_the_run_stay,
    a_migration_that_changes_walkbacks_own_tables_is_refused,
    a_rollback_after_a_killed_run_walks_back_that_run_and_no_other,
    a_stamp_is_not_walked_back_by_scripts_and_forgets_the_point_of_another_time,
    a_write_between_the_point_and_the_migration_is_not_lost,
    going_back_to_a_point_that_does_not_hold_what_later_migrations_changed_is_refused,
    restoring_a_backup_of_the_same_version_is_what_the_next_rollback_walks_back,
    restoring_one_branch_does_not_undo_the_other,
    rows_changed_under_another_name_come_back_when_a_loose_script_fails,
};
use tables::{
    a_trigger_whose_column_is_gone_is_there_again_in_that_state, a_virtual_table_that_goes_is_named_before,
    an_index_that_serves_a_foreign_key_instead_of_its_own_goes_back,
    an_object_whose_name_another_table_uses_too_comes_back, awkward_tables_come_back,
    rows_that_a_cascade_took_come_back, rows_that_a_trigger_wrote_go_and_those_it_took_come_back,
    tables_that_change_their_names_come_back_under_the_old_ones,
};
use walkback_tests::{Backend, MYSQL, ONE_OF_EACH, SERVERS, Sandbox, journeys};
use written::{
    what_applications_wrote_after_a_kill_is_in_the_point_that_recover_names,
    what_applications_wrote_until_a_script_failed_is_in_the_point_that_is_named,
};

fn main() -> ExitCode {
    walkback_tests::main(
        "regressions",
        &journeys! {
            ONE_OF_EACH => [
                rows_that_a_cascade_took_come_back,
                rows_that_a_trigger_wrote_go_and_those_it_took_come_back,
                tables_that_change_their_names_come_back_under_the_old_ones,
                awkward_tables_come_back,
                a_migration_that_changes_walkbacks_own_tables_is_refused,
                a_goto_that_goes_down_and_up_is_walked_back_with_what_its_ups_changed,
                a_stamp_is_not_walked_back_by_scripts_and_forgets_the_point_of_another_time,
                a_rollback_after_a_killed_run_walks_back_that_run_and_no_other,
                going_back_to_a_point_that_does_not_hold_what_later_migrations_changed_is_refused,
                a_loose_addition_that_fails_half_way_is_undone_and_earlier_migrations_of_the_run_stay,
                a_killed_loose_addition_after_another_migration_is_recovered_to_between_them,
                rows_changed_under_another_name_come_back_when_a_loose_script_fails,
                a_down_that_takes_rows_the_application_wrote_is_not_taken_for_lossless,
                a_down_that_drops_what_the_up_found_there_already_is_undone,
                a_full_rollback_of_a_loose_script_leaves_tables_it_never_touched_alone,
                restoring_one_branch_does_not_undo_the_other,
                a_down_that_fails_gives_way_to_nothing_that_loses_what_was_not_shown,
                a_down_that_proves_unsound_after_other_steps_gives_way_to_a_sounder_one,
                restoring_a_backup_of_the_same_version_is_what_the_next_rollback_walks_back,
                what_applications_wrote_after_a_kill_is_in_the_point_that_recover_names,
                a_killed_rollback_is_not_taken_back_by_the_same_command,
                a_killed_rollback_by_number_is_not_done_twice_unasked,
                a_killed_full_rollback_names_the_code_and_brings_no_migration_back,
                a_rollback_that_was_killed_before_its_work_is_just_done_again,
            ],
            MYSQL => [
                an_index_that_serves_a_foreign_key_instead_of_its_own_goes_back,
                a_trigger_whose_column_is_gone_is_there_again_in_that_state,
            ],
            SERVERS => [
                an_object_whose_name_another_table_uses_too_comes_back,
                what_applications_wrote_until_a_script_failed_is_in_the_point_that_is_named,
            ],
            &[Backend::Sqlite] => [
                a_full_disk_under_the_output_is_not_told_as_work_that_failed,
                a_virtual_table_that_goes_is_named_before,
                a_write_between_the_point_and_the_migration_is_not_lost,
            ],
        },
    )
}

fn project(backend: Backend) -> Sandbox {
    Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"))
}
