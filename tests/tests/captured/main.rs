//! Under `protect = "capture"` what a migration changes in rows is captured while it changes it, and nothing else is read:
//! its rollback does what it does from points.

#[path = "../surgical/again.rs"]
mod again;
mod changes;
#[path = "../surgical/partial.rs"]
mod partial;
#[path = "../surgical/random.rs"]
mod random;
#[path = "../surgical/random_unique.rs"]
mod random_unique;
#[path = "../surgical/rows.rs"]
mod rows;
#[path = "../surgical/unique.rs"]
mod unique;

use std::process::ExitCode;

use again::a_rollback_makes_no_point_and_can_itself_be_walked_back;
use changes::*;
use partial::only_rows_that_were_added_go_where_that_is_asked_for;
use random::random_writes_are_never_lost;
use random_unique::random_writes_to_what_is_unique_are_never_lost;
use rows::*;
use unique::*;
use walkback_tests::{Backend, MYSQL, POSTGRES, journeys};

/// What the environments of this suite say besides.
const ENVIRONMENT: &str = "protect = \"capture\"\n";

/// Those that can capture; what differs between two versions of one is seen apart.
const CAPTURING: &[Backend] = &[Backend::Sqlite, Backend::Postgres];

fn main() -> ExitCode {
    walkback_tests::main(
        "captured",
        &journeys! {
            CAPTURING => [
                what_was_written_since_stays_and_the_rest_goes_back,
                rows_come_and_go_only_where_nobody_needs_them,
                rows_that_refer_to_each_other_go_together,
                a_conflict_stops_it_or_is_reverted_where_that_is_asked_for,
                every_value_goes_back_bit_for_bit,
                what_only_looks_alike_is_not_taken_for_the_same,
                keys_of_several_columns_and_awkward_names_do_not_matter,
                rows_that_cannot_be_told_apart_go_back_from_the_point,
                a_trigger_is_not_fired_again,
                what_has_to_be_unique_goes_from_row_to_row_and_back,
                what_has_to_be_unique_and_is_taken_is_a_conflict,
                what_is_taken_stops_it_where_that_is_asked_for,
                who_stays_keeps_it_and_who_went_on_has_made_room,
                what_does_not_go_with_what_was_written_since_stays,
                a_few_of_many_rows_go_back,
                random_writes_are_never_lost,
                random_writes_to_what_is_unique_are_never_lost,
                killed_at_any_step_it_is_as_before_or_as_after,
                only_rows_that_were_added_go_where_that_is_asked_for,
                nothing_but_the_changed_rows_is_kept,
                rows_that_are_changed_again_and_again_go_back,
                what_an_earlier_migration_of_the_run_made_is_captured,
                a_view_that_is_written_to_is_not_captured,
                what_cannot_be_captured_is_kept_in_the_point,
                tables_do_not_come_back_from_changed_rows,
                an_older_migration_takes_away_what_a_captured_one_changed,
                a_rollback_makes_no_point_and_can_itself_be_walked_back,
                killed_at_any_step_of_the_way_there_it_is_as_before_or_as_after,
            ],
            POSTGRES => [what_is_unique_of_some_rows_or_in_part_goes_back_too, rows_that_no_trigger_saw_are_kept_in_the_point],
            MYSQL => [what_an_engine_cannot_capture_is_kept_in_the_point],
        },
    )
}
