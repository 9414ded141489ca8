//! Scopes in code: what is committed stays and can be taken back, everything else leaves no trace, on each engine.

mod ends;
mod kills;
mod points;
mod work;

use std::process::ExitCode;

use ends::{
    a_dropped_future_takes_everything_back, a_panic_takes_everything_back,
    an_aborted_task_takes_everything_back, an_error_takes_definitions_back, an_error_takes_everything_back,
    what_is_committed_can_be_taken_back, what_stops_the_context_takes_everything_back,
};
use kills::{
    a_killed_scope_has_happened_or_has_not, a_scope_killed_half_way_may_be_left_as_it_is,
    a_scope_over_something_half_done_is_refused,
    nothing_is_half_done_where_definitions_are_in_the_transaction, two_scopes_have_one_lock,
};
use points::{
    a_point_of_the_manager_is_gone_back_to, what_ends_the_transaction_is_refused,
    what_the_point_does_not_hold_is_refused,
};
use walkback_tests::{Backend, MYSQL, ONE_OF_EACH, TRANSACTIONAL, journeys};

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
            ],
            TRANSACTIONAL => [nothing_is_half_done_where_definitions_are_in_the_transaction],
            MYSQL => [
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
