//! Scopes in code: what is committed stays and can be taken back, everything else leaves no trace, on each engine.

mod ends;
mod faults;
mod kills;
mod points;
mod refusals;
mod work;

use std::process::ExitCode;

use ends::{
    a_dropped_future_takes_everything_back, a_panic_takes_everything_back,
    an_aborted_task_takes_everything_back, an_error_takes_definitions_back, an_error_takes_everything_back,
    what_is_committed_can_be_taken_back, what_stops_the_context_takes_everything_back,
};
use faults::{
    a_clone_in_use_ends_with_its_statement, a_clone_is_of_no_use_once_the_scope_is_dropped,
    a_commit_without_an_answer_is_looked_up, a_connection_lost_in_the_work_takes_everything_back,
    a_panic_that_cannot_be_taken_back_is_not_finished, a_table_that_others_hold_ends_the_scope,
    an_error_that_the_work_swallows_loses_nothing_else, nobody_else_writes_where_tables_are_held,
    what_others_write_meanwhile_is_not_taken_back,
};
use kills::{
    a_killed_scope_has_happened_or_has_not, a_scope_killed_half_way_may_be_left_as_it_is,
    a_scope_over_something_half_done_is_refused,
    nothing_is_half_done_where_definitions_are_in_the_transaction, two_scopes_have_one_lock,
};
use points::{
    a_point_of_the_manager_is_gone_back_to, a_statement_that_is_given_up_is_not_committed,
    what_ends_the_transaction_is_refused, what_the_point_does_not_hold_is_refused,
};
use refusals::{
    a_definition_takes_no_bound_values, a_table_that_a_scope_drops_comes_back,
    of_two_points_in_one_second_the_one_that_is_named_is_taken, what_cascades_to_another_table_is_refused,
    what_is_elsewhere_is_refused, what_the_policy_refuses_is_refused_in_a_scope,
};
use walkback_tests::{Backend, MYSQL, ONE_OF_EACH, POSTGRES, SERVERS, TRANSACTIONAL, journeys};

fn main() -> ExitCode {
    // This program is also the one that is killed.
    if let Some(code) = work::of_child() {
        return code;
    }
    walkback_tests::main(
        "scopes",
        &journeys! {
            ONE_OF_EACH => [
                what_is_committed_can_be_taken_back,
                an_error_takes_everything_back,
                an_error_takes_definitions_back,
                a_panic_takes_everything_back,
                a_dropped_future_takes_everything_back,
                an_aborted_task_takes_everything_back,
                what_stops_the_context_takes_everything_back,
                two_scopes_have_one_lock,
                a_killed_scope_has_happened_or_has_not,
                a_point_of_the_manager_is_gone_back_to,
                what_the_point_does_not_hold_is_refused,
                what_ends_the_transaction_is_refused,
                a_clone_is_of_no_use_once_the_scope_is_dropped,
                an_error_that_the_work_swallows_loses_nothing_else,
                what_others_write_meanwhile_is_not_taken_back,
                what_is_elsewhere_is_refused,
                what_cascades_to_another_table_is_refused,
                what_the_policy_refuses_is_refused_in_a_scope,
                a_table_that_a_scope_drops_comes_back,
            ],
            SERVERS => [
                a_clone_in_use_ends_with_its_statement,
                a_commit_without_an_answer_is_looked_up,
                a_connection_lost_in_the_work_takes_everything_back,
                a_statement_that_is_given_up_is_not_committed,
            ],
            POSTGRES => [a_table_that_others_hold_ends_the_scope],
            TRANSACTIONAL => [
                nothing_is_half_done_where_definitions_are_in_the_transaction,
                nobody_else_writes_where_tables_are_held,
                of_two_points_in_one_second_the_one_that_is_named_is_taken,
            ],
            MYSQL => [
                a_definition_takes_no_bound_values,
                a_panic_that_cannot_be_taken_back_is_not_finished,
                a_scope_over_something_half_done_is_refused,
                a_scope_killed_half_way_may_be_left_as_it_is,
            ],
        },
    )
}

/// A table with a name that needs quotes, a reserved word as a column, and one that nobody is to touch.
const TABLE: &str = "or\"d er";

fn project(backend: Backend) -> walkback_tests::Sandbox {
    let sandbox = walkback_tests::Sandbox::project(backend, env!("CARGO_BIN_EXE_walkback-under-test"));
    let (table, column) = (backend.quoted(TABLE), backend.quoted("select"));
    sandbox.migration(
        "001_begin",
        &format!(
            "CREATE TABLE {table} (id INTEGER NOT NULL PRIMARY KEY, {column} VARCHAR(40));\n\
             INSERT INTO {table} VALUES (1, 'ann'), (2, 'bob'), (3, 'it''s');\n\
             CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY);\nINSERT INTO other VALUES (1);"
        ),
        "",
    );
    sandbox.ok(&["up", "-y"]);
    sandbox
}

/// The rows of the table.
fn rows(sandbox: &walkback_tests::Sandbox) -> String {
    let backend = sandbox.backend();
    let (table, column) = (backend.quoted(TABLE), backend.quoted("select"));
    let rows = sandbox.session().column(&format!(
        "SELECT concat_ws('=', id, {column}) FROM {table} ORDER BY id"
    ));
    rows.join(" ")
}

const BEFORE: &str = "1=ann 2=bob 3=it's";
const AFTER: &str = "1=ANN 3=it's 4=dan";
