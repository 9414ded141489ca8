//! A rollback that takes back what the migration changed, cell by cell, and nothing that was written since.

mod again;
mod anything;
mod definitions;
mod partial;
mod points;
mod random;
mod random_unique;
mod rows;
mod unique;

use std::process::ExitCode;

use again::a_rollback_makes_no_point_and_can_itself_be_walked_back;
use anything::whatever_a_migration_did_it_goes_back_and_nothing_is_lost_in_silence;
use definitions::{
    a_conflict_with_a_new_definition_is_decided_as_asked,
    a_default_that_is_an_expression_fills_what_has_no_value, a_name_that_leads_to_two_things_is_told,
    a_partition_made_since_whose_columns_may_have_another_name_is_not_guessed_at,
    a_partition_that_was_made_since_is_not_lost, a_partition_whose_table_goes_is_not_left_alone,
    a_row_that_has_no_place_is_told_and_not_lost, a_table_whose_name_differs_in_case_only_is_another,
    a_value_that_an_enum_got_goes_again, an_enum_goes_back_together_with_what_is_lossy,
    indexes_of_partitions_keep_their_names, killed_at_any_step_definitions_are_as_before_or_as_after,
    killed_at_any_step_names_are_as_before_or_as_after, names_and_keys_of_any_kind_are_merged,
    names_are_followed_over_several_migrations, no_write_is_lost_while_it_goes_back,
    nothing_is_counted_as_written_that_was_not, numbers_go_on_under_another_name,
    numbers_go_on_where_they_are, partitions_keep_what_was_written_since_a_definition_was_changed,
    partitions_that_were_added_and_dropped_since_stay_so, random_writes_outlive_definitions,
    rows_of_partitions_go_back_where_they_are,
    rows_without_a_key_stay_as_they_are_where_the_migration_changed_none,
    several_columns_renamed_at_once_keep_their_values, several_migrations_go_back_one_after_the_other,
    tables_that_inherit_go_back_from_the_point, types_under_another_name_go_back_together_with_what_is_lossy,
    values_of_another_type_fit_or_are_told, values_of_another_type_fit_or_are_told_on_mysql,
    what_could_not_be_there_before_waits_for_the_next_up,
    what_goes_from_a_table_beside_those_that_are_held_goes,
    what_is_written_to_partitions_under_another_name_stays, what_is_written_under_another_name_stays,
    what_rows_refer_to_is_there, what_was_written_in_between_stays_when_names_are_given_again,
    what_was_written_since_stays_whatever_the_migration_did,
    what_was_written_to_rows_without_a_key_is_named_before_it_goes,
    who_cannot_exchange_a_table_leaves_all_as_it_is,
    who_has_a_value_now_keeps_it_whatever_else_the_migration_did,
};
use partial::only_rows_that_were_added_go_where_that_is_asked_for;
use points::the_point_before_a_migration_says_which_are_walked_back;
use random::random_writes_are_never_lost;
use random_unique::random_writes_to_what_is_unique_are_never_lost;
use rows::*;
use unique::{
    what_does_not_go_with_what_was_written_since_stays, what_has_to_be_unique_and_is_taken_is_a_conflict,
    what_has_to_be_unique_goes_from_row_to_row_and_back, what_is_taken_stops_it_where_that_is_asked_for,
    what_is_unique_of_some_rows_or_in_part_goes_back_too, who_stays_keeps_it_and_who_went_on_has_made_room,
};
use walkback_tests::{Backend, MYSQL, ONE_OF_EACH, POSTGRES, SERVERS, journeys};

/// Those that capture what a rollback changes.
const CAPTURING: &[Backend] = &[Backend::Sqlite, Backend::Postgres];

fn main() -> ExitCode {
    walkback_tests::main(
        "surgical",
        &journeys! {
                ONE_OF_EACH => [
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
                    who_has_a_value_now_keeps_it_whatever_else_the_migration_did,
                    what_could_not_be_there_before_waits_for_the_next_up,
                    a_few_of_many_rows_go_back,
                    random_writes_are_never_lost,
                    random_writes_to_what_is_unique_are_never_lost,
                    killed_at_any_step_it_is_as_before_or_as_after,
                    only_rows_that_were_added_go_where_that_is_asked_for,
                    the_point_before_a_migration_says_which_are_walked_back,
                    what_was_written_since_stays_whatever_the_migration_did,
                    nothing_is_counted_as_written_that_was_not,
                    what_rows_refer_to_is_there,
                    a_row_that_has_no_place_is_told_and_not_lost,
                    a_conflict_with_a_new_definition_is_decided_as_asked,
                    names_and_keys_of_any_kind_are_merged,
                    numbers_go_on_where_they_are,
                    several_migrations_go_back_one_after_the_other,
                    a_name_that_leads_to_two_things_is_told,
                    names_are_followed_over_several_migrations, numbers_go_on_under_another_name,
                    what_is_written_under_another_name_stays,
        what_was_written_in_between_stays_when_names_are_given_again,
                    rows_without_a_key_stay_as_they_are_where_the_migration_changed_none,
                    what_was_written_to_rows_without_a_key_is_named_before_it_goes,
                    random_writes_outlive_definitions,
                    whatever_a_migration_did_it_goes_back_and_nothing_is_lost_in_silence,
                    killed_at_any_step_definitions_are_as_before_or_as_after,
                killed_at_any_step_names_are_as_before_or_as_after,
                ],
                SERVERS => [what_is_unique_of_some_rows_or_in_part_goes_back_too, a_table_whose_name_differs_in_case_only_is_another, what_is_written_to_partitions_under_another_name_stays, rows_of_partitions_go_back_where_they_are, partitions_keep_what_was_written_since_a_definition_was_changed, no_write_is_lost_while_it_goes_back, who_cannot_exchange_a_table_leaves_all_as_it_is],
                CAPTURING => [a_rollback_makes_no_point_and_can_itself_be_walked_back],
                POSTGRES => [a_value_that_an_enum_got_goes_again, an_enum_goes_back_together_with_what_is_lossy, types_under_another_name_go_back_together_with_what_is_lossy, a_partition_whose_table_goes_is_not_left_alone, a_partition_made_since_whose_columns_may_have_another_name_is_not_guessed_at, a_partition_that_was_made_since_is_not_lost, indexes_of_partitions_keep_their_names, tables_that_inherit_go_back_from_the_point, values_of_another_type_fit_or_are_told],
                MYSQL => [partitions_that_were_added_and_dropped_since_stay_so, several_columns_renamed_at_once_keep_their_values, what_goes_from_a_table_beside_those_that_are_held_goes, values_of_another_type_fit_or_are_told_on_mysql, a_default_that_is_an_expression_fills_what_has_no_value],
            },
    )
}

/// What the environments of this suite say besides.
const ENVIRONMENT: &str = "";
